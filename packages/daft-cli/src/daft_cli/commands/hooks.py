"""`daft hooks`: consent, what is configured, and running a hook by hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from daft_hooks import consent, discovery
from daft_hooks.discovery import Loaded
from daft_hooks.document import parse
from daft_hooks.domain.config import HookConfig
from daft_hooks.domain.event import Event
from daft_hooks.domain.planning import Plan
from daft_hooks.domain.selection import Narrowing
from daft_hooks.domain.trust import TrustLevel
from daft_hooks.errors import BadConfiguration, Problem, UnknownHook
from daft_hooks.firing import FireStatus
from daft_hooks.hooktypes import HOOK_TYPES
from daft_hooks.preparing import prepare
from daft_protocol.status import Source
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import Trouble
from ..formats import FORMATS, write_rows
from ..options import PLACEMENTS, speaking
from ..place import discover
from ..setup_state import SetupStates
from ..terminal import harmless, paint

REPLAYABLE = ("post-clone", "worktree-post-create")


@click.group(name="hooks", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """Consent to hooks, look at them, run them."""
    if context.invoked_subcommand is None:
        result: int = context.invoke(status)
        return result
    return None


def _at(path: str) -> Session:
    """Return a session of the repository at `path`."""
    if not os.path.isdir(path):
        raise Trouble(f"{path} does not exist or is no directory")
    os.chdir(path)
    return Session(discover())


def _here(session: Session) -> Worktree:
    here = session.repository.current
    if here is None:
        raise Trouble(
            "Not in a Git worktree: this is the root of the repository",
            tips=("go into a worktree, or use `daft -C <worktree> …`",),
        )
    return here


def _any_worktree(session: Session) -> str:
    """Return a worktree whose configuration speaks for the repository."""
    here = session.repository.current
    if here is not None:
        return here.path
    live = (one.path for one in session.repository.worktrees if not one.is_bare and not one.missing)
    return next(live, session.repository.project_root)


# --- consent ----------------------------------------------------------------------------------


@command.command()
@click.argument("path", default=".")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
def trust(path: str, force: bool) -> int:
    """Consent to what the hooks of a repository run now.

    When the hooks change, for example by a pull, consent lapses and is asked for again.
    """
    with _at(path) as session:
        worktree = _any_worktree(session)
        loaded = session.load(worktree)
        loaded = None if loaded is None else loaded.seen_in(worktree)
        click.echo(session.repository.project_root)
        _show_commands(loaded)
        if loaded is not None:
            now = consent.consent_for(
                session.registry,
                session.repository.common_dir,
                loaded,
                remote_url=session.remote_url(),
            )
            if now.allowed:
                click.echo("already at allow, nothing to do.")
                return 0
        if not _confirmed("Trust: -> allow?", force):
            return _aborted()
        session.trust(loaded)
        click.echo("Trusted. Done.")
        _show_replays(session, loaded)
        return 0


@command.command()
@click.argument("path", default=".")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
def deny(path: str, force: bool) -> int:
    """Refuse the hooks of a repository, whatever patterns or defaults say."""
    with _at(path) as session:
        entry = session.registry.get(session.repository.common_dir)
        click.echo(session.repository.project_root)
        if entry is not None and entry.level is TrustLevel.DENY:
            click.echo("already at deny, nothing to do.")
            return 0
        if not _confirmed("Trust: -> deny?", force):
            return _aborted()
        consent.deny(session.registry, session.repository.common_dir)
        click.echo("Denied. Done.")
        return 0


def _confirmed(question: str, force: bool) -> bool:
    if force:
        return True
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _aborted() -> int:
    sys.stderr.write("Aborted.\n")
    if sys.stdin.isatty():
        return 0
    sys.stderr.write("  tip: without a terminal, `-f` says yes\n")
    return 1


def _show_commands(loaded: Loaded | None) -> None:
    if loaded is None:
        click.echo("Hooks: none")
        return
    click.echo(f"Hooks: {', '.join(loaded.configuration.hooks) or 'none'}")
    for name, text in loaded.commands.items():
        click.echo(f"  {harmless(name)}: {harmless(' '.join(text.split()))}")


def _show_replays(session: Session, loaded: Loaded | None) -> None:
    """List how to make up for what was skipped while nobody had consented."""
    if loaded is None:
        return
    states = SetupStates(session.repository.common_dir).of
    for hook in REPLAYABLE:
        if hook not in loaded.configuration.hooks or hook != "worktree-post-create":
            continue
        for tree in session.repository.worktrees:
            if states.get(tree.label) == "skipped-untrusted" and not tree.missing:
                click.echo(f"  daft -C {tree.path} hooks run {hook}   # in {tree.label}")


# --- looking ----------------------------------------------------------------------------------


@command.command()
@click.argument("path", default=".")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs: a row a hook.")
def status(path: str, form: str | None) -> int:
    """Show whether hooks may run here, and which there are."""
    with _at(path) as session:
        repository = session.repository
        worktree = _any_worktree(session)
        loaded = discovery.load(worktree)
        hooks = {} if loaded is None else loaded.configuration.hooks
        if form is not None:
            rows = [_hook_row(hook) for hook in hooks.values()]
            write_rows(form, rows, ("hook", "foreground", "background", "fail_mode"))
            return 0
        click.echo(f"Repository:  {repository.project_root}")
        if loaded is None:
            entry = session.registry.get(repository.common_dir)
            level = TrustLevel.DENY.value if entry is None else entry.level.value
            click.echo(f"Trust level: {level}{' (default)' if entry is None else ''}")
            click.echo("No daft.yml found.")
            return 0
        now = consent.consent_for(
            session.registry,
            repository.common_dir,
            loaded.seen_in(worktree),
            remote_url=session.remote_url(),
        )
        click.echo(f"Trust level: {'allow' if now.allowed else 'deny'} ({now.reason})")
        click.echo(f"Files:       {', '.join(loaded.files)}")
        for hook in hooks.values():
            row = _hook_row(hook)
            click.echo(
                f"  {row['hook']}: {row['foreground']} foreground, {row['background']} background"
            )
        if not now.allowed:
            click.echo("To consent to them: daft hooks trust")
        return 0


def _hook_row(hook: HookConfig) -> dict[str, object]:
    background = sum(
        hook.background if job.background is None else job.background for job in hook.jobs
    )
    return {
        "hook": hook.name,
        "foreground": len(hook.jobs) - background,
        "background": background,
        "fail_mode": (hook.fail_mode or HOOK_TYPES[hook.name].default_fail_mode).value,
    }


@command.command()
@click.argument("file", required=False)
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs: a row a problem.")
def validate(file: str | None, strict: bool, form: str | None) -> int:
    """Check daft.yml (or FILE, `-` for standard input) and show every problem in it."""
    try:
        found = _problems(file)
    except BadConfiguration as error:
        found = error.problems
    if found is None:
        click.echo("No daft.yml found.")
        return 0
    if form is not None:
        rows = [
            {
                "severity": "error" if one.is_error else "warning",
                "file": one.mark.file,
                "line": one.mark.line,
                "column": one.mark.column,
                "path": one.path,
                "message": one.message,
            }
            for one in found
        ]
        write_rows(form, rows, ("severity", "file", "line", "column", "path", "message"))
    else:
        for one in found:
            _show_problem(one)
    errors = sum(one.is_error for one in found)
    warnings = len(found) - errors
    if errors or (strict and warnings):
        sys.stderr.write(f"Configuration has errors ({errors} error(s), {warnings} warning(s))\n")
        return 1
    if form is None:
        extra = f" ({warnings} warning(s))" if warnings else ""
        click.echo(f"Configuration is valid.{extra}")
    return 0


def _problems(file: str | None) -> tuple[Problem, ...] | None:
    if file is not None:
        data = sys.stdin.buffer.read() if file == "-" else _bytes_of(file)
        name = "<stdin>" if file == "-" else file
        from daft_hooks.decode import decode

        lines = {name: data.decode("utf-8", "replace").split("\n")}
        return decode(parse(data, name), excerpts=lines).problems
    with Session(discover()) as session:
        loaded = discovery.load(_any_worktree(session))
        return None if loaded is None else loaded.decoded.problems


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _show_problem(one: Problem) -> None:
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    word, style = ("error", "red") if one.is_error else ("warning", "yellow")
    where = f"{one.path}: " if one.path else ""
    sys.stderr.write(
        f"{one.mark}: {paint(word, style, on=colour)}: {harmless(where + one.message)}\n"
    )
    if one.excerpt.strip():
        text = harmless(one.excerpt.rstrip("\r"))
        sys.stderr.write(f"    {text}\n    {' ' * (one.mark.column - 1)}^\n")


# --- running ----------------------------------------------------------------------------------


@command.command()
@click.argument("hook", required=False)
@click.option("--job", "jobs", multiple=True, metavar="NAME", help="Only this job.")
@click.option("--tag", "--only-tag", "tags", multiple=True, metavar="TAG", help="Only such jobs.")
@click.option("--skip-tag", "skip_tags", multiple=True, metavar="TAG", help="Not such jobs.")
@click.option("--hooks", "placement", type=click.Choice(PLACEMENTS), default="auto")
@click.option("--dry-run", is_flag=True, help="Show the plan, run nothing.")
@click.option(
    "--format", "form", type=click.Choice(("json", "yaml")), help="For the list of hooks."
)
@speaking
def run(
    hook: str | None,
    jobs: tuple[str, ...],
    tags: tuple[str, ...],
    skip_tags: tuple[str, ...],
    placement: str,
    dry_run: bool,
    form: str | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Run HOOK for this worktree, also without consent on record; without HOOK list them."""
    with Session(
        discover(),
        quiet=quiet,
        verbose=verbose,
        skip_hooks=[f"tag:{tag}" for tag in skip_tags],
        placement=placement,
    ) as session:
        here = _here(session)
        loaded = session.load(here.path)
        if loaded is None:
            raise Trouble("No daft.yml found in this worktree")
        configured = loaded.configuration.hooks
        if hook is None:
            return _list_hooks(configured, form)
        if hook not in HOOK_TYPES:
            raise UnknownHook(hook, f"Unknown hook type: '{hook}' (hooks: {', '.join(HOOK_TYPES)})")
        if hook not in configured:
            names = ", ".join(configured) or "none"
            raise UnknownHook(
                hook, f"Hook '{hook}' is not defined in daft.yml. Configured: {names}"
            )
        narrowing = Narrowing(jobs=frozenset(jobs), tags=frozenset(tags))
        event = session.event(
            hook, "hooks-run", here, trigger=f"hooks run {hook}", source=Source.MANUAL
        )
        if dry_run:
            made = prepare(
                event,
                loaded.configuration,
                configured[hook],
                session.options(narrowing),
                dict(os.environ),
                warn=session.presenter.notice,
            )
            _show_plan(made)
            return 0
        _note_missing_consent(session, loaded.seen_in(here.path))
        return _run(session, event, loaded, narrowing)


