"""`daft shared`: files such as `.env`, once for all worktrees."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

import click

_VERBS = ("add", "link", "materialize", "remove", "status", "sync")
"""Each is in a module of its own beside this one, loaded when it is wanted."""


class _Verbs(click.Group):
    """The verbs of `daft shared`, each loaded when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, None when there is none of that name."""
        if cmd_name not in _VERBS:
            return None
        found: click.Command = import_module(f"..shared_{cmd_name}", __name__).command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name what a mistyped verb is near."""
        if args[0] not in _VERBS:
            near = get_close_matches(args[0], _VERBS, 2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"'{args[0]}' is no command of daft shared{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(name="shared", cls=_Verbs, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """Share files such as .env between worktrees; without a verb, show them."""
    if context.invoked_subcommand is None:
        from .shared_status import command as status

        result: int = context.invoke(status)
        return result
    return None
