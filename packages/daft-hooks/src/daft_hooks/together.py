"""Taking `shared:` out of the tree of a file: what the worktrees of a repository have together."""

from __future__ import annotations

import posixpath

from .document import Node
from .domain.config import EnvConfig
from .errors import Severity
from .reading import Reader


def read_shared(
    reader: Reader, node: Node | None, path: str, env: EnvConfig | None
) -> tuple[str, ...]:
    """Return the paths that `shared:` declares, each once, in the order of declaration.

    What cannot be shared is told, and left out. env: its `write` is made anew for each worktree,
    so it cannot be shared.
    """
    written = None if env is None or env.write is None else posixpath.normpath(env.write)
    found: list[str] = []
    for text, mark in zip(*reader.texts(node, path), strict=True):
        whole = shared_path(text)
        if whole is None:
            problem = f"{text!r} is no path inside of the worktree, and outside of `.git`"
        elif whole == written:
            problem = f"{text!r} is what `env.write` names; each worktree has its own"
        elif around := next((one for one in found if _overlap(one, whole)), None):
            problem = f"{text!r} and {around!r} lie in one another; share one of them"
        else:
            if whole not in found:
                found.append(whole)
            continue
        reader.note(mark, path, problem, Severity.ERROR)
    return tuple(found)


def shared_path(text: str) -> str | None:
    """Return a path in its shortest form, None for what no worktree can share.

    It must be relative, lead neither out of the worktree nor into a `.git`, and name something.
    """
    whole = posixpath.normpath(text)
    parts = whole.split("/")
    if not text or posixpath.isabs(text) or parts[0] in ("..", "."):
        return None
    # In any case: some file systems do not tell the difference.
    if any(part.lower() == ".git" for part in parts) or not whole.isprintable():
        return None
    return whole


def _overlap(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")