def _note_missing_consent(session: Session, loaded: Loaded) -> None:
    now = consent.consent_for(
        session.registry, session.repository.common_dir, loaded, remote_url=session.remote_url()
    )
    if not now.allowed:
        session.presenter.notice(f"note: {now.reason}; running because you said so")


def _run(session: Session, event: Event, loaded: Loaded, narrowing: Narrowing) -> int:
    outcome = session.fire(event, loaded, trusted=True, narrowing=narrowing)
    if outcome.status is FireStatus.SKIPPED:
        session.say(f"Skipped: {outcome.reason}")
        return 0
    if outcome.status is FireStatus.INTERRUPTED:
        return 130
    session.engine().fire_allowed(event.hook, event.label)
    if outcome.ok:
        return 0
    code = outcome.exit_code or 1
    return code if 1 <= code <= 255 else 1


def _list_hooks(hooks: Mapping[str, HookConfig], form: str | None) -> int:
    if form is not None:
        rows = [
            {"hook": hook.name, "job": job.name, "description": job.description,
             "tags": ",".join(job.tags)}
            for hook in hooks.values()
            for job in hook.jobs
        ]  # fmt: skip
        write_rows(form, rows, ("hook", "job", "description", "tags"))
        return 0
    click.echo("Available hooks:")
    for hook in hooks.values():
        count = "1 job" if len(hook.jobs) == 1 else f"{len(hook.jobs)} jobs"
        click.echo(f"  {hook.name} ({count})")
    click.echo("Run one with: daft hooks run <hook>")
    return 0


def _show_plan(made: Plan) -> None:
    if made.skip_reason is not None:
        click.echo(f"{made.hook}: skipped: {made.skip_reason}")
        return
    click.echo(f"{made.hook} ({made.mode.value})")
    for title, specs in (("foreground", made.foreground), ("background", made.background)):
        for spec in specs:
            needs = f" (needs {', '.join(spec.full_needs)})" if spec.full_needs else ""
            text = harmless(" ".join(spec.command.split()))
            click.echo(f"  {title}: {harmless(spec.name)}{needs}: {text}")
    for spec in made.skipped:
        reason = spec.skip.reason if spec.skip is not None else ""
        click.echo(f"  skipped: {harmless(spec.name)}: {harmless(reason)}")
    for notice in made.notices:
        click.echo(f"  note: {notice}")
