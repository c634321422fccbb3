"""Firing a hook: the one entry point for every verb.

load -> consent -> plan -> record -> foreground -> background -> outcome. Trouble with the store
or the log never changes what a hook achieved; a broken configuration never turns a gate off.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Mapping

from attrs import evolve, field, frozen

from daft_coordinator.errors import CoordinatorUnavailable
from daft_protocol.jobs import InvocationSpec, Job, JobSpec, Skip
from daft_protocol.names import new_invocation_id
from daft_protocol.status import EndReason, JobStatus, SkipKind

from .consent import Consenting, obtain, remember_skipped, still_skipped
from .discovery import Loaded
from .domain.config import Configuration, HookConfig
from .domain.event import Event
from .domain.moves import must_finish_first
from .domain.planning import Options, Placement, Plan, hopeless
from .domain.replay import is_of_a_move
from .domain.retaining import declared_policy
from .domain.specs import files_of
from .domain.trust import Consent
from .errors import RegistryUnavailable, UnplannableHook
from .hooktypes import HOOK_TYPES, FailMode
from .legacy import with_scripts
from .ports import FireObserver, JobEngine
from .preparing import prepare
from .sealing import Sealed
from .settings import HookSettings

ERROR_LINES = 20


class FireStatus(enum.Enum):
    """How a fire went, for the verb that made it."""

    RAN = "ran"
    SKIPPED = "skipped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@frozen(kw_only=True)
class FireOutcome:
    """What became of a fire. Background jobs never change it.

    reason: why it was skipped, or what could not be planned.
    job, command, exit_code, error_lines: of the first job that failed, in declaration order.
    by_signal: a signal ended it, or its time limit; then exit_code is 128 and more, or 124.
    was_interrupted: jobs were cancelled, also where another had failed before.
    consent: set when consent was missing; seen: what it was missing for.
    """

    hook: str
    status: FireStatus
    fail_mode: FailMode
    invocation_id: str | None = None
    reason: str = ""
    job: str | None = None
    command: str = ""
    exit_code: int | None = None
    by_signal: bool = False
    was_interrupted: bool = False
    fail_text: str = ""
    error_lines: tuple[str, ...] = ()
    background: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    consent: Consent | None = None
    seen: Loaded | None = None

    @property
    def ok(self) -> bool:
        """True when nothing failed."""
        return self.status in (FireStatus.RAN, FireStatus.SKIPPED)

    @property
    def must_stop(self) -> bool:
        """True when the verb must not go on."""
        if self.was_interrupted or self.status is FireStatus.INTERRUPTED:
            return True  # whoever says stop means all of it, whatever a failure would mean
        return self.status is FireStatus.FAILED and self.fail_mode is FailMode.ABORT


@frozen(kw_only=True)
class Firing:
    """What all fires of one command share.

    engine: called when there is something to record or run, not before.
    consenting: where consent is looked for; None bypasses it (a hook run by hand).
    environment: what jobs inherit.
    plugins: who supplies `uses:` jobs; None: the installed packages.
    """

    engine: Callable[[], JobEngine]
    observer: FireObserver
    settings: HookSettings = field(factory=HookSettings)
    consenting: Consenting | None = None
    options: Options = field(factory=Options)
    environment: Mapping[str, str] = field(factory=lambda: dict(os.environ))
    plugins: tuple[object, ...] | None = None


def fire(event: Event, loaded: Loaded | None, firing: Firing) -> FireOutcome:
    """Fire the hook (or task) that `event` names, by the configuration in `loaded`.

    Where it says nothing of the hook, the hook's executable files run, see `legacy`.
    Raises: BadConfiguration before anything runs; BadSelection.
    """
    kind = HOOK_TYPES.get(event.hook)
    usual = FailMode.WARN if kind is None else kind.default_fail_mode
    reason = _not_at_all(event, firing.settings)
    found = None if reason is not None else _look_up(event, loaded, firing.settings)
    if found is None:
        if reason is None:
            reason = "no daft.yml" if loaded is None else "not defined"
        return FireOutcome(
            hook=event.hook, status=FireStatus.SKIPPED, fail_mode=usual, reason=reason
        )
    loaded, hook = found.loaded, found.hook
    fail_mode = firing.settings.fail_modes.get(event.hook) or hook.fail_mode or usual
    options = _with_environment(firing)
    if event.move is not None:
        fail_mode = FailMode.WARN  # the worktree moves whatever its hooks say
        if must_finish_first(event) and options.placement is not Placement.OFF:
            options = evolve(options, placement=Placement.FOREGROUND)
    if (
        event.merge is not None
        and event.merge.takes_places_away
        and options.placement is Placement.BACKGROUND
    ):
        options = evolve(options, placement=Placement.AUTO)  # only what says so itself runs on
    whole = options.placement is Placement.OFF or options.selectors.skips_whole(hook.name)
    if not whole:
        for notice in found.notices:
            firing.observer.notice(f"warning: {notice}")
    if firing.consenting is not None and not whole and found.needs_consent:
        # By what would run now and here, wherever the configuration itself came from.
        loaded = loaded.seen_in(files_of(event), (event.source_worktree, event.project_root))
        consent = obtain(event, loaded, firing.consenting)
        if not consent.allowed:
            _record_unallowed(event, consent, firing)
            # A gate that does not run is not passed, unless its failure would only warn.
            is_gate = kind is not None and kind.is_gate
            return FireOutcome(
                hook=event.hook,
                status=FireStatus.FAILED if is_gate else FireStatus.SKIPPED,
                fail_mode=fail_mode,
                reason=consent.reason,
                consent=consent,
                seen=loaded,
            )
        if hook.jobs:
            _forget_skipped(event, firing)
    try:
        made = prepare(
            event,
            found.configuration,
            hook,
            options,
            firing.environment,
            warn=firing.observer.notice,
            plugins=firing.plugins,
            seals=None if firing.consenting is None else loaded.sealed.files,
        )
    except UnplannableHook as error:
        return FireOutcome(
            hook=event.hook, status=FireStatus.FAILED, fail_mode=fail_mode, reason=str(error)
        )
    if made.skip_reason is not None:
        if not whole or _would_be_allowed(event, loaded, firing, found.needs_consent):
            _record_skipped(event, made.skip_reason, firing)
        return FireOutcome(
            hook=event.hook,
            status=FireStatus.SKIPPED,
            fail_mode=fail_mode,
            reason=made.skip_reason,
        )
    if firing.consenting is not None:
        made = _sealed(made, loaded.sealed, event)
    if not whole and loaded.files:  # executable files alone declare nothing
        source = os.path.join(event.worktree_path, loaded.files[0])
        firing.engine().declare_retention(declared_policy(found.configuration, hook, source))
    return carry_out(made, invocation_of(event), firing, fail_mode)


@frozen(kw_only=True)
class _Found:
    """What a fire is about. configuration: as its jobs are to be planned by."""

    loaded: Loaded
    hook: HookConfig
    configuration: Configuration
    notices: tuple[str, ...] = ()
    needs_consent: bool = True


def _look_up(event: Event, loaded: Loaded | None, settings: HookSettings) -> _Found | None:
    """Return what runs for `event`, None when nothing is defined. Raises: BadConfiguration."""
    if loaded is not None:
        configuration = loaded.configuration
        hook = _hook_of(configuration, event)
        if hook is not None:
            return _Found(loaded=loaded, hook=hook, configuration=configuration)
    if event.task is not None:
        return None
    put_in = with_scripts(loaded, files_of(event), settings.user_directory)
    script = None if put_in is None else put_in.scripts.get(event.hook)
    if put_in is None or script is None:
        return None
    configuration = put_in.loaded.configuration
    return _Found(
        loaded=put_in.loaded,
        hook=configuration.hooks[event.hook],
        configuration=evolve(configuration, rc=None),  # a file of its own, not a line of ours
        notices=script.notices,
        needs_consent=script.project is not None,
    )


def _sealed(made: Plan, sealed: Sealed, event: Event) -> Plan:
    """Bind every job to the files that consent was given for: whatever changes them ends it."""
    prefix = "" if event.task is None else "task "

    def bound(specs: tuple[JobSpec, ...]) -> tuple[JobSpec, ...]:
        return tuple(
            evolve(spec, seals=sealed.files_of(f"{prefix}{made.hook}/{spec.name}"))
            for spec in specs
        )

    return evolve(made, foreground=bound(made.foreground), background=bound(made.background))


def _not_at_all(event: Event, settings: HookSettings) -> str | None:
    if event.task is None and not settings.enabled:
        return "hooks are globally disabled"
    if event.hook in settings.disabled:
        return f"{event.hook} hook is disabled"
    return None


def _hook_of(configuration: Configuration, event: Event) -> HookConfig | None:
    if event.task is not None:
        return configuration.tasks.get(event.task)
    return configuration.hooks.get(event.hook)


def _with_environment(firing: Firing) -> Options:
    options = evolve(firing.options, timeout_s=firing.settings.timeout_s)
    # Any value counts, even an empty one: the promise of older scripts.
    if "DAFT_NO_BACKGROUND_JOBS" in firing.environment and options.placement is not Placement.OFF:
        return evolve(options, placement=Placement.FOREGROUND)
    return options


def _record_unallowed(event: Event, consent: Consent, firing: Firing) -> None:
    _record_skipped(event, consent.verdict.value, firing)
    assert firing.consenting is not None
    try:
        remember_skipped(firing.consenting.registry, event, consent)
    except RegistryUnavailable as error:
        # The hook is skipped and said to be; only its replay has to be asked for by name.
        firing.observer.notice(f"warning: it cannot be noted for a replay: {error}")


def _would_be_allowed(event: Event, loaded: Loaded, firing: Firing, needs_consent: bool) -> bool:
    """True when only the user's wish kept a hook from running. Nobody is asked."""
    if firing.consenting is None or not needs_consent:
        return True
    seen = loaded.seen_in(files_of(event), (event.source_worktree, event.project_root))
    return obtain(event, seen, evolve(firing.consenting, ask=None)).allowed


