"""`daft shared`: files such as `.env`, once for all worktrees."""

from __future__ import annotations

import click

from ..lazy_verbs import GuidedVerbs

_PLACES = {
    verb: f"shared_{verb}:command"
    for verb in ("add", "link", "materialize", "remove", "status", "sync")
}


class _Verbs(GuidedVerbs):
    """The verbs of `daft shared`."""

    places = _PLACES


@click.group(name="shared", cls=_Verbs, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """Share files such as .env between worktrees; without a verb, show them."""
    if context.invoked_subcommand is None:
        from .shared_status import command as status

        result: int = context.invoke(status)
        return result
    return None
