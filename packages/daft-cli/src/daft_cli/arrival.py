"""Getting to a worktree that is not there yet: the steps `start` and `go` share."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import daft_worktree
from daft_hooks.discovery import Loaded
from daft_hooks.firing import FireOutcome
from daft_worktree import carry as carrying
from daft_worktree.branches import default_branch
from daft_worktree.carry import Carried
from daft_worktree.creation import Creation
from daft_worktree.worktrees import Worktree

from .carried import tell_stash
from .context import Session
from .failures import FAILED, INTERRUPTED, Trouble
from .place import change_directory, run_after
from .shared_links import link_shared
from .terminal import show_path, warn
from .visitors import NAMES, bring


def arrive(
    session: Session,
    creation: Creation,
    *,
    carry: bool,
    result: str,
    no_cd: bool,
    commands: Sequence[str],
) -> int:
    """Make the worktree with its hooks around it; return the exit code. Raises: Trouble.

    Order: pre-create hook, carry, creation, untracked configuration, what `copy:` asks for,
    shared files, post-create hook, cd, -x.
    """
    repository = session.repository
    source = repository.current or stand_in(session)
    refs = [creation.start] if creation.new_branch else [f"refs/heads/{creation.branch}"]
    before = session.load_for_creation([ref for ref in refs if ref])
    # What will run afterwards may be broken as well.
    there = session.load(source.path) if source is not None else None
    if before is None:
        before = there
    here = source.path if source is not None else repository.project_root
    planned = Worktree(path=creation.path, head=None, branch=creation.branch)
    event = session.event(
        "worktree-pre-create", "checkout", planned, **_facts(creation, here, here)
    )
    outcome = session.fire(event, before)
    if outcome.must_stop:
        if outcome.was_interrupted:
            return INTERRUPTED
        raise Trouble(f"nothing was created; '{creation.branch}' needs its pre-create hook")
    carried = _carry_away(session, source) if carry else None
    try:
        worktree = daft_worktree.create(creation, warn=warn)
    except BaseException:
        if carried is not None:
            _give_back(carried)
        raise
    if carried is not None:
        _bring(carried, worktree)
    if source is not None:
        bring(session, source, worktree)
    after: Loaded | None = session.load(worktree.path)
    # Before the links: they leave directories, which a copy would not replace.
    _warm(session, creation, worktree, after, there)
    # What is declared where the user stands may not be committed yet.
    link_shared(repository, worktree, after, there)
    event = session.event(
        "worktree-post-create", "checkout", worktree, **_facts(creation, here, worktree.path)
    )
    outcome = session.fire(event, after)
    if outcome.must_stop:
        raise _kept(creation, worktree, outcome, commands)
    session.say(result)
    if source is not None:
        daft_worktree.remember_previous(repository, source.path)
    change_directory(repository, worktree.path, wanted=not no_cd)
    run_after(commands, worktree.path)
    return 0


def stand_in(session: Session) -> Worktree | None:
    """Return the worktree to stand for "here" at the root of a bare layout."""
    repository = session.repository
    default = default_branch(repository)
    if default is not None:
        found = repository.worktree_of(default)
        if found is not None and not found.missing:
            return found
    live = (one for one in repository.worktrees if not one.is_bare and not one.missing)
    return next(live, None)


def _facts(creation: Creation, source: str, cwd: str) -> dict[str, object]:
    """Return what both hooks of a creation are told about it."""
    return {
        "source_worktree": source,
        "cwd": cwd,
        "is_new_branch": creation.record_origin,
        "base_branch": creation.base if creation.record_origin else None,
    }


def _warm(
    session: Session,
    creation: Creation,
    worktree: Worktree,
    loaded: Loaded | None,
    there: Loaded | None,
) -> None:
    """Give the worktree what its configuration wants from another one.

    there: the configuration of where the user stands, which may know more of what is shared.
    """
    config = None if loaded is None else loaded.configuration.copy
    if config is None or not config.paths or not session.repository.settings.copy:
        return
    from .warming import warm_new  # only those who use it pay for it

    known = [one.configuration.shared for one in (loaded, there) if one is not None]
    shared = [name for names in known for name in names]
    warm_new(session, config, worktree, base=creation.base or None, shared=shared)


def _carry_away(session: Session, source: Worktree | None) -> Carried | None:
    if source is None or source.head is None:
        return None
    if source.operation is not None:
        session.presenter.notice(
            f"changes stay in {show_path(source.path)}: a {source.operation} is paused there"
        )
        return None
    carried = daft_worktree.stash_changes(source, keep=NAMES)
    if carried is not None:
        count = "1 changed file" if carried.files == 1 else f"{carried.files} changed files"
        session.presenter.notice(f"carrying {count} along")
    return carried


def _give_back(carried: Carried) -> None:
    trouble = carrying.restore(carried, carried.source)
    if trouble is not None:
        tell_stash(carried, carried.source, trouble)


def _bring(carried: Carried, worktree: Worktree) -> None:
    trouble = carrying.restore(carried, worktree.path)
    if trouble is not None:
        tell_stash(carried, worktree.path, trouble)


def _kept(
    creation: Creation, worktree: Worktree, outcome: FireOutcome, commands: Sequence[str]
) -> Trouble:
    """Return what to say of a worktree that is there, and not set up."""
    path = shlex.quote(worktree.path)
    discard = f"git worktree remove {path}"
    if creation.record_origin:
        discard = f"daft remove -f {shlex.quote(creation.branch)}"
    skipped = "; -x was skipped" if commands else ""
    return Trouble(
        f"the worktree is kept at '{worktree.path}', its setup is not complete{skipped}",
        code=INTERRUPTED if outcome.was_interrupted else FAILED,
        tips=(
            f"to finish it: daft -C {path} hooks run worktree-post-create",
            f"to discard it: {discard}",
        ),
    )
