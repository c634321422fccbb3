"""Deciding what a removal may take away: nothing that would be lost unsaid. Nothing is touched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from enum import Enum

from .branches import Branch, Refs, default_branch, read_refs
from .errors import NoWorktree, Refused
from .finding import containing, find, is_path
from .guards import IsNoLoss, Refusal, check_worktree
from .proofs import merged_proof, pushed_proof
from .removal import Target
from .repository import Repository, refuse_odd_places
from .worktrees import Worktree, is_below, same_path


class RemoteBranch(Enum):
    """What happens to the branch of the same work on the remote."""

    KEEP = "keep"
    ALSO = "also"
    ONLY = "only"


def plan_removal(
    repository: Repository,
    words: tuple[str, ...],
    *,
    force: bool = False,
    keep_branch: bool = False,
    remote_branch: RemoteBranch = RemoteBranch.KEEP,
    replaceable: tuple[str, ...] = (),
    is_no_loss: IsNoLoss | None = None,
    merged: Mapping[str, str] | None = None,
) -> tuple[Target, ...]:
    """Decide what `words` (branches or worktrees) mean and that each may go.

    The worktree the caller stands in comes last, what lies inside another one before it.
    replaceable: names of untracked files that are no loss while another worktree has the same, or
    `is_no_loss` says of one worktree's file that it is none. merged: branch -> commit that the
    caller knows to be elsewhere, because it has merged just that.
    Raises: Refused with every refusal at once.
    """
    refuse_odd_places(repository)
    planner = _Planner(
        repository, force, keep_branch, remote_branch, replaceable, is_no_loss, merged or {}
    )
    refusals: list[tuple[str, str]] = []
    tips: dict[str, None] = {}
    targets: list[Target] = []
    for word in words:
        try:
            target = planner.target(word)
        except Refusal as refusal:
            refusals.append((word, refusal.reason))
            tips.update({refusal.tip: None} if refusal.tip else {})
        except NoWorktree as error:
            refusals.append((word, str(error)))
            tips.update(dict.fromkeys(error.tips))
        else:
            if not any(_is_same(target, other) for other in targets):
                targets.append(target)
    refusals += planner.inner_worktrees(targets)
    if refusals:
        raise Refused(tuple(refusals), tuple(tips))
    here = containing(list(repository.worktrees), repository.cwd)
    targets.sort(key=lambda one: _turn(one, here))
    return tuple(targets)


def _turn(target: Target, here: Worktree | None) -> tuple[bool, int]:
    if target.worktree is None:
        return (False, 0)
    stands_inside = here is not None and (
        same_path(here.path, target.worktree.path) or is_below(here.path, target.worktree.path)
    )
    return stands_inside, -len(os.path.realpath(target.worktree.path))


def _is_same(one: Target, other: Target) -> bool:
    if one.worktree is not None and other.worktree is not None:
        return one.worktree.path == other.worktree.path
    return one.worktree is other.worktree and one.branch == other.branch


class _Planner:
    """Facts about one repository, looked up once for all targets."""

    def __init__(
        self,
        repository: Repository,
        force: bool,
        keep_branch: bool,
        remote_branch: RemoteBranch,
        replaceable: tuple[str, ...],
        is_no_loss: IsNoLoss | None,
        merged: Mapping[str, str],
    ) -> None:
        self.repository = repository
        self.force = force
        self.keep_branch = keep_branch
        self.remote_branch = remote_branch
        self.replaceable = replaceable
        self.is_no_loss = is_no_loss
        self.merged = merged
        self.refs: Refs = read_refs(repository)
        self.default = default_branch(repository, self.refs)
        self.unreachable: set[str] = set()

    def target(self, word: str) -> Target:
        """Return what `word` means. Raises: Refusal, NoWorktree."""
        worktree, branch = self._meaning(word)
        if self.remote_branch is RemoteBranch.ONLY:
            return self._remote_only(word, branch)
        untouched: tuple[str, ...] = ()
        if worktree is not None:
            untouched = check_worktree(
                self.repository,
                worktree,
                force=self.force,
                replaceable=self.replaceable,
                is_no_loss=self.is_no_loss,
            )
        elif branch is not None:
            self._check_free(branch)
        delete_branch = branch is not None and not self.keep_branch
        proof = "kept"
        if branch is not None and branch.name == self.default:
            self._check_default(worktree)
            delete_branch = False
        if branch is not None and delete_branch and self._holder(branch, worktree) is not None:
            delete_branch = False
        delete_remote = False
        if branch is not None and delete_branch:
            delete_remote = self.remote_branch is RemoteBranch.ALSO and bool(branch.remote_ref)
            proof = self._proof(branch, delete_remote=delete_remote)
        return Target(
            word=word,
            worktree=worktree,
            branch=branch,
            delete_branch=delete_branch,
            proof=proof,
            forced=self.force,
            delete_remote=delete_remote,
            remote_oid=self._remote_oid(branch) if delete_remote else None,
            untouched=untouched,
        )

    def inner_worktrees(self, targets: Iterable[Target]) -> list[tuple[str, str]]:
        """Return a refusal for each target that holds worktrees which would stay."""
        going = [one.worktree.path for one in targets if one.worktree is not None]
        refusals: list[tuple[str, str]] = []
        for target in targets:
            if target.worktree is None:
                continue
            inner = [
                one.label
                for one in self.repository.worktrees
                if not one.is_bare
                and not one.missing
                and one.path not in going
                and is_below(one.path, target.worktree.path)
            ]
            if inner:
                names = ", ".join(f"'{name}'" for name in inner)
                refusals.append((target.word, f"it holds the worktree of {names}"))
        return refusals

    def _meaning(self, word: str) -> tuple[Worktree | None, Branch | None]:
        repository = self.repository
        worktree = find(
            list(repository.worktrees),
            word,
            cwd=repository.cwd,
            project_root=repository.project_root,
        )
        heads = self.refs.heads
        if worktree is not None and not is_path(word):
            if word not in (worktree.branch, worktree.paused_branch) and word in heads:
                # A directory of that name has another branch by now: the branch is meant.
                return None, heads[word]
            twins = [one.path for one in repository.worktrees if one.branch == word]
            if len(twins) > 1:
                raise Refusal(
                    f"it is checked out in {len(twins)} worktrees",
                    f"name one by its path: {', '.join(twins)}",
                )
        if worktree is not None:
            name = worktree.branch or worktree.paused_branch
            return worktree, heads.get(name) if name is not None else None
        if word not in heads:
            looks = is_path(word) or os.path.isabs(word)
            raise Refusal("no worktree at that path" if looks else "branch not found")
        return None, heads[word]

    def _holder(self, branch: Branch, but: Worktree | None) -> Worktree | None:
        """Return another worktree that has the branch."""
        for one in self.repository.worktrees:
            if branch.name in (one.branch, one.paused_branch) and not one.is_bare and one != but:
                return one
        return None

    def _check_default(self, worktree: Worktree | None) -> None:
        if worktree is None:
            raise Refusal("it is the default branch, and has no worktree to remove")
        if not self.force:
            raise Refusal(
                "refusing to delete the default branch",
                "`--force` removes its worktree and keeps the branch",
            )

    def _check_free(self, branch: Branch) -> None:
        holder = self._holder(branch, None)
        if holder is not None:
            raise Refusal(f"it is in use at {holder.path}")

    def _proof(self, branch: Branch, *, delete_remote: bool) -> str:
        """Return why nothing is lost. Raises: Refusal."""
        if self.merged.get(branch.name) == branch.oid:
            if delete_remote:
                self._check_in_sync(branch)
            return "just merged"
        reason = "the default branch is not known"
        if self.default is not None:
            merged = merged_proof(self.repository, branch, self.default)
            reason = merged.reason
            if merged.safe:
                if delete_remote:
                    self._check_in_sync(branch)
                return reason
        if self.force:
            return f"forced: {reason}"
        if delete_remote:
            # What this run deletes proves nothing.
            raise Refusal(
                f"{reason}, and its remote branch is to be deleted as well",
                "merge it, or leave the remote one with `--local`, or lose both with `--force`",
            )
        pushed = pushed_proof(self.repository, branch, self.unreachable)
        if pushed.safe:
            return pushed.reason
        raise Refusal(
            f"{reason}; {pushed.reason}", "merge or push it, or lose its commits with `--force`"
        )

    def _remote_oid(self, branch: Branch | None) -> str | None:
        return self.refs.remotes.get(branch.upstream) if branch is not None else None

    def _check_in_sync(self, branch: Branch) -> None:
        known = self._remote_oid(branch)
        if not self.force and known is not None and known != branch.oid:
            raise Refusal(
                f"it is out of sync with '{branch.remote_ref}' of '{branch.remote}'",
                "pull or push first, or lose what differs with `--force`",
            )

    def _remote_only(self, word: str, branch: Branch | None) -> Target:
        if branch is None:
            raise Refusal("branch not found")
        if branch.name == self.default or branch.remote_ref == self.default:
            raise Refusal("refusing to delete the default branch")
        if not branch.remote_ref or not branch.remote:
            raise Refusal("it follows no branch of a remote")
        self._check_in_sync(branch)
        return Target(
            word=word,
            worktree=None,
            branch=branch,
            delete_branch=False,
            proof="kept here",
            forced=self.force,
            delete_remote=True,
            remote_oid=self._remote_oid(branch),
        )
