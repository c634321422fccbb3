"""Reading both clocks at one moment."""

from __future__ import annotations

from .domain.elapsed import ClockReading
from .ports import Clock


def reading(clock: Clock) -> ClockReading:
    """Return what the wall clock and the time since the machine started say now."""
    return ClockReading(
        wall_at=clock.now(), since_boot_s=clock.since_boot(), boot_id=clock.boot_id()
    )
