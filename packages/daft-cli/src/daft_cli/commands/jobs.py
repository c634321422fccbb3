"""`daft jobs logs|cancel|wait|retry|prune|pin|unpin`: following jobs and changing what they do.

The listing itself is `daft_cli.jobs_list`, which loads none of this. Each verb is a module, and
only the one that was asked for is loaded.
"""

from __future__ import annotations

from importlib import import_module

import click

VERBS = ("logs", "cancel", "wait", "retry", "prune", "pin", "unpin")


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        verb: click.Command = import_module(f"daft_cli.commands.jobs_{cmd_name}").command
        verb.context_settings.setdefault("help_option_names", ["-h", "--help"])
        return verb


@click.group(name="jobs", cls=_Verbs)
@click.option("--worktree", "outer_worktree", metavar="NAME", help="Jobs of this worktree.")
@click.option("--all", "outer_all", is_flag=True, help="All jobs.")
@click.option(
    "--repo", "outer_repo", metavar="REPO", help="Of this repository: its name, a path or an id."
)
@click.pass_context
def command(
    context: click.Context, outer_worktree: str | None, outer_all: bool, outer_repo: str | None
) -> None:
    """Follow jobs, stop them, wait for them. Without a verb they are listed."""
    context.obj = Outer(outer_worktree, outer_all, outer_repo)


class Outer:
    """The options given before the verb; they mean the same as behind it."""

    def __init__(self, worktree: str | None, everything: bool, repo: str | None) -> None:
        self.worktree = worktree
        self.everything = everything
        self.repo = repo

    def refuse_repo(self) -> None:
        """Refuse `--repo` for a verb that changes things. Raises: UsageError."""
        if self.repo is not None:
            raise click.UsageError("--repo applies to listing and one-shot `logs` only")

    def refuse_all(self) -> None:
        """Refuse `--all` for a verb about one job. Raises: UsageError."""
        if self.everything:
            raise click.UsageError("--all does not apply here; name a job or a hook run")
