"""Where one stands and where the record is, found without git and without other packages.

The listing of jobs is read before a prompt returns; asking git would cost more than all of it.
"""

from __future__ import annotations

import os
import sys

_SHOWN = 10  # names in a message


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
    """Return the id of the repository with this common directory, empty when it has none yet."""
    return first_line(common + "/daft-id").strip().lower()  # UUIDs may be written either way


def choose_repository(text: str) -> str:
    """Return the id of the repository that `text` names: a path in it, its id, or a unique start
    of that (4 digits or more). One that is gone is found by its id.

    Raises: SystemExit with code 1 after saying what is known, when nothing or too much fits.
    """
    if os.path.isdir(text):
        here = find_repository(os.path.realpath(text))
        identity = identity_of(here[0]) if here is not None else ""
        if identity:
            return identity
        why = "has no job history" if here is not None else "is not inside a Git repository"
        sys.stderr.write(f"error: --repo: {text} {why}\n")
        raise SystemExit(1)
    try:
        known = sorted(name for name in os.listdir(state_directory() + "/jobs") if "-" in name)
    except FileNotFoundError:
        known = []
    fitting = [name for name in known if len(text) >= 4 and name.startswith(text.lower())]
    if len(fitting) == 1:
        return fitting[0]
    what = "no repository with recorded jobs" if not fitting else "more than one repository"
    sys.stderr.write(f"error: --repo: '{text}' is {what}\n")
    for name in (fitting or known)[:_SHOWN]:
        sys.stderr.write(f"  known: {name}\n")
    if not known:
        sys.stderr.write("  tip: no job was recorded in any repository yet\n")
    raise SystemExit(1)


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
