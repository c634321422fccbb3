"""Giving the branch of a remote the name that the local one has now."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from . import git
from .renaming import RemoteRename, Renaming


class OnRemote(NamedTuple):
    """What became of it. trouble: why not all was done. commands: what is left, to be typed."""

    trouble: str | None
    commands: tuple[str, ...]


def commands(remote: RemoteRename, branch: str) -> tuple[str, ...]:
    """Return what a user would type for it; `branch` is the local name."""
    there = branch if branch == remote.new else f"{branch}:{remote.new}"
    name, push = shlex.quote(remote.remote), shlex.quote(there)
    return (
        f"git push --set-upstream {name} {push}",
        f"git push {name} --delete {shlex.quote(remote.old)}",
    )


def rename_on_remote(planned: Renaming, *, verify: bool) -> OnRemote:
    """Push the branch under its new name, then delete the old one while it is where it was seen.

    To be called when the branch is renamed here. verify: let git's pre-push hook judge the push;
    the deletion brings nothing new, so it is not asked about that.
    """
    remote = planned.remote
    if remote is None:
        return OnRemote(None, ())
    left = commands(remote, planned.new)
    where = planned.renamed.path if planned.renamed is not None else planned.repository.common_dir
    new, old = f"refs/heads/{remote.new}", f"refs/heads/{remote.old}"
    pushed = git.attempt(
        where,
        *("push", "--set-upstream", *(() if verify else ("--no-verify",))),
        # With nothing expected: a branch of that name which came meanwhile is not touched.
        *(f"--force-with-lease={new}:", "--end-of-options", remote.remote),
        f"refs/heads/{planned.new}:{new}",
        network=True,
    )
    if not pushed.ok:
        return OnRemote(f"'{remote.new}' was not pushed to '{remote.remote}': {pushed.err}", left)
    deleted = git.attempt(
        where,
        *("push", "--no-verify", f"--force-with-lease={old}:{remote.seen}"),
        *("--end-of-options", remote.remote, f":{old}"),
        network=True,
    )
    if deleted.ok or "remote ref does not exist" in deleted.err:
        return OnRemote(None, ())
    why = deleted.err
    if "stale info" in why:
        why = "somebody has pushed to it since it was last fetched"
    return OnRemote(f"'{remote.old}' stays on '{remote.remote}': {why}", left[1:])
