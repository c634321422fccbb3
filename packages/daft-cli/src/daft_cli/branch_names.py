"""The branches and worktrees a Tab key offers: read from git's files, without git.

Each candidate is `(name, kind, words)`; kinds are worktree, local and remote. It loads nothing,
and a repository that keeps its references in another way than files is the only one that is
asked through git.
"""

from __future__ import annotations

import os

from daft_cli.whereabouts import first_line

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from collections.abc import Iterator

    Candidate = tuple[str, ...]

_HEADS = "refs/heads/"
_REMOTES = "refs/remotes/"


def to_go_to(common: str, label: str | None) -> list[Candidate]:
    """Return where `daft go` can go: other worktrees, then local branches, then remote ones."""
    trees = dict(_worktrees(common))
    local, remote = _branches(common)
    found: list[Candidate] = [
        (name, "worktree", path) for name, path in sorted(trees.items()) if name != label
    ]
    found += [(name, "local", "branch") for name in local if name not in trees]
    known = {*trees, *local}
    return found + [
        (name, "remote", f"branch of {remotes}")
        for name, remotes in remote.items()
        if name not in known
    ]


def to_remove(common: str, _label: str | None) -> list[Candidate]:
    """Return what `daft remove` can remove: worktrees and local branches but the default one."""
    trees = dict(_worktrees(common))
    default = _default_branch(common)
    found: list[Candidate] = [(name, "worktree", path) for name, path in sorted(trees.items())]
    found += [(name, "local", "branch") for name in _branches(common)[0] if name not in trees]
    return [one for one in found if one[0] != default]


def all_branches(common: str, _label: str | None) -> list[Candidate]:
    """Return every branch, local ones first."""
    local, remote = _branches(common)
    found: list[Candidate] = [(name, "local", "branch") for name in local]
    return found + [(f"{remotes}/{name}", "remote", "branch") for name, remotes in remote.items()]


def worktrees(common: str, _label: str | None) -> list[Candidate]:
    """Return the worktrees there are."""
    return [(name, "worktree", path) for name, path in sorted(_worktrees(common))]


def _worktrees(common: str) -> Iterator[tuple[str, str]]:
    """Yield label and directory of every worktree that is there."""
    if os.path.isfile(common + "/index"):
        path = os.path.dirname(common)
        yield _label_of(common, path), path
    for name in _entries(common + "/worktrees"):
        private = f"{common}/worktrees/{name}"
        pointer = first_line(private + "/gitdir")
        path = os.path.dirname(os.path.join(private, pointer))
        if pointer and os.path.isdir(path):
            yield _label_of(private, path), path


def _label_of(private: str, path: str) -> str:
    head = first_line(private + "/HEAD")
    return head[16:] if head.startswith("ref: refs/heads/") else os.path.basename(path)


def _branches(common: str) -> tuple[list[str], dict[str, str]]:
    """Return the local branches, and remote branch -> the first remote that has it."""
    refs = sorted(set(_refs(common)))
    local = [ref[len(_HEADS) :] for ref in refs if ref.startswith(_HEADS)]
    remote: dict[str, str] = {}
    for ref in refs:
        if ref.startswith(_REMOTES):
            source, _, name = ref[len(_REMOTES) :].partition("/")
            if name and name != "HEAD":
                remote.setdefault(name, source)
    return local, remote


def _refs(common: str) -> Iterator[str]:
    if os.path.isdir(common + "/reftable"):
        yield from _asked(common)
        return
    for kind in (_HEADS, _REMOTES):
        for folder, _, files in os.walk(common + "/" + kind):
            inside = folder[len(common) + 1 :].rstrip("/")
            yield from (f"{inside}/{name}" for name in files if not name.endswith(".lock"))
    try:
        with open(common + "/packed-refs", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                ref = line.rstrip("\n").partition(" ")[2]
                if ref.startswith((_HEADS, _REMOTES)):
                    yield ref
    except FileNotFoundError:
        return


def _asked(common: str) -> list[str]:
    """Return the references as git lists them, through a pipe: `subprocess` costs too much."""
    reader, writer = os.pipe()
    words = ["git", "--git-dir", common, "for-each-ref", "--format=%(refname)", _HEADS, _REMOTES]
    pid = os.posix_spawnp("git", words, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
    os.close(writer)
    with open(reader, encoding="utf-8", errors="surrogateescape") as file:
        found = file.read().splitlines()
    os.waitpid(pid, 0)
    return found


def _default_branch(common: str) -> str:
    """Return the branch that nobody removes by mistake: the remote's, else that of the clone."""
    head = first_line(common + "/refs/remotes/origin/HEAD")
    if head.startswith("ref: refs/remotes/origin/"):
        return head[25:]
    return _label_of(common, common)


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []  # no linked worktrees
