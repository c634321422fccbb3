"""`daft hooks status`: whether hooks may run here, why, and how they went."""

from __future__ import annotations

import click

from daft_hooks.discovery import Loaded
from daft_hooks.domain.trust import Consent, TrustLevel
from daft_protocol.status import JobStatus

from ..context import Session
from ..formats import FORMATS, write_rows
from ..questions import change_lines, spelled
from ..terminal import harmless
from .hooks_shared import (
    any_worktree,
    changes_since,
    present_consent,
    seen_hooks,
    session_at,
    show_replays,
)

_MEANING = {
    TrustLevel.ALLOW: "Hooks run, whatever they run.",
    TrustLevel.PROMPT: "You are asked each time, and without a terminal hooks do not run.",
    TrustLevel.DENY: "Hooks do not run.",
}


@click.command()
@click.argument("path", default=".")
@click.option("-s", "--short", is_flag=True, help="One line.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs: a row a hook.")
def status(path: str, short: bool, form: str | None) -> int:
    """Show whether hooks may run here, which there are, and how they went last."""
    with session_at(path) as session:
        repository = session.repository
        worktree = any_worktree(session)
        loaded = seen_hooks(session, worktree)
        hooks = {} if loaded is None else loaded.configuration.hooks
        now = None if loaded is None else present_consent(session, loaded)
        if form is not None:
            rows = [_hook_row(session, name, loaded) for name in hooks]
            columns = ("hook", "foreground", "background", "fail_mode", "last", "allowed")
            allowed = now is not None and now.allowed
            write_rows(form, [{**row, "allowed": allowed} for row in rows], columns)
            return 0
        level = _level_text(session, now)
        if short:
            names = ", ".join(hooks) or "no hooks"
            click.echo(f"{repository.project_root}: {names} ({level})")
            return 0
        click.echo(f"Repository:  {repository.project_root}")
        click.echo(f"Trust level: {level}")
        if loaded is None or now is None:
            click.echo("No daft.yml found.")
            return 0
        meaning = _MEANING[_in_force(now)]
        if now.allowed and now.source == "entry":
            meaning = "Hooks run, as long as what they run is what you agreed to."
        click.echo(f"             {meaning}")
        click.echo(f"Files:       {', '.join(harmless(name) for name in loaded.files)}")
        if loaded.sealed.contents:
            names = ", ".join(spelled(name) for name in sorted(loaded.sealed.contents))
            click.echo(f"Scripts:     {names}")
        for name in hooks:
            row = _hook_row(session, name, loaded)
            last = f", last: {row['last']}" if row["last"] else ""
            counts = f"{row['foreground']} foreground, {row['background']} background"
            click.echo(f"  {name}: {counts}{last}")
        changes = changes_since(session, loaded)
        if changes:
            click.echo("Changed since you trusted it:")
            click.echo("\n".join(change_lines(changes)))
        if not now.allowed:
            click.echo("To consent to them: daft hooks trust")
        elif session.registry.skipped(repository.common_dir):
            show_replays(session)
        return 0


def _level_text(session: Session, now: Consent | None) -> str:
    if now is None:
        entry = session.registry.get(session.repository.common_dir)
        return "deny (default)" if entry is None else entry.level.value
    return f"{_in_force(now).value} ({harmless(now.reason)})"


def _in_force(now: Consent) -> TrustLevel:
    """Return the level that counts: what was allowed need not be allowed as it is now."""
    if now.level is TrustLevel.PROMPT:
        return TrustLevel.PROMPT
    return TrustLevel.ALLOW if now.allowed else TrustLevel.DENY


def _hook_row(session: Session, name: str, loaded: Loaded | None) -> dict[str, object]:
    assert loaded is not None
    from daft_hooks.hooktypes import HOOK_TYPES

    hook = loaded.configuration.hooks[name]
    background = sum(
        hook.background if job.background is None else job.background for job in hook.jobs
    )
    usual = HOOK_TYPES[name].default_fail_mode
    return {
        "hook": name,
        "foreground": len(hook.jobs) - background,
        "background": background,
        "fail_mode": (session.settings.fail_modes.get(name) or hook.fail_mode or usual).value,
        "last": _last_result(session, name),
    }


def _last_result(session: Session, hook: str) -> str | None:
    """Return how the newest fire of a hook went, None when there was none."""
    if not session.jobs.has_history:
        return None
    store = session.jobs.store()
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
    bad = statuses - {JobStatus.COMPLETED, JobStatus.SKIPPED}
    return "failed" if bad else "ok"
