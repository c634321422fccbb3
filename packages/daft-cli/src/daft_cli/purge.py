"""Deleting a whole repository, each worktree with its hooks around it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from daft_hooks import consent
from daft_hooks.errors import RegistryUnavailable
from daft_store.roots import config_root, data_root, state_root
from daft_worktree import purging
from daft_worktree.purging import Purge
from daft_worktree.repository import Repository
from daft_worktree.worktrees import Worktree

from .context import Session
from .departure import is_inside, remove_all
from .failures import Trouble
from .place import change_directory
from .repositories import Shown
from .solitude import alone
from .terminal import harmless, show_path, warn
from .visitors import NAMES, Visitors
from .wiring import RepositoryJobs

COMMAND = "repo-remove"


def plan(session: Session) -> Purge:
    """Return what would go with the session's repository. Raises: WorktreeError."""
    home = os.environ.get("HOME")
    roots = (config_root(os.environ), data_root(os.environ), state_root(os.environ))
    return purging.plan_purge(
        session.repository,
        spared=(*([home] if home else []), *roots),
        replaceable=NAMES,
        is_no_loss=Visitors(session).is_no_loss,
    )


def lines(shown: Shown, purge: Purge) -> Iterator[str]:
    """Yield what would be deleted, and what of that exists nowhere else."""
    yield f"Of the repository '{shown.entry.name}' this deletes:"
    for target in purge.targets:
        assert target.worktree is not None
        yield f"  worktree {target.label}  {show_path(target.worktree.path)}"
    if purge.main is not None:
        yield f"  worktree {purge.main.label}  {show_path(purge.main.path)}"
    yield f"  git directory  {show_path(purge.repository.common_dir)}"
    if purge.losses:
        yield "What is nowhere else, as far as the remotes were fetched, and would be lost:"
    yield from (f"  {line}" for line in purge.losses)


def confirm(shown: Shown, purge: Purge) -> None:
    """Ask on a terminal whether to go on. Raises: Trouble for no, and where nobody is asked."""
    text = "".join(f"{harmless(line)}\n" for line in lines(shown, purge))
    sys.stderr.write(text)
    if os.environ.get("CI") or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Trouble(
            "nothing was deleted: there is nobody to ask",
            tips=("`--yes` deletes it all the same, `--dry-run` only shows what",),
        )
    name = shown.entry.name
    if purge.losses:
        sys.stderr.write(f"To delete it all, type its name ({name}): ")
    else:
        sys.stderr.write("Delete it all? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    if answer != name and (purge.losses or answer.lower() not in ("y", "yes")):
        raise Trouble("nothing was deleted")


def carry_out(session: Session, shown: Shown, purge: Purge) -> bool:
    """Delete it all; False when a hook failed afterwards.

    Raises: Trouble, WorktreeError; the main working tree and the git directory are there then.
    """
    repository = session.repository
    # The record of the jobs outlives the git directory, and with it the file with its identity.
    session.jobs = RepositoryJobs.of(shown.entry.uuid)
    if not remove_all(session, purge.targets, command=COMMAND):
        raise Trouble("the repository was kept: not all of its worktrees could be removed")
    if os.path.isdir(repository.common_dir):
        session.repository = repository.refreshed()
    refuge = _above(repository)
    if is_inside(os.getcwd(), repository.project_root):
        os.chdir(refuge)
    ok = True
    if purge.main is None:
        notes = purging.delete_rest(purge)
    else:
        with alone(session, purge.main.label, purpose="being removed", force=False):
            notes, ok = _delete_main(session, purge, purge.main, refuge)
    for note in notes:
        warn(note)
    _forget(session)
    if not os.path.isdir(repository.cwd):
        change_directory(repository, refuge, wanted=True)
    return ok


def _delete_main(
    session: Session, purge: Purge, main: Worktree, refuge: str
) -> tuple[tuple[str, ...], bool]:
    """Delete the main working tree and the git directory with the hooks around it."""
    loaded = session.load_leniently(main.path)
    facts = {"source_worktree": main.path, "removal_reason": "manual"}
    before = session.event("worktree-pre-remove", COMMAND, main, cwd=main.path, **facts)
    if session.fire(before, loaded).must_stop:
        raise Trouble("the repository was kept: the pre-remove hook of its main worktree failed")
    Visitors(session).forget(main)
    notes = purging.delete_rest(purge)
    after = session.event("worktree-post-remove", COMMAND, main, cwd=refuge, **facts)
    return notes, not session.fire(after, loaded).must_stop


def _forget(session: Session) -> None:
    try:
        consent.forget(session.registry, session.repository.common_dir)
    except RegistryUnavailable as error:
        warn(f"consent to its hooks is not forgotten: {error}")


def _above(repository: Repository) -> str:
    """Return the next directory above that outlives the repository."""
    return os.path.dirname(repository.project_root)
