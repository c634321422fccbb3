"""`daft shared status`: which worktree has which shared file, and how."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click

from daft_worktree.sharing import Spot, State, is_stored, look, stored_names

from ..declaring import declared
from ..formats import FORMATS, write_rows
from ..place import discover
from ..terminal import harmless, has_colour, paint
from .shared_words import command_for, reachable, speaker

COLUMNS = ("path", "worktree", "state", "detail", "is_stored", "is_declared", "absolute_path")
_STYLES = {
    State.LINKED: "green",
    State.LOCAL: "blue",
    State.CONFLICT: "red",
    State.MISSING: "yellow",
}


@click.command(name="status")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs.")
@click.option("--no-headers", is_flag=True, help="Leave out the header of csv and tsv.")
def command(form: str | None = None, no_headers: bool = False) -> int:
    """Show what each worktree has of shared files.

    A link to it (linked), a file of its own (local), something else (conflict), or nothing
    (missing).
    """
    repository = discover()
    common_dir = repository.common_dir
    known = declared(speaker(repository)).names
    within = tuple(f"{name}/" for name in known)
    stored = [name for name in stored_names(common_dir) if not name.startswith(within)]
    names = tuple(dict.fromkeys((*known, *stored)))
    spots = [spot for tree in reachable(repository) for spot in look(common_dir, tree, names)]
    spots.sort(key=lambda spot: names.index(spot.name))
    if form is not None:
        rows = [_row(spot, is_declared=spot.name in known) for spot in spots]
        write_rows(form, rows, COLUMNS, headers=not no_headers)
        return 0
    if not names:
        sys.stderr.write("nothing is shared; share a file with `daft shared add <path>`\n")
        return 0
    _print(names, spots)
    for name in names:
        if not is_stored(common_dir, name):
            click.echo(harmless(f"{name} is not shared yet: {command_for('add', name)}"))
        elif name not in known:
            todo = command_for("add", "--declare", name)
            click.echo(harmless(f"{name} is not in daft.yml: {todo}"))
    for spot in spots:
        if spot.state is State.CONFLICT:
            click.echo(harmless(f"{spot.name} in '{spot.worktree.label}': {spot.detail}"))
    return 0


def _row(spot: Spot, *, is_declared: bool) -> dict[str, Any]:
    return {
        "path": spot.name,
        "worktree": spot.worktree.label,
        "state": spot.state.value,
        "detail": spot.detail or None,
        "is_stored": spot.is_stored,
        "is_declared": is_declared,
        "absolute_path": spot.path,
    }


def _print(names: Sequence[str], spots: Sequence[Spot]) -> None:
    """Print a line for each file and a column for each worktree; too many: a line for each pair."""
    labels = list(dict.fromkeys(spot.worktree.label for spot in spots))
    table = [["", *labels]]
    table += [[name, *(spot.state.value for spot in spots if spot.name == name)] for name in names]
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    if sys.stdout.isatty() and sum(widths) + 2 * len(labels) > shutil.get_terminal_size().columns:
        table = [[spot.name, spot.worktree.label, spot.state.value] for spot in spots]
        widths = [max(len(line[place]) for line in table) for place in range(3)]
    colour = has_colour(sys.stdout)
    styles = {state.value: style for state, style in _STYLES.items()}
    for line in table:
        cells = []
        for cell, width in zip(line, widths, strict=True):
            text = harmless(cell).ljust(width)
            cells.append(paint(text, styles[cell], on=colour) if cell in styles else text)
        click.echo("  ".join(cells).rstrip())
