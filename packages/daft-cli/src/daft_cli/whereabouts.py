"""Where one stands and where the record is, found without git and without other packages.

The listing of jobs is read before a prompt returns; asking git would cost more than all of it.
"""

from __future__ import annotations

import os
import sys

_HEX = frozenset("0123456789abcdef")


def find_repository(start: str) -> tuple[str, str | None] | None:
    """Return (common directory, worktree label), None outside of a repository.

    The label is None at the root of a bare layout, which is no worktree.
    """
    path = start
    while True:
        dot = path + "/.git" if path != "/" else "/.git"
        private = None
        if os.path.isdir(dot):
            private = dot
        elif os.path.isfile(dot):
            line = first_line(dot)
            if line.startswith("gitdir: "):
                private = os.path.join(path, line[8:])
        elif os.path.isfile(path + "/HEAD") and os.path.isdir(path + "/objects"):
            private = path
        if private is not None:
            common = first_line(private + "/commondir")
            base = os.path.join(private, common) if common else private
            label = None
            if common or os.path.isfile(private + "/index") or not _is_bare(base):
                label = _label(private, path)
            return os.path.realpath(base), label
        parent = os.path.dirname(path)
        if parent == path:
            return None
        path = parent


def _label(private: str, path: str) -> str:
    head = first_line(private + "/HEAD")
    if head.startswith("ref: refs/heads/"):
        return head[16:]
    for state in ("rebase-merge", "rebase-apply"):
        name = first_line(f"{private}/{state}/head-name")
        if name.startswith("refs/heads/"):
            return name[11:]
    return os.path.basename(path)


def _is_bare(common: str) -> bool:
    try:
        with open(common + "/config", encoding="utf-8", errors="replace") as file:
            return "bare = true" in file.read()
    except OSError:
        return False


def first_line(path: str) -> str:
    """Return the first line of a file, empty when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.readline().rstrip("\n")
    except OSError:
        return ""


def identity_of(common: str) -> str:
    """Return the id of the repository with this common directory.

    Empty when it has none yet, and when its file holds something else: see `recorded_identity`.
    """
    try:
        with open(common + "/daft-id", encoding="utf-8", errors="replace") as file:
            text = file.read(256).strip()
    except OSError:
        return ""
    if not text or is_identity(text):
        return text
    from daft_store.errors import StoreError
    from daft_store.identity import read_repository_id

    try:
        return read_repository_id(common) or ""  # there are other ways to write a UUID
    except StoreError:
        return ""


def recorded_identity(common: str) -> str:
    """Return the id of a repository whose record is asked for, empty when it has none yet.

    Raises: SystemExit with code 4, having said why, when its file is of no use.
    """
    known = identity_of(common)
    if known or not os.path.lexists(common + "/daft-id"):
        return known
    from daft_store.errors import StoreError
    from daft_store.identity import read_repository_id

    try:
        return read_repository_id(common) or ""
    except StoreError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(4) from error


def is_identity(text: str) -> bool:
    """True for a UUID in canonical form; the module for them would cost more than the look."""
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and _HEX.issuperset("".join(parts))


def state_directory() -> str:
    """Return the state directory by the rules of `daft_store.places`, without importing them.

    Raises: SystemExit with code 4 when the variable for it is of no use.
    """
    override = os.environ.get("DAFT_STATE_DIR", "")
    if override:
        if not os.path.isabs(override):
            sys.stderr.write(
                f"error: DAFT_STATE_DIR is {override!r}; it must be an absolute path\n"
            )
            raise SystemExit(4)
        return os.path.normpath(override)
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        home = os.environ.get("HOME") or os.path.expanduser("~")
        base = home + "/.local/state"
    return base + "/daft"
