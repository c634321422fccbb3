"""`daft shared add`: make files of this worktree shared ones."""

from __future__ import annotations

import sys

import click

from daft_worktree import sharing
from daft_worktree.errors import CannotShare
from daft_worktree.repository import Repository
from daft_worktree.shared_files import Has, look
from daft_worktree.sharing import Outcome, Row
from daft_worktree.worktrees import Worktree

from ..declaring import Declared, declare, declared
from ..failures import Trouble
from ..place import discover
from .shared_words import name_of, reachable, say, say_rows, standing_in


@click.command(name="add")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--declare", "only_declare", is_flag=True, help="Only write it into daft.yml.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(paths: tuple[str, ...], only_declare: bool, quiet: bool) -> int:
    """Keep PATHs of this worktree once for all, and put links to them into every worktree.

    They are added to `shared:` in daft.yml. A file that says something else in another worktree
    is left alone.
    """
    repository = discover(to_change=True)
    here = standing_in(repository)
    names = tuple(dict.fromkeys(name_of(repository, word) for word in paths))
    _refuse(repository, here, names, declared(here), only_declare=only_declare)
    rows: list[Row] = []
    if not only_declare:
        for name in names:
            sharing.share(repository, here, name)
            rows.append(Row(name, here.label, Outcome.LINKED))
    file = declare(repository, here, names)
    for tree in reachable(repository):
        if not only_declare and tree.path != here.path:
            rows += sharing.link(repository, tree, names)
    say_rows(rows, quiet=quiet)
    if file is not None:
        say(f"added to {file}", quiet=quiet)
    elif only_declare:
        say("declared already", quiet=quiet)
    return 0


def _refuse(
    repository: Repository,
    here: Worktree,
    names: tuple[str, ...],
    known: Declared,
    *,
    only_declare: bool,
) -> None:
    """Refuse all when one cannot be shared; every reason is told. Raises: Trouble, CannotShare."""
    refusals: list[CannotShare] = []
    for spot in look(repository.common_dir, here, names):
        around = [one for one in (*known.names, *names) if _overlap(one, spot.name)]
        found = None if only_declare else sharing.refusal_to_share(spot)
        if spot.name == known.written:
            found = CannotShare(spot.name, "is what `env.write` names; each worktree has its own")
        elif around:
            found = CannotShare(spot.name, f"and {around[0]} lie in one another; share one of them")
        elif only_declare and spot.has is Has.TRACKED:
            found = sharing.refusal_to_share(spot)
        refusals += [] if found is None else [found]
    for refusal in refusals[:-1]:
        sys.stderr.write(f"error: {refusal}\n")
    if refusals:
        raise Trouble(str(refusals[-1]), tips=(*refusals[-1].tips, "nothing was changed"))


def _overlap(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")
