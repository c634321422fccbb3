"""Pages of jobs, oldest first: one statement for each way in which an index finds them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import apsw

from .ledger import UNFINISHED, Skipped, refuse_row
from .rows import JobRow
from .texts import readable

PAGE_OF_JOBS = """
SELECT rowid,
       job_uid, repo_hash, invocation_id, name, position, dir_name, hook_type, worktree, command,
       working_dir, env_json, removed_env_json, spec_json, needs_json, full_needs_json, tags_json,
       background, declared_background, status, queued_at, started_at, finished_at, updated_at,
       duration_ms, exit_code, term_signal, end_reason, end_detail, pid, pgid, proc_start, boot_id,
       coordinator_id, retention_seconds, max_log_size_bytes, log_bytes, log_records, log_dropped,
       retry_of_invocation, retry_of_name
  FROM jobs NOT INDEXED
 WHERE repo_hash = :repo AND rowid > :after
   AND (:worktree IS NULL OR worktree = :worktree)
   AND (:name IS NULL OR name = :name)
   AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
 ORDER BY rowid LIMIT :limit
"""
# The same page where an index finds all its rows: with "this or any" in one statement SQLite
# walks the history. Each is short enough to be sorted.
PAGE_OF_INVOCATION = """
SELECT rowid,
       job_uid, repo_hash, invocation_id, name, position, dir_name, hook_type, worktree, command,
       working_dir, env_json, removed_env_json, spec_json, needs_json, full_needs_json, tags_json,
       background, declared_background, status, queued_at, started_at, finished_at, updated_at,
       duration_ms, exit_code, term_signal, end_reason, end_detail, pid, pgid, proc_start, boot_id,
       coordinator_id, retention_seconds, max_log_size_bytes, log_bytes, log_records, log_dropped,
       retry_of_invocation, retry_of_name
  FROM jobs
 WHERE repo_hash = :repo AND invocation_id = :invocation AND rowid > :after
   AND (:worktree IS NULL OR worktree = :worktree)
   AND (:name IS NULL OR name = :name)
   AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
 ORDER BY rowid LIMIT :limit
"""
PAGE_OF_NAME = """
SELECT rowid,
       job_uid, repo_hash, invocation_id, name, position, dir_name, hook_type, worktree, command,
       working_dir, env_json, removed_env_json, spec_json, needs_json, full_needs_json, tags_json,
       background, declared_background, status, queued_at, started_at, finished_at, updated_at,
       duration_ms, exit_code, term_signal, end_reason, end_detail, pid, pgid, proc_start, boot_id,
       coordinator_id, retention_seconds, max_log_size_bytes, log_bytes, log_records, log_dropped,
       retry_of_invocation, retry_of_name
  FROM jobs INDEXED BY jobs_by_name
 WHERE repo_hash = :repo AND name = :name AND rowid > :after
   AND (:worktree IS NULL OR worktree = :worktree)
   AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
 ORDER BY rowid LIMIT :limit
"""
PAGE_OF_UNFINISHED = """
SELECT rowid,
       job_uid, repo_hash, invocation_id, name, position, dir_name, hook_type, worktree, command,
       working_dir, env_json, removed_env_json, spec_json, needs_json, full_needs_json, tags_json,
       background, declared_background, status, queued_at, started_at, finished_at, updated_at,
       duration_ms, exit_code, term_signal, end_reason, end_detail, pid, pgid, proc_start, boot_id,
       coordinator_id, retention_seconds, max_log_size_bytes, log_bytes, log_records, log_dropped,
       retry_of_invocation, retry_of_name
  FROM jobs INDEXED BY jobs_unfinished
 WHERE repo_hash = :repo AND rowid > :after
   AND status IN ('queued', 'waiting', 'running', 'cancelling')
   AND (status = 'queued' OR status = 'waiting' OR status = 'running' OR status = 'cancelling')
   AND (:worktree IS NULL OR worktree = :worktree)
   AND (:name IS NULL OR name = :name)
   AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
 ORDER BY rowid LIMIT :limit
"""


def page_of_jobs(
    db: apsw.Connection,
    repo: str,
    *,
    invocation_id: str | None = None,
    worktree: str | None = None,
    name: str | None = None,
    statuses: Sequence[str] | None = None,
    limit: int,
    after: int = 0,
    skipped: Skipped = refuse_row,
) -> tuple[list[JobRow], int | None]:
    """Return one page of jobs, oldest first, and where the next page begins, if there is one."""
    if invocation_id is not None:
        statement = PAGE_OF_INVOCATION
    elif name is not None:
        statement = PAGE_OF_NAME
    elif statuses is not None and UNFINISHED.issuperset(statuses):
        statement = PAGE_OF_UNFINISHED
    else:
        statement = PAGE_OF_JOBS
    left_out: list[str] = []
    cursor = db.execute(
        statement,
        {
            "repo": repo,
            "after": after,
            "invocation": invocation_id,
            "worktree": worktree,
            "name": name,
            "statuses": None if statuses is None else json.dumps(list(statuses)),
            "limit": limit + 1,
        },
    )
    found = list(readable(cursor, left_out.append))
    for what in left_out:
        skipped(what)
    page = found[:limit]
    following = page[-1][0] if page and len(found) + len(left_out) > limit else None
    return [JobRow(*row[1:]) for row in page], following
