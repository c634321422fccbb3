"""From a decision to running jobs: processes behind gates, one commit, and the gates open."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence

from attrs import field, frozen

from daft_protocol.jobs import Job

from . import changes, runner, seals
from .domain.lifecycle import could_not_start
from .domain.stopping import StopPolicy
from .environment import inheritable, job_environment
from .errors import SpawnFailed, StoreUnavailable
from .joblog import JobLog
from .logfiles import FILE_NAME
from .outlet import Outlet
from .ports import Clock, JobChange, JobStore, ProcessControl, changed
from .reactor import Reactor
from .roster import Roster
from .runner import JobRun
from .shortage import Shortage


@frozen(kw_only=True)
class Surroundings:
    """What the jobs of an invocation inherit; kept in memory only.

    environment: the submitter's, as `inheritable` leaves it.
    secrets: job name -> variables that were never stored.
    """

    environment: Mapping[str, str] = field(converter=inheritable)
    umask: int | None
    secrets: Mapping[str, Mapping[str, str]]


@frozen
class Batch:
    """Jobs on their way: processes behind gates, and what could not be started."""

    runs: list[JobRun] = field(factory=list)
    starts: list[JobChange] = field(factory=list)
    failed: list[tuple[Job, SpawnFailed]] = field(factory=list)

    def abandon(self) -> None:
        """Close the gates: nothing of these jobs runs, and they may be started another time."""
        for run in self.runs:
            run.abandon()


class Starting:
    """Starts the jobs of one coordinator.

    runs: uid -> run, added to. outlet: told of everything a run does. note: leaves a reason in
    the log of a job that never started. again: called when there may be something to start.
    """

    def __init__(
        self,
        store: JobStore,
        roster: Roster,
        runs: dict[str, JobRun],
        *,
        owner: str,
        clock: Clock,
        processes: ProcessControl,
        reactor: Reactor,
        policy: StopPolicy,
        outlet: Outlet,
        note: Callable[[Job, str], None],
        again: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:
        self._store = store
        self._roster = roster
        self._runs = runs
        self._owner = owner
        self._clock = clock
        self._processes = processes
        self._reactor = reactor
        self._policy = policy
        self._outlet = outlet
        self._note = note
        self._again = again
        self._report = report
        self._shortage = Shortage(reactor, again=again)
        self._surroundings: dict[str, Surroundings] = {}

    def surround(self, invocation_id: str, surroundings: Surroundings) -> None:
        """Say what the jobs of an invocation inherit, before any of them is started."""
        self._surroundings[invocation_id] = surroundings

    def forget(self, invocation_id: str) -> None:
        """Forget an invocation with its secrets: nothing of it is left to start."""
        del self._surroundings[invocation_id]

    def carry_out(self, uids: Sequence[str]) -> None:
        """Start these jobs if they are ours and still queued. Trouble with one stops no other."""
        batch = self.prepare(uids)
        if batch.runs:
            self._commit(batch)
        self.settle(batch)

    def prepare(self, uids: Sequence[str]) -> Batch:
        """Make processes for these jobs behind their gates, if they are ours.

        `commit_with` and `open_gates`, and in any case `settle`, must follow.
        """
        batch = Batch()
        now = self._clock.now()
        for uid in uids:
            job = self._roster.job(uid)
            if job.owner != self._owner or self._shortage.holds_back(uid):
                continue
            try:
                run = self._spawn_where_it_is(job)
            except SpawnFailed as error:
                if not self._shortage.may_pass(uid, error):
                    batch.failed.append((job, error))
                continue
            self._shortage.passed(uid)
            batch.runs.append(run)
            batch.starts.append(changes.started(uid, run.identity, now, owner=self._owner))
        return batch

    def commit_with(self, ends: Sequence[JobChange], batch: Batch) -> bool:
        """Commit the starts of a batch together with `ends`; False: neither, and none will run."""
        try:
            done = self._store.apply_together([*ends, *batch.starts])
        except StoreUnavailable:
            done = False  # whoever saves the ends alone now is told the reason
        if not done:
            batch.abandon()
        return done

    def settle(self, batch: Batch) -> None:
        """Record which jobs of a batch could not be started."""
        for job, error in batch.failed:
            self._failed_to_start(job, error)

    def _commit(self, batch: Batch) -> None:
        try:
            accepted = self._store.apply(batch.starts)
        except StoreUnavailable as error:
            self._report(str(error))
            batch.abandon()
            self._roster.retry_later()
            return
        self.open_gates(batch, accepted)

    def open_gates(self, batch: Batch, accepted: Sequence[bool] | None = None) -> None:
        """Let the jobs of a batch run whose starts are committed: `accepted` says which, or all."""
        accepted = [True] * len(batch.runs) if accepted is None else accepted
        for run, change, done in zip(batch.runs, batch.starts, accepted, strict=True):
            if not done:
                # Cancelled, or taken, between the look and now: nothing of it has run.
                run.abandon()
                self._roster.reconsider(run.job.uid)
                self._again()
                continue
            run.job = changed(run.job, change)
            self._runs[run.job.uid] = run
            # It had its turn: the others come first next time.
            self._roster.had_its_turn(run.job.invocation_id)
            self._roster.follow(run.job)
            # As late as can be: what was looked at earlier may be another file by now.
            refused = seals.why_changed(run.job.spec.seals)
            if refused is not None:
                self._refuse(run, refused)
                continue
            run.open_gate()

    def _spawn_where_it_is(self, job: Job) -> JobRun:
        """Make the process of a job, also when its worktree was moved since it was taken."""
        try:
            return self._spawn(job)
        except SpawnFailed as error:
            moved = self._roster.moved(job)
            if moved is None:
                raise
            try:
                return self._spawn(moved)
            except SpawnFailed as second:
                raise second from error

    def _spawn(self, job: Job) -> JobRun:
        around = self._surroundings[job.invocation_id]
        directory = self._log_directory(job)
        log = JobLog(
            directory,
            limit_bytes=job.spec.log.limit_bytes,
            keep_every_nth=job.spec.log.keep_every_nth,
        )
        secrets = around.secrets.get(job.name, {})
        try:
            return runner.start(
                job,
                environment=job_environment(
                    around.environment,
                    job,
                    secrets=secrets,
                    log_path=None if directory is None else os.path.join(directory, FILE_NAME),
                ),
                umask=around.umask,
                log=log,
                reactor=self._reactor,
                processes=self._processes,
                clock=self._clock,
                policy=self._policy,
                outlet=self._outlet,
            )
        except SpawnFailed:
            log.remove()  # it may be tried again; a log tells of one start
            raise

    def _log_directory(self, job: Job) -> str | None:
        """Return where the job's log goes; None on a full disk, where it runs without one.

        Raises: SpawnFailed when something is in the way: what nobody could see did not run.
        """
        try:
            return self._store.log_directory(job)
        except (StoreUnavailable, OSError) as error:
            if not _tells_of_a_full_disk(error):
                raise SpawnFailed(f"there is no place for its log: {error}") from error
            self._report(f"{job.name}: no log: {error}")
            return None

    def _refuse(self, run: JobRun, reason: str) -> None:
        """Let a job end at its gate, although its row says that it runs."""
        del self._runs[run.job.uid]
        run.abandon()
        self._failed_to_start(run.job, SpawnFailed(reason, 126))

    def _failed_to_start(self, job: Job, error: SpawnFailed) -> None:
        self._note(job, error.reason)
        ending = could_not_start(error.reason, error.code)
        self._roster.save([changes.not_started(job, ending, self._clock.now())])
        self._again()


def _tells_of_a_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False
