"""A repository's history in SQLite, with its log directories: what clean-up works on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import apsw
from attrs import evolve

import daft_store
from daft_protocol.departures import Departure
from daft_protocol.jobs import DEFAULT_RETENTION_S, ProcessIdentity
from daft_protocol.status import JobStatus
from daft_store import bringup, history, ledger, policies
from daft_store.errors import StoreError
from daft_store.history import ClockRow, EvictionRow, PassRow
from daft_store.moments import from_text, to_text
from daft_store.places import RepositoryPlaces
from daft_store.policies import PolicyFields
from daft_store.shelf import LogShelf
from daft_store.texts import storable

from .. import changes
from ..domain.elapsed import ClockReading, ClockRecord, Trust
from ..domain.policy import DeclaredPolicy, StoredPolicy, merge
from ..domain.retention import KeptInvocation, KeptJob
from ..errors import StoreFull, StoreUnavailable
from ..history import LogDirectory, PassRecord, Place, RunningJob, Tombstone
from . import rows

# Columns of the store -> fields of the policy. Two units in one name would be one too many.
_FIELDS = {
    "max_total_size_bytes": "max_total_size_bytes",
    "keep_last": "keep_last",
    "stale_running_after_seconds": "stale_running_after_s",
}
_COLUMNS = {field: column for column, field in _FIELDS.items()}


class SqliteHistory:
    """The history of one repository. Belongs to the thread that opened it.

    connection: asked each time, since a job store may open another file meanwhile.
    """

    def __init__(
        self,
        connection: Callable[[], apsw.Connection],
        places: RepositoryPlaces,
        *,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._connection = connection
        self._places = places
        self._repo = places.repository
        self._shelf = LogShelf(places)
        self._report = report
        self._is_current = history.has_tables(self._db)

    @classmethod
    def open(cls, state_root: str, repository: str, *, alone: bool = False) -> SqliteHistory:
        """Open the store of a repository to shorten it, making it if there is none.

        alone: where the disk has no room; see `bringup.open_writer`. Raises: StoreError.
        """
        places = RepositoryPlaces(state_root, repository)
        places.make(os.environ)
        db = bringup.open_writer(places.database, daft_store.COORDINATOR, alone=alone)
        return cls(lambda: db, places)

    @classmethod
    def read(
        cls,
        state_root: str,
        repository: str,
        *,
        report: Callable[[str], None] = lambda line: None,
    ) -> SqliteHistory | None:
        """Open the store of a repository to look at only; None when there is none.

        Creates, migrates and changes nothing. Raises: StoreError.
        """
        places = RepositoryPlaces(state_root, repository)
        db = bringup.open_reader(places.database, daft_store.COORDINATOR)
        return None if db is None else cls(lambda: db, places)

    @property
    def _db(self) -> apsw.Connection:
        return self._connection()

    def close(self) -> None:
        """Let go of the file. Calling it again does nothing."""
        self._db.close()

    # --- rows ---------------------------------------------------------------------------------

    def invocations(self) -> tuple[KeptInvocation, ...]:
        """Return every invocation with its jobs, oldest first; nothing is said of files."""
        with self._guarded():
            found, jobs = history.kept(self._db, self._repo, skipped=self._skipped)
        by_invocation: dict[str, list[KeptJob]] = {}
        for row in jobs:
            job = self._understood(_job_of, row)
            if job is not None:
                by_invocation.setdefault(row[0], []).append(job)
        kept: list[KeptInvocation] = []
        for row in found:
            one = self._understood(_invocation_of, row, by_invocation.get(row[0], []))
            if one is not None:
                kept.append(one)
        return tuple(kept)

    def running(self) -> tuple[RunningJob, ...]:
        """Return every job recorded as running."""
        with self._guarded():
            found = history.running(self._db, self._repo, skipped=self._skipped)
        return tuple(
            RunningJob(uid=row[0], process=_identity(row[1:5]), owner=_identity(row[5:9]))
            for row in found
        )

    def knows(self, invocation_id: str, dir_name: str) -> bool:
        """True when a row accounts for the directory of an invocation, or of one of its jobs."""
        with self._guarded():
            return history.is_known(self._db, self._repo, invocation_id, dir_name)

    def evict(self, departures: Sequence[Departure]) -> tuple[bool, ...]:
        """Delete rows and leave tombstones for their directories; False: it changed meanwhile."""
        wanted = [EvictionRow(one.invocation_id, one.expected, one.job_uids) for one in departures]
        with self._guarded():
            return tuple(history.evict(self._db, self._repo, wanted, _now()))

    def give_up(self, uids: Sequence[str], at: datetime) -> int:
        """Record running jobs as cancelled, reason `stale`; return how many still were running."""
        with self._guarded():
            moves = [rows.job_move(changes.given_up(uid, at)) for uid in uids]
            return sum(ledger.move_jobs(self._db, moves))

    def tombstones(self) -> tuple[Tombstone, ...]:
        """Return what earlier evictions have left to be deleted."""
        if not self._is_current:
            return ()
        with self._guarded():
            found = list(self._db.execute(history.TOMBSTONES, (self._repo,)))
        return tuple(Tombstone(invocation_id=row[0], dir_name=row[1]) for row in found)

    def settle(self, tombstone: Tombstone) -> None:
        """Forget a tombstone: its directory is gone."""
        key = (self._repo, tombstone.invocation_id, tombstone.dir_name)
        with self._guarded():
            self._db.execute(history.DROP_TOMBSTONE, key)

    def pin(self, invocation_id: str, *, pinned: bool) -> bool:
        """Protect an invocation from clean-up, or no longer; False: there is no such one."""
        with self._guarded():
            return history.pin(self._db, self._repo, invocation_id, pinned=pinned)

    # --- what is set, and what was done -------------------------------------------------------

    def policy(self) -> StoredPolicy:
        """Return what is set of the repository's policy, and by which file."""
        with self._guarded():
            return _policy_of(policies.policy(self._db, self._repo))

    def declare(self, declared: DeclaredPolicy) -> None:
        """Take over what a configuration file says, see `domain.policy.merge`."""
        declared = evolve(declared, source=storable(declared.source))

        def merged(known: PolicyFields) -> PolicyFields:
            made = merge(_policy_of(known), declared, is_gone=_is_gone)
            return {_COLUMNS[field]: value for field, value in made.items()}

        with self._guarded():
            policies.merge_policy(self._db, self._repo, merged)

    def describe(self, common_dir: str) -> None:
        """Remember where the repository is, unless its path cannot be stored.

        Spelled otherwise it would be no path at all, and its repository be taken for gone.
        """
        if storable(common_dir) != common_dir:
            return
        with self._guarded():
            history.describe_repository(self._db, self._repo, common_dir, _now())

    def place(self) -> Place | None:
        """Return where the repository was last known to be, None when that was never told."""
        with self._guarded():
            found = history.repository_place(self._db, self._repo)
        return None if found is None else Place(common_dir=found[0], told_at=from_text(found[1]))

    def clock(self) -> ClockRecord | None:
        """Return what the last pass left to compare the clocks with, None before the first."""
        if not self._is_current:
            return None
        with self._guarded():
            row = history.clock(self._db, self._repo)
        if row is None:
            return None
        reading = ClockReading(
            wall_at=from_text(row.wall_at),
            since_boot_s=row.since_boot_ms / 1000,
            boot_id=row.boot_id,
        )
        since = row.doubted_since_ms
        return ClockRecord(
            reading=reading,
            trust=Trust(row.trust),
            doubted_since_s=None if since is None else since / 1000,
        )

    def passes(self, limit: int = 50) -> tuple[PassRecord, ...]:
        """Return the newest passes, newest first."""
        if not self._is_current:
            return ()
        with self._guarded():
            found = history.passes(self._db, self._repo, limit)
        return tuple(
            PassRecord(
                at=from_text(row.at),
                reason=row.reason,
                invocations=row.invocations,
                jobs=row.jobs,
                bytes=row.bytes,
                stale=row.stale,
                trouble=tuple(json.loads(row.trouble_json)),
            )
            for row in found
        )

    def note_pass(self, record: PassRecord, clock: ClockRecord) -> None:
        """Add a pass, and what it saw of the clocks."""
        row = PassRow(
            repo_hash=self._repo,
            at=to_text(record.at),
            reason=record.reason,
            invocations=record.invocations,
            jobs=record.jobs,
            bytes=record.bytes,
            stale=record.stale,
            trouble_json=json.dumps(record.trouble),
        )
        since = clock.doubted_since_s
        seen = ClockRow(
            boot_id=clock.reading.boot_id,
            since_boot_ms=int(clock.reading.since_boot_s * 1000),
            wall_at=to_text(clock.reading.wall_at),
            trust=clock.trust.value,
            doubted_since_ms=None if since is None else int(since * 1000),
        )
        with self._guarded(), daft_store.writing(self._db):
            history.add_pass(self._db, row)
            history.set_clock(self._db, self._repo, seen)

    def shrink(self) -> None:
        """Give back to the disk what deleted rows took."""
        with self._guarded():
            history.shrink(self._db)

    # --- files --------------------------------------------------------------------------------

    def was_replaced(self) -> bool:
        """True when the record stands in for one that was damaged, so that rows may be missing."""
        with self._guarded():
            return bringup.was_set_aside(self._places.database)

    def directories(self) -> Iterator[LogDirectory]:
        """Yield every directory that holds logs, measured. No link is followed."""
        with self._guarded():
            for found in self._shelf.survey():
                beside = found.bytes - sum(job.bytes for job in found.jobs.values())
                yield _directory(found.invocation_id, "", beside, found.modified_at)
                for name, job in found.jobs.items():
                    yield _directory(found.invocation_id, name, job.bytes, job.modified_at)

    def is_in_use(self, invocation_id: str, dir_name: str) -> bool:
        """True while somebody reads or writes a log in that directory."""
        with self._guarded():
            return self._shelf.is_in_use(invocation_id, dir_name)

    def set_aside(self, invocation_id: str, dir_name: str) -> str | None:
        """Rename a directory so that no row leads to it; return its new name, None: it is gone."""
        with self._guarded():
            return self._shelf.set_aside(invocation_id, dir_name)

    def leftovers(self) -> tuple[str, ...]:
        """Return the names of everything that was set aside."""
        with self._guarded():
            return self._shelf.leftovers()

    def clear(self, name: str) -> int:
        """Delete what was set aside under a name; return the bytes of its files."""
        with self._guarded():
            return self._shelf.clear(name)

    # --- translation --------------------------------------------------------------------------

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except apsw.FullError as error:
            raise StoreFull(str(error)) from error
        except apsw.Error as error:
            raise StoreUnavailable(str(bringup.translated(error, self._places.database))) from error
        except (StoreError, OSError) as error:
            raise StoreUnavailable(str(error)) from error

    def _understood(self, translate: Callable[..., Any], *given: Any) -> Any:
        """Return a row as a value, None for one that makes no sense: nothing of it may go."""
        try:
            return translate(*given)
        except (ValueError, TypeError) as error:
            self._skipped(f"{given[0][0]!r}: {error}")
            return None

    def _skipped(self, what: str) -> None:
        self._report(f"a row of the job store cannot be read and is left alone ({what})")


