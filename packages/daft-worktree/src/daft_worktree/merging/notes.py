"""What is noted beside a worktree of a merge that has begun in it, to go on with or take back."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ..branches import Branch
from ..errors import NotUnderWay
from ..repository import Repository
from ..worktrees import Worktree
from .rules import MergeOptions, MergeSource, Merging, Policy, Style

_NAME = "daft-merge"
_VERSION = 1


class UnderWay(NamedTuple):
    """A merge that has stopped, or whose run died.

    tree: where. was_promoted: made for it. has_stopped: at conflicts, so that all else is there.
    """

    plan: Merging
    tree: Worktree
    was_promoted: bool
    has_stopped: bool


def write(
    private_dir: str, plan: Merging, *, promoted: bool = False, stopped: bool = False
) -> None:
    """Note that the merge begins in the worktree of this git directory, or has stopped there."""
    import json  # only merges come here

    path = os.path.join(private_dir, _NAME)
    data = {
        "version": _VERSION,
        "sources": [(one.name, one.oid, one.is_branch) for one in plan.sources],
        "target": (plan.target.name, plan.target.oid),
        "style": plan.style.value,
        "strategy": plan.options.strategy,
        "strategy_options": plan.options.strategy_options,
        "message": plan.options.message,
        "verify": plan.options.verify,
        "remove_sources": plan.options.remove_sources,
        "clean_source": plan.policy.clean_source,
        "overlooked": plan.policy.overlooked,
        "promoted": promoted,
        "stopped": stopped,
    }
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)


def remove(private_dir: str) -> None:
    """Forget what was noted."""
    try:
        os.unlink(os.path.join(private_dir, _NAME))
    except FileNotFoundError:
        return  # git removed it together with the worktree


def find(repository: Repository, into: str | None = None) -> UnderWay:
    """Return the merge under way: into a branch, or where one stands, or the only one.

    Raises: NotUnderWay.
    """
    found = [
        made
        for tree in repository.worktrees
        if not tree.is_bare and (made := read(repository, tree)) is not None
    ]
    if into is not None:
        found = [one for one in found if into in (one.plan.target.name, one.tree.label)]
    here = repository.current
    at_hand = [one for one in found if here is not None and one.tree.path == here.path]
    if into is None and at_hand:
        return at_hand[0]
    if not found:
        said = f" into '{into}'" if into is not None else ""
        raise NotUnderWay(
            f"no merge{said} is under way that daft has begun",
            tips=("one of git's own: `git merge --continue` or `--abort` in its worktree",),
        )
    if len(found) > 1:
        names = ", ".join(one.plan.target.name for one in found)
        raise NotUnderWay(
            f"several merges are under way: into {names}",
            tips=("say which: `--into <branch>`, or go there",),
        )
    return found[0]


def read(repository: Repository, tree: Worktree) -> UnderWay | None:
    """Return the merge noted beside a worktree, None for none. Raises: NotUnderWay for nonsense."""
    import json

    path = os.path.join(tree.private_dir, _NAME)
    try:
        with open(path, encoding="utf-8") as file:
            data: dict[str, Any] = json.load(file)
        if data["version"] != _VERSION:
            raise NotUnderWay(f"{path} was written by another version of daft")
        return _decoded(repository, tree, data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotUnderWay(
            f"{path} cannot be read: {error}",
            tips=("delete it, and end the merge with git's own commands",),
        ) from error


def _decoded(repository: Repository, tree: Worktree, data: dict[str, Any]) -> UnderWay:
    name, oid = data["target"]
    sources = tuple(
        MergeSource(source, commit, is_branch, repository.worktree_of(source))
        for source, commit, is_branch in data["sources"]
    )
    style = Style(data["style"])
    holder = repository.worktree_of(name)
    was_made = data["promoted"] and holder is not None and holder.path == tree.path
    plan = Merging(
        repository=repository,
        sources=sources,
        contained=(),
        target=Branch(name=name, oid=oid),
        worktree=None if was_made else holder,
        style=style,
        is_forward=False,
        options=MergeOptions(
            style=style,
            strategy=data["strategy"],
            strategy_options=tuple(data["strategy_options"]),
            message=data["message"],
            verify=data["verify"],
            remove_sources=data["remove_sources"],
        ),
        policy=Policy(clean_source=data["clean_source"], overlooked=tuple(data["overlooked"])),
    )
    return UnderWay(plan, tree, data["promoted"], data["stopped"])
