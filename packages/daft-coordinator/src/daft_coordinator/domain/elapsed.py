"""How long ago something was, and whether the wall clock may be believed about it.

A clock that jumps forward makes everything look old at once. The time since the machine started
cannot jump, so two passes that agree on both clocks are what makes an age believable.
"""

from __future__ import annotations

import enum
from datetime import datetime

from attrs import frozen

from daft_protocol.jobs import BootMoment

TOLERANCE_S = 3600.0
"""How far the two clocks may drift apart between passes before the wall clock has moved."""
SETTLING_S = 3600.0
"""How long a clock that has moved must go on as it is before it is believed."""


class Trust(enum.Enum):
    """What is known of the wall clock."""

    STEADY = "steady"  # it went on as the machine's own time did
    UNKNOWN = "unknown"  # there is nothing to compare it with
    MOVED = "moved"  # it was set, or has been set too recently


@frozen(kw_only=True)
class ClockReading:
    """Two clocks, read at one moment.

    since_boot_s: seconds since the machine started, sleep included.
    """

    wall_at: datetime
    since_boot_s: float
    boot_id: str


def passed_s(now: ClockReading, *, then: datetime, then_boot: BootMoment | None) -> float:
    """Return the seconds from a moment, as both clocks kept it, till now; never negative.

    Within one run of the machine its own count decides, so no clock that was set makes anything
    older or younger. A moment of an earlier run is at least as old as this run is.
    """
    by_wall_s = max(0.0, (now.wall_at - then).total_seconds())
    if then_boot is None:
        return by_wall_s
    if then_boot.boot_id != now.boot_id:
        return max(by_wall_s, now.since_boot_s)
    return max(0.0, now.since_boot_s - then_boot.since_boot_s)


@frozen(kw_only=True)
class ClockRecord:
    """What a pass leaves for the next one.

    trust: what it thought of the wall clock.
    doubted_since_s: seconds from the machine's start to the first pass that had that doubt;
        None without doubt.
    """

    reading: ClockReading
    trust: Trust = Trust.STEADY
    doubted_since_s: float | None = None


def compare(previous: ClockRecord | None, now: ClockReading) -> ClockRecord:
    """Return what to think of the wall clock now, to be remembered for the next pass.

    Before the first pass, and after a restart that may have taken any time, nothing is known. A
    clock that has moved, or of which nothing is known, is believed once it has gone on as it
    should for SETTLING_S.
    """
    if previous is None:
        return _doubt(Trust.UNKNOWN, now)
    passed_s = (now.wall_at - previous.reading.wall_at).total_seconds()
    if now.boot_id != previous.reading.boot_id:
        off_s = passed_s - now.since_boot_s  # unless the clock has moved as well
        if off_s < -TOLERANCE_S:
            return _doubt(Trust.MOVED, now)
        if off_s > TOLERANCE_S or previous.trust is not Trust.STEADY:
            return _doubt(Trust.UNKNOWN, now)
        return ClockRecord(reading=now)
    lived_s = now.since_boot_s - previous.reading.since_boot_s
    if abs(passed_s - lived_s) > TOLERANCE_S:
        return _doubt(Trust.MOVED, now)
    since_s = previous.doubted_since_s
    if since_s is None or now.since_boot_s - since_s >= SETTLING_S:
        return ClockRecord(reading=now)
    return ClockRecord(reading=now, trust=previous.trust, doubted_since_s=since_s)


def _doubt(trust: Trust, now: ClockReading) -> ClockRecord:
    return ClockRecord(reading=now, trust=trust, doubted_since_s=now.since_boot_s)
