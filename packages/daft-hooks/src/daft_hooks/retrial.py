"""Retrying the jobs of a fire: whether it may be done, with which values, and carrying it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve

from daft_coordinator.domain import phases
from daft_coordinator.domain.retry import for_background
from daft_coordinator.retrying import Retrial
from daft_protocol.jobs import Job, JobSpec
from daft_protocol.status import Source

from .consent import Consenting, consent_for, obtain
from .discovery import Loaded
from .domain.event import Event
from .domain.planning import Plan
from .domain.trust import Consent, TrustLevel, Verdict, decide
from .domain.urls import normalised_url
from .errors import RegistryUnavailable
from .firing import FireOutcome, Firing, carry_out
from .hooktypes import HOOK_TYPES, FailMode
from .preparing import prepare

_BY_HAND = frozenset({Source.MANUAL, Source.TASK})


def permission(
    consenting: Consenting,
    common_dir: str,
    loaded: Loaded | None,
    *,
    origin: Source,
    event: Event | None = None,
) -> Consent:
    """Return whether recorded jobs may run again: as for a fire of what `loaded` says today.

    loaded: None when there is no configuration any more; then nothing can differ from what was
        consented to last, and only that consent itself counts.
    origin: what made the invocation in the first place. event: what the user is asked about, if
        that is wanted and nobody has to ask for less, see `was_run_by_hand`.
    """
    try:
        consent = _consent(consenting, common_dir, loaded)
    except RegistryUnavailable as error:
        return Consent(verdict=Verdict.UNTRUSTED, reason=str(error))
    if consent.allowed or was_run_by_hand(consent, origin) or loaded is None or event is None:
        return consent
    return obtain(event, loaded, consenting)


def was_run_by_hand(consent: Consent, origin: Source) -> bool:
    """True when a retry needs no consent on record, because the first run needed none.

    origin: what made the invocation in the first place. A refusal on record always counts.
    """
    return origin in _BY_HAND and consent.verdict is not Verdict.DENIED


def specs_today(event: Event, loaded: Loaded, firing: Firing) -> Mapping[str, JobSpec]:
    """Return what today's configuration makes of the jobs of a hook or task, by name.

    Asks the conditions, so consent comes first. Raises: BadConfiguration, UnplannableHook.
    """
    configuration = loaded.configuration
    hook = (
        configuration.tasks.get(event.task)
        if event.task is not None
        else configuration.hooks.get(event.hook)
    )
    if hook is None:
        return {}
    made = prepare(
        event,
        configuration,
        hook,
        firing.options,
        firing.environment,
        warn=firing.observer.notice,
        plugins=firing.plugins,
    )
    whole = (*made.foreground, *made.background)
    # `needs` there are cut to the phase; `full_needs` still has them all.
    restored = (evolve(spec, needs=spec.full_needs) for spec in whole)
    return {spec.name: spec for spec in (*restored, *made.skipped)}


def values_today(
    jobs: Iterable[Job], specs: Mapping[str, JobSpec]
) -> Mapping[str, Mapping[str, str]]:
    """Return job -> variables that were never stored, as today's configuration sets them."""
    return {
        job.name: {name: env[name] for name in job.removed_env if name in env}
        for job in jobs
        if job.name in specs and (env := specs[job.name].env)
    }


def sealed(made: Retrial, loaded: Loaded, *, is_elsewhere: bool) -> Retrial:
    """Bind the jobs of a retry to the files that today's consent is for.

    A file that only the record names stays bound to what it was. is_elsewhere: the user has
    chosen another directory, where the record's files are not.
    """
    task = "" if made.source.hook_type in HOOK_TYPES else "task "
    specs = tuple(
        evolve(
            spec,
            seals={
                **({} if is_elsewhere else spec.seals),
                **loaded.sealed.files_of(f"{task}{made.source.hook_type}/{spec.name}"),
            },
        )
        for spec in made.invocation.jobs
    )
    return evolve(made, invocation=evolve(made.invocation, jobs=specs))


def retry(retrial: Retrial, firing: Firing) -> FireOutcome:
    """Run a retry as a fire runs: the foreground here, then what is left in the background."""
    specs = retrial.invocation.jobs
    running = [spec for spec in specs if spec.skip is None]
    detached = for_background(running)
    if "DAFT_NO_BACKGROUND_JOBS" in firing.environment:
        detached = frozenset()
    foreground, background = phases.cut(running, detached)
    made = Plan(
        hook=retrial.source.hook_type,
        mode=retrial.invocation.mode,
        foreground=foreground,
        background=background,
        skipped=tuple(spec for spec in specs if spec.skip is not None),
    )
    return carry_out(made, evolve(retrial.invocation, jobs=()), firing, FailMode.WARN)


def _consent(consenting: Consenting, common_dir: str, loaded: Loaded | None) -> Consent:
    if loaded is not None:
        return consent_for(
            consenting.registry,
            common_dir,
            loaded,
            remote_url=consenting.remote_url,
            default=consenting.default,
        )
    entry = consenting.registry.get(common_dir)
    last = list(entry.approved) if entry is not None and entry.level is TrustLevel.ALLOW else []
    url = consenting.remote_url
    return decide(
        entry,
        fingerprint=None if url is None else normalised_url(url),
        digest=last[-1] if last else "",
        patterns=consenting.registry.patterns(),
        common_dir=common_dir,
        default=consenting.default,
    )
