"""Which shared files a worktree has copies of its own of, by its user's wish.

Kept in the worktree's own git directory: git moves and deletes it together with the worktree.
"""

from __future__ import annotations

import os

from ..errors import CannotWrite
from ..records import read_text
from ..worktrees import Worktree

_VERSION = 1


def read(worktree: Worktree) -> frozenset[str]:
    """Return the names. What cannot be understood says nothing: other files are kept anyway."""
    text = read_text(_path(worktree))
    if text is None:
        return frozenset()
    import json  # here: hardly any worktree has one

    try:
        kept = json.loads(text)
        if kept["version"] != _VERSION:
            return frozenset()
        return frozenset(name for name in kept["paths"] if isinstance(name, str))
    except (ValueError, KeyError, TypeError):
        return frozenset()


def add(worktree: Worktree, name: str) -> None:
    """Remember that a worktree has its own. Raises: CannotWrite."""
    names = read(worktree)
    if name not in names:
        _write(worktree, names | {name})


def forget(worktree: Worktree, name: str) -> None:
    """Forget that a worktree has its own. Raises: CannotWrite."""
    names = read(worktree)
    if name in names:
        _write(worktree, names - {name})


def _path(worktree: Worktree) -> str:
    return os.path.join(worktree.private_dir, ".daft", "materialized.json")


def _write(worktree: Worktree, names: frozenset[str]) -> None:
    import json

    path = _path(worktree)
    beside = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(beside, "w", encoding="utf-8") as file:
            json.dump({"version": _VERSION, "paths": sorted(names)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error)) from error
