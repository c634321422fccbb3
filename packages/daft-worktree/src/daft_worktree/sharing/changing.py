"""Sharing files between the worktrees of a repository, and taking that back.

Every verb looks again under the worktree lock, so that two at once, a creation or a removal
never meet. No file that says something else than what is shared is ever lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import NamedTuple

from .. import places
from ..errors import CannotShare, CannotWrite
from ..lock import worktree_lock
from ..repository import Repository
from ..worktrees import Worktree
from . import links, private
from .files import (
    Has,
    Spot,
    Verdict,
    copy_verdict,
    is_same,
    is_stored,
    link_text,
    link_verdict,
    look,
    stale_link,
    stored_names,
    stored_path,
)


class Outcome(Enum):
    """What became of one spot."""

    LINKED = "linked"  # there is a link now
    AS_IT_WAS = "as-it-was"  # there was one already
    COPIED = "copied"  # it has a copy of its own now
    KEPT = "kept"  # it keeps the copy of its own that it has
    DELETED = "deleted"  # the link is gone
    CONFLICT = "conflict"  # something else is there, and was not touched
    NOT_STORED = "not-stored"  # nothing of that name is shared
    FAILED = "failed"  # the system said no


class Row(NamedTuple):
    """What became of one shared file in one worktree.

    detail: what is there, or the system's words. aside: where the file that was there is kept.
    """

    name: str
    label: str
    outcome: Outcome
    detail: str = ""
    aside: str | None = None


_DONE = {
    Verdict.NOTHING: Outcome.AS_IT_WAS,
    Verdict.PRIVATE: Outcome.KEPT,
    Verdict.CONFLICT: Outcome.CONFLICT,
    Verdict.NOT_STORED: Outcome.NOT_STORED,
}


def share(repository: Repository, worktree: Worktree, name: str, *, override: bool = False) -> Row:
    """Make the file `name` of a worktree a shared one, and put a link in its place.

    Where the same is shared already, only the link is made. override: also where something else
    is shared under that name; that is kept aside.
    Raises: CannotShare, with nothing changed; LockTimeout; CannotWrite; GitFailed.
    """
    common_dir = repository.common_dir
    with _working(common_dir):
        (spot,) = look(common_dir, worktree, (name,))
        refusal = refusal_to_share(spot, override=override)
        if refusal is not None:
            raise refusal
        try:
            links.sweep_beside(spot.path)
            kept = _store(common_dir, spot)
            row = _row(spot, Outcome.AS_IT_WAS)
            if spot.has is not Has.LINK:
                verdict = Verdict.LINK if spot.has is Has.NOTHING else Verdict.SWAP
                row = _link(common_dir, spot, verdict)
            private.forget(worktree, name)
        except OSError as error:
            place = error.filename2 or error.filename or stored_path(common_dir, name)
            raise CannotWrite(str(place), error.strerror or str(error)) from error
        places.ignore(common_dir, worktree.path, (name,))
    return row._replace(detail="", aside=kept or row.aside)


def refusal_to_share(spot: Spot, *, override: bool = False) -> CannotShare | None:
    """Return why a file cannot become a shared one, None when it can."""
    if spot.has is Has.TRACKED:
        return CannotShare(spot.name, "is tracked by git", "`git rm --cached` it first")
    if spot.has is Has.BLOCKED:
        return CannotShare(spot.name, f"cannot be shared: {spot.detail}")
    if spot.has in (Has.NOTHING, Has.STALE) and not spot.is_stored:
        tip = "make it, or only declare it with `daft shared add --declare`"
        return CannotShare(spot.name, "does not exist", tip)
    if spot.has is Has.OTHER and not os.path.isfile(spot.path):
        return CannotShare(spot.name, f"cannot be shared: {spot.detail}", "share single files")
    if spot.has is Has.OTHER and os.path.islink(spot.path):
        return CannotShare(spot.name, f"cannot be shared: {spot.detail}")
    if spot.has is Has.OTHER and spot.is_stored and not override:
        tip = f"`--override` makes this the shared one, `daft shared link {spot.name} --override`"
        tip += " takes the shared one; what gives way is kept"
        return CannotShare(spot.name, "is shared already, and says something else here", tip)
    return None


def link(
    repository: Repository,
    worktree: Worktree,
    names: Iterable[str],
    *,
    asked: bool = False,
    override: bool = False,
) -> list[Row]:
    """Make the links to shared files that a worktree has not; return a row for each name.

    asked: also in place of a copy that it was told to have. override: also in place of another
    file, which is kept aside. Nothing is done, and no git started, when nothing is shared.
    Raises: LockTimeout, CannotWrite, GitFailed.
    """
    common_dir = repository.common_dir
    wanted = list(names)
    known = [name for name in wanted if is_stored(common_dir, name)]
    rows = [Row(n, worktree.label, Outcome.NOT_STORED) for n in wanted if n not in known]
    if not known:
        return rows
    with _working(common_dir):
        for spot in look(common_dir, worktree, known):
            verdict = link_verdict(spot, asked=asked, override=override)
            row = _safely(spot, partial(_link, common_dir, spot, verdict))
            if asked and row.outcome in (Outcome.LINKED, Outcome.AS_IT_WAS):
                private.forget(worktree, spot.name)
            rows.append(row)
        linked = (Outcome.LINKED, Outcome.AS_IT_WAS)
        # Nobody wants to commit a secret, or a link that leads nowhere for others.
        there = [row.name for row in rows if row.outcome in linked]
        places.ignore(common_dir, worktree.path, there)
    return rows


def materialize(
    repository: Repository, worktree: Worktree, name: str, *, override: bool = False
) -> Row:
    """Give a worktree a copy of its own of a shared file, and remember that it wants one.

    A file of its own that it has already stays; with `override` it is kept aside and replaced.
    Raises: LockTimeout, CannotWrite, GitFailed.
    """
    common_dir = repository.common_dir
    with _working(common_dir):
        (spot,) = look(common_dir, worktree, (name,))
        row = _safely(spot, partial(_copy, common_dir, spot, copy_verdict(spot, override=override)))
        if row.outcome in (Outcome.COPIED, Outcome.KEPT):
            private.add(worktree, name)
    return row


def unshare(
    repository: Repository, worktrees: Sequence[Worktree], name: str, *, delete: bool = False
) -> list[Row]:
    """Give every worktree a copy of its own in place of its link, and share the file no more.

    delete: no copies; links and the shared file are deleted. Other files are left alone in both
    cases. The shared file goes last, and stays when a copy could not be made.
    Raises: LockTimeout, CannotWrite, GitFailed.
    """
    common_dir = repository.common_dir
    rows: list[Row] = []
    with _working(common_dir):
        for worktree in worktrees:
            (spot,) = look(common_dir, worktree, (name,))
            rows.append(_safely(spot, partial(_unlink, common_dir, spot, delete=delete)))
            private.forget(worktree, name)
        if all(row.outcome is not Outcome.FAILED for row in rows):
            _drop_stored(common_dir, name)
    return rows


def mend(common_dir: str, worktree: Worktree) -> list[Row]:
    """Make the links of a worktree that was moved lead to the shared files again.

    Only links are touched that are ours and lead nowhere; no git is started. To be called with
    the worktree lock held. Raises: CannotWrite.
    """
    names = stored_names(common_dir)
    stale = [one for name in names if (one := stale_link(common_dir, worktree, name)) is not None]
    if not stale:
        return []
    _sweep(common_dir)
    return [_safely(one, partial(_link, common_dir, one, Verdict.SWAP)) for one in stale]


# --- one spot -----------------------------------------------------------------------------------


def _store(common_dir: str, spot: Spot) -> str | None:
    """Make the shared file hold what the spot holds; return where another one is kept, if any.

    In the staging first, so that links to it lead to the one or the other at each moment.
    """
    if spot.has is not Has.OTHER:
        return None
    stored = stored_path(common_dir, spot.name)
    if not spot.is_stored:
        links.keep(spot.path, stored)
        return None
    folder = os.path.join(common_dir, ".daft", "discarded", "shared")
    kept = links.aside(stored, folder, spot.name)
    links.swap_in_same(stored, spot.path)
    return kept


def _link(common_dir: str, spot: Spot, verdict: Verdict) -> Row:
    text = link_text(common_dir, spot.path, spot.name)
    kept: str | None = None
    match verdict:
        case Verdict.LINK:
            links.put_link(spot.path, text)
        case Verdict.SWAP:
            kept = _swap(common_dir, spot, text)
        case Verdict.REPLACE:
            kept = _aside(common_dir, spot)
            links.swap_in_link(spot.path, text, common_dir)
        case _:
            return _row(spot, _DONE[verdict])
    return _row(spot, Outcome.LINKED)._replace(aside=kept)


def _swap(common_dir: str, spot: Spot, text: str) -> str | None:
    """Put the link in place of what says the same; return where it is kept if it no longer does."""
    if os.path.islink(spot.path):
        links.swap_in_link(spot.path, text, common_dir)
        return None
    kept = _aside(common_dir, spot)
    links.swap_in_link(spot.path, text, common_dir)
    # Only now nobody opens it by its path any more.
    if not is_same(kept, stored_path(common_dir, spot.name)):
        return kept
    os.unlink(kept)
    places.remove_empty(_parents(kept, os.path.join(common_dir, ".daft")))
    return None


def _copy(common_dir: str, spot: Spot, verdict: Verdict) -> Row:
    kept: str | None = None
    match verdict:
        case Verdict.REMEMBER | Verdict.NOTHING:
            return _row(spot, Outcome.KEPT)
        case Verdict.REPLACE:
            kept = _aside(common_dir, spot)
        case Verdict.COPY:
            pass
        case _:
            return _row(spot, _DONE[verdict])
    links.swap_in_copy(spot.path, stored_path(common_dir, spot.name), common_dir)
    return _row(spot, Outcome.COPIED)._replace(aside=kept)


def _unlink(common_dir: str, spot: Spot, *, delete: bool) -> Row:
    if spot.has not in (Has.LINK, Has.STALE):
        return _row(spot, Outcome.KEPT)
    if delete or not spot.is_stored:
        os.unlink(spot.path)
        return _row(spot, Outcome.DELETED)
    return _copy(common_dir, spot, Verdict.COPY)


def _aside(common_dir: str, spot: Spot) -> str:
    folder = os.path.join(common_dir, ".daft", "discarded", spot.worktree.label)
    return links.aside(spot.path, folder, spot.name)


def _safely(spot: Spot, act: Callable[[], Row]) -> Row:
    """Return what an act came to; what the system refuses in one worktree stops no other."""
    try:
        links.sweep_beside(spot.path)
        return act()
    except FileExistsError:
        return _row(spot, Outcome.CONFLICT)._replace(detail="something came there at this moment")
    except OSError as error:
        return _row(spot, Outcome.FAILED)._replace(detail=error.strerror or str(error))


def _row(spot: Spot, outcome: Outcome) -> Row:
    return Row(spot.name, spot.worktree.label, outcome, spot.detail)


# --- what they share ----------------------------------------------------------------------------


@contextmanager
def _working(common_dir: str) -> Iterator[None]:
    with worktree_lock(common_dir):
        _sweep(common_dir)
        yield


def _sweep(common_dir: str) -> None:
    try:
        links.sweep(common_dir)
    except OSError as error:
        where = links.staging(common_dir)
        raise CannotWrite(where, error.strerror or str(error)) from error


def _drop_stored(common_dir: str, name: str) -> None:
    stored = stored_path(common_dir, name)
    if os.path.lexists(stored) and not places.delete_tree(stored):
        raise CannotWrite(stored, "it could not be deleted")
    places.remove_empty(_parents(stored, os.path.join(common_dir, ".daft")))


def _parents(path: str, top: str) -> list[str]:
    """Return the directories between a path and `top`, the innermost first."""
    found: list[str] = []
    while (path := os.path.dirname(path)) != top:
        found.append(path)
    return found
