"""Whether a worktree's set-up is complete, told by the jobs of its post-create hook."""

from __future__ import annotations

from daft_coordinator.errors import CoordinatorError
from daft_protocol.status import InvocationStatus, JobStatus
from daft_store.errors import StoreError

from .terminal import warn
from .wiring import RepositoryJobs

HOOK = "worktree-post-create"


def setup_states(jobs: RepositoryJobs) -> dict[str, str]:
    """Return worktree label -> state; a worktree without a recorded hook is left out.

    States: pending, running, ok, failed, skipped-untrusted, skipped-user. Creates nothing.
    """
    if not jobs.has_history:
        return {}
    found: dict[str, str] = {}
    try:
        store = jobs.store()
        for invocation in store.recent_invocations(limit=500):
            if invocation.hook_type != HOOK or invocation.worktree in found:
                continue
            if invocation.status is InvocationStatus.SKIPPED:
                user = "request" in (invocation.skip_reason or "")
                found[invocation.worktree] = "skipped-user" if user else "skipped-untrusted"
                continue
            statuses = {job.status for job in store.jobs_of(invocation.invocation_id)}
            found[invocation.worktree] = _state(statuses, alive=jobs.leader_lives())
    except (StoreError, CoordinatorError, OSError) as error:
        warn(f"the state of set-ups is not known: {error}")
    return found


def _state(statuses: set[JobStatus], *, alive: bool) -> str:
    if statuses & {JobStatus.FAILED, JobStatus.CRASHED, JobStatus.CANCELLED, JobStatus.UNKNOWN}:
        return "failed"
    if any(not status.is_final for status in statuses):
        return "running" if alive else "pending"
    return "ok"
