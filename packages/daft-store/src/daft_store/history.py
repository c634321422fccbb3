"""What clean-up reads of the record and takes out of it. SQL is fixed text, parameters are bound.

Rows and files go together: the transaction that deletes rows leaves a tombstone naming the
directory, and the tombstone goes when the directory has. Whoever dies in between leaves the
tombstone to the next pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw
from attrs import asdict, frozen

from .bringup import WRITER_BUSY_MS
from .texts import readable
from .transactions import writing

PASSES_KEPT = 50
CHECKPOINT_BUSY_MS = 100
FIRST_VERSION = 2
"""The schema version that brought these tables; a reader may meet an older file."""

INVOCATIONS = """
SELECT invocation_id, worktree, created_at, pinned
  FROM invocations WHERE repo_hash = ? ORDER BY created_at, invocation_id
"""
JOBS = """
SELECT invocation_id, job_uid, name, dir_name, status,
       coalesce(finished_at, started_at, queued_at, updated_at), retention_seconds, log_records
  FROM jobs WHERE repo_hash = ? ORDER BY invocation_id, name
"""
RUNNING = """
SELECT jobs.job_uid, jobs.pid, jobs.pgid, jobs.proc_start, jobs.boot_id,
       owner.pid, owner.pgid, owner.proc_start, owner.boot_id
  FROM jobs INDEXED BY jobs_unfinished
  LEFT JOIN coordinators AS owner ON owner.id = jobs.coordinator_id AND owner.ended_at IS NULL
 WHERE jobs.repo_hash = ? AND jobs.status IN ('queued', 'waiting', 'running', 'cancelling')
   AND (jobs.status = 'queued' OR jobs.status = 'waiting' OR jobs.status = 'running'
        OR jobs.status = 'cancelling')
   AND jobs.status = 'running'
"""
KNOWN = "SELECT EXISTS (SELECT 1 FROM invocations WHERE repo_hash = ? AND invocation_id = ?)"
KNOWN_DIRECTORY = """
SELECT EXISTS (
    SELECT 1 FROM jobs WHERE repo_hash = ? AND invocation_id = ? AND dir_name = ?)
"""

# An invocation is only touched as it was seen: whatever was added, pinned or begun since then
# makes the guard fail, and nothing of it is removed.
GUARD = """
SELECT worktree FROM invocations
 WHERE repo_hash = :repo AND invocation_id = :invocation AND pinned = 0
   AND unfinished_count = 0 AND job_count = :expected
"""
BURY_JOB = """
INSERT OR IGNORE INTO tombstones (repo_hash, invocation_id, dir_name, buried_at)
SELECT repo_hash, invocation_id, dir_name, :at FROM jobs
 WHERE repo_hash = :repo AND job_uid = :uid AND invocation_id = :invocation
   AND status NOT IN ('queued', 'waiting', 'running', 'cancelling')
"""
DELETE_JOB = """
DELETE FROM jobs
 WHERE repo_hash = :repo AND job_uid = :uid AND invocation_id = :invocation
   AND status NOT IN ('queued', 'waiting', 'running', 'cancelling')
"""
BURY_INVOCATION = """
INSERT OR IGNORE INTO tombstones (repo_hash, invocation_id, dir_name, buried_at)
VALUES (:repo, :invocation, '', :at)
"""
DELETE_JOBS = "DELETE FROM jobs WHERE repo_hash = :repo AND invocation_id = :invocation"
DELETE_INVOCATION = (
    "DELETE FROM invocations WHERE repo_hash = :repo AND invocation_id = :invocation"
)

TOMBSTONES = """
SELECT invocation_id, dir_name FROM tombstones WHERE repo_hash = ? ORDER BY buried_at
"""
DROP_TOMBSTONE = """
DELETE FROM tombstones WHERE repo_hash = ? AND invocation_id = ? AND dir_name = ?
"""
PIN = "UPDATE invocations SET pinned = :pinned WHERE repo_hash = :repo AND invocation_id = :id"

ADD_CLEANING = """
INSERT INTO evictions (repo_hash, at, reason, invocations, jobs, bytes, stale, trouble_json)
VALUES (:repo_hash, :at, :reason, :invocations, :jobs, :bytes, :stale, :trouble_json)
"""
FORGET_PASSES = """
DELETE FROM evictions WHERE repo_hash = :repo AND number NOT IN (
    SELECT number FROM evictions WHERE repo_hash = :repo ORDER BY number DESC LIMIT :keep)
