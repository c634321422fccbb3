"""The system's clocks."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from functools import cache


class SystemClock:
    """Wall time, monotonic time and boot id of this machine."""

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def since_boot(self) -> float:
        """Return seconds since the machine started, those it slept through included."""
        # Where there is no clock of that name, the monotonic one goes on during sleep.
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def boot_id(self) -> str:
        """Return the kernel's boot id, or the boot time where there is no such id."""
        return read_boot_id()


@cache  # no process outlives the boot it was started in
def read_boot_id() -> str:
    """Return a text that is the same until the machine starts again."""
    if sys.platform.startswith("linux"):
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            pass  # a container without /proc/sys: fall through to the boot time
    import psutil

    return f"boot-{int(psutil.boot_time())}"
