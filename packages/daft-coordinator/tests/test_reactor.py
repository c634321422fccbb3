"""The loop that everything else hangs on."""

from __future__ import annotations

import os

from daft_coordinator.adapters.clock import SystemClock
from daft_coordinator.reactor import READ, Reactor


class Reader:
    """Counts the calls of a method, which is another object each time it is asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def ready(self, _events: int) -> None:
        self.calls += 1


def test_watching_again_with_the_same_method_goes_on_calling_it() -> None:
    reactor, reader = Reactor(SystemClock()), Reader()
    end, other = os.pipe()
    os.write(other, b"x")

    reactor.watch(end, READ, reader.ready)
    reactor.watch(end, READ, reader.ready)
    reactor.turn()

    assert reader.calls == 1
    reactor.unwatch(end)
    reactor.unwatch(end)
    reactor.turn()
    assert reader.calls == 1
    reactor.close()
    os.close(end)
    os.close(other)


def test_what_is_closed_by_an_earlier_call_of_a_turn_is_not_called_any_more() -> None:
    reactor = Reactor(SystemClock())
    pipes = [os.pipe(), os.pipe()]
    called: list[int] = []

    def first_come(index: int) -> None:
        called.append(index)
        reactor.unwatch(pipes[1 - index][0])

    for index, (end, other) in enumerate(pipes):
        os.write(other, b"x")
        reactor.watch(end, READ, lambda _events, index=index: first_come(index))
    reactor.turn()

    assert len(called) == 1
    reactor.close()
    for fd in (*pipes[0], *pipes[1]):
        os.close(fd)
