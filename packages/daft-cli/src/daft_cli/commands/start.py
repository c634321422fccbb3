"""`daft start`: a new branch, its worktree, and its hooks."""

from __future__ import annotations

import click

import daft_worktree
from daft_worktree import git

from ..arrival import arrive
from ..context import Session
from ..options import hooking, landing, speaking
from ..place import discover, run_after
from ..sighting import sight
from ..terminal import warn


@click.command(name="start")
@click.argument("branch")
@click.argument("base", required=False)
@click.option("-@", "--at", metavar="PATH", help="Place the worktree at PATH.")
@click.option("-c", "--carry/--no-carry", default=None, help="Take uncommitted changes along.")
@click.option("--local", is_flag=True, help="No network in this run.")
@click.option("--with-related", is_flag=True, help="Also in the repositories of `relations:`.")
@landing
@hooking
@speaking
def command(
    branch: str,
    base: str | None,
    at: str | None,
    carry: bool | None,
    local: bool,
    with_related: bool,
    commands: tuple[str, ...],
    no_cd: bool,
    skip_hooks: tuple[str, ...],
    placement: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Make BRANCH from BASE (the current branch) and a worktree for it, and run the hooks."""
    repository = discover(to_change=True)
    sight(repository)
    with Session(
        repository, quiet=quiet, verbose=verbose, skip_hooks=skip_hooks, placement=placement
    ) as session:
        if repository.settings.fetch and not local and repository.remote is not None:
            fetched = git.attempt(
                repository.common_dir, "fetch", "--", repository.remote, network=True
            )
            if not fetched.ok:
                warn(f"fetching '{repository.remote}' failed, going on with what is here")
        creation = daft_worktree.plan_start(
            repository,
            branch,
            base=base,
            at=at,
            layout=session.layout(),
            data_dir=session.data_dir,
        )
        wanted = repository.settings.carry_on_start if carry is None else carry
        # With a base of the user's choice the changes here belong to other work.
        if base is not None and carry is None:
            wanted = False
        code = arrive(
            session,
            creation,
            carry=wanted,
            result=f"Created worktree '{branch}' from '{creation.base}'",
            no_cd=no_cd,
            commands=() if with_related else commands,
        )
    if not with_related or code != 0:
        return code
    from ..kin import start_in_related

    words = [f"--hooks={placement}", *(f"--skip-hooks={one}" for one in skip_hooks)]
    words += [*(["--local"] if local else []), *(["--quiet"] if quiet else [])]
    # From the new worktree: a configuration that is not committed yet may have come along.
    ok = start_in_related(daft_worktree.discover(creation.path), branch, words)
    run_after(commands, creation.path)
    return 0 if ok else 1
