"""From an event, a configuration and facts to a plan: what runs, where, and why the rest does not.

The plan is complete before the first process exists. What runs is what it says.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, field, frozen

from daft_protocol.jobs import JobSpec, RunMode, Skip
from daft_protocol.status import SkipKind

from ..errors import Mark, UnplannableHook
from .changes import Listing, is_file_aware, selected, why_nothing
from .conditions import EVENTS_OWN, Facts, UnknownChanges, reason_to_skip
from .config import Condition, Configuration, HookConfig, JobConfig
from .event import Event
from .globs import BadGlob
from .placing import Placement, mode_of, place
from .selection import Narrowing, Selectors, drop, untracked
from .soundness import check_narrowing, check_soundness, check_takes_arguments
from .specs import Making, make_spec, making
from .templates import substitute

__all__ = ["Options", "Placement", "Plan", "hopeless", "plan"]


@frozen(kw_only=True)
class Plan:
    """What a fire will do.

    foreground, background: jobs to run. skipped: jobs that are only recorded.
    notices: lines for people: promotions, a placement that was declined, selectors in vain.
    skip_reason: set when the whole fire is skipped.
    max_parallel: most jobs at one time, None for as many as there are workers.
    origins: job -> where it is written.
    """

    hook: str
    mode: RunMode = RunMode.PARALLEL
    max_parallel: int | None = None
    foreground: tuple[JobSpec, ...] = ()
    background: tuple[JobSpec, ...] = ()
    skipped: tuple[JobSpec, ...] = ()
    notices: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    skip_reason: str | None = None
    origins: Mapping[str, Mark] = field(factory=dict, eq=False)

    @property
    def runs(self) -> bool:
        """True when there is any job to run."""
        return bool(self.foreground or self.background)


@frozen(kw_only=True)
class Options:
    """What the caller asks for.

    timeout_s: for jobs that set none; None is no limit.
    arguments: words for the only job there is to run.
    is_attached: the only job there is to run gets the terminal, without a time limit.
    """

    selectors: Selectors = field(factory=Selectors)
    narrowing: Narrowing = field(factory=Narrowing)
    placement: Placement = Placement.AUTO
    timeout_s: float | None = 300.0
    arguments: tuple[str, ...] = ()
    is_attached: bool = False


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
    made = making(
        event,
        configuration,
        hook,
        facts,
        timeout_s=options.timeout_s,
        arguments=options.arguments,
        is_attached=options.is_attached,
    )
    whole = _whole(made, options)
    if whole is not None:
        return whole
    check_soundness(hook)
    check_narrowing(hook, options.narrowing)
    dropped = drop(
        hook.jobs,
        exclude_tags=hook.exclude_tags,
        selectors=options.selectors,
        narrowing=options.narrowing,
    )
    skips = dict(dropped.skips)
    if event.move is not None:
        skips = {**untracked(hook.jobs, event.move.changed), **skips}
    changed: dict[str, tuple[str, ...]] = {}
    for job in hook.jobs:
        if job.name not in skips:
            own = _own_skip(made, job, changed)
            if own is not None:
                skips[job.name] = own
    notices = _left_out(hook, skips) if options.narrowing else ()
    specs = {
        job.name: make_spec(made, job, skips=skips, changed=changed.get(job.name))
        for job in hook.jobs
    }
    running = [specs[job.name] for job in hook.jobs if job.name not in skips]
    placed = place(hook, running, _placement(event, options.placement))
    if options.arguments:
        check_takes_arguments(hook, placed)
    if options.is_attached and len(placed.foreground) == 1 and not placed.background:
        alone = evolve(placed.foreground[0], interactive=True, timeout_s=None)
        placed = evolve(placed, foreground=(alone,))
    return Plan(
        hook=hook.name,
        mode=mode_of(hook),
        max_parallel=hook.max_parallel,
        foreground=placed.foreground,
        background=placed.background,
        skipped=tuple(specs[job.name] for job in hook.jobs if job.name in skips),
        notices=(*notices, *placed.notices),
        unmatched=dropped.unmatched,
        origins=_origins(hook),
    )


def _placement(event: Event, wanted: Placement) -> Placement:
    """Return where jobs go. A tree that only the merge made goes away before they would run."""
    short_lived = event.merge is not None and event.merge.is_ephemeral
    return Placement.AUTO if short_lived and wanted is Placement.BACKGROUND else wanted


def _whole(made: Making, options: Options) -> Plan | None:
    """Return the plan of a fire that is decided as a whole, None when its jobs decide."""
    hook, selectors = made.hook, options.selectors
    reason: str | None = None
    if options.placement is Placement.OFF:
        reason = "skipped by --hooks off"
    elif selectors.everything:
        reason = "all hooks skipped by request"
    elif hook.name in selectors.hooks and made.event.task is None:
        skip = Skip(kind=SkipKind.TAG, reason="requested (--skip-hooks)")
        skips = {job.name: skip for job in hook.jobs}
        if not skips:
            return Plan(hook=hook.name, skip_reason=f"{hook.name} skipped by request")
        return Plan(
            hook=hook.name,
            mode=mode_of(hook),
            skipped=tuple(make_spec(made, job, skips=skips) for job in hook.jobs),
            origins=_origins(hook),
        )
    else:
        reason = _reason(made, hook.skip, hook.only, hook.mark)
        if reason is None and not hook.jobs and not hook.faults:
            reason = "no jobs declared"
    return None if reason is None else Plan(hook=hook.name, skip_reason=reason)


def _origins(hook: HookConfig) -> dict[str, Mark]:
    return {job.name: job.mark for job in hook.jobs}


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
        evolve(
            spec, skip=Skip(kind=SkipKind.DEP_FAILED, reason=reasons[spec.name]), needs=(), after=()
        )
        if spec.name in reasons
        else evolve(
            spec,
            needs=tuple(name for name in spec.needs if name not in reasons),
            after=tuple(name for name in spec.after if name not in reasons),
        )
        for spec in plan.background
    )


def _own_skip(made: Making, job: JobConfig, changed: dict[str, tuple[str, ...]]) -> Skip | None:
    """Return why a job does not run; add the files it was chosen for to `changed`."""
    facts = made.facts
    if job.arch and facts.machine not in job.arch:
        reason = f"not on {', '.join(job.arch)} (this is {facts.machine})"
        return Skip(kind=SkipKind.ARCH, reason=reason)
    if job.run and "" not in job.run and facts.system not in job.run:
        return Skip(kind=SkipKind.PLATFORM, reason=f"no command for {facts.system}")
    for skip, only in (*job.outer, (job.skip, job.only)):
        why = _reason(made, skip, only, job.mark)
        if why is not None:
            return Skip(kind=SkipKind.CONDITION, reason=why)
    if not is_file_aware(job):
        return None
    files = _listing(made, job).files
    exclude = (*job.exclude, *made.hook.exclude)
    try:
        chosen = selected(files, job.glob, exclude)
    except BadGlob as error:
        raise UnplannableHook(f"job '{job.name}': {error}", job.mark) from error
    if not chosen:
        return Skip(kind=SkipKind.GLOB, reason=why_nothing(job, exclude, files))
    changed[job.name] = chosen
    return None


def _reason(made: Making, skip: Condition | None, only: Condition | None, mark: Mark) -> str | None:
    try:
        return reason_to_skip(skip, only, made.facts)
    except UnknownChanges as error:
        raise UnplannableHook(str(error), mark) from error


def _listing(made: Making, job: JobConfig) -> Listing:
    """Return the files a job may be chosen for. Raises: UnplannableHook when nobody knows."""
    source = EVENTS_OWN
    if job.files is not None:
        source = substitute(job.files, {**made.values, "job_name": job.name})
    listing = made.facts.listings.get(source)
    if listing is None:
        listing = Listing(
            error=f"need a changed-file source: {made.event.hook} has none; add `files:`, a command"
        )
    if listing.error is not None:
        raise UnplannableHook(f"job '{job.name}': {listing.error}", job.mark)
    return listing


def _left_out(hook: HookConfig, skips: Mapping[str, Skip]) -> tuple[str, ...]:
    """Return a line that names what selected jobs need and is not selected."""
    found = dict.fromkeys(
        name
        for job in hook.jobs
        if job.name not in skips
        for name in job.needs
        if name in skips and skips[name].kind is SkipKind.UNSELECTED
    )
    if not found:
        return ()
    return (f"not run, although needed: {', '.join(found)} (--with-needs runs them, too)",)
