"""Branch names: what git accepts, what could deceive, what is near to what."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import BadBranchName, BranchConflict, CaseConflict

_FORBIDDEN = frozenset(" ~^:?*[\\")
MAX_COMPONENT_BYTES = 255


def check_branch_name(name: str) -> str:
    """Return `name` if it can be a branch.

    The rules are those of git-check-ref-format(1) with `--branch`, and a refusal of invisible
    characters that make two names look alike.
    Raises: BadBranchName.
    """
    if not name:
        raise BadBranchName(name, "it is empty")
    if name.startswith("-"):
        raise BadBranchName(name, "it begins with a dash")
    if name in ("HEAD", "@"):
        raise BadBranchName(name, "the word has a meaning of its own")
    if name.startswith("refs/"):
        raise BadBranchName(name, "leave out refs/heads/")
    for char in name:
        if char in _FORBIDDEN or ord(char) < 0x20 or ord(char) == 0x7F:
            raise BadBranchName(name, f"it holds {char!r}")
    if not name.isascii():
        _check_visible(name)
    if ".." in name or "@{" in name:
        raise BadBranchName(name, "`..` and `@{` have meanings of their own")
    if name.endswith("."):
        raise BadBranchName(name, "it ends in a dot")
    for part in name.split("/"):
        if not part:
            raise BadBranchName(name, "a part between slashes is empty")
        if part.startswith(".") or part.endswith(".lock"):
            raise BadBranchName(name, f"{part!r} begins with a dot or ends in .lock")
        if len(part.encode("utf-8", "surrogateescape")) > MAX_COMPONENT_BYTES:
            raise BadBranchName(name, f"a part is too long, {MAX_COMPONENT_BYTES} bytes at most")
    return name


def check_no_conflict(name: str, existing: Iterable[str], *, ignore_case: bool = False) -> None:
    """Refuse a name that is a directory of another branch's name, or the reverse.

    ignore_case: the file system does not tell letters by case (git's `core.ignoreCase`).
    Raises: BranchConflict, CaseConflict.
    """
    mine = _folded(name) if ignore_case else name
    for other in existing:
        theirs = _folded(other) if ignore_case else other
        if theirs.startswith(f"{mine}/") or mine.startswith(f"{theirs}/"):
            raise BranchConflict(name, other)
        if theirs == mine and other != name:
            raise CaseConflict(name, other)


def similar(name: str, existing: Iterable[str], limit: int = 5) -> tuple[str, ...]:
    """Return the names most like `name`, best first."""
    # Here, because it loads `re`, and only somebody who has mistyped needs it.
    from difflib import get_close_matches

    return tuple(get_close_matches(name, list(existing), n=limit, cutoff=0.6))


def _folded(name: str) -> str:
    """Return what a file system that does not tell letters by case may make of a name."""
    if name.isascii():
        return name.lower()
    from unicodedata import normalize

    return normalize("NFC", normalize("NFC", name).casefold())


def _check_visible(name: str) -> None:
    from unicodedata import category

    if any(category(char) in ("Cf", "Zl", "Zp") for char in name):
        raise BadBranchName(name, "it holds an invisible character")
