"""From an event, a configuration and facts to a plan: what runs, where, and why the rest does not.

The plan is complete before the first process exists. What runs is what it says.
"""

from __future__ import annotations

import enum
import posixpath
import shlex
from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from daft_coordinator.domain import graph, phases
from daft_coordinator.errors import DependencyCycle, UnknownDependency
from daft_protocol.jobs import JobSpec, LogPolicy, RunMode, Skip
from daft_protocol.status import SkipKind

from ..errors import BadSelection, UnplannableHook
from ..hooktypes import HOOK_TYPES
from .conditions import Facts, reason_to_skip
from .config import Configuration, HookConfig, JobConfig, LogConfig
from .event import Event, environment_of, placeholder_values
from .selection import Narrowing, Selectors, drop
from .templates import placeholders, substitute


class Placement(enum.Enum):
    """Where the jobs of a fire run (`--hooks`)."""

    AUTO = "auto"
    FOREGROUND = "foreground"
    BACKGROUND = "background"
    OFF = "off"


@frozen(kw_only=True)
class Plan:
    """What a fire will do.

    foreground, background: jobs to run. skipped: jobs that are only recorded.
    notices: lines for people: promotions, a placement that was declined, selectors in vain.
    skip_reason: set when the whole fire is skipped.
    """

    hook: str
    mode: RunMode = RunMode.PARALLEL
    foreground: tuple[JobSpec, ...] = ()
    background: tuple[JobSpec, ...] = ()
    skipped: tuple[JobSpec, ...] = ()
    notices: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    skip_reason: str | None = None


@frozen(kw_only=True)
class Options:
    """What the caller asks for.

    timeout_s: for jobs that set none; None is no limit.
    """

    selectors: Selectors = field(factory=Selectors)
    narrowing: Narrowing = field(factory=Narrowing)
    placement: Placement = Placement.AUTO
    timeout_s: float | None = 300.0


def plan(
    event: Event,
    configuration: Configuration,
    hook: HookConfig,
    facts: Facts,
    options: Options,
) -> Plan:
    """Return what a fire of `hook` does.

    Raises: UnplannableHook for jobs that cannot run as written (unknown needs, a cycle, nothing
    to run); BadSelection for a `--job` or `--tag` that names nothing.
    """
    if options.placement is Placement.OFF or options.selectors.skips_whole(hook.name):
        reason = "all hooks skipped by request"
        if options.placement is Placement.OFF:
            reason = "skipped by --hooks off"
        elif not options.selectors.everything:
            reason = f"{hook.name} skipped by request"
        return Plan(hook=hook.name, skip_reason=reason)
    reason_for_all = reason_to_skip(hook.skip, hook.only, facts)
    if reason_for_all is not None:
        return Plan(hook=hook.name, skip_reason=reason_for_all)
    _check_graph(hook)
    _check_narrowing(hook, options.narrowing)
    dropped = drop(
        hook.jobs,
        exclude_tags=hook.exclude_tags,
        selectors=options.selectors,
        narrowing=options.narrowing,
    )
    skips = dict(dropped.skips)
    for job in hook.jobs:
        if job.name not in skips:
            own = _own_skip(job, facts)
            if own is not None:
                skips[job.name] = own
    notices: list[str] = []
    left_out = _unselected_needs(hook, skips)
    if left_out and options.narrowing:
        notices.append(f"not run, although needed: {', '.join(left_out)}")
    specs: dict[str, JobSpec] = {}
    for job in hook.jobs:
        specs[job.name] = _spec(event, configuration, hook, job, facts, options, skips)
    running = [specs[job.name] for job in hook.jobs if job.name not in skips]
    background = _background_names(hook, running, options, notices)
    for name, needer in phases.promoted(running, background).items():
        notices.append(f"job '{name}' promoted to foreground (needed by '{needer}')")
    foreground, detached = phases.cut(running, background)
    return Plan(
        hook=hook.name,
        mode=_mode(hook),
        foreground=foreground,
        background=detached,
        skipped=tuple(specs[job.name] for job in hook.jobs if job.name in skips),
        notices=tuple(notices),
        unmatched=dropped.unmatched,
    )


