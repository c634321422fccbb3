"""A worktree that moves: what is torn down under its old name, and set up under its new one.

Four fires, two identities: `worktree-pre-remove` and `worktree-post-remove` before git moves it,
as the worktree was; `worktree-pre-create` and `worktree-post-create` afterwards, as it is. Only
jobs that track what changes run. Nothing they do keeps the worktree from moving.
"""

from __future__ import annotations

from attrs import evolve

from .event import Event, Move

TEAR_DOWN = ("worktree-pre-remove", "worktree-post-remove")
SET_UP = ("worktree-pre-create", "worktree-post-create")


def move_of(before: Event, after: Event) -> Move:
    """Return what changes between two identities of one worktree.

    before, after: any events of it, as it was and as it will be.
    """
    changed = set()
    if before.worktree_path != after.worktree_path:
        changed.add("path")
    if before.branch != after.branch:
        changed.add("branch")
    return Move(old_path=before.worktree_path, old_branch=before.branch, changed=frozenset(changed))


def tear_down(before: Event, move: Move) -> tuple[Event, ...]:
    """Return the events to fire, in order, before git moves the worktree."""
    return tuple(_of(before, hook, move) for hook in TEAR_DOWN)


def set_up(after: Event, move: Move) -> tuple[Event, ...]:
    """Return the events to fire, in order, once git has moved the worktree."""
    return tuple(_of(after, hook, move) for hook in SET_UP)


def must_finish_first(event: Event) -> bool:
    """Return whether the worktree moves once `event` is over: then nothing may run on."""
    return event.move is not None and event.hook in TEAR_DOWN


def _of(event: Event, hook: str, move: Move) -> Event:
    # The worktree exists at all four moments, at the path it has then, and is no new one.
    return evolve(
        event,
        hook=hook,
        move=move,
        cwd=event.worktree_path,
        source_worktree=event.worktree_path,
        is_new_branch=False,
        removal_reason=None,
    )
