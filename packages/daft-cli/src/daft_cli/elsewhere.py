"""Going to another repository of the catalog, where a name means nothing in this one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from daft_worktree.branches import default_branch
from daft_worktree.repository import Repository
from daft_worktree.worktrees import Worktree

from .catalog import every_entry
from .place import change_directory, run_after
from .repositories import look_at
from .terminal import show_path


def go_elsewhere(
    name: str, commands: Sequence[str], *, but: Repository | None, no_cd: bool, quiet: bool
) -> bool:
    """Go to the live repository of this very name; False when there is none, or it is gone.

    but: the one stood in. Raises: Trouble.
    """
    entry = next((one for one in every_entry() if one.is_live and one.name == name), None)
    if entry is None or (but is not None and entry.git_common_dir == but.common_dir):
        return False
    target = look_at(entry).repository
    if target is None:
        return False
    tree = _landing(target)
    path = target.project_root if tree is None else tree.path
    if not quiet:
        where = "" if tree is None else f", worktree '{tree.label}'"
        sys.stdout.write(f"Switched to repository '{name}'{where}: {show_path(path)}\n")
        sys.stdout.flush()
    change_directory(target, path, wanted=not no_cd)
    run_after(commands, path)
    return True


def _landing(repository: Repository) -> Worktree | None:
    """Return where one arrives: the default branch's worktree, the main one, or any."""
    there = [one for one in repository.worktrees if not one.is_bare and not one.missing]
    default = default_branch(repository)
    wanted = [one for one in there if one.branch == default and default is not None]
    return next(iter([*wanted, *there]), None)
