"""The shortest way from a store to the rows a listing shows.

A shell prompt and a Tab key wait for this module, so it imports apsw and nothing else of
weight, returns plain tuples, and reads one page, however long the history is.
"""

from __future__ import annotations

import os

import apsw

from .texts import readable, storable

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from collections.abc import Callable
    from typing import Any

    Rows = list[tuple[Any, ...]]

APPLICATION_ID = 0x44465059
SCHEMA_VERSION = 5
BUSY_MS = 300
# As in `stat`, said here to spare the import.
_KIND_OF_FILE = 0o170000
_REGULAR_FILE = 0o100000
_DIRECTORY = 0o040000
_OF_AN_ID = frozenset("0123456789abcdef-")

INVOCATION_COLUMNS = (
    "invocation_id",
    "worktree",
    "hook_type",
    "trigger_command",
    "created_at",
    "status",
    "skip_reason",
    "job_count",
    "unfinished_count",
    "failed_count",
    "worktree_path",
)
JOB_COLUMNS = (
    "invocation_id",
    "name",
    "status",
    "background",
    "started_at",
    "finished_at",
    "duration_ms",
    "exit_code",
    "term_signal",
    "end_reason",
    "end_detail",
    "command",
    "log_bytes",
    "job_uid",
    "dir_name",
    "queued_at",
    "coordinator_id",
    "tags_json",
)
OWNER_COLUMNS = ("coordinator_id", "pid", "proc_start", "boot_id", "kind")

