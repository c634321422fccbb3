"""Jobs in SQLite: the translation between rows and values, and where secrets are left out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import apsw

import daft_store
from daft_protocol.jobs import (
    BackgroundOutput,
    Invocation,
    Job,
    JobSpec,
    LogPolicy,
    ProcessIdentity,
    RunMode,
    Skip,
)
from daft_protocol.status import EndReason, InvocationStatus, JobStatus, SkipKind, Source
from daft_store import bringup, ledger, owners
from daft_store.errors import StoreError
from daft_store.moments import from_text, to_text
from daft_store.places import RepositoryPlaces
from daft_store.redaction import scrub
from daft_store.rows import CoordinatorRow, InvocationRow, JobMove, JobRow

from ..errors import StoreUnavailable
from ..ports import JobChange, JobQuery, Owner
from ..station import Station


def open_station(state_root: str, repository: str) -> Station:
    """Return where the leader of a repository is met, making its directories.

    Raises: StoreError.
    """
    places = RepositoryPlaces(state_root, repository)
    places.make(os.environ)
    return Station(
        repository=repository,
        state_root=state_root,
        lock_path=places.lock,
        socket_path=places.socket(os.environ),
        journal_path=places.journal,
    )


class SqliteJobStore:
    """The job store of one repository. Belongs to the thread that opened it."""

    def __init__(
        self,
        db: apsw.Connection,
        places: RepositoryPlaces,
        *,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._db = db
        self._places = places
        self._repo = places.repository
        self._report = report
        self._reported: set[str] = set()

    @classmethod
    def open(cls, state_root: str, repository: str) -> SqliteJobStore:
        """Open the store of a repository, making it if there is none.

        Raises: StoreError.
        """
        places = RepositoryPlaces(state_root, repository)
        places.make(os.environ)
        return cls(bringup.open_writer(places.database, daft_store.COORDINATOR), places)

    def record(self, invocation: Invocation | None, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """Add an invocation and its jobs. Values that look like secrets are left out."""
        rows = [self._row_of(job) for job in jobs]
        with self._guarded():
            ledger.insert_submission(
                self._db,
                None if invocation is None else self._invocation_row(invocation),
                rows,
            )
        return tuple(self._job_of(row) for row in rows)

    def apply(self, changes: Sequence[JobChange]) -> tuple[bool, ...]:
        """Make each change whose guard holds, all in one transaction."""
        if not changes:
            return ()
        with self._guarded():
            return tuple(ledger.move_jobs(self._db, [_move_of(change) for change in changes]))

    def claim(self, invocation_id: str, owner: str) -> tuple[Job, ...]:
        """Give the queued background jobs of an invocation to `owner`; return all its jobs."""
        at = to_text(datetime.now(UTC))
        with self._guarded():
            # Only the holder of the leader's lock claims; another leader's row is a dead one's.
            dead = [
                row.id
                for row in owners.live(self._db, self._repo)
                if row.kind == "leader" and row.id != owner
            ]
            rows = ledger.claim_invocation(
                self._db, self._repo, invocation_id, owner, at, dead_owners=dead
            )
        return self._jobs_of(rows)

    def job(self, uid: str) -> Job | None:
        """Return one job."""
        with self._guarded():
            row = ledger.job_by_uid(self._db, uid)
        return None if row is None else self._job_of(row)

    def jobs_of(self, invocation_id: str) -> tuple[Job, ...]:
        """Return the jobs of an invocation in the order they were declared."""
        with self._guarded():
            return self._jobs_of(ledger.jobs_of_invocation(self._db, self._repo, invocation_id))

    def find_jobs(self, query: JobQuery) -> tuple[tuple[Job, ...], str | None]:
        """Return one page of jobs, oldest first, and the `after` of the next page if any."""
        after = int(query.after) if query.after and query.after.isdigit() else 0
        statuses = None
        if query.statuses is not None:
            statuses = [status.value for status in query.statuses]
        with self._guarded():
            rows, following = ledger.page_of_jobs(
                self._db,
                self._repo,
                invocation_id=query.invocation_id,
                worktree=query.worktree,
                name=query.name,
                statuses=statuses,
                limit=query.limit,
                after=after,
            )
        return self._jobs_of(rows), None if following is None else str(following)

    def unfinished(self) -> tuple[Job, ...]:
        """Return every job that is not final."""
        with self._guarded():
            return self._jobs_of(ledger.unfinished_jobs(self._db, self._repo))

    def invocation(self, invocation_id: str) -> Invocation | None:
        """Return one invocation."""
        with self._guarded():
            row = ledger.get_invocation(self._db, self._repo, invocation_id)
        return None if row is None else _invocation_of(row)

    def recent_invocations(self, *, limit: int = 200) -> tuple[Invocation, ...]:
        """Return the newest invocations, newest first."""
        with self._guarded():
            rows = ledger.recent_invocations(self._db, self._repo, limit=limit)
        return tuple(_invocation_of(row) for row in rows)

    def durations(self) -> Mapping[tuple[str, str], float]:
        """Return (hook type, job name) -> seconds that job usually takes."""
        with self._guarded():
            known = ledger.durations(self._db, self._repo)
        return {key: wall_ms / 1000 for key, wall_ms in known.items()}

    def register(self, owner: Owner) -> None:
        """Make `owner` known."""
        with self._guarded():
            owners.register(
                self._db,
                CoordinatorRow(
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
                ),
            )

    def retire(self, owner_id: str) -> None:
        """Note that an owner has ended in good order."""
        with self._guarded():
            owners.retire(self._db, owner_id, to_text(datetime.now(UTC)))

    def owners(self) -> tuple[Owner, ...]:
        """Return every owner that did not retire."""
        with self._guarded():
            rows = owners.live(self._db, self._repo)
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
            for row in rows
        )

    def record_skipped_fire(self, invocation: Invocation) -> None:
        """Record a fire that was skipped whole, in place of an earlier one of its kind."""
        with self._guarded():
            ledger.record_skipped_fire(self._db, self._invocation_row(invocation))

    def clear_skipped_fires(self, hook_type: str, worktree: str) -> None:
        """Forget the skipped fires of a hook and worktree: the hook may run now."""
        with self._guarded():
            ledger.clear_skipped_fires(self._db, self._repo, hook_type, worktree)

    def log_directory(self, job: Job) -> str | None:
        """Return the directory for the job's log, created.

        Raises: StoreUnavailable when something is in the way.
        """
        try:
            return self._places.job_directory(job.invocation_id, job.dir_name, create=True)
        except (StoreError, OSError) as error:
            raise StoreUnavailable(str(error)) from error

    def close(self) -> None:
        """Let go of the file. Calling it again does nothing."""
        self._db.close()

    # --- translation --------------------------------------------------------------------------

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except apsw.ConstraintError:
            raise  # a mistake of the caller's, not trouble of the store's
        except apsw.Error as error:
            raise StoreUnavailable(str(bringup.translated(error, self._places.database))) from error

    def _invocation_row(self, invocation: Invocation) -> InvocationRow:
        return InvocationRow(
            repo_hash=self._repo,
            invocation_id=invocation.invocation_id,
            trigger_command=invocation.trigger_command,
            hook_type=invocation.hook_type,
            worktree=invocation.worktree,
            worktree_id=invocation.worktree_id,
            worktree_path=invocation.worktree_path,
            created_at=to_text(invocation.created_at),
            coordinator_id=invocation.coordinator_id,
            status=invocation.status.value,
            skip_reason=invocation.skip_reason,
            source=invocation.source.value,
        )

    def _row_of(self, job: Job) -> JobRow:
        spec = job.spec
        kept, removed = scrub(spec.env)
        process = job.process
        retried = job.retry_of or (None, None)
        return JobRow(
            job_uid=job.uid,
            repo_hash=self._repo,
            invocation_id=job.invocation_id,
            name=spec.name,
            position=job.position,
            dir_name=job.dir_name,
            hook_type=job.hook_type,
            worktree=job.worktree,
            command=spec.command,
            working_dir=spec.working_dir,
            env_json=_json(kept),
            removed_env_json=_json(removed),
            spec_json=_json(_rest_of_spec(job)),
            needs_json=_json(spec.needs),
            full_needs_json=_json(spec.full_needs),
            tags_json=_json(spec.tags),
            background=int(spec.background),
            declared_background=int(spec.declared_background),
            status=job.status.value,
            queued_at=_text(job.queued_at),
            started_at=_text(job.started_at),
            finished_at=_text(job.finished_at),
            updated_at=to_text(job.updated_at),
            duration_ms=job.duration_ms,
            exit_code=job.exit_code,
            term_signal=job.term_signal,
            end_reason=None if job.end_reason is None else job.end_reason.value,
            end_detail=job.end_detail,
            pid=None if process is None else process.pid,
            pgid=None if process is None else process.pgid,
            proc_start=None if process is None else process.start,
            boot_id=None if process is None else process.boot_id,
            coordinator_id=job.owner,
            retention_seconds=spec.log.retention_s,
            max_log_size_bytes=spec.log.limit_bytes,
            log_bytes=job.log_bytes,
            log_records=job.log_records,
            log_dropped=job.log_dropped,
            retry_of_invocation=retried[0],
            retry_of_name=retried[1],
        )

    def _jobs_of(self, rows: Sequence[JobRow]) -> tuple[Job, ...]:
        """Return the rows as jobs. One that cannot be read is reported once and left out."""
        jobs: list[Job] = []
        for row in rows:
            try:
                jobs.append(self._job_of(row))
            except (ValueError, TypeError, KeyError) as error:
                if row.job_uid not in self._reported:
                    self._reported.add(row.job_uid)
                    self._report(f"row of job {row.name!r} cannot be read: {error}")
        return tuple(jobs)

    def _job_of(self, row: JobRow) -> Job:
        rest: dict[str, Any] = json.loads(row.spec_json)
        skip = rest.get("skip")
        process = None
        if row.pid is not None and row.pgid is not None:
            process = ProcessIdentity(
                pid=row.pid,
                pgid=row.pgid,
                start=row.proc_start or "",
                boot_id=row.boot_id or "",
            )
        spec = JobSpec(
            name=row.name,
            command=row.command,
            working_dir=row.working_dir,
            env=json.loads(row.env_json),
            needs=json.loads(row.needs_json),
            full_needs=json.loads(row.full_needs_json),
            background=bool(row.background),
            declared_background=bool(row.declared_background),
            background_output=BackgroundOutput(rest.get("background_output", "log")),
            description=rest.get("description", ""),
            fail_text=rest.get("fail_text", ""),
            interactive=rest.get("interactive", False),
            tags=json.loads(row.tags_json),
            timeout_s=rest.get("timeout_s"),
            priority=rest.get("priority", 0),
            log=LogPolicy(
                retention_s=LogPolicy().retention_s
                if row.retention_seconds is None
                else row.retention_seconds,
                limit_bytes=row.max_log_size_bytes or LogPolicy().limit_bytes,
                keep_every_nth=rest.get("keep_every_nth", 1),
            ),
            skip=None if skip is None else Skip(kind=SkipKind(skip["kind"]), reason=skip["reason"]),
        )
        retry_of = None
        if row.retry_of_invocation is not None and row.retry_of_name is not None:
            retry_of = (row.retry_of_invocation, row.retry_of_name)
        return Job(
            uid=row.job_uid,
            invocation_id=row.invocation_id,
            hook_type=row.hook_type,
            worktree=row.worktree,
            position=row.position,
            spec=spec,
            status=JobStatus.parse(row.status),
            updated_at=from_text(row.updated_at),
            queued_at=_moment(row.queued_at),
            started_at=_moment(row.started_at),
            finished_at=_moment(row.finished_at),
            duration_ms=row.duration_ms,
            exit_code=row.exit_code,
            term_signal=row.term_signal,
            end_reason=EndReason.parse(row.end_reason),
            end_detail=row.end_detail,
            process=process,
            owner=row.coordinator_id,
            dir_name=row.dir_name,
            mode=RunMode(rest.get("mode", "parallel")),
            max_parallel=rest.get("max_parallel"),
            removed_env=tuple(json.loads(row.removed_env_json)),
            log_bytes=row.log_bytes,
            log_records=row.log_records,
            log_dropped=row.log_dropped,
            retry_of=retry_of,
        )


def _rest_of_spec(job: Job) -> dict[str, Any]:
    """Return what has no column of its own, for a faithful run by somebody else."""
    spec = job.spec
    rest: dict[str, Any] = {
        "background_output": spec.background_output.value,
        "timeout_s": spec.timeout_s,
        "mode": job.mode.value,
    }
    optional = {
        "description": spec.description,
        "fail_text": spec.fail_text,
        "interactive": spec.interactive,
        "priority": spec.priority,
        "max_parallel": job.max_parallel,
    }
    rest.update({name: value for name, value in optional.items() if value})
    if spec.log.keep_every_nth != 1:
        rest["keep_every_nth"] = spec.log.keep_every_nth
    if spec.skip is not None:
        rest["skip"] = {"kind": spec.skip.kind.value, "reason": spec.skip.reason}
    return rest


def _move_of(change: JobChange) -> JobMove:
    process = change.process
    return JobMove(
        job_uid=change.job_uid,
        allowed=json.dumps([status.value for status in change.allowed]),
        status=change.to.value,
        at=to_text(change.at),
        set_owner=change.set_owner,
        coordinator_id=change.owner,
        started_at=_text(change.started_at),
        finished_at=_text(change.finished_at),
        duration_ms=change.duration_ms,
        exit_code=change.exit_code,
        term_signal=change.term_signal,
        end_reason=None if change.end_reason is None else change.end_reason.value,
        end_detail=change.end_detail,
        pid=None if process is None else process.pid,
        pgid=None if process is None else process.pgid,
        proc_start=None if process is None else process.start,
        boot_id=None if process is None else process.boot_id,
        log_bytes=change.log_bytes,
        log_records=change.log_records,
        log_dropped=change.log_dropped,
    )


def _invocation_of(row: InvocationRow) -> Invocation:
    return Invocation(
        invocation_id=row.invocation_id,
        hook_type=row.hook_type,
        trigger_command=row.trigger_command,
        worktree=row.worktree,
        worktree_id=row.worktree_id,
        worktree_path=row.worktree_path,
        source=Source(row.source),
        created_at=from_text(row.created_at),
        status=InvocationStatus(row.status),
        skip_reason=row.skip_reason,
        coordinator_id=row.coordinator_id,
    )


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)
