"""`daft hooks`: consent, what is configured, and running a hook by hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module

import click

from daft_hooks import consent, discovery
from daft_hooks.discovery import Loaded
from daft_hooks.document import parse
from daft_hooks.domain.config import HookConfig
from daft_hooks.domain.event import Event
from daft_hooks.domain.planning import Plan
from daft_hooks.domain.selection import Narrowing
from daft_hooks.errors import BadConfiguration, Problem, RegistryUnavailable, UnknownHook
from daft_hooks.firing import FireStatus
from daft_hooks.hooktypes import HOOK_TYPES
from daft_hooks.preparing import prepare
from daft_protocol.status import Source

from ..context import Session
from ..failures import Trouble
from ..formats import FORMATS, write_rows
from ..options import PLACEMENTS, speaking
from ..place import discover
from ..terminal import harmless, paint, warn
from .hooks_shared import any_worktree, standing_in

_ELSEWHERE = {
    "trust": "hooks_consent",
    "prompt": "hooks_consent",
    "deny": "hooks_consent",
    "list": "hooks_consent",
    "reset": "hooks_consent",
    "status": "hooks_consent",
    "replay": "hooks_replay",
}
"""Verb -> the module beside this one that it is in, loaded when it is wanted."""


class _Verbs(click.Group):
    """The verbs of `daft hooks`, each loaded when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return [*_ELSEWHERE, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, None when there is none of that name."""
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"..{_ELSEWHERE[cmd_name]}", __name__)
        found: click.Command = getattr(module, {"list": "list_"}.get(cmd_name, cmd_name))
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a directory for what `status` is asked about; name what a mistyped verb is near."""
        if self.get_command(ctx, args[0]) is None:
            if os.path.isdir(args[0]):
                args = ["status", *args]
            else:
                near = get_close_matches(args[0], self.list_commands(ctx), 2)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise click.UsageError(f"'{args[0]}' is no command of daft hooks{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(name="hooks", cls=_Verbs, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """Consent to hooks, look at them, run them."""
    if context.invoked_subcommand is None:
        from .hooks_consent import status

        result: int = context.invoke(status, path=".")
        sys.stderr.write("All of `daft hooks`: daft hooks --help\n")
        return result
    return None


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
        loaded = discovery.load(any_worktree(session))
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
        here = standing_in(session)
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
    try:
        session.registry.forget_skipped(
            event.git_dir, hook=event.hook, worktree_id=event.worktree_id
        )
    except RegistryUnavailable as error:
        warn(f"that it was skipped before stays noted: {error}")
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
