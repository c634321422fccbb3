"""`daft rename`: another name for a branch, and the place that goes with it for its worktree."""

from __future__ import annotations

import click

import daft_worktree
from daft_worktree.renaming import Renaming
from daft_worktree.repository import Repository

from .. import renaming
from ..context import Session
from ..options import speaking
from ..place import discover
from ..terminal import warn


@click.command(name="rename")
@click.argument("source")
@click.argument("new")
@click.option(
    "-f", "--force", is_flag=True, help="Also the default branch, and though jobs go on running."
)
@click.option("--no-remote", is_flag=True, help="Never touch the remote.")
@click.option("--no-verify", is_flag=True, help="Push without asking git's pre-push hook.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done.")
@speaking
def command(
    source: str,
    new: str,
    force: bool,
    no_remote: bool,
    no_verify: bool,
    dry_run: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Rename the branch SOURCE (or of the worktree at SOURCE) to NEW.

    Its worktree moves to where the layout places NEW, with jobs, hooks and record; the branch it
    follows on the remote is renamed as well.
    """
    repository = discover(to_change=not dry_run)
    with Session(repository, quiet=quiet, verbose=verbose) as session:
        planned = daft_worktree.plan_rename(
            repository,
            source,
            new,
            layout=session.layout(),
            data_dir=session.data_dir,
            force=force,
            remote=not no_remote,
        )
        if dry_run:
            for line in renaming.describe(session, planned):
                click.echo(line)
            return 0
        verify = not no_verify and _is_verified(repository, planned)
        return renaming.rename(session, planned, force=force, verify=verify)


def _is_verified(repository: Repository, planned: Renaming) -> bool:
    """Return whether git's pre-push hook judges the push: by itself only where it brings news."""
    wanted = repository.settings.values.get("daft.pushverify", "auto").lower()
    if wanted not in ("auto", "always", "never"):
        warn(f"git config daft.pushVerify is {wanted!r}, not auto, always or never; auto used")
    if wanted in ("always", "never"):
        return wanted == "always"
    return planned.remote is not None and planned.remote.has_news
