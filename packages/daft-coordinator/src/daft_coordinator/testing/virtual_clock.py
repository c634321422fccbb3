"""A clock that stands still until it is moved."""

from __future__ import annotations

from datetime import datetime, timedelta

from .samples import MORNING


class VirtualClock:
    """A `Clock` for tests. Monotonic time only moves forward; the wall clock may jump."""

    def __init__(self, *, start: datetime = MORNING, boot_id: str = "boot-1") -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._booted_s = 0.0
        self._shift = timedelta()
        self._boot_id = boot_id

    def now(self) -> datetime:
        """Return the wall clock: the start, what has passed, and every jump."""
        return self._start + timedelta(seconds=self._elapsed_s) + self._shift

    def monotonic(self) -> float:
        """Return the seconds that have passed since this clock was made."""
        return self._elapsed_s

    def since_boot(self) -> float:
        """Return the seconds that have passed since the made-up boot."""
        return self._elapsed_s - self._booted_s

    def boot_id(self) -> str:
        """Return the made-up boot."""
        return self._boot_id

    def move_to(self, when: float) -> None:
        """Let time pass until the monotonic clock shows `when`; never moves it back."""
        self._elapsed_s = max(self._elapsed_s, when)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back, without any time passing."""
        self._shift += timedelta(seconds=seconds)

    def reboot(self, boot_id: str) -> None:
        """Start the machine again: nothing that ran before is alive any more."""
        self._boot_id = boot_id
        self._booted_s = self._elapsed_s
