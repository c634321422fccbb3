"""`daft hooks run` and `daft hooks plan`: what a hook does, done or only shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from daft_hooks.discovery import Loaded
from daft_hooks.domain import showing
from daft_hooks.domain.config import HookConfig
from daft_hooks.domain.event import Event, Merge, MergeSource
from daft_hooks.domain.planning import Plan
from daft_hooks.domain.selection import Narrowing
from daft_hooks.errors import RegistryUnavailable, UnknownHook, UnplannableHook
from daft_hooks.firing import FireStatus
from daft_hooks.hooktypes import HOOK_TYPES
from daft_hooks.preparing import prepare
from daft_protocol.status import Source
from daft_worktree import git
from daft_worktree.branches import default_branch
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import Trouble
from ..formats import FORMATS
from ..options import PLACEMENTS, speaking
from ..place import discover
from ..terminal import harmless, warn
from .hooks_list import list_hooks
from .hooks_shared import present_consent, standing_in

F = TypeVar("F", bound=Callable[..., Any])

MERGE_HOOKS = ("pre-merge", "post-merge")
PLAN_FORMATS = ("text", "json", "mermaid")


def choosing(function: F) -> F:
    """Add the options that choose jobs of a hook."""
    for option in (
        click.option("--target", metavar="REF", help="Of a merge hook: what is merged into."),
        click.option("--source", "sources", multiple=True, metavar="REF",
                     help="Of a merge hook: what is merged."),
        click.option("--hooks", "placement", type=click.Choice(PLACEMENTS), default="auto"),
        click.option("--with-needs", is_flag=True, help="And all that the chosen jobs need."),
        click.option("--skip-tag", "skip_tags", multiple=True, metavar="TAG",
                     help="Not such jobs."),
        click.option("--tag", "--only-tag", "tags", multiple=True, metavar="TAG",
                     help="Only such jobs."),
        click.option("--job", "jobs", multiple=True, metavar="NAME", help="Only this job."),
    ):  # fmt: skip
        function = option(function)
    return function


@click.command()
@click.argument("hook", required=False)
@choosing
@click.option("--dry-run", is_flag=True, help="Show the plan, run nothing.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For the list of hooks.")
@click.option(
    "--template",
    metavar="TEXT",
    help="For the list of hooks: a Jinja template over the jobs, `items`.",
)
@click.option(
    "--no-headers", is_flag=True, help="For the list of hooks: without the words around it."
)
@speaking
def run(
    hook: str | None,
    jobs: tuple[str, ...],
    tags: tuple[str, ...],
    skip_tags: tuple[str, ...],
    with_needs: bool,
    placement: str,
    sources: tuple[str, ...],
    target: str | None,
    dry_run: bool,
    form: str | None,
    template: str | None,
    no_headers: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Run HOOK for this worktree, also without consent on record; without HOOK list them."""
    if form is not None and template is not None:
        raise click.UsageError("--format is not allowed with --template")
    with Session(
        discover(),
        quiet=quiet,
        verbose=verbose,
        skip_hooks=[f"tag:{tag}" for tag in skip_tags],
        placement=placement,
    ) as session:
        here = standing_in(session)
        loaded = _loaded(session, here)
        if hook is None:
            hooks = loaded.configuration.hooks
            return list_hooks(hooks, form, template, headers=not no_headers)
        configured = _hook_of(loaded, hook)
        event = _event(session, here, hook, sources, target)
        narrowing = Narrowing(jobs=frozenset(jobs), tags=frozenset(tags), with_needs=with_needs)
        if dry_run:
            made = _prepared(session, event, loaded, configured, narrowing)
            _show(made, "text", verbose=verbose)
            return 0
        _note_missing_consent(session, loaded.seen_in(here.path))
        return _run(session, event, loaded, narrowing)


@click.command()
@click.argument("hook")
@choosing
@click.option("--skip-hooks", multiple=True, metavar="SELECTOR", help="Leave out, as verbs do.")
@click.option("--format", "form", type=click.Choice(PLAN_FORMATS), default="text")
@click.option("-v", "--verbose", is_flag=True, help="Where and how each job runs.")
def plan(
    hook: str,
    jobs: tuple[str, ...],
    tags: tuple[str, ...],
    skip_tags: tuple[str, ...],
    with_needs: bool,
    placement: str,
    sources: tuple[str, ...],
    target: str | None,
    skip_hooks: tuple[str, ...],
    form: str,
    verbose: bool,
) -> int:
    """Show what HOOK (or a task) would do here: which jobs run, where, and why others do not.

    Runs no job; commands that conditions ask for are run, unless nobody has consented to them.
    """
    with Session(
        discover(),
        skip_hooks=[*skip_hooks, *(f"tag:{tag}" for tag in skip_tags)],
        placement=placement,
    ) as session:
        here = standing_in(session)
        loaded = _loaded(session, here)
        narrowing = Narrowing(jobs=frozenset(jobs), tags=frozenset(tags), with_needs=with_needs)
        task = loaded.configuration.tasks.get(hook) if hook not in HOOK_TYPES else None
        if task is not None:
            event = session.event(hook, "run", here, task=hook, source=Source.TASK)
        else:
            task = _hook_of(loaded, hook)
            event = _event(session, here, hook, sources, target)
        _show(_prepared(session, event, loaded, task, narrowing), form, verbose=verbose)
        return 0


