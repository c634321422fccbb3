"""`daft hooks trust|prompt|deny|list|reset`: who may run what."""

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
from daft_hooks.settings import hook_settings
from daft_worktree.settings import read_settings

from ..context import Session
from ..failures import Trouble
from ..formats import FORMATS, write_rows
from ..paging import paged
from ..place import data_directory, remote_url_at
from ..questions import change_lines, command_lines, spelled
from ..terminal import harmless
from .hooks_shared import (
    any_worktree,
    changes_since,
    present_consent,
    seen_hooks,
    session_at,
    show_replays,
)


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
        loaded = seen_hooks(session, worktree)
        now, level = _show(session, loaded)
        changes = () if loaded is None else changes_since(session, loaded)
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
        show_replays(session)
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
        if loaded.sealed.contents:
            click.echo(f"Scripts: {', '.join(spelled(n) for n in sorted(loaded.sealed.contents))}")
    now = present_consent(session, loaded)
    return now, now.level


def _confirmed(before: TrustLevel | None, after: TrustLevel, force: bool) -> bool:
    if before is None:
        change = f"set to {after.value}"
    elif before is after:
        # It was so by a pattern or by default, or for what is not there any more.
        change = "allow as it is now" if after is TrustLevel.ALLOW else f"{after.value} explicitly"
    else:
        change = f"{before.value} -> {after.value}"
    if force:
        click.echo(f"Trust: {change}")
        return True
    sys.stderr.write(f"Trust: {change}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _aborted() -> int:
    sys.stderr.write("Aborted.\n")
    if sys.stdin.isatty():
        return 0
    sys.stderr.write("  tip: without a terminal, `-f` says yes\n")
    return 1


# --- the registry -----------------------------------------------------------------------------


def _registry() -> SqliteTrustRegistry:
    return SqliteTrustRegistry(data_directory())


_SCREENFUL = 20
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
    lines = [_line(path, entry) for path, entry in entries.items()]
    patterns = registry.patterns()
    if patterns:
        lines.append("Patterns, the first that fits counts:")
        lines += [f"{level.value:6}  {harmless(pattern)}" for pattern, level in patterns]
    default = hook_settings({}, own=read_settings("/").own).default_trust
    if default is not TrustLevel.DENY:
        lines.append(f"{default.value:6}  every other repository (daft.hooks.defaultTrust)")
    if not lines:
        refused = len(registry.entries())
        lines.append(
            f"Nothing is trusted, and {refused} denied; to see it: daft hooks list --all"
            if refused
            else "You have not decided about any repository."
        )
    with paged(enabled=len(lines) > _SCREENFUL) as out:
        out.write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    return 0


def _line(path: str, entry: TrustEntry) -> str:
    gone = "" if os.path.isdir(path) else "  (gone)"
    remote = f"  {harmless(entry.fingerprint)}" if entry.fingerprint else ""
    root = harmless(path.removesuffix("/.git"))
    return f"{entry.level.value:6}  {_local(entry.granted_at)}  {root}{remote}{gone}"


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
    """Forget decisions about repositories that are gone.

    Where a repository had no remote when you decided about it, and has one now, that is noted:
    another remote at that path will mean another repository.
    """
    registry = _registry()
    gone = consent.prune(registry, os.path.isdir, keep_refusals=False)
    filled = consent.note_remotes(registry, remote_url_at)
    for path in gone:
        click.echo(harmless(path.removesuffix("/.git")))
    if not gone:
        click.echo("No stale entries found.")
    else:
        click.echo(f"Removed {len(gone)} stale {_entries(gone)}.")
    if filled:
        click.echo(f"Noted the remote of {len(filled)} {_entries(filled)} that had none.")
    return 0


def _entries(paths: tuple[str, ...]) -> str:
    return "entry" if len(paths) == 1 else "entries"


for _command in (list_, reset, prune):
    trust.add_command(_command)
