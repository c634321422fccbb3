"""Talking to a repository's leader, and starting one when there is none. Synchronous."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from attrs import evolve, frozen

from daft_protocol import messages
from daft_protocol.departures import Departure
from daft_protocol.errors import ProtocolError
from daft_protocol.jobs import InvocationSpec, Job
from daft_protocol.messages import (
    Accepted,
    CancelAll,
    Cancelled,
    CancelMatching,
    CancelResult,
    Evict,
    Evicted,
    Hello,
    JobEntry,
    Jobs,
    ListJobs,
    Reconcile,
    Response,
    Retry,
    Shutdown,
    StreamEnd,
    StreamFrame,
    Submit,
    TailLogs,
    Wait,
    Welcome,
)
from daft_protocol.names import new_invocation_id
from daft_protocol.records import LogRecord, record_from_json
from daft_protocol.status import JobStatus

from . import defaults, leases, submission
from .calling import Line, Tries
from .errors import (
    CoordinatorError,
    CoordinatorUnavailable,
    JobsSurvived,
    LeaderTooOld,
    RequestRefused,
    StoreUnavailable,
)
from .finding import ATTEMPTS, RECONCILE_S, LeaderFinder
from .link import ANSWER_S, Link
from .nesting import check_depth
from .ports import JOB_MARK, LEADER, OWN_LEADER, Clock, JobStore, Owner, ProcessControl
from .station import Station

if TYPE_CHECKING:
    from .domain.retry import RetryRequest
    from .own_leaders import OwnLeaders

HEARTBEAT_MS = 10_000
SILENCE_S = 30.0
"""How long a followed log may be silent, heartbeats included, before the leader is called anew."""
STRETCH_S = 60.0
"""How long a leader is waited for at a time: one that hangs answers none of them."""
_ROUNDED_S = 0.001
"""How much earlier than it was told a leader may see the end of a stretch."""
KILL_AFTER_S = 5.0
_PAGE = 500
SETTLE_S = 30.0
"""How long after a SIGKILL an answer may take: a leader may have to be started first."""


@frozen(kw_only=True)
class Submission:
    """What became of a submit: the rows, and who runs them.

    leader_pid: 0 when there was nothing to run, or the leader was there before.
    waits_for: why nothing of it runs before the present leader has left; None: it may run now.
    """

    invocation_id: str
    jobs: tuple[Job, ...]
    leader_pid: int = 0
    started_leader: bool = False
    waits_for: str | None = None


class CoordinatorClient:
    """The verbs of a coordinator, over the socket of a repository's leader.

    Leaders that invocations have of their own are asked as well, where there are any.

    store: written to by `submit`, before anybody is told.
    start: whether a leader may be started when none answers.
    own_station: invocation id -> where the leader is met that it gets of its own; None: the
        repository's leader runs what is submitted.
    """

    def __init__(
        self,
        station: Station,
        store: JobStore,
        *,
        start: bool = True,
        own_station: Callable[[str], Station] | None = None,
        processes: ProcessControl | None = None,
        clock: Clock | None = None,
        version: str = "",
    ) -> None:
        self._station = station
        self._store = store
        self._processes = processes
        self._clock = clock
        self._version = version
        self._start = start
        finder = LeaderFinder(
            station, may_start=start, version=version, recorded=self._recorded_sockets
        )
        self._line = Line(finder)
        self._own_station = own_station
        self._own_lines: list[Line] = []
        self._owner: Owner | None = None

    @classmethod
    def connect(cls, station: Station, store: JobStore) -> CoordinatorClient | None:
        """Return a client of the leader that is there, or None when none answers."""
        client = cls(station, store, start=False)
        return client if client._line.knock() else None

    # --- verbs --------------------------------------------------------------------------------

    def submit(
        self,
        invocation: InvocationSpec,
        *,
        environment: Mapping[str, str] | None = None,
        confirm: bool = True,
    ) -> Submission:
        """Commit an invocation and its jobs, then hand it to the leader, starting one if needed.

        confirm: False is for a process that ends soon: it returns as soon as a leader that is
        started holds the work, if the last leader here was this very program. Should the new one
        die before it begins, the jobs stay `queued` until somebody looks, and those that need
        what is never stored are then skipped, as after any such death.
        Raises: as `submission.record`, with nothing recorded; CoordinatorUnavailable when no
        leader could take it: the rows are committed and stay `queued`.
        """
        environment = dict(os.environ if environment is None else environment)
        check_depth(environment)
        owner = self._register()
        clock = self._clock or defaults.system_clock()
        jobs = submission.record(
            self._store, invocation, owner=owner.id, clock=clock, processes=self._processes
        )
        submission.note_skips(self._store, jobs, clock)
        waiting = [job for job in jobs if job.status is JobStatus.QUEUED and job.spec.background]
        if not waiting:
            return Submission(invocation_id=invocation.invocation_id, jobs=jobs)
        request = Submit(
            invocation_id=invocation.invocation_id,
            environment=environment,
            secrets=submission.secrets_of(jobs),
            umask=_current_umask(),
            spec_version=max(job.spec_version for job in waiting),
        )
        try:
            pid, started = self._deliver(request, confirm=confirm)
        except LeaderTooOld as error:
            from . import courier  # hardly ever needed

            courier.start(self._station, request)
            return Submission(
                invocation_id=invocation.invocation_id, jobs=jobs, waits_for=str(error)
            )
        return Submission(
            invocation_id=invocation.invocation_id,
            jobs=jobs,
            leader_pid=pid,
            started_leader=started,
        )

    def retry(
        self,
        request: RetryRequest,
        *,
        environment: Mapping[str, str] | None = None,
        values: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Submission:
        """Have the leader run jobs of a recorded invocation again, all in the background.

        environment: what they inherit, and where variables that were never stored are looked
        for; None: this process's. values: job -> such variables, where they are known better.
        Returns: no jobs when there was nothing to retry.
        Raises: RequestRefused with the leader's reason; CoordinatorUnavailable.
        """
        if request.current is not None:
            raise CoordinatorError("a leader retries what is recorded; submit other jobs as new")
        if self._own_station is not None:
            return self._retry_here(request, environment, values)
        asked = Retry(
            invocation_id=request.invocation_id,
            jobs=request.jobs,
            skipped=request.skipped,
            working_dir=request.working_dir,
            exclusive=request.exclusive,
            as_invocation=new_invocation_id(),
            environment=dict(os.environ if environment is None else environment),
            secrets=values or {},
            umask=_current_umask(),
        )
        try:
            answer = self._line.ask(asked)
        except RequestRefused as refused:
            if refused.code == messages.NO_MATCH:
                return Submission(invocation_id=request.invocation_id, jobs=())
            if refused.code == messages.UNKNOWN_REQUEST:
                # An older leader cannot retry, but it can run what we make of it.
                return self._retry_here(request, environment, values)
            raise
        assert isinstance(answer, Accepted)
        return Submission(
            invocation_id=answer.invocation_id,
            jobs=self._store.jobs_of(answer.invocation_id),
            leader_pid=self._line.started_pid,
        )

    def cancel(
        self, request: CancelMatching | CancelAll, *, wait_s: float | None = None
    ) -> Cancelled:
        """Stop jobs, with `request.wait` until they are gone.

        wait_s: at most so long; None: as long as stopping takes where nothing goes wrong.

        Where nobody leads, what waits is taken off the queue here, before anybody starts it, and
        a leader is started only for what still runs.
        """
        if wait_s is None:
            meant = self._store.unfinished() if request.wait else ()
            wait_s = _longest_grace(meant) + SETTLE_S
        at_one = partial(self._cancel_at_one, wait_s=wait_s)
        own = self._own_leaders()
        done = None if own is None else own.cancel(request, wait_s=wait_s, rest=at_one)
        return at_one(request) if done is None else done

    def _cancel_at_one(self, request: CancelMatching | CancelAll, *, wait_s: float) -> Cancelled:
        if not self._line.knock():
            done = self._cancel_without_leader(request, wait_s)
            if done is not None:
                return done
        answer = self._line.ask(request, answer_s=wait_s if request.wait else ANSWER_S)
        if isinstance(answer, Cancelled):
            return answer
        return Cancelled(count=0)

    @contextmanager
    def alone_with(
        self,
        worktree: str,
        *,
        purpose: str = "being removed",
        kill_after_s: float = KILL_AFTER_S,
        force: bool = False,
    ) -> Iterator[tuple[CancelResult, ...]]:
        """Stop every job of a worktree, and let nobody else submit one until the context ends.

        purpose: what happens to it, for whoever is turned away. kill_after_s: from SIGTERM to
        SIGKILL. force: go on although a job survived that.
        Yields: what became of the jobs there were; this process may still submit to it.
        Raises: WorktreeLeased when somebody else removes or moves it; JobsSurvived;
        CoordinatorUnavailable when there are jobs and nobody to stop them.
        """
        lease = leases.take(
            self._store,
            worktree,
            purpose=purpose,
            processes=self._processes or defaults.posix_processes(),
            now=self._now(),
        )
        try:
            yield self._stop_all_of(worktree, kill_after_s, force=force)
        finally:
            self._store.drop_lease(lease.id)

    def relabel(self, worktree: str, to: str, *, old_path: str, path: str) -> int:
        """Have the record of a worktree that was renamed or moved go by another label from now on.

        old_path: where it was; jobs that wait start where it is now, at `path`.
        Returns how many invocations that concerned.
        """
        return self._store.relabel(worktree, to, old_path=old_path, path=path)

    def wait(self, request: Wait) -> tuple[JobEntry, ...]:
        """Return the jobs of `request` when all are final, or as they are when time is up.

        A leader that dies meanwhile is replaced, and the wait goes on.
        Raises: CoordinatorUnavailable when it hangs.
        """
        request = evolve(request, waiter=os.environ.get(JOB_MARK) or None)
        own = self._own_leaders()
        done = (
            None if own is None else own.wait(request, stretch_s=STRETCH_S, rest=self._wait_at_one)
        )
        return self._wait_at_one(request) if done is None else done

    def _wait_at_one(self, request: Wait) -> tuple[JobEntry, ...]:
        deadline = (
            None if request.timeout_ms is None else time.monotonic() + (request.timeout_ms / 1000)
        )

        until = 0.0  # the end of the present stretch

        def ask(link: Link) -> Response:
            nonlocal until
            now = time.monotonic()
            until = now + STRETCH_S if deadline is None else min(deadline, now + STRETCH_S)
            left_s = max(0.0, until - now)
            asked = evolve(request, timeout_ms=int(left_s * 1000))
            return link.ask(asked, answer_s=left_s + ANSWER_S)

        while True:
            answer = self._line.insist(ask, times=ATTEMPTS)
            assert isinstance(answer, Jobs)
            # An answer before its time says that there is nothing left to wait for.
            is_over = time.monotonic() < until - _ROUNDED_S or until == deadline
            if is_over:
                return answer.jobs

    def tail(
        self,
        job_uid: str,
        *,
        since_seq: int = 0,
        follow: bool = False,
        from_end: bool = False,
        kinds: Sequence[str] | None = None,
    ) -> Iterator[LogRecord]:
        """Yield the records of a job's log; with `follow`, until it has ended.

        from_end: only what is written from now on. kinds: only records of these kinds.
        A leader that dies meanwhile is replaced, and the stream goes on where it stopped; so it
        does when the caller was too slow to take it.
        """
        asked = TailLogs(
            job_uid=job_uid,
            follow=follow,
            since_seq=since_seq,
            from_end=from_end,
            kinds=None if kinds is None else tuple(kinds),
            heartbeat_ms=HEARTBEAT_MS if follow else None,
            waiter=os.environ.get(JOB_MARK) or None,
        )
        with ExitStack() as meanwhile:
            if follow and (own := self._own_leaders()) is not None:
                meanwhile.enter_context(own.lending(asked.waiter, (job_uid,)))
            yield from self._stream(asked)

    def _stream(self, asked: TailLogs) -> Iterator[LogRecord]:
        """Yield records until they end, calling anew as often as it takes."""
        tries = Tries(self._line, ATTEMPTS)
        while True:
            own: Link | None = None
            try:
                leaders = self._own_leaders()
                own = None if leaders is None else leaders.reach(asked.job_uid or "")
                link = own or self._line.link()
                link.send(asked)
                while True:
                    answer = link.receive(SILENCE_S if asked.follow else ANSWER_S)
                    tries.went_well()
                    if isinstance(answer, StreamEnd):
                        return
                    if isinstance(answer, StreamFrame):
                        record = record_from_json(answer.record)
                        asked = evolve(asked, since_seq=record.seq + 1, from_end=False)
                        yield record
            except RequestRefused as refused:
                if refused.code != messages.OVERRUN:
                    raise
                self._line.drop()
            except (OSError, ProtocolError) as error:
                tries.failed(error)  # it died, it hangs, or it knows no heartbeat
            finally:
                if own is not None:
                    own.close()

    def jobs(self, request: ListJobs | None = None) -> Iterator[JobEntry]:
        """Yield the jobs the leader lists, page by page."""
        asked = request or ListJobs()
        if asked.limit is None:
            asked = evolve(asked, limit=_PAGE)  # without a word of pages it is an older request
        while True:
            answer = self._line.ask(asked)
            assert isinstance(answer, Jobs)
            yield from answer.jobs
            if answer.cursor is None:
                return
            asked = evolve(asked, cursor=answer.cursor)

    def reconcile(self) -> str:
        """Have the leader compare the record with the world now.

        Returns: one line about what it has repaired since somebody asked last, "" for nothing.
        """
        answer = self._line.ask(Reconcile(), answer_s=RECONCILE_S)
        return getattr(answer, "message", "")

    def evict(self, departures: Sequence[Departure]) -> tuple[bool, ...]:
        """Have the leader delete rows, see `JobHistory.evict`; the files are the caller's."""
        answer = self._line.ask(Evict(departures=tuple(departures)))
        assert isinstance(answer, Evicted)
        return answer.done

    def hello(self) -> Welcome:
        """Return who leads. It answers once its record agrees with the world."""
        answer = self._line.ask(Hello(client_version=self._version), answer_s=RECONCILE_S)
        assert isinstance(answer, Welcome)
        return answer

    def shutdown(self) -> None:
        """Have the leader, and every other there is, stop all jobs and leave."""
        own = self._own_leaders()
        if own is None or not own.shut_down() or self._line.knock():
            self._line.ask(Shutdown())

    def close(self) -> None:
        """Hang up. Calling it again does nothing."""
        self._line.drop()
        if self._owner is not None:
            self._store.retire(self._owner.id)
            self._owner = None
        self._line.close()
        for line in self._own_lines:
            line.close()
        self._own_lines.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _deliver(self, submit: Submit, *, confirm: bool) -> tuple[int, bool]:
        """Hand over a committed invocation; return the leader's pid and whether we started it."""
        self._own_lines = [line for line in self._own_lines if not line.reap()]
        if self._own_station is not None:
            station = self._own_station(submit.invocation_id)
            line = Line(LeaderFinder(station, may_start=self._start, version=self._version))
            self._own_lines.append(line)
            try:
                return line.deliver(submit, confirm=confirm)
            except CoordinatorUnavailable:
                pass  # the repository's can run it as well, and says why if it cannot be had
        return self._line.deliver(submit, confirm=confirm)

    def _own_leaders(self) -> OwnLeaders | None:
        """Return who asks the leaders of single invocations, None where there are none."""
        if all(owner.kind != OWN_LEADER for owner in self._store.owners()):
            return None
        from .own_leaders import OwnLeaders  # hardly ever needed

        return OwnLeaders(self._store, processes=self._processes, clock=self._clock)

    def _retry_here(
        self,
        request: RetryRequest,
        environment: Mapping[str, str] | None,
        values: Mapping[str, Mapping[str, str]] | None,
    ) -> Submission:
        from . import intake, retrying  # hardly ever needed

        inherited = dict(os.environ) if environment is None else environment
        try:
            retrial = retrying.prepare(self._store, request, environment=inherited, values=values)
            if not retrial.plan.specs:
                return Submission(invocation_id=request.invocation_id, jobs=())
            invocation = retrying.detached(retrial)
        except StoreUnavailable:
            raise
        except CoordinatorError as error:
            raise RequestRefused(intake.why_not_retried(error), str(error)) from error
        return self.submit(invocation, environment=inherited)

    def _cancel_without_leader(
        self, request: CancelMatching | CancelAll, wait_s: float
    ) -> Cancelled | None:
        from . import standin, stops  # hardly ever needed

        done = standin.cancel(
            self._station,
            self._store,
            request,
            processes=self._processes,
            clock=self._clock,
        )
        if done is None:
            return None
        others = stops.not_stopped(self._store, request, done)
        left = tuple(one.job_uid for one in done if one.outcome == "signalled")
        if not left:
            return stops.answer(done, others)
        # Orphans among them need a leader: it answers once they are gone.
        self.hello()
        if not request.wait:
            return stops.answer(done, others)
        grace_s = _longest_grace(job for job in self._store.unfinished() if job.uid in left)
        grace_ms = int(grace_s * 1000) if request.grace_ms is None else request.grace_ms
        self.wait(Wait(job_uids=left, timeout_ms=grace_ms))
        if any(not (job := self._store.job(uid)) or not job.status.is_final for uid in left):
            again = CancelMatching(job_uids=left, kill=True, wait=True)
            self._line.ask(again, answer_s=wait_s)
        return stops.answer(stops.settled(self._store, done), others)

    def _stop_all_of(
        self, worktree: str, kill_after_s: float, *, force: bool
    ) -> tuple[CancelResult, ...]:
        if not any(job.worktree == worktree for job in self._store.unfinished()):
            return ()  # nobody can add one now, so nobody needs to be asked
        request = CancelMatching(worktree=worktree, wait=True, grace_ms=int(kill_after_s * 1000))
        try:
            results = self.cancel(request, wait_s=kill_after_s + SETTLE_S).results
        except (CoordinatorUnavailable, OSError):
            if not force:
                raise
            # Nobody could stop them, and the caller goes on all the same: it is told so.
            return tuple(
                CancelResult(
                    job_uid=job.uid,
                    name=job.name,
                    outcome="survived",
                    status=job.status.value,
                    invocation_id=job.invocation_id,
                    worktree=worktree,
                )
                for job in self._store.unfinished()
                if job.worktree == worktree
            )
        survived = tuple(one.name for one in results if one.has_survived)
        if survived and not force:
            raise JobsSurvived(worktree, survived)
        return results

    def _register(self) -> Owner:
        if self._owner is None:
            processes = self._processes or defaults.posix_processes()
            identity = processes.identify(os.getpid())
            if identity is None:
                raise CoordinatorError("this process cannot see itself; is /proc mounted?")
            owner = Owner(
                id=new_invocation_id(), kind="command", process=identity, version=self._version
            )
            self._store.register(owner)
            self._owner = owner
        return self._owner

    def _recorded_sockets(self) -> list[str]:
        leaders = [one for one in self._store.owners() if one.kind == LEADER]
        return [one.socket_path for one in leaders if one.socket_path is not None]

    def _now(self) -> datetime:
        clock = self._clock or defaults.system_clock()
        return clock.now()


def _longest_grace(jobs: Iterable[Job]) -> float:
    """Return how many seconds the job has that has longest, once it is told to end."""
    asked = [job.spec.grace_s for job in jobs]
    return max([KILL_AFTER_S, *(one for one in asked if one is not None)])


def _current_umask() -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass  # not Linux: ask the portable way, which changes it for a moment
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
