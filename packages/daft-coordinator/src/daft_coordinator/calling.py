"""A client's standing connection to the leader, made anew whenever it has died."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from daft_protocol import messages
from daft_protocol.errors import ProtocolError
from daft_protocol.messages import Accepted, Request, Response, Submit

from .errors import CoordinatorUnavailable, RequestRefused
from .finding import ATTEMPTS, LeaderFinder, pause
from .link import ANSWER_S, Link

Answer = TypeVar("Answer")

ASKED_TIMES = 5
"""How often one request is made: a leader that dies of it would die of it again."""


class Line:
    """The connection of one client. finder: makes it, and starts a leader where it may."""

    def __init__(self, finder: LeaderFinder) -> None:
        self._finder = finder
        self._link: Link | None = None
        self._unanswered: Submit | None = None

    @property
    def started_pid(self) -> int:
        """The leader started last, 0 when none was."""
        return self._finder.started_pid

    def knock(self) -> bool:
        """True when a leader is there; none is started. Raises: CoordinatorUnavailable."""
        self._hear_answer()
        if self._link is None:
            self._link = self._finder.knock()
        return self._link is not None

    def link(self) -> Link:
        """Return the connection. Raises: CoordinatorUnavailable."""
        self._hear_answer()
        if self._link is None:
            self._link = self._finder.meet().link
        return self._link

    def ask(
        self,
        request: Request,
        *,
        answer_s: float | None = ANSWER_S,
        times: int = ASKED_TIMES,
    ) -> Response:
        """Return the answer to `request`. Raises as `insist`."""
        return self.insist(lambda link: link.ask(request, answer_s=answer_s), times=times)

    def insist(self, act: Callable[[Link], Answer], *, times: int) -> Answer:
        """Return what `act` makes of the connection, or of a new one each time that has died.

        Whoever dies half way has left a record that the next leader acts upon; one that is about
        to leave has a successor, and one with too many callers has room in a moment.
        times: how often in a row it may die.
        Raises: RequestRefused; CoordinatorUnavailable.
        """
        deaths, departures = Tries(self, times), Tries(self, ATTEMPTS)
        while True:
            try:
                return act(self.link())
            except RequestRefused as refused:
                is_full = refused.unheard and refused.code == messages.BUSY
                if refused.code != messages.SHUTTING_DOWN and not is_full:
                    raise
                departures.failed(refused)
            except TimeoutError as error:
                self.drop()
                raise CoordinatorUnavailable("it did not answer in its time") from error
            except (OSError, ProtocolError) as error:
                deaths.failed(error)

    def deliver(self, submit: Submit, *, confirm: bool = True) -> tuple[int, bool]:
        """Hand over a committed invocation; return the leader's pid and whether we started it.

        confirm: as for `LeaderFinder.meet`. What is not confirmed now is before anything else is
        asked on this line.
        Raises: CoordinatorUnavailable; LeaderTooOld.
        """
        self._hear_answer()
        if self._link is not None:
            try:
                answer = self._link.ask(submit)
                assert isinstance(answer, Accepted)
                return self.started_pid, False
            except (OSError, RequestRefused, ProtocolError):
                self.drop()
        met = self._finder.meet(submit, confirm=confirm)
        self._link = met.link
        self._unanswered = None if met.is_answered else submit
        return self.started_pid, met.has_started

    def _hear_answer(self) -> None:
        """Make sure that what was handed over unconfirmed was taken: else hand it over again."""
        submit, self._unanswered = self._unanswered, None
        if submit is None or self._link is None:
            return
        try:
            self._link.receive(ANSWER_S)
        except (OSError, RequestRefused, ProtocolError):
            # Whatever it was, the rows are still ours: the next one says what is wrong.
            self.drop()
            self._link = self._finder.meet(submit).link

    def drop(self) -> None:
        """Hang up; the next word makes a new connection."""
        self._unanswered = None
        if self._link is not None:
            self._link.close()
            self._link = None

    def reap(self) -> bool:
        """Hang up, and let go of leaders that have left; False while one that it started lives."""
        self.drop()
        return self._finder.reap()

    def close(self) -> None:
        """Hang up, and let go of leaders that have left."""
        self.drop()
        self._finder.close()


class Tries:
    """How often in a row something may fail on a line before we give up."""

    def __init__(self, line: Line, times: int) -> None:
        self._line = line
        self._times = times
        self._failed = 0

    def went_well(self) -> None:
        """What fails from now on is counted anew."""
        self._failed = 0

    def failed(self, error: Exception) -> None:
        """Hang up, and wait a little before the next try. Raises: CoordinatorUnavailable."""
        self._line.drop()
        self._failed += 1
        if self._failed >= self._times:
            raise CoordinatorUnavailable(f"it hung up again and again: {error}") from error
        pause(self._failed)
