"""From a job of the configuration to a job that needs nothing further to run."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping

from attrs import field, frozen

from daft_protocol.jobs import JobSpec, LogPolicy, Skip

from ..errors import UnplannableHook
from .conditions import Facts
from .config import Configuration, HookConfig, Interactive, JobConfig, LogConfig
from .deriving import derive
from .event import CHANGED_FILES, Event, environment_of, placeholder_values
from .runners import RunnerSpec
from .templates import placeholders, substitute


@frozen(kw_only=True)
class Making:
    """What all jobs of one fire have in common.

    environment: variables of the event and derived ones. values: of placeholders.
    timeout_s: for jobs that set none; None is no limit. arguments: put behind the command.
    is_attached: the terminal, or what stands for it, is the jobs' in any case.
    """

    event: Event
    configuration: Configuration
    hook: HookConfig
    facts: Facts
    timeout_s: float | None
    environment: Mapping[str, str] = field(factory=dict)
    values: Mapping[str, str] = field(factory=dict)
    arguments: tuple[str, ...] = ()
    is_attached: bool = False


def making(
    event: Event,
    configuration: Configuration,
    hook: HookConfig,
    facts: Facts,
    *,
    timeout_s: float | None,
    arguments: tuple[str, ...] = (),
    is_attached: bool = False,
) -> Making:
    """Return what the jobs of a fire have in common."""
    environment = given_environment(event, configuration, facts.environment)
    return Making(
        event=event,
        configuration=configuration,
        hook=hook,
        facts=facts,
        timeout_s=hook.timeout_s if hook.has_timeout else timeout_s,
        environment=environment,
        values=placeholder_values(event),
        arguments=arguments,
        is_attached=is_attached,
    )


def given_environment(
    event: Event, configuration: Configuration, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of `event`, and those derived for its worktree.

    inherited: what jobs have from who called us: whoever set a derived one knows better, even
    when it is empty.
    """
    environment = environment_of(event)
    if configuration.env is None:
        return environment
    derived = derive(
        configuration.env,
        project_root=event.project_root,
        worktree_path=event.worktree_path,
        slug=event.slug,
        branch=event.branch,
    )
    for name, value in derived.items():
        if name not in inherited and name not in environment:
            environment[name] = value
    return environment


def files_of(event: Event) -> str:
    """Return the worktree whose files the jobs of `event` run."""
    if event.hook in ("worktree-pre-create", "worktree-post-remove"):
        return event.cwd  # the worktree is not there yet, or no more
    return event.worktree_path


def rc_path(event: Event, configuration: Configuration) -> str | None:
    """Return where the shell file is that every job reads, None for none."""
    if configuration.rc is None:
        return None
    return posixpath.join(files_of(event), configuration.rc)


def script_path(event: Event, configuration: Configuration, job: JobConfig, facts: Facts) -> str:
    """Return where the `script` of a job is: absolute, whatever the job's `root`.

    One in the local directory goes before one of the same name in the repository's.
    """
    values = {**placeholder_values(event), "job_name": job.name}
    script = substitute(job.script or "", values)
    local = posixpath.join(files_of(event), configuration.source_dir_local, script)
    if facts.present.get(local, False):
        return local
    return posixpath.join(files_of(event), configuration.source_dir, script)


def working_dir(event: Event, job: JobConfig) -> str:
    """Return where a job runs. Raises: UnplannableHook for a placeholder without a value."""
    values = {**placeholder_values(event), "job_name": job.name}
    root = substitute(job.root, values)
    unresolved = placeholders(root)
    if unresolved:
        raise UnplannableHook(
            f"job '{job.name}': `root` holds {{{unresolved[0]}}}, which this event does not know",
            job.mark,
        )
    return posixpath.normpath(posixpath.join(event.cwd, root))


