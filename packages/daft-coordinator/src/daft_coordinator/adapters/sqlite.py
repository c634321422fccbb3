"""Jobs in SQLite: the job store of one repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import apsw

import daft_store
from daft_protocol.jobs import Invocation, Job, ProcessIdentity
from daft_store import bringup, leases, ledger, owners, pages
from daft_store.errors import StoreCorrupt, StoreError
from daft_store.moments import to_text
from daft_store.places import (
    RepositoryPlaces,
    check_private_directory,
    check_private_file,
    closing,
)
from daft_store.rows import CoordinatorRow, InvocationRow, JobRow
from daft_store.texts import storable
from daft_store.transactions import writing

from ..domain.lease import Lease
from ..errors import RecordConflict, StoreUnavailable, WorktreeLeased
from ..ports import JobChange, JobQuery, Owner
from ..station import Station
from . import rows
from .storefile import SeenFile, StoreFile

if TYPE_CHECKING:
    from .sqlite_history import SqliteHistory

Row = TypeVar("Row")
Value = TypeVar("Value")


def open_station(state_root: str, repository: str, invocation_id: str | None = None) -> Station:
    """Return where the leader of a repository is met, making its directories.

    Its lock and its journal are looked at as well: a link there would end a leader at birth.
    invocation_id: the leader that this invocation has of its own. Raises: StoreError.
    """
    places = RepositoryPlaces(state_root, repository)
    places.make(os.environ)
    lock = places.lock if invocation_id is None else places.own_lock(invocation_id)
    for path in (lock, places.journal):
        try:
            check_private_file(path, tighten=True)
        except FileNotFoundError:
            continue  # its first leader makes it
    return Station(
        repository=repository,
        state_root=state_root,
        lock_path=lock,
        socket_path=places.socket(os.environ, invocation_id),
        journal_path=places.journal,
        invocation_id=invocation_id,
    )


class SqliteJobStore:
    """The job store of one repository. Belongs to the thread that opened it."""

    def __init__(
        self,
        file: StoreFile | SeenFile,
        places: RepositoryPlaces,
        *,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._file = file
        self._places = places
        self._repo = places.repository
        self._report = report
        self._reported: set[str] = set()
        self._registered: dict[str, CoordinatorRow] = {}
        self._has_directory = ""  # the invocation that a job's directory was last made for

    @classmethod
    def open(
        cls,
        state_root: str,
        repository: str,
        *,
        leads: bool = False,
        leads_one: bool = False,
        repairs: bool = True,
        busy_ms: int = bringup.WRITER_BUSY_MS,
        report: Callable[[str], None] = lambda line: None,
    ) -> SqliteJobStore:
        """Open the store of a repository, making it if there is none.

        A damaged one is set aside when no leader lives, and a new one takes in what logs tell.
        leads: the caller holds the leader's lock, now and for as long as the store is open.
        leads_one: it leads one invocation instead, holding the lock of that.
        repairs: False leaves a damaged one alone, and raises StoreCorrupt.
        busy_ms: how long a statement may wait for another process.
        report: told one line of whatever had to be left out or put right.
        Raises: StoreError.
        """
        places = RepositoryPlaces(state_root, repository)
        file = StoreFile(
            places,
            report=report,
            leads=leads,
            leads_one=leads_one,
            repairs=repairs,
            busy_ms=busy_ms,
        )
        return cls(file, places, report=report)

    @classmethod
    def read(
        cls,
        state_root: str,
        repository: str,
        *,
        report: Callable[[str], None] = lambda line: None,
    ) -> SqliteJobStore | None:
        """Open the store of a repository to look at only; None when there is none.

        Creates, migrates and changes nothing, so it serves where nothing can be written. Whatever
        would write raises StoreUnavailable. Raises: StoreError.
        """
        places = RepositoryPlaces(state_root, repository)
        for place in (state_root, os.path.join(state_root, "jobs")):
            check_private_directory(place)
        db = bringup.open_reader(places.database, daft_store.COORDINATOR)
        return None if db is None else cls(SeenFile(places, db), places, report=report)

    @property
    def _db(self) -> apsw.Connection:
        return self._file.db

    def record(
        self, invocation: Invocation | None, jobs: Sequence[Job], *, lease: str | None = None
    ) -> tuple[Job, ...]:
        """Add an invocation and its jobs. Values that look like secrets are left out."""
        stored = [rows.without_secrets(job) for job in jobs]
        made = [rows.job_row(self._repo, job) for job in stored]
        row = None if invocation is None else rows.invocation_row(self._repo, invocation)
        try:
            with self._guarded(), writing(self._db):
                self._check_leases(jobs, lease)
                ledger.insert_submission(self._db, row, made)
        except apsw.ConstraintError as error:
            owner = row.invocation_id if row is not None else jobs[0].invocation_id
            raise RecordConflict(owner, f"what is recorded already forbids it ({error})") from error
        return tuple(stored)

    def apply(self, changes: Sequence[JobChange]) -> tuple[bool, ...]:
        """Make each change whose guard holds, all in one transaction."""
        if not changes:
            return ()
        with self._guarded():
            return tuple(ledger.move_jobs(self._db, [rows.job_move(change) for change in changes]))

    def apply_together(self, changes: Sequence[JobChange]) -> bool:
        """Make all of the changes, or none, in one transaction."""
        with self._guarded():
            return ledger.move_jobs_together(self._db, [rows.job_move(one) for one in changes])

    def claim(
        self, invocation_id: str, owner: str, *, dead: Collection[str] = ()
    ) -> tuple[Job, ...]:
        """Give the queued background jobs of an invocation to `owner`; return all its jobs."""
        with self._guarded():
            found = ledger.claim_invocation(
                self._db,
                self._repo,
                invocation_id,
                owner,
                dead_owners=tuple(dead),
                skipped=self._skipped,
            )
        return self._jobs_of(found)

    def job(self, uid: str) -> Job | None:
        """Return one job."""
        with self._guarded():
            row = ledger.job_by_uid(self._db, uid, skipped=self._skipped)
        return next(iter(self._jobs_of([] if row is None else [row])), None)

    def jobs_of(self, invocation_id: str) -> tuple[Job, ...]:
        """Return the jobs of an invocation in the order they were declared."""
        with self._guarded():
            found = ledger.jobs_of_invocation(
                self._db, self._repo, invocation_id, skipped=self._skipped
            )
        return self._jobs_of(found)

    def find_jobs(self, query: JobQuery) -> tuple[tuple[Job, ...], str | None]:
        """Return one page of jobs, oldest first, and the `after` of the next page if any."""
        after = int(query.after) if query.after and query.after.isdigit() else 0
        statuses = None
        if query.statuses is not None:
            statuses = [status.value for status in query.statuses]
        with self._guarded():
            found, following = pages.page_of_jobs(
                self._db,
                self._repo,
                invocation_id=query.invocation_id,
                worktree=None if query.worktree is None else storable(query.worktree),
                name=None if query.name is None else storable(query.name),
                statuses=statuses,
                limit=query.limit,
                after=after,
                skipped=self._skipped,
            )
        return self._jobs_of(found), None if following is None else str(following)

    def unfinished(self) -> tuple[Job, ...]:
        """Return every job that is not final, in the order they were recorded."""
        with self._guarded():
            found = ledger.unfinished_jobs(self._db, self._repo, skipped=self._skipped)
        return self._jobs_of(found)

    def invocation(self, invocation_id: str) -> Invocation | None:
        """Return one invocation."""
        with self._guarded():
            row = ledger.get_invocation(self._db, self._repo, invocation_id, skipped=self._skipped)
        return next(iter(self._invocations_of([] if row is None else [row])), None)

    def recent_invocations(self, *, limit: int = 200) -> tuple[Invocation, ...]:
        """Return the newest invocations, newest first."""
        with self._guarded():
            found = ledger.recent_invocations(
                self._db, self._repo, limit=limit, skipped=self._skipped
            )
        return self._invocations_of(found)

    def durations(self) -> Mapping[tuple[str, str], float]:
        """Return (hook type, job name) -> seconds that job usually takes."""
        with self._guarded():
            known = ledger.durations(self._db, self._repo)
        return {key: wall_ms / 1000 for key, wall_ms in known.items()}

    def register(self, owner: Owner) -> None:
        """Make `owner` known."""
        row = CoordinatorRow(
            id=owner.id,
            repo_hash=self._repo,
            kind=owner.kind,
            pid=owner.process.pid,
            pgid=owner.process.pgid,
            proc_start=owner.process.start,
            boot_id=owner.process.boot_id,
            started_at=to_text(datetime.now(UTC)),
            ended_at=None,
            socket_path=owner.socket_path,
            program_version=owner.version,
        )
        with self._guarded():
            owners.register(self._db, row)
        self._registered[owner.id] = row

    def retire(self, owner_id: str) -> None:
        """Note that an owner has ended in good order."""
        self._registered.pop(owner_id, None)
        with self._guarded():
            owners.retire(self._db, owner_id, to_text(datetime.now(UTC)))

    def owners(self) -> tuple[Owner, ...]:
        """Return every owner that did not retire."""
        with self._guarded():
            found = owners.live(self._db, self._repo)
        return tuple(
            Owner(
                id=row.id,
                kind=row.kind,
                process=ProcessIdentity(
                    pid=row.pid, pgid=row.pgid, start=row.proc_start, boot_id=row.boot_id
                ),
                socket_path=row.socket_path,
                version=row.program_version,
            )
            for row in found
        )

    def record_skipped_fire(self, invocation: Invocation) -> None:
        """Record a fire that was skipped whole, in place of an earlier one of its kind."""
        with self._guarded():
            ledger.record_skipped_fire(self._db, rows.invocation_row(self._repo, invocation))

    def clear_skipped_fires(self, hook_type: str, worktree: str) -> None:
        """Forget the skipped fires of a hook and worktree: the hook may run now."""
        with self._guarded():
            ledger.clear_skipped_fires(self._db, self._repo, hook_type, worktree)

    def take_lease(self, lease: Lease) -> Lease | None:
        """Keep the lease unless its worktree has one; return the one in the way, or None."""
        with self._guarded():
            found = leases.take(self._db, rows.lease_row(self._repo, lease))
        return None if found is None else rows.lease_of(found)

    def drop_lease(self, lease_id: str) -> None:
        """Forget a lease."""
        with self._guarded():
            leases.drop(self._db, self._repo, lease_id)

    def relabel(self, worktree: str, to: str, *, old_path: str, path: str) -> int:
        """Move every invocation from one label to another, whole, those that have ended too."""
        with self._guarded():
            return leases.relabel(
                self._db,
                self._repo,
                storable(worktree),
                storable(to),
                old_path=storable(old_path),
                path=storable(path),
                place=partial(rows.moved_directory, old_path=old_path, path=path),
            )

    def log_directory(self, job: Job) -> str | None:
        """Return the directory for the job's log, created.

        Raises: StoreUnavailable when something is in the way.
        """
        try:
            if job.invocation_id == self._has_directory:
                return self._places.further_job_directory(job.invocation_id, job.dir_name)
            path = self._places.job_directory(
                job.invocation_id,
                job.dir_name,
                create=True,
                closed=lambda *place: self._report(closing([place])),
            )
        except (StoreError, OSError) as error:
            raise StoreUnavailable(str(error)) from error
        self._has_directory = job.invocation_id
        return path

    def history(self) -> SqliteHistory:
        """Return the same record as clean-up sees it; it closes with this store."""
        from .sqlite_history import SqliteHistory  # most commands clean up nothing

        return SqliteHistory(lambda: self._db, self._places, report=self._report)

    def wait_at_most(self, busy_ms: int) -> None:
        """Have no statement wait longer than this for another process from now on."""
        self._file.wait_at_most(busy_ms)

    def close(self) -> None:
        """Let go of the file. Calling it again does nothing."""
        self._file.close()

    def _check_leases(self, jobs: Sequence[Job], mine: str | None) -> None:
        for worktree in {job.worktree for job in jobs if not job.status.is_final}:
            found = leases.in_the_way(self._db, self._repo, storable(worktree), mine=mine)
            if found is not None:
                raise WorktreeLeased(rows.lease_of(found))

    # --- translation --------------------------------------------------------------------------

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Do one transaction on the file that is at the path now."""
        try:
            if self._file.follow():
                self._make_ourselves_known()
            yield
        except apsw.ConstraintError:
            raise  # a mistake of the caller's, not trouble of the store's
        except apsw.Error as error:
            trouble = bringup.translated(error, self._places.database)
            if isinstance(trouble, StoreCorrupt):
                self._start_anew()
            raise StoreUnavailable(str(trouble)) from error
        except (StoreError, OSError) as error:
            raise StoreUnavailable(str(error)) from error

    def _start_anew(self) -> None:
        """Put a sound store in the place of the damaged one; the caller tries again."""
        try:
            if self._file.set_aside():
                self._make_ourselves_known()
        except (apsw.Error, StoreError, OSError) as error:
            raise StoreUnavailable(f"{self._places.database} is damaged: {error}") from error

    def _make_ourselves_known(self) -> None:
        for row in self._registered.values():
            owners.register(self._db, row)

    def _jobs_of(self, found: Sequence[JobRow]) -> tuple[Job, ...]:
        return self._translated(found, rows.job_of, lambda row: f"job {row.name!r}")

    def _invocations_of(self, found: Sequence[InvocationRow]) -> tuple[Invocation, ...]:
        return self._translated(
            found, rows.invocation_of, lambda row: f"invocation {row.invocation_id!r}"
        )

    def _translated(
        self,
        found: Sequence[Row],
        translate: Callable[[Row], Value],
        name_of: Callable[[Row], str],
    ) -> tuple[Value, ...]:
        """Return the rows as values. One that makes no sense is told once and left out."""
        values: list[Value] = []
        for row in found:
            try:
                values.append(translate(row))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                self._skipped(f"{name_of(row)}: {error!r}")
        return tuple(values)

    def _skipped(self, what: str) -> None:
        if what not in self._reported:
            self._reported.add(what)
            self._report(f"a row of the job store cannot be read and is left out ({what})")
