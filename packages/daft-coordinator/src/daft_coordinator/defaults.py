"""What a coordinator works with when nobody says otherwise. Each is loaded only when asked for."""

from __future__ import annotations

import os

from .ports import Clock, JobStore, ProcessControl


def workers() -> int:
    """Return how many jobs may run at one time."""
    return max(2, min(8, os.cpu_count() or 1))


def system_clock() -> Clock:
    """Return the system's clock."""
    from .adapters.clock import SystemClock

    return SystemClock()


def posix_processes() -> ProcessControl:
    """Return the processes of this system."""
    from .adapters.processes import PosixProcessControl

    return PosixProcessControl()


def memory_store() -> JobStore:
    """Return a store that is gone with this process."""
    from .adapters.memory import MemoryJobStore

    return MemoryJobStore()