def _forget_skipped(event: Event, firing: Firing) -> None:
    """The hook may run now, whatever becomes of it: nothing is left to make up for.

    Unless the whole of it was skipped, and this fire runs only what tracks a move.
    """
    assert firing.consenting is not None
    try:
        if event.move is not None:
            earlier = still_skipped(firing.consenting.registry, event)
            if earlier is not None and not is_of_a_move(earlier):
                return
        firing.engine().fire_allowed(event.hook, event.label)
        firing.consenting.registry.forget_skipped(
            event.git_dir, hook=event.hook, worktree_id=event.worktree_id
        )
    except RegistryUnavailable as error:
        firing.observer.notice(f"warning: an earlier skip stays noted: {error}")


def _record_skipped(event: Event, reason: str, firing: Firing) -> None:
    firing.engine().skipped_fire(evolve(invocation_of(event), skip_reason=reason))


def invocation_of(event: Event) -> InvocationSpec:
    """Return a new invocation for a fire of `event`, without jobs yet."""
    return InvocationSpec(
        invocation_id=new_invocation_id(),
        hook_type=event.task or event.hook,
        trigger_command=event.trigger or event.hook,
        worktree=event.label,
        worktree_id=event.worktree_id,
        worktree_path=event.worktree_path,
        source=event.source,
    )


