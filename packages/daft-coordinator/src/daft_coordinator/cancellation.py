"""Carrying out a cancel: queued jobs are taken off the queue, running ones are stopped."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from daft_protocol.jobs import Job, ProcessIdentity
from daft_protocol.status import JobStatus

from . import changes
from .domain import cancel as cancelling
from .domain.cancel import CancelAction, Manner, Selection
from .domain.family import outside_group
from .domain.lifecycle import StopCause
from .ports import Clock, Delivery, JobChange, JobStore, ProcessControl
from .reactor import Reactor
from .roster import Roster
from .runner import JobRun

if TYPE_CHECKING:
    from daft_protocol.messages import CancelResult

BEFORE_START = "cancelled before it started"


class Cancellation:
    """Stops jobs, whoever runs them.

    runs: uid -> run of the jobs that have their process from us.
    grace_of: seconds a job has from the first signal to SIGKILL unless the request says otherwise.
    note: leaves the reason in the log of a job that never started.
    """

    def __init__(
        self,
        store: JobStore,
        roster: Roster,
        runs: Mapping[str, JobRun],
        *,
        clock: Clock,
        processes: ProcessControl,
        reactor: Reactor,
        grace_of: Callable[[Job], float],
        note: Callable[[Job, str], None],
    ) -> None:
        self._store = store
        self._roster = roster
        self._runs = runs
        self._clock = clock
        self._processes = processes
        self._reactor = reactor
        self._grace_of = grace_of
        self._note = note
        self._under_way: set[str] = set()

    @property
    def is_under_way(self) -> bool:
        """True while a job that another process runs may still have to be killed."""
        return bool(self._under_way)

    def see_through(self, job: Job) -> None:
        """Kill a job that somebody else asked to end, and another process runs, after its grace."""
        if job.process is not None and job.uid not in self._under_way:
            family = self._processes.family(job.process, job.uid)
            self._kill_later(
                job.uid,
                job.process,
                outside_group(family, job.process),
                self._grace_of(job),
            )

    def carry_out(self, selection: Selection, manner: Manner) -> tuple[CancelResult, ...]:
        """Stop the unfinished jobs that `selection` means; return what was done to each."""
        chosen = cancelling.select(self._store.unfinished(), selection, now=self._clock.now())
        actions = [(job, cancelling.action_for(job.status, kill=manner.kill)) for job in chosen]
        wanted = [self._change(job, action) for job, action in actions]
        accepted = self._store.apply(wanted)
        return tuple(
            self._finish(job, action, change, manner, done=done)
            for (job, action), change, done in zip(actions, wanted, accepted, strict=True)
        )

    def _finish(
        self, job: Job, action: CancelAction, change: JobChange, manner: Manner, *, done: bool
    ) -> CancelResult:
        if not done and action is not CancelAction.KILL:
            # It changed between the look and now; what it is now decides.
            job = self._store.job(job.uid) or job
            if job.status.is_final:
                return _result(job, CancelAction.NOTHING.value)
            action = cancelling.action_for(job.status, kill=manner.kill)
            self._store.apply([self._change(job, action)])
        current = evolve(job, status=change.to if done else JobStatus.CANCELLING)
        if action is CancelAction.DEQUEUE:
            current = self._store.job(job.uid) or current
            self._roster.follow(current)
            self._note(current, BEFORE_START)
        else:
            self._roster.follow(current)
            met = self._stop(current, evolve(manner, kill=action is CancelAction.KILL))
            if met is Delivery.REFUSED:
                return _result(current, Delivery.REFUSED.value)
            return _result(current, CancelAction.STOP.value)
        return _result(current, CancelAction.DEQUEUE.value)

    def _change(self, job: Job, action: CancelAction) -> JobChange:
        now = self._clock.now()
        if action is CancelAction.DEQUEUE:
            return changes.dequeued(job.uid, BEFORE_START, now)
        return changes.cancelling(job.uid, now)

    def _stop(self, job: Job, manner: Manner) -> Delivery:
        run = self._runs.get(job.uid)
        if run is not None:
            return run.stop(StopCause.CANCEL, manner)
        # Another process runs it and will record its end; signals are all it needs from us.
        who = job.process
        if who is None:
            return Delivery.GONE
        # Looked up while it lives: afterwards nobody knows whose child they were.
        escaped = outside_group(self._processes.family(who, job.uid), who)
        if manner.kill:
            return self._signal(who, escaped, signals.SIGKILL)
        met = self._signal(who, escaped, manner.signal)
        self._signal(who, escaped, signals.SIGCONT)
        grace_s = self._grace_of(job) if manner.grace_s is None else manner.grace_s
        self._kill_later(job.uid, who, escaped, grace_s)
        return met

    def _kill_later(
        self, uid: str, who: ProcessIdentity, escaped: Sequence[ProcessIdentity], grace_s: float
    ) -> None:
        def kill() -> None:
            self._under_way.discard(uid)
            self._signal(who, escaped, signals.SIGKILL)

        self._under_way.add(uid)
        self._reactor.call_after(grace_s, kill)

    def _signal(
        self, who: ProcessIdentity, escaped: Sequence[ProcessIdentity], number: int
    ) -> Delivery:
        """Signal what still lives of a job. Returns what became of it for the job's group."""
        met = self._processes.signal_group(who, number)
        for member in escaped:
            self._processes.signal(member, number)
        return met


def _result(job: Job, outcome: str) -> CancelResult:
    from daft_protocol.messages import CancelResult  # most jobs are never cancelled

    return CancelResult(
        job_uid=job.uid,
        name=job.name,
        outcome=outcome,
        status=job.status.value,
        invocation_id=job.invocation_id,
        worktree=job.worktree,
    )