def _loaded(session: Session, here: Worktree) -> Loaded:
    loaded = session.with_scripts(session.load(here.path), here.path)
    if loaded is None:
        raise Trouble("No daft.yml found in this worktree")
    return loaded


def _hook_of(loaded: Loaded, name: str) -> HookConfig:
    configured = loaded.configuration.hooks
    if name not in HOOK_TYPES:
        raise UnknownHook(name, f"Unknown hook type: '{name}' (hooks: {', '.join(HOOK_TYPES)})")
    if name not in configured:
        names = ", ".join(configured) or "none"
        raise UnknownHook(name, f"Hook '{name}' is not defined in daft.yml. Configured: {names}")
    return configured[name]


def _event(
    session: Session, here: Worktree, hook: str, sources: Sequence[str], target: str | None
) -> Event:
    merge = None
    if hook in MERGE_HOOKS:
        merge = _merge(session, here, sources, target) if sources else None
    elif sources or target:
        raise click.UsageError("--source and --target are for pre-merge and post-merge")
    facts: dict[str, Any] = {}
    if hook == "post-clone":  # as far as it can be known later
        facts = {
            "repository_url": session.remote_url(),
            "default_branch": default_branch(session.repository),
        }
    return session.event(
        hook,
        "hooks-run",
        here,
        trigger=f"hooks run {hook}",
        source=Source.MANUAL,
        merge=merge,
        **facts,
    )


def _merge(session: Session, here: Worktree, sources: Sequence[str], target: str | None) -> Merge:
    """Return the merge of some refs, as if it were about to happen here."""
    trees = {tree.branch: tree.path for tree in session.repository.worktrees if tree.branch}
    into = target or here.branch or "HEAD"
    return Merge(
        sources=tuple(
            MergeSource(name=name, sha=_commit(here.path, name), path=trees.get(name))
            for name in sources
        ),
        target_branch=into,
        target_path=trees.get(into, here.path if target is None else None),
        target_sha=_commit(here.path, into),
        mode="merge" if len(sources) == 1 else "octopus",
    )


def _commit(worktree: str, name: str) -> str:
    found = git.attempt(worktree, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", "--")
    if not found.ok:
        raise Trouble(f"'{name}' is no commit", tips=("`git branch` lists branches",))
    return found.out.split("\n")[0]


# --- showing ----------------------------------------------------------------------------------


def _prepared(
    session: Session, event: Event, loaded: Loaded, hook: HookConfig, narrowing: Narrowing
) -> Plan:
    now = present_consent(session, loaded.seen_in(event.worktree_path))
    try:
        return prepare(
            event,
            loaded.configuration,
            hook,
            session.options(narrowing),
            dict(os.environ),
            warn=warn,
            may_run=now.allowed,
        )
    except UnplannableHook as error:
        raise Trouble(str(error), tips=_tips(event)) from error


def _tips(event: Event) -> tuple[str, ...]:
    """Return what to do about a hook that cannot be planned, if there is more than its message."""
    unknown = event.hook in MERGE_HOOKS and event.merge is None
    return ("to say what is merged: --source <branch>",) if unknown else ()


def _show(made: Plan, form: str, *, verbose: bool) -> None:
    if form == "json":
        import json

        text = json.dumps(showing.as_data(made), indent=2, ensure_ascii=False) + "\n"
    elif form == "mermaid":
        text = showing.as_mermaid(made)
    else:
        lines = showing.as_text(made, verbose=verbose).splitlines()
        text = "".join(f"{harmless(line)}\n" for line in lines)
    sys.stdout.write(text)


# --- running ----------------------------------------------------------------------------------


def _note_missing_consent(session: Session, loaded: Loaded) -> None:
    now = present_consent(session, loaded)
    if not now.allowed:
        session.presenter.notice(f"note: {now.reason}; running because you said so")


def _run(session: Session, event: Event, loaded: Loaded, narrowing: Narrowing) -> int:
    outcome = session.fire(event, loaded, trusted=True, narrowing=narrowing)
    if outcome.status is FireStatus.SKIPPED:
        session.say(f"Skipped: {outcome.reason}")
        return 0
    if outcome.status is FireStatus.INTERRUPTED:
        return 130
    if outcome.status is FireStatus.FAILED and outcome.job is None:
        for tip in _tips(event):
            sys.stderr.write(f"  tip: {tip}\n")
    session.engine().fire_allowed(event.hook, event.label)
    try:
        session.registry.forget_skipped(
            event.git_dir, hook=event.hook, worktree_id=event.worktree_id
        )
    except RegistryUnavailable as error:
        warn(f"that it was skipped before stays noted: {error}")
    if outcome.ok:
        return 0
    code = outcome.exit_code or 1
    # Above 125 a code says how a process was ended, and no job may say that by itself.
    return code if outcome.by_signal else max(1, min(code, 125))
