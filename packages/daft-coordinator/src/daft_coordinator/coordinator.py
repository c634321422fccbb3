"""The coordinator: observes, asks the core, carries out the answer. It runs in any process.

One thread around one reactor. Each turn: what ended is committed, the core decides what that
makes ready, processes are made behind their gates, their rows are committed together, and only
then do the gates open.
"""

from __future__ import annotations

import os
import signal as signals
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from attrs import evolve, frozen

from daft_protocol.jobs import Invocation, InvocationSpec, Job
from daft_protocol.messages import CancelResult
from daft_protocol.names import new_invocation_id
from daft_protocol.records import LogRecord
from daft_protocol.status import HAS_PROCESS, UNFINISHED, EndReason, JobStatus

from . import runner, submission
from .domain import cancel as cancelling
from .domain import graph
from .domain.cancel import CancelAction, Selection
from .domain.lifecycle import Ending, StopCause, could_not_start
from .domain.schedule import InvocationFacts, JobFacts, SkipDecision, Snapshot, schedule
from .environment import job_environment
from .errors import CoordinatorError, SpawnFailed, StoreUnavailable
from .joblog import FILE_NAME, JobLog, LogCursor
from .observers import Plugins
from .ports import Clock, JobChange, JobStore, Owner, ProcessControl, changed
from .reactor import Reactor, Timer
from .results import remove_result, write_result
from .runner import JobRun, StopPolicy

_STORE_RETRY_S = 0.1
_STORE_RETRY_PAUSE_LIMIT_S = 2.0
_STORE_RETRY_LIMIT_S = 30.0


@frozen(kw_only=True)
class _Invocation:
    """An invocation with work for us: its jobs by uid, in declaration order."""

    invocation_id: str
    environment: Mapping[str, str]
    umask: int | None
    secrets: Mapping[str, Mapping[str, str]]


