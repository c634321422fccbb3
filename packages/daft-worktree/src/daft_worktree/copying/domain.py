"""What may be copied from where, and why not: decided from what was seen, without looking."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from ..worktrees import Worktree


class Pattern(NamedTuple):
    """One thing that is wanted, by its path from the top of a worktree.

    text: as it was written; without `fits` the path itself. fits: True for a path that is meant.
    base: the directory in which all that fits lies, "" for the top. depth: how many parts a path
    that fits has at most, None for any number.
    """

    text: str
    fits: Callable[[str], bool] | None = None
    base: str = ""
    depth: int | None = None


class Rules(NamedTuple):
    """What is wanted, and how far it may go where the file system cannot share what files hold.

    copies_bytes: False to leave such things out. max_size_bytes: the most of one path that is
    copied byte by byte; where it is set, `copies_bytes` is of no matter. linked: paths that
    worktrees share by links; they are left out, also of directories that are copied.
    """

    patterns: tuple[Pattern, ...]
    copies_bytes: bool = True
    max_size_bytes: int | None = None
    linked: frozenset[str] = frozenset()

    @property
    def byte_limit(self) -> int | None:
        """The most that is copied byte by byte of one path; None for any amount."""
        if self.max_size_bytes is not None:
            return self.max_size_bytes
        return None if self.copies_bytes else 0


def is_linked(path: str, linked: Collection[str]) -> bool:
    """True for a path that worktrees share, or that is in a directory they share."""
    parts = path.split("/")
    return any("/".join(parts[:count]) in linked for count in range(1, len(parts) + 1))


class Kind(enum.Enum):
    """What a path is."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


class Standing(enum.Enum):
    """What git makes of a path and all below it."""

    IGNORED = "ignored"
    TRACKED = "tracked"
    VISIBLE = "visible"  # some of it is neither tracked nor ignored


class Found(NamedTuple):
    """What was seen of one path in its source and in its target.

    obstacle, target_obstacle: why the way to it cannot be gone, such as a link in it.
    holds: a worktree that lies in it. leaves: it is a link that leads out of its worktree.
    mark: what git tracks or shows of it, the first such path. is_ignored_there: git would not
    show it in the target, and tracks nothing of it there.
    """

    path: str
    kind: Kind
    obstacle: str | None = None
    holds: str | None = None
    leaves: bool = False
    standing: Standing = Standing.IGNORED
    mark: str = ""
    target_obstacle: str | None = None
    is_there: bool = False
    target_leaves: bool = False
    target_holds: str | None = None
    is_ignored_there: bool = True


class Verdict(enum.Enum):
    """What is to be done about a path."""

    COPY = "copy"
    REPLACE = "replace"
    PRESENT = "present"
    REFUSE = "refuse"


class Decision(NamedTuple):
    """What is to be done about a path, and why where it is not copied."""

    path: str
    verdict: Verdict
    reason: str = ""


def decide(found: Found, *, force: bool) -> Decision:
    """Return what is to be done about one path; the first rule that fits wins."""
    reason = _refusal(found)
    if reason is not None:
        return Decision(found.path, Verdict.REFUSE, reason)
    if found.is_there and not force:
        return Decision(found.path, Verdict.PRESENT, "is there already")
    reason = _refusal_there(found)
    if reason is not None:
        return Decision(found.path, Verdict.REFUSE, reason)
    return Decision(found.path, Verdict.REPLACE if found.is_there else Verdict.COPY)


def _refusal(found: Found) -> str | None:
    """Return why a path may not leave its source."""
    if found.obstacle is not None:
        return found.obstacle
    if found.kind is Kind.OTHER:
        return "is neither a file nor a directory"
    if found.leaves:
        return "is a link that leads out of its worktree"
    if found.holds is not None:
        return f"holds the worktree {found.holds}"
    if found.standing is Standing.TRACKED:
        return f"git tracks {_part(found)}"
    if found.standing is Standing.VISIBLE:
        return f"git does not ignore {_part(found)}"
    return found.target_obstacle


def _refusal_there(found: Found) -> str | None:
    """Return why a path may not come to its target."""
    if found.target_leaves:
        return "is a link there that leads out of its worktree"
    if found.target_holds is not None:
        return f"holds {found.target_holds} there"
    if not found.is_ignored_there:
        # Most of all a secret must not become something that `git add` takes.
        return "git tracks it there, or does not ignore it there"
    return None


def _part(found: Found) -> str:
    return "it" if found.mark.rstrip("/") == found.path else f"{found.mark} in it"


def without_nested(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """Return the decisions, each path once, without those that others bring along."""
    kept: dict[str, Decision] = {}
    brought: list[str] = []
    for one in sorted(decisions, key=lambda one: one.path.split("/")):
        if one.path in kept or any(one.path.startswith(f"{path}/") for path in brought):
            continue
        kept[one.path] = one
        if one.verdict in (Verdict.COPY, Verdict.REPLACE):
            brought.append(one.path)
    return tuple(kept.values())


def tiers(
    worktrees: Sequence[Worktree],
    target: Worktree,
    *,
    base: str | None,
    current: str | None,
) -> tuple[tuple[Worktree, ...], ...]:
    """Return the worktrees to copy from, the best first; those in one tier are equally good.

    base: the branch the target was made from. current: the path one stands in.
    First the base's worktree, then one at the very commit of the target, the current one before
    others, then the current one.
    """
    live = [one for one in worktrees if not (one.is_bare or one.missing or one.path == target.path)]

    home = tuple(one for one in live if base is not None and one.branch == base)
    here = tuple(one for one in live if one.path == current)
    same = tuple(one for one in live if target.head is not None and one.head == target.head)
    ordered = (home, tuple(one for one in here if one in same), same, here)
    seen: set[str] = set()
    found: list[tuple[Worktree, ...]] = []
    for tier in ordered:
        fresh = tuple(one for one in tier if one.path not in seen)
        seen |= {one.path for one in fresh}
        if fresh:
            found.append(fresh)
    return tuple(found)
