"""Merging, as a library: all its public names. Only who merges loads it.

    plan = plan_merge(repository, ("feature",), into="main")
    with merge_lock(repository.common_dir):
        merged = merge(plan, place)

A plan touches nothing and `merge` looks again whether all is as planned. What conflicts stays, and
is found again by `find_merge`.
"""

from __future__ import annotations

from ..lock import merge_lock
from .checks import check as check_merge
from .ending import abandon as abandon_merge
from .ending import forget as forget_merge
from .ending import resume as resume_merge
from .making import Merged, MergeResult, merge
from .notes import UnderWay
from .notes import find as find_merge
from .notes import read as noted_merge
from .plan import plan_merge, under_policy
from .rules import MergeOptions, MergeSource, Merging, Policy, Style
from .steps import foresee

__all__ = [
    "MergeOptions",
    "MergeResult",
    "MergeSource",
    "Merged",
    "Merging",
    "Policy",
    "Style",
    "UnderWay",
    "abandon_merge",
    "check_merge",
    "find_merge",
    "foresee",
    "forget_merge",
    "merge",
    "merge_lock",
    "noted_merge",
    "plan_merge",
    "resume_merge",
    "under_policy",
]
