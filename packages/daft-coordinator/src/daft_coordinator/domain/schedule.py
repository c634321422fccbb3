"""What to start and what to skip, now, given where every job stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from daft_protocol.jobs import RunMode
from daft_protocol.status import HAS_PROCESS, UNFINISHED, JobStatus


@frozen(kw_only=True, eq=False)
class JobFacts:
    """What scheduling needs to know of a job.

    after: names that must have ended first, however they ended.
    urgency: seconds of work that cannot end before this job has; larger starts first.
    exclusive: it has the terminal, so it runs alone.
    """

    uid: str
    name: str
    status: JobStatus
    needs: Sequence[str] = ()
    after: Sequence[str] = ()
    priority: int = 0
    position: int = 0
    urgency: float = 0.0
    exclusive: bool = False


@frozen(kw_only=True, eq=False)
class InvocationFacts:
    """One invocation. Most of a graph has mostly ended or cannot start yet, and may be left out.

    jobs: in declaration order; every one with a process, and every one about which there is
        something to decide: that waits for nothing which is still open, or for something that
        has ended badly, as all jobs of a pipe do for any of them.
    ended: name -> how it ended, of those not in `jobs`.
    """

    invocation_id: str
    jobs: Sequence[JobFacts]
    ended: Mapping[str, JobStatus] = field(factory=dict)
    mode: RunMode = RunMode.PARALLEL
    max_parallel: int | None = None


@frozen(kw_only=True, eq=False)
class Snapshot:
    """Everything that waits or runs.

    invocations: the one that started a job longest ago comes first.
    workers: most jobs that may run at one time; 0 is no limit.
    """

    invocations: Sequence[InvocationFacts]
    workers: int


@frozen(kw_only=True)
class SkipDecision:
    """A queued job that can never start, and the job whose end decided that."""

    uid: str
    culprit: str
    detail: str


@frozen(kw_only=True)
class Decision:
    """What to do now: skips first, then starts, in this order."""

    start: tuple[str, ...] = ()
    skip: tuple[SkipDecision, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.start or self.skip)


_FAILURES = frozenset(
    status for status in JobStatus if status.is_final and status is not JobStatus.COMPLETED
)


def schedule(snapshot: Snapshot) -> Decision:
    """Return the jobs to skip and to start.

    A job starts once everything it needs is completed, everything it comes after has ended, and
    a worker is free, whatever its siblings do. A job whose need ended any other way is skipped,
    and so is all that needs it, transitively, in the same decision. Among ready jobs the most
    urgent goes first, then the lower priority number, then declaration order. Workers are shared
    between invocations: the next start goes to the invocation with the fewest running jobs.
    """
    skips: list[SkipDecision] = []
    queues: list[_Queue] = []
    running = 0
    exclusive = False
    for invocation in snapshot.invocations:
        statuses, skipped = _spread_failure(invocation)
        skips.extend(skipped)
        active = [job for job in invocation.jobs if job.status in HAS_PROCESS]
        running += len(active)
        exclusive = exclusive or any(job.exclusive for job in active)
        queues.append(_Queue(invocation, statuses, len(active)))
    starts: list[str] = []
    while not exclusive and (snapshot.workers == 0 or running < snapshot.workers):
        open_queues = [queue for queue in queues if queue.can_start]
        if not open_queues:
            break
        # min() keeps the first of equals: the invocation that waited longest.
        queue = min(open_queues, key=lambda queue: queue.running)
        job = queue.ready[0]
        if job.exclusive and running:
            break  # it gets its turn as soon as the running ones have ended
        queue.take()
        running += 1
        starts.append(job.uid)
        exclusive = job.exclusive
    return Decision(start=tuple(starts), skip=tuple(skips))


def _spread_failure(
    invocation: InvocationFacts,
) -> tuple[Mapping[str, JobStatus], list[SkipDecision]]:
    """Return the statuses after all skips, and the skips, each with the culprit's name."""
    statuses = {**invocation.ended, **{job.name: job.status for job in invocation.jobs}}
    skips: list[SkipDecision] = []
    if _FAILURES.isdisjoint(statuses.values()):
        return statuses, skips
    if invocation.mode is RunMode.PIPED:
        broken = next((name for name, how in statuses.items() if how in _PIPE_BREAKERS), None)
        if broken is not None:
            detail = f"previous job failed: {broken} {statuses[broken].value}"
            for job in invocation.jobs:
                if job.status is JobStatus.QUEUED:
                    statuses[job.name] = JobStatus.SKIPPED
                    skips.append(SkipDecision(uid=job.uid, culprit=broken, detail=detail))
            return statuses, skips
    changed = True
    while changed:
        changed = False
        for job in invocation.jobs:
            if statuses[job.name] is not JobStatus.QUEUED:
                continue
            for wanted in job.needs:
                if statuses.get(wanted) in _FAILURES:
                    how = statuses[wanted].value
                    detail = f"dependency failed: {wanted} {how}"
                    skips.append(SkipDecision(uid=job.uid, culprit=wanted, detail=detail))
                    statuses[job.name] = JobStatus.SKIPPED
                    changed = True
                    break
    return statuses, skips


_PIPE_BREAKERS = frozenset({JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.CRASHED})


def _is_ready(job: JobFacts, statuses: Mapping[str, JobStatus]) -> bool:
    if statuses[job.name] is not JobStatus.QUEUED:
        return False  # skipped just now
    for wanted in job.needs:
        if statuses.get(wanted) is not JobStatus.COMPLETED:
            return False
    # One that is not of this invocation never began, so there is nothing to wait for.
    return all(statuses.get(earlier) not in UNFINISHED for earlier in job.after)


class _Queue:
    """The ready jobs of one invocation, best first, while starts are handed out."""

    def __init__(
        self, invocation: InvocationFacts, statuses: Mapping[str, JobStatus], running: int
    ) -> None:
        self.running = running
        self._limit = invocation.max_parallel
        one_at_a_time = invocation.mode is not RunMode.PARALLEL
        if one_at_a_time:
            self._limit = 1
        ready = [
            job
            for job in invocation.jobs
            if job.status is JobStatus.QUEUED and _is_ready(job, statuses)
        ]
        if one_at_a_time:
            # A declared order is a promise; urgency must not overrule it.
            ready.sort(key=lambda job: (job.priority, job.position))
        else:
            ready.sort(key=lambda job: (-job.urgency, job.priority, job.position))
        self.ready = ready

    @property
    def can_start(self) -> bool:
        return bool(self.ready) and (self._limit is None or self.running < self._limit)

    def take(self) -> None:
        del self.ready[0]
        self.running += 1
