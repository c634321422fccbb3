"""`daft init`: a new repository in the shape of a layout."""

from __future__ import annotations

import os

import click

from daft_worktree import cloning, layouts
from daft_worktree.settings import read_settings

from ..failures import Trouble
from ..options import landing
from ..place import change_directory, data_directory, run_after
from ..sighting import sight
from ..terminal import show_path


@click.command(name="init")
@click.argument("name")
@click.option("--bare", is_flag=True, help="No worktree (bare layouts only).")
@click.option("-b", "--initial-branch", metavar="BRANCH", help="Name of the first branch.")
@click.option("--layout", metavar="NAME", help="Where worktrees go.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
@landing
def command(
    name: str,
    bare: bool,
    initial_branch: str | None,
    layout: str | None,
    quiet: bool,
    commands: tuple[str, ...],
    no_cd: bool,
) -> int:
    """Make a repository called NAME here; `.` makes it of this empty directory."""
    if name != "." and (not name or name.startswith((".", "-")) or set(name) & set("/\\\0\n ")):
        raise Trouble(f"{name!r} cannot name a repository: no slashes, blanks or leading dots")
    settings = read_settings("/")
    branch = initial_branch or settings.initial_branch or "master"
    chosen, _ = layouts.resolve(explicit=layout, default=settings.layout)
    path = os.path.normpath(os.path.join(os.getcwd(), name))
    repository = cloning.initialise(
        path, branch=branch, layout=chosen, data_dir=data_directory(), with_worktree=not bare
    )
    sight(repository)
    here = repository.current
    landing_path = here.path if here is not None else path
    if not quiet:
        click.echo(f"Initialized repository '{name}' in '{show_path(landing_path)}'")
    change_directory(repository, landing_path, wanted=not no_cd)
    run_after(commands, landing_path)
    return 0