_HAS_TABLES = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)"
_INVOCATIONS = """
SELECT invocation_id, worktree, hook_type, trigger_command, created_at, status, skip_reason,
       job_count, unfinished_count, failed_count, worktree_path
  FROM invocations
 WHERE repo_hash = :repo
 ORDER BY created_at DESC, invocation_id DESC LIMIT :limit
"""
# Statements of their own: with "this or any" in one, SQLite walks the times of everything.
_INVOCATIONS_OF_HOOK = """
SELECT invocation_id, worktree, hook_type, trigger_command, created_at, status, skip_reason,
       job_count, unfinished_count, failed_count, worktree_path
  FROM invocations
 WHERE repo_hash = :repo AND hook_type = :hook
 ORDER BY created_at DESC, invocation_id DESC LIMIT :limit
"""
_INVOCATIONS_OF_WORKTREE = """
SELECT invocation_id, worktree, hook_type, trigger_command, created_at, status, skip_reason,
       job_count, unfinished_count, failed_count, worktree_path
  FROM invocations
 WHERE repo_hash = :repo AND worktree = :worktree
   AND (:hook IS NULL OR hook_type = :hook)
 ORDER BY created_at DESC, invocation_id DESC LIMIT :limit
"""
# How many jobs have a status, as far as it matters: counted in the indexes that find them.
_COUNT_WITH_STATUS = """
SELECT count(*) FROM (
    SELECT 1 FROM jobs
     WHERE repo_hash = :repo AND status IN (SELECT value FROM json_each(:statuses))
       AND status NOT IN ('queued', 'waiting', 'running', 'cancelling', 'completed')
       AND status <> 'queued' AND status <> 'waiting' AND status <> 'running'
       AND status <> 'cancelling' AND status <> 'completed'
     UNION ALL
    SELECT 1 FROM jobs INDEXED BY jobs_unfinished
     WHERE repo_hash = :repo AND status IN (SELECT value FROM json_each(:statuses))
       AND status IN ('queued', 'waiting', 'running', 'cancelling')
       AND (status = 'queued' OR status = 'waiting' OR status = 'running'
            OR status = 'cancelling')
     LIMIT :most)
"""
# A status that is common is found among the newest. One that is not has few rows, which an
# index finds; `+` keeps SQLite from walking the times instead.
_NEWEST_WITH_STATUS = """
SELECT invocation_id, worktree, hook_type, trigger_command, created_at, status, skip_reason,
       job_count, unfinished_count, failed_count, worktree_path
  FROM (SELECT repo_hash, invocation_id, worktree, hook_type, trigger_command, created_at, status,
               skip_reason, job_count, unfinished_count, failed_count, worktree_path
          FROM invocations
         WHERE repo_hash = :repo
           AND (:worktree IS NULL OR worktree = :worktree)
           AND (:hook IS NULL OR hook_type = :hook)
         ORDER BY created_at DESC, invocation_id DESC LIMIT :window) AS newest
 WHERE EXISTS (
        SELECT 1 FROM jobs
         WHERE jobs.repo_hash = :repo AND jobs.invocation_id = newest.invocation_id
           AND jobs.status IN (SELECT value FROM json_each(:statuses)))
 ORDER BY created_at DESC, invocation_id DESC LIMIT :limit
"""
_ALL_WITH_STATUS = """
SELECT invocation_id, worktree, hook_type, trigger_command, created_at, status, skip_reason,
       job_count, unfinished_count, failed_count, worktree_path
  FROM invocations
 WHERE repo_hash = :repo
   AND (:worktree IS NULL OR worktree = :worktree)
   AND (:hook IS NULL OR hook_type = :hook)
   AND invocation_id IN (
        SELECT invocation_id FROM jobs
         WHERE repo_hash = :repo AND status IN (SELECT value FROM json_each(:statuses))
           AND status NOT IN ('queued', 'waiting', 'running', 'cancelling', 'completed')
           AND status <> 'queued' AND status <> 'waiting' AND status <> 'running'
           AND status <> 'cancelling' AND status <> 'completed'
         UNION ALL
        SELECT invocation_id FROM jobs INDEXED BY jobs_unfinished
         WHERE repo_hash = :repo AND status IN (SELECT value FROM json_each(:statuses))
           AND status IN ('queued', 'waiting', 'running', 'cancelling')
           AND (status = 'queued' OR status = 'waiting' OR status = 'running'
                OR status = 'cancelling'))
 ORDER BY +created_at DESC, invocation_id DESC LIMIT :limit
"""
_WINDOW = 500
_FEW = 1000
"""So many rows of one status are gone through faster than a window of the newest."""
_EVERYTHING = -1
_JOBS = """
SELECT invocation_id, name, status, background, started_at, finished_at, duration_ms, exit_code,
       term_signal, end_reason, end_detail, command, log_bytes, job_uid, dir_name, queued_at,
       coordinator_id, tags_json
  FROM jobs WHERE repo_hash = :repo AND invocation_id IN (SELECT value FROM json_each(:ids))
 ORDER BY position, name
"""
_OWNERS = """
SELECT DISTINCT jobs.coordinator_id, c.pid, c.proc_start, c.boot_id, c.kind
  FROM jobs INDEXED BY jobs_unfinished
  LEFT JOIN coordinators AS c ON c.id = jobs.coordinator_id AND c.ended_at IS NULL
 WHERE jobs.repo_hash = :repo
   AND jobs.status IN ('queued', 'waiting', 'running', 'cancelling')
   AND (jobs.status = 'queued' OR jobs.status = 'waiting' OR jobs.status = 'running'
        OR jobs.status = 'cancelling')
"""
_FAILED_IN_BACKGROUND = """
SELECT job_uid, name, worktree, invocation_id, end_detail
  FROM jobs INDEXED BY jobs_ended_otherwise
 WHERE repo_hash = :repo AND status IN ('failed', 'crashed')
   AND status NOT IN ('queued', 'waiting', 'running', 'cancelling', 'completed')
   AND status <> 'queued' AND status <> 'waiting' AND status <> 'running'
   AND status <> 'cancelling' AND status <> 'completed'
   AND background = 1
   AND json_extract(spec_json, '$.background_output') IS NOT 'silent'
 ORDER BY finished_at DESC LIMIT :limit
"""
_UNFINISHED_COUNTS = """
SELECT i.worktree, count(*)
  FROM jobs INDEXED BY jobs_unfinished
  JOIN invocations AS i
    ON i.repo_hash = jobs.repo_hash AND i.invocation_id = jobs.invocation_id
 WHERE jobs.repo_hash = :repo
   AND jobs.status IN ('queued', 'waiting', 'running', 'cancelling')
   AND (jobs.status = 'queued' OR jobs.status = 'waiting' OR jobs.status = 'running'
        OR jobs.status = 'cancelling')
 GROUP BY i.worktree
"""


