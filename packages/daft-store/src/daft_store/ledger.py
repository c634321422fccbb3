"""Invocations and jobs: every statement on them. SQL is fixed text with bound parameters.

Functions that return rows leave out the ones whose text is not UTF-8 when they are given
`skipped`, which is called with the reason; without it such a row raises UnreadableRow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

import apsw

from .errors import UnreadableRow
from .rows import InvocationRow, JobMove, JobRow, named, values
from .texts import readable
from .transactions import writing

UNFINISHED = frozenset({"queued", "waiting", "running", "cancelling"})
"""Statuses of a job that has not ended; what is in none of them is final."""

INSERT_INVOCATION = """
INSERT INTO invocations (
    repo_hash, invocation_id, trigger_command, hook_type, worktree, worktree_id, worktree_path,
    created_at, coordinator_id, status, skip_reason, source)
VALUES (
    :repo_hash, :invocation_id, :trigger_command, :hook_type, :worktree, :worktree_id,
    :worktree_path, :created_at, :coordinator_id, :status, :skip_reason, :source)
"""

INSERT_JOB = """
INSERT INTO jobs (
    job_uid, repo_hash, invocation_id, name, position, dir_name, hook_type, worktree, command,
    working_dir, env_json, removed_env_json, spec_json, needs_json, full_needs_json, tags_json,
    background, declared_background, status, queued_at, started_at, finished_at, updated_at,
    duration_ms, exit_code, term_signal, end_reason, end_detail, pid, pgid, proc_start, boot_id,
    coordinator_id, retention_seconds, max_log_size_bytes, log_bytes, log_records, log_dropped,
    retry_of_invocation, retry_of_name)
VALUES (
    :job_uid, :repo_hash, :invocation_id, :name, :position, :dir_name, :hook_type, :worktree,
    :command, :working_dir, :env_json, :removed_env_json, :spec_json, :needs_json,
    :full_needs_json, :tags_json, :background, :declared_background, :status, :queued_at,
    :started_at, :finished_at, :updated_at, :duration_ms, :exit_code, :term_signal, :end_reason,
    :end_detail, :pid, :pgid, :proc_start, :boot_id, :coordinator_id, :retention_seconds,
    :max_log_size_bytes, :log_bytes, :log_records, :log_dropped, :retry_of_invocation,
    :retry_of_name)
"""

MOVE_JOB = """
UPDATE jobs
   SET status = :status,
       updated_at = :at,
       coordinator_id = CASE WHEN :set_owner THEN :coordinator_id ELSE coordinator_id END,
       started_at = coalesce(:started_at, started_at),
       finished_at = coalesce(:finished_at, finished_at),
       duration_ms = coalesce(:duration_ms, duration_ms),
       exit_code = coalesce(:exit_code, exit_code),
       term_signal = coalesce(:term_signal, term_signal),
       end_reason = coalesce(:end_reason, end_reason),
       end_detail = coalesce(:end_detail, end_detail),
       pid = coalesce(:pid, pid),
       pgid = coalesce(:pgid, pgid),
       proc_start = coalesce(:proc_start, proc_start),
       boot_id = coalesce(:boot_id, boot_id),
       log_bytes = coalesce(:log_bytes, log_bytes),
       log_records = coalesce(:log_records, log_records),
       log_dropped = coalesce(:log_dropped, log_dropped)
 WHERE job_uid = :job_uid
   AND instr(:allowed, ' ' || status || ' ')
   AND (:only_of IS NULL OR coordinator_id = :only_of)
   AND (status = 'queued' OR status = 'waiting' OR status = 'running' OR status = 'cancelling')
"""
_MOVED = attrgetter(
    "status", "at", "set_owner", "coordinator_id", "started_at", "finished_at", "duration_ms",
    "exit_code", "term_signal", "end_reason", "end_detail", "pid", "pgid", "proc_start", "boot_id",
    "log_bytes", "log_records", "log_dropped", "job_uid", "allowed", "only_of",
)  # fmt: skip
"""What `MOVE_JOB` binds, in the order of its parameters: faster than by name."""

REMEMBER_DURATION = """
INSERT INTO job_durations (repo_hash, hook_type, name, runs, wall_ms, updated_at)
SELECT repo_hash, hook_type, name, 1, duration_ms, updated_at FROM jobs WHERE job_uid = :uid
    ON CONFLICT (repo_hash, hook_type, name) DO UPDATE
   SET runs = runs + 1,
       -- An exponential mean: old runs fade, one odd run does not rule.
       wall_ms = wall_ms + (excluded.wall_ms - wall_ms) * 3 / 10,
       updated_at = excluded.updated_at
