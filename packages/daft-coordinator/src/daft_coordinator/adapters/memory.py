"""A job store in memory: for embedders without SQLite, for a store that cannot be opened, and
for tests. It keeps every rule of the port but durability."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

from attrs import evolve

from daft_protocol.jobs import Invocation, Job
from daft_protocol.status import JobStatus

from ..domain.elsewhere import moved_path
from ..domain.lease import Lease
from ..errors import RecordConflict, WorktreeLeased
from ..ports import LEADING, JobChange, JobQuery, Owner, changed
from .memory_history import MemoryHistory


class MemoryJobStore:
    """Keeps invocations and jobs for as long as the process lives.

    log_root: directory under which jobs get a log directory; None keeps no logs.
    """

    def __init__(self, log_root: str | None = None) -> None:
        self._log_root = log_root
        self._invocations: dict[str, Invocation] = {}
        self._jobs: dict[str, Job] = {}
        self._owners: dict[str, Owner] = {}
        self._durations_ms: dict[tuple[str, str], int] = {}
        self._history = MemoryHistory(self, log_root)
        self._leases: dict[str, Lease] = {}  # worktree -> lease

    def record(
        self, invocation: Invocation | None, jobs: Sequence[Job], *, lease: str | None = None
    ) -> tuple[Job, ...]:
        """Add an invocation and its jobs. Nothing is left out: nothing reaches a disk."""
        for job in jobs:
            held = self._leases.get(job.worktree)
            if held is not None and held.id != lease and not job.status.is_final:
                raise WorktreeLeased(held)
        self._check_new(invocation, jobs)
        if invocation is not None:
            self._invocations[invocation.invocation_id] = invocation
        self._jobs.update((job.uid, job) for job in jobs)
        return tuple(jobs)

    def apply(self, changes: Sequence[JobChange]) -> tuple[bool, ...]:
        """Make each change whose guard holds."""
        return tuple(self._apply(change) for change in changes)

    def apply_together(self, changes: Sequence[JobChange]) -> bool:
        """Make all of the changes, or none."""
        jobs, durations = dict(self._jobs), dict(self._durations_ms)
        made = all(self.apply(changes))
        if not made:
            self._jobs, self._durations_ms = jobs, durations
        return made

    def claim(
        self, invocation_id: str, owner: str, *, dead: Collection[str] = ()
    ) -> tuple[Job, ...]:
        """Give the queued background jobs of an invocation to `owner`; return all its jobs."""
        others = {one.id for one in self._owners.values() if one.kind in LEADING}
        kept = others.difference(dead, [owner])
        given = [
            job
            for job in self.jobs_of(invocation_id)
            if job.status is JobStatus.QUEUED and job.spec.background
            if job.owner != owner and job.owner not in kept
        ]
        self._jobs.update((job.uid, evolve(job, owner=owner)) for job in given)
        if given:
            invocation = self._invocations[invocation_id]
            self._invocations[invocation_id] = evolve(invocation, coordinator_id=owner)
        return self.jobs_of(invocation_id)

    def job(self, uid: str) -> Job | None:
        """Return one job."""
        return self._jobs.get(uid)

    def jobs_of(self, invocation_id: str) -> tuple[Job, ...]:
        """Return the jobs of an invocation in the order they were declared."""
        found = [job for job in self._jobs.values() if job.invocation_id == invocation_id]
        return tuple(sorted(found, key=lambda job: (job.position, job.name)))

    def find_jobs(self, query: JobQuery) -> tuple[tuple[Job, ...], str | None]:
        """Return one page of jobs, oldest first, and the `after` of the next page if any."""
        behind = int(query.after) if query.after and query.after.isdigit() else -1
        found = [
            (index, job)
            for index, job in enumerate(self._jobs.values())
            if (query.invocation_id is None or job.invocation_id == query.invocation_id)
            and (query.worktree is None or job.worktree == query.worktree)
            and (query.name is None or job.name == query.name)
            and (query.statuses is None or job.status in query.statuses)
            and index > behind
        ]
        page = found[: query.limit]
        after = str(page[-1][0]) if len(found) > len(page) and page else None
        return tuple(job for _, job in page), after

    def unfinished(self) -> tuple[Job, ...]:
        """Return every job that is not final, in the order they were recorded."""
        return tuple(job for job in self._jobs.values() if not job.status.is_final)

    def invocation(self, invocation_id: str) -> Invocation | None:
        """Return one invocation."""
        return self._invocations.get(invocation_id)

    def recent_invocations(self, *, limit: int = 200) -> tuple[Invocation, ...]:
        """Return the newest invocations, newest first."""
        by_age = sorted(
            self._invocations.values(),
            key=lambda invocation: (invocation.created_at, invocation.invocation_id),
            reverse=True,
        )
        return tuple(by_age[:limit])

    def durations(self) -> Mapping[tuple[str, str], float]:
        """Return (hook type, job name) -> seconds that job usually takes."""
        return {key: wall_ms / 1000 for key, wall_ms in self._durations_ms.items()}

    def register(self, owner: Owner) -> None:
        """Make `owner` known."""
        self._owners[owner.id] = owner

    def retire(self, owner_id: str) -> None:
        """Note that an owner has ended in good order."""
        self._owners.pop(owner_id, None)

    def owners(self) -> tuple[Owner, ...]:
        """Return every owner that did not retire."""
        return tuple(self._owners.values())

    def take_lease(self, lease: Lease) -> Lease | None:
        """Keep the lease unless its worktree has one; return the one in the way, or None."""
        found = self._leases.get(lease.worktree)
        if found is None:
            self._leases[lease.worktree] = lease
        return found

    def drop_lease(self, lease_id: str) -> None:
        """Forget a lease."""
        self._leases = {name: one for name, one in self._leases.items() if one.id != lease_id}

    def relabel(self, worktree: str, to: str, *, old_path: str, path: str) -> int:
        """Move every invocation from one label to another, whole, those that have ended too."""
        moved = [one for one in self._invocations.values() if one.worktree == worktree]
        for known in moved:
            there = path if known.worktree_path == old_path else known.worktree_path
            self._invocations[known.invocation_id] = evolve(known, worktree=to, worktree_path=there)
            for job in self.jobs_of(known.invocation_id):
                directory = moved_path(job.spec.working_dir, old_path, path)
                spec = evolve(job.spec, working_dir=directory)
                self._jobs[job.uid] = evolve(job, worktree=to, spec=spec)
        return len(moved)

    def log_directory(self, job: Job) -> str | None:
        """Return the directory for the job's log, created; None when logs are not kept."""
        if self._log_root is None:
            return None
        path = os.path.join(self._log_root, job.invocation_id, job.dir_name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def history(self) -> MemoryHistory:
        """Return the same record as clean-up sees it."""
        return self._history

    def forget(self, invocation_id: str, uids: Collection[str], *, whole: bool) -> None:
        """Drop jobs, and with `whole` their invocation (called by its history)."""
        for uid in uids:
            del self._jobs[uid]
        if whole:
            del self._invocations[invocation_id]

    def close(self) -> None:
        """Nothing to let go of; what is stored stays readable."""

    def _check_new(self, invocation: Invocation | None, jobs: Sequence[Job]) -> None:
        """Refuse what SQL constraints would refuse. Raises: RecordConflict."""
        known = set(self._invocations)
        if invocation is not None:
            if invocation.invocation_id in known:
                raise RecordConflict(invocation.invocation_id, "it is recorded already")
            known.add(invocation.invocation_id)
        names = {(job.invocation_id, job.name) for job in self._jobs.values()}
        uids = set(self._jobs)
        for job in jobs:
            if job.invocation_id not in known:
                raise RecordConflict(job.invocation_id, "it is unknown, yet a job belongs to it")
            if job.uid in uids or (job.invocation_id, job.name) in names:
                raise RecordConflict(job.invocation_id, f"job {job.name!r} is recorded already")
            uids.add(job.uid)
            names.add((job.invocation_id, job.name))

    def _apply(self, change: JobChange) -> bool:
        job = self._jobs.get(change.job_uid)
        if job is None or job.status.is_final or job.status not in change.allowed:
            return False
        if change.only_of is not None and job.owner != change.only_of:
            return False
        self._jobs[job.uid] = job = changed(job, change)
        if change.to is JobStatus.COMPLETED and change.duration_ms is not None:
            key = (job.hook_type, job.name)
            known = self._durations_ms.get(key, change.duration_ms)
            # An exponential mean in whole milliseconds: old runs fade, one odd run does not rule.
            self._durations_ms[key] = known + int((change.duration_ms - known) * 3 / 10)
        return True
