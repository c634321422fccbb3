"""What `daft merge` says: what it would do, what became of it, and what is left to do."""

from __future__ import annotations

import sys

from daft_worktree import merging
from daft_worktree.errors import WorktreeError
from daft_worktree.merging import Merged, MergeResult, MergeSource, Merging, Style

from .context import Session
from .failures import FAILED, OK
from .merge_hooks import MergeHooks
from .terminal import harmless, show_path, warn

_DONE = {
    Style.MERGE: "Merged {sources} into '{target}'",
    Style.FF: "Moved '{target}' forward to {sources}",
    Style.SQUASH: "Squashed {sources} into '{target}'",
    Style.REBASE: "Rebased {sources} onto '{target}'",
    Style.REBASE_MERGE: "Rebased {sources} and merged it into '{target}'",
}
_SHOWN_FILES = 20


def foretell(session: Session, plan: Merging) -> int:
    """Say what a merge would do; return the exit code, which tells of conflicts."""
    where = "nowhere checked out" if plan.worktree is None else show_path(plan.worktree.path)
    session.say(
        f"would merge {_names(plan.sources)} into '{plan.target.name}' ({plan.mode}, {where})"
    )
    conflicts = merging.foresee(plan)
    if conflicts is None:
        session.say("whether that conflicts cannot be told beforehand")
    for name in conflicts or ():
        session.say(f"would conflict: {harmless(name)}")
    if plan.options.remove_sources:
        session.say(f"would remove {_names((*plan.sources, *plan.contained))} afterwards")
    return FAILED if conflicts else OK


def tell(session: Session, plan: Merging, merged: Merged) -> int:
    """Say what became of a merge; return the exit code."""
    target = plan.target.name
    match merged.result:
        case MergeResult.SUCCESS:
            done = _DONE[plan.style].format(sources=_names(plan.sources), target=target)
            session.say(f"{done} ({merged.commit[:12]})")
            return OK
        case MergeResult.UP_TO_DATE:
            names = _names((*plan.sources, *plan.contained))
            session.say(f"Already up to date: '{target}' has all of {names}")
            return OK
        case MergeResult.ABORTED:
            _write("error", f"git refused the commit, nothing was merged into '{target}':")
            for line in merged.said.splitlines():
                _write("", harmless(line))
            return FAILED
        case MergeResult.CONFLICT:
            _tell_conflict(plan, merged)
            return FAILED


def _tell_conflict(plan: Merging, merged: Merged) -> None:
    where = show_path(merged.path or "")
    _write(
        "error",
        f"{_names(plan.sources)} and '{plan.target.name}' conflict; the merge stays in {where}:",
    )
    for name in merged.conflicts[:_SHOWN_FILES]:
        _write("", harmless(name))
    if len(merged.conflicts) > _SHOWN_FILES:
        _write("", f"and {len(merged.conflicts) - _SHOWN_FILES} more")
    _write("tip", "resolve them there and `git add` them, then: daft merge --continue")
    _write("tip", "or take it back: daft merge --abort")


def tell_unended(session: Session, plan: Merging) -> None:
    """Tell of a merge that is in the target, and whose run died before it was over."""
    if plan.worktree is None:
        return
    try:
        earlier = merging.noted_merge(session.repository, plan.worktree)
    except WorktreeError as error:
        warn(str(error))  # this merge writes another note over it
        return
    if earlier is not None and earlier.plan.target.oid != plan.target.oid:
        names = _names(earlier.plan.sources)
        warn(f"the merge of {names} into '{plan.target.name}' was not ended: no post-merge ran")
        if plan.is_up_to_date:
            _write("tip", "end it: daft merge --continue")


def tell_setup(hooks: MergeHooks, path: str) -> None:
    """A worktree made for a merge has not been set up: nobody may ever need it."""
    if hooks.before is not None and "worktree-post-create" in hooks.before.configuration.hooks:
        _write("tip", f"should it be set up: daft -C {path} hooks run worktree-post-create")


def _write(kind: str, text: str) -> None:
    prefix = {"error": "error: ", "tip": "  tip: "}.get(kind, "  ")
    sys.stderr.write(f"{prefix}{text}\n")


def _names(sources: tuple[MergeSource, ...]) -> str:
    return ", ".join(f"'{harmless(source.name)}'" for source in sources)
