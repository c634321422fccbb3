"""From an event to the plan that will be carried out, or only shown: one way for both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from daft_protocol.jobs import JobSpec

from . import probes
from .domain.conditions import Facts
from .domain.config import Configuration, HookConfig
from .domain.event import Event
from .domain.planning import Options, Placement, Plan, plan
from .domain.specs import rc_path, script_path
from .errors import Mark, UnplannableHook


def prepare(
    event: Event,
    configuration: Configuration,
    hook: HookConfig,
    options: Options,
    environment: Mapping[str, str],
    *,
    warn: Callable[[str], None],
    may_run: bool = True,
    plugins: Iterable[object] | None = None,
    seals: Mapping[str, str] | None = None,
) -> Plan:
    """Return what a fire does: what runs is what this says.

    Asks git and the file system, and runs the commands of conditions and of `files:`, but only
    those whose answers matter. environment: what jobs inherit. may_run: False runs none of them.
    plugins: who supplies `uses:` jobs; None: the installed packages. seals: files that commands
    may execute, as consent was given for them.
    Raises: UnplannableHook for jobs that cannot run; BadSelection.
    """
    if options.placement is Placement.OFF or options.selectors.skips_whole(hook.name):
        # Nobody was asked to consent to a fire that nobody wants: find out nothing.
        return plan(event, configuration, hook, Facts(), options)
    facts = probes.gather(
        event, configuration, environment, warn=warn, may_run=may_run, plugins=plugins, seals=seals
    )
    made = plan(event, configuration, hook, facts, options)
    running = {spec.name: spec for spec in (*made.foreground, *made.background)}
    if running:
        _check_rc(hook.name, rc_path(event, configuration))
        _check_scripts(
            hook.name,
            [
                (
                    running[job.name],
                    script_path(event, configuration, job, facts),
                    bool(job.runner),
                    job.mark,
                )
                for job in hook.jobs
                if job.script is not None and job.name in running
            ],
        )
        _check_directories(hook.name, running.values(), made.origins)
    return made


def _check_scripts(hook: str, scripts: Iterable[tuple[JobSpec, str, bool, Mark]]) -> None:
    """Look at the files jobs are about to execute: (job, path, whether something runs it, mark).

    Raises: UnplannableHook for the first that is missing or cannot be executed as it is.
    """
    for job, path, has_runner, mark in scripts:
        why = why_not_run(path, has_runner=has_runner)
        if why is not None:
            raise UnplannableHook(f"job '{job.name}' of {hook}: {path} {why}", mark)


def why_not_run(path: str, *, has_runner: bool) -> str | None:
    """Return why a script cannot be run as it is, and what to do; None when it can."""
    if not os.path.exists(path):
        return "does not exist; create it, or correct `script`"
    if os.path.isdir(path):
        return "is a directory; name a file in it"
    if not has_runner and not os.access(path, os.X_OK):
        return "is not executable; `chmod +x` it, or say `runner: sh`"
    return None


def _check_rc(hook: str, path: str | None) -> None:
    """Look at the shell file all jobs read. Raises: UnplannableHook when it is missing."""
    if path is not None and not os.path.isfile(path):
        raise UnplannableHook(f"{hook}: `rc` names {path}, which is no file; create or remove it")


def _check_directories(hook: str, specs: Iterable[JobSpec], marks: Mapping[str, Mark]) -> None:
    """Look at the directories jobs are about to run in.

    One that waits for another job is left alone: that may be what makes its directory.
    Raises: UnplannableHook for the first that is missing.
    """
    for job in specs:
        if job.needs or job.after or os.path.isdir(job.working_dir):
            continue
        what = "is no directory" if os.path.exists(job.working_dir) else "does not exist"
        raise UnplannableHook(
            f"job '{job.name}' of {hook}: {job.working_dir} {what}; correct `root`",
            marks.get(job.name),
        )
