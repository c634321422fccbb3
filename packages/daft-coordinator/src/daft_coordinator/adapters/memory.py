"""A job store in memory: for embedders without SQLite, for a store that cannot be opened, and
for tests. It keeps every rule of the port but durability."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from attrs import evolve

from daft_protocol.jobs import Invocation, Job
from daft_protocol.status import JobStatus

from ..ports import JobChange, JobQuery, Owner, changed

_MEAN_WEIGHT = 0.3


class MemoryJobStore:
    """Keeps invocations and jobs for as long as the process lives.

    log_root: directory under which jobs get a log directory; None keeps no logs.
    """

    def __init__(self, log_root: str | None = None) -> None:
        self._log_root = log_root
        self._invocations: dict[str, Invocation] = {}
        self._jobs: dict[str, Job] = {}
        self._owners: dict[str, Owner] = {}
        self._durations: dict[tuple[str, str], float] = {}

    def record(self, invocation: Invocation | None, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """Add an invocation and its jobs. Nothing is left out: nothing reaches a disk."""
        if invocation is not None:
            if invocation.invocation_id in self._invocations:
                raise ValueError(f"invocation {invocation.invocation_id} is recorded already")
            self._invocations[invocation.invocation_id] = invocation
        for job in jobs:
            if job.invocation_id not in self._invocations:
                raise ValueError(f"invocation {job.invocation_id} of job {job.name} is unknown")
            self._jobs[job.uid] = job
        return tuple(jobs)

    def apply(self, changes: Sequence[JobChange]) -> tuple[bool, ...]:
        """Make each change whose guard holds."""
        return tuple(self._apply(change) for change in changes)

    def claim(self, invocation_id: str, owner: str) -> tuple[Job, ...]:
        """Give the queued background jobs of an invocation to `owner`; return all its jobs."""
        for job in self.jobs_of(invocation_id):
            if job.status is JobStatus.QUEUED and job.spec.background:
                self._jobs[job.uid] = evolve(job, owner=owner)
        return self.jobs_of(invocation_id)

    def job(self, uid: str) -> Job | None:
        """Return one job."""
        return self._jobs.get(uid)

    def jobs_of(self, invocation_id: str) -> tuple[Job, ...]:
        """Return the jobs of an invocation in the order they were declared."""
        found = [job for job in self._jobs.values() if job.invocation_id == invocation_id]
        return tuple(sorted(found, key=lambda job: job.position))

    def find_jobs(self, query: JobQuery) -> tuple[tuple[Job, ...], str | None]:
        """Return one page of jobs, oldest first, and the `after` of the next page if any."""
        found = [
            (index, job)
            for index, job in enumerate(self._jobs.values())
            if (query.invocation_id is None or job.invocation_id == query.invocation_id)
            and (query.worktree is None or job.worktree == query.worktree)
            and (query.name is None or job.name == query.name)
            and (query.statuses is None or job.status in query.statuses)
            and (query.after is None or index > int(query.after))
        ]
        page = found[: query.limit]
        after = str(page[-1][0]) if len(found) > len(page) and page else None
        return tuple(job for _, job in page), after

    def unfinished(self) -> tuple[Job, ...]:
        """Return every job that is not final."""
        return tuple(job for job in self._jobs.values() if not job.status.is_final)

    def invocation(self, invocation_id: str) -> Invocation | None:
        """Return one invocation."""
        return self._invocations.get(invocation_id)

    def recent_invocations(self, *, limit: int = 200) -> tuple[Invocation, ...]:
        """Return the newest invocations, newest first."""
        return tuple(reversed(self._invocations.values()))[:limit]

    def durations(self) -> Mapping[tuple[str, str], float]:
        """Return (hook type, job name) -> seconds that job usually takes."""
        return dict(self._durations)

    def register(self, owner: Owner) -> None:
        """Make `owner` known."""
        self._owners[owner.id] = owner

    def retire(self, owner_id: str) -> None:
        """Note that an owner has ended in good order."""
        self._owners.pop(owner_id, None)

    def owners(self) -> tuple[Owner, ...]:
        """Return every owner that did not retire."""
        return tuple(self._owners.values())

    def log_directory(self, job: Job) -> str | None:
        """Return the directory for the job's log, created; None when logs are not kept."""
        if self._log_root is None:
            return None
        path = os.path.join(self._log_root, job.invocation_id, job.dir_name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def close(self) -> None:
        """Nothing to let go of; what is stored stays readable."""

    def _apply(self, change: JobChange) -> bool:
        job = self._jobs.get(change.job_uid)
        if job is None or job.status.is_final or job.status not in change.allowed:
            return False
        self._jobs[job.uid] = changed(job, change)
        if change.to is JobStatus.COMPLETED and change.duration_ms is not None:
            key = (job.hook_type, job.name)
            seconds = change.duration_ms / 1000
            known = self._durations.get(key, seconds)
            self._durations[key] = known + (seconds - known) * _MEAN_WEIGHT
        return True
