"""Running a command in several worktrees: which, with what around it, and what came of it.

Each is a job like any other, so it has a process group, is stopped as jobs are, and several run
side by side. Nothing of it is recorded.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.coordinator import Coordinator
from daft_coordinator.hookspecs import hookimpl
from daft_hooks.domain.specs import given_environment
from daft_protocol.jobs import InvocationSpec, Job, JobSpec, RunMode
from daft_protocol.names import new_invocation_id
from daft_protocol.records import LogRecord
from daft_protocol.status import JobStatus
from daft_worktree.finding import find
from daft_worktree.worktrees import Worktree

from .context import Session
from .failures import FAILED, INTERRUPTED, OK, Trouble
from .terminal import duration, harmless, has_colour, paint, warn

TAIL_BYTES = 1024 * 1024
"""How much of what one worktree's command prints is kept: the end of it."""


def chosen(session: Session, words: Sequence[str]) -> list[Worktree]:
    """Return the worktrees that words mean: branches, paths, names of directories, or patterns.

    Raises: Trouble with every word that means none; NoWorktree for an ambiguous one.
    """
    repository = session.repository
    found: dict[str, Worktree] = {}
    unmatched = []
    for word in words:
        one = find(
            list(repository.worktrees),
            word,
            cwd=repository.cwd,
            project_root=repository.project_root,
        )
        fitting = [one] if one is not None and not one.missing else []
        if one is None:
            fitting = [tree for tree in attached(session) if fnmatchcase(tree.branch or "", word)]
        if not fitting:
            unmatched.append(f"'{word}'")
        found.update({tree.path: tree for tree in fitting})
    if unmatched:
        raise Trouble(
            f"no worktree is meant by {', '.join(unmatched)}", tips=("`daft list` shows them",)
        )
    return list(found.values())


def attached(session: Session) -> list[Worktree]:
    """Return the worktrees that are there and have a branch."""
    live = [one for one in session.repository.worktrees if one.branch and not one.is_bare]
    for one in live:
        if one.missing:
            warn(f"the worktree of '{one.label}' is not at {one.path}, it is left out")
    return [one for one in live if not one.missing]


def command_line(commands: Sequence[str], argv: Sequence[str]) -> str:
    """Return the shell text of commands that run one after another, or of a program's words."""
    if argv:
        return f"exec {shlex.join(argv)}"
    shell = shlex.quote(os.environ.get("SHELL") or "/bin/sh")
    return " && ".join(f"{shell} -c {shlex.quote(one)}" for one in commands)


def execute(
    session: Session,
    worktrees: Sequence[Worktree],
    command: str,
    *,
    attached_to_terminal: bool,
    one_by_one: bool,
    keep_going: bool,
    verbose: bool,
) -> int:
    """Run a command in each of the worktrees; return the exit code.

    attached_to_terminal: the only one has the terminal, and its exit code is the answer.
    one_by_one: in order, up to the first that fails unless `keep_going`.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "DAFT_CD_FILE"}
    outputs = _Outputs(session.quiet or attached_to_terminal)
    jobs = tuple(
        _job(session, worktree, command, inherited, name, interactive=attached_to_terminal)
        for name, worktree in _named(worktrees).items()
    )
    invocation = InvocationSpec(
        invocation_id=new_invocation_id(),
        hook_type="exec",
        trigger_command="exec",
        worktree="",
        mode=RunMode.PIPED if one_by_one and not keep_going else RunMode.PARALLEL,
        max_parallel=1 if one_by_one else None,
        jobs=jobs,
    )
    with Coordinator(
        MemoryJobStore(),
        kind="command",
        workers=os.cpu_count() or 1,
        plugins=(outputs,),
        report=warn,
    ) as coordinator:
        coordinator.submit(invocation, environment=inherited)
        done = coordinator.wait(invocation.invocation_id, on_interrupt=True)
    outputs.show(done, everything=verbose)
    if any(job.status is JobStatus.CANCELLED for job in done):
        return INTERRUPTED
    if attached_to_terminal:
        code = done[0].shell_exit_code
        return FAILED if code is None else code
    return OK if all(job.status is JobStatus.COMPLETED for job in done) else FAILED


def _named(worktrees: Sequence[Worktree]) -> dict[str, Worktree]:
    """Return the worktrees by a name each: the label, or the path where two share that."""
    labels = [one.label for one in worktrees]
    return {one.label if labels.count(one.label) == 1 else one.path: one for one in worktrees}


def _job(
    session: Session,
    worktree: Worktree,
    command: str,
    inherited: Mapping[str, str],
    name: str,
    *,
    interactive: bool,
) -> JobSpec:
    loaded = session.load_leniently(worktree.path)
    event = session.event("exec", "exec", worktree)
    given = {"DAFT_WORKTREE_PATH": worktree.path, "DAFT_BRANCH_NAME": event.branch}
    if loaded is not None:
        every = given_environment(event, loaded.configuration, inherited)
        derived = {key: value for key, value in every.items() if not key.startswith("DAFT_")}
        given = {**derived, **given}
    return JobSpec(
        name=name,
        command=command,
        working_dir=worktree.path,
        env=given,
        timeout_s=None,
        interactive=interactive,
    )


class _Outputs:
    """Keeps the end of what each job prints, and says how each has ended."""

    def __init__(self, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._lines: dict[str, deque[str]] = {}
        self._sizes: dict[str, int] = {}
        self._cut: set[str] = set()

    @hookimpl
    def daft_log_records(self, job: Job, records: Sequence[LogRecord]) -> None:
        """Keep what a job has written."""
        lines = self._lines.setdefault(job.name, deque())
        for record in records:
            if isinstance(record.data, str):
                lines.append(record.data)
                self._sizes[job.name] = self._sizes.get(job.name, 0) + len(record.data)
        while self._sizes.get(job.name, 0) > TAIL_BYTES:
            self._sizes[job.name] -= len(lines.popleft())
            self._cut.add(job.name)

    @hookimpl
    def daft_job_changed(self, job: Job) -> None:
        """Say in a line how a job has ended."""
        if not job.status.is_final or self._is_quiet:
            return
        ok = job.status is JobStatus.COMPLETED
        mark = "✓" if ok else "—" if job.status is JobStatus.SKIPPED else "✗"
        took = "" if job.duration_ms is None else f" {duration(job.duration_ms / 1000)}"
        why = "" if ok else f" ({job.end_detail or f'exit code {job.shell_exit_code}'})"
        style = "green" if ok else "red"
        shown = paint(mark, style, on=has_colour(sys.stderr))
        sys.stderr.write(f"{shown} {harmless(job.name)}{took}{harmless(why)}\n")
        sys.stderr.flush()

    def show(self, jobs: Sequence[Job], *, everything: bool) -> None:
        """Print what was kept of the jobs that failed, or of all."""
        for job in jobs:
            failed = job.status not in (JobStatus.COMPLETED, JobStatus.SKIPPED)
            if job.spec.interactive or not (failed or everything):
                continue
            sys.stdout.write(f"=== {harmless(job.name)}\n")
            if job.name in self._cut:
                sys.stdout.write("(the beginning is left out)\n")
            for line in self._lines.get(job.name, ()):
                sys.stdout.write(f"{harmless(line)}\n")
        sys.stdout.flush()
