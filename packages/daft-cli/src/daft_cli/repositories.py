"""Repositories of the catalog as they are shown: what is recorded, and what is on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import daft_worktree
from daft_store.catalog import Entry
from daft_worktree.errors import WorktreeError
from daft_worktree.repository import Repository
from daft_worktree.worktrees import Worktree

from .catalog import every_entry, find_entry, is_path, unknown
from .failures import Trouble
from .sighting import sight
from .whereabouts import identity_of


class Shown(NamedTuple):
    """One repository. repository: as it is on disk, None when it is not, or cannot be read."""

    entry: Entry
    repository: Repository | None

    @property
    def status(self) -> str:
        """`live`, `missing` when it is not where it was, `removed` from the catalog."""
        if not self.entry.is_live:
            return "removed"
        there = identity_of(self.entry.git_common_dir) == self.entry.uuid
        return "live" if there else "missing"

    @property
    def worktrees(self) -> tuple[Worktree, ...] | None:
        """Its worktrees, None when they are not known."""
        if self.repository is None:
            return None
        return tuple(one for one in self.repository.worktrees if not one.is_bare)

    @property
    def row(self) -> dict[str, Any]:
        """What is recorded, and the status, as plain values."""
        entry = self.entry
        return {
            "name": entry.name,
            "status": self.status,
            "path": entry.path,
            "remote": entry.remote_url,
            "default_branch": entry.default_branch,
            "uuid": entry.uuid,
            "git_common_dir": entry.git_common_dir,
            "added": entry.created_at,
            "updated": entry.updated_at,
            "removed": entry.removed_at,
        }


def look_at(entry: Entry) -> Shown:
    """Return an entry with what is on disk of it."""
    if identity_of(entry.git_common_dir) != entry.uuid:
        return Shown(entry, None)
    try:
        return Shown(entry, daft_worktree.discover(entry.git_common_dir))
    except WorktreeError:
        return Shown(entry, None)  # git does not read it; what is recorded of it still is true


def choose(word: str | None) -> Shown:
    """Return the repository that `word` means, the one here without.

    Raises: Trouble when there is none; NotARepository.
    """
    if word is None or (is_path(word) and os.path.isdir(os.path.expanduser(word))):
        return _around(os.path.expanduser(word or "."))
    entries = every_entry()
    found = find_entry(entries, word)
    if found is not None:
        return look_at(found)
    if os.path.isdir(word):
        return _around(word)
    raise unknown(entries, word)


def _around(path: str) -> Shown:
    repository = daft_worktree.discover(os.path.abspath(path))
    sight(repository)
    found = find(every_entry(), repository)
    if found is None:
        raise Trouble(f"the repository at {repository.project_root} is not in the catalog")
    return Shown(found, repository)


def find(entries: Sequence[Entry], repository: Repository) -> Entry | None:
    """Return the entry of a repository on disk, None when it has none."""
    identity = identity_of(repository.common_dir)
    return next((one for one in entries if one.uuid == identity), None)
