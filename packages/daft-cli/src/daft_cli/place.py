"""Where a command stands in a repository, and where it leaves the user.

What every worktree verb needs before it is known whether a hook fires at all; so this loads
neither hooks nor jobs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import daft_worktree
from daft_worktree import git, layouts
from daft_worktree.errors import WorktreeError
from daft_worktree.layouts import Layout
from daft_worktree.relocation import Interrupted
from daft_worktree.repository import Repository

from .failures import Trouble
from .terminal import warn


def discover(*, to_change: bool = False) -> Repository:
    """Return the repository one stands in.

    to_change: worktrees will be made or removed; what a run that died has left is put right.
    """
    repository = daft_worktree.discover(os.getcwd())
    return daft_worktree.put_right(repository, warn, _follow) if to_change else repository


def _follow(renamed: Interrupted) -> None:
    from .renamed import follow_late  # here: only after a rename that died

    follow_late(daft_worktree.discover(os.getcwd()), renamed)


def remote_url(repository: Repository) -> str | None:
    """Return the URL of a repository's remote, as git rewrites it; None when it has none."""
    remote = repository.remote
    if remote is None:
        return None
    found = git.attempt(repository.common_dir, "remote", "get-url", "--", remote)
    return found.out if found.ok and found.out else None


def remote_url_at(common_dir: str) -> str | None:
    """Return the URL of the remote of the repository at a path, None also when git refuses."""
    try:
        return remote_url(daft_worktree.discover(common_dir))
    except (WorktreeError, OSError):
        return None


def data_directory() -> str:
    """Return the user's data directory. Raises: BadDirectoryVariable."""
    from daft_store.roots import data_root

    return data_root(os.environ)


def layout_of(repository: Repository, data_dir: str, explicit: str | None = None) -> Layout:
    """Return the layout that applies to new worktrees; `explicit` is what the user typed."""
    placed = {
        worktree.branch: worktree.path
        for worktree in repository.worktrees
        if worktree.branch and not worktree.is_main and not worktree.is_bare
    }
    detected = layouts.detect(
        placed,
        root=repository.project_root,
        is_bare=repository.is_bare,
        data_dir=data_dir,
    )
    layout, _ = layouts.resolve(
        explicit=explicit, stored=repository.settings.layout, detected=detected
    )
    return layout


def change_directory(repository: Repository, path: str, *, wanted: bool) -> None:
    """Tell the shell's wrapper where to go, or the user what to type."""
    if not wanted or not repository.settings.autocd:
        return
    target = os.environ.get("DAFT_CD_FILE")
    if target:
        try:
            with open(target, "wb") as file:
                file.write(os.fsencode(path))
        except OSError as error:
            warn(f"the shell cannot be told where to go: {target}: {error.strerror}")
    elif sys.stdout.isatty():
        import shlex

        sys.stderr.write(f"  cd {shlex.quote(path)}\n")
        if "DAFT_NO_HINTS" not in os.environ:
            sys.stderr.write('  (to go there by itself: eval "$(daft shell-init bash)")\n')


def run_after(commands: Sequence[str], path: str) -> None:
    """Run the `-x` commands in the new worktree, the terminal theirs, until one fails.

    Raises: Trouble with the status of the one that failed; KeyboardInterrupt when it was
    interrupted.
    """
    import signal
    import subprocess

    if not commands:
        return
    shell = os.environ.get("SHELL") or "/bin/sh"
    environment = {name: value for name, value in os.environ.items() if name != "DAFT_CD_FILE"}
    # What is typed at the terminal is meant for the command: an editor, a shell, a server may
    # take Ctrl+C and live on. We only have to outlive it. A handler, unlike ignoring, is not
    # inherited by what we start.
    quiet = {one: signal.signal(one, _let_pass) for one in (signal.SIGINT, signal.SIGQUIT)}
    try:
        for command in commands:
            code = subprocess.call([shell, "-c", command], cwd=path, env=environment)
            if code in (-signal.SIGINT, 128 + signal.SIGINT):
                raise KeyboardInterrupt
            if code != 0:
                code = code if code > 0 else 128 - code
                raise Trouble(f"`{command}` exited with status {code}")
    finally:
        for one, handler in quiet.items():
            signal.signal(one, handler)


def _let_pass(_signal: int, _frame: object) -> None:
    """Take note of a signal and do nothing about it."""
