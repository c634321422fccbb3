"""The lifecycle events: names, defaults, and whether the verb goes on with their result."""

from __future__ import annotations

import enum

from attrs import frozen


class FailMode(enum.Enum):
    """What a failed hook does to the verb that fired it."""

    ABORT = "abort"
    WARN = "warn"


@frozen(kw_only=True)
class HookType:
    """One lifecycle event.

    precedes_work: the verb goes on with the result, so its jobs cannot be detached.
    setting: its name in git's configuration, `daft.hooks.<setting>.…`.
    is_gate: what it guards must not happen without it, for want of consent neither.
    is_replayable: it prepares a worktree, so it can be made up for while the worktree is there.
    """

    name: str
    default_fail_mode: FailMode
    precedes_work: bool
    setting: str
    is_gate: bool = False
    is_replayable: bool = False


HOOK_TYPES = {
    hook.name: hook
    for hook in (
        HookType(
            name="post-clone",
            default_fail_mode=FailMode.WARN,
            precedes_work=True,
            setting="postClone",
            is_replayable=True,
        ),
        HookType(
            name="worktree-pre-create",
            default_fail_mode=FailMode.ABORT,
            precedes_work=True,
            setting="worktreePreCreate",
        ),
        HookType(
            name="worktree-post-create",
            default_fail_mode=FailMode.ABORT,
            precedes_work=False,
            setting="worktreePostCreate",
            is_replayable=True,
        ),
        HookType(
            name="worktree-pre-remove",
            default_fail_mode=FailMode.WARN,
            precedes_work=True,
            setting="worktreePreRemove",
        ),
        HookType(
            name="worktree-post-remove",
            default_fail_mode=FailMode.WARN,
            precedes_work=False,
            setting="worktreePostRemove",
        ),
        HookType(
            name="pre-merge",
            default_fail_mode=FailMode.ABORT,
            precedes_work=True,
            setting="preMerge",
            is_gate=True,
        ),
        HookType(
            name="post-merge",
            default_fail_mode=FailMode.WARN,
            precedes_work=False,
            setting="postMerge",
        ),
    )
}
