"""Refusals and failures. Facts are fields; the message says what to do."""

from __future__ import annotations


class WorktreeError(Exception):
    """Base of everything `daft_worktree` raises on purpose.

    tips: what the user can do, one line each.
    """

    tips: tuple[str, ...] = ()

    def __init__(self, message: str, *, tips: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.tips = tips


class GitFailed(WorktreeError):
    """git ended with an error; its own words are in the message. What it did is git's to undo."""

    def __init__(self, doing: str, stderr: str, code: int) -> None:
        self.stderr = stderr.strip()
        self.code = code
        said = self.stderr or f"git ended with exit code {code} and said nothing"
        super().__init__(f"{doing}: {said}")


class GitMissing(WorktreeError):
    """There is no usable git."""

    def __init__(self, found: str = "") -> None:
        have = f"found {found}" if found else "none found on PATH"
        super().__init__(
            f"git 2.31 or newer is needed, {have}", tips=("install it, or put it on PATH",)
        )


class NotARepository(WorktreeError):
    """The directory belongs to no repository."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"Not inside a Git repository: {path}",
            tips=("make one with `daft clone <url>` or `daft init <name>`",),
        )


class InsideSubmodule(WorktreeError):
    """Worktrees of a submodule would land inside the superproject's git directory."""

    def __init__(self, superproject: str) -> None:
        super().__init__(
            "inside a submodule; its worktrees have no place of their own",
            tips=(f"use `daft -C {superproject} …` for the superproject",),
        )


class MovedByHand(WorktreeError):
    """The directory says that it is a worktree which git has on record elsewhere."""

    def __init__(self, path: str, recorded: str) -> None:
        super().__init__(
            f"git has the worktree of {path} on record at {recorded}",
            tips=(
                f"if you moved it: `git worktree repair {path}`",
                "if it is a copy, change worktrees from the original",
            ),
        )


class BadBranchName(WorktreeError):
    """git would not accept the name, or it could deceive a reader."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name!r} is not a valid branch name: {reason}")


class BranchExists(WorktreeError):
    """The branch to be made is there already."""

    def __init__(self, branch: str) -> None:
        super().__init__(
            f"branch '{branch}' already exists", tips=(f"open it with `daft go {branch}`",)
        )


class BranchConflict(WorktreeError):
    """A branch `a` and a branch `a/b` cannot both exist."""

    def __init__(self, branch: str, existing: str) -> None:
        super().__init__(
            f"'{branch}' conflicts with existing branch '{existing}'",
            tips=("choose a name that is no prefix of the other",),
        )


class CaseConflict(WorktreeError):
    """On this file system the two names would share one file."""

    def __init__(self, branch: str, existing: str) -> None:
        super().__init__(
            f"'{branch}' differs only by case from existing branch '{existing}'",
            tips=(f"choose another name, or open the other with `daft go {existing}`",),
        )


class BranchNotFound(WorktreeError):
    """No branch of that name, local or remote."""

    def __init__(self, name: str, similar: tuple[str, ...] = (), asked: str = "") -> None:
        tips = [f"create it with `daft go --start {name}`"]
        if similar:
            tips.append(f"similar: {', '.join(similar)}")
        super().__init__(f"branch '{name}' not found{asked}", tips=tuple(tips))


class BaseNotFound(WorktreeError):
    """The base to branch from does not resolve to a commit."""

    def __init__(self, base: str, similar: tuple[str, ...] = ()) -> None:
        tips = (f"similar: {', '.join(similar)}",) if similar else ()
        super().__init__(f"base '{base}' does not resolve to a commit", tips=tips)


class NoCommits(WorktreeError):
    """The repository has no commit to start from."""

    def __init__(self) -> None:
        super().__init__(
            "the repository has no commits yet",
            tips=("commit something first, then start branches from it",),
        )


class PathTaken(WorktreeError):
    """Something is where the worktree should go. It was not touched."""

    def __init__(self, path: str, holder: str | None = None) -> None:
        if holder is not None:
            text = f"{path} is already used by branch '{holder}'"
        else:
            text = f"{path} already exists"
        super().__init__(text, tips=("place the worktree elsewhere with `--at <path>`",))


class BadPath(WorktreeError):
    """The place for the worktree cannot hold one."""


class BadLayout(WorktreeError):
    """A layout that is not known, or a template that cannot be rendered."""


class LockTimeout(WorktreeError):
    """Another command held a lock of the repository for too long. doing: what it is at."""

    def __init__(self, owner: str, doing: str = "changing worktrees of") -> None:
        super().__init__(
            f"another daft command is {doing} this repository{owner}",
            tips=("wait for it to end, then try again",),
        )


class Refused(WorktreeError):
    """Some targets must not be removed. Nothing was removed.

    refusals: (target, reason) for each of them.
    """

    def __init__(self, refusals: tuple[tuple[str, str], ...], tips: tuple[str, ...] = ()) -> None:
        self.refusals = refusals
        lines = [f"cannot delete '{target}': {reason}" for target, reason in refusals]
        super().__init__("\n".join(lines), tips=tips)


class RemoveFailed(WorktreeError):
    """A removal stopped half way; the message says what is left."""


class RemovalUndone(WorktreeError):
    """A removal had died half way; its worktree has just been put back, and nothing else done."""

    def __init__(self, label: str, path: str) -> None:
        super().__init__(
            f"the worktree of '{label}' is back at {path}: its removal had been interrupted",
            tips=(f"open it with `daft go {label}`, or finish with `daft remove {label}`",),
        )


class CannotRename(WorktreeError):
    """A branch must not, or cannot, be renamed as asked. Nothing was changed."""

    def __init__(self, branch: str, reason: str, *tips: str) -> None:
        super().__init__(f"cannot rename '{branch}': {reason}", tips=tips)


class RenameFailed(WorktreeError):
    """A rename stopped half way; the message says what is left."""


class NoWorktree(WorktreeError):
    """No worktree is meant by the word."""


class MissingAndLocked(NoWorktree):
    """The directory is gone, and a lock says it may come back (a removable volume)."""

    def __init__(self, label: str, path: str, reason: str) -> None:
        because = f": {reason}" if reason else ""
        super().__init__(
            f"the worktree of '{label}' at {path} is missing and locked{because}",
            tips=(f"`git worktree unlock {path}` if it is gone for good",),
        )


class StashLeft(WorktreeError):
    """Putting changes aside stopped half way. All of them are in the stash, under `oid`."""

    def __init__(self, path: str, oid: str) -> None:
        self.oid = oid
        super().__init__(
            f"putting uncommitted changes of {path} aside stopped half way; all of them are in "
            f"the stash as {oid[:12]}",
            tips=(
                "`git status` shows what is left",
                f"`git stash apply --index {oid[:12]}` brings the rest back",
            ),
        )


class CannotCarry(WorktreeError):
    """Changes must not, or cannot, be carried as asked. Nothing was changed.

    refusals: a sentence for each worktree that is in the way.
    """

    def __init__(self, refusals: tuple[str, ...], tips: tuple[str, ...] = ()) -> None:
        self.refusals = refusals
        super().__init__("\n".join(refusals), tips=tips)


class CloneFailed(WorktreeError):
    """A clone did not come to be; what was made of it has been removed."""


class NotOnRemote(CloneFailed):
    """The branch to begin with is not on the remote."""

    def __init__(self, branch: str) -> None:
        super().__init__(
            f"branch '{branch}' not found on remote", tips=("leave out -b for its default branch",)
        )


class MergeRefused(WorktreeError):
    """A merge must not be made as it was asked for. No branch and no worktree was touched."""


class MergeOutdated(MergeRefused):
    """What was planned is no longer so. No branch and no worktree was touched."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} since the merge was planned; nothing was merged",
            tips=("try again: hooks then see what there is now",),
        )


class MergeLeft(WorktreeError):
    """A merge failed and could not be taken back. The branch is where it was."""

    def __init__(self, path: str, said: str, trouble: str) -> None:
        super().__init__(
            f"merging in {path}: {said}\nit could not be taken back: {trouble}",
            tips=("once that is put right: `daft merge --abort`",),
        )


class NotUnderWay(WorktreeError):
    """No merge is under way where one was to be ended, or it cannot be ended like this."""


class CannotWrite(WorktreeError):
    """The repository's git directory cannot be written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}")


class CannotShare(WorktreeError):
    """A file cannot become one that worktrees share. Nothing was changed."""

    def __init__(self, name: str, reason: str, tip: str = "") -> None:
        super().__init__(f"{name} {reason}", tips=(tip,) if tip else ())


class TooLargeToCopy(WorktreeError):
    """More would have to be copied byte by byte than may be. Nothing was put in place."""

    def __init__(self, path: str, limit_bytes: int) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        super().__init__(
            f"{path} holds more than the {limit_bytes} bytes that may be copied of it, and its "
            "file system cannot share them"
        )


class KeepsChanging(WorktreeError):
    """A file was written again and again while it was copied. Nothing was put in place."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is being changed", tips=("copy it when nobody works on it",))
