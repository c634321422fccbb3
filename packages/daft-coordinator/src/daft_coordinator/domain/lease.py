"""The right to be alone with a worktree while it is removed or moved."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from daft_protocol.jobs import ProcessIdentity


@frozen(kw_only=True)
class Lease:
    """A worktree that takes no further jobs but its holder's.

    worktree: the label. purpose: what happens to it, for people: "being removed".
    process: who holds it. expires_at: when it ends by itself, should the holder hang.
    """

    id: str
    worktree: str
    purpose: str
    process: ProcessIdentity
    taken_at: datetime
    expires_at: datetime


def holds(lease: Lease, *, holder_alive: bool | None, now: datetime) -> bool:
    """True while a lease counts: its time is not over, and its holder is not known to be dead."""
    return holder_alive is not False and now < lease.expires_at