class ListingError(Exception):
    """The store cannot be listed; `code` tells what kind of trouble it is."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def _refuse(what: str) -> None:
    raise ListingError("unreadable", f"a row of the job store cannot be read: {what}")


def jobs_path(root: str, repository: str) -> str:
    """Return the path of a repository's job store below a state directory.

    Raises: ListingError for what is no repository's id.
    """
    if not repository or not _OF_AN_ID.issuperset(repository):
        raise ListingError("foreign", f"{repository!r} is not the id of a repository")
    return f"{root}/jobs/{repository}/coordinator.db"


def open_jobs(root: str, repository: str) -> apsw.Connection | None:
    """Return a read-only connection to a repository's job store, as `open_listing` does.

    No link below the state directory is followed. Raises: ListingError.
    """
    path = jobs_path(root, repository)
    for place in (root, f"{root}/jobs", f"{root}/jobs/{repository}"):
        found = _looked_at(place)
        if found is None:
            return None
        if found.st_mode & _KIND_OF_FILE != _DIRECTORY or found.st_uid != os.geteuid():
            raise ListingError("foreign", f"{place} is not a directory of yours; move it away")
    return open_listing(path)


def open_listing(path: str, *, schema_version: int = SCHEMA_VERSION) -> apsw.Connection | None:
    """Return a read-only connection, or None when there is no history yet.

    schema_version: the newest one known, of the lineage that the file belongs to.
    Raises: ListingError for a file of another or a newer program, one that is not a regular
    file of ours, or one that cannot be read: only a missing file is no history.
    """
    found = _looked_at(path)
    if found is None:
        return None
    if found.st_mode & _KIND_OF_FILE != _REGULAR_FILE or found.st_uid != os.geteuid():
        raise ListingError("foreign", f"{path} is not a regular file of yours; move it away")
    try:
        name, flags = to_read(path)
        db = apsw.Connection(name, flags=flags | apsw.SQLITE_OPEN_NOMUTEX)
        db.set_busy_timeout(BUSY_MS)
        # In this order: both appear in one commit, so a version is never seen without its owner.
        version = db.pragma("user_version")
        application = db.pragma("application_id") & 0xFFFFFFFF
        fresh = version == 0 and application == 0 and not db.execute(_HAS_TABLES).get
    except apsw.Error as error:
        raise trouble(path, error) from error
    except OSError as error:
        raise ListingError("unreadable", f"{path}: {error.strerror}") from error
    if fresh:
        db.close()
        return None
    try:
        check_header(path, application, version, schema_version)
    except ListingError:
        db.close()
        raise
    return db


def to_read(path: str) -> tuple[str, int]:
    """Return what to open a store by when it is only read: a name, and SQLite's flags for it.

    On a read-only file system SQLite cannot make what readers share, so it must be told that
    nobody else can change the file. That is true there, but only when nothing waits in the
    journal: what does has no way into the file, and then it is opened as anywhere else.
    Raises: OSError.
    """
    if os.statvfs(path).f_flag & os.ST_RDONLY and not _has_journal(path):
        escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        return f"file:{escaped}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return path, apsw.SQLITE_OPEN_READONLY


def _has_journal(path: str) -> bool:
    try:
        return os.stat(f"{path}-wal").st_size > 0
    except FileNotFoundError:
        return False


def _looked_at(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ListingError("unreadable", f"{path}: {error.strerror}") from error


def trouble(path: str, error: Exception) -> ListingError:
    """Return what an error of SQLite means to somebody who wanted a list."""
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            said = f"{path} is damaged ({error})"
            return ListingError(
                "damaged",
                f"{said}; the next hook that runs keeps it under another name and starts anew",
            )
        case apsw.BusyError() | apsw.LockedError():
            return ListingError("busy", f"{path} is in use by another process; try again")
        case _:
            return ListingError("unreadable", f"{path}: {error}")


def check_header(path: str, application: int, version: int, known: int) -> None:
    """Refuse a file of another or of a newer program. Raises: ListingError."""
    if application != APPLICATION_ID:
        raise ListingError(
            "foreign",
            f"{path} belongs to another program (application id {application:08x}, "
            f"ours is {APPLICATION_ID:08x}); it was left alone",
        )
    if version > known:
        raise ListingError("newer", f"{path}: schema {version} is newer than {known}; upgrade daft")


def newest_invocations(
    db: apsw.Connection,
    repository: str,
    *,
    worktree: str | None = None,
    hook: str | None = None,
    statuses: str | None = None,
    limit: int = 20,
    skipped: Callable[[str], None] = _refuse,
) -> Rows:
    """Return the newest invocations as tuples of INVOCATION_COLUMNS, newest first.

    statuses: JSON array text; keeps invocations with at least one such job.
    skipped: called with the reason for each row that cannot be read and is left out;
        without it such a row raises ListingError.
    """
    asked = {
        "repo": repository,
        "worktree": None if worktree is None else storable(worktree),
        "hook": None if hook is None else storable(hook),
        "limit": limit,
    }
    if statuses is not None:
        # Completed is what most jobs are: no index holds them, and the newest have some.
        window = _EVERYTHING if '"completed"' in statuses else _WINDOW
        asked.update(statuses=statuses, window=window)
        if window == _EVERYTHING or _is_common(db, repository, statuses):
            found = list(readable(db.execute(_NEWEST_WITH_STATUS, asked), skipped))
            if len(found) >= limit or window == _EVERYTHING:
                return found
        return list(readable(db.execute(_ALL_WITH_STATUS, asked), skipped))
    if worktree is not None:
        return list(readable(db.execute(_INVOCATIONS_OF_WORKTREE, asked), skipped))
    statement = _INVOCATIONS if hook is None else _INVOCATIONS_OF_HOOK
    return list(readable(db.execute(statement, asked), skipped))


def _is_common(db: apsw.Connection, repository: str, statuses: str) -> bool:
    asked = {"repo": repository, "statuses": statuses, "most": _FEW + 1}
    return int(db.execute(_COUNT_WITH_STATUS, asked).get) > _FEW


def jobs_of(
    db: apsw.Connection,
    repository: str,
    invocation_ids: list[str],
    *,
    skipped: Callable[[str], None] = _refuse,
) -> Rows:
    """Return the jobs of some invocations as tuples of JOB_COLUMNS, in declaration order.

    skipped: as above.
    """
    # Ids are hex digits, so the JSON needs no escaping.
    ids = "[" + ",".join(['"' + one + '"' for one in invocation_ids]) + "]"
    return list(readable(db.execute(_JOBS, {"repo": repository, "ids": ids}), skipped))


def unfinished_owners(db: apsw.Connection, repository: str) -> Rows:
    """Return who answers for unfinished jobs, as tuples of OWNER_COLUMNS.

    An owner that ended, or none at all, has None for everything but its id.
    """
    return list(db.execute(_OWNERS, {"repo": repository}))


def unfinished_counts(db: apsw.Connection, repository: str) -> list[tuple[str, int]]:
    """Return worktree label and number of unfinished jobs, for worktrees that have any."""
    return list(db.execute(_UNFINISHED_COUNTS, {"repo": repository}))


def failed_in_background(db: apsw.Connection, repository: str, *, limit: int = 200) -> Rows:
    """Return uid, name, worktree label, invocation and reason of background jobs that failed.

    The newest first; without those that are to fail in silence. Raises: ListingError.
    """
    rows = db.execute(_FAILED_IN_BACKGROUND, {"repo": repository, "limit": limit})
    return list(readable(rows, _refuse))
