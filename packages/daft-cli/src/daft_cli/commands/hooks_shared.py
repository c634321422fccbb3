"""Where the verbs of `daft hooks` stand: which repository, which worktree speaks for it."""

from __future__ import annotations

import os

import click

from daft_hooks import consent
from daft_hooks.discovery import Loaded
from daft_hooks.domain.trust import Consent, TrustLevel, Verdict, decide
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import Trouble
from ..place import discover
from ..terminal import harmless


def session_at(path: str) -> Session:
    """Return a session of the repository at `path`. Raises: Trouble, WorktreeError."""
    if not os.path.isdir(path):
        raise Trouble(f"{path} does not exist or is no directory")
    os.chdir(path)
    return Session(discover())


def standing_in(session: Session) -> Worktree:
    """Return the worktree one stands in. Raises: Trouble."""
    here = session.repository.current
    if here is None:
        raise Trouble(
            "Not in a Git worktree: this is the root of the repository",
            tips=("go into a worktree, or use `daft -C <worktree> …`",),
        )
    return here


def any_worktree(session: Session) -> str:
    """Return a worktree whose configuration speaks for the repository."""
    here = session.repository.current
    if here is not None:
        return here.path
    live = (one.path for one in session.repository.worktrees if not one.is_bare and not one.missing)
    return next(live, session.repository.project_root)


def seen_hooks(session: Session, worktree: str) -> Loaded | None:
    """Return the hooks of a worktree with what they run now, None for none.

    Raises: BadConfiguration.
    """
    loaded = session.with_scripts(session.load(worktree), worktree)
    return None if loaded is None else loaded.seen_in(worktree)


def present_consent(session: Session, loaded: Loaded) -> Consent:
    """Return whether `loaded`, as seen in a worktree, may run now."""
    return consent.consent_for(
        session.registry,
        session.repository.common_dir,
        loaded,
        remote_url=session.remote_url(),
        default=session.settings.default_trust,
    )


def consent_without_hooks(session: Session) -> Consent:
    """Return what would count for hooks of a repository that has none."""
    registry, common_dir = session.registry, session.repository.common_dir
    entry = registry.get(common_dir)
    if entry is not None and entry.level is TrustLevel.ALLOW:
        reason = "trusted, while there are no hooks"
        return Consent(verdict=Verdict.ALLOWED, reason=reason, level=entry.level, source="entry")
    return decide(
        entry,
        fingerprint=None,
        digest="",
        patterns=registry.patterns(),
        common_dir=common_dir,
        default=session.settings.default_trust,
    )


def changes_since(session: Session, loaded: Loaded) -> tuple[str, ...]:
    """Return what is not as it was when consent was given."""
    return consent.changes_since_consent(session.registry, session.repository.common_dir, loaded)


def show_replays(session: Session) -> None:
    """Say how to make up for what was skipped while nobody had consented."""
    skipped = session.registry.skipped(session.repository.common_dir)
    trees = {tree.worktree_id: tree for tree in session.repository.worktrees if not tree.missing}
    waiting = [fire for fire in skipped if fire.worktree_id in trees]
    if not waiting:
        return
    click.echo("Hooks that did not run meanwhile:")
    for fire in waiting:
        tree = trees[fire.worktree_id]
        click.echo(f"  daft -C {tree.path} hooks run {fire.hook}   # in {harmless(tree.label)}")
    click.echo("To run them all: daft hooks replay")
