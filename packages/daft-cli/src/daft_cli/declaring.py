"""Writing a list into the configuration file that says it, such as what worktrees share."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from attrs import frozen

from daft_hooks import discovery, editing
from daft_hooks.discovery import Loaded
from daft_hooks.sources import MAIN_NAMES
from daft_hooks.together import shared_path
from daft_worktree.lock import worktree_lock
from daft_worktree.repository import Repository
from daft_worktree.worktrees import Worktree

from .failures import Trouble
from .terminal import show_path, warn

KEY = "shared"


@frozen(kw_only=True)
class Declared:
    """What a worktree's configuration says of shared files.

    names: relative to the top of a worktree, in their order. written: what `env.write` names.
    files: the configuration itself; never empty.
    """

    names: tuple[str, ...] = ()
    written: str | None = None
    files: tuple[str, ...] = MAIN_NAMES


def declared(worktree: Worktree) -> Declared:
    """Return what the configuration of a worktree declares; what is wrong in it is a warning.

    Raises: BadConfiguration, UnreadableConfiguration.
    """
    loaded = discovery.load(worktree.path)
    if loaded is None:
        return Declared()
    configuration = loaded.configuration
    for problem in loaded.decoded.problems:
        if problem.is_told_when_read and problem.path == KEY:
            warn(str(problem))
    env = configuration.env
    return Declared(
        names=configuration.shared,
        files=(*MAIN_NAMES, *loaded.files),
        written=None if env is None or env.write is None else os.path.normpath(env.write),
    )


def declare(repository: Repository, worktree: Worktree, names: Sequence[str]) -> str | None:
    """Add names to what a worktree's configuration declares; return the file, None if none changed.

    The list is changed in the file that it comes from; without one, in the main file, which is
    made where there is none.
    Raises: Trouble, BadConfiguration, CannotEdit, with the file as it was; LockTimeout.
    """

    def edit(data: bytes, loaded: Loaded | None, file: str) -> bytes:
        known = () if loaded is None else loaded.configuration.shared
        new = [name for name in names if name not in known]
        return editing.with_texts(data, KEY, new, file=file) if new else data

    return amend(repository, worktree, KEY, edit)


def undeclare(repository: Repository, worktree: Worktree, names: Sequence[str]) -> str | None:
    """Take names out of what a worktree's configuration declares; return as `declare` does."""

    def edit(data: bytes, loaded: Loaded | None, file: str) -> bytes:
        node = None if loaded is None else loaded.document.items.get(KEY)
        if node is None:
            return data
        texts = [one.text for one in (node.elements if node.kind == "list" else [node])]
        gone = [text for text in texts if shared_path(text) in names]
        return editing.without_texts(data, KEY, gone, file=file)

    return amend(repository, worktree, KEY, edit)


def amend(
    repository: Repository,
    worktree: Worktree,
    key: str,
    edit: Callable[[bytes, Loaded | None, str], bytes],
) -> str | None:
    """Have `edit` change the file of a worktree that says `key`; return its name, None for none.

    edit: (content, configuration, name of the file) -> content. Without a file that says it the
    main one is changed, which is made where there is none.
    Raises: whatever `edit` raises, with the file as it was; Trouble, LockTimeout.
    """
    # Two of us at once would each write what the other has not.
    with worktree_lock(repository.common_dir):
        loaded = discovery.load(worktree.path)
        file = MAIN_NAMES[0]
        if loaded is not None:
            mark = loaded.document.keys.get(key)
            file = loaded.files[0] if mark is None else mark.file
        path = os.path.join(worktree.path, file)
        data = b"" if loaded is None else _read(path)
        changed = edit(data, loaded, file)
        if changed == data:
            return None
        _write(path, changed)
        return file


def _read(path: str) -> bytes:
    if os.path.islink(path):
        real = show_path(os.path.realpath(path))
        raise Trouble(f"{show_path(path)} is a link and was not changed", tips=(f"change {real}",))
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, data: bytes) -> None:
    """Put a file in its place in one step: whoever reads it sees all of it or what was."""
    beside = f"{path}.{os.getpid()}"
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o644
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        if os.path.exists(beside):
            os.unlink(beside)
        raise Trouble(f"{show_path(path)} cannot be written: {error.strerror}") from error
