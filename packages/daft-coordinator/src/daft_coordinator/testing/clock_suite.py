"""What every `Clock` must do."""

from __future__ import annotations

import math
from datetime import timedelta

from ..ports import Clock
from .promises import promised


class ClockSuite:
    """Holds a `Clock` to its port. Subclass it and supply the fixture `clock`."""

    @promised(Clock, "Time, as the coordinator sees it.")
    def test_it_answers_every_question(self, clock: Clock) -> None:
        """Four questions, four answers of the right kind."""
        assert isinstance(clock.monotonic(), float)
        assert isinstance(clock.since_boot(), float)
        assert isinstance(clock.boot_id(), str)
        assert clock.now() is not None

    @promised(Clock.now, "Return the wall clock, aware, in UTC.", "For people; it may jump.")
    def test_the_wall_clock_is_aware_and_in_utc(self, clock: Clock) -> None:
        """A naive moment, or one of another zone, would sort wrongly as text."""
        now = clock.now()

        assert now.tzinfo is not None
        assert now.utcoffset() == timedelta(0)

    @promised(Clock.monotonic, "Return seconds that only grow.", "For durations and deadlines.")
    def test_monotonic_time_never_goes_back(self, clock: Clock) -> None:
        """However often it is asked."""
        asked = [clock.monotonic() for _ in range(1000)]

        assert asked == sorted(asked)
        assert all(math.isfinite(one) for one in asked)

    @promised(
        Clock.since_boot,
        "Return seconds since the machine started, those it slept through included.",
    )
    def test_time_since_the_boot_grows_at_least_as_monotonic_time_does(self, clock: Clock) -> None:
        """It may grow faster, by what was slept through; never slower."""
        asked = [(clock.monotonic(), clock.since_boot(), clock.monotonic()) for _ in range(100)]

        for (_, earlier, after), (before, later, _) in zip(asked, asked[1:], strict=False):
            assert later - earlier >= before - after
            assert earlier >= 0

    @promised(Clock.boot_id, "Return a text that is the same until the machine starts again.")
    def test_the_boot_has_one_name(self, clock: Clock) -> None:
        """Not empty, and the same each time: process identities are compared by it."""
        first = clock.boot_id()

        assert first
        assert {clock.boot_id() for _ in range(10)} == {first}
