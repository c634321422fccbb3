"""What follows a merge: untracked configuration comes along, and what was merged may go."""

from __future__ import annotations

from daft_worktree.clearance import RemoteBranch, plan_removal
from daft_worktree.errors import Refused
from daft_worktree.merging import Merging
from daft_worktree.removal import Target
from daft_worktree.worktrees import Worktree

from .consolidating import Change, changes_between, trouble_with, write
from .context import Session
from .departure import remove_all
from .failures import Trouble
from .terminal import show_path, warn
from .visitors import NAMES, Visitors


def take_over(session: Session, plan: Merging, target: Worktree) -> None:
    """Bring what was changed in a source's untracked configuration to the target's.

    Only files the target has as well. What cannot be brought stays where it is: a warning says so.
    """
    for change, source in _changes(session, plan, target):
        trouble = trouble_with(change)
        try:
            if trouble is not None:
                raise trouble
            write(change)
        except Trouble as error:
            warn(f"{change.name} of '{source.label}' is not taken over: {error}")
            for tip in error.tips:
                session.presenter.notice(f"  tip: {tip}")
            continue
        Visitors(session).brought(source, change.name, change.theirs)
        where = show_path(change.path)
        session.presenter.notice(f"{where}: took over what '{source.label}' has changed in it")


def _changes(session: Session, plan: Merging, target: Worktree) -> list[tuple[Change, Worktree]]:
    """Return what would be lost with the sources, and is to be in the target."""
    visitors = Visitors(session)
    found: list[tuple[Change, Worktree]] = []
    for source in (*plan.sources, *plan.contained):
        tree = source.worktree
        changed = visitors.refined(tree) if tree is not None else ()
        if tree is None or not changed or tree.path == target.path:
            continue
        try:
            changes = changes_between(session, target, tree)
        except Trouble as error:
            warn(str(error))
            continue
        found += [
            (one, tree)
            for one in changes
            if one.name in changed and not one.is_new and (one.is_other or one.merged.conflicts)
        ]
    return found


def plan_to_remove(
    session: Session, plan: Merging, target: Worktree | None = None
) -> tuple[Target, ...]:
    """Return what goes with the sources, as `daft remove` decides it.

    target: what `take_over` will have brought there counts as brought.
    Raises: Refused, Trouble.
    """
    sources = (*plan.sources, *plan.contained)
    for source in sources:
        if not source.is_branch:
            raise Trouble(
                f"'{source.name}' is no branch here, so there is nothing to remove",
                tips=("leave out --remove",),
            )
    coming = [] if target is None else _changes(session, plan, target)
    brought = {(tree.path, one.name) for one, tree in coming if trouble_with(one) is None}
    visitors = Visitors(session)
    repository = session.repository.refreshed()
    also_there = repository.settings.delete_remote
    try:
        return plan_removal(
            repository,
            tuple(source.name for source in sources),
            remote_branch=RemoteBranch.ALSO if also_there else RemoteBranch.KEEP,
            replaceable=NAMES,
            is_no_loss=lambda tree, name: (
                (tree.path, name) in brought or visitors.is_no_loss(tree, name)
            ),
            merged={source.name: source.oid for source in sources},
        )
    except Refused as refused:
        raise visitors.advise(refused) from refused


def remove_sources(session: Session, plan: Merging) -> bool:
    """Remove what was merged; False when something went wrong. Raises: Refused, Trouble."""
    return remove_all(session, plan_to_remove(session, plan), command="merge")
