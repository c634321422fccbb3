"""What git does in a worktree to merge: each step ends in a commit, in conflicts, or in nothing.

All of it quietly: a git that outlives us would die of words nobody reads, before it is done.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from .. import git
from ..errors import GitFailed
from .rules import MergeSource, Merging, Style

# What users have set for their own merges must not change what this one is.
_STEADY = (
    *("-c", "rerere.autoUpdate=false"),
    *("-c", "rebase.backend=merge"),
    *("-c", "rebase.autoStash=false"),
    *("-c", "rebase.autoSquash=false"),
    *("-c", "rebase.updateRefs=false"),
    *("-c", "rebase.rebaseMerges=false"),
)
_NO_EDITOR = {"GIT_EDITOR": "true", "GIT_SEQUENCE_EDITOR": "true"}
_OCTOPUS_GAVE_UP = 2


class Tree(NamedTuple):
    """A worktree that is merged in. inherited: descriptors its git keeps open."""

    path: str
    private_dir: str
    inherited: tuple[int, ...] = ()

    def git(self, *words: str) -> git.Output:
        """Run git in it, that asks nobody anything."""
        return git.attempt(
            self.path, *_STEADY, *words, extra_env=_NO_EDITOR, inherited=self.inherited
        )

    def has(self, name: str) -> bool:
        """True when git keeps this file for it."""
        return os.path.exists(os.path.join(self.private_dir, name))

    @property
    def head(self) -> str:
        """The commit it is at. Raises: GitFailed."""
        return git.run(self.path, "rev-parse", "--verify", "HEAD", doing=f"looking at {self.path}")

    @property
    def is_rebasing(self) -> bool:
        """True in the middle of a rebase."""
        return self.has("rebase-merge") or self.has("rebase-apply")


class Made(NamedTuple):
    """How a step ended. commit: what was made, or `conflicts`: paths; else it was refused."""

    commit: str | None = None
    conflicts: tuple[str, ...] = ()
    said: str = ""


def unmerged(tree: Tree) -> tuple[str, ...]:
    """Return the paths that are in conflict. Raises: GitFailed."""
    words = ("diff", "--name-only", "--diff-filter=U", "--no-relative", "-z")
    return tuple(git.fields(git.run(tree.path, *words, doing=f"looking at {tree.path}")))


def merge_sources(tree: Tree, plan: Merging, message: str) -> Made:
    """Make a merge commit of all sources. Raises: GitFailed, nothing was changed then."""
    oids = [source.oid for source in plan.sources]
    return merge_commits(tree, plan, oids, message)


def merge_commits(tree: Tree, plan: Merging, oids: list[str], message: str) -> Made:
    """Make a merge commit of `oids`. Raises: GitFailed, nothing was changed then."""
    done = tree.git(
        *("merge", "--quiet", "--no-ff", "--no-squash", "--commit", "--no-edit"),
        *("--no-autostash", "--no-stat", *_strategy(plan), *_no_verify(plan), "-m", message, *oids),
    )
    if done.ok:
        return Made(commit=tree.head)
    gave_up = len(oids) > 1 and done.code == _OCTOPUS_GAVE_UP
    return _stopped(
        tree, done, f"merging into '{plan.target.name}'", began=tree.has("MERGE_HEAD") or gave_up
    )


def squash_sources(tree: Tree, plan: Merging, message: str) -> Made:
    """Make one commit of all that the sources change. Raises: GitFailed, nothing was changed.

    Where that is nothing, the commit is the one the tree is at.
    """
    oids = [source.oid for source in plan.sources]
    done = tree.git(
        # `--ff` only takes back a `merge.ff` that git refuses beside `--squash`.
        *("merge", "--quiet", "--squash", "--ff", "--no-autostash", "--no-stat"),
        *(*_strategy(plan), *oids),
    )
    if not done.ok:
        return _stopped(
            tree, done, f"merging into '{plan.target.name}'", began=bool(unmerged(tree))
        )
    return commit_staged(tree, plan, message)


def commit_staged(tree: Tree, plan: Merging, message: str) -> Made:
    """Commit what is staged, with the parents a merge under way gives it. Raises: GitFailed."""
    if not tree.has("MERGE_HEAD") and tree.git("diff", "--cached", "--quiet").ok:
        return Made(commit=tree.head)
    done = tree.git("commit", "--quiet", *_no_verify(plan), "-m", message)
    return Made(commit=tree.head) if done.ok else Made(said=done.err or done.out)


def rebase(tree: Tree, plan: Merging) -> Made:
    """Make the commits of the source, which the tree is at, anew on the target."""
    done = tree.git(
        *("rebase", "--quiet", "--no-fork-point", *_strategy(plan), *_no_verify(plan)),
        plan.target.oid,
    )
    return _rebased(tree, plan, done)


def continue_rebase(tree: Tree, plan: Merging) -> Made:
    """Go on with a rebase whose conflicts are resolved."""
    return _rebased(tree, plan, tree.git("rebase", "--continue"))


def _rebased(tree: Tree, plan: Merging, done: git.Output) -> Made:
    if done.ok and not tree.is_rebasing:
        return Made(commit=tree.head)
    doing = f"rebasing onto '{plan.target.name}'"
    return _stopped(tree, done, doing, began=tree.is_rebasing)


def foresee(plan: Merging) -> tuple[str, ...] | None:
    """Return the paths that will conflict; None where that cannot be told beforehand.

    One source and a git that merges without a worktree (2.38) can tell.
    """
    if plan.only_moves or plan.is_forward:
        return ()
    if len(plan.sources) > 1 or plan.style in (Style.REBASE, Style.REBASE_MERGE):
        return None
    told = git.attempt(
        plan.repository.common_dir,
        *("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z"),
        *(plan.target.oid, plan.sources[0].oid),
    )
    # 0: clean; 1: conflicts, after the tree; anything else: this git cannot say
    return tuple(git.fields(told.out)[1:]) if told.code in (0, 1) else None


def move_forward(path: str, oid: str) -> None:
    """Move the branch of a worktree, and its files, forward to a commit. Raises: GitFailed."""
    words = ("merge", "--quiet", "--ff-only", "--no-squash", "--no-autostash", "--no-stat", oid)
    git.run(path, *words, doing=f"moving {path} forward")


def undo(tree: Tree) -> tuple[str, ...]:
    """Take back what is merged and not committed; return paths that are changed all the same.

    To be used where there was nothing uncommitted before. Raises: GitFailed.
    """
    words = ("merge", "--abort") if tree.has("MERGE_HEAD") else ("reset", "--quiet", "--merge")
    done = tree.git(*words)
    if not done.ok:
        raise GitFailed(f"taking the merge in {tree.path} back", done.err, done.code)
    left = git.run(tree.path, "diff", "--name-only", "--no-relative", "-z", "HEAD", "--")
    return tuple(git.fields(left))


def _stopped(tree: Tree, done: git.Output, doing: str, *, began: bool) -> Made:
    conflicts = unmerged(tree)
    said = "\n".join(filter(None, (done.err, done.out)))
    if conflicts:
        return Made(conflicts=conflicts, said=said)
    if began:
        return Made(said=said)
    raise GitFailed(doing, said, done.code)


def _strategy(plan: Merging) -> list[str]:
    options = plan.options
    words = [f"--strategy={options.strategy}"] if options.strategy else []
    return words + [f"--strategy-option={one}" for one in options.strategy_options]


def _no_verify(plan: Merging) -> list[str]:
    return [] if plan.options.verify else ["--no-verify"]


# --- messages -----------------------------------------------------------------------------------


def usual_message(plan: Merging) -> str:
    """Return the message of the commit, unless the user has given one."""
    if plan.options.message is not None:
        return plan.options.message
    into = f"into {plan.target.name}"
    if plan.style is not Style.SQUASH:
        return f"Merge {_named(plan.sources)} {into}"
    span = [source.oid for source in plan.sources]
    log = git.run(
        plan.repository.common_dir,
        *("log", "--reverse", "--no-merges", "--format=%B%x00", *span, f"^{plan.target.oid}"),
        doing="reading what is merged",
    )
    messages = [one.strip() for one in log.split("\0") if one.strip()]
    if len(messages) == 1:
        return messages[0]
    subjects = "\n".join(f"* {one.splitlines()[0]}" for one in messages)
    return f"Squash {_named(plan.sources)} {into}\n\n{subjects}"


def _named(sources: tuple[MergeSource, ...]) -> str:
    if not all(source.is_branch for source in sources):
        return f"commit {_listed(sources)}" if len(sources) == 1 else _listed(sources)
    return f"{'branch' if len(sources) == 1 else 'branches'} {_listed(sources)}"


def _listed(sources: tuple[MergeSource, ...]) -> str:
    names = [f"'{source.name}'" for source in sources]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
