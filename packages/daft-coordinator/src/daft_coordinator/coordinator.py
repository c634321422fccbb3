"""The coordinator: observes, asks the core, carries out the answer. It runs in any process.

One thread around one reactor. Each turn: the core decides what has become ready by what ended,
processes are made behind their gates, ends and starts are committed, and only then do the gates
open.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from selectors import BaseSelector
from types import TracebackType
from typing import TYPE_CHECKING, Self

from daft_protocol.jobs import InvocationSpec, Job
from daft_protocol.names import new_invocation_id
from daft_protocol.records import LogRecord, decode_record
from daft_protocol.status import HAS_PROCESS, JobStatus

from . import changes, defaults, submission
from .cancellation import Cancellation
from .domain.cancel import Manner, Selection
from .domain.lifecycle import Ending, StopCause
from .domain.schedule import Decision, SkipDecision, schedule
from .domain.stopping import StopPolicy
from .errors import CoordinatorError, StoreUnavailable
from .interrupts import Interrupts
from .joblog import leave_note
from .logreader import LogCursor
from .nesting import Loans, check_depth
from .observers import Plugins
from .ports import LEADING, Clock, JobChange, JobStore, Owner, ProcessControl
from .reactor import Reactor
from .roster import Roster
from .runner import JobRun
from .starting import Batch, Starting, Surroundings

if TYPE_CHECKING:
    from daft_protocol.messages import CancelResult

    from .domain.retry import RetryRequest

STARTS_WITH_ENDS = 8
"""Most processes made before the ends that made room for them are committed."""


class Coordinator:
    """Runs graphs of jobs durably. Embed it anywhere: it never blocks and starts no thread.

    store: where jobs are kept; None asks the plugins, then keeps them in memory.
    kind: what this process is in the record: "embedded", "command" or "leader".
    workers: most jobs at one time; None: `min(8, processors)` but at least 2; 0: no limit.
    plugins: objects with `hookimpl` methods, see `hookspecs`.
    selector: what its loop waits with, closed with it; None: the best the system has.
    report: told one line of trouble that concerns nobody's job; standard error by default.
    """

    def __init__(
        self,
        store: JobStore | None = None,
        *,
        kind: str = "embedded",
        workers: int | None = None,
        stop: StopPolicy | None = None,
        plugins: Iterable[object] = (),
        processes: ProcessControl | None = None,
        clock: Clock | None = None,
        selector: BaseSelector | None = None,
        repository: str = "",
        socket_path: str | None = None,
        version: str = "",
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._report = report or _to_stderr
        self._plugins = Plugins(plugins, self._report)
        self.clock: Clock = clock or self._plugins.first("daft_clock") or defaults.system_clock()
        self.processes: ProcessControl = (
            processes or self._plugins.first("daft_process_control") or defaults.posix_processes()
        )
        self.store: JobStore = (
            store
            or self._plugins.first("daft_open_job_store", repository=repository)
            or defaults.memory_store()
        )
        self.reactor = Reactor(self.clock, selector)
        self.policy = stop or StopPolicy()
        self.workers = defaults.workers() if workers is None else workers
        identity = self.processes.identify(os.getpid())
        if identity is None:
            raise CoordinatorError("this process cannot see itself; is /proc mounted?")
        self.owner = Owner(
            id=new_invocation_id(),
            kind=kind,
            process=identity,
            socket_path=socket_path,
            version=version,
        )
        self.store.register(self.owner)
        self.wants_records = self._plugins.listens("daft_log_records")
        self._roster = Roster(
            self.store,
            owner=self.owner.id,
            clock=self.clock,
            reactor=self.reactor,
            report=self._report,
            told=self._told,
            retry=self._plan_soon,
            is_running=lambda: bool(self._runs),
        )
        self._runs: dict[str, JobRun] = {}
        self._starting = Starting(
            self.store,
            self._roster,
            self._runs,
            owner=self.owner.id,
            clock=self.clock,
            processes=self.processes,
            reactor=self.reactor,
            policy=self.policy,
            outlet=self,
            note=self._write_note,
            again=self._plan_soon,
            report=self._report,
        )
        self._cancellation = Cancellation(
            self.store,
            self._roster,
            self._runs,
            clock=self.clock,
            processes=self.processes,
            reactor=self.reactor,
            grace_of=self.policy.grace_of,
            note=self._write_note,
        )
        self.loans = Loans(self._plan_soon)
        self._ended: list[tuple[JobRun, Ending]] = []
        self._planned = False
        self._listeners: list[Callable[[], None]] = []
        self._log_listeners: list[Callable[[str], None]] = []
        self._closed = False

    # --- verbs --------------------------------------------------------------------------------

    def submit(
        self,
        invocation: InvocationSpec,
        *,
        environment: Mapping[str, str] | None = None,
        umask: int | None = None,
    ) -> tuple[Job, ...]:
        """Record an invocation and run its jobs here, as `turn` is called.

        environment, umask: what its jobs inherit; None: this process's.
        Returns: its new jobs. Raises as `submission.record`; then nothing was recorded.
        """
        environment = dict(os.environ) if environment is None else environment
        check_depth(environment)
        jobs = submission.record(
            self.store,
            invocation,
            owner=self.owner.id,
            clock=self.clock,
            processes=self.processes,
        )
        self._tell_of(invocation.invocation_id)
        self._adopt(
            invocation.invocation_id,
            jobs,
            environment=environment,
            umask=umask,
            secrets=submission.secrets_of(jobs),
        )
        for job in jobs:
            if job.status is JobStatus.SKIPPED:
                self._write_skip_note(job)
            self._plugins.tell("daft_job_changed", job=job)
        return jobs

    def take_over(
        self,
        invocation_id: str,
        *,
        environment: Mapping[str, str] | None = None,
        umask: int | None = None,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
    ) -> tuple[Job, ...]:
        """Claim the queued background jobs of a recorded invocation and run them here.

        Returns: the jobs that are ours now.
        """
        dead = [
            other.id
            for other in self.store.owners()
            if other.kind in LEADING and other.id != self.owner.id
            if self.processes.is_alive(other.process) is False
        ]
        jobs = self.store.claim(invocation_id, self.owner.id, dead=dead)
        mine = tuple(
            job for job in jobs if job.owner == self.owner.id and job.status is JobStatus.QUEUED
        )
        self._adopt(
            invocation_id,
            jobs,
            environment=dict(os.environ) if environment is None else environment,
            umask=umask,
            secrets=secrets or {},
        )
        return mine

    def cancel(
        self, selection: Selection, *, kill: bool = False, manner: Manner | None = None
    ) -> tuple[CancelResult, ...]:
        """Stop the unfinished jobs that `selection` means, whoever runs them.

        A queued job is cancelled at once; a running one gets TERM, then KILL after the grace;
        asking again, or `kill`, kills at once. manner: in another way than that.
        Returns what was done, before it has ended.
        """
        results = self._cancellation.carry_out(selection, manner or Manner(kill=kill))
        self._plan_soon()
        return results

    def see_cancel_through(self, job: Job) -> None:
        """Make sure that a cancelled job of another process ends: who cancelled it may be gone."""
        self._cancellation.see_through(job)

    def retry(
        self,
        request: RetryRequest,
        *,
        environment: Mapping[str, str] | None = None,
        values: Mapping[str, Mapping[str, str]] | None = None,
    ) -> tuple[Job, ...]:
        """Run jobs of a recorded invocation again, here, as a new invocation.

        environment, values: as `retrying.prepare`.
        Returns: the new jobs; () when there was nothing to retry. Raises as `retrying.prepare`.
        """
        from . import retrying  # most jobs are never retried

        inherited = dict(os.environ) if environment is None else environment
        retrial = retrying.prepare(self.store, request, environment=inherited, values=values)
        for job in retrial.plan.overlapping:
            self._report(f"{job.name} runs for '{job.worktree}' already, and is retried beside it")
        if not retrial.plan.specs:
            return ()
        return self.submit(retrial.invocation, environment=inherited)

    def jobs(self, invocation_id: str) -> tuple[Job, ...]:
        """Return the recorded jobs of an invocation, in the order they were declared."""
        return self.store.jobs_of(invocation_id)

    def wait(
        self,
        invocation_id: str,
        *,
        timeout_s: float | None = None,
        on_interrupt: bool = False,
    ) -> tuple[Job, ...]:
        """Drive the loop until our jobs of an invocation are final, or time is up.

        on_interrupt: take Ctrl+C (and SIGTERM, SIGHUP) as a cancel of these jobs, and a second
        one as a kill. A job that has the terminal gets Ctrl+C itself: only the second ends it.
        Returns: all jobs of the invocation, as recorded.
        """
        deadline = None if timeout_s is None else self.clock.monotonic() + timeout_s
        interrupts = itertools.count(1)
        held = self._roster.held(invocation_id)

        def interrupted() -> None:
            self._interrupted(invocation_id, kill=next(interrupts) > 1)

        with Interrupts(self.reactor, interrupted) if on_interrupt else nullcontext():
            while self._ended or self._roster.has_unfinished(invocation_id):
                left = None if deadline is None else deadline - self.clock.monotonic()
                if left is not None and left <= 0:
                    break
                self.reactor.wait(left)
        if self._roster.has_given_up:
            return tuple(self._roster.held(invocation_id))  # more than the store knows
        try:
            return self.store.jobs_of(invocation_id)
        except StoreUnavailable as error:
            self._report(str(error))
            return tuple(held)

    def _interrupted(self, invocation_id: str, *, kill: bool) -> None:
        try:
            uids = [
                job.uid
                for job in self.store.jobs_of(invocation_id)
                if not job.status.is_final
                and (kill or job.status not in HAS_PROCESS or not job.spec.interactive)
            ]
            self.cancel(Selection(job_uids=uids), kill=kill)
        except StoreUnavailable as error:
            # The user wants an end, recorded or not; the record follows when the store is back.
            self._report(str(error))
            for run in self._runs.values():
                if run.job.invocation_id == invocation_id:
                    run.stop(StopCause.CANCEL)  # asking again kills

    def tail(
        self, job_uid: str, *, since_seq: int = 0, follow: bool = False
    ) -> Iterator[LogRecord]:
        """Yield the records of a job's log; with `follow`, until one of our jobs has ended."""
        job = self.store.job(job_uid)
        directory = self.store.log_directory(job) if job is not None else None
        if job is None or directory is None:
            return
        cursor = LogCursor(directory, since_seq=since_seq)
        try:
            while True:
                records = cursor.read()
                yield from records
                if records:
                    continue
                run = self._runs.get(job_uid)
                if not follow or (run is None and not self._roster.is_waiting(job_uid)):
                    break
                self.reactor.wait()
            yield from cursor.read()
        finally:
            cursor.close()

    def shutdown(self) -> None:
        """Stop everything that runs here, and start nothing more; keep turning until idle."""
        try:
            self.cancel(Selection(job_uids=self._roster.uids))
        except StoreUnavailable as error:
            # Their ends are kept until the store takes them; what is queued stays so.
            self._report(str(error))
            for run in self._runs.values():
                run.stop(StopCause.SHUTDOWN)

    # --- embedding ----------------------------------------------------------------------------

    @property
    def has_given_up(self) -> bool:
        """True when the store took nothing for long, even after the last job had ended."""
        return self._roster.has_given_up

    @property
    def is_idle(self) -> bool:
        """True when no job of ours is unfinished and every end is recorded."""
        return not (self._runs or self._ended) and self._roster.is_settled

    @property
    def sees_a_cancel_through(self) -> bool:
        """True while a job that another process runs may still have to be killed by us."""
        return self._cancellation.is_under_way

    def fileno(self) -> int:
        """Return a descriptor that is readable when `turn` has something to do."""
        return self.reactor.fileno()

    def deadline(self) -> float | None:
        """Return when `turn` must be called at the latest (monotonic seconds), or None."""
        return self.reactor.deadline()

    def turn(self) -> bool:
        """Do what is ready, never block. True when something was done."""
        return self.reactor.turn()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every turn in which a job changed."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Kill what still runs here, record it, and let go of everything."""
        if self._closed:
            return
        if self._runs:
            for run in list(self._runs.values()):
                run.stop(StopCause.SHUTDOWN, Manner(kill=True))
            limit = self.clock.monotonic() + self.policy.drain_s + 2 * self.policy.give_up_s
            while self._runs and self.clock.monotonic() < limit:
                self.reactor.wait(limit - self.clock.monotonic())
        self._closed = True
        try:
            self.store.retire(self.owner.id)
        except StoreUnavailable as error:
            # Its death is as good a sign: the process will be gone in a moment.
            self._report(str(error))
        self.reactor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the loop's own steps -----------------------------------------------------------------

    def job_logged(self, job: Job, records: Sequence[LogRecord]) -> None:
        """Pass records on to whoever watches (called by a run)."""
        self._plugins.tell("daft_log_records", job=job, records=records)

    @property
    def wants_progress(self) -> bool:
        """True when somebody watches unfinished lines."""
        return self._plugins.listens("daft_job_progress")

    def job_progressed(self, job: Job, text: str) -> None:
        """Pass an unfinished line on to whoever watches (called by a run)."""
        self._plugins.tell("daft_job_progress", job=job, text=text)

    def job_troubled(self, job: Job, error: Exception) -> None:
        """Tell what failed over a job, with its trace (called by a run)."""
        import traceback  # hardly ever needed

        trace = "".join(traceback.format_exception(error))
        self._report(f"trouble with job {job.name}, which is stopped for it: {trace}")

    def job_wrote(self, job: Job) -> None:
        """Wake whoever follows the log of `job` (called by a run)."""
        for listener in self._log_listeners:
            listener(job.uid)

    def on_log(self, listener: Callable[[str], None]) -> None:
        """Call `listener(job_uid)` whenever something was written to a job's log."""
        self._log_listeners.append(listener)

    def job_ended(self, run: JobRun, ending: Ending) -> None:
        """Take note of an end (called by a run); it is committed with the next step."""
        self._ended.append((run, ending))
        self._plan_soon()

    def _plan_soon(self) -> None:
        if not self._planned:
            self._planned = True
            self.reactor.call_soon(self._step)

    def _step(self) -> None:
        """Commit what ended, decide, commit what starts, open the gates."""
        self._planned = False
        ends = self._take_ends()
        if not (ends and self._roster.is_whole and self._end_and_start(ends)):
            self._roster.save(ends)
            if not self._roster.is_saved:
                return  # nothing new is started on a record that does not tell the truth
            decision = self._decide()
            if decision.skip:
                self._skip(decision.skip)
            if decision.start:
                self._starting.carry_out(decision.start)
        self._forget_finished()
        for listener in self._listeners:
            listener()

    def _decide(self) -> Decision:
        workers = self.workers and self.workers + self.loans.among(self._runs)
        return schedule(self._roster.snapshot(workers))

    def _end_and_start(self, ends: Sequence[JobChange]) -> bool:
        """Commit ends and the starts they make possible in one transaction; False: neither.

        A commit is most of what a small job costs the store. Whatever is not plain takes the
        longer way: skips, many starts (the ends would wait for all their processes), and a row
        that somebody else has changed meanwhile, which may change the decision.
        """
        batch = Batch()
        with self._roster.assumed(ends) as assumption:
            decision = self._decide()
            if not decision.skip and 0 < len(decision.start) <= STARTS_WITH_ENDS:
                batch = self._starting.prepare(decision.start)
            if batch.runs and self._starting.commit_with(ends, batch):
                assumption.has_come_true = True
        if assumption.has_come_true:
            self._starting.open_gates(batch)
        self._starting.settle(batch)
        return assumption.has_come_true

    def _adopt(
        self,
        invocation_id: str,
        jobs: Sequence[Job],
        *,
        environment: Mapping[str, str],
        umask: int | None,
        secrets: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._roster.adopt(invocation_id, jobs)
        surroundings = Surroundings(environment=environment, umask=umask, secrets=secrets)
        self._starting.surround(invocation_id, surroundings)
        self._plan_soon()

    def _skip(self, skips: Sequence[SkipDecision]) -> None:
        now = self.clock.now()
        mine = [skip for skip in skips if self._roster.job(skip.uid).owner == self.owner.id]
        self._roster.save([changes.skipped(skip.uid, skip.detail, now) for skip in mine])
        for skip in mine:
            self._write_note(self._roster.job(skip.uid), skip.detail)

    def _take_ends(self) -> list[JobChange]:
        over, self._ended = self._ended, []
        for run, _ in over:
            self._runs.pop(run.job.uid, None)
        now = self.clock.now()
        return [changes.ended(run, ending, now) for run, ending in over]

    def save(self, change: JobChange) -> None:
        """Commit a change that must not be lost (called by recovery)."""
        self._roster.save([change])
        self._plan_soon()

    def _told(self, job: Job) -> None:
        """A job's row has changed: the run and whoever watches follow."""
        run = self._runs.get(job.uid)
        if run is not None:
            run.job = job
        self._plugins.tell("daft_job_changed", job=job)

    def _forget_finished(self) -> None:
        for invocation_id in self._roster.forget_finished(self._runs):
            self._starting.forget(invocation_id)
            self._tell_of(invocation_id)

    def _tell_of(self, invocation_id: str) -> None:
        """Tell whoever listens that an invocation has changed; its row is read only for them."""
        if not self._plugins.listens("daft_invocation_changed"):
            return
        try:
            recorded = self.store.invocation(invocation_id)
        except StoreUnavailable as error:
            self._report(str(error))
            return
        if recorded is not None:
            self._plugins.tell("daft_invocation_changed", invocation=recorded)

    def _write_note(self, job: Job, text: str) -> None:
        """Leave the reason in the log of a job that never started."""
        line = leave_note(self._roster.log_directory(job), text, ts=self._now_ms())
        if self.wants_records:
            self.job_logged(job, [decode_record(line)])

    def _write_skip_note(self, job: Job) -> None:
        self._write_note(job, job.end_detail or "skipped")

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)


def _to_stderr(line: str) -> None:
    print(f"daft: {line}", file=sys.stderr)
