"""A store's tables as plain values, for whoever looks for what went wrong. Read-only."""

from __future__ import annotations

from collections.abc import Iterator

import apsw

_INVOCATIONS = """
SELECT invocation_id, trigger_command, hook_type, worktree, created_at, status, skip_reason,
       source, pinned, job_count, unfinished_count, failed_count
  FROM invocations WHERE repo_hash = :repo ORDER BY created_at, invocation_id
"""
# Environments stay out: what a variable holds is nobody's business, scrubbed or not.
_JOBS = """
SELECT job_uid, invocation_id, name, position, hook_type, worktree, command, working_dir, status,
       background, declared_background, needs_json, tags_json, queued_at, started_at, finished_at,
       updated_at, duration_ms, exit_code, term_signal, end_reason, end_detail, pid, pgid,
       proc_start, boot_id, coordinator_id, dir_name, log_bytes, log_records, log_dropped,
       retention_seconds, max_log_size_bytes
  FROM jobs WHERE repo_hash = :repo ORDER BY invocation_id, position, name
"""
_COORDINATORS = """
SELECT id, kind, pid, pgid, proc_start, boot_id, started_at, ended_at, socket_path,
       program_version
  FROM coordinators WHERE repo_hash = :repo ORDER BY started_at, id
"""
_POLICY = """
SELECT policy_version AS version, max_total_size_bytes, keep_last, stale_running_after_seconds
  FROM (SELECT 1) LEFT JOIN repo_policy ON repo_hash = :repo
"""
_STATEMENTS = {
    "invocations": _INVOCATIONS,
    "jobs": _JOBS,
    "coordinators": _COORDINATORS,
    "policy": _POLICY,
    "repo-policy": _POLICY,
}
TABLES = tuple(_STATEMENTS)
"""What `rows` takes; `repo-policy` is another name of `policy`."""


def rows(db: apsw.Connection, repository: str, table: str) -> Iterator[dict[str, object]]:
    """Yield the rows of one of TABLES, columns by name; the policy is one row, however unset."""
    cursor = db.execute(_STATEMENTS[table], {"repo": repository})
    names: list[str] | None = None
    for row in cursor:
        if names is None:
            names = [column[0] for column in cursor.get_description()]
        yield dict(zip(names, row, strict=True))
