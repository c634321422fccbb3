"""Giving a worktree what git does not keep and another worktree has: caches, packages, builds.

A plan says what is copied from where, and of everything else why not; carrying it out puts each
path in place in one step, or leaves it as it was. Nothing that git tracks, or would show, is
copied, and nothing comes from or gets to a place outside of the two worktrees.
"""

from __future__ import annotations

from .domain import Decision, Pattern, Rules, Verdict
from .replication import CopyPlan, Outcome, Row, copy_into, plan_copies

__all__ = [
    "CopyPlan",
    "Decision",
    "Outcome",
    "Pattern",
    "Row",
    "Rules",
    "Verdict",
    "copy_into",
    "plan_copies",
]
