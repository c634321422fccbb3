"""Taking `copy:` out of the tree of a file: what a new worktree gets from another one."""

from __future__ import annotations

from .document import Node
from .domain.config import CopyConfig
from .errors import Mark, Severity
from .reading import Reader


def read_copy(reader: Reader, node: Node | None, path: str) -> CopyConfig:
    """Return what `copy:` asks for; nothing when it does not.

    A path that is not inside of the worktree is told, and left out.
    """
    if node is None or node.is_null:
        return CopyConfig()
    if node.kind != "map":
        return CopyConfig(paths=_paths(reader, node, path))
    given = reader.fields(node, path, "copy")
    if "paths" not in given:
        severity = Severity.HINT if "paths" in node.items else Severity.ERROR
        reader.note(node.mark, path, "names no `paths`, so nothing is copied", severity)
    fallback = reader.choice(given.get("fallback"), f"{path}.fallback", ("copy", "skip"))
    return CopyConfig(
        paths=_paths(reader, given.get("paths"), f"{path}.paths"),
        copies_bytes=fallback != "skip",
        max_size_bytes=reader.size_bytes(given.get("max_size"), f"{path}.max_size"),
    )


def _paths(reader: Reader, node: Node | None, path: str) -> tuple[str, ...]:
    texts, marks = reader.texts(node, path)
    found: dict[str, Mark] = {}
    for text, mark in zip(texts, marks, strict=True):
        plain = "/".join(part for part in text.split("/") if part not in ("", "."))
        wrong = _why_not(text, plain) or reader.bad_glob(plain)
        if wrong is not None:
            reader.note(mark, path, wrong, Severity.ERROR)
        elif plain in found:
            message = f"{text!r} is named a second time, first at {found[plain]}"
            reader.note(mark, path, message, Severity.WARNING)
        else:
            found[plain] = mark
    return tuple(found)


def _why_not(text: str, plain: str) -> str | None:
    """Return what is wrong with a path, None when nothing is."""
    parts = plain.split("/")
    if text.startswith("/"):
        return f"{text!r} begins with a slash; write it as it is seen from the worktree's top"
    if ".." in parts:
        return f"{text!r} holds `..`; only what is inside of the worktree is copied"
    if plain == "":
        return f"{text!r} is the whole worktree; name what is to be copied"
    if any(part.lower() == ".git" for part in parts):
        return f"{text!r} belongs to git, and is never copied"
    return None
