"""Paths of what lies in a directory that was moved."""

from __future__ import annotations


def moved_path(path: str, old: str, new: str) -> str:
    """Return where `path` is once the directory `old` is `new`: itself when it is not in it."""
    if path == old:
        return new
    return new + path[len(old) :] if path.startswith(f"{old.rstrip('/')}/") else path
