"""`daft hooks trust|prompt|deny|list|reset|status`: who may run what, and why."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

from daft_hooks import consent
from daft_hooks.adapters.registry import SqliteTrustRegistry
from daft_hooks.discovery import Loaded
from daft_hooks.domain.trust import Consent, TrustEntry, TrustLevel
from daft_hooks.errors import BadConfiguration, UnreadableConfiguration
from daft_protocol.status import JobStatus

from ..context import Session, default_trust
from ..failures import Trouble
from ..formats import FORMATS, write_rows
from ..place import data_directory
from ..questions import change_lines, command_lines, spelled
from ..terminal import harmless
from .hooks_shared import any_worktree, session_at

_MEANING = {
    TrustLevel.ALLOW: "Hooks run, whatever they run.",
    TrustLevel.PROMPT: "You are asked each time, and without a terminal hooks do not run.",
    TrustLevel.DENY: "Hooks do not run.",
}


class _WithDefault(click.Group):
    """A group whose first word may also be an argument of one of its commands."""

    default = "set"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front of words that name none."""
        first = next((arg for arg in args if not arg.startswith("-")), None)
        if first not in self.commands and not {"-h", "--help"} & set(args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def _options(function: Callable[..., int]) -> Callable[..., int]:
    for add in (
        click.option("--pattern", metavar="GLOB", help="For every repository at such a path."),
        click.option("-f", "--force", is_flag=True, help="Do not ask."),
        click.argument("path", default="."),
    ):
        function = add(function)
    return function


@click.group(cls=_WithDefault)
def trust() -> None:
    """Consent to what the hooks of the repository at PATH run now.

    \b
    daft hooks trust [PATH] [-f]
    daft hooks trust --pattern GLOB [-f]

    When what they run changes, for example by a pull, consent lapses and is asked for again.
    A pattern is compared with the path of a repository: `*` is anything in one component, `**`
    any number of components. It consents to whatever such repositories run. -f does not ask.
    """


@trust.command(name="set", hidden=True)
@_options
def trust_set(path: str, force: bool, pattern: str | None) -> int:
    """Consent to what the hooks of the repository at PATH run now."""
    if pattern is not None:
        return _set_pattern(path, pattern, TrustLevel.ALLOW, force=force)
    with session_at(path) as session:
        worktree = any_worktree(session)
        loaded = _load(session, worktree)
        now, level = _show(session, loaded)
        changes = () if loaded is None else _changes(session, loaded)
        if changes:
            click.echo("Changed since you trusted it:")
            click.echo("\n".join(change_lines(changes)))
        if loaded is None:
            same = level is TrustLevel.ALLOW and now is None
        else:
            same = now is not None and now.allowed and now.source == "entry"
        if same:
            click.echo("already at allow, nothing to do.")
        else:
            if not _confirmed(level, TrustLevel.ALLOW, force):
                return _aborted()
            session.trust(loaded)
            click.echo("Trusted. Done.")
        _show_replays(session)
        return 0


@click.command()
@_options
def prompt(path: str, force: bool, pattern: str | None) -> int:
    """Ask each time before the hooks of the repository at PATH run."""
    return _lower(path, TrustLevel.PROMPT, force=force, pattern=pattern)


@click.command()
@_options
def deny(path: str, force: bool, pattern: str | None) -> int:
    """Refuse the hooks of a repository, whatever patterns or defaults say."""
    return _lower(path, TrustLevel.DENY, force=force, pattern=pattern)


def _lower(path: str, level: TrustLevel, *, force: bool, pattern: str | None) -> int:
    if pattern is not None:
        return _set_pattern(path, pattern, level, force=force)
    with session_at(path) as session:
        entry = session.registry.get(session.repository.common_dir)
        try:
            loaded = session.with_scripts(
                session.load(any_worktree(session)), any_worktree(session)
            )
        except (BadConfiguration, UnreadableConfiguration) as error:
            sys.stderr.write(f"warning: hooks cannot be read: {error}\n")
            loaded = None
        _, before = _show(session, loaded, commands=False)
        if entry is not None and entry.level is level:
            click.echo(f"already at {level.value}, nothing to do.")
            return 0
        if not _confirmed(before, level, force):
            return _aborted()
        if level is TrustLevel.DENY:
            consent.deny(session.registry, session.repository.common_dir)
            click.echo("Denied. Done.")
        else:
            consent.ask_each_time(
                session.registry, session.repository.common_dir, remote_url=session.remote_url()
            )
            click.echo("You will be asked. Done.")
        return 0


def _set_pattern(path: str, pattern: str, level: TrustLevel, *, force: bool) -> int:
    if path != ".":
        raise click.UsageError("--pattern is not allowed with a path")
    if not pattern.startswith(("/", "**")):
        raise Trouble(
            f"the pattern {pattern!r} is not absolute",
            tips=(f"for all repositories in the home directory: '{os.path.expanduser('~')}/**'",),
        )
    registry = _registry()
    if dict(registry.patterns()).get(pattern) is level:
        click.echo(f"{pattern} is already at {level.value}, nothing to do.")
        return 0
    click.echo(f"Every repository at {pattern}")
    if level is TrustLevel.ALLOW:
        click.echo("Their hooks will run, also when what they run changes.")
    if not _confirmed(None, level, force):
        return _aborted()
    registry.put_pattern(pattern, level)
    click.echo("Done.")
    return 0


def _show(
    session: Session, loaded: Loaded | None, *, commands: bool = True
) -> tuple[Consent | None, TrustLevel]:
    """Print what is decided about; return the present consent, if any, and level."""
    click.echo(session.repository.project_root)
    entry = session.registry.get(session.repository.common_dir)
    level = TrustLevel.DENY if entry is None else entry.level
    if loaded is None:
        click.echo("Hooks: none")
        return None, level
    configured = loaded.decoded.configuration
    click.echo(f"Hooks: {', '.join(configured.hooks) or 'none'}")
    if commands:
        for line in command_lines(loaded.commands.items()):
            click.echo(line)
        if loaded.pinned.contents:
            click.echo(f"Scripts: {', '.join(spelled(n) for n in sorted(loaded.pinned.contents))}")
    return _consent(session, loaded), level


def _load(session: Session, worktree: str) -> Loaded | None:
    loaded = session.with_scripts(session.load(worktree), worktree)
    return None if loaded is None else loaded.seen_in(worktree)


def _consent(session: Session, loaded: Loaded) -> Consent:
    return consent.consent_for(
        session.registry,
        session.repository.common_dir,
        loaded,
        remote_url=session.remote_url(),
        default=default_trust(),
    )


def _changes(session: Session, loaded: Loaded) -> tuple[str, ...]:
    return consent.changes_since_consent(session.registry, session.repository.common_dir, loaded)


def _confirmed(before: TrustLevel | None, after: TrustLevel, force: bool) -> bool:
    if force:
        return True
    if before is None:
        change = f"set to {after.value}"
    else:
        change = "allow as it is now" if before is after else f"{before.value} -> {after.value}"
    sys.stderr.write(f"Trust: {change}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _aborted() -> int:
    sys.stderr.write("Aborted.\n")
    if sys.stdin.isatty():
        return 0
    sys.stderr.write("  tip: without a terminal, `-f` says yes\n")
    return 1


def _show_replays(session: Session) -> None:
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


# --- the registry -----------------------------------------------------------------------------


def _registry() -> SqliteTrustRegistry:
    return SqliteTrustRegistry(data_directory())


_COLUMNS = ("repo_path", "trust_level", "remote_fingerprint", "timestamp")


@click.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Denied repositories as well.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs: a row each.")
def list_(everything: bool, form: str | None) -> int:
    """List the repositories and patterns you decided about."""
    registry = _registry()
    entries = {
        path: entry
        for path, entry in sorted(registry.entries().items())
        if everything or entry.level is not TrustLevel.DENY
    }
    if form is not None:
        write_rows(form, [_row(path, entry) for path, entry in entries.items()], _COLUMNS)
        return 0
    for path, entry in entries.items():
        gone = "" if os.path.isdir(path) else "  (gone)"
        remote = f"  {harmless(entry.fingerprint)}" if entry.fingerprint else ""
        root = harmless(path.removesuffix("/.git"))
        click.echo(f"{entry.level.value:6}  {_local(entry.granted_at)}  {root}{remote}{gone}")
    patterns = registry.patterns()
    if patterns:
        click.echo("Patterns, the first that fits counts:")
        for pattern, level in patterns:
            click.echo(f"{level.value:6}  {harmless(pattern)}")
    if not entries and not patterns:
        click.echo("You have not decided about any repository.")
    return 0


def _row(path: str, entry: TrustEntry) -> dict[str, object]:
    return {
        "repo_path": path.removesuffix("/.git"),
        "trust_level": entry.level.value,
        "remote_fingerprint": entry.fingerprint,
        "timestamp": entry.granted_at,
    }


def _local(moment: str) -> str:
    from datetime import datetime

    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return moment  # of another program; shown as it is


@click.command()
@click.argument("path", default=".")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--pattern", metavar="GLOB", help="Forget a pattern.")
def reset(path: str, force: bool, pattern: str | None) -> int:
    """Forget what you decided about PATH, or with `all` every decision."""
    registry = _registry()
    if pattern is not None:
        found = registry.delete_pattern(pattern)
        click.echo("Done." if found else "No such pattern.")
        return 0 if found else 1
    if path == "all" and not os.path.isdir(path):
        if not registry.entries() and not registry.patterns():
            click.echo("Nothing to forget.")
            return 0
        if not _asked("Forget every decision about every repository?", force):
            return _aborted()
        registry.reset()
        click.echo("Done.")
        return 0
    with session_at(path) as session:
        common_dir = session.repository.common_dir
        entry = registry.get(common_dir)
        if entry is None:
            click.echo("No explicit trust entry to remove.")
            return 0
        click.echo(session.repository.project_root)
        if not _asked(f"Forget that it is at {entry.level.value}?", force):
            return _aborted()
        registry.delete(common_dir)
        click.echo("Done.")
        return 0


def _asked(question: str, force: bool) -> bool:
    if force:
        return True
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@click.command()
def prune() -> int:
    """Forget decisions about repositories that are gone."""
    registry = _registry()
    gone = consent.prune(registry, os.path.isdir, keep_refusals=False)
    for path in gone:
        click.echo(harmless(path.removesuffix("/.git")))
    if not gone:
        click.echo("No stale entries found.")
    else:
        click.echo(f"Removed {len(gone)} stale {'entry' if len(gone) == 1 else 'entries'}.")
    return 0


for _command in (list_, reset, prune):
    trust.add_command(_command)


# --- status -----------------------------------------------------------------------------------


@click.command()
@click.argument("path", default=".")
@click.option("-s", "--short", is_flag=True, help="One line.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs: a row a hook.")
def status(path: str, short: bool, form: str | None) -> int:
    """Show whether hooks may run here, which there are, and how they went last."""
    with session_at(path) as session:
        repository = session.repository
        worktree = any_worktree(session)
        loaded = _load(session, worktree)
        hooks = {} if loaded is None else loaded.configuration.hooks
        now = None if loaded is None else _consent(session, loaded)
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
        if loaded.pinned.contents:
            names = ", ".join(spelled(name) for name in sorted(loaded.pinned.contents))
            click.echo(f"Scripts:     {names}")
        for name in hooks:
            row = _hook_row(session, name, loaded)
            last = f", last: {row['last']}" if row["last"] else ""
            counts = f"{row['foreground']} foreground, {row['background']} background"
            click.echo(f"  {name}: {counts}{last}")
        changes = _changes(session, loaded)
        if changes:
            click.echo("Changed since you trusted it:")
            click.echo("\n".join(change_lines(changes)))
        if not now.allowed:
            click.echo("To consent to them: daft hooks trust")
        elif session.registry.skipped(repository.common_dir):
            _show_replays(session)
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
