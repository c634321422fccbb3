"""Proofs that a branch can go: its work is in the default branch, or on the remote."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git
from .branches import Branch, read_ref
from .repository import Repository

NETWORK_S = 15.0
_CANDIDATES = 200
# A probe must not depend on who asks, nor fail where no identity is set; and replaced objects
# could make history look as it is not.
_PROBING = {
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_AUTHOR_NAME": "daft",
    "GIT_AUTHOR_EMAIL": "daft@localhost",
    "GIT_COMMITTER_NAME": "daft",
    "GIT_COMMITTER_EMAIL": "daft@localhost",
    "GIT_AUTHOR_DATE": "@0 +0000",
    "GIT_COMMITTER_DATE": "@0 +0000",
}


class Proof(NamedTuple):
    """Whether a branch's commits exist elsewhere, and how that is known."""

    safe: bool
    reason: str


def merged_proof(repository: Repository, branch: Branch, default: str) -> Proof:
    """Tell whether all of `branch` is contained in the default branch, local or remote.

    Looks for a plain merge first, then for the same patches (a rebase), then for one commit with
    everything (a squash), then for one that was changed later (the same merge made anew). A
    history that is cut off and shows no common ancestor proves nothing.
    """
    targets = [f"refs/heads/{default}"]
    if repository.remote is not None:
        targets.append(f"refs/remotes/{repository.remote}/{default}")
    seen: list[str] = []
    for target in targets:
        oid = read_ref(repository, target)
        if oid is None or oid in seen:
            continue
        seen.append(oid)
        how = _contained(repository.common_dir, branch.oid, oid)
        if how is not None:
            return Proof(True, f"{how} '{default}'")
    if not seen:
        return Proof(False, f"default branch '{default}' does not exist")
    if os.path.exists(os.path.join(repository.common_dir, "shallow")):
        return Proof(False, f"not merged into '{default}', as far as a shallow history tells")
    return Proof(False, f"not merged into '{default}'")


def _contained(here: str, oid: str, target: str) -> str | None:
    if _ask(here, "merge-base", "--is-ancestor", oid, target).ok:
        return "merged into"
    found = _ask(here, "merge-base", target, oid)
    if not found.ok or not found.out:
        return None
    base = found.out
    if _same_patches(here, oid, target):
        return "rebased onto"
    changed = _changed_files(here, base, oid)
    if not changed:
        return None  # nothing of its own to look for
    if _as_one_patch(here, oid, target, base):
        return "squashed into"
    if _merged_anew(here, oid, target, base, changed):
        return "squashed into"
    return None


def _same_patches(here: str, oid: str, target: str) -> bool:
    # What a merge commit settled by hand is in no patch, so with one of them patches prove
    # nothing.
    merges = _ask(here, "rev-list", "--merges", "--max-count=1", f"{target}..{oid}")
    if not merges.ok or merges.out:
        return False
    cherry = _ask(here, "cherry", target, oid)
    return cherry.ok and not any(line.startswith("+") for line in cherry.out.split("\n"))


def _changed_files(here: str, old: str, new: str) -> frozenset[str]:
    shown = _ask(
        here,
        *("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none"),
        *(old, new),
    )
    return frozenset(git.fields(shown.out))


def _as_one_patch(here: str, oid: str, target: str, base: str) -> bool:
    squashed = _ask(
        here,
        "commit-tree",
        f"{oid}^{{tree}}",
        "-p",
        base,
        "-m",
        "squash probe",
    )
    if not squashed.ok:
        return False
    cherry = _ask(here, "cherry", target, squashed.out)
    return cherry.ok and cherry.out.startswith("-")


def _merged_anew(here: str, oid: str, target: str, base: str, changed: frozenset[str]) -> bool:
    """True when one commit of the default branch is what merging the branch there gives.

    Needs git 2.38; an older one answers with an error, which proves nothing.
    """
    listed = _ask(
        here, "rev-list", "--first-parent", f"--max-count={_CANDIDATES}", f"{base}..{target}"
    )
    for commit in listed.out.split("\n") if listed.ok and listed.out else ():
        if _changed_files(here, f"{commit}^", commit) != changed:
            continue
        merged = _ask(here, "merge-tree", "--write-tree", f"{commit}^", oid)
        tree = _ask(here, "rev-parse", f"{commit}^{{tree}}")
        if merged.ok and tree.ok and merged.out == tree.out:
            return True
    return False


def _ask(here: str, *args: str) -> git.Output:
    return git.attempt(here, *args, extra_env=_PROBING)


def pushed_proof(repository: Repository, branch: Branch, unreachable: set[str]) -> Proof:
    """Tell whether the remote holds exactly this branch, asking it (15 s at most).

    unreachable: remotes that did not answer; not asked again, and added to.
    """
    remote = branch.remote
    if not branch.upstream or not remote:
        return Proof(False, "has no upstream")
    if branch.gone:
        return Proof(False, f"'{remote}' no longer has it")
    known = read_ref(repository, branch.upstream)
    if known != branch.oid:
        return Proof(False, f"has commits that are not on '{remote}', or lacks some")
    if remote in unreachable:
        return Proof(False, f"could not reach '{remote}'")
    answer = git.attempt(
        repository.common_dir,
        "ls-remote",
        "--end-of-options",
        remote,
        f"refs/heads/{branch.remote_ref}",
        timeout_s=NETWORK_S,
    )
    if not answer.ok:
        unreachable.add(remote)
        return Proof(False, f"could not reach '{remote}'")
    # ls-remote matches by the end of a name: only the line with the very name counts.
    for line in answer.out.split("\n"):
        oid, _, ref = line.partition("\t")
        if ref == f"refs/heads/{branch.remote_ref}":
            if oid == branch.oid:
                return Proof(True, f"pushed to '{remote}'")
            return Proof(False, f"'{remote}' has moved on")
    return Proof(False, f"'{remote}' no longer has it")