"""

CLAIM_JOBS = """
UPDATE jobs SET coordinator_id = :owner
 WHERE repo_hash = :repo AND invocation_id = :invocation
   AND status = 'queued' AND background = 1
   AND coordinator_id IS NOT :owner
   AND NOT EXISTS (
       SELECT 1 FROM coordinators AS other
        WHERE other.id = jobs.coordinator_id AND other.kind IN ('leader', 'own-leader')
          AND other.ended_at IS NULL
          AND other.id NOT IN (SELECT value FROM json_each(:dead)))
"""
CLAIM_INVOCATION = """
UPDATE invocations SET coordinator_id = :owner
 WHERE repo_hash = :repo AND invocation_id = :invocation
"""

GET_INVOCATION = """
SELECT repo_hash, invocation_id, trigger_command, hook_type, worktree, worktree_id, worktree_path,
       created_at, coordinator_id, status, skip_reason, source, job_count, unfinished_count,
       failed_count
  FROM invocations WHERE repo_hash = ? AND invocation_id = ?
"""
RECENT_INVOCATIONS = """
SELECT repo_hash, invocation_id, trigger_command, hook_type, worktree, worktree_id, worktree_path,
       created_at, coordinator_id, status, skip_reason, source, job_count, unfinished_count,
       failed_count
  FROM invocations
 WHERE repo_hash = :repo AND (:worktree IS NULL OR worktree = :worktree)
   AND (:hook IS NULL OR hook_type = :hook)
 ORDER BY created_at DESC, invocation_id DESC LIMIT :limit
"""
JOB_BY_UID = """
SELECT job_uid, repo_hash, invocation_id, name, position, dir_name, hook_type, worktree, command,
       working_dir, env_json, removed_env_json, spec_json, needs_json, full_needs_json, tags_json,
       background, declared_background, status, queued_at, started_at, finished_at, updated_at,
       duration_ms, exit_code, term_signal, end_reason, end_detail, pid, pgid, proc_start, boot_id,
       coordinator_id, retention_seconds, max_log_size_bytes, log_bytes, log_records, log_dropped,
       retry_of_invocation, retry_of_name
  FROM jobs WHERE job_uid = ?
"""
JOBS_OF_INVOCATION = """
SELECT job_uid, repo_hash, invocation_id, name, position, dir_name, hook_type, worktree, command,
       working_dir, env_json, removed_env_json, spec_json, needs_json, full_needs_json, tags_json,
       background, declared_background, status, queued_at, started_at, finished_at, updated_at,
       duration_ms, exit_code, term_signal, end_reason, end_detail, pid, pgid, proc_start, boot_id,
       coordinator_id, retention_seconds, max_log_size_bytes, log_bytes, log_records, log_dropped,
       retry_of_invocation, retry_of_name
  FROM jobs WHERE repo_hash = ? AND invocation_id = ? ORDER BY position, name
"""
UNFINISHED_JOBS = """
SELECT job_uid, repo_hash, invocation_id, name, position, dir_name, hook_type, worktree, command,
       working_dir, env_json, removed_env_json, spec_json, needs_json, full_needs_json, tags_json,
       background, declared_background, status, queued_at, started_at, finished_at, updated_at,
       duration_ms, exit_code, term_signal, end_reason, end_detail, pid, pgid, proc_start, boot_id,
       coordinator_id, retention_seconds, max_log_size_bytes, log_bytes, log_records, log_dropped,
       retry_of_invocation, retry_of_name
  FROM jobs INDEXED BY jobs_unfinished
 WHERE repo_hash = ? AND status IN ('queued', 'waiting', 'running', 'cancelling')
   AND (status = 'queued' OR status = 'waiting' OR status = 'running' OR status = 'cancelling')
 ORDER BY rowid
"""
DURATIONS = "SELECT hook_type, name, wall_ms FROM job_durations WHERE repo_hash = ?"

DELETE_SKIPPED_FIRES = """
DELETE FROM invocations
 WHERE repo_hash = :repo AND hook_type = :hook AND worktree = :worktree
   AND status = 'skipped' AND job_count = 0