class Coordinator:
    """Runs graphs of jobs durably. Embed it anywhere: it never blocks and starts no thread.

    store: where jobs are kept; None asks the plugins, then keeps them in memory.
    kind: what this process is in the record: "embedded", "command" or "leader".
    workers: most jobs at one time; None: `min(8, processors)` but at least 2; 0: no limit.
    plugins: objects with `hookimpl` methods, see `hookspecs`.
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
        repository: str = "",
        socket_path: str | None = None,
        version: str = "",
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._report = report or _to_stderr
        self._plugins = Plugins(plugins, self._report)
        self.clock: Clock = clock or self._plugins.first("daft_clock") or _system_clock()
        self.processes: ProcessControl = (
            processes or self._plugins.first("daft_process_control") or _posix_processes()
        )
        self.store: JobStore = (
            store
            or self._plugins.first("daft_open_job_store", repository=repository)
            or _memory_store()
        )
        self.reactor = Reactor(self.clock)
        self.policy = stop or StopPolicy()
        self.workers = default_workers() if workers is None else workers
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
        self._jobs: dict[str, dict[str, Job]] = {}  # invocation -> uid -> job
        self._invocations: dict[str, _Invocation] = {}  # the one that started longest ago first
        self._urgency: dict[str, float] = {}
        self._facts: dict[str, JobFacts] = {}  # what the core sees, made anew on a change only
        self._runs: dict[str, JobRun] = {}
        self._ended: list[tuple[JobRun, Ending]] = []
        self._unsaved: list[JobChange] = []
        self._retry: Timer | None = None
        self._retry_until = 0.0
        self._retry_pause_s = _STORE_RETRY_S
        self.has_given_up = False
        self._planned = False
        self._listeners: list[Callable[[], None]] = []
        self._log_listeners: list[Callable[[str], None]] = []
        self._closed = False

    # --- verbs --------------------------------------------------------------------------------

    def submit(
        self, invocation: InvocationSpec, *, environment: Mapping[str, str] | None = None
    ) -> tuple[Job, ...]:
        """Record an invocation and run its jobs here, as `turn` is called.

        environment: what its jobs inherit; None: this process's.
        Returns: its new jobs. Raises as `submission.record`; then nothing was recorded.
        """
        jobs = submission.record(self.store, invocation, owner=self.owner.id, now=self.clock.now())
        recorded = self.store.invocation(invocation.invocation_id)
        if recorded is not None:
            self._plugins.tell("daft_invocation_changed", invocation=recorded)
        self._adopt(
            invocation.invocation_id,
            jobs,
            environment=dict(os.environ) if environment is None else environment,
            umask=None,
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
        jobs = self.store.claim(invocation_id, self.owner.id)
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

    def cancel(self, selection: Selection, *, kill: bool = False) -> tuple[CancelResult, ...]:
        """Stop the unfinished jobs that `selection` means, whoever runs them.

        A queued job is cancelled at once; a running one gets TERM, then KILL after the grace;
        asking again, or `kill`, kills at once. Returns what was done, before it has ended.
        """
        now = self.clock.now()
        chosen = cancelling.select(self.store.unfinished(), selection, now=now)
        actions = [(job, cancelling.action_for(job.status, kill=kill)) for job in chosen]
        changes = [self._cancel_change(job, action) for job, action in actions]
        accepted = self.store.apply(changes)
        results: list[CancelResult] = []
        for (job, action), change, done in zip(actions, changes, accepted, strict=True):
            if not done and action is not CancelAction.KILL:
                # It changed between the look and now; what it is now decides.
                job = self.store.job(job.uid) or job
                if job.status.is_final:
                    results.append(_result(job, CancelAction.NOTHING.value))
                    continue
                action = cancelling.action_for(job.status, kill=kill)
                self.store.apply([self._cancel_change(job, action)])
            current = evolve(job, status=change.to if done else JobStatus.CANCELLING)
            if action is CancelAction.DEQUEUE:
                current = self.store.job(job.uid) or current
                self._changed(current)
                self._write_note(current, "cancelled before it started")
            else:
                self._changed(current)
                self._stop_run(current, kill=action is CancelAction.KILL)
            outcome = "dequeued" if action is CancelAction.DEQUEUE else "signalled"
            results.append(_result(current, outcome))
        self._plan_soon()
        return tuple(results)

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

        on_interrupt: take Ctrl+C as a cancel of these jobs, and a second one as a kill, instead
        of raising KeyboardInterrupt.
        Returns: all jobs of the invocation, as recorded.
        """
        deadline = None if timeout_s is None else self.clock.monotonic() + timeout_s
        interrupts = 0
        while self._has_unfinished(invocation_id):
            left = None if deadline is None else deadline - self.clock.monotonic()
            if left is not None and left <= 0:
                break
            try:
                self.reactor.wait(left)
            except KeyboardInterrupt:
                if not on_interrupt:
                    raise
                interrupts += 1
                self.cancel(Selection(invocation=invocation_id), kill=interrupts > 1)
        return self.store.jobs_of(invocation_id)

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
                if not follow or (run is None and not self._is_queued_here(job_uid)):
                    break
                self.reactor.wait()
            yield from cursor.read()
        finally:
            cursor.close()

    def shutdown(self) -> None:
        """Stop everything that runs here, and start nothing more; keep turning until idle."""
        uids = [uid for jobs in self._jobs.values() for uid in jobs]
        self.cancel(Selection(job_uids=frozenset(uids)))

    # --- embedding ----------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """True when no job of ours is unfinished and every end is recorded."""
        return not (self._jobs or self._runs or self._unsaved or self._ended)

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
                run.stop(StopCause.SHUTDOWN, kill=True)
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
        self._commit_ends()
        if self._unsaved:
            return  # nothing new is started on a record that does not tell the truth
        decision = schedule(self._snapshot())
        if decision.skip:
            self._skip(decision.skip)
        if decision.start:
            self._start(decision.start)
        self._forget_finished()
        for listener in self._listeners:
            listener()

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            invocations=[
                InvocationFacts(
                    invocation_id=invocation_id,
                    mode=_first(jobs).mode,
                    max_parallel=_first(jobs).max_parallel,
                    jobs=[self._facts[uid] for uid in jobs],
                )
                for invocation_id in self._invocations
                if (jobs := self._jobs.get(invocation_id))
            ],
            workers=self.workers,
        )

    def _adopt(
        self,
        invocation_id: str,
        jobs: Sequence[Job],
        *,
        environment: Mapping[str, str],
        umask: int | None,
        secrets: Mapping[str, Mapping[str, str]],
    ) -> None:
        known = self._jobs.setdefault(invocation_id, {})
        if not known:
            # Jobs of an earlier submit of the same invocation may be needed.
            known.update((job.uid, job) for job in self.store.jobs_of(invocation_id))
        known.update((job.uid, job) for job in jobs)
        self._invocations[invocation_id] = _Invocation(
            invocation_id=invocation_id, environment=environment, umask=umask, secrets=secrets
        )
        durations = self.store.durations()
        here = list(known.values())
        names = [job.name for job in here]
        seconds = {
            job.name: durations[job.hook_type, job.name]
            for job in here
            if (job.hook_type, job.name) in durations
        }
        longest = graph.remaining_path(names, {job.name: job.needs for job in here}, seconds)
        self._urgency.update((job.uid, longest[job.name]) for job in here)
        self._facts.update((job.uid, self._facts_of(job)) for job in here)
        self._plan_soon()

    def _facts_of(self, job: Job) -> JobFacts:
        return JobFacts(
            uid=job.uid,
            name=job.spec.name,
            status=job.status,
            needs=job.spec.needs,
            priority=job.spec.priority,
            position=job.position,
            urgency=self._urgency.get(job.uid, 0.0),
            exclusive=job.spec.interactive,
        )

    def _start(self, uids: Sequence[str]) -> None:
        runs: list[JobRun] = []
        changes: list[JobChange] = []
        now = self.clock.now()
        for uid in uids:
            job = self._job(uid)
            if job.owner != self.owner.id:
                continue
            try:
                run = self._spawn(job)
            except SpawnFailed as error:
                self._failed_to_start(job, error)
                continue
            runs.append(run)
            changes.append(
                JobChange(
                    job_uid=uid,
                    allowed=(JobStatus.QUEUED,),
                    to=JobStatus.RUNNING,
                    at=now,
                    started_at=now,
                    process=run.identity,
                )
            )
        if not runs:
            return
        try:
            accepted = self.store.apply(changes)
        except StoreUnavailable as error:
            self._report(str(error))
            for run in runs:
                run.abandon()
            self._retry_later()
            return
        for run, done in zip(runs, accepted, strict=True):
            if not done:
                # Cancelled, or taken, between the look and now: nothing of it has run.
                run.abandon()
                self._refresh(run.job.uid)
                continue
            run.job = evolve(
                run.job,
                status=JobStatus.RUNNING,
                started_at=now,
                updated_at=now,
                process=run.identity,
            )
            self._runs[run.job.uid] = run
            # It had its turn: the others come first next time.
            mine = self._invocations.pop(run.job.invocation_id)
            self._invocations[run.job.invocation_id] = mine
            self._changed(run.job)
            run.open_gate()

    def _spawn(self, job: Job) -> JobRun:
        invocation = self._invocations[job.invocation_id]
        directory = self._log_directory(job)
        log = JobLog(
            directory,
            limit_bytes=job.spec.log.limit_bytes,
            keep_every_nth=job.spec.log.keep_every_nth,
        )
        secrets = invocation.secrets.get(job.name, {})
        try:
            return runner.start(
                job,
                environment=job_environment(
                    invocation.environment,
                    job,
                    secrets=secrets,
                    log_path=None if directory is None else os.path.join(directory, FILE_NAME),
                ),
                umask=invocation.umask,
                log=log,
                reactor=self.reactor,
                processes=self.processes,
                clock=self.clock,
                policy=self.policy,
                outlet=self,
            )
        except SpawnFailed as error:
            log.status("note", self._now_ms(), text=error.reason)
            log.close()
            raise

    def _failed_to_start(self, job: Job, error: SpawnFailed) -> None:
        ending = could_not_start(error.reason, error.code)
        now = self.clock.now()
        self._save(
            [
                JobChange(
                    job_uid=job.uid,
                    allowed=(JobStatus.QUEUED,),
                    to=ending.status,
                    at=now,
                    started_at=now,
                    finished_at=now,
                    duration_ms=0,
                    exit_code=ending.exit_code,
                    end_reason=ending.reason,
                    end_detail=ending.detail,
                )
            ]
        )
        self._plan_soon()

    def _skip(self, skips: Sequence[SkipDecision]) -> None:
        now = self.clock.now()
        mine = [skip for skip in skips if self._job(skip.uid).owner == self.owner.id]
        self._save(
            [
                JobChange(
                    job_uid=skip.uid,
                    allowed=(JobStatus.QUEUED,),
                    to=JobStatus.SKIPPED,
                    at=now,
                    end_reason=EndReason.DEP_FAILED,
                    end_detail=skip.detail,
                )
                for skip in mine
            ]
        )
        for skip in mine:
            self._write_note(self._job(skip.uid), skip.detail)

    def _commit_ends(self) -> None:
        ended, self._ended = self._ended, []
        changes: list[JobChange] = []
        if self.has_given_up:
            for run, _ in ended:
                self._runs.pop(run.job.uid, None)
            return
        for run, ending in ended:
            self._runs.pop(run.job.uid, None)
            now = self.clock.now()
            changes.append(
                JobChange(
                    job_uid=run.job.uid,
                    allowed=_may_end_as(ending.status),
                    to=ending.status,
                    at=now,
                    finished_at=now,
                    duration_ms=run.elapsed_ms,
                    exit_code=ending.exit_code,
                    term_signal=ending.term_signal,
                    end_reason=ending.reason,
                    end_detail=ending.detail,
                    log_bytes=run.log.bytes_written,
                    log_records=run.log.records_written,
                    log_dropped=run.log.dropped,
                )
            )
        if changes or self._unsaved:
            self._save(changes)

    def _save(self, changes: Sequence[JobChange]) -> None:
        """Commit changes that must not be lost; what the store does not take now is kept."""
        pending = [*self._unsaved, *changes]
        if not pending:
            return
        try:
            accepted = self.store.apply(pending)
        except StoreUnavailable as error:
            if not self._unsaved:
                self._report(str(error))
                self._retry_until = self.clock.monotonic() + _STORE_RETRY_LIMIT_S
                self._retry_pause_s = _STORE_RETRY_S
            self._unsaved = pending
            self._leave_results(changes)
            if self.clock.monotonic() >= self._retry_until:
                self._give_up_on_store()
            else:
                self._retry_later()
            return
        self._forget_results(self._unsaved)
        self._unsaved = []
        again: list[JobChange] = []
        for change, done in zip(pending, accepted, strict=True):
            if done and self._apply_here(change):
                continue
            job = self._refresh(change.job_uid)
            if done or job is None or job.status.is_final:
                continue
            # Refused, yet not final: somebody else asked for a stop while it was ending.
            if job.status is JobStatus.CANCELLING and change.to.is_final:
                again.append(
                    evolve(
                        change,
                        allowed=(JobStatus.CANCELLING,),
                        to=JobStatus.CANCELLED,
                        end_reason=EndReason.CANCEL,
                        end_detail="cancelled",
                    )
                )
        if again:
            self._save(again)

    def _apply_here(self, change: JobChange) -> bool:
        """Follow a committed change in memory; False when the job is not known here."""
        job = self._known(change.job_uid)
        if job is not None:
            self._changed(changed(job, change))
        return job is not None

    def save(self, change: JobChange) -> None:
        """Commit a change that must not be lost (called by recovery)."""
        self._save([change])
        self._plan_soon()

    def _leave_results(self, changes: Sequence[JobChange]) -> None:
        """Write ends beside their logs: whatever becomes of us, the next leader finds them."""
        for change in changes:
            job = self._known(change.job_uid)
            if job is None or change.end_reason is None:
                continue
            directory = self._log_directory(job)
            if directory is None:
                continue
            try:
                write_result(directory, change)
            except OSError as error:
                # The log's own last record tells the same; only a full disk loses both.
                self._report(f"{job.name}: its result could not be kept: {error.strerror}")

    def _forget_results(self, changes: Sequence[JobChange]) -> None:
        for change in changes:
            job = self._known(change.job_uid)
            directory = None if job is None else self._log_directory(job)
            if directory is not None:
                remove_result(directory)

    def _give_up_on_store(self) -> None:
        """End what runs and answer for nothing more: a record that lies is worse than none.

        The ends are in result files, from which the next leader repairs the rows.
        """
        self.has_given_up = True
        self._report(f"the store took nothing for {_STORE_RETRY_LIMIT_S:g} s; giving up")
        for run in self._runs.values():
            run.stop(StopCause.SHUTDOWN)
        self._unsaved = []
        self._jobs.clear()
        self._invocations.clear()

    def _known(self, uid: str) -> Job | None:
        for jobs in self._jobs.values():
            if uid in jobs:
                return jobs[uid]
        return None

    def _retry_later(self) -> None:
        if self._retry is None or self._retry.callback is None:
            self._retry = self.reactor.call_after(self._retry_pause_s, self._retry_now)
            self._retry_pause_s = min(2 * self._retry_pause_s, _STORE_RETRY_PAUSE_LIMIT_S)

    def _retry_now(self) -> None:
        self._retry = None
        self._plan_soon()

    def _refresh(self, uid: str) -> Job | None:
        """Take over what the store says of a job now, and tell whoever watches."""
        stored = self.store.job(uid)
        if stored is None:
            return None
        known = self._jobs.get(stored.invocation_id, {}).get(uid)
        # The specification in memory is the complete one; the store's lacks what it left out.
        current = stored if known is None else evolve(stored, spec=known.spec)
        if known is None or known.status is not current.status:
            self._changed(current)
        return current

    def _changed(self, job: Job) -> None:
        known = self._jobs.get(job.invocation_id)
        if known is not None and job.uid in known:
            known[job.uid] = job
            self._facts[job.uid] = self._facts_of(job)
        run = self._runs.get(job.uid)
        if run is not None:
            run.job = job
        self._plugins.tell("daft_job_changed", job=job)

    def _forget_finished(self) -> None:
        for invocation_id, jobs in list(self._jobs.items()):
            ours = [job for job in jobs.values() if job.owner == self.owner.id]
            if any(not job.status.is_final for job in ours) or any(
                uid in self._runs for uid in jobs
            ):
                continue
            del self._jobs[invocation_id]
            del self._invocations[invocation_id]
            for uid in jobs:
                self._urgency.pop(uid, None)
                self._facts.pop(uid, None)
            recorded = self.store.invocation(invocation_id)
            if recorded is not None:
                self._plugins.tell("daft_invocation_changed", invocation=recorded)

    def _cancel_change(self, job: Job, action: CancelAction) -> JobChange:
        now = self.clock.now()
        if action is CancelAction.DEQUEUE:
            return JobChange(
                job_uid=job.uid,
                allowed=(JobStatus.QUEUED,),
                to=JobStatus.CANCELLED,
                at=now,
                finished_at=now,
                end_reason=EndReason.CANCEL,
                end_detail="cancelled before it started",
            )
        return JobChange(
            job_uid=job.uid, allowed=(JobStatus.RUNNING,), to=JobStatus.CANCELLING, at=now
        )

    def _stop_run(self, job: Job, *, kill: bool) -> None:
        run = self._runs.get(job.uid)
        if run is not None:
            run.stop(StopCause.CANCEL, kill=kill)
            return
        # Another process runs it and will record its end; the signal is all it needs from us.
        if job.process is None:
            return
        self.processes.signal_group(job.process, signals.SIGKILL if kill else signals.SIGTERM)
        if not kill:
            self.processes.signal_group(job.process, signals.SIGCONT)

    def _has_unfinished(self, invocation_id: str) -> bool:
        if self._ended or self._unsaved:
            return True
        return any(
            not job.status.is_final and job.owner == self.owner.id
            for job in self._jobs.get(invocation_id, {}).values()
        )

    def _is_queued_here(self, uid: str) -> bool:
        return any(uid in jobs and jobs[uid].status in UNFINISHED for jobs in self._jobs.values())

    def _job(self, uid: str) -> Job:
        job = self._known(uid)
        if job is None:
            raise CoordinatorError(f"job {uid} is not handled here")
        return job

    def _log_directory(self, job: Job) -> str | None:
        try:
            return self.store.log_directory(job)
        except (StoreUnavailable, OSError) as error:
            # The job matters more than its log: it runs, and the row will say what is missing.
            self._report(f"{job.name}: no log: {error}")
            return None

    def _write_note(self, job: Job, text: str) -> None:
        """Leave the reason in the log of a job that never started."""
        log = JobLog(self._log_directory(job), limit_bytes=job.spec.log.limit_bytes)
        record = log.status("note", self._now_ms(), text=text)
        log.close()
        if self.wants_records:
            self.job_logged(job, [record])

    def _write_skip_note(self, job: Job) -> None:
        self._write_note(job, job.end_detail or "skipped")

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)


