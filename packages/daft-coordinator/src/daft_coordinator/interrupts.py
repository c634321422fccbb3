"""Ctrl+C, SIGTERM and a closed terminal as events of the loop.

Raised as an exception, an interrupt would come between any two steps, such as between a job's row
and its gate. Here it is a byte in a pipe, read between turns.
"""

from __future__ import annotations

import os
import signal as signals
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from .reactor import READ, Reactor

CAUGHT = (signals.SIGINT, signals.SIGTERM, signals.SIGHUP)


class Interrupts:
    """While entered, calls `told` in a turn of `reactor` for each signal that asks us to stop.

    Only the main thread can catch signals; in another, and for one that is ignored or that the
    host catches itself, nothing is changed.
    """

    def __init__(self, reactor: Reactor, told: Callable[[], None]) -> None:
        self._reactor = reactor
        self._told = told
        self._previous: dict[int, Any] = {}
        self._reader = self._writer = -1
        self._wakeup = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        ours = (signals.SIG_DFL, signals.default_int_handler)
        caught = [number for number in CAUGHT if signals.getsignal(number) in ours]
        if not caught:
            return self
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._reactor.watch(self._reader, READ, self._readable)
        self._wakeup = signals.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in caught:
            self._previous[number] = signals.signal(number, _noted)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._previous:
            return
        for number, handler in self._previous.items():
            signals.signal(number, handler)
        signals.set_wakeup_fd(self._wakeup)
        self._reactor.unwatch(self._reader)
        os.close(self._reader)
        os.close(self._writer)
        self._previous.clear()

    def _readable(self, _events: int) -> None:
        for number in os.read(self._reader, 64):
            if number in self._previous:
                self._told()


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing: that the signal came is in the pipe already."""