"""


Skipped = Callable[[str], None]


def refuse_row(what: str) -> None:
    """What becomes of a row that cannot be read where nobody is told of it.

    Raises: UnreadableRow.
    """
    raise UnreadableRow(what)


def insert_submission(
    db: apsw.Connection, invocation: InvocationRow | None, jobs: Sequence[JobRow]
) -> None:
    """Add an invocation (None: it is there already) and its jobs, all or nothing.

    Raises: apsw.ConstraintError when the invocation, or a job's name in it, exists already or
    the invocation does not.
    """
    with writing(db):
        if invocation is not None:
            db.execute(INSERT_INVOCATION, named(invocation))
        for job in jobs:
            db.execute(INSERT_JOB, values(job))


def move_jobs(db: apsw.Connection, moves: Iterable[JobMove]) -> list[bool]:
    """Make each move whose guard holds, in one transaction; False: it was refused.

    A job that has ended is never moved, whatever `allowed` says. One that becomes completed
    adds its duration to what is known of it.
    """
    with writing(db):
        return [_move(db, move) for move in moves]


def move_jobs_together(db: apsw.Connection, moves: Iterable[JobMove]) -> bool:
    """Make all moves, as `move_jobs` does, or none where a guard does not hold."""
    try:
        with writing(db):
            for move in moves:
                if not _move(db, move):
                    raise _Refused
    except _Refused:
        return False
    return True


class _Refused(Exception):
    """A move of several was refused."""


def _move(db: apsw.Connection, move: JobMove) -> bool:
    db.execute(MOVE_JOB, _MOVED(move))
    if db.changes() != 1:
        return False
    if move.status == "completed" and move.duration_ms is not None:
        db.execute(REMEMBER_DURATION, {"uid": move.job_uid})
    return True


def claim_invocation(
    db: apsw.Connection,
    repo: str,
    invocation_id: str,
    owner: str,
    *,
    dead_owners: Sequence[str] = (),
    skipped: Skipped = refuse_row,
) -> list[JobRow]:
    """Give the queued background jobs of an invocation to `owner`; return all its jobs.

    Jobs of another leader that has not ended are left to it, unless it is in `dead_owners`.
    """
    with writing(db):
        db.execute(
            CLAIM_JOBS,
            {
                "repo": repo,
                "invocation": invocation_id,
                "owner": owner,
                "dead": json.dumps(list(dead_owners)),
            },
        )
        if db.changes():
            db.execute(
                CLAIM_INVOCATION, {"repo": repo, "invocation": invocation_id, "owner": owner}
            )
        return jobs_of_invocation(db, repo, invocation_id, skipped=skipped)


def get_invocation(
    db: apsw.Connection, repo: str, invocation_id: str, *, skipped: Skipped = refuse_row
) -> InvocationRow | None:
    """Return one invocation."""
    row = next(readable(db.execute(GET_INVOCATION, (repo, invocation_id)), skipped), None)
    return None if row is None else InvocationRow(*row)


def recent_invocations(
    db: apsw.Connection,
    repo: str,
    *,
    worktree: str | None = None,
    hook: str | None = None,
    limit: int,
    skipped: Skipped = refuse_row,
) -> list[InvocationRow]:
    """Return the newest invocations, newest first."""
    found = db.execute(
        RECENT_INVOCATIONS, {"repo": repo, "worktree": worktree, "hook": hook, "limit": limit}
    )
    return [InvocationRow(*row) for row in readable(found, skipped)]


def job_by_uid(db: apsw.Connection, uid: str, *, skipped: Skipped = refuse_row) -> JobRow | None:
    """Return one job."""
    row = next(readable(db.execute(JOB_BY_UID, (uid,)), skipped), None)
    return None if row is None else JobRow(*row)


def jobs_of_invocation(
    db: apsw.Connection, repo: str, invocation_id: str, *, skipped: Skipped = refuse_row
) -> list[JobRow]:
    """Return the jobs of an invocation, in the order they were declared."""
    found = db.execute(JOBS_OF_INVOCATION, (repo, invocation_id))
    return [JobRow(*row) for row in readable(found, skipped)]


def unfinished_jobs(
    db: apsw.Connection, repo: str, *, skipped: Skipped = refuse_row
) -> list[JobRow]:
    """Return every job that has not ended, in the order they were recorded."""
    return [JobRow(*row) for row in readable(db.execute(UNFINISHED_JOBS, (repo,)), skipped)]


def durations(db: apsw.Connection, repo: str) -> dict[tuple[str, str], int]:
    """Return (hook type, job name) -> milliseconds it usually takes."""
    return {(hook, name): wall_ms for hook, name, wall_ms in db.execute(DURATIONS, (repo,))}


def record_skipped_fire(db: apsw.Connection, invocation: InvocationRow) -> None:
    """Add a fire that was skipped whole, in place of an earlier one of the same hook and tree.

    It is advice for a replay, not an audit log, so there is at most one of each.
    """
    with writing(db):
        clear_skipped_fires(db, invocation.repo_hash, invocation.hook_type, invocation.worktree)
        db.execute(INSERT_INVOCATION, named(invocation))


def clear_skipped_fires(db: apsw.Connection, repo: str, hook: str, worktree: str) -> None:
    """Forget the skipped fires of a hook and worktree: the hook has run now."""
    with writing(db):
        db.execute(DELETE_SKIPPED_FIRES, {"repo": repo, "hook": hook, "worktree": worktree})
