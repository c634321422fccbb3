"""Between rows of the store and values: every translation, and where secrets are left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any

from attrs import evolve

from daft_protocol import jsontext
from daft_protocol.jobs import (
    BackgroundOutput,
    BootMoment,
    Invocation,
    Job,
    JobSpec,
    LogPolicy,
    ProcessIdentity,
    RunMode,
    Skip,
)
from daft_protocol.status import EndReason, InvocationStatus, JobStatus, SkipKind, Source
from daft_store.moments import from_text, to_text
from daft_store.redaction import scrub
from daft_store.rows import InvocationRow, JobMove, JobRow, LeaseRow
from daft_store.texts import storable

from ..domain.elsewhere import moved_path
from ..domain.lease import Lease
from ..ports import JobChange


def invocation_row(repository: str, invocation: Invocation) -> InvocationRow:
    """Return `invocation` as its row in the store of `repository`."""
    return InvocationRow(
        repo_hash=repository,
        invocation_id=invocation.invocation_id,
        trigger_command=storable(invocation.trigger_command),
        hook_type=storable(invocation.hook_type),
        worktree=storable(invocation.worktree),
        worktree_id=storable(invocation.worktree_id),
        worktree_path=storable(invocation.worktree_path),
        created_at=to_text(invocation.created_at),
        coordinator_id=invocation.coordinator_id,
        status=invocation.status.value,
        skip_reason=_storable(invocation.skip_reason),
        source=invocation.source.value,
    )


def lease_row(repository: str, lease: Lease) -> LeaseRow:
    """Return `lease` as its row."""
    return LeaseRow(
        repo_hash=repository,
        worktree=storable(lease.worktree),
        lease_id=lease.id,
        purpose=storable(lease.purpose),
        pid=lease.process.pid,
        pgid=lease.process.pgid,
        proc_start=lease.process.start,
        boot_id=lease.process.boot_id,
        taken_at=to_text(lease.taken_at),
        expires_at=to_text(lease.expires_at),
    )


def lease_of(row: LeaseRow) -> Lease:
    """Return the lease in a row. Raises: ValueError when it makes no sense."""
    return Lease(
        id=row.lease_id,
        worktree=row.worktree,
        purpose=row.purpose,
        process=ProcessIdentity(
            pid=row.pid, pgid=row.pgid, start=row.proc_start, boot_id=row.boot_id
        ),
        taken_at=from_text(row.taken_at),
        expires_at=from_text(row.expires_at),
    )


def without_secrets(job: Job) -> Job:
    """Return `job` without the values that must not reach the disk, with their names noted."""
    kept, removed = scrub(job.spec.env)
    if not removed and not job.removed_env:
        return job
    return evolve(job, spec=evolve(job.spec, env=kept), removed_env=removed)


def job_row(repository: str, job: Job) -> JobRow:
    """Return `job`, which holds no secrets, as its row."""
    spec = job.spec
    process = job.process
    retried = job.retry_of or (None, None)
    needs = _json(spec.needs)
    return JobRow(
        job_uid=job.uid,
        repo_hash=repository,
        invocation_id=job.invocation_id,
        name=storable(spec.name),
        position=job.position,
        dir_name=job.dir_name,
        hook_type=storable(job.hook_type),
        worktree=storable(job.worktree),
        command=storable(spec.command),
        working_dir=storable(spec.working_dir),
        env_json=_json(dict(spec.env)),
        removed_env_json=_json(job.removed_env),
        spec_json=_json(_rest_of_spec(job)),
        needs_json=needs,
        full_needs_json=needs if spec.full_needs == spec.needs else _json(spec.full_needs),
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
        end_detail=_storable(job.end_detail),
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


def job_of(row: JobRow) -> Job:
    """Return the job in a row.

    Raises: ValueError, TypeError, KeyError, AttributeError, RecursionError when it holds none.
    """
    rest: dict[str, Any] = json.loads(row.spec_json)
    exact: dict[str, str] = rest.get("exact", {})
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
        name=exact.get("name", row.name),
        command=exact.get("command", row.command),
        working_dir=exact.get("working_dir", row.working_dir),
        env=_parsed(row.env_json),
        needs=_parsed(row.needs_json),
        full_needs=_parsed(row.full_needs_json),
        after=rest.get("after", ()),
        background=bool(row.background),
        declared_background=bool(row.declared_background),
        background_output=BackgroundOutput(rest.get("background_output", "log")),
        description=rest.get("description", ""),
        fail_text=rest.get("fail_text", ""),
        interactive=rest.get("interactive", False),
        tags=_parsed(row.tags_json),
        timeout_s=rest.get("timeout_s"),
        grace_s=rest.get("grace_s"),
        priority=rest.get("priority", 0),
        log=LogPolicy(
            retention_s=LogPolicy().retention_s
            if row.retention_seconds is None
            else row.retention_seconds,
            limit_bytes=row.max_log_size_bytes or LogPolicy().limit_bytes,
            keep_every_nth=rest.get("keep_every_nth", 1),
        ),
        skip=None if skip is None else Skip(kind=SkipKind(skip["kind"]), reason=skip["reason"]),
        seals=rest.get("seals", {}),
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
        removed_env=tuple(_parsed(row.removed_env_json)),
        log_bytes=row.log_bytes,
        log_records=row.log_records,
        log_dropped=row.log_dropped,
        retry_of=retry_of,
        spec_version=rest.get("spec_version", 1),
        queued_boot=_boot_moment(rest.get("queued_boot")),
    )


def _rest_of_spec(job: Job) -> dict[str, Any]:
    """Return what has no column of its own, and whoever runs or judges the job needs."""
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
        "after": list(spec.after),
        "max_parallel": job.max_parallel,
        "seals": dict(spec.seals),
        # The first version is what a row without one has.
        "spec_version": job.spec_version if job.spec_version != 1 else 0,
    }
    rest.update({name: value for name, value in optional.items() if value})
    # What its column cannot hold as it is: a directory's name may be any bytes.
    needed = {"name": spec.name, "command": spec.command, "working_dir": spec.working_dir}
    exact = {name: text for name, text in needed.items() if storable(text) != text}
    if exact:
        rest["exact"] = exact
    if spec.grace_s is not None:
        rest["grace_s"] = spec.grace_s
    if spec.log.keep_every_nth != 1:
        rest["keep_every_nth"] = spec.log.keep_every_nth
    if job.queued_boot is not None:
        rest["queued_boot"] = [job.queued_boot.boot_id, job.queued_boot.since_boot_s]
    if spec.skip is not None:
        rest["skip"] = {"kind": spec.skip.kind.value, "reason": spec.skip.reason}
    return rest


def moved_directory(
    working_dir: str, spec_json: str, *, old_path: str, path: str
) -> tuple[str, str]:
    """Return the two columns that tell a job's working directory, once `old_path` is `path`."""
    try:
        rest: dict[str, Any] = json.loads(spec_json)
        exact: dict[str, str] = rest.pop("exact", {})
        directory = moved_path(exact.pop("working_dir", working_dir), old_path, path)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return working_dir, spec_json  # no specification: whoever reads the row says so
    if storable(directory) != directory:
        exact["working_dir"] = directory
    if exact:
        rest["exact"] = exact
    return storable(directory), _json(rest)


