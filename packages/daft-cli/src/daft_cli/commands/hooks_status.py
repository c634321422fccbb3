"""`daft hooks status`: whether hooks may run here, why, and how they went."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

import click
from attrs import frozen

from daft_hooks import legacy
from daft_hooks.discovery import Loaded
from daft_hooks.domain.config import HookConfig
from daft_hooks.domain.placing import goes_on_behind
from daft_hooks.domain.trust import Consent, TrustLevel
from daft_hooks.hooktypes import HOOK_TYPES
from daft_hooks.settings import unknown_settings
from daft_protocol.status import JobStatus

from ..context import Session
from ..formats import FORMATS, write_rows
from ..questions import change_lines, spelled
from ..terminal import harmless, warn
from .hooks_shared import (
    any_worktree,
    changes_since,
    consent_without_hooks,
    present_consent,
    session_at,
    show_replays,
)

_MEANING = {
    TrustLevel.ALLOW: "Hooks run, whatever they run.",
    TrustLevel.PROMPT: "You are asked each time, and without a terminal hooks do not run.",
    TrustLevel.DENY: "Hooks do not run.",
}
_COLUMNS = ("hook", "foreground", "background", "fail_mode", "last", "allowed")


@frozen(kw_only=True)
class _State:
    """What is to be shown. loaded: None without any hook. scripts: executable hooks, by name."""

    loaded: Loaded | None
    scripts: dict[str, legacy.ScriptHook]
    now: Consent

    @property
    def hooks(self) -> dict[str, HookConfig]:
        """All hooks there are."""
        return {} if self.loaded is None else dict(self.loaded.configuration.hooks)


@click.command()
@click.argument("path", default=".")
@click.option("-s", "--short", is_flag=True, help="One line.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs: a row a hook.")
def status(path: str, short: bool, form: str | None) -> int:
    """Show whether hooks may run here, which there are, and how they went last."""
    with session_at(path) as session:
        for line in unknown_settings(session.repository.settings.values):
            warn(line)
        state = _look(session)
        if form is not None:
            allowed = state.loaded is not None and state.now.allowed
            rows = [
                {**_hook_row(session, hook), "allowed": allowed} for hook in state.hooks.values()
            ]
            write_rows(form, rows, _COLUMNS)
        elif short:
            names = ", ".join(state.hooks) or "no hooks"
            click.echo(f"{session.repository.project_root}: {names} ({_level_text(state.now)})")
        else:
            _show(session, state, path)
        return 0


def _look(session: Session) -> _State:
    """Return what there is. Raises: BadConfiguration."""
    worktree = any_worktree(session)
    configured = session.load(worktree)
    found = legacy.with_scripts(configured, worktree, session.settings.user_directory)
    if found is None:
        return _State(loaded=None, scripts={}, now=consent_without_hooks(session))
    loaded = found.loaded.seen_in(worktree)
    return _State(loaded=loaded, scripts=found.scripts, now=present_consent(session, loaded))


def _show(session: Session, state: _State, path: str) -> None:
    repository = session.repository
    if path != ".":
        click.echo(f"Path:        {harmless(path)} ({_kind(session)})")
    click.echo(f"Repository:  {repository.project_root}")
    click.echo(f"Trust level: {_level_text(state.now)}")
    loaded, now = state.loaded, state.now
    if loaded is None:
        click.echo("No daft.yml found.")
        return
    meaning = _MEANING[_in_force(now)]
    if now.allowed and now.source == "entry":
        meaning = "Hooks run, as long as what they run is what you agreed to."
    click.echo(f"             {meaning}")
    click.echo(f"Files:       {', '.join(_files(loaded)) or 'no daft.yml'}")
    if loaded.sealed.contents:
        names = ", ".join(spelled(name) for name in sorted(loaded.sealed.contents))
        click.echo(f"Scripts:     {names}")
    for hook in state.hooks.values():
        row = _hook_row(session, hook)
        last = f", last: {row['last']}" if row["last"] else ""
        counts = f"{row['foreground']} foreground, {row['background']} background"
        click.echo(f"  {hook.name}: {counts}{last}")
        for line in _about_scripts(state.scripts.get(hook.name)):
            click.echo(f"    {harmless(line)}")
    changes = changes_since(session, loaded)
    if changes:
        click.echo("Changed since you trusted it:")
        click.echo("\n".join(change_lines(changes)))
    if not now.allowed:
        where = "" if path == "." else f" {shlex.quote(path)}"
        click.echo(f"To consent to them: daft hooks trust{where}")
    elif session.registry.skipped(repository.common_dir):
        show_replays(session)


def _kind(session: Session) -> str:
    """Return what one stands in."""
    here, current = os.getcwd(), session.repository.current
    if current is not None:
        return "worktree" if os.path.samefile(here, current.path) else "subdirectory"
    return "repository" if os.path.samefile(here, session.repository.project_root) else "unknown"


def _files(loaded: Loaded) -> Iterator[str]:
    for name in loaded.files:
        stem = os.path.splitext(name)[0]
        what = " (yours alone)" if stem.endswith((".local", "-local")) else ""
        yield f"{harmless(name)}{what}"


def _about_scripts(script: legacy.ScriptHook | None) -> Iterator[str]:
    """Yield lines about the executable files of a hook: which run, and why others do not."""
    if script is not None:
        yield from (path for path in (script.project, script.user) if path is not None)
        yield from script.notices


def _level_text(now: Consent) -> str:
    return f"{_in_force(now).value} ({harmless(now.reason)})"


def _in_force(now: Consent) -> TrustLevel:
    """Return the level that counts: what was allowed need not be allowed as it is now."""
    if now.level is TrustLevel.PROMPT:
        return TrustLevel.PROMPT
    return TrustLevel.ALLOW if now.allowed else TrustLevel.DENY


def _hook_row(session: Session, hook: HookConfig) -> dict[str, object]:
    behind = len(goes_on_behind(hook))
    usual = HOOK_TYPES[hook.name].default_fail_mode
    return {
        "hook": hook.name,
        "foreground": len(hook.jobs) - behind,
        "background": behind,
        "fail_mode": (session.settings.fail_modes.get(hook.name) or hook.fail_mode or usual).value,
        "last": _last_result(session, hook.name),
    }


def _last_result(session: Session, hook: str) -> str | None:
    """Return how the newest fire of a hook went, None when there was none."""
    store = session.jobs.seen()
    if store is None:
        return None
    for invocation in store.recent_invocations(limit=200):
        if invocation.hook_type == hook and invocation.worktree:
            if invocation.skip_reason is not None:
                return f"skipped ({invocation.skip_reason})"
            statuses = {job.status for job in store.jobs_of(invocation.invocation_id)}
            return _summary(statuses)
    return None


def _summary(statuses: set[JobStatus]) -> str:
    if any(not status.is_final for status in statuses):
        return "running"
    if statuses and statuses <= {JobStatus.SKIPPED}:
        return "skipped"
    bad = statuses - {JobStatus.COMPLETED, JobStatus.SKIPPED}
    return "failed" if bad else "ok"