def files_of(event: Event) -> str:
    """Return the worktree whose files the jobs of `event` run."""
    if event.hook in ("worktree-pre-create", "worktree-post-remove"):
        return event.cwd  # the worktree is not there yet, or no more
    return event.worktree_path


def script_path(event: Event, configuration: Configuration, job: JobConfig) -> str:
    """Return where the `script` of a job is: absolute, whatever the job's `root`."""
    values = {**placeholder_values(event), "job_name": job.name}
    script = substitute(job.script or "", values)
    return posixpath.join(files_of(event), configuration.source_dir, script)


def hopeless(plan: Plan, failed: Mapping[str, str]) -> tuple[JobSpec, ...]:
    """Return the background jobs, those that cannot run any more marked as skipped.

    failed: foreground job that did not complete -> how it ended.
    """
    reasons: dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for spec in plan.background:
            if spec.name in reasons:
                continue
            for wanted in spec.full_needs:
                if wanted in failed or wanted in reasons:
                    how = failed.get(wanted, "skipped")
                    reasons[spec.name] = f"dependency failed: {wanted} {how}"
                    changed = True
                    break
    return tuple(
        evolve(spec, skip=Skip(kind=SkipKind.DEP_FAILED, reason=reasons[spec.name]), needs=())
        if spec.name in reasons
        else evolve(spec, needs=tuple(name for name in spec.needs if name not in reasons))
        for spec in plan.background
    )


def _mode(hook: HookConfig) -> RunMode:
    if hook.piped:
        return RunMode.PIPED
    if hook.follow or hook.parallel is False:
        return RunMode.ORDERED
    return RunMode.PARALLEL


def _check_graph(hook: HookConfig) -> None:
    names = [job.name for job in hook.jobs]
    by_name = {job.name: job for job in hook.jobs}
    needs = {job.name: job.needs for job in hook.jobs}
    try:
        graph.check(names, needs)
    except DependencyCycle as error:
        raise UnplannableHook(str(error), by_name[error.cycle[0]].mark) from error
    except UnknownDependency as error:
        job = by_name[error.name]
        raise UnplannableHook(str(error), job.needs_marks[job.needs.index(error.needs)]) from error


def _check_narrowing(hook: HookConfig, narrowing: Narrowing) -> None:
    names = [job.name for job in hook.jobs]
    tags = sorted({tag for job in hook.jobs for tag in job.tags})
    for name in sorted(narrowing.jobs):
        if name not in names:
            raise BadSelection(
                f"no job '{name}' in hook '{hook.name}' (jobs: {', '.join(names) or 'none'})"
            )
    for tag in sorted(narrowing.tags):
        if tag not in tags:
            raise BadSelection(
                f"no job tagged '{tag}' in hook '{hook.name}' (tags: {', '.join(tags) or 'none'})"
            )


def _own_skip(job: JobConfig, facts: Facts) -> Skip | None:
    if job.arch and facts.machine not in job.arch:
        reason = f"not on {', '.join(job.arch)} (this is {facts.machine})"
        return Skip(kind=SkipKind.ARCH, reason=reason)
    if job.run and "" not in job.run and facts.system not in job.run:
        return Skip(kind=SkipKind.PLATFORM, reason=f"no command for {facts.system}")
    reason_or_none = reason_to_skip(job.skip, job.only, facts)
    if reason_or_none is None:
        return None
    return Skip(kind=SkipKind.CONDITION, reason=reason_or_none)


def _unselected_needs(hook: HookConfig, skips: Mapping[str, Skip]) -> list[str]:
    found: dict[str, None] = {}
    for job in hook.jobs:
        if job.name in skips:
            continue
        for name in job.needs:
            if name in skips and skips[name].kind is SkipKind.UNSELECTED:
                found[name] = None
    return list(found)


