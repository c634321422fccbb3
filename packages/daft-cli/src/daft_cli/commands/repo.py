"""`daft repo`: the catalog of repositories, and what belongs to one of them."""

from __future__ import annotations

import click

from ..lazy_verbs import GuidedVerbs

_PLACES = {
    verb: f"repo_{verb}:command" for verb in ("list", "info", "add", "remove", "link", "unlink")
}


class _Verbs(GuidedVerbs):
    """The verbs of `daft repo`."""

    places = _PLACES


@click.group(name="repo", cls=_Verbs, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """The repositories you work in. daft takes them up by itself and knows them by name."""
    if context.invoked_subcommand is not None:
        return None
    from .repo_list import command as listing

    result: int = context.invoke(listing)
    return result
