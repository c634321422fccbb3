"""`daft hooks install|migrate|dump`: the files hooks are configured in."""

from __future__ import annotations

import os
import shlex
import sys

import click

from daft_hooks import dumping, legacy
from daft_hooks.domain.starters import POST_CREATE, snippet, starter
from daft_hooks.errors import UnknownHook
from daft_hooks.hooktypes import HOOK_TYPES
from daft_hooks.schema import MODELINE
from daft_worktree import git

from ..context import Session
from ..failures import Trouble
from ..place import discover
from ..terminal import harmless, has_colour, show_path
from .hooks_check import write_schema
from .hooks_shared import any_worktree, standing_in

_MAIN, _LOCAL = "daft.yml", "daft.local.yml"


@click.command()
@click.argument("hooks", nargs=-1, metavar="[HOOK…]")
@click.option("--local", "is_local", is_flag=True, help="Write daft.local.yml, yours alone.")
@click.option("-n", "--dry-run", is_flag=True, help="Show it, write nothing.")
def install(hooks: tuple[str, ...], is_local: bool, dry_run: bool) -> int:
    """Write a first daft.yml, with the jobs that the project's files call for.

    Without HOOK it configures worktree-post-create. A file that is there already is left alone;
    what it lacks is shown.
    """
    for hook in hooks:
        if hook not in HOOK_TYPES:
            raise UnknownHook(
                hook, f"Unknown hook name: '{hook}'. Valid hooks: {', '.join(HOOK_TYPES)}"
            )
    wanted = list(dict.fromkeys(hooks)) or [POST_CREATE]
    with Session(discover()) as session:
        here = standing_in(session)
        files = set(os.listdir(here.path))
        loaded = session.load(here.path)
        path = os.path.join(here.path, _LOCAL if is_local else _MAIN)
        if is_local and loaded is None and not dry_run:
            raise Trouble(
                "daft.local.yml is laid over daft.yml, and there is none",
                tips=("first: daft hooks install",),
            )
        if loaded is not None and (not is_local or os.path.lexists(path)):
            return _show_missing(wanted, list(loaded.configuration.hooks), loaded.files[0], files)
        # What the project needs stands in its own file already.
        text = starter(wanted, () if is_local else files, head=MODELINE)
        if dry_run:
            click.echo(text, nl=False)
            return 0
        _write(path, text)
        schema = write_schema(here.path)
        session.say(f"Wrote {show_path(path)}: {', '.join(wanted)}")
        session.say(f"Wrote {show_path(schema)}, by which editors complete and check it")
        session.say("Look at it, then consent to it: daft hooks trust")
        if is_local and not git.attempt(here.path, "check-ignore", "--quiet", "--", _LOCAL).ok:
            exclude = os.path.join(session.repository.common_dir, "info", "exclude")
            command = f"echo {_LOCAL} >> {shlex.quote(show_path(exclude))}"
            session.say(f"Git does not ignore it yet; so that it stays yours alone: {command}")
        return 0


def _show_missing(wanted: list[str], defined: list[str], file: str, files: set[str]) -> int:
    click.echo(f"{file} is there already. It defines: {', '.join(defined) or 'no hooks'}")
    missing = [hook for hook in wanted if hook not in defined]
    if missing:
        click.echo("To add what is missing, put this below `hooks:`")
        for hook in missing:
            click.echo(snippet(hook, files))
    return 0


def _write(path: str, text: str) -> None:
    """Write a new file, following no link. Raises: Trouble, OSError."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o644)
    except FileExistsError as error:
        raise Trouble(f"{path} is in the way; it was left alone") from error
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@click.command()
@click.option("-n", "--dry-run", is_flag=True, help="Show it, rename nothing.")
def migrate(dry_run: bool) -> int:
    """Give executable hooks in .daft/hooks that have an old name their present one."""
    with Session(discover()) as session:
        here = standing_in(session)
        found = legacy.renamings(here.path) if dry_run else legacy.migrate(here.path)
    if not found:
        click.echo("No hook here has an old name.")
        return 0
    for one in found:
        old, new = (harmless(show_path(path)) for path in (one.old, one.new))
        if one.in_the_way:
            sys.stderr.write(f"warning: {old} is kept, {new} is there already\n")
        else:
            click.echo(f"{'would rename' if dry_run else 'renamed'} {old} -> {new}")
    conflicts = sum(one.in_the_way for one in found)
    renamed = len(found) - conflicts
    click.echo(f"{renamed} {'to rename' if dry_run else 'renamed'}, {conflicts} in the way")
    if renamed and not dry_run:
        click.echo("To commit it: git add -A .daft/hooks")
    return 1 if conflicts else 0


@click.command()
@click.option("--hook", metavar="HOOK", help="Only this hook.")
@click.option("--origin", is_flag=True, help="Each value with the file and line it comes from.")
@click.option("--format", "form", type=click.Choice(("yaml", "json")), default="yaml")
def dump(hook: str | None, origin: bool, form: str) -> int:
    """Show the configuration as it is once all its files are merged."""
    if origin and form == "json":
        raise click.UsageError("--origin is not allowed with --format json")
    with Session(discover()) as session:
        loaded = session.load(any_worktree(session))
    if loaded is None:
        click.echo("No daft.yml found.")
        return 0
    if hook is not None and hook not in loaded.configuration.hooks:
        names = ", ".join(loaded.configuration.hooks) or "none"
        raise UnknownHook(hook, f"Hook '{hook}' is not defined. Configured: {names}")
    if origin:
        text = dumping.with_origins(loaded.document, hook=hook)
    elif form == "json":
        text = dumping.as_json(loaded.document, hook=hook)
    else:
        text = dumping.as_yaml(loaded.document, hook=hook)
    _write_out(text, "json" if form == "json" else None if origin else "yaml")
    return 0


def _write_out(text: str, language: str | None) -> None:
    """Write `text` as it is for programs; for people in colour, without what drives a terminal.

    language: what it is written in, None for none that has colours.
    """
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    shown = "".join(f"{harmless(line)}\n" for line in text.split("\n")[:-1])
    if language is None or not has_colour(sys.stdout):
        click.echo(shown, nl=False)
        return
    from rich.console import Console
    from rich.syntax import Syntax

    # No background: the terminal has one, and it need not be dark.
    painted = Syntax(shown, language, theme="ansi_dark", background_color="default")
    Console(soft_wrap=True).print(painted, soft_wrap=True)
