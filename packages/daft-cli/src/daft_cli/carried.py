"""What is said of uncommitted changes that go from one worktree to another."""

from __future__ import annotations

import shlex
import sys

from daft_worktree.carry import Carried

from .terminal import warn


def count(carried: Carried) -> str:
    """Return how many files have changed, in words."""
    return "1 changed file" if carried.files == 1 else f"{carried.files} changed files"


def tell_stash(carried: Carried, where: str, trouble: str, *, is_back: bool = False) -> None:
    """Say that changes do not apply in `where`, and where they are safe.

    is_back: they are where they were as well.
    """
    warn(f"the carried changes do not apply in {where}: {trouble.splitlines()[0]}")
    # By its object id: at the top of the stash there may be somebody else's entry by now.
    apply = f"stash apply --index {carried.oid[:12]}"
    sys.stderr.write(f"  they are safe in the stash: git -C {shlex.quote(where)} {apply}\n")
    if where != carried.source and not is_back:
        back = f"git -C {shlex.quote(carried.source)} {apply}"
        sys.stderr.write(f"  or back where they were: {back}\n")
