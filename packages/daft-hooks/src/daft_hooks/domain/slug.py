"""A worktree's name in a form that fits host names, compose projects and ports."""

from __future__ import annotations

import posixpath

MAX_CHARS = 63


def worktree_slug(path: str, project_root: str) -> str:
    """Return lower-case letters, digits and single dashes, at most 63, never empty.

    The name is the path below the project root, or the last component when it is not below.
    A permanent contract: ports and names that people rely on are derived from it.
    """
    raw = posixpath.basename(path.rstrip("/"))
    root = project_root.rstrip("/")
    if path.startswith(root + "/"):
        raw = path[len(root) + 1 :]
    slug = ""
    for char in raw:
        if char.isascii() and char.isalnum():
            slug += char.lower()
        elif slug and not slug.endswith("-"):
            slug += "-"
    return slug[:MAX_CHARS].rstrip("-") or "worktree"
