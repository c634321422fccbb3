"""Jobs that could not be started because the system had no process or descriptor to give."""

from __future__ import annotations

from collections.abc import Callable

from .errors import SpawnFailed
from .reactor import Reactor, Timer

ATTEMPTS = 5
FIRST_PAUSE_S = 0.1


class Shortage:
    """Holds such jobs back, twice as long each time, until they are given up.

    again: called when it is time to try one.
    """

    def __init__(self, reactor: Reactor, *, again: Callable[[], None]) -> None:
        self._reactor = reactor
        self._again = again
        self._attempts: dict[str, int] = {}
        self._pauses: dict[str, Timer] = {}

    def holds_back(self, uid: str) -> bool:
        """True while it is too early to try again."""
        return uid in self._pauses

    def may_pass(self, uid: str, error: SpawnFailed) -> bool:
        """Take note of a failed start; False when it is final."""
        if not error.is_shortage:
            return False
        attempts = self._attempts.get(uid, 0) + 1
        if attempts > ATTEMPTS:
            del self._attempts[uid]
            return False
        self._attempts[uid] = attempts
        pause_s = FIRST_PAUSE_S * 2 ** (attempts - 1)
        self._pauses[uid] = self._reactor.call_after(pause_s, lambda: self._over(uid))
        return True

    def passed(self, uid: str) -> None:
        """Take note of a job that could be started after all."""
        self._attempts.pop(uid, None)

    def _over(self, uid: str) -> None:
        del self._pauses[uid]
        self._again()
