"""What `daft go` does: to a branch's worktree, making it if there is none."""

from __future__ import annotations

import sys

import daft_worktree
from daft_worktree import git
from daft_worktree.creation import Existing
from daft_worktree.errors import BranchNotFound, NotARepository
from daft_worktree.repository import Repository
from daft_worktree.worktrees import Worktree

from .failures import Trouble
from .place import change_directory, data_directory, discover, layout_of, run_after
from .setup_state import SetupStates
from .sighting import sight
from .terminal import warn

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from daft_worktree.creation import Creation


def go(
    name: str,
    *,
    start: bool = False,
    at: str | None = None,
    carry: bool | None = None,
    local: bool = False,
    commands: tuple[str, ...] = (),
    no_cd: bool = False,
    skip_hooks: tuple[str, ...] = (),
    placement: str = "auto",
    quiet: bool = False,
    verbose: bool = False,
) -> int:
    """Go to `name`: a branch, the path of a worktree, `-` for the one before, or a repository.

    The rest is what the options of `daft go` of these names say. Returns: the exit code.
    """
    try:
        repository = discover(to_change=True)
    except NotARepository:
        if not start and at is None and _left(name, commands, None, no_cd=no_cd, quiet=quiet):
            return 0
        raise
    sight(repository)
    made_from: str | None = None
    if name == "-":
        found: Existing | Creation = Existing(daft_worktree.previous_worktree(repository))
    else:
        auto = repository.settings.auto_start
        asked = _look_at_remote(repository, local=local)
        try:
            may_start = start or (auto and at is not None)
            found, made_from = _find(repository, name, at, asked, start=may_start)
        except BranchNotFound:
            if _left(name, commands, repository, no_cd=no_cd, quiet=quiet):
                return 0
            if not auto:
                raise
            found, made_from = _find(repository, name, at, asked, start=True)
    if isinstance(found, Existing):
        return _visit(repository, found, commands, no_cd=no_cd, quiet=quiet)
    # Only a worktree that is made fires hooks; going to one is worth no more than this.
    from .arrival import arrive
    from .context import Session

    settings = repository.settings
    if made_from is None:
        usually, result = settings.carry_on_go, f"Prepared worktree '{found.branch}'"
    else:
        usually, result = settings.carry_on_start, f"Created worktree '{name}' from '{made_from}'"
    with Session(
        repository, quiet=quiet, verbose=verbose, skip_hooks=skip_hooks, placement=placement
    ) as session:
        return arrive(
            session,
            found,
            carry=usually if carry is None else carry,
            result=result,
            no_cd=no_cd,
            commands=commands,
        )


def _left(
    name: str,
    commands: tuple[str, ...],
    repository: Repository | None,
    *,
    no_cd: bool,
    quiet: bool,
) -> bool:
    """Go to another repository of that name; False when there is none."""
    from .elsewhere import go_elsewhere  # rarely, and it loads the catalog

    return go_elsewhere(name, commands, but=repository, no_cd=no_cd, quiet=quiet)


def _find(
    repository: Repository, name: str, at: str | None, asked: str, *, start: bool
) -> tuple[Existing | Creation, str | None]:
    """Return the worktree of `name` or the plan of one, and what a new branch is made from.

    asked: what to say of the remote when nothing is found.
    """
    if at is not None and not start and not _known(repository, name):
        raise Trouble(
            f"--at requires --start: there is no branch '{name}' yet",
            tips=(f"daft go --start --at {at} {name}",),
        )
    data_dir = data_directory()
    layout = layout_of(repository, data_dir)
    try:
        found = daft_worktree.plan_visit(
            repository, name, at=at, layout=layout, data_dir=data_dir, asked_remote=asked
        )
        return found, None
    except BranchNotFound:
        if not start:
            raise
    made = daft_worktree.plan_start(repository, name, at=at, layout=layout, data_dir=data_dir)
    return made, made.base


def _look_at_remote(repository: Repository, *, local: bool) -> str:
    """Fetch if that is wanted; return what to say of it when nothing is found."""
    remote = repository.remote
    if remote is None:
        return ""
    if not repository.settings.fetch or local:
        return f" (looked at what was last fetched from '{remote}')"
    if git.attempt(repository.common_dir, "fetch", "--", remote, network=True).ok:
        return f", neither here nor on '{remote}'"
    warn(f"fetching '{remote}' failed, going on with what is here")
    return f" (and '{remote}' could not be reached)"


def _known(repository: Repository, name: str) -> bool:
    if name in daft_worktree.local_branches(repository):
        return True
    remote = repository.remote
    return remote is not None and name in daft_worktree.remote_branches(repository, remote)


def _visit(
    repository: Repository,
    found: Existing,
    commands: tuple[str, ...],
    *,
    no_cd: bool,
    quiet: bool,
) -> int:
    worktree: Worktree = found.worktree
    for line in (*repository.settings.warnings, *([found.note] if found.note else [])):
        warn(line)
    state = SetupStates(repository.common_dir).of.get(worktree.label)
    if state in ("failed", "pending", "skipped-untrusted"):
        warn(
            f"the setup of '{worktree.label}' is {state}; to finish it: "
            f"daft -C {worktree.path} hooks run worktree-post-create"
        )
    here = repository.current
    if here is not None and here.path != worktree.path:
        daft_worktree.remember_previous(repository, here.path)
    if not quiet:
        sys.stdout.write(f"Switched to existing worktree '{worktree.label}'\n")
        sys.stdout.flush()
    change_directory(repository, worktree.path, wanted=not no_cd)
    run_after(commands, worktree.path)
    return 0
