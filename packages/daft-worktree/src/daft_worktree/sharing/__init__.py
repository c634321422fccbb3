"""Files that the worktrees of a repository share: kept once, with a link to each in every worktree.

Looking comes first (`look`, `Spot`), and what may become of a spot is decided in values
(`files.link_verdict`, `copy_verdict`); the verbs look again under the worktree lock.
"""

from __future__ import annotations

from .changing import (
    Outcome,
    Row,
    link,
    materialize,
    mend,
    refusal_to_share,
    share,
    unshare,
)
from .files import Has, Spot, State, is_stored, look, stored_names, tracked_names

__all__ = [
    "Has",
    "Outcome",
    "Row",
    "Spot",
    "State",
    "is_stored",
    "link",
    "look",
    "materialize",
    "mend",
    "refusal_to_share",
    "share",
    "stored_names",
    "tracked_names",
    "unshare",
]
