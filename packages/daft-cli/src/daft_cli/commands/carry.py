"""`daft carry`: uncommitted changes go to other worktrees."""

from __future__ import annotations

import click

import daft_worktree

from ..carried import count, tell_stash
from ..failures import FAILED, OK
from ..options import speaking
from ..place import change_directory, discover
from ..visitors import NAMES


@click.command(name="carry")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@click.option("--copy", is_flag=True, help="Keep the changes here as well.")
@speaking
def command(targets: tuple[str, ...], copy: bool, quiet: bool, verbose: bool) -> int:
    """Move the uncommitted changes made here to the worktree TARGET (branch or path).

    Several TARGETs each get a copy, and they stay here as well.
    """
    repository = discover(to_change=True)
    planned = daft_worktree.plan_delivery(repository, targets, copy=copy)
    done = daft_worktree.deliver(planned, keep=NAMES)
    if done is None:
        if not quiet:
            click.echo("Nothing to carry: there are no uncommitted changes here")
        return OK
    if done.into and not quiet:
        names = ", ".join(f"'{one.label}'" for one in done.into)
        verb = "Copied" if planned.keeps else "Moved"
        click.echo(f"{verb} {count(done.carried)} to {names}")
    if verbose:
        for one in done.into:
            click.echo(f"  {one.path}", err=True)
    for worktree, trouble in done.troubles:
        tell_stash(done.carried, worktree.path, trouble, is_back=planned.keeps)
    if done.into:
        daft_worktree.remember_previous(repository, planned.source.path)
        change_directory(repository, done.into[-1].path, wanted=True)
    return FAILED if done.troubles else OK
