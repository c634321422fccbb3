"""Groups of verbs of which only the one that was asked for is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import ClassVar

import click


class LazyVerbs(click.Group):
    """Verbs that are loaded when they are wanted.

    places: verb -> module in `commands`, and the name of the verb in it behind a colon.
    """

    places: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return [*self.places, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, None when there is none of that name."""
        if cmd_name not in self.places:
            return super().get_command(ctx, cmd_name)
        module, _, name = self.places[cmd_name].partition(":")
        found: click.Command = getattr(import_module(f"daft_cli.commands.{module}"), name)
        return found


class GuidedVerbs(LazyVerbs):
    """The same, and who mistypes a verb is told what it is near."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name what a mistyped verb is near."""
        if self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], self.list_commands(ctx), 2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"'{args[0]}' is no command of daft {self.name}{hint}", ctx)
        return super().resolve_command(ctx, args)