def carry_out(
    made: Plan, invocation: InvocationSpec, firing: Firing, fail_mode: FailMode
) -> FireOutcome:
    """Run a plan as `invocation`, whose own jobs do not count: foreground, then the rest."""
    return _Run(made, invocation, firing, fail_mode).carry_out()


def _as_declared(made: Plan) -> tuple[JobSpec, ...]:
    """Return what is recorded before anything runs, in the order it is written in."""
    place = {name: number for number, name in enumerate(made.origins)}
    last = len(place)
    specs = (*made.skipped, *made.foreground)
    return tuple(sorted(specs, key=lambda spec: place.get(spec.name, last)))


class _Run:
    """Carries out one plan."""

    def __init__(
        self, made: Plan, invocation: InvocationSpec, firing: Firing, fail_mode: FailMode
    ) -> None:
        self._plan = made
        self._firing = firing
        self._fail_mode = fail_mode
        self._invocation = evolve(invocation, mode=made.mode, max_parallel=made.max_parallel)

    def carry_out(self) -> FireOutcome:
        firing, made = self._firing, self._plan
        for notice in made.notices:
            firing.observer.notice(notice)
        for spec in made.skipped:
            firing.observer.job_skipped(made.hook, spec)
        engine = firing.engine()
        if made.foreground:
            firing.observer.hook_started(made.hook, self._invocation.worktree, len(made.foreground))
        foreground = evolve(self._invocation, jobs=_as_declared(made))
        engine.submit(foreground, environment=firing.environment)
        jobs = engine.wait(self._invocation.invocation_id)
        interrupted = any(job.status is JobStatus.CANCELLED for job in jobs)
        background = self._background(engine, jobs, interrupted=interrupted)
        outcome = self._outcome(engine, jobs, background, interrupted=interrupted)
        if made.foreground:
            firing.observer.hook_finished(made.hook, outcome.ok)
        return outcome

    def _background(
        self, engine: JobEngine, jobs: tuple[Job, ...], *, interrupted: bool
    ) -> tuple[str, ...]:
        """Hand over what is left; return the names of jobs that go on after us."""
        if not self._plan.background:
            return ()
        foreground = {spec.name for spec in self._plan.foreground}
        failed = {
            job.name: job.status.value
            for job in jobs
            if job.name in foreground and job.status is not JobStatus.COMPLETED
        }
        specs = hopeless(self._plan, failed)
        if interrupted:
            specs = tuple(_as_cancelled(spec) for spec in specs)
        invocation = evolve(self._invocation, jobs=specs)
        environment = self._firing.environment
        try:
            submission = engine.submit_background(invocation, environment=environment)
        except CoordinatorUnavailable as error:
            if not error.is_told:
                self._firing.observer.notice(
                    f"warning: {error}; background jobs run in the foreground"
                )
            engine.take_over(invocation.invocation_id, environment=environment)
            engine.wait(invocation.invocation_id)
            return ()
        names = tuple(job.name for job in submission.jobs if job.status is JobStatus.QUEUED)
        if names:
            self._firing.observer.background_submitted(self._plan.hook, names)
        return names

    def _outcome(
        self,
        engine: JobEngine,
        jobs: tuple[Job, ...],
        background: tuple[str, ...],
        *,
        interrupted: bool,
    ) -> FireOutcome:
        base = FireOutcome(
            hook=self._plan.hook,
            status=FireStatus.RAN,
            fail_mode=self._fail_mode,
            invocation_id=self._invocation.invocation_id,
            background=background,
            unmatched=self._plan.unmatched,
            was_interrupted=interrupted,
        )
        order = {spec.name: place for place, spec in enumerate(self._plan.foreground)}
        failed = sorted(
            (
                job
                for job in jobs
                if job.name in order and job.status in (JobStatus.FAILED, JobStatus.CRASHED)
            ),
            key=lambda job: order[job.name],
        )
        if not failed:
            if interrupted:
                return evolve(base, status=FireStatus.INTERRUPTED, exit_code=130)
            if self._plan.runs:
                return base
            return evolve(base, status=FireStatus.SKIPPED, reason=_why_nothing_ran(self._plan))
        first = failed[0]
        timed_out = first.end_reason is EndReason.TIMEOUT
        return evolve(
            base,
            status=FireStatus.FAILED,
            job=first.name,
            command=first.spec.command,
            exit_code=124 if timed_out else first.shell_exit_code,
            by_signal=timed_out or first.term_signal is not None,
            reason=first.end_detail or "",
            fail_text=first.spec.fail_text,
            error_lines=engine.error_tail(first, ERROR_LINES),
        )


def _why_nothing_ran(made: Plan) -> str:
    """Return the reason of a fire whose jobs are all skipped, each reason once.

    What was said of the jobs somebody chose matters more than that others were not chosen.
    """
    skips = [spec.skip for spec in made.skipped if spec.skip is not None]
    skips.sort(key=lambda skip: skip.kind is SkipKind.UNSELECTED)
    first, *others = dict.fromkeys(skip.reason for skip in skips) or ("no jobs declared",)
    count = "1 other reason" if len(others) == 1 else f"{len(others)} other reasons"
    return f"every job is skipped: {first}{f' (and {count})' if others else ''}"


def _as_cancelled(spec: JobSpec) -> JobSpec:
    return evolve(spec, needs=(), after=(), skip=Skip(kind=SkipKind.CANCELLED, reason="cancelled"))
