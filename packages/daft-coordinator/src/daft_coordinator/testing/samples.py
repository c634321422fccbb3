"""Sound invocations, jobs and owners to put into a store; a test says only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from daft_protocol.jobs import Invocation, Job, JobSpec, ProcessIdentity
from daft_protocol.names import directory_name, new_invocation_id, new_job_uid
from daft_protocol.status import JobStatus, Source

from ..domain.lease import Lease
from ..ports import Owner

MORNING = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
"""When what these functions make was made, unless told otherwise."""
LATER = MORNING + timedelta(minutes=5, microseconds=123456)
"""When something happened to it."""


def an_invocation(**given: Any) -> Invocation:
    """Return an invocation; `given` are fields of `Invocation`."""
    fields: dict[str, Any] = {
        "invocation_id": new_invocation_id(),
        "hook_type": "post-create",
        "trigger_command": "daft start x",
        "worktree": "main",
        "worktree_id": "",
        "worktree_path": "/somewhere/main",
        "source": Source.HOOK,
        "created_at": MORNING,
    }
    return Invocation(**{**fields, **given})


def a_job(invocation: Invocation, name: str = "build", /, **given: Any) -> Job:
    """Return a queued background job of `invocation`.

    given: fields of `Job`, or `spec_` and a field of `JobSpec`: `spec_env={"A": "b"}`.
    """
    spec: dict[str, Any] = {"name": name, "command": ":", "background": True}
    fields: dict[str, Any] = {
        "uid": new_job_uid(),
        "invocation_id": invocation.invocation_id,
        "hook_type": invocation.hook_type,
        "worktree": invocation.worktree,
        "position": 0,
        "status": JobStatus.QUEUED,
        "updated_at": MORNING,
        "queued_at": MORNING,
        "dir_name": directory_name(name),
    }
    for key, value in given.items():
        if key.startswith("spec_"):
            spec[key.removeprefix("spec_")] = value
        else:
            fields[key] = value
    fields.setdefault("spec", JobSpec(**spec))
    return Job(**fields)


def an_owner(**given: Any) -> Owner:
    """Return an owner that nobody knows yet; `given` are fields of `Owner`."""
    fields: dict[str, Any] = {
        "id": new_invocation_id(),
        "kind": "embedded",
        "process": a_process(),
        "version": "1.2.3",
    }
    return Owner(**{**fields, **given})


def a_lease(**given: Any) -> Lease:
    """Return a lease on "main" of a process that does not live; `given` are fields of `Lease`."""
    fields: dict[str, Any] = {
        "id": new_invocation_id(),
        "worktree": "main",
        "purpose": "being removed",
        "process": a_process(),
        "taken_at": MORNING,
        "expires_at": MORNING + timedelta(minutes=10),
    }
    return Lease(**{**fields, **given})


def a_process(pid: int = 4711, **given: Any) -> ProcessIdentity:
    """Return an identity that no living process has: its boot is made up."""
    fields: dict[str, Any] = {"pid": pid, "pgid": pid, "start": "1000", "boot_id": "made-up"}
    return ProcessIdentity(**{**fields, **given})
