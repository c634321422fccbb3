"""One selector, its descriptors and its timers: the only place that waits.

Drive it with `run_until`, or from any other loop: wait until `fileno()` is readable or
`deadline()` has come, then call `turn()`, which never blocks.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
from collections import deque
from collections.abc import Callable

from .ports import Clock

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

# The system counts a wait in a 32-bit number of milliseconds. A timer beyond that is waited for
# in several goes.
_LONGEST_WAIT_S = 86_400.0


class Timer:
    """A call that is due at a moment of the monotonic clock."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Make sure it is never called."""
        self.callback = None


class Reactor:
    """Calls back when a descriptor is ready or a moment has come, one call at a time.

    selector: what waits, closed with the reactor; None: the best the system has.
    """

    def __init__(self, clock: Clock, selector: selectors.BaseSelector | None = None) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector() if selector is None else selector
        self._watched: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._soon: deque[Callable[[], None]] = deque()

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` whenever `fd` is ready; replaces an earlier watch of `fd`."""
        if fd in self._watched:
            self._selector.modify(fd, events, callback)
        else:
            self._selector.register(fd, events, callback)
        self._watched[fd] = callback

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; it may be closed afterwards. Does nothing when it is not watched."""
        if self._watched.pop(fd, None) is not None:
            self._selector.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, at `when` or soon after (monotonic seconds)."""
        timer = Timer(when, callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, `delay_s` seconds from now."""
        return self.call_at(self._clock.monotonic() + delay_s, callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the next turn."""
        self._soon.append(callback)

    def fileno(self) -> int:
        """Return a descriptor that is readable when a watched one is ready.

        Raises: OSError where the system's selector has none (plain select or poll).
        """
        get = getattr(self._selector, "fileno", None)
        if get is None:
            raise OSError("this system's selector has no descriptor; call turn() on a timer")
        return int(get())

    def deadline(self) -> float | None:
        """Return when `turn()` has something to do by itself (monotonic), or None."""
        if self._soon:
            return self._clock.monotonic()
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def turn(self) -> bool:
        """Do what is ready, never block. True when something was done."""
        return self._turn(0.0)

    def wait(self, limit_s: float | None = None) -> bool:
        """Block until something is ready or `limit_s` is over, then do it."""
        deadline = self.deadline()
        timeout = limit_s
        if deadline is not None:
            until = max(0.0, deadline - self._clock.monotonic())
            timeout = until if limit_s is None else min(until, limit_s)
        return self._turn(None if timeout is None else min(timeout, _LONGEST_WAIT_S))

    def close(self) -> None:
        """Let go of the selector. Watched descriptors stay open."""
        self._selector.close()
        self._watched.clear()
        self._timers.clear()
        self._soon.clear()

    def _turn(self, timeout: float | None) -> bool:
        did = False
        for key, events in self._selector.select(timeout):
            # An earlier callback of this turn may have closed or replaced this one.
            # Equal is enough: watched again by the same method, a selector keeps the first one.
            callback = self._watched.get(key.fd)
            if callback is not None and callback == key.data:
                callback(events)
                did = True
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            due = heapq.heappop(self._timers)[2].callback
            if due is not None:
                due()
                did = True
        for _ in range(len(self._soon)):
            self._soon.popleft()()
            did = True
        return did
