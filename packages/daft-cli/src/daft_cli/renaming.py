"""Renaming a branch and moving its worktree, with their hooks, jobs and record around it.

The hooks that track what changes tear down under the old name and set up under the new one.
"""

from __future__ import annotations

import os
import sys

import daft_worktree
from daft_hooks.discovery import Loaded
from daft_hooks.domain.event import Event, Move
from daft_hooks.domain.moves import SET_UP, TEAR_DOWN, move_of, set_up, tear_down
from daft_hooks.domain.selection import untracked
from daft_hooks.errors import BadConfiguration, UnreadableConfiguration
from daft_worktree.errors import RenameFailed, WorktreeError
from daft_worktree.remote_rename import commands, rename_on_remote
from daft_worktree.renaming import Renaming
from daft_worktree.worktrees import Worktree

from .context import Session
from .failures import INTERRUPTED, Trouble
from .place import change_directory
from .renamed import follow
from .shared_links import link_shared
from .solitude import alone, interrupted_runs, running
from .terminal import harmless

COMMAND = "rename"


def describe(session: Session, planned: Renaming) -> list[str]:
    """Return what `rename` would do, a line each. Runs and changes nothing."""
    old, new, worktree = planned.branch.name, planned.new, planned.worktree
    lines = [f"would rename branch '{old}' to '{new}'"]
    if worktree is not None and planned.path is not None:
        lines.append(f"would move its worktree from {worktree.path} to {planned.path}")
    if worktree is not None:
        names = running(session, worktree.label)
        lines += [f"would stop jobs: {', '.join(map(harmless, names))}"] if names else []
        lines += _hooks(session, planned, worktree)
    if planned.remote is not None:
        there = planned.remote
        lines.append(
            f"would push it to '{there.remote}' as '{there.new}', and delete '{there.old}' there"
        )
    return lines + notes(planned)


def notes(planned: Renaming) -> list[str]:
    """Return what stays as it is although one might expect otherwise, a line each."""
    lines = []
    if planned.worktree is not None and planned.stays:
        lines.append(f"the directory stays {planned.worktree.path}: {planned.stays}")
    if planned.remote_stays:
        lines.append(f"the remote is left alone: {planned.remote_stays}")
    return lines


def rename(session: Session, planned: Renaming, *, force: bool, verify: bool) -> int:
    """Do what was planned; return the exit code.

    force: although jobs of the worktree cannot be stopped. verify: let git's pre-push hook judge.
    Raises: Trouble, WorktreeError; unless they say otherwise all is as it was.
    """
    worktree = planned.worktree
    with daft_worktree.under_way(planned) as begun:
        if worktree is None:
            begun.carry_out()
            return _finish(session, planned, verify=verify)
        stopped = interrupted_runs(session, worktree.label)
        with alone(session, worktree.label, purpose="being renamed", force=force):
            hooks = _Hooks(session, planned, worktree)
            if not hooks.tear_down():
                sys.stderr.write(f"'{worktree.label}' was not renamed; {_again(worktree.path)}\n")
                return INTERRUPTED
            try:
                renamed = begun.carry_out()
            except RenameFailed:
                raise  # where it is now is for the user to see to first
            except WorktreeError:
                hooks.set_up_again()
                raise
            assert renamed is not None
            try:
                _follow(session, worktree, renamed)
                if not hooks.set_up(renamed):
                    session.say(_result(planned))
                    sys.stderr.write(f"it is renamed; {_again(renamed.path)}\n")
                    _tell_commands(planned)
                    return INTERRUPTED
                code = _finish(session, planned, verify=verify)
            finally:
                _lead_out(session, worktree, renamed)
            for run in stopped:
                session.presenter.notice(f"its stopped jobs run again with: daft jobs retry {run}")
            return code


def _follow(session: Session, old: Worktree, new: Worktree) -> None:
    follow(
        session.jobs,
        session.registry,
        old.label,
        new.label,
        old_path=old.path,
        path=new.path,
    )


