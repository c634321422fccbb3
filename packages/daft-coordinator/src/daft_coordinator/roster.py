"""The jobs a coordinator answers for: what it knows of them, and that the store knows it too.

A change reaches the store first and is followed here. One the store does not take is kept, tried
again for 30 s, and left beside the log meanwhile, so that no end is lost whatever happens to us.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from attrs import evolve

from daft_protocol.jobs import Invocation, Job
from daft_protocol.status import EndReason, JobStatus

from .domain.schedule import Snapshot
from .errors import CoordinatorError, RecordConflict, StoreUnavailable
from .held import HeldInvocation
from .ports import Clock, JobChange, JobStore, changed
from .reactor import Reactor, Timer
from .results import remove_result, write_result

RETRY_S = 0.1
RETRY_PAUSE_LIMIT_S = 2.0
RETRY_LIMIT_S = 30.0


class Assumption:
    """What becomes of changes that were assumed. has_come_true: the store has taken them."""

    has_come_true = False


class Roster:
    """The jobs of every invocation that has work for us, and the changes still to be saved.

    told: called with a job whenever its row has changed. retry: called when it is time to save
    again. is_running: whether processes of ours live.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        owner: str,
        clock: Clock,
        reactor: Reactor,
        report: Callable[[str], None],
        told: Callable[[Job], None],
        retry: Callable[[], None],
        is_running: Callable[[], bool],
    ) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock
        self._reactor = reactor
        self._report = report
        self._told = told
        self._retry_callback = retry
        self._is_running = is_running
        # The invocation that started a job longest ago comes first.
        self._held: dict[str, HeldInvocation] = {}
        self._where: dict[str, HeldInvocation] = {}  # by the uid of each of its jobs
        self._invocations: dict[str, Invocation] = {}  # for a store that loses their rows
        self._unsaved: list[JobChange] = []
        self._unrecorded: dict[str, tuple[Job, ...]] = {}
        self._retry: Timer | None = None
        self._retry_until = 0.0
        self._retry_pause_s = RETRY_S
        self.has_given_up = False

    # --- what is known ------------------------------------------------------------------------

    @property
    def uids(self) -> frozenset[str]:
        """Every job here, ended ones of unfinished invocations among them."""
        return frozenset(self._where)

    @property
    def is_saved(self) -> bool:
        """True when the store knows everything that is known here."""
        return not self._unsaved

    @property
    def is_whole(self) -> bool:
        """True when every job we run is known here, and to the store."""
        return not (self._unsaved or self.has_given_up)

    @property
    def is_settled(self) -> bool:
        """True when nothing is left to do here."""
        return not (self._held or self._unsaved)

    def adopt(self, invocation_id: str, jobs: Sequence[Job]) -> None:
        """Answer for `jobs`; they carry what the store left out of their specification."""
        held = self._held.get(invocation_id)
        if held is None:
            held = self._held[invocation_id] = HeldInvocation(invocation_id, owner=self._owner)
            recorded = self._store.invocation(invocation_id)
            if recorded is not None:
                self._invocations[invocation_id] = recorded
        # Jobs of an earlier submit of the same invocation may be needed.
        fresh = {job.uid for job in jobs}
        earlier = min((job.position for job in jobs), default=0) > 0 or not jobs
        if earlier:
            jobs = [
                *(
                    one
                    for one in self._store.jobs_of(invocation_id)
                    if one.uid not in fresh and one.uid not in held
                ),
                *jobs,
            ]
        held.take(jobs, self._store.durations())
        self._where.update((job.uid, held) for job in jobs)

    def snapshot(self, workers: int) -> Snapshot:
        """Return what there is to decide on."""
        return Snapshot(
            invocations=[held.facts() for held in self._held.values() if held.has_work],
            workers=workers,
        )

    def known(self, uid: str) -> Job | None:
        """Return a job, None when it is not handled here."""
        held = self._where.get(uid)
        return None if held is None else held[uid]

    def job(self, uid: str) -> Job:
        """Return a job that is handled here. Raises: CoordinatorError when it is not."""
        job = self.known(uid)
        if job is None:
            raise CoordinatorError(f"job {uid} is not handled here")
        return job

    def held(self, invocation_id: str) -> Iterable[Job]:
        """Return the jobs of an invocation; asked again, it tells of them as they are then.

        Those of an invocation whose ends the store never took are remembered with their ends.
        """
        if invocation_id in self._unrecorded:
            return self._unrecorded[invocation_id]
        return self._held.get(invocation_id, ())

    def _with_unsaved(self, held: HeldInvocation) -> tuple[Job, ...]:
        jobs = {job.uid: job for job in held}
        for change in self._unsaved:
            if change.job_uid in jobs:
                jobs[change.job_uid] = changed(jobs[change.job_uid], change)
        return tuple(jobs.values())

    def is_waiting(self, uid: str) -> bool:
        """True while a job handled here has not ended."""
        job = self.known(uid)
        return job is not None and not job.status.is_final

    def has_unfinished(self, invocation_id: str) -> bool:
        """True while a job of ours in this invocation has not ended, or its end is not saved."""
        held = self._held.get(invocation_id)
        return bool(self._unsaved) or (held is not None and held.has_work)

    def had_its_turn(self, invocation_id: str) -> None:
        """Let the other invocations come first next time."""
        self._held[invocation_id] = self._held.pop(invocation_id)

    def forget_finished(self, running: Collection[str]) -> list[str]:
        """Forget invocations without work for us; return them. `running`: uids with a process."""
        forgotten = [
            held
            for held in self._held.values()
            if not held.has_work and not any(uid in held for uid in running)
        ]
        for held in forgotten:
            del self._held[held.invocation_id]
            self._invocations.pop(held.invocation_id, None)
            for job in held:
                del self._where[job.uid]
        return [held.invocation_id for held in forgotten]

    def log_directory(self, job: Job) -> str | None:
        """Return where the job's log goes, None when there is no place for it."""
        try:
            return self._store.log_directory(job)
        except (StoreUnavailable, OSError) as error:
            # The job matters more than its log: it runs, and the report says what is missing.
            self._report(f"{job.name}: no log: {error}")
            return None

    # --- following and saving -----------------------------------------------------------------

    def follow(self, job: Job) -> None:
        """Take over a job whose row has changed, and tell."""
        held = self._where.get(job.uid)
        if held is not None:
            held.replace(job)
        self._told(job)

    @contextmanager
    def assumed(self, changes: Sequence[JobChange]) -> Iterator[Assumption]:
        """Hold what these changes make, for as long as the body lasts or, if they are made, on.

        The body commits them, and says so; only then is anybody told of them.
        """
        assumption = Assumption()
        before: list[Job] = []
        try:
            for change in changes:
                job = self.job(change.job_uid)
                before.append(job)
                self._where[job.uid].replace(changed(job, change))
            yield assumption
        finally:
            if not assumption.has_come_true:
                for held in {self._where[job.uid] for job in before}:
                    held.put_back([job for job in before if job.uid in held])
        if assumption.has_come_true:
            for job in before:
                self._told(self.job(job.uid))

    def refresh(self, uid: str) -> Job | None:
        """Take over what the store says of a job now."""
        stored = self._store.job(uid)
        if stored is None:
            return None
        known = self.known(uid)
        # The specification in memory is the complete one; the store's lacks what it left out.
        current = stored if known is None else evolve(stored, spec=known.spec)
        if known is None or known.status is not current.status:
            self.follow(current)
        return current

    def moved(self, job: Job) -> Job | None:
        """Return `job` where its row says it is to run by now, None when that is where it was."""
        try:
            stored = self._store.job(job.uid)
        except StoreUnavailable as error:
            self._report(str(error))
            return None
        if stored is None or stored.spec.working_dir == job.spec.working_dir:
            return None
        spec = evolve(job.spec, working_dir=stored.spec.working_dir)
        moved = evolve(job, worktree=stored.worktree, spec=spec)
        self._held[job.invocation_id].replace(moved)
        return moved

    def reconsider(self, uid: str) -> None:
        """Take note that the store refused to start a job: it changed, or its row is gone."""
        try:
            if self.refresh(uid) is None:
                self.restore(uid)
        except StoreUnavailable as error:
            # Nothing has run; the next step looks at it again.
            self._report(str(error))
            self.retry_later()

    def restore(self, uid: str) -> bool:
        """Add the rows of an invocation that a store has lost; False when that cannot be.

        The store was deleted, or was damaged and had to be made anew: what is known here is
        whole, and true. Raises: StoreUnavailable.
        """
        job = self.known(uid)
        invocation = None if job is None else self._invocations.get(job.invocation_id)
        if job is None or invocation is None:
            return False
        missing = [one for one in self._held[job.invocation_id] if self._store.job(one.uid) is None]
        is_there = self._store.invocation(invocation.invocation_id) is not None
        try:
            self._store.record(None if is_there else invocation, missing)
        except RecordConflict as error:
            self._report(f"{job.name}: its row is gone and cannot be added again: {error}")
            return False
        self._report(f"added the rows of {len(missing)} jobs that the store had lost")
        return True

    def save(self, changes: Sequence[JobChange]) -> None:
        """Commit changes that must not be lost; what the store does not take now is kept."""
        pending = [*self._unsaved, *changes]
        if not pending:
            return
        try:
            accepted = self._store.apply(pending)
        except StoreUnavailable as error:
            self._keep(pending, changes, error)
            return
        self._forget_results(self._unsaved)
        self._unsaved = []
        again: list[JobChange] = []
        unsure: list[JobChange] = []
        trouble: StoreUnavailable | None = None
        for change, done in zip(pending, accepted, strict=True):
            try:
                overruled = self._settle(change, done)
            except StoreUnavailable as error:
                trouble = error
                unsure.append(change)
                continue
            if overruled is not None:
                again.append(overruled)
        if again:
            self.save(again)
        if trouble is not None:
            self._keep([*self._unsaved, *unsure], unsure, trouble)

    def retry_later(self) -> None:
        """Have saving tried again, a little later each time."""
        if self._retry is None or self._retry.callback is None:
            self._retry = self._reactor.call_after(self._retry_pause_s, self._retry_now)
            self._retry_pause_s = min(2 * self._retry_pause_s, RETRY_PAUSE_LIMIT_S)

    def _settle(self, change: JobChange, done: bool) -> JobChange | None:
        """Follow a change that was made; return what to save instead of one that was refused."""
        job = self.known(change.job_uid)
        if done and job is not None:
            self.follow(changed(job, change))
            return None
        job = self.refresh(change.job_uid)
        if not done and job is None and self.restore(change.job_uid):
            return change
        if not done and job is not None and job.status in change.allowed:
            return change  # its row came back with that of another job of its invocation
        if done or job is None or job.status.is_final:
            return None
        # Refused, yet not final: somebody else asked for a stop while it was ending.
        if job.status is not JobStatus.CANCELLING or not change.to.is_final:
            return None
        return evolve(
            change,
            allowed=(JobStatus.CANCELLING,),
            to=JobStatus.CANCELLED,
            end_reason=EndReason.CANCEL,
            end_detail="cancelled",
        )

    def _keep(
        self, pending: list[JobChange], fresh: Sequence[JobChange], error: StoreUnavailable
    ) -> None:
        if not self._unsaved:
            self._report(str(error))
            self._retry_until = self._clock.monotonic() + RETRY_LIMIT_S
            self._retry_pause_s = RETRY_S
        self._unsaved = pending
        self._leave_results(fresh)
        if self._clock.monotonic() < self._retry_until or self._is_running():
            # Jobs are none the worse for a store that is away: they run on to their ends.
            self.retry_later()
            return
        # A record that lies is worse than none: answer for nothing more. The ends are in result
        # files, from which the next leader repairs the rows.
        self.has_given_up = True
        self._report(f"the store took nothing for {RETRY_LIMIT_S:g} s; giving up")
        self._unrecorded.update(
            (held.invocation_id, self._with_unsaved(held)) for held in self._held.values()
        )
        self._unsaved = []
        self._held.clear()
        self._where.clear()
        self._retry_callback()

    def _retry_now(self) -> None:
        self._retry = None
        self._retry_callback()

    def _leave_results(self, changes: Sequence[JobChange]) -> None:
        """Write ends beside their logs: whatever becomes of us, the next leader finds them."""
        for change in changes:
            job = self.known(change.job_uid)
            directory = None if job is None else self.log_directory(job)
            if change.end_reason is None or directory is None:
                continue
            try:
                write_result(directory, change)
            except OSError as error:
                # The log's own last record tells the same; only a full disk loses both.
                self._report(f"{change.job_uid}: its result could not be kept: {error.strerror}")

    def _forget_results(self, changes: Sequence[JobChange]) -> None:
        for change in changes:
            job = self.known(change.job_uid)
            directory = None if job is None else self.log_directory(job)
            if directory is not None:
                remove_result(directory)
