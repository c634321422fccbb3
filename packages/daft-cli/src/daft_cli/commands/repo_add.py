"""`daft repo add`: take a repository up in the catalog, or name it."""

from __future__ import annotations

import os
import sys

import click

import daft_worktree
from daft_store.catalog import says_the_same
from daft_store.errors import BadName, NameTaken
from daft_worktree.repository import superproject_git_dir

from ..catalog import every_entry, is_copy_of, sighting_of, take_up
from ..failures import Trouble
from ..repositories import find
from ..terminal import show_path


@click.command(name="add")
@click.argument("path", default=".")
@click.option("--name", metavar="NAME", help="What to call it; one that is known is renamed.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(path: str, name: str | None, quiet: bool) -> int:
    """Add the repository at PATH (the one here) to the catalog."""
    if not os.path.isdir(path):
        raise Trouble(f"{path} is not a directory")
    repository = daft_worktree.discover(os.path.abspath(path))
    if superproject_git_dir(repository) is not None:
        raise Trouble("a submodule has no place of its own in the catalog")
    seen = sighting_of(repository)
    before = find(every_entry(), repository)
    if before is not None and is_copy_of(before, seen):
        raise Trouble(
            f"this is a copy of '{before.name}' at {before.path}: both have its identity, "
            "and its history of jobs",
            tips=(f"to make it one of its own: rm {seen.git_common_dir}/daft-id",),
        )
    try:
        entry = take_up(repository, seen, name=name)
    except (BadName, NameTaken) as error:
        raise Trouble(str(error)) from error
    where = show_path(entry.path)
    if before is None or not before.is_live:
        line = f"Added '{entry.name}': {where}"
    elif before.name != entry.name:
        line = f"'{before.name}' is called '{entry.name}' now"
    elif not says_the_same(before, seen):
        line = f"'{entry.name}' is brought up to date: {where}"
    else:
        line = f"'{entry.name}' is in the catalog already: {where}"
    if not quiet:
        sys.stdout.write(line + "\n")
    return 0
