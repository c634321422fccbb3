"""Leases on worktrees: recording jobs beside them, taking one, and what frees one.

The store keeps leases and refuses jobs where there is one. Whether a lease still counts is seen
here: the death of its holder ends it at once, and so does its own time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta

from daft_protocol.jobs import Invocation, Job
from daft_protocol.names import new_invocation_id

from .domain.lease import Lease, holds
from .errors import CoordinatorError, WorktreeLeased
from .ports import JobStore, ProcessControl

LEASE_S = 3600.0
"""How long a removal may take before others may submit jobs again, its holder hanging.

Longer than hooks take that keep to usual time limits: a removal that is still under way must not
find new jobs in its worktree. One whose holder died is over at once.
"""


def record(
    store: JobStore,
    invocation: Invocation | None,
    jobs: Sequence[Job],
    *,
    processes: ProcessControl,
    now: datetime,
) -> tuple[Job, ...]:
    """Record as `JobStore.record` does, past leases of this process and of dead ones.

    Raises: WorktreeLeased when somebody else is alone with the worktree now.
    """
    mine: str | None = None
    while True:
        try:
            return store.record(invocation, jobs, lease=mine)
        except WorktreeLeased as error:
            if error.lease.process == processes.identify(os.getpid()):
                mine = error.lease.id
            elif not _free(store, error.lease, processes, now):
                raise


def take(
    store: JobStore, worktree: str, *, purpose: str, processes: ProcessControl, now: datetime
) -> Lease:
    """Take the lease of a worktree; `store.drop_lease` gives it back.

    purpose: what happens to the worktree, for whoever is turned away: "being removed".
    Raises: WorktreeLeased when somebody has it, this process included.
    """
    me = processes.identify(os.getpid())
    if me is None:
        raise CoordinatorError("this process cannot see itself; is /proc mounted?")
    lease = Lease(
        id=new_invocation_id(),
        worktree=worktree,
        purpose=purpose,
        process=me,
        taken_at=now,
        expires_at=now + timedelta(seconds=LEASE_S),
    )
    while (other := store.take_lease(lease)) is not None:
        if not _free(store, other, processes, now):
            raise WorktreeLeased(other)
    return lease


def _free(store: JobStore, lease: Lease, processes: ProcessControl, now: datetime) -> bool:
    """Drop a lease that does not count any more; False when it does."""
    if holds(lease, holder_alive=processes.is_alive(lease.process), now=now):
        return False
    store.drop_lease(lease.id)
    return True
