"""`daft run`: the tasks of daft.yml. A task of one job is as if its command had been typed."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence

import click
from attrs import evolve

from daft_hooks.discovery import Loaded
from daft_hooks.domain.config import HookConfig
from daft_hooks.domain.event import Event
from daft_hooks.domain.planning import Plan
from daft_hooks.domain.selection import Narrowing
from daft_hooks.errors import BadSelection
from daft_hooks.firing import FireOutcome, FireStatus, carry_out, invocation_of
from daft_hooks.hooktypes import FailMode
from daft_hooks.ports import OutputLine
from daft_hooks.preparing import prepare
from daft_protocol.jobs import Job
from daft_protocol.status import Source
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import Trouble
from ..formats import FORMATS, write_rows
from ..place import discover
from ..presenter import Presenter
from ..terminal import duration, harmless, warn
from .hooks_list import count_of
from .hooks_shared import present_consent, standing_in

DEFAULT_TASK = "run"
COLUMNS = ("task", "job_name", "description", "tags")


class _Command(click.Command):
    """Remembers whether `--` stood before the words, which click takes away."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take our options up to the first bare word; all behind it is the task's."""
        given = list(args)
        rest = super().parse_args(ctx, args)
        words = ctx.params["words"]
        before = given[: len(given) - len(words)]
        ctx.params["is_literal"] = before[-1:] == ["--"]
        return rest


class _Unheard(Presenter):
    """Shows nothing: the job speaks for itself, on the terminal it was given."""

    def hook_started(self, hook: str, worktree: str, jobs: int) -> None:
        """A task of one job has no header."""

    def hook_finished(self, hook: str, ok: bool) -> None:
        """And no summary."""

    def job_started(self, job: Job) -> None:
        """Nor a line for it."""

    def job_line(self, job: Job, line: OutputLine) -> None:
        """It writes to the terminal itself."""

    def job_finished(self, job: Job) -> None:
        """What becomes of it is in the exit code."""


@click.command(cls=_Command, context_settings={"allow_interspersed_args": False}, name="run")
@click.option("--list", "listing", is_flag=True, help="List the tasks, run nothing.")
@click.option("--job", "jobs", multiple=True, metavar="NAME", help="Only this job.")
@click.option("--tag", "--only-tag", "tags", multiple=True, metavar="TAG", help="Only such jobs.")
@click.option("--skip-tag", "skip_tags", multiple=True, metavar="TAG", help="Not such jobs.")
@click.option("--with-needs", is_flag=True, help="And all that the chosen jobs need.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For the list of tasks.")
@click.argument("words", nargs=-1, metavar="[TASK] [ARGUMENT]...", type=click.UNPROCESSED)
def command(
    listing: bool,
    jobs: tuple[str, ...],
    tags: tuple[str, ...],
    skip_tags: tuple[str, ...],
    with_needs: bool,
    form: str | None,
    words: tuple[str, ...],
    is_literal: bool,
) -> int:
    """Run a task of daft.yml, the task `run` if none is named.

    Options stand before the task; all behind it goes to its job as it is.
    """
    skipped = [f"tag:{tag}" for tag in skip_tags]
    with Session(discover(), skip_hooks=skipped) as session:
        here = standing_in(session)
        loaded = session.load(here.path)
        tasks = {} if loaded is None else loaded.configuration.tasks
        if listing:
            return _list(tasks, form)
        if loaded is None:
            raise Trouble("No daft.yml found in this worktree")
        name, arguments = _resolve(tasks, words, is_literal=is_literal)
        narrowing = Narrowing(jobs=frozenset(jobs), tags=frozenset(tags), with_needs=with_needs)
        event = session.event(
            name,
            "run",
            here,
            task=name,
            trigger=" ".join(["run", name, *map(shlex.quote, arguments)]),
            source=Source.TASK,
        )
        made = _prepare(session, event, loaded, narrowing, arguments)
        _note_missing_consent(session, loaded, here)
        return _run(session, event, made)


def _resolve(
    tasks: Mapping[str, HookConfig], words: Sequence[str], *, is_literal: bool
) -> tuple[str, tuple[str, ...]]:
    """Return the task that is meant and its arguments. Raises: Trouble."""
    if words and words[0] in tasks and not is_literal:
        return words[0], tuple(words[1:])
    if DEFAULT_TASK in tasks:
        return DEFAULT_TASK, tuple(words)
    if not tasks:
        raise Trouble("no tasks defined in daft.yml", tips=("add them under `tasks:`",))
    known = f"Available tasks: {', '.join(tasks)}"
    if not words:
        raise Trouble("no 'run' task defined", tips=(known,))
    raise Trouble(
        f"unknown task: '{words[0]}' (no 'run' task defined to receive it as an argument)",
        tips=(known,),
    )


def _list(tasks: Mapping[str, HookConfig], form: str | None) -> int:
    if form is not None:
        rows = [
            {"task": task.name, "job_name": job.name, "description": job.description,
             "tags": ",".join(job.tags)}
            for task in tasks.values()
            for job in task.jobs
        ]  # fmt: skip
        write_rows(form, rows, COLUMNS)
        return 0
    if not tasks:
        click.echo("No tasks defined in daft.yml.")
        return 0
    click.echo("Available tasks:")
    for task in tasks.values():
        described = next((job.description for job in task.jobs if job.description), "")
        behind = f": {harmless(described)}" if described else ""
        click.echo(f"  {task.name} ({count_of(task)}){behind}")
    return 0


def _prepare(
    session: Session,
    event: Event,
    loaded: Loaded,
    narrowing: Narrowing,
    arguments: tuple[str, ...],
) -> Plan:
    options = evolve(
        session.options(narrowing), timeout_s=None, arguments=arguments, is_attached=True
    )
    task = loaded.configuration.tasks[event.hook]
    try:
        return prepare(event, loaded.configuration, task, options, dict(os.environ), warn=warn)
    except BadSelection as error:
        raise Trouble(str(error).replace("in hook", "in task")) from error


def _note_missing_consent(session: Session, loaded: Loaded, here: Worktree) -> None:
    now = present_consent(session, loaded.seen_in(here.path))
    if not now.allowed:
        sys.stderr.write(f"note: {now.reason}; running because you said so\n")


def _run(session: Session, event: Event, made: Plan) -> int:
    if made.skip_reason is not None:
        session.engine().skipped_fire(evolve(invocation_of(event), skip_reason=made.skip_reason))
        sys.stderr.write(f"Skipped: {made.skip_reason}\n")
        return 0
    alone = len(made.foreground) == 1 and not made.background
    if alone:
        session.presenter = _Unheard()
    began = time.monotonic()
    outcome = carry_out(made, invocation_of(event), session.firing(), FailMode.ABORT)
    if not alone:
        took = duration(time.monotonic() - began)
        sys.stderr.write(f"{_closing(outcome)} {took}\n")
    return _code(outcome)


def _closing(outcome: FireOutcome) -> str:
    if outcome.status is FireStatus.INTERRUPTED:
        return "Cancelled after"
    if outcome.status is FireStatus.FAILED:
        return "Finished with failures in"
    if outcome.status is FireStatus.SKIPPED:
        return f"Skipped ({outcome.reason}) in"
    return "Done in"


def _code(outcome: FireOutcome) -> int:
    if outcome.status is FireStatus.INTERRUPTED:
        return 130
    return 0 if outcome.ok else (outcome.exit_code or 1)
