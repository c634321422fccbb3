"""The leaders that single invocations have of their own: found in the record, asked all at once.

What such a leader runs it is asked about itself; what none of them runs is left to the leader of
the repository. A repository without any is never asked this way, nor is this loaded for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from attrs import evolve

from daft_protocol import messages
from daft_protocol.errors import ProtocolError
from daft_protocol.jobs import Job
from daft_protocol.messages import (
    CancelAll,
    Cancelled,
    CancelMatching,
    JobEntry,
    Request,
    Response,
    Shutdown,
    Wait,
)

from . import defaults, stops
from .domain.cancel import select
from .entries import entry_of
from .errors import CoordinatorUnavailable, RequestRefused
from .finding import ATTEMPTS, knock, pause
from .link import ANSWER_S, Link
from .ports import LEADING, OWN_LEADER, Clock, JobStore, Owner, ProcessControl

SLOW = "it did not answer in its time"
_ROUNDED_S = 0.001
"""How much earlier than it was told a leader may see the end of a stretch."""


class OwnLeaders:
    """Such leaders of one repository, as its clients see them.

    processes: tells which of the recorded ones live; None: those of this system.
    """

    def __init__(
        self, store: JobStore, *, processes: ProcessControl | None, clock: Clock | None
    ) -> None:
        self._store = store
        self._processes = processes
        self._clock = clock

    def living(self) -> Mapping[str, Owner]:
        """Return id -> leader of those that live."""
        return {one.id: one for one in self._store.owners() if self._leads(one, (OWN_LEADER,))}

    def cancel(
        self,
        request: CancelMatching | CancelAll,
        *,
        wait_s: float,
        rest: Callable[[CancelMatching], Cancelled],
    ) -> Cancelled | None:
        """Stop the jobs that `request` means, each by who runs it.

        Two leaders asked the same would signal each job twice, and the second signal kills. So
        the request is resolved here, and each is asked for its own jobs by their uids.
        wait_s: how long an answer may take. rest: stops what none of these leaders runs.
        Returns: None when there is nothing for these leaders to do.
        Raises: RequestRefused, CoordinatorUnavailable.
        """
        living = self.living()
        if not living or not (isinstance(request, CancelAll) or request.has_predicate):
            return None
        now = (self._clock or defaults.system_clock()).now()
        meant = select(self._store.unfinished(), stops.selection_of(request), now=now)
        shares, elsewhere = _shared(meant, living)
        if not shares:
            return None
        answers: list[Cancelled] = []
        with ExitStack() as links:
            asked: list[tuple[Link, list[str]]] = []
            for owner, uids in shares.items():
                link = self._sent(links, living[owner], _part(request, uids))
                if link is None:
                    elsewhere += uids  # it has left, or died: what it had is another's
                else:
                    asked.append((link, uids))
            if elsewhere:
                answers.append(rest(_part(request, elsewhere)))
            for link, uids in asked:
                answer = _received(link, wait_s if request.wait else ANSWER_S)
                if isinstance(answer, Cancelled):
                    answers.append(answer)
                elif left := self._unfinished(uids):
                    answers.append(rest(_part(request, left)))
        return self._summed(request, answers)

    def wait(
        self, request: Wait, *, stretch_s: float, rest: Callable[[Wait], tuple[JobEntry, ...]]
    ) -> tuple[JobEntry, ...] | None:
        """Return the jobs of `request` when all are final, or as they are when time is up.

        stretch_s: for how long they are asked at a time: one that hangs answers none of it.
        rest: waits for what none of these leaders runs.
        Returns: None when there is nothing for these leaders to do. Raises as `cancel`.
        """
        living = self.living()
        uids = self._uids_of(request) if living else ()
        if not _shared(self._jobs(uids), living)[0]:
            return None
        limit_s = math.inf if request.timeout_ms is None else request.timeout_ms / 1000
        deadline = time.monotonic() + limit_s
        deaths = 0
        while deaths < ATTEMPTS:
            pause(deaths)
            now = time.monotonic()
            until = min(deadline, now + stretch_s)
            shares, elsewhere = _shared(self._jobs(uids), living)
            left_ms = max(0, int((until - now) * 1000))
            asked = evolve(request, invocation_ids=(), timeout_ms=left_ms)
            if not self._wait_once(asked, shares, elsewhere, living, rest):
                # One died over it. Whoever takes its jobs over is asked instead.
                deaths += 1
            elif time.monotonic() < until - _ROUNDED_S or until == deadline:
                # An answer before its time says that there is nothing left to wait for.
                return self._entries(uids)
            living = self.living()
        raise CoordinatorUnavailable("one coordinator after the other died")

    def reach(self, job_uid: str) -> Link | None:
        """Return a new connection to the one that runs a job, None when none of them does."""
        living = self.living()
        job = self._store.job(job_uid) if living else None
        if job is None or job.status.is_final:
            return None
        owner = living.get(job.owner or "")
        return None if owner is None else self._called(owner)

    def shut_down(self) -> bool:
        """Have all of them stop their jobs and leave; False when there are none."""
        living = self.living()
        for owner in living.values():
            link = self._called(owner)
            if link is not None:
                try:
                    link.ask(Shutdown(), answer_s=ANSWER_S)
                except TimeoutError as error:
                    raise CoordinatorUnavailable(SLOW) from error
                except (OSError, ProtocolError):
                    pass  # it has left by itself, or died: both are what is wanted
                finally:
                    link.close()
        return bool(living)

    @contextmanager
    def lending(
        self, waiter: str | None, uids: Collection[str], *, asked: Collection[str] = ()
    ) -> Iterator[None]:
        """Have a job that waits give its worker back, when others than its leader are asked.

        waiter: the job; None: who waits is none. uids: what it waits for. asked: the leaders that
        know of it, since they are asked.
        """
        job = None if waiter is None or not self.living() else self._store.job(waiter)
        lender = None
        if job is not None and job.owner not in asked:
            owners = (one for one in self._store.owners() if self._leads(one, LEADING))
            lender = next((one for one in owners if one.id == job.owner), None)
        with ExitStack() as links:
            if lender is not None:
                # Nobody reads the answer: that it is asked is what counts, until we hang up.
                self._sent(links, lender, Wait(job_uids=tuple(uids), waiter=waiter))
            yield

    # --- asking -------------------------------------------------------------------------------

    def _wait_once(
        self,
        request: Wait,
        shares: Mapping[str, Sequence[str]],
        elsewhere: Sequence[str],
        living: Mapping[str, Owner],
        rest: Callable[[Wait], tuple[JobEntry, ...]],
    ) -> bool:
        """Ask everybody for what they run; False when somebody did not live to answer."""
        answer_s = (request.timeout_ms or 0) / 1000 + ANSWER_S
        everything = [uid for uids in shares.values() for uid in uids]
        with ExitStack() as links:
            links.enter_context(self.lending(request.waiter, everything, asked=shares))
            asked = [
                self._sent(links, living[owner], evolve(request, job_uids=tuple(uids)))
                for owner, uids in shares.items()
            ]
            if elsewhere:
                rest(evolve(request, job_uids=tuple(elsewhere)))
            return all(one is not None and _received(one, answer_s) for one in asked)

    def _sent(self, links: ExitStack, owner: Owner, request: Request) -> Link | None:
        """Ask without waiting for the answer; None when it is not there any more."""
        link = self._called(owner)
        if link is None:
            return None
        links.callback(link.close)
        try:
            link.send(request)
        except OSError:
            return None
        return link

    def _called(self, owner: Owner) -> Link | None:
        return None if owner.socket_path is None else knock(owner.socket_path)

    def _leads(self, owner: Owner, kinds: Collection[str]) -> bool:
        if owner.kind not in kinds:
            return False
        processes = self._processes or defaults.posix_processes()
        return processes.is_alive(owner.process) is not False

    # --- what is recorded ---------------------------------------------------------------------

    def _uids_of(self, request: Wait) -> tuple[str, ...]:
        """Return all jobs that are meant; () when one is not recorded, as another will say."""
        uids = list(request.job_uids)
        for invocation_id in request.invocation_ids:
            uids += [job.uid for job in self._store.jobs_of(invocation_id)]
        return () if any(self._store.job(uid) is None for uid in uids) else tuple(uids)

    def _jobs(self, uids: Iterable[str]) -> list[Job]:
        return [job for uid in uids if (job := self._store.job(uid)) is not None]

    def _unfinished(self, uids: Collection[str]) -> list[str]:
        return [job.uid for job in self._jobs(uids) if not job.status.is_final]

    def _entries(self, uids: Iterable[str]) -> tuple[JobEntry, ...]:
        now = (self._clock or defaults.system_clock()).now()
        return tuple(entry_of(job, now) for job in self._jobs(uids))

    def _summed(
        self, request: CancelMatching | CancelAll, answers: Sequence[Cancelled]
    ) -> Cancelled:
        done = tuple(result for answer in answers for result in answer.results)
        if isinstance(request, CancelMatching) and request.strict and stops.is_refused(done):
            raise RequestRefused(messages.KILL_FAILED, stops.refusal(self._store, done))
        return Cancelled(
            count=sum(answer.count for answer in answers),
            names=tuple(name for answer in answers for name in answer.names),
            results=(*done, *stops.not_stopped(self._store, request, done)),
        )


def _shared(
    jobs: Iterable[Job], living: Mapping[str, Owner]
) -> tuple[dict[str, list[str]], list[str]]:
    """Return leader -> the unfinished jobs it runs, and those that none of the living runs."""
    shares: dict[str, list[str]] = {}
    elsewhere: list[str] = []
    for job in jobs:
        if job.status.is_final:
            continue
        if job.owner in living:
            shares.setdefault(job.owner or "", []).append(job.uid)
        else:
            elsewhere.append(job.uid)
    return shares, elsewhere


def _part(request: CancelMatching | CancelAll, uids: Sequence[str]) -> CancelMatching:
    """Return `request` for these jobs only; what it says of them all is for who asks."""
    return CancelMatching(
        job_uids=tuple(uids),
        kill=request.kill,
        grace_ms=request.grace_ms,
        wait=request.wait,
        signal=request.signal if isinstance(request, CancelMatching) else None,
    )


def _received(link: Link, answer_s: float) -> Response | None:
    """Return an answer, None when whoever was asked died over it."""
    try:
        return link.receive(answer_s)
    except TimeoutError as error:
        raise CoordinatorUnavailable(SLOW) from error
    except (OSError, ProtocolError):
        return None
