"""Fires that were skipped for want of consent, kept so that they can be made up for faithfully."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from .event import Event, Move

# What only the verb that fired knew; the rest is found out again, for it may have changed.
_KEPT_FACTS = (
    "command",
    "is_new_branch",
    "base_branch",
    "commit",
    "repository_url",
    "default_branch",
    "source_worktree",
)
_MOVE_FACTS = ("old_path", "old_branch", "changed")


@frozen(kw_only=True)
class SkippedFire:
    """One hook that did not run for one worktree.

    worktree_id: git's name of the worktree, stable across moves; label, path: as they were then.
    facts: fields of the event that cannot be found out later.
    """

    hook: str
    worktree_id: str
    label: str
    path: str
    reason: str
    skipped_at: str
    facts: Mapping[str, str | bool] = field(factory=dict)


def skipped_fire(event: Event, reason: str, skipped_at: str) -> SkippedFire:
    """Return the record of `event`, which was not carried out."""
    facts = {name: getattr(event, name) for name in _KEPT_FACTS}
    return SkippedFire(
        hook=event.hook,
        worktree_id=event.worktree_id,
        label=event.label,
        path=event.worktree_path,
        reason=reason,
        skipped_at=skipped_at,
        facts={name: value for name, value in facts.items() if value is not None}
        | ({} if event.move is None else _facts_of_move(event.move)),
    )


def is_of_a_move(fire: SkippedFire) -> bool:
    """Return whether only what tracks a move did not run, and not the whole hook."""
    return _MOVE_FACTS[0] in fire.facts


def together(earlier: SkippedFire, later: SkippedFire) -> SkippedFire:
    """Return the record of two fires of one hook that did not run for one worktree.

    What a move would have run is a part of the whole; of two moves it is what either would have.
    """
    if not is_of_a_move(later):
        return later
    if not is_of_a_move(earlier):
        return evolve(later, facts=earlier.facts)
    changed = {word for one in (earlier, later) for word in str(one.facts["changed"]).split()}
    return evolve(later, facts={**earlier.facts, "changed": " ".join(sorted(changed))})


def facts_to_replay(fire: SkippedFire) -> dict[str, Any]:
    """Return the fields of an `Event` that a replay of `fire` takes over.

    Only those of the right kind: the record may be another program's.
    """
    found: dict[str, Any] = {
        name: value
        for name, value in fire.facts.items()
        if name in _KEPT_FACTS and isinstance(value, bool if name == "is_new_branch" else str)
    }
    old_path, old_branch, changed = (fire.facts.get(name) for name in _MOVE_FACTS)
    if isinstance(old_path, str) and isinstance(old_branch, str) and isinstance(changed, str):
        found["move"] = Move(
            old_path=old_path, old_branch=old_branch, changed=frozenset(changed.split())
        )
    return found


def _facts_of_move(move: Move) -> dict[str, str | bool]:
    values = (move.old_path, move.old_branch, " ".join(sorted(move.changed)))
    return dict(zip(_MOVE_FACTS, values, strict=True))
