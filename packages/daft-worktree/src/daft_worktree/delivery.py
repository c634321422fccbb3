"""Uncommitted changes of one worktree, brought to others: as a whole, and never lost."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from .carry import Carried, apply, drop, stash_changes
from .errors import CannotCarry, NoWorktree, StashLeft
from .finding import find
from .repository import Repository, refuse_odd_places
from .worktrees import Worktree


class Delivery(NamedTuple):
    """What goes where. keeps: the source has its changes afterwards as well."""

    source: Worktree
    targets: tuple[Worktree, ...]
    keeps: bool


class Delivered(NamedTuple):
    """What became of it.

    into: the worktrees that have the changes now. troubles: (worktree, git's words) of the
    others; then the changes are still in the stash, under the object id of `carried`.
    """

    carried: Carried
    into: tuple[Worktree, ...]
    troubles: tuple[tuple[Worktree, str], ...]


def plan_delivery(repository: Repository, words: tuple[str, ...], *, copy: bool) -> Delivery:
    """Decide where the changes of the worktree one stands in go. Nothing is touched.

    words: branches or paths of worktrees; one by two spellings counts once. copy: the source
    keeps them; it does too when several get them.
    Raises: CannotCarry with everything that is in the way; InsideSubmodule, MovedByHand.
    """
    refuse_odd_places(repository)
    source = repository.current
    if source is None:
        raise CannotCarry(
            ("this is no worktree, so there are no changes to carry",),
            ("go to the one that has them, or use `daft -C <path> carry …`",),
        )
    refusals: list[str] = [] if source.head is not None else ["there are no commits yet"]
    tips: dict[str, None] = {}
    if source.operation is not None:
        refusals.append(f"a {source.operation} is paused here; finish or abort that first")
    targets: list[Worktree] = []
    for word in words:
        try:
            target = _target(repository, word, source)
        except CannotCarry as error:
            refusals += error.refusals
            tips.update(dict.fromkeys(error.tips))
        else:
            targets += [] if target in targets else [target]
    if refusals:
        raise CannotCarry(tuple(refusals), tuple(tips))
    return Delivery(source, tuple(targets), keeps=copy or len(targets) > 1)


def _target(repository: Repository, word: str, source: Worktree) -> Worktree:
    try:
        found = find(
            list(repository.worktrees),
            word,
            cwd=repository.cwd,
            project_root=repository.project_root,
        )
    except NoWorktree as error:
        raise CannotCarry((str(error),), error.tips) from error
    if found is None:
        raise CannotCarry((f"'{word}' has no worktree",), (f"make one with `daft go {word}`",))
    if found == source:
        raise CannotCarry((f"'{word}' is where the changes are",))
    if found.missing:
        raise CannotCarry(
            (f"the worktree of '{word}' is not at {found.path} any more",),
            (f"make it anew with `daft go {word}`",),
        )
    if found.operation is not None:
        raise CannotCarry((f"a {found.operation} is paused in '{word}'; finish or abort it first",))
    if found.head is None:
        raise CannotCarry((f"'{word}' has no commits yet",))
    return found


def deliver(delivery: Delivery, *, keep: Collection[str] = ()) -> Delivered | None:
    """Bring the changes; None when there are none.

    keep: names of untracked files that stay where they are.
    Raises: GitFailed, CannotWrite with the changes still in place; StashLeft, with them in the
    stash. Whoever is killed leaves them in the stash, or in the source.
    """
    carried = stash_changes(delivery.source, keep=keep)
    if carried is None:
        return None
    into: list[Worktree] = []
    troubles: list[tuple[Worktree, str]] = []
    try:
        # First of all: from here on the source is as it was, whatever happens.
        trouble = apply(carried, delivery.source.path) if delivery.keeps else None
        if trouble is not None:
            troubles.append((delivery.source, trouble))
        for target in delivery.targets:
            trouble = apply(carried, target.path)
            if trouble is None:
                into.append(target)
            else:
                troubles.append((target, trouble))
    except BaseException as error:
        raise StashLeft(delivery.source.path, carried.oid) from error
    if not troubles:
        drop(carried)
    return Delivered(carried, tuple(into), tuple(troubles))