"""
PASSES = """
SELECT repo_hash, at, reason, invocations, jobs, bytes, stale, trouble_json
  FROM evictions WHERE repo_hash = ? ORDER BY number DESC LIMIT ?
"""
CLOCK = """
SELECT boot_id, since_boot_ms, wall_at, trust, doubted_since_ms
  FROM retention_clock WHERE repo_hash = ?
"""
SET_CLOCK = """
INSERT INTO retention_clock (
    repo_hash, boot_id, since_boot_ms, wall_at, trust, doubted_since_ms)
VALUES (:repo, :boot_id, :since_boot_ms, :wall_at, :trust, :doubted_since_ms)
    ON CONFLICT (repo_hash) DO UPDATE
   SET boot_id = excluded.boot_id, since_boot_ms = excluded.since_boot_ms,
       wall_at = excluded.wall_at, trust = excluded.trust,
       doubted_since_ms = excluded.doubted_since_ms
"""

REPOSITORY = "SELECT common_dir, seen_at FROM repositories WHERE repo_hash = ?"
SET_REPOSITORY = """
INSERT INTO repositories (repo_hash, common_dir, seen_at) VALUES (:repo, :common_dir, :at)
    ON CONFLICT (repo_hash) DO UPDATE
   SET common_dir = excluded.common_dir, seen_at = excluded.seen_at
 WHERE common_dir <> excluded.common_dir
