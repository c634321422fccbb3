"""`daft shared add`: make files of this worktree shared ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial

import click

from daft_worktree import sharing
from daft_worktree.errors import CannotShare
from daft_worktree.sharing import Has, Row, Spot, look

from ..declaring import Declared, declare, declared
from ..failures import Trouble
from ..place import discover
from .shared_words import name_of, reachable, say, say_rows, standing_in


@click.command(name="add")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--declare", "only_declare", is_flag=True, help="Only write it into daft.yml.")
@click.option("--override", is_flag=True, help="Also where another file is shared; it is kept.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(paths: tuple[str, ...], only_declare: bool, override: bool, quiet: bool) -> int:
    """Share PATHs: kept once, linked into every worktree.

    They are added to `shared:` in daft.yml. A file that says something else in another worktree
    is left alone.
    """
    repository = discover(to_change=True)
    here = standing_in(repository)
    names = tuple(dict.fromkeys(name_of(repository, word) for word in paths))
    if only_declare and override:
        raise click.UsageError("--declare is not allowed with --override")
    refusal = partial(_refusal, declared(here), names, only_declare, override)
    _refuse(refusal, look(repository.common_dir, here, names))
    rows: list[Row] = []
    if not only_declare:
        rows += [sharing.share(repository, here, name, override=override) for name in names]
    file = declare(repository, here, names)
    for tree in reachable(repository):
        if not only_declare and tree.path != here.path:
            rows += sharing.link(repository, tree, names)
    say_rows(rows, quiet=quiet)
    if file is not None:
        is_tracked = bool(sharing.tracked_names(here.path, (file,)))
        hint = "; commit it, for other branches and clones" if is_tracked else ""
        say(f"added to {file}{hint}", quiet=quiet)
    elif only_declare:
        say("declared already", quiet=quiet)
    return 0


def _refuse(refusal: Callable[[Spot], CannotShare | None], spots: Iterable[Spot]) -> None:
    """Refuse all when one cannot be shared; every reason is told. Raises: Trouble."""
    refusals = [found for spot in spots if (found := refusal(spot)) is not None]
    for one in refusals[:-1]:
        sys.stderr.write(f"error: {one}\n")
    if refusals:
        raise Trouble(str(refusals[-1]), tips=(*refusals[-1].tips, "nothing was changed"))


def _refusal(
    known: Declared, names: tuple[str, ...], only_declare: bool, override: bool, spot: Spot
) -> CannotShare | None:
    """Return why a file cannot be shared, None when it can."""
    if spot.name == known.written:
        return CannotShare(spot.name, "is what `env.write` names; each worktree has its own")
    if spot.name in known.files:
        why = "is the configuration, which comes along to new worktrees by itself"
        return CannotShare(spot.name, why)
    around = [one for one in (*known.names, *names) if _overlap(one, spot.name)]
    if around:
        return CannotShare(spot.name, f"and {around[0]} lie in one another; share one of them")
    if only_declare and spot.has is not Has.TRACKED:
        return None
    return sharing.refusal_to_share(spot, override=override)


def _overlap(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")
