"""Rows as values. Field names are column names; text stays text, statuses too."""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import Any

from attrs import AttrsInstance, fields, frozen


@frozen(eq=False)
class InvocationRow:
    """One row of `invocations`. The three counts are kept by the database itself."""

    repo_hash: str
    invocation_id: str
    trigger_command: str
    hook_type: str
    worktree: str
    worktree_id: str
    worktree_path: str
    created_at: str
    coordinator_id: str | None
    status: str
    skip_reason: str | None
    source: str
    job_count: int = 0
    unfinished_count: int = 0
    failed_count: int = 0


@frozen(eq=False)
class JobRow:
    """One row of `jobs`. Fields in `_json` hold JSON text; booleans are 0 or 1."""

    job_uid: str
    repo_hash: str
    invocation_id: str
    name: str
    position: int
    dir_name: str
    hook_type: str
    worktree: str
    command: str
    working_dir: str
    env_json: str
    removed_env_json: str
    spec_json: str
    needs_json: str
    full_needs_json: str
    tags_json: str
    background: int
    declared_background: int
    status: str
    queued_at: str | None
    started_at: str | None
    finished_at: str | None
    updated_at: str
    duration_ms: int | None
    exit_code: int | None
    term_signal: int | None
    end_reason: str | None
    end_detail: str | None
    pid: int | None
    pgid: int | None
    proc_start: str | None
    boot_id: str | None
    coordinator_id: str | None
    retention_seconds: int | None
    max_log_size_bytes: int | None
    log_bytes: int
    log_records: int
    log_dropped: int
    retry_of_invocation: str | None
    retry_of_name: str | None


@frozen(eq=False)
class CoordinatorRow:
    """One row of `coordinators`: a process that answers, or answered, for jobs."""

    id: str
    repo_hash: str
    kind: str
    pid: int
    pgid: int
    proc_start: str
    boot_id: str
    started_at: str
    ended_at: str | None
    socket_path: str | None
    program_version: str


@frozen(eq=False)
class LeaseRow:
    """One row of `worktree_leases`."""

    repo_hash: str
    worktree: str
    lease_id: str
    purpose: str
    pid: int
    pgid: int
    proc_start: str
    boot_id: str
    taken_at: str
    expires_at: str


@frozen(eq=False, kw_only=True)
class JobMove:
    """One guarded change of a job row. None keeps what the row has.

    allowed: the statuses it may have before, each between blanks.
    only_of: the owner it must have before; None: any.
    set_owner: write `coordinator_id` even when it is None.
    """

    job_uid: str
    allowed: str
    status: str
    at: str
    only_of: str | None = None
    set_owner: bool = False
    coordinator_id: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    duration_ms: int | None = None
    exit_code: int | None = None
    term_signal: int | None = None
    end_reason: str | None = None
    end_detail: str | None = None
    pid: int | None = None
    pgid: int | None = None
    proc_start: str | None = None
    boot_id: str | None = None
    log_bytes: int | None = None
    log_records: int | None = None
    log_dropped: int | None = None


@frozen(eq=False)
class TrustRow:
    """One row of `trust`: what a user decided about one repository."""

    common_dir: str
    level: str
    granted_at: str
    granted_by: str
    fingerprint: str | None
    content_digest: str | None
    content_json: str | None


@frozen(eq=False)
class SkippedFireRow:
    """One row of `skipped_fires`: a hook that did not run for want of consent."""

    common_dir: str
    hook: str
    worktree_id: str
    worktree: str
    worktree_path: str
    reason: str
    skipped_at: str
    facts_json: str


@frozen(eq=False)
class SeedRow:
    """One row of `visitor_seeds`: untracked configuration as it came to a worktree."""

    common_dir: str
    branch: str
    filename: str
    content: bytes
    seeded_at: str
    updated_at: str


def named(row: AttrsInstance) -> dict[str, Any]:
    """Return the fields of a row by name, as a statement binds them; nothing is copied."""
    names, read = _readers(type(row))
    return dict(zip(names, read(row), strict=True))


def values(row: AttrsInstance) -> tuple[Any, ...]:
    """Return the fields of a row in their order, for a statement with one parameter for each."""
    return _readers(type(row))[1](row)


@cache
def _readers(cls: type[AttrsInstance]) -> tuple[tuple[str, ...], attrgetter[tuple[Any, ...]]]:
    names = tuple(field.name for field in fields(cls))
    return names, attrgetter(*names)