"""
VACUUM = "PRAGMA incremental_vacuum(2000)"
CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"

Rows = list[tuple[Any, ...]]


@frozen
class EvictionRow:
    """What one transaction takes out of an invocation.

    expected: how many jobs the invocation has; with any other number it is left alone.
    job_uids: the jobs to delete; None: all of them, and the invocation itself.
    """

    invocation_id: str
    expected: int
    job_uids: tuple[str, ...] | None


@frozen
class PassRow:
    """One row of `evictions`: what a clean-up pass removed."""

    repo_hash: str
    at: str
    reason: str
    invocations: int
    jobs: int
    bytes: int
    stale: int
    trouble_json: str


@frozen
class ClockRow:
    """One row of `retention_clock`: when the last pass looked, on each of two clocks."""

    boot_id: str
    since_boot_ms: int
    wall_at: str
    trust: str
    doubted_since_ms: int | None


def has_tables(db: apsw.Connection) -> bool:
    """True when the file has taken the step that brought the tables of this module."""
    return int(db.pragma("user_version")) >= FIRST_VERSION


def kept(db: apsw.Connection, repo: str, *, skipped: Callable[[str], None]) -> tuple[Rows, Rows]:
    """Return (invocations, jobs) as tuples in the columns of INVOCATIONS and JOBS, one moment's.

    skipped: told of each row that cannot be read and is left out.
    """
    db.execute("BEGIN")
    try:
        invocations = list(readable(db.execute(INVOCATIONS, (repo,)), skipped))
        return invocations, list(readable(db.execute(JOBS, (repo,)), skipped))
    finally:
        if not db.get_autocommit():
            db.execute("COMMIT")


def running(db: apsw.Connection, repo: str, *, skipped: Callable[[str], None]) -> Rows:
    """Return running jobs as tuples in the columns of RUNNING; NULLs for what nobody answers."""
    return list(readable(db.execute(RUNNING, (repo,)), skipped))


def evict(db: apsw.Connection, repo: str, evictions: Sequence[EvictionRow], at: str) -> list[bool]:
    """Delete rows and leave tombstones, all in one transaction; False: the guard did not hold."""
    done: list[bool] = []
    with writing(db):
        for eviction in evictions:
            key = {"repo": repo, "invocation": eviction.invocation_id}
            guard = db.execute(GUARD, {**key, "expected": eviction.expected})
            seen = guard.fetchone() is not None
            if seen and eviction.job_uids is None:
                db.execute(BURY_INVOCATION, {**key, "at": at})
                db.execute(DELETE_JOBS, key)
                db.execute(DELETE_INVOCATION, key)
            elif seen:
                for uid in eviction.job_uids or ():
                    db.execute(BURY_JOB, {**key, "uid": uid, "at": at})
                    db.execute(DELETE_JOB, {**key, "uid": uid})
            done.append(seen)
    return done


def is_known(db: apsw.Connection, repo: str, invocation_id: str, dir_name: str) -> bool:
    """True when a row accounts for an invocation's directory, or, with `dir_name`, a job's."""
    if dir_name:
        return bool(db.execute(KNOWN_DIRECTORY, (repo, invocation_id, dir_name)).get)
    return bool(db.execute(KNOWN, (repo, invocation_id)).get)


def pin(db: apsw.Connection, repo: str, invocation_id: str, *, pinned: bool) -> bool:
    """Protect an invocation from clean-up, or stop doing so; False: there is no such invocation."""
    db.execute(PIN, {"repo": repo, "id": invocation_id, "pinned": int(pinned)})
    return db.changes() == 1


def add_pass(db: apsw.Connection, row: PassRow) -> None:
    """Add a pass to the history, which keeps the last PASSES_KEPT."""
    with writing(db):
        db.execute(ADD_CLEANING, asdict(row))
        db.execute(FORGET_PASSES, {"repo": row.repo_hash, "keep": PASSES_KEPT})


def passes(db: apsw.Connection, repo: str, limit: int = PASSES_KEPT) -> list[PassRow]:
    """Return the newest passes, newest first."""
    return [PassRow(*row) for row in db.execute(PASSES, (repo, limit))]


def clock(db: apsw.Connection, repo: str) -> ClockRow | None:
    """Return what the last pass saw of the clocks, None when there was none."""
    row = db.execute(CLOCK, (repo,)).fetchone()
    return None if row is None else ClockRow(*row)


def set_clock(db: apsw.Connection, repo: str, row: ClockRow) -> None:
    """Keep what this pass saw of the clocks for the next one."""
    db.execute(SET_CLOCK, {"repo": repo, **asdict(row)})


def describe_repository(db: apsw.Connection, repo: str, common_dir: str, at: str) -> None:
    """Remember where the repository is; writes only when that is news."""
    known = repository_place(db, repo)
    if known is None or known[0] != common_dir:
        db.execute(SET_REPOSITORY, {"repo": repo, "common_dir": common_dir, "at": at})


def repository_place(db: apsw.Connection, repo: str) -> tuple[str, str] | None:
    """Return (git common directory, when it was told), None if it never was."""
    if not has_tables(db):
        return None
    row = db.execute(REPOSITORY, (repo,)).fetchone()
    return None if row is None else (row[0], row[1])


def shrink(db: apsw.Connection) -> None:
    """Empty the write-ahead log and give free pages back to the disk.

    The log first: that takes no room, and may make what the rest needs. In small transactions,
    so that no other writer waits for long. A reader that is at work keeps the log from being
    emptied; then a later pass does it.
    Raises: apsw.Error; what was given back till then stays so.
    """
    _empty_log(db)
    while True:
        before = db.pragma("freelist_count")
        for _ in db.execute(VACUUM) if before else ():
            pass  # drained, so that it has really run
        # Not less than before: somebody frees pages as we go, or the file was made without.
        if not 0 < db.pragma("freelist_count") < before:
            break
    _empty_log(db)


def _empty_log(db: apsw.Connection) -> None:
    # It holds the writers up while it waits for readers, so it must not wait for long.
    db.set_busy_timeout(CHECKPOINT_BUSY_MS)
    try:
        for _ in db.execute(CHECKPOINT):
            pass  # one row: whether a reader was in the way
    finally:
        db.set_busy_timeout(WRITER_BUSY_MS)
