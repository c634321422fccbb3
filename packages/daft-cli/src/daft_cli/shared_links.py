"""Links to shared files in worktrees that were just made, and what is said of links."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from daft_hooks.discovery import Loaded
from daft_worktree.errors import WorktreeError
from daft_worktree.repository import Repository
from daft_worktree.worktrees import Worktree

from .terminal import harmless, show_path, warn

if TYPE_CHECKING:
    from daft_worktree.sharing import Row


def link_shared(repository: Repository, worktree: Worktree, *loaded: Loaded | None) -> None:
    """Link what any of `loaded` declares as shared into a new worktree. Trouble is a warning.

    What nobody has shared yet is passed over.
    """
    declared = [one.decoded.configuration.shared if one is not None else () for one in loaded]
    link_names(repository, worktree, [name for names in declared for name in names])


def link_names(repository: Repository, worktree: Worktree, names: Iterable[str]) -> None:
    """Link shared files of these names into a worktree, as `link_shared`."""
    wanted = dict.fromkeys(names)
    if not wanted:
        return
    from daft_worktree import sharing  # only those who use it pay for it

    try:
        rows = sharing.link(repository, worktree, wanted)
    except WorktreeError as error:
        warn(f"shared files are not linked in '{worktree.label}': {error}")
        return
    for row in rows:
        if row.outcome in (sharing.Outcome.CONFLICT, sharing.Outcome.FAILED):
            warn(f"{harmless(row.name)} is not linked in '{row.label}': {harmless(row.detail)}")
        tell_aside(row)


def tell_aside(row: Row) -> None:
    """Say where a file is kept whose place a link has taken."""
    if row.aside is not None:
        text = f"the {row.name} that was in '{row.label}' is kept: {show_path(row.aside)}"
        sys.stderr.write(harmless(text) + "\n")
