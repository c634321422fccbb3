"""`daft go`: to a branch's worktree, making it if there is none."""

from __future__ import annotations

import sys

import click

import daft_worktree
from daft_worktree import git
from daft_worktree.creation import Existing
from daft_worktree.errors import BranchNotFound
from daft_worktree.worktrees import Worktree

from ..arrival import arrive
from ..context import Session, change_directory, discover, run_after
from ..failures import Trouble
from ..options import hooking, landing, speaking
from ..setup_state import setup_states
from ..terminal import warn


@click.command(name="go")
@click.argument("name")
@click.option("-s", "--start", is_flag=True, help="Make the branch if nothing has that name.")
@click.option("-@", "--at", metavar="PATH", help="Place a new worktree at PATH.")
@click.option("-c", "--carry/--no-carry", default=None, help="Take uncommitted changes along.")
@click.option("--local", is_flag=True, help="No network in this run.")
@landing
@hooking
@speaking
def command(
    name: str,
    start: bool,
    at: str | None,
    carry: bool | None,
    local: bool,
    commands: tuple[str, ...],
    no_cd: bool,
    skip_hooks: tuple[str, ...],
    placement: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Go to NAME: a branch, the path of a worktree, or `-` for the one before."""
    repository = discover(to_change=True)
    with Session(
        repository, quiet=quiet, verbose=verbose, skip_hooks=skip_hooks, placement=placement
    ) as session:
        if name == "-":
            if start or at is not None:
                raise click.UsageError("`-` cannot be combined with --start or --at")
            return _visit(session, daft_worktree.previous_worktree(repository), "", no_cd, commands)
        asked = ""
        if repository.settings.fetch and not local and repository.remote is not None:
            fetched = git.attempt(repository.common_dir, "fetch", repository.remote, network=True)
            asked = f", neither here nor on '{repository.remote}'"
            if not fetched.ok:
                warn(f"fetching '{repository.remote}' failed, going on with what is here")
                asked = f" (and '{repository.remote}' could not be reached)"
        elif repository.remote is not None:
            asked = f" (looked at what was last fetched from '{repository.remote}')"
        start = start or repository.settings.auto_start
        try:
            if at is not None and not start and not _known(session, name):
                raise Trouble(
                    f"--at requires --start: there is no branch '{name}' yet",
                    tips=(f"daft go --start --at {at} {name}",),
                )
            found = daft_worktree.plan_visit(
                repository,
                name,
                at=at,
                layout=session.layout(),
                data_dir=session.data_dir,
                asked_remote=asked,
            )
        except BranchNotFound:
            if not start:
                raise
            creation = daft_worktree.plan_start(
                repository, name, at=at, layout=session.layout(), data_dir=session.data_dir
            )
            wanted = repository.settings.carry_on_start if carry is None else carry
            return arrive(
                session,
                creation,
                carry=wanted,
                result=f"Created worktree '{name}' from '{creation.base}'",
                no_cd=no_cd,
                commands=commands,
            )
        if isinstance(found, Existing):
            return _visit(session, found.worktree, found.note, no_cd, commands)
        return arrive(
            session,
            found,
            carry=repository.settings.carry_on_go if carry is None else carry,
            result=f"Prepared worktree '{found.branch}'",
            no_cd=no_cd,
            commands=commands,
        )


def _known(session: Session, name: str) -> bool:
    repository = session.repository
    if name in daft_worktree.local_branches(repository):
        return True
    remote = repository.remote
    return remote is not None and name in daft_worktree.remote_branches(repository, remote)


def _visit(
    session: Session, worktree: Worktree, note: str, no_cd: bool, commands: tuple[str, ...]
) -> int:
    repository = session.repository
    if note:
        warn(note)
    state = setup_states(session.jobs).get(worktree.label)
    if state in ("failed", "pending", "skipped-untrusted"):
        sys.stderr.write(
            f"warning: the setup of '{worktree.label}' is {state}; to finish it: "
            f"daft -C {worktree.path} hooks run worktree-post-create\n"
        )
    here = repository.current
    if here is not None and here.path != worktree.path:
        daft_worktree.remember_previous(repository, here.path)
    session.say(f"Switched to existing worktree '{worktree.label}'")
    change_directory(repository, worktree.path, wanted=not no_cd)
    run_after(commands, worktree.path)
    return 0