def job_move(change: JobChange) -> JobMove:
    """Return `change` as the store makes it."""
    process = change.process
    return JobMove(
        job_uid=change.job_uid,
        allowed=_allowed(tuple(change.allowed)),
        status=change.to.value,
        at=to_text(change.at),
        only_of=change.only_of,
        set_owner=change.set_owner,
        coordinator_id=change.owner,
        started_at=_text(change.started_at),
        finished_at=_text(change.finished_at),
        duration_ms=change.duration_ms,
        exit_code=change.exit_code,
        term_signal=change.term_signal,
        end_reason=None if change.end_reason is None else change.end_reason.value,
        end_detail=_storable(change.end_detail),
        pid=None if process is None else process.pid,
        pgid=None if process is None else process.pgid,
        proc_start=None if process is None else process.start,
        boot_id=None if process is None else process.boot_id,
        log_bytes=change.log_bytes,
        log_records=change.log_records,
        log_dropped=change.log_dropped,
    )


@cache
def _allowed(statuses: tuple[JobStatus, ...]) -> str:
    return f" {' '.join(status.value for status in statuses)} "


def invocation_of(row: InvocationRow) -> Invocation:
    """Return the invocation in a row. Raises as `job_of`."""
    return Invocation(
        invocation_id=row.invocation_id,
        hook_type=row.hook_type,
        trigger_command=row.trigger_command,
        worktree=row.worktree,
        worktree_id=row.worktree_id,
        worktree_path=row.worktree_path,
        source=Source.parse(row.source),
        created_at=from_text(row.created_at),
        status=InvocationStatus.parse(row.status),
        skip_reason=row.skip_reason,
        coordinator_id=row.coordinator_id,
    )


def _json(value: Any) -> str:
    # Most of these are empty, and the encoder takes its time over nothing too.
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    return _encode(value)


def _parsed(text: str) -> Any:
    return _EMPTY[text] if text in _EMPTY else json.loads(text)


_encode = jsontext.encoder(sort_keys=True, allow_nan=True)
_EMPTY: Mapping[str, Any] = {"{}": MappingProxyType({}), "[]": ()}


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)


def _boot_moment(pair: list[Any] | None) -> BootMoment | None:
    if pair is None:
        return None
    boot_id, since_boot_s = pair
    return BootMoment(boot_id=str(boot_id), since_boot_s=float(since_boot_s))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)
