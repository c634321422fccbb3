"""Configuration that git does not track: it comes along to new worktrees, and is not lost there.

What is brought is remembered. What was changed since then is somebody's work: it keeps its
worktree from being removed, until another worktree says the same.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping

from daft_hooks.consolidation import holds_already
from daft_hooks.errors import RegistryUnavailable
from daft_worktree import git
from daft_worktree.errors import Refused
from daft_worktree.worktrees import Worktree

from .context import Session
from .failures import Trouble
from .terminal import show_path, warn

NAMES = ("daft.yml", "daft.yaml", ".daft.yml", ".daft.yaml", "daft.local.yml", "daft.local.yaml")
"""Files that travel to new worktrees, byte for byte, where git does not track them."""


def bring(session: Session, source: Worktree, worktree: Worktree) -> None:
    """Copy what `source` has and `worktree` has not, and remember it. Trouble is a warning."""
    for name in NAMES:
        origin, target = os.path.join(source.path, name), os.path.join(worktree.path, name)
        if not os.path.isfile(origin) or os.path.lexists(target) or is_tracked(source, name):
            continue
        data = _copy(origin, target)
        if data is None:
            continue
        Visitors(session).brought(worktree, name, data)


class Visitors:
    """Untracked configuration of the worktrees of a repository, beside what was brought."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._common_dir = session.repository.common_dir
        self._losses: dict[str, None] = {}  # in the order they were found in

    def seeds(self, worktree: Worktree) -> Mapping[str, bytes]:
        """Return what was brought to a worktree, by name."""
        try:
            return self._session.registry.seeds(self._common_dir, worktree.label)
        except RegistryUnavailable as error:
            warn(f"what was brought to '{worktree.label}' is not known: {error}")
            return {}

    def brought(self, worktree: Worktree, name: str, data: bytes) -> None:
        """Remember what a file of a worktree began with. Trouble is a warning."""
        try:
            self._session.registry.put_seed(self._common_dir, worktree.label, name, data)
        except RegistryUnavailable as error:
            # It counts as changed there, then: nothing is lost, only asked about.
            warn(f"how {name} came to '{worktree.label}' cannot be remembered: {error}")

    def is_no_loss(self, worktree: Worktree, name: str) -> bool:
        """True for a file that is as it was brought, or whose changes another worktree has."""
        mine = read(os.path.join(worktree.path, name))
        if mine is None:
            return False
        seed = self.seeds(worktree).get(name)
        if mine == seed:
            return True
        for other in self._session.repository.worktrees:
            if other.is_bare or other.missing or other.path == worktree.path:
                continue
            theirs = read(os.path.join(other.path, name))
            if theirs is not None and holds_already(theirs, mine, base=seed, name=name):
                return True
        self._losses[worktree.label] = None
        return False

    def advise(self, refused: Refused) -> Refused:
        """Return a refused removal, with the way to save configuration that was found a loss."""
        tips = tuple(
            f"`daft hooks consolidate {shlex.quote(label)}` in another worktree takes over what "
            "was changed in its configuration"
            for label in self._losses
        )
        return Refused(refused.refusals, (*tips, *refused.tips)) if tips else refused

    def refined(self, worktree: Worktree) -> tuple[str, ...]:
        """Return the names of the files in a worktree that would be lost with it."""
        return tuple(
            name
            for name in NAMES
            if os.path.isfile(os.path.join(worktree.path, name))
            and not is_tracked(worktree, name)
            and not self.is_no_loss(worktree, name)
        )

    def forget(self, worktree: Worktree) -> None:
        """Forget what was brought to a worktree that is gone."""
        try:
            self._session.registry.forget_seeds(self._common_dir, worktree.label)
        except RegistryUnavailable as error:
            warn(f"what was brought to '{worktree.label}' stays noted: {error}")


def leave(session: Session, worktree: Worktree) -> tuple[str, ...]:
    """Keep a copy of what was changed in a worktree that is about to go by force.

    Returns the copies' paths. Raises: Trouble when it cannot be kept; nothing was removed.
    """
    if worktree.missing:
        return ()
    kept = []
    common = session.repository.common_dir
    folder = os.path.join(common, ".daft", "discarded", worktree.label)
    for name in Visitors(session).refined(worktree):
        data = read(os.path.join(worktree.path, name))
        if data is None:
            continue
        path = _free(os.path.join(folder, name), data)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            beside = f"{path}.{os.getpid()}"
            with open(beside, "xb") as file:
                file.write(data)
            os.replace(beside, path)
        except OSError as error:
            raise Trouble(
                f"the changed {name} cannot be kept at {show_path(path)}: {error.strerror}",
                tips=(f"move {show_path(os.path.join(worktree.path, name))} away yourself",),
            ) from error
        kept.append(path)
    return tuple(kept)


def _free(path: str, data: bytes) -> str:
    """Return where to keep `data`: not over what an earlier worktree of that name left there."""
    number, free = 1, path
    while os.path.lexists(free) and read(free) != data:
        number += 1
        free = f"{path}.{number}"
    return free


def is_tracked(worktree: Worktree, name: str) -> bool:
    """True for a file of a worktree that git tracks."""
    return git.attempt(worktree.path, "ls-files", "--error-unmatch", "--", name).ok


def read(path: str) -> bytes | None:
    """Return the content of a plain file, None when there is none that can be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None  # what cannot be read proves nothing, so it counts as a loss


def _copy(origin: str, target: str) -> bytes | None:
    """Copy a file; return what it holds, None when that failed, which is told."""
    try:
        with open(origin, "rb") as read:
            data = read.read()
        with open(target, "xb") as written:
            written.write(data)
    except OSError as error:
        # The worktree is there, and complete but for what git does not keep.
        warn(f"{show_path(origin)} was not copied to {show_path(target)}: {error.strerror}")
        return None
    return data
