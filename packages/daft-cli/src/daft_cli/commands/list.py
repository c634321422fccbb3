"""`daft list`: the words it takes."""

from __future__ import annotations

import click

from ..columns import chosen_columns
from ..formats import FORMATS
from ..worktree_list import COLUMNS, show


@click.command(name="list")
@click.option("-b", "--branches", is_flag=True, help="Also local branches without a worktree.")
@click.option("-r", "--remotes", is_flag=True, help="Also branches of the remote.")
@click.option("-a", "--all", "everything", is_flag=True, help="Both.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs.")
@click.option("--template", metavar="TEXT", help="A Jinja template; `items` are the worktrees.")
@click.option("--columns", metavar="NAMES", help="Only these, for --format; by commas.")
@click.option("--no-headers", is_flag=True, help="Leave out the header of csv and tsv.")
def command(
    branches: bool,
    remotes: bool,
    everything: bool,
    form: str | None,
    template: str | None,
    columns: str | None,
    no_headers: bool,
) -> int:
    """Show the worktrees of this repository."""
    chosen = COLUMNS if columns is None else chosen_columns(columns, COLUMNS)
    if form is not None and template is not None:
        raise click.UsageError("--format is not allowed with --template")
    return show(
        branches=branches or everything,
        remotes=remotes or everything,
        form=form,
        template=template,
        columns=chosen,
        headers=not no_headers,
    )
