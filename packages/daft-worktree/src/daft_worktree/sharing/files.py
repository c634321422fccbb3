"""Files that worktrees have in common: where they are kept, what a worktree has of them, and what
may become of that.

Each is kept once, below the repository's git directory; a worktree has a link to it. Nothing here
changes anything.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from .. import git
from ..worktrees import Worktree, holds_worktree
from . import links, private

_BELOW = os.path.join(".daft", "shared")


class Has(Enum):
    """What a worktree has where a shared file belongs."""

    NOTHING = "nothing"
    LINK = "link"  # to the shared file
    STALE = "stale"  # a link of ours that leads nowhere: one of both was moved, or deleted
    SAME = "same"  # a file of its own that says the same
    OTHER = "other"  # anything else
    TRACKED = "tracked"  # git has it, or something below it
    BLOCKED = "blocked"  # the way to it leads out of the worktree, or is closed


class State(Enum):
    """The same in the words of people."""

    LINKED = "linked"
    LOCAL = "local"
    CONFLICT = "conflict"
    MISSING = "missing"


class Spot(NamedTuple):
    """One shared file in one worktree.

    name: relative to the top of the worktree. is_stored: there is a shared file of that name.
    is_private: the worktree was told to have a copy of its own. detail: what is there instead of
    a link, for people.
    """

    worktree: Worktree
    name: str
    has: Has
    is_stored: bool
    is_private: bool = False
    detail: str = ""

    @property
    def path(self) -> str:
        """Where it is in the worktree."""
        return os.path.join(self.worktree.path, self.name)

    @property
    def state(self) -> State:
        """What it is for people."""
        match self.has:
            case Has.LINK:
                return State.LINKED
            case Has.NOTHING | Has.STALE:
                return State.MISSING
            case Has.SAME:
                return State.LOCAL
            case Has.OTHER if self.is_private or not self.is_stored:
                return State.LOCAL
            case _:
                return State.CONFLICT


class Verdict(Enum):
    """What is to be done about one spot."""

    NOTHING = "nothing"  # it is as it should be
    NOT_STORED = "not-stored"  # there is nothing to share
    PRIVATE = "private"  # it has a copy of its own, and is to keep it
    CONFLICT = "conflict"  # what is there must not be touched
    LINK = "link"  # make the link where nothing is
    SWAP = "swap"  # put the link in place of what says the same
    REPLACE = "replace"  # keep what is there aside, then take its place
    COPY = "copy"  # put a copy in place of the link
    REMEMBER = "remember"  # let it have what it has


def link_verdict(spot: Spot, *, asked: bool = False, override: bool = False) -> Verdict:
    """Return what linking means for a spot.

    asked: the user named this worktree, so a copy of its own is no wish to keep it. override:
    also where another file is.
    """
    if not spot.is_stored:
        return Verdict.NOT_STORED
    match spot.has:
        case Has.LINK:
            return Verdict.NOTHING
        case Has.NOTHING:
            return Verdict.LINK
        case Has.STALE:
            return Verdict.SWAP
        case Has.SAME if asked or not spot.is_private:
            return Verdict.SWAP
        case Has.OTHER if override:
            return Verdict.REPLACE
        case Has.SAME:
            return Verdict.PRIVATE
        case Has.OTHER if spot.is_private and not asked:
            return Verdict.PRIVATE
        case _:
            return Verdict.CONFLICT


def copy_verdict(spot: Spot, *, override: bool = False) -> Verdict:
    """Return what a copy of its own means for a spot. override: of what is shared, not another."""
    if not spot.is_stored:
        return Verdict.NOT_STORED
    match spot.has:
        case Has.LINK | Has.NOTHING | Has.STALE:
            return Verdict.COPY
        case Has.OTHER if override:
            return Verdict.REPLACE
        case Has.SAME | Has.OTHER:
            return Verdict.NOTHING if spot.is_private else Verdict.REMEMBER
        case _:
            return Verdict.CONFLICT


def stored_path(common_dir: str, name: str) -> str:
    """Return where a shared file is kept."""
    return os.path.join(common_dir, _BELOW, name)


def is_stored(common_dir: str, name: str) -> bool:
    """True when there is a shared file of that name."""
    return os.path.lexists(stored_path(common_dir, name))


def link_text(common_dir: str, path: str, name: str) -> str:
    """Return what a link at `path` must say to lead to a shared file, also after a move of all."""
    return os.path.relpath(stored_path(common_dir, name), os.path.realpath(os.path.dirname(path)))


def stored_names(common_dir: str) -> list[str]:
    """Return the names of all shared files, sorted; of shared directories those of their files."""
    top = os.path.join(common_dir, _BELOW)
    found = [
        os.path.relpath(os.path.join(directory, file), top)
        for directory, _, files in os.walk(top)
        for file in files
        if not links.is_half_made(file)
    ]
    return sorted(found)


def stale_link(common_dir: str, worktree: Worktree, name: str) -> Spot | None:
    """Return the link of a worktree to a shared file that leads nowhere since it was moved."""
    spot = _look_at(common_dir, worktree, name, False)
    return spot if spot.has is Has.STALE and spot.is_stored else None


def look(common_dir: str, worktree: Worktree, names: Iterable[str]) -> list[Spot]:
    """Return what a worktree has of each of `names`. Starts git once, and not for links only.

    Raises: GitFailed.
    """
    if not (worktree.is_main or holds_worktree(worktree, common_dir)):
        # git goes on listing a path on which something of somebody else sits.
        why = "something else is where git has this worktree"
        return [
            Spot(worktree, name, Has.BLOCKED, is_stored(common_dir, name), detail=why)
            for name in names
        ]
    own = private.read(worktree)
    spots = [_look_at(common_dir, worktree, name, name in own) for name in names]
    unsure = [one.name for one in spots if one.has not in (Has.LINK, Has.BLOCKED)]
    tracked = tracked_names(worktree.path, unsure)
    return [
        one._replace(has=Has.TRACKED, detail="git tracks it") if one.name in tracked else one
        for one in spots
    ]


def tracked_names(top: str, names: Sequence[str]) -> set[str]:
    """Return those of `names` that git tracks in a worktree, or something below them.

    Raises: GitFailed.
    """
    if not names:
        return set()
    words = ("--literal-pathspecs", "ls-files", "-z", "--", *names)
    listed = git.fields(git.run(top, *words, doing=f"looking at what is tracked in {top}"))
    return {
        name for name in names if any(one == name or one.startswith(f"{name}/") for one in listed)
    }


def is_link_to_shared(common_dir: str, worktree: Worktree, name: str) -> bool:
    """True for a link to a shared file, and for a directory (with a slash) of nothing else."""
    if not name.endswith("/"):
        return _look_at(common_dir, worktree, name, False).has in (Has.LINK, Has.STALE)
    found = False
    for directory, inner, files in os.walk(os.path.join(worktree.path, name)):
        links = [one for one in inner if os.path.islink(os.path.join(directory, one))]
        for file in (*files, *links):
            own = os.path.relpath(os.path.join(directory, file), worktree.path)
            if not is_link_to_shared(common_dir, worktree, own):
                return False
            found = True
    return found


def _look_at(common_dir: str, worktree: Worktree, name: str, is_private: bool) -> Spot:
    try:
        has, detail = _blocked(worktree, name) or _there(common_dir, worktree, name)
    except OSError as error:
        has, detail = Has.BLOCKED, error.strerror or str(error)
    return Spot(worktree, name, has, is_stored(common_dir, name), is_private, detail)


def _blocked(worktree: Worktree, name: str) -> tuple[Has, str] | None:
    """Return why a file cannot be reached inside of the worktree, None when it can be."""
    way = worktree.path
    for part in name.split("/")[:-1]:
        way = os.path.join(way, part)
        shown = os.path.relpath(way, worktree.path)
        try:
            mode = os.lstat(way).st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(mode):
            kind = "link" if stat.S_ISLNK(mode) else "file"
            return Has.BLOCKED, f"{shown} is a {kind}"
        if os.path.lexists(os.path.join(way, ".git")):
            return Has.BLOCKED, f"{shown} is another repository"
    return None


def _there(common_dir: str, worktree: Worktree, name: str) -> tuple[Has, str]:
    path, stored = os.path.join(worktree.path, name), stored_path(common_dir, name)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return Has.NOTHING, ""
    if stat.S_ISLNK(mode):
        text = os.readlink(path)
        whole = os.path.normpath(os.path.join(os.path.realpath(os.path.dirname(path)), text))
        if whole == stored:
            return (Has.LINK if os.path.lexists(stored) else Has.STALE), ""
        is_ours = whole.endswith(os.path.join(os.sep, _BELOW, name)) and not os.path.exists(path)
        return (Has.STALE, "") if is_ours else (Has.OTHER, f"a link to {text} is there")
    if stat.S_ISDIR(mode):
        return Has.OTHER, "a directory is there"
    if not stat.S_ISREG(mode):
        return Has.OTHER, "no plain file is there"
    return (Has.SAME, "") if is_same(path, stored) else (Has.OTHER, "another file is there")


def is_same(one: str, other: str) -> bool:
    """True when both are plain files that say the same; False for what cannot be read."""
    import filecmp

    try:
        if not (stat.S_ISREG(os.lstat(one).st_mode) and stat.S_ISREG(os.lstat(other).st_mode)):
            return False
        filecmp.clear_cache()  # it goes by size and time; a write in the same instant counts
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False  # no proof
