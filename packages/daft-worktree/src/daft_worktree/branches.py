"""Branches: which exist, what they follow, which is the default."""

from __future__ import annotations

from typing import NamedTuple

from . import git
from .repository import Repository
from .stored_refs import NotPlain, StoredRefs
from .worktrees import list_worktrees

_HEADS = "refs/heads/"
_REMOTES = "refs/remotes/"


class Branch(NamedTuple):
    """A local branch. `upstream` is a full ref; `gone` when it was deleted on the remote."""

    name: str
    oid: str
    upstream: str = ""
    remote: str = ""
    remote_ref: str = ""
    gone: bool = False


class Refs(NamedTuple):
    """All branches of a repository at one moment.

    heads: local ones. remotes: full ref -> object id. default: branch that the remote's HEAD
    names, None where that is not known.
    """

    heads: dict[str, Branch]
    remotes: dict[str, str]
    default: str | None

    def of(self, remote: str | None) -> dict[str, str]:
        """Return the branches known of `remote`: name -> object id."""
        prefix = f"{_REMOTES}{remote}/"
        return {
            ref.removeprefix(prefix): oid
            for ref, oid in self.remotes.items()
            if remote is not None and ref.startswith(prefix)
        }


def read_refs(repository: Repository) -> Refs:
    """Return the branches, in one call."""
    form = "%00".join(
        (
            "%(refname)",
            "%(objectname)",
            "%(symref)",
            "%(upstream)",
            "%(upstream:remotename)",
            "%(upstream:remoteref)",
        )
    )
    # No `upstream:track`: it would count commits for every branch, and only "gone" is wanted.
    text = git.run(
        repository.common_dir,
        "for-each-ref",
        f"--format={form}",
        _HEADS,
        _REMOTES,
        doing="reading the branches",
    )
    heads: dict[str, Branch] = {}
    remotes: dict[str, str] = {}
    default: str | None = None
    for line in text.split("\n") if text else ():
        ref, oid, symref, upstream, remote, remote_ref = line.split("\0")
        if ref.startswith(_HEADS):
            name = ref.removeprefix(_HEADS)
            heads[name] = Branch(
                name=name,
                oid=oid,
                upstream=upstream,
                remote="" if remote == "." else remote,
                remote_ref=remote_ref.removeprefix(_HEADS),
            )
        elif not ref.endswith("/HEAD"):
            remotes[ref] = oid
        elif repository.remote is not None and ref == f"{_REMOTES}{repository.remote}/HEAD":
            default = symref.removeprefix(f"{_REMOTES}{repository.remote}/") or None
    for name, branch in heads.items():
        if branch.upstream.startswith(_REMOTES) and branch.upstream not in remotes:
            heads[name] = branch._replace(gone=True)
    return Refs(heads=heads, remotes=remotes, default=default)


def local_branches(repository: Repository) -> dict[str, Branch]:
    """Return name -> branch."""
    return read_refs(repository).heads


def remote_branches(repository: Repository, remote: str) -> dict[str, str]:
    """Return the names of the branches known of `remote` -> object id."""
    return read_refs(repository).of(remote)


def resolve_commit(repository: Repository, word: str, *, where: str | None = None) -> str | None:
    """Return the commit that `word` names, None when it names none.

    where: the worktree whose HEAD, index and merge the word may mean.
    """
    if word.startswith("-"):
        return None
    found = git.attempt(
        where or repository.common_dir,
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        f"{word}^{{commit}}",
    )
    return found.out if found.ok and found.out else None


def read_ref(repository: Repository, ref: str) -> str | None:
    """Return the object id that a full `ref` holds at this moment, None when it is not there."""
    if repository.settings.has_ref_files:
        try:
            return StoredRefs(repository.common_dir).resolve(ref)
        except NotPlain:
            pass  # git knows how to read what we do not
    return resolve_commit(repository, ref)


def is_on_a_ref(repository: Repository, oid: str) -> bool:
    """True when a branch, local or remote, a tag or the stash leads to a commit."""
    found = git.attempt(repository.common_dir, "for-each-ref", "--count=1", "--contains", oid)
    return found.ok and bool(found.out)


def drop_branch(repository: Repository, name: str, oid: str) -> str | None:
    """Delete a local branch while it is at `oid` and nobody uses it.

    Returns None, or why it was kept. To be called with the worktree lock held.
    """
    for other in list_worktrees(repository.common_dir, repository.settings):
        if name in (other.branch, other.paused_branch) and not other.is_bare:
            return f"it is in use at {other.path}"
    # Not `branch -D`, which deletes wherever the branch is by now. With the old value git itself
    # refuses one that has moved.
    ref = f"refs/heads/{name}"
    deleted = git.attempt(repository.common_dir, "update-ref", "--no-deref", "-d", ref, oid)
    return None if deleted.ok else deleted.err


def default_branch(repository: Repository, refs: Refs | None = None) -> str | None:
    """Return the branch everything is compared with, None when nothing tells. No network.

    refs: the branches, where the caller knows them already.
    """
    refs = refs or read_refs(repository)
    if refs.default is not None:
        return refs.default
    wanted = repository.settings.initial_branch
    if wanted is not None and wanted in refs.heads:
        return wanted
    for usual in ("main", "master", "trunk", "develop"):
        if usual in refs.heads:
            return usual
    head = git.attempt(repository.common_dir, "symbolic-ref", "--short", "HEAD")
    if head.ok and head.out and (repository.is_bare or head.out in refs.heads or not refs.heads):
        return head.out
    return None