def make_spec(
    made: Making,
    job: JobConfig,
    *,
    skips: Mapping[str, Skip],
    changed: tuple[str, ...] | None = None,
) -> JobSpec:
    """Return the job with everything resolved.

    skips: jobs that do not run. changed: the files it was chosen for, None when it does not look
    at files. Raises: UnplannableHook for a job that cannot run as it is written.
    """
    skip = skips.get(job.name)
    directory = made.event.cwd if skip is not None else working_dir(made.event, job)
    values = {**made.values, "job_name": job.name}
    if changed is not None:
        rebased = _rebased(made.event, job, directory, changed)
        values[CHANGED_FILES] = " ".join(shlex.quote(file) for file in rebased)
    # Nobody is asked for what is not going to run.
    command = "" if skip is not None and job.uses else command_of(made, job, values)
    if not command.strip() and skip is None:
        raise UnplannableHook(f"job '{job.name}' has nothing to run; give it `run:`", job.mark)
    environment = dict(made.environment)
    environment.update({name: substitute(text, values) for name, text in job.env.items()})
    # A job that does not run satisfies what needs it: it was never meant to run.
    needs = tuple(name for name in job.needs if name not in skips and name not in job.groups)
    interactive = _takes_terminal(made, job, skip)
    return JobSpec(
        name=job.name,
        command=command,
        working_dir=directory,
        env=environment,
        needs=needs,
        full_needs=needs,
        after=tuple(name for name in job.after if name not in skips),
        background=False,
        declared_background=made.hook.background if job.background is None else job.background,
        background_output=job.background_output,
        description=job.description,
        fail_text=job.fail_text,
        interactive=interactive,
        tags=job.tags,
        timeout_s=job.timeout_s if job.has_timeout else made.timeout_s,
        grace_s=job.grace_s,
        priority=job.priority,
        log=_log_policy(job.log.over(made.hook.log).over(made.configuration.log)),
        skip=skip,
    )


def runner_spec(hook: HookConfig, job: JobConfig, values: Mapping[str, str]) -> RunnerSpec:
    """Return what a job asks a plugin for."""
    return RunnerSpec(
        uses=job.uses or "",
        arguments=tuple((name, substitute(text, values)) for name, text in job.arguments.items()),
        hook=hook.name,
        job=job.name,
    )


def command_of(made: Making, job: JobConfig, values: Mapping[str, str]) -> str:
    """Return the text for the shell, "" when there is none for this system."""
    event, configuration = made.event, made.configuration
    if job.uses is not None:
        asked = runner_spec(made.hook, job, values)
        command = made.facts.runners.get(asked, "")
        if not command:
            raise UnplannableHook(f"job '{job.name}': nobody supplies '{asked.uses}'", job.mark)
        return command  # a program of its own: no shell file is read for it
    if job.script is not None:
        path = shlex.quote(script_path(event, configuration, job, made.facts))
        words = [substitute(job.runner, values), path, substitute(job.args, values)]
        command = " ".join(word for word in words if word)
    else:
        text = job.run.get("", job.run.get(made.facts.system, ""))
        command = substitute(text, values)
    if made.arguments:
        behind = " ".join(shlex.quote(word) for word in made.arguments)
        # The newline of a block text would make the words a command of their own.
        command = f"{command.rstrip(chr(10))} {behind}"
    rc = rc_path(event, configuration)
    if rc is not None and command.strip():
        command = f". {shlex.quote(rc)} && {{\n{command}\n}}"
    return command


def _takes_terminal(made: Making, job: JobConfig, skip: Skip | None) -> bool:
    if job.interactive is Interactive.NO or skip is not None:
        return False
    if made.facts.has_terminal or made.is_attached:
        return True
    if job.interactive is Interactive.AUTO:
        return False
    raise UnplannableHook(
        f"job '{job.name}' needs a terminal and there is none; "
        "run it from one, or say `interactive: auto`",
        job.mark,
    )


def _rebased(
    event: Event, job: JobConfig, directory: str, changed: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the files as they are called from where the job runs."""
    if directory == posixpath.normpath(event.cwd):
        return changed
    below = posixpath.relpath(directory, event.cwd) + "/"
    uses = any(
        CHANGED_FILES in placeholders(text) for text in (*job.run.values(), job.runner, job.args)
    )
    if not uses:
        return changed
    if not all(file.startswith(below) for file in changed):
        raise UnplannableHook(
            f"job '{job.name}': {{{CHANGED_FILES}}} holds files outside of `root` ({directory}); "
            f"choose by `glob` those below it, or leave `root` away",
            job.mark,
        )
    return tuple(file[len(below) :] for file in changed)


def _log_policy(log: LogConfig) -> LogPolicy:
    usual = LogPolicy()
    return LogPolicy(
        retention_s=usual.retention_s if log.retention_s is None else log.retention_s,
        limit_bytes=log.max_log_size_bytes or usual.limit_bytes,
        keep_every_nth=log.sampling_every_nth or usual.keep_every_nth,
    )
