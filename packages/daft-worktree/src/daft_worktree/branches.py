"""Branches: which exist, which is the default, what they follow, whether their work is safe."""

from __future__ import annotations

from typing import NamedTuple

from . import git
from .repository import Repository

_NETWORK_S = 15.0


class Branch(NamedTuple):
    """A local branch. `upstream` is a full ref; `gone` when it was deleted on the remote."""

    name: str
    oid: str
    upstream: str = ""
    remote: str = ""
    remote_ref: str = ""
    gone: bool = False


def local_branches(repository: Repository) -> dict[str, Branch]:
    """Return name -> branch, in one call."""
    form = "%00".join(
        (
            "%(refname:short)",
            "%(objectname)",
            "%(upstream)",
            "%(upstream:remotename)",
            "%(upstream:remoteref)",
            "%(upstream:track)",
        )
    )
    text = git.run(repository.common_dir, "for-each-ref", f"--format={form}", "refs/heads/")
    found: dict[str, Branch] = {}
    for line in text.split("\n"):
        if not line:
            continue
        name, oid, upstream, remote, ref, track = line.split("\0")
        # `refname:short` writes heads/x where a tag is called x too.
        name = name.removeprefix("heads/")
        found[name] = Branch(
            name=name,
            oid=oid,
            upstream=upstream,
            remote="" if remote == "." else remote,
            remote_ref=ref.removeprefix("refs/heads/"),
            gone=track == "[gone]",
        )
    return found


def remote_branches(repository: Repository, remote: str) -> dict[str, str]:
    """Return the names of the branches known of `remote` -> object id."""
    prefix = f"refs/remotes/{remote}/"
    text = git.run(
        repository.common_dir, "for-each-ref", "--format=%(refname)%00%(objectname)", prefix
    )
    found = {}
    for line in text.split("\n"):
        if line:
            ref, oid = line.split("\0")
            name = ref.removeprefix(prefix)
            if name != "HEAD":
                found[name] = oid
    return found


def resolve_commit(repository: Repository, word: str) -> str | None:
    """Return the commit that `word` names, None when it names none."""
    if word.startswith("-"):
        return None
    found = git.attempt(
        repository.common_dir,
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        f"{word}^{{commit}}",
    )
    return found.out if found.ok and found.out else None


def default_branch(repository: Repository) -> str | None:
    """Return the branch everything is compared with, None when nothing tells. No network."""
    remote = repository.remote
    if remote is not None:
        found = git.attempt(
            repository.common_dir, "symbolic-ref", "--short", f"refs/remotes/{remote}/HEAD"
        )
        if found.ok and found.out:
            return found.out.removeprefix(f"{remote}/")
    local = local_branches(repository)
    wanted = repository.settings.initial_branch
    if wanted is not None and wanted in local:
        return wanted
    usual = [name for name in ("main", "master", "trunk", "develop") if name in local]
    if usual:
        return usual[0]
    head = git.attempt(repository.common_dir, "symbolic-ref", "--short", "HEAD")
    if head.ok and head.out and (repository.is_bare or head.out in local or not local):
        return head.out
    return None


class Proof(NamedTuple):
    """Whether a branch's commits exist elsewhere, and how that is known."""

    safe: bool
    reason: str


def merged_proof(repository: Repository, branch: Branch, default: str) -> Proof:
    """Tell whether all of `branch` is contained in the default branch, local or remote.

    Looks for a plain merge first, then for the same patches (a rebase), then for one patch with
    everything (a squash). A shallow history without a common ancestor proves nothing.
    """
    targets = [f"refs/heads/{default}"]
    if repository.remote is not None:
        targets.append(f"refs/remotes/{repository.remote}/{default}")
    seen: set[str] = set()
    for target in targets:
        oid = resolve_commit(repository, target)
        if oid is None or oid in seen:
            continue
        seen.add(oid)
        how = _contained(repository, branch.oid, oid)
        if how is not None:
            return Proof(True, f"{how} '{default}'")
    if not seen:
        return Proof(False, f"default branch '{default}' does not exist")
    return Proof(False, f"not merged into '{default}'")


def _contained(repository: Repository, oid: str, target: str) -> str | None:
    here = repository.common_dir
    if git.attempt(here, "merge-base", "--is-ancestor", oid, target).ok:
        return "merged into"
    base = git.attempt(here, "merge-base", target, oid)
    if not base.ok or not base.out:
        return None
    cherry = git.attempt(here, "cherry", target, oid)
    if cherry.ok and "+" not in {line[:1] for line in cherry.out.split("\n")}:
        return "rebased onto"
    tree = git.attempt(here, "rev-parse", f"{oid}^{{tree}}")
    base_tree = git.attempt(here, "rev-parse", f"{base.out}^{{tree}}")
    if not tree.ok or tree.out == base_tree.out:
        return None
    squashed = git.attempt(
        here,
        "commit-tree",
        tree.out,
        "-p",
        base.out,
        "-m",
        "squash probe",
        extra_env={
            # A probe must not depend on who asks, nor fail where no identity is set.
            "GIT_AUTHOR_NAME": "daft",
            "GIT_AUTHOR_EMAIL": "daft@localhost",
            "GIT_COMMITTER_NAME": "daft",
            "GIT_COMMITTER_EMAIL": "daft@localhost",
            "GIT_AUTHOR_DATE": "@0 +0000",
            "GIT_COMMITTER_DATE": "@0 +0000",
        },
    )
    if squashed.ok:
        cherry = git.attempt(here, "cherry", target, squashed.out)
        if cherry.ok and cherry.out.startswith("-"):
            return "squashed into"
    return None


def pushed_proof(repository: Repository, branch: Branch) -> Proof:
    """Tell whether the remote holds exactly this branch, asking it (15 s at most)."""
    if not branch.upstream or not branch.remote:
        return Proof(False, "has no upstream")
    known = resolve_commit(repository, branch.upstream)
    if known is None:
        return Proof(False, f"'{branch.remote}' no longer has it")
    if known != branch.oid:
        return Proof(False, f"has commits that are not on '{branch.remote}', or lacks some")
    answer = git.attempt(
        repository.common_dir,
        "ls-remote",
        branch.remote,
        f"refs/heads/{branch.remote_ref}",
        timeout_s=_NETWORK_S,
    )
    if not answer.ok:
        return Proof(False, f"could not reach '{branch.remote}'")
    if not answer.out:
        return Proof(False, f"'{branch.remote}' no longer has it")
    if answer.out.split()[0] != branch.oid:
        return Proof(False, f"'{branch.remote}' has moved on")
    return Proof(True, f"pushed to '{branch.remote}'")
