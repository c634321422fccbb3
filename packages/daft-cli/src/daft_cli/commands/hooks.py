"""`daft hooks`: consent, what is configured, and running a hook by hand."""

from __future__ import annotations

import os
import sys

import click

from ..lazy_verbs import GuidedVerbs

_PLACES = {
    "trust": "hooks_consent:trust",
    "prompt": "hooks_consent:prompt",
    "deny": "hooks_consent:deny",
    "list": "hooks_consent:list_",
    "reset": "hooks_consent:reset",
    "prune": "hooks_consent:prune",
    "status": "hooks_status:status",
    "replay": "hooks_replay:replay",
    "run": "hooks_run:run",
    "plan": "hooks_run:plan",
    "validate": "hooks_check:validate",
    "schema": "hooks_check:schema",
    "install": "hooks_files:install",
    "init": "hooks_files:install",
    "migrate": "hooks_files:migrate",
    "dump": "hooks_files:dump",
    "show": "hooks_files:dump",
    "consolidate": "hooks_consolidate:consolidate",
}


class _Verbs(GuidedVerbs):
    """The verbs of `daft hooks`."""

    places = _PLACES

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a directory for what `status` is asked about."""
        if self.get_command(ctx, args[0]) is None and os.path.isdir(args[0]):
            args = ["status", *args]
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