def _lead_out(session: Session, old: Worktree, new: Worktree) -> None:
    """Take the user's shell along when it stands in what has moved."""
    here, root = os.path.realpath(session.repository.cwd), os.path.realpath(old.path)
    if old.path == new.path or not f"{here}{os.sep}".startswith(root + os.sep):
        return
    path = os.path.normpath(os.path.join(new.path, os.path.relpath(here, root)))
    change_directory(session.repository, path, wanted=True)


def _again(path: str) -> str:
    return f"to set it up: daft -C {path} hooks run worktree-post-create"


# --- hooks --------------------------------------------------------------------------------------


class _Hooks:
    """The hooks around one rename, under two identities. What they do never stops it."""

    def __init__(self, session: Session, planned: Renaming, worktree: Worktree) -> None:
        self._session = session
        self._loaded = session.load_leniently(worktree.path)
        self._before, self._after = _identities(session, planned, worktree)
        self._move = move_of(self._before, self._after)

    def tear_down(self) -> bool:
        """Take down what goes by the old name; False when that was interrupted."""
        return self._fire(tear_down(self._before, self._move))

    def set_up_again(self) -> None:
        """Set up under the old name what was taken down: it stays."""
        self._fire(set_up(self._before, move_of(self._after, self._before)))

    def set_up(self, renamed: Worktree) -> bool:
        """Set up what goes by the new name; False when that was interrupted."""
        self._loaded = self._session.load_leniently(renamed.path)
        if renamed.path != self._before.worktree_path:
            # Links are relative, and it may be deeper or higher now.
            link_shared(self._session.repository, renamed, self._loaded)
        return self._fire(set_up(self._after, self._move))

    def _fire(self, events: tuple[Event, ...]) -> bool:
        for event in events:
            outcome = self._session.fire(event, self._loaded)
            if outcome.was_interrupted:
                return False
        return True


def _identities(session: Session, planned: Renaming, worktree: Worktree) -> tuple[Event, Event]:
    renamed = planned.renamed
    assert renamed is not None
    return (
        session.event(TEAR_DOWN[0], COMMAND, worktree),
        session.event(SET_UP[0], COMMAND, renamed),
    )


def _hooks(session: Session, planned: Renaming, worktree: Worktree) -> list[str]:
    """Return the jobs that track what changes, a line per hook."""
    try:
        loaded: Loaded | None = session.load(worktree.path)
    except (BadConfiguration, UnreadableConfiguration) as error:
        return [f"would run no hooks: {error}"]
    if loaded is None:
        return []
    move: Move = move_of(*_identities(session, planned, worktree))
    lines = []
    for hook in (*TEAR_DOWN, *SET_UP):
        found = loaded.configuration.hooks.get(hook)
        left_out = {} if found is None else untracked(found.jobs, move.changed)
        names = [one.name for one in found.jobs if one.name not in left_out] if found else []
        if names:
            lines.append(f"would run {hook}: {', '.join(map(harmless, names))}")
    return lines


# --- the end ------------------------------------------------------------------------------------


def _finish(session: Session, planned: Renaming, *, verify: bool) -> int:
    """Do what there is to do on the remote, and say what was done. Raises: Trouble."""
    try:
        done = rename_on_remote(planned, verify=verify)
    except KeyboardInterrupt:
        _tell_commands(planned)
        raise
    session.say(_result(planned, is_on_remote=planned.remote is not None and not done.trouble))
    for line in notes(planned):
        session.presenter.notice(line)
    if done.trouble is not None:
        raise Trouble(
            f"it is renamed here, but {done.trouble}",
            tips=tuple(f"what is left: {command}" for command in done.commands),
        )
    return 0


def _result(planned: Renaming, *, is_on_remote: bool = False) -> str:
    parts = []
    if planned.path is not None:
        parts.append(f"worktree moved to {planned.path}")
    if is_on_remote and planned.remote is not None:
        parts.append(f"also on '{planned.remote.remote}'")
    more = f" ({', '.join(parts)})" if parts else ""
    return f"Renamed '{planned.branch.name}' to '{planned.new}'{more}"


def _tell_commands(planned: Renaming) -> None:
    if planned.remote is not None:
        for command in commands(planned.remote, planned.new):
            sys.stderr.write(f"  what is left: {command}\n")
