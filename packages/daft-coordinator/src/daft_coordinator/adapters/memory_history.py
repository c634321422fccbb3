"""The history of a memory store: the rules of the port, and nothing that outlives the process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daft_protocol.departures import Departure
from daft_protocol.status import JobStatus

from .. import changes
from ..domain.elapsed import ClockRecord
from ..domain.policy import DeclaredPolicy, StoredPolicy, merge
from ..domain.retention import KeptInvocation, KeptJob
from ..history import LogDirectory, PassRecord, Place, RunningJob, Tombstone
from ..loglease import is_used

if TYPE_CHECKING:
    from .memory import MemoryJobStore

_PASSES_KEPT = 50


class MemoryHistory:
    """The history of one memory store."""

    def __init__(self, store: MemoryJobStore, log_root: str | None) -> None:
        self._store = store
        self._log_root = log_root
        self._pinned: set[str] = set()
        self._tombstones: list[Tombstone] = []
        self._policy: StoredPolicy = {}
        self._place: Place | None = None
        self._passes: list[PassRecord] = []
        self._clock: ClockRecord | None = None

    def invocations(self) -> tuple[KeptInvocation, ...]:
        """Return every invocation with its jobs, oldest first; nothing is said of files."""
        found = [
            KeptInvocation(
                invocation_id=one.invocation_id,
                worktree=one.worktree,
                created_at=one.created_at,
                pinned=one.invocation_id in self._pinned,
                jobs=tuple(
                    KeptJob(
                        uid=job.uid,
                        name=job.name,
                        status=job.status,
                        ended_at=job.finished_at
                        or job.started_at
                        or job.queued_at
                        or job.updated_at,
                        dir_name=job.dir_name,
                        retention_s=job.spec.log.retention_s,
                        log_records=job.log_records,
                    )
                    for job in self._store.jobs_of(one.invocation_id)
                ),
            )
            for one in self._store.recent_invocations(limit=2**62)
        ]
        return tuple(sorted(found, key=lambda one: (one.created_at, one.invocation_id)))

    def running(self) -> tuple[RunningJob, ...]:
        """Return every job recorded as running."""
        owners = {owner.id: owner.process for owner in self._store.owners()}
        return tuple(
            RunningJob(uid=job.uid, owner=owners.get(job.owner or ""), process=job.process)
            for job in self._store.unfinished()
            if job.status is JobStatus.RUNNING
        )

    def knows(self, invocation_id: str, dir_name: str) -> bool:
        """True when a row accounts for the directory of an invocation, or of one of its jobs."""
        if not dir_name:
            return self._store.invocation(invocation_id) is not None
        return any(job.dir_name == dir_name for job in self._store.jobs_of(invocation_id))

    def evict(self, departures: Sequence[Departure]) -> tuple[bool, ...]:
        """Delete rows and leave tombstones for their directories; False: it changed meanwhile."""
        return tuple(self._evict(one) for one in departures)

    def give_up(self, uids: Sequence[str], at: datetime) -> int:
        """Record running jobs as cancelled, reason `stale`; return how many still were running."""
        return sum(self._store.apply([changes.given_up(uid, at) for uid in uids]))

    def tombstones(self) -> tuple[Tombstone, ...]:
        """Return what earlier evictions have left to be deleted."""
        return tuple(self._tombstones)

    def settle(self, tombstone: Tombstone) -> None:
        """Forget a tombstone: its directory is gone."""
        self._tombstones.remove(tombstone)

    def pin(self, invocation_id: str, *, pinned: bool) -> bool:
        """Protect an invocation from clean-up, or no longer; False: there is no such one."""
        if self._store.invocation(invocation_id) is None:
            return False
        (self._pinned.add if pinned else self._pinned.discard)(invocation_id)
        return True

    def policy(self) -> StoredPolicy:
        """Return what is set of the repository's policy, and by which file."""
        return dict(self._policy)

    def declare(self, declared: DeclaredPolicy) -> None:
        """Take over what a configuration file says, see `domain.policy.merge`."""
        self._policy = merge(
            self._policy, declared, is_gone=lambda path: bool(path) and not os.path.lexists(path)
        )

    def describe(self, common_dir: str) -> None:
        """Remember where the repository is."""
        if self._place is None or self._place.common_dir != common_dir:
            self._place = Place(common_dir=common_dir, told_at=datetime.now(UTC))

    def place(self) -> Place | None:
        """Return where the repository was last known to be, None when that was never told."""
        return self._place

    def clock(self) -> ClockRecord | None:
        """Return what the last pass left to compare the clocks with, None before the first."""
        return self._clock

    def passes(self, limit: int = 50) -> tuple[PassRecord, ...]:
        """Return the newest passes, newest first."""
        return tuple(reversed(self._passes))[:limit]

    def note_pass(self, record: PassRecord, clock: ClockRecord) -> None:
        """Add a pass, and what it saw of the clocks."""
        self._passes = [*self._passes, record][-_PASSES_KEPT:]
        self._clock = clock

    def shrink(self) -> None:
        """Do nothing: memory that is free is free."""

    # --- files --------------------------------------------------------------------------------

    def was_replaced(self) -> bool:
        """Return False: nothing of it can be damaged alone."""
        return False

    def directories(self) -> Iterator[LogDirectory]:
        """Yield every directory that holds logs, measured. No link is followed."""
        for invocation in _folders(self._log_root):
            beside = 0
            for entry in os.scandir(invocation.path):
                if entry.is_dir(follow_symlinks=False):
                    yield _measured(invocation.name, entry.name, entry, _size(entry.path))
                else:
                    beside += entry.stat(follow_symlinks=False).st_size
            yield _measured(invocation.name, "", invocation, beside)

    def is_in_use(self, invocation_id: str, dir_name: str) -> bool:
        """True while somebody reads or writes a log in that directory."""
        if self._log_root is None:
            return False
        home = os.path.join(self._log_root, invocation_id)
        names = [dir_name] if dir_name else [entry.name for entry in _folders(home)]
        return any(is_used(os.path.join(home, name)) for name in names)

    def set_aside(self, invocation_id: str, dir_name: str) -> str | None:
        """Rename a directory so that no row leads to it; return its new name, None: it is gone."""
        if self._log_root is None:
            return None
        aside = f".deleting-{invocation_id}-{os.urandom(4).hex()}"
        try:
            os.rename(
                os.path.join(self._log_root, invocation_id, dir_name).rstrip("/"),
                os.path.join(self._log_root, aside),
            )
        except FileNotFoundError:
            return None
        return aside

    def leftovers(self) -> tuple[str, ...]:
        """Return the names of everything that was set aside."""
        return tuple(entry.name for entry in _folders(self._log_root, hidden=True))

    def clear(self, name: str) -> int:
        """Delete what was set aside under a name; return the bytes of its files."""
        assert self._log_root is not None
        path = os.path.join(self._log_root, name)
        size = _size(path)
        shutil.rmtree(path)
        return size

    def _evict(self, departure: Departure) -> bool:
        jobs = self._store.jobs_of(departure.invocation_id)
        if self._store.invocation(departure.invocation_id) is None:
            return False
        if departure.invocation_id in self._pinned or len(jobs) != departure.expected:
            return False
        if any(not job.status.is_final for job in jobs):
            return False
        whole = departure.job_uids is None
        going = [job for job in jobs if whole or job.uid in (departure.job_uids or ())]
        uids = [job.uid for job in going]
        self._store.forget(departure.invocation_id, uids, whole=whole)
        left = [""] if whole else [job.dir_name for job in going]
        self._tombstones += [
            Tombstone(invocation_id=departure.invocation_id, dir_name=name) for name in left
        ]
        return True


def _folders(root: str | None, *, hidden: bool = False) -> Iterator[os.DirEntry[str]]:
    if root is None or not os.path.isdir(root):
        return
    for entry in os.scandir(root):
        if entry.is_dir(follow_symlinks=False) and entry.name.startswith(".") == hidden:
            yield entry


def _size(path: str) -> int:
    return sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(path)
        for name in names
    )


def _measured(
    invocation_id: str, dir_name: str, entry: os.DirEntry[str], size: int
) -> LogDirectory:
    changed = entry.stat(follow_symlinks=False).st_mtime
    return LogDirectory(
        invocation_id=invocation_id,
        dir_name=dir_name,
        bytes=size,
        modified_at=datetime.fromtimestamp(changed, UTC),
    )
