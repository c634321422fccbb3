"""The jobs of one invocation as a coordinator holds them, and what the core sees of them.

A graph mostly consists of jobs that have ended or cannot start yet, and every step looks at it.
So what a look needs is kept ready, and renewed for the one job that has changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from daft_protocol.jobs import Job, RunMode
from daft_protocol.status import HAS_PROCESS, JobStatus

from .domain import graph
from .domain.schedule import InvocationFacts, JobFacts


class HeldInvocation:
    """Every job of an invocation, the ended ones too. owner: whose unfinished jobs are work."""

    def __init__(self, invocation_id: str, *, owner: str) -> None:
        self.invocation_id = invocation_id
        self._owner = owner
        self._jobs: dict[str, Job] = {}
        self._urgency: Mapping[str, float] = {}
        self._dependents: dict[str, list[str]] = {}  # name -> uids of jobs that wait for it
        self._ended: dict[str, JobStatus] = {}
        # Jobs about which there is something to decide: they run, nothing they wait for is still
        # open, or something they wait for, or any job of a pipe, has ended badly.
        self._facts: dict[str, JobFacts] = {}
        self._work: set[str] = set()

    @property
    def has_work(self) -> bool:
        """True while a job of ours has not ended."""
        return bool(self._work)

    def __contains__(self, uid: str) -> bool:
        return uid in self._jobs

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def __getitem__(self, uid: str) -> Job:
        return self._jobs[uid]

    def take(self, jobs: Collection[Job], durations: Mapping[tuple[str, str], float]) -> None:
        """Hold further jobs. durations: (hook type, job name) -> seconds it usually takes."""
        self._jobs.update((job.uid, job) for job in jobs)
        seconds = {
            job.name: durations[job.hook_type, job.name]
            for job in self
            if (job.hook_type, job.name) in durations
        }
        self._urgency = graph.remaining_path(
            [job.name for job in self], {job.name: job.needs for job in self}, seconds
        )
        self._dependents = {job.name: [] for job in self}
        for job in self:
            for name in (*job.spec.needs, *job.spec.after):
                self._dependents.get(name, []).append(job.uid)
        self._look_anew()

    def replace(self, job: Job) -> None:
        """Put a job that has changed in the place of what it was."""
        self._jobs[job.uid] = job
        self._look_at(job)

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Put jobs back as they were: what they were replaced by has not come true."""
        self._jobs.update((job.uid, job) for job in jobs)
        self._look_anew()

    def facts(self) -> InvocationFacts:
        """Return what scheduling needs to know."""
        return InvocationFacts(
            invocation_id=self.invocation_id,
            mode=self._latest.mode,
            max_parallel=self._latest.max_parallel,
            jobs=sorted(self._facts.values(), key=lambda facts: facts.position),
            ended=self._ended,
        )

    @property
    def _latest(self) -> Job:
        """The job recorded last: of several submits, the latest says how jobs overlap."""
        return next(reversed(self._jobs.values()))

    def _look_anew(self) -> None:
        self._facts.clear()
        self._ended.clear()
        for job in sorted(self, key=lambda job: not job.status.is_final):
            self._look_at(job)

    def _look_at(self, job: Job) -> None:
        if job.status.is_final:
            self._facts.pop(job.uid, None)
            self._ended[job.name] = job.status
            self._work.discard(job.uid)
            self._release(job)
            return
        if job.owner == self._owner:
            self._work.add(job.uid)
        else:
            self._work.discard(job.uid)
        if job.status in HAS_PROCESS or not self._waits(job):
            self._note(job)

    def _release(self, ended: Job) -> None:
        """Note the jobs for which an end decides something: of a bad one, all that follow."""
        found = list(self._dependents[ended.name])
        if not ended.status.is_success and self._latest.mode is RunMode.PIPED:
            found = list(self._jobs)  # a pipe that breaks ends them all
        while found:
            job = self._jobs[found.pop()]
            if job.status.is_final or job.uid in self._facts:
                continue
            if not ended.status.is_success:
                found.extend(self._dependents[job.name])
            elif self._waits(job):
                continue
            self._note(job)

    def _waits(self, job: Job) -> bool:
        return any(
            name in self._dependents and name not in self._ended
            for name in (*job.spec.needs, *job.spec.after)
        )

    def _note(self, job: Job) -> None:
        self._facts[job.uid] = JobFacts(
            uid=job.uid,
            name=job.spec.name,
            status=job.status,
            needs=job.spec.needs,
            after=job.spec.after,
            priority=job.spec.priority,
            position=job.position,
            urgency=self._urgency.get(job.name, 0.0),
            exclusive=job.spec.interactive,
        )
