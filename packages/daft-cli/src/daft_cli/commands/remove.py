"""`daft remove`: worktrees and branches, without losing anything unsaid."""

from __future__ import annotations

import click

import daft_worktree
from daft_worktree.clearance import RemoteBranch
from daft_worktree.errors import Refused
from daft_worktree.removal import Target
from daft_worktree.repository import Repository

from ..context import Session
from ..departure import remove_all
from ..options import speaking
from ..place import discover
from ..terminal import show_path
from ..visitors import NAMES, Visitors


@click.command(name="remove")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@click.option("-f", "--force", is_flag=True, help="Also what would lose work.")
@click.option("--keep-branch", is_flag=True, help="Remove the worktree only.")
@click.option("--local", is_flag=True, help="Never touch the remote.")
@click.option("--remote", is_flag=True, help="Delete only the branch of the remote.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done, and why it may be.")
@speaking
def command(
    targets: tuple[str, ...],
    force: bool,
    keep_branch: bool,
    local: bool,
    remote: bool,
    dry_run: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Remove the worktrees of TARGETs (branches or paths) and their branches."""
    if local and remote:
        raise click.UsageError("--local is not allowed with --remote")
    repository = discover(to_change=True)
    with Session(repository, quiet=quiet, verbose=verbose) as session:
        visitors = Visitors(session)
        try:
            planned = daft_worktree.plan_removal(
                repository,
                targets,
                force=force,
                keep_branch=keep_branch,
                remote_branch=_remote_branch(repository, only=remote, never=local),
                replaceable=NAMES,
                is_no_loss=visitors.is_no_loss,
            )
        except Refused as refused:
            raise visitors.advise(refused) from refused.__cause__
        if dry_run:
            for target in planned:
                click.echo(_describe(target))
            return 0
        ok = remove_all(session, planned, command="branch-delete", force=force)
        return 0 if ok else 1


def _remote_branch(repository: Repository, *, only: bool, never: bool) -> RemoteBranch:
    if only:
        return RemoteBranch.ONLY
    if repository.settings.delete_remote and not never:
        return RemoteBranch.ALSO
    return RemoteBranch.KEEP


def _describe(target: Target) -> str:
    parts = []
    if target.worktree is not None:
        parts.append(f"worktree {show_path(target.worktree.path)}")
    if target.delete_branch and target.branch is not None:
        parts.append(f"local branch {target.branch.name} ({target.proof})")
    if target.delete_remote and target.branch is not None:
        parts.append(f"remote branch {target.branch.remote}/{target.branch.remote_ref}")
    return f"would delete {target.label}: {', '.join(parts)}"
