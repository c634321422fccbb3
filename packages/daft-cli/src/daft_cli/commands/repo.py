"""`daft repo`: the catalog of repositories, and what belongs to one of them."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

import click

VERBS = ("list", "info", "add", "remove", "link", "unlink")


class _Verbs(click.Group):
    """The verbs of `daft repo`, each a module that is loaded when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, None when there is none of that name."""
        if cmd_name not in VERBS:
            return None
        verb: click.Command = import_module(f"daft_cli.commands.repo_{cmd_name}").command
        verb.context_settings.setdefault("help_option_names", ["-h", "--help"])
        return verb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name what a mistyped verb is near."""
        if self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], VERBS, 2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"'{args[0]}' is no command of daft repo{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(name="repo", cls=_Verbs, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """The repositories you work in. daft takes them up by itself and knows them by name."""
    if context.invoked_subcommand is not None:
        return None
    from .repo_list import command as listing

    result: int = context.invoke(listing)
    return result
