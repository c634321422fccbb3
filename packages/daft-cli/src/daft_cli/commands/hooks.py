"""`daft hooks`: consent, what is configured, and running a hook by hand."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module

import click

_ELSEWHERE = {
    "trust": "hooks_consent",
    "prompt": "hooks_consent",
    "deny": "hooks_consent",
    "list": "hooks_consent",
    "reset": "hooks_consent",
    "prune": "hooks_consent",
    "status": "hooks_status",
    "replay": "hooks_replay",
    "run": "hooks_run",
    "plan": "hooks_run",
    "validate": "hooks_check",
    "schema": "hooks_check",
    "install": "hooks_files",
    "init": "hooks_files",
    "migrate": "hooks_files",
    "dump": "hooks_files",
    "show": "hooks_files",
    "consolidate": "hooks_consolidate",
}
"""Verb -> the module beside this one that it is in, loaded when it is wanted."""

_NAMES = {"list": "list_", "show": "dump", "init": "install"}
"""Verb -> its name in its module, where that is another."""


class _Verbs(click.Group):
    """The verbs of `daft hooks`, each loaded when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return [*_ELSEWHERE, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, None when there is none of that name."""
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"..{_ELSEWHERE[cmd_name]}", __name__)
        found: click.Command = getattr(module, _NAMES.get(cmd_name, cmd_name))
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a directory for what `status` is asked about; name what a mistyped verb is near."""
        if self.get_command(ctx, args[0]) is None:
            if os.path.isdir(args[0]):
                args = ["status", *args]
            else:
                near = get_close_matches(args[0], self.list_commands(ctx), 2)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise click.UsageError(f"'{args[0]}' is no command of daft hooks{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(name="hooks", cls=_Verbs, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """Consent to hooks, look at them, run them."""
    if context.invoked_subcommand is None:
        from .hooks_status import status

        result: int = context.invoke(status, path=".")
        sys.stderr.write("All of `daft hooks`: daft hooks --help\n")
        return result
    return None
