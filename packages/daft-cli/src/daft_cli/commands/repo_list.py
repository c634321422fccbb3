"""`daft repo list`: the catalog."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from ..catalog import every_entry
from ..columns import chosen_columns
from ..formats import FORMATS, write_rows
from ..repositories import Shown, look_at
from ..terminal import harmless, has_colour, paint, show_path
from ..whereabouts import find_repository, identity_of

COLUMNS = (
    "name", "status", "worktrees", "path", "remote", "default_branch", "uuid", "git_common_dir",
    "added", "updated", "removed", "is_current",
)  # fmt: skip
SHOWN = ("name", "worktrees", "path", "remote")


@click.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also those that were removed.")
@click.option("-w", "--worktrees", is_flag=True, help="Each worktree, too.")
@click.option("--columns", metavar="NAMES", help="Only these, by commas.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs.")
@click.option("--template", metavar="TEXT", help="A Jinja template; `items` are the repositories.")
@click.option("--no-headers", is_flag=True, help="Leave out the header of csv and tsv.")
def command(
    everything: bool,
    worktrees: bool,
    columns: str | None,
    form: str | None,
    template: str | None,
    no_headers: bool,
) -> int:
    """Show the repositories of the catalog."""
    chosen = None if columns is None else chosen_columns(columns, COLUMNS)
    if form is not None and template is not None:
        raise click.UsageError("--format is not allowed with --template")
    if worktrees and (form is not None or template is not None):
        raise click.UsageError("--worktrees is for people; `daft repo info --format` has them")
    entries = [one for one in every_entry() if everything or one.is_live]
    current = _current()
    shown = [look_at(one) for one in entries]
    rows = [_row(one, current) for one in shown]
    if template is not None:
        from ..templates import Template

        click.echo(Template(template).text(rows), nl=False)
        return 0
    if form is not None:
        write_rows(form, rows, chosen or COLUMNS, headers=not no_headers)
        return 0
    if not rows:
        sys.stderr.write("no repositories yet; `daft clone`, `daft init` or `daft repo add`\n")
        return 0
    _print(shown, rows, chosen or SHOWN, with_worktrees=worktrees)
    return 0


def _current() -> str | None:
    here = find_repository(os.getcwd())
    return identity_of(here[0]) if here is not None else None


def _row(one: Shown, current: str | None) -> dict[str, Any]:
    trees = one.worktrees
    return {
        **one.row,
        "worktrees": None if trees is None else len(trees),
        "is_current": one.entry.uuid == current,
    }


def _print(
    shown: Sequence[Shown],
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    *,
    with_worktrees: bool,
) -> None:
    colour = has_colour(sys.stdout)
    table = [[">" if row["is_current"] else " ", *_cells(row, columns)] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line, row, one in zip(table, rows, shown, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        text = f"{cells[0]} {'  '.join(cells[1:])}".rstrip()
        if row["status"] != "live":
            text = paint(f"{text}  ({row['status']})", "dim", on=colour)
        click.echo(paint(text, "bold", on=colour and row["is_current"]))
        for tree in one.worktrees or () if with_worktrees else ():
            click.echo(f"    {harmless(tree.label)}  {harmless(show_path(tree.path))}")


def _cells(row: dict[str, Any], columns: Sequence[str]) -> list[str]:
    cells = []
    for name in columns:
        value = row[name]
        if name == "path" and value is not None:
            value = show_path(value)
        if isinstance(value, bool):
            value = "yes" if value else ""
        cells.append("" if value is None else harmless(str(value)))
    return cells
