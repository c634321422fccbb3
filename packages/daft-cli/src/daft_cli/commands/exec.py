"""`daft exec`: the same command in several worktrees."""

from __future__ import annotations

import click

from ..context import Session
from ..executing import attached, chosen, command_line, execute
from ..failures import Trouble
from ..options import speaking
from ..place import discover

_PATTERN = "*?["


class _Command(click.Command):
    """Keeps what stands behind `--` apart: the words of a program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.obj = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])


@click.command(cls=_Command, name="exec", options_metavar="[OPTIONS]")
@click.argument("targets", nargs=-1, metavar="[TARGET…] [-- PROGRAM [ARGUMENT…]]")
@click.option("--all", "everywhere", is_flag=True, help="In every worktree that has a branch.")
@click.option(
    "-x", "--exec", "commands", multiple=True, metavar="CMD", help="Run CMD in a shell; repeatable."
)
@click.option("--sequential", is_flag=True, help="One after another, up to the first that fails.")
@click.option("--keep-going", is_flag=True, help="With --sequential: past those that fail.")
@speaking
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[str, ...],
    everywhere: bool,
    commands: tuple[str, ...],
    sequential: bool,
    keep_going: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Run a command in the worktrees TARGET: branches, paths, directory names or patterns.

    One target has the terminal, and its exit code counts. Several run side by side; what a failed
    one has printed is shown at the end, with -v what every one has.
    """
    argv: tuple[str, ...] = ctx.obj
    if bool(argv) == bool(commands):
        raise click.UsageError("give a command: either with -x, or behind `--`")
    if everywhere == bool(targets):
        raise Trouble("name worktrees, or all of them with --all: one of both")
    with Session(discover(), quiet=quiet, verbose=verbose) as session:
        found = attached(session) if everywhere else chosen(session, targets)
        is_alone = len(targets) == 1 == len(found) and not set(targets[0]) & set(_PATTERN)
        return execute(
            session,
            found,
            command_line(commands, argv),
            attached_to_terminal=is_alone,
            one_by_one=sequential,
            keep_going=keep_going,
            verbose=verbose and not quiet,
        )
