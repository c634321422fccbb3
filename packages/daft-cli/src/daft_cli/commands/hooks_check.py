"""`daft hooks validate` and `daft hooks schema`: what may stand in daft.yml, and what is wrong."""

from __future__ import annotations

import os
import sys

import click

from daft_hooks import discovery
from daft_hooks.errors import BadConfiguration, Problem

from ..context import Session
from ..failures import Trouble
from ..formats import FORMATS, write_rows
from ..place import discover
from ..terminal import harmless, has_colour, paint
from .hooks_shared import any_worktree, standing_in

COLUMNS = ("severity", "file", "line", "column", "path", "message")


@click.command()
@click.argument("file", required=False)
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs: a row a problem.")
def validate(file: str | None, strict: bool, form: str | None) -> int:
    """Check daft.yml (or FILE, `-` for standard input) and show every problem in it.

    Without FILE all that belongs to the configuration of the worktree is checked: what is
    extended, files per hook, the local overlay, the scripts that are named. A FILE is checked
    alone, as it stands; one called `<hook>.yml` is taken for that hook.
    """
    try:
        found, is_there = _problems(file)
    except BadConfiguration as error:
        found, is_there = error.problems, True
    if form is not None:
        write_rows(form, [_row(one) for one in found], COLUMNS)
    else:
        for one in found:
            _show(one)
    errors = sum(one.is_error for one in found)
    warnings = sum(one.is_warning for one in found)
    if errors or (strict and warnings):
        sys.stderr.write(f"Configuration has errors ({errors} error(s), {warnings} warning(s))\n")
        return 1
    if form is None:
        extra = f" ({warnings} warning(s))" if warnings else ""
        click.echo(f"Configuration is valid.{extra}" if is_there else "No daft.yml found.")
    return 0


def _problems(file: str | None) -> tuple[tuple[Problem, ...], bool]:
    """Return what is wrong, in the order of places, and whether there is a configuration."""
    if file is not None:
        return _problems_of_file(file), True
    from daft_hooks.inspection import inspect

    with Session(discover()) as session:
        worktree = any_worktree(session)
        loaded = discovery.load(worktree)
        known = () if loaded is None else loaded.decoded.problems
        found = (*known, *inspect(loaded, worktree))
        return tuple(sorted(found, key=lambda one: one.mark)), loaded is not None


def _problems_of_file(file: str) -> tuple[Problem, ...]:
    from daft_hooks.decode import decode
    from daft_hooks.document import parse
    from daft_hooks.hooktypes import HOOK_TYPES
    from daft_hooks.sources import as_hook

    data = sys.stdin.buffer.read() if file == "-" else _bytes_of(file)
    name = "<stdin>" if file == "-" else file
    root = parse(data, name)
    hook = os.path.splitext(os.path.basename(name))[0]
    if hook in HOOK_TYPES:
        root = as_hook(hook, root)
    lines = {name: data.decode("utf-8", "replace").split("\n")}
    return decode(root, excerpts=lines).problems


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _row(one: Problem) -> dict[str, object]:
    return {
        "severity": _weight(one)[0],
        "file": one.mark.file,
        "line": one.mark.line,
        "column": one.mark.column,
        "path": one.path,
        "message": one.message,
    }


def _weight(one: Problem) -> tuple[str, str]:
    """Return the word for how much a problem weighs, and its colour."""
    if one.is_error:
        return "error", "red"
    return ("warning", "yellow") if one.is_warning else ("note", "blue")


def _show(one: Problem) -> None:
    colour = has_colour(sys.stderr)
    word, style = _weight(one)
    where = f"{one.path}: " if one.path else ""
    sys.stderr.write(
        f"{one.mark}: {paint(word, style, on=colour)}: {harmless(where + one.message)}\n"
    )
    if one.excerpt.strip():
        sys.stderr.write("".join(f"    {line}\n" for line in _pointed_at(one)))


_EXCERPT_CHARS = 96


def _pointed_at(one: Problem) -> tuple[str, str]:
    """Return the offending line, cut to what fits a terminal, and a mark below the place."""
    text = one.excerpt.rstrip("\r").replace("\t", " ")
    place = min(one.mark.column - 1, len(text))
    start = max(0, place - _EXCERPT_CHARS // 2) if len(text) > _EXCERPT_CHARS else 0
    before, cut = harmless(text[start:place]), harmless(text[start : start + _EXCERPT_CHARS])
    dots = "…" if start else ""
    return f"{dots}{cut}", f"{' ' * (len(dots) + len(before))}^"


@click.command()
@click.option("--write", is_flag=True, help="Write it into the worktree, for editors.")
def schema(write: bool) -> int:
    """Print the JSON Schema of daft.yml, by which editors complete and check it."""
    from daft_hooks import schema as made

    text = made.as_text()
    if not write:
        sys.stdout.write(text)
        return 0
    with Session(discover()) as session:
        path = write_schema(standing_in(session).path)
    click.echo(f"Wrote {path}")
    click.echo(f"Let daft.yml begin with: {made.MODELINE}")
    return 0


def write_schema(worktree: str) -> str:
    """Write the schema into a worktree, for editors; return its path. Raises: Trouble, OSError."""
    from daft_hooks import schema as made

    path = os.path.join(worktree, ".daft", made.FILE_NAME)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink(path):
        raise Trouble(f"{path} is a link; nothing was written", tips=("remove it first",))
    with open(path, "w", encoding="utf-8") as file:
        file.write(made.as_text())
    return path
