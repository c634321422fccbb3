"""`daft repo remove`: take a repository out of the catalog, or delete it altogether."""

from __future__ import annotations

import os
import sys

import click

import daft_worktree
from daft_store import registering
from daft_store.roots import data_root
from daft_worktree.worktrees import same_path

from ..failures import Trouble
from ..options import speaking
from ..repositories import Shown, choose
from ..sighting import unsight
from ..terminal import harmless, show_path, warn


@click.command(name="remove")
@click.argument("repository", required=False)
@click.option("--purge", is_flag=True, help="Delete it from disk, with all its worktrees.")
@click.option("-y", "--yes", is_flag=True, help="With --purge: do not ask.")
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be done.")
@speaking
def command(
    repository: str | None, purge: bool, yes: bool, dry_run: bool, quiet: bool, verbose: bool
) -> int:
    """Take REPOSITORY (a name, a path or an id; without, the one here) out of the catalog.

    Nothing on disk changes, its jobs are found by its name as before, and working in it takes it up
    again. With --purge it is deleted: its worktrees, with their hooks, and the git directory. What
    exists nowhere else is named before.
    """
    if yes and not purge:
        raise click.UsageError("--yes is for --purge; nothing else is asked")
    shown = choose(repository)
    if purge:
        return _purge(shown, repository, yes=yes, dry_run=dry_run, quiet=quiet, verbose=verbose)
    if dry_run:
        click.echo(f"would take '{shown.entry.name}' out of the catalog")
        return 0
    out = registering.take_out(data_root(os.environ), shown.entry.uuid, report=warn)
    unsight(shown.entry.git_common_dir)
    if not quiet:
        done = "is out of the catalog" if out else "was out of the catalog already"
        sys.stdout.write(
            f"'{shown.entry.name}' {done}; nothing was deleted at {show_path(shown.entry.path)}\n"
        )
    return 0


def _purge(
    shown: Shown, word: str | None, *, yes: bool, dry_run: bool, quiet: bool, verbose: bool
) -> int:
    from .. import purge as purging
    from ..context import Session

    _refuse(shown, word)
    assert shown.repository is not None
    # From the shell's own place, which the repository is looked up from by its git directory.
    found = shown.repository._replace(cwd=os.getcwd())
    repository = daft_worktree.put_right(found, warn).refreshed()
    with Session(repository, quiet=quiet, verbose=verbose) as session:
        plan = purging.plan(session)
        if dry_run:
            sys.stdout.writelines(f"{harmless(line)}\n" for line in purging.lines(shown, plan))
            return 0
        if not yes:
            purging.confirm(shown, plan)
        ok = purging.carry_out(session, shown, plan)
        registering.take_out(data_root(os.environ), shown.entry.uuid, report=warn)
        session.say(f"Deleted the repository '{shown.entry.name}'")
        return 0 if ok else 1


def _refuse(shown: Shown, word: str | None) -> None:
    """Refuse what may not be the repository that is meant. Raises: Trouble."""
    repository = shown.repository
    entry = shown.entry
    if repository is None:
        raise Trouble(
            f"there is no repository at {entry.path}", tips=(f"daft repo remove {entry.name}",)
        )
    if repository.common_dir != entry.git_common_dir:
        raise Trouble(
            f"{repository.project_root} is a copy of '{entry.name}' at {entry.path}",
            tips=(f"make it one of its own first: rm {repository.common_dir}/daft-id",),
        )
    if word is None or entry.name == word or entry.uuid.startswith(word.lower()):
        return
    roots = (repository.project_root, repository.common_dir)
    if not any(same_path(os.path.expanduser(word), one) for one in roots):
        raise Trouble(
            f"'{word}' is a directory in '{entry.name}', not the repository",
            tips=(f"if that is what you mean: daft repo remove --purge {entry.name}",),
        )
    if "/" not in word and word not in (".", ".."):
        raise Trouble(
            f"'{word}' is no repository in the catalog, only a directory",
            tips=(f"if that is what you mean: daft repo remove --purge ./{word}",),
        )