def _invocation_of(row: tuple[Any, ...], jobs: Sequence[KeptJob]) -> KeptInvocation:
    return KeptInvocation(
        invocation_id=row[0],
        worktree=row[1],
        created_at=from_text(row[2]),
        pinned=bool(row[3]),
        jobs=tuple(jobs),
    )


def _job_of(row: tuple[Any, ...]) -> KeptJob:
    return KeptJob(
        uid=row[1],
        name=row[2],
        dir_name=row[3],
        status=JobStatus.parse(row[4]),
        ended_at=from_text(row[5]),
        retention_s=DEFAULT_RETENTION_S if row[6] is None else row[6],
        log_records=row[7],
    )


def _identity(columns: Sequence[Any]) -> ProcessIdentity | None:
    pid, pgid, start, boot_id = columns
    if pid is None or pgid is None:
        return None
    return ProcessIdentity(pid=pid, pgid=pgid, start=start or "", boot_id=boot_id or "")


def _directory(invocation_id: str, name: str, size: int, modified_at: float) -> LogDirectory:
    return LogDirectory(
        invocation_id=invocation_id,
        dir_name=name,
        bytes=size,
        modified_at=datetime.fromtimestamp(modified_at, UTC),
    )


def _policy_of(fields: PolicyFields) -> StoredPolicy:
    return {_FIELDS[column]: value for column, value in fields.items()}


def _is_gone(path: str) -> bool:
    return bool(path) and not os.path.lexists(path)


def _now() -> str:
    return to_text(datetime.now(UTC))
