"""`daft go`: the words it takes."""

from __future__ import annotations

import click

from ..going import go
from ..options import hooking, landing, speaking


@click.command(name="go")
@click.argument("name")
@click.option("-s", "--start", is_flag=True, help="Make the branch if nothing has that name.")
@click.option("-@", "--at", metavar="PATH", help="Place a new worktree at PATH.")
@click.option("-c", "--carry/--no-carry", default=None, help="Take uncommitted changes along.")
@click.option("--local", is_flag=True, help="No network in this run.")
@landing
@hooking
@speaking
def command(
    name: str,
    start: bool,
    at: str | None,
    carry: bool | None,
    local: bool,
    commands: tuple[str, ...],
    no_cd: bool,
    skip_hooks: tuple[str, ...],
    placement: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Go to NAME: a branch, the path of a worktree, or `-` for the one before.

    A NAME that means nothing here may be that of another repository in `daft repo list`.
    """
    if name == "-" and (start or at is not None):
        raise click.UsageError("`-` cannot be combined with --start or --at")
    return go(
        name,
        start=start,
        at=at,
        carry=carry,
        local=local,
        commands=commands,
        no_cd=no_cd,
        skip_hooks=skip_hooks,
        placement=placement,
        quiet=quiet,
        verbose=verbose,
    )