def default_workers() -> int:
    """Return how many jobs may run at one time unless told otherwise."""
    return max(2, min(8, os.cpu_count() or 1))


def _may_end_as(status: JobStatus) -> tuple[JobStatus, ...]:
    """A stop that was asked for by another process must not be recorded as anything else."""
    if status is JobStatus.CANCELLED:
        return tuple(HAS_PROCESS)
    return (JobStatus.RUNNING,)


def _result(job: Job, outcome: str) -> CancelResult:
    return CancelResult(
        job_uid=job.uid,
        name=job.name,
        outcome=outcome,
        status=job.status.value,
        invocation_id=job.invocation_id,
        worktree=job.worktree,
    )


def _first(jobs: Mapping[str, Job]) -> Job:
    return list(jobs.values())[-1]


def _system_clock() -> Clock:
    from .adapters.clock import SystemClock

    return SystemClock()


def _posix_processes() -> ProcessControl:
    from .adapters.processes import PosixProcessControl

    return PosixProcessControl()


def _memory_store() -> JobStore:
    from .adapters.memory import MemoryJobStore

    return MemoryJobStore()


def _to_stderr(line: str) -> None:
    print(f"daft: {line}", file=sys.stderr)


__all__ = ["Coordinator", "Invocation", "default_workers"]
