"""Taking a worktree away, its jobs stopped and its hooks around it: for every verb that does."""

from __future__ import annotations

import os
import subprocess
import sys

import daft_worktree
from daft_hooks.discovery import Loaded
from daft_hooks.firing import FireOutcome
from daft_worktree.branches import default_branch
from daft_worktree.errors import WorktreeError
from daft_worktree.removal import Target
from daft_worktree.repository import Repository

from .context import Session
from .failures import INTERRUPTED, Trouble
from .place import change_directory
from .solitude import alone
from .terminal import show_path, warn
from .visitors import Visitors, leave


def remove_all(
    session: Session, targets: tuple[Target, ...], *, command: str, force: bool = False
) -> bool:
    """Remove what was planned to go, one after another; False when something went wrong.

    command: the verb's label for hooks. Raises: KeyboardInterrupt when a hook was interrupted;
    what comes after it stays.
    """
    ok = True
    for target in targets:
        try:
            ok = _remove(session, target, command, force=force) and ok
        except (WorktreeError, Trouble) as error:
            sys.stderr.write(f"error: '{target.label}': {error}\n")
            for tip in error.tips:
                sys.stderr.write(f"  tip: {tip}\n")
            if isinstance(error, Trouble) and error.code == INTERRUPTED:
                raise KeyboardInterrupt from error
            ok = False
    _reap(session.repository.common_dir)
    return ok


def _remove(session: Session, target: Target, command: str, *, force: bool) -> bool:
    """Remove one target, alone with it; False when something went wrong."""
    if target.worktree is None and not target.delete_branch:
        return _remove_alone(session, target, command)
    with alone(session, target.label, purpose="being removed", force=force):
        return _remove_alone(session, target, command)


def _remove_alone(session: Session, target: Target, command: str) -> bool:
    """Remove one target with its hooks around it; False when something went wrong."""
    worktree = target.worktree
    loaded: Loaded | None = None
    outcome: FireOutcome | None = None
    is_unreadable = False
    if worktree is not None and not worktree.missing:
        loaded = session.load_leniently(worktree.path)
        is_unreadable = session.is_unreadable
        outcome = _fire(session, target, command, "worktree-pre-remove", loaded, worktree.path)
        if outcome is not None and outcome.must_stop:
            _stop_if_interrupted(outcome, "it was kept")
            raise Trouble("it was kept: its pre-remove hook failed")
    stood_inside = worktree is not None and is_inside(session.repository.cwd, worktree.path)
    refuge = _refuge(session.repository, target)
    if stood_inside:
        # The one permitted change of directory: out of what is about to be deleted.
        os.chdir(refuge)
    kept = leave(session, worktree) if target.forced and worktree is not None else ()
    removed = daft_worktree.remove(session.repository, target)
    if worktree is not None:
        Visitors(session).forget(worktree)
    if worktree is not None:
        if loaded is None and not is_unreadable:
            # It said nothing, or had gone before: what holds where one stands now.
            loaded = session.load_leniently(refuge)
        # Else the removed worktree's own configuration, kept from before it went.
        outcome = _fire(session, target, command, "worktree-post-remove", loaded, refuge)
    for note in removed.notes:
        warn(note)
    line = f"Deleted {removed.label} ({', '.join(removed.parts) or 'nothing was left'})"
    is_last_trace = "local branch" in removed.parts or target.branch is None
    if target.forced and removed.oid is not None and is_last_trace:
        line += f", was {removed.oid[:12]}"
    session.say(line)
    for path in kept:
        session.presenter.notice(f"its changed configuration is kept: {show_path(path)}")
    if stood_inside:
        change_directory(session.repository, refuge, wanted=True)
    if outcome is not None:
        _stop_if_interrupted(outcome, "it is gone")
    return outcome is None or not outcome.must_stop


def _stop_if_interrupted(outcome: FireOutcome, state: str) -> None:
    """Raise Trouble for a hook that was stopped by Ctrl+C: then nothing further is removed."""
    if outcome.was_interrupted:
        raise Trouble(f"{state}: its {outcome.hook} hook was interrupted", code=INTERRUPTED)


def _fire(
    session: Session, target: Target, command: str, hook: str, loaded: Loaded | None, cwd: str
) -> FireOutcome | None:
    worktree = target.worktree
    if worktree is None:
        return None
    here = session.repository.current
    event = session.event(
        hook,
        command,
        worktree,
        source_worktree=here.path if here is not None else session.repository.project_root,
        cwd=cwd,
        removal_reason="manual",
    )
    return session.fire(event, loaded)


def _refuge(repository: Repository, target: Target) -> str:
    """Return a directory that outlives the removal."""
    gone = target.worktree
    candidates: list[str] = []
    here = repository.current
    if here is not None:
        candidates.append(here.path)
    if repository.settings.values.get("daft.prune.cdtarget") == "default-branch":
        default = default_branch(repository)
        home = repository.worktree_of(default) if default is not None else None
        if home is not None:
            candidates.append(home.path)
    if repository.main is not None:
        candidates.append(repository.main.path)
    for path in candidates:
        # Another target of this run may have gone before this one.
        if os.path.isdir(path) and not (gone is not None and is_inside(path, gone.path)):
            return path
    return repository.project_root


def is_inside(path: str, root: str) -> bool:
    """True for a directory and what is below it, links resolved."""
    real, base = os.path.realpath(path), os.path.realpath(root)
    return real == base or real.startswith(base + os.sep)


def _reap(common_dir: str) -> None:
    """Delete what was moved to the trash, in a process nobody waits for."""
    trash = os.path.join(common_dir, ".daft", "trash")
    if not os.path.isdir(trash) or not os.listdir(trash):
        return
    if "DAFT_NO_TRASH_REAP" in os.environ:
        daft_worktree.reap_trash(common_dir)
        return
    code = "import sys, daft_worktree as d; d.reap_trash(sys.argv[1])"
    subprocess.Popen(
        [sys.executable, "-P", "-c", code, common_dir],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
