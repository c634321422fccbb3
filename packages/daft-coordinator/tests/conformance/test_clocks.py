"""Our own clocks keep what the port promises."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daft_coordinator.adapters.clock import SystemClock
from daft_coordinator.ports import Clock
from daft_coordinator.testing import ClockSuite, VirtualClock


class TestSystemClock(ClockSuite):
    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()


class TestVirtualClock(ClockSuite):
    @pytest.fixture
    def clock(self) -> Clock:
        return VirtualClock()


def test_a_virtual_clock_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock()
    before = (clock.now(), clock.monotonic())

    assert (clock.now(), clock.monotonic()) == before
    clock.move_to(5)
    clock.move_to(1)
    assert (clock.now() - before[0], clock.monotonic()) == (timedelta(seconds=5), 5)


def test_a_jump_moves_the_wall_clock_alone() -> None:
    clock = VirtualClock()
    before = clock.now()

    clock.jump(-86_400)

    assert clock.now() == before - timedelta(days=1)
    assert clock.monotonic() == 0