def _spec(
    event: Event,
    configuration: Configuration,
    hook: HookConfig,
    job: JobConfig,
    facts: Facts,
    options: Options,
    skips: Mapping[str, Skip],
) -> JobSpec:
    values = {**placeholder_values(event), "job_name": job.name}
    command = _command(event, configuration, job, facts, values)
    if not command.strip() and job.name not in skips:
        raise UnplannableHook(f"job '{job.name}' has nothing to run; give it `run:`", job.mark)
    root = substitute(job.root, values)
    unresolved = placeholders(root)
    if unresolved and job.name not in skips:
        raise UnplannableHook(
            f"job '{job.name}': `root` holds {{{unresolved[0]}}}, which this event does not know",
            job.mark,
        )
    environment = environment_of(event)
    environment.update({name: substitute(text, values) for name, text in job.env.items()})
    # A job that does not run satisfies what needs it: it was never meant to run.
    needs = tuple(name for name in job.needs if name not in skips)
    declared = hook.background if job.background is None else job.background
    return JobSpec(
        name=job.name,
        command=command,
        working_dir=posixpath.normpath(posixpath.join(event.cwd, root)),
        env=environment,
        needs=needs,
        full_needs=needs,
        background=False,
        declared_background=declared,
        background_output=job.background_output,
        description=job.description,
        fail_text=job.fail_text,
        interactive=job.interactive,
        tags=job.tags,
        timeout_s=job.timeout_s if job.has_timeout else options.timeout_s,
        priority=job.priority,
        log=_log_policy(job.log, configuration.log),
        skip=skips.get(job.name),
    )


def _command(
    event: Event,
    configuration: Configuration,
    job: JobConfig,
    facts: Facts,
    values: Mapping[str, str],
) -> str:
    if job.script is not None:
        path = shlex.quote(script_path(event, configuration, job))
        words = [substitute(job.runner, values), path, substitute(job.args, values)]
        command = " ".join(word for word in words if word)
    else:
        text = job.run.get("", job.run.get(facts.system, ""))
        command = substitute(text, values)
    if configuration.rc is not None and command.strip():
        rc = shlex.quote(posixpath.join(files_of(event), configuration.rc))
        command = f". {rc} && {{\n{command}\n}}"
    return command


def _log_policy(own: LogConfig, general: LogConfig) -> LogPolicy:
    usual = LogPolicy()

    def first(*candidates: int | None, default: int) -> int:
        return next((value for value in candidates if value is not None), default)

    return LogPolicy(
        retention_s=first(own.retention_s, general.retention_s, default=usual.retention_s),
        limit_bytes=first(
            own.max_log_size_bytes, general.max_log_size_bytes, default=usual.limit_bytes
        ),
        keep_every_nth=max(1, first(own.sampling_every_nth, general.sampling_every_nth, default=1)),
    )


def _background_names(
    hook: HookConfig, running: Sequence[JobSpec], options: Options, notices: list[str]
) -> set[str]:
    """Return the jobs meant for the background, before promotion."""
    declared = {spec.name for spec in running if spec.declared_background}
    if options.placement is Placement.FOREGROUND:
        return set()
    kind = HOOK_TYPES.get(hook.name)
    if kind is not None and kind.precedes_work:
        if declared or options.placement is Placement.BACKGROUND:
            notices.append(f"{hook.name} must finish first: its jobs run in the foreground")
        return set()
    wanted = declared
    if options.placement is Placement.BACKGROUND:
        if _mode(hook) is not RunMode.PARALLEL:
            notices.append(f"{hook.name} declares an order: its jobs run in the foreground")
        else:
            wanted = {spec.name for spec in running}
    attached = {spec.name for spec in running if spec.interactive and spec.name in wanted}
    notices.extend(
        f"job '{name}' promoted to foreground (it is interactive)" for name in sorted(attached)
    )
    return wanted - attached
