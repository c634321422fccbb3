"""`daft jobs retry`: jobs that did not end well, run again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping

import click
from attrs import evolve

from daft_coordinator.domain.retry import RetryRequest
from daft_coordinator.domain.retry_targets import Narrowing, RetryTarget, find
from daft_coordinator.errors import (
    DirectoryGone,
    MissingValues,
    NothingRecorded,
    StillRunning,
)
from daft_coordinator.retrying import Retrial, prepare
from daft_hooks import discovery, retrial
from daft_hooks.discovery import Loaded
from daft_hooks.domain.event import Event
from daft_hooks.firing import FireOutcome, FireStatus
from daft_hooks.hooktypes import HOOK_TYPES
from daft_protocol.jobs import Invocation, Job, JobSpec
from daft_protocol.messages import Wait
from daft_protocol.status import JobStatus, Source
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import INTERRUPTED, Trouble
from ..options import speaking
from ..place import discover
from ..recorded import LAST, Recorded
from ..terminal import harmless, warn
from .jobs import Outer

LOOKED_AT = 1000
"""Invocations that a bare name is looked for in, newest first."""


@click.command(name="retry")
@click.argument("target", default="")
@click.option("--hook", metavar="TYPE", help="The latest run of this hook.")
@click.option("--inv", "invocation", metavar="ID", help="This invocation.")
@click.option("--job", metavar="NAME", help="Only the job of this name.")
@click.option("--worktree", metavar="NAME", help="Of this worktree, which may be gone.")
@click.option("--cwd", metavar="DIR", help="Run all of it in DIR.")
@click.option("--skipped", is_flag=True, help="Also what its own condition skipped.")
@click.option("--current", is_flag=True, help="Run what daft.yml says today.")
@click.option("--recorded", is_flag=True, help="Run what ran before (the default).")
@click.option("--exclusive", is_flag=True, help="Refuse while the same job runs elsewhere.")
@click.option("--wait", is_flag=True, help="Wait for background jobs, too.")
@click.option("--no-fail", is_flag=True, help="Exit with 0 however the jobs end.")
@speaking
@click.pass_obj
def command(
    outer: Outer,
    target: str,
    hook: str | None,
    invocation: str | None,
    job: str | None,
    worktree: str | None,
    cwd: str | None,
    skipped: bool,
    current: bool,
    recorded: bool,
    exclusive: bool,
    wait: bool,
    no_fail: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Run failed jobs again. TARGET is a hook, an invocation, a job; without it, the latest run.

    What failed, was cancelled or crashed runs again, and what was skipped because of it.
    Exit code 1 when a job of the retry failed: a foreground job, with --wait any job.
    """
    outer.refuse_repo()
    outer.refuse_all()
    if current and recorded:
        raise click.UsageError("--current is not allowed with --recorded")
    if target and job is not None:
        raise click.UsageError("--job is not allowed with TARGET")
    directory = None if cwd is None else _directory(cwd)
    narrowing = Narrowing(
        hook=hook,
        invocation=invocation,
        job=job,
        worktree=worktree or outer.worktree,
    )
    with Session(discover(), quiet=quiet, verbose=verbose) as session:
        meant = _last_shown(narrowing) if target == LAST else _find(session, target, narrowing)
        request = RetryRequest(
            invocation_id=meant.invocation_id,
            jobs=None if meant.job is None else (meant.job,),
            skipped=skipped,
            working_dir=directory,
            exclusive=exclusive,
            trigger=f"hooks jobs retry {meant.said}".strip(),
        )
        made = _prepare(session, request, current=current)
        if not made.plan.specs:
            session.say(_nothing(session.jobs.store().jobs_of(meant.invocation_id)))
            return 0
        for other in made.plan.overlapping:
            warn(
                f"{harmless(other.name)} runs for '{harmless(other.worktree)}' already "
                f"[{other.invocation_id[:4]}]; --exclusive refuses then"
            )
        outcome = retrial.retry(made, session.firing())
        code = _report(session, made, outcome, wait=wait)
        return 0 if no_fail and code != INTERRUPTED else code


# --- what is meant ----------------------------------------------------------------------------


def _directory(text: str) -> str:
    path = os.path.abspath(text)
    if not os.path.isdir(path):
        raise click.UsageError(f"--cwd: {text} is not a directory")
    return path


def _find(session: Session, target: str, narrowing: Narrowing) -> RetryTarget:
    if not session.jobs.has_history:
        raise Trouble("No invocations found: no job was ever recorded in this repository")
    here = session.repository.current
    return find(
        target,
        _runs(session),
        hook_types=HOOK_TYPES,
        current_worktree=None if here is None else here.label,
        narrowing=narrowing,
    )


def _last_shown(narrowing: Narrowing) -> RetryTarget:
    if narrowing != Narrowing():
        raise click.UsageError(f"'{LAST}' is one job or run: not with --hook, --inv, …")
    with Recorded() as here:
        found = here.target(LAST)
    said = f"{found.invocation_id[:8]}:{found.job_name or ''}".rstrip(":")
    return RetryTarget(invocation_id=found.invocation_id, job=found.job_name, said=said)


def _runs(session: Session) -> Iterator[tuple[Job, ...]]:
    store = session.jobs.store()
    for invocation in store.recent_invocations(limit=LOOKED_AT):
        jobs = store.jobs_of(invocation.invocation_id)
        if jobs:
            yield jobs


# --- whether it may be ------------------------------------------------------------------------


def _prepare(session: Session, request: RetryRequest, *, current: bool) -> Retrial:
    """Return what is to be run. Raises: Trouble, CoordinatorError."""
    store = session.jobs.store()
    jobs = store.jobs_of(request.invocation_id)
    source = store.invocation(request.invocation_id)
    if source is not None and any(one.worktree == source.worktree for one in store.unfinished()):
        # Whoever ran them may have died: the record comes first.
        session.jobs.repair()
        jobs = store.jobs_of(request.invocation_id)
    if source is None or not jobs:
        raise Trouble(f"invocation {request.invocation_id[:8]} was cleaned away meanwhile")
    place = _place(session, source)
    at = _spokesman(session, place)
    loaded = _load(session, at)
    event = None if at is None else _event(session, source, at)
    by_hand = _check_consent(session, loaded, event, _origin(session, source, jobs))
    values: Mapping[str, Mapping[str, str]] = {}
    if current or any(job.removed_env for job in jobs):
        today = _specs_today(session, source, jobs, place, loaded, needed=current)
        values = retrial.values_today(jobs, today)
        request = evolve(request, current=today) if current else request
    try:
        made = prepare(store, request, environment=dict(os.environ), values=values)
    except StillRunning as error:
        raise Trouble(
            str(error), tips=("wait for them: `daft jobs wait`, or stop them: `daft jobs cancel`",)
        ) from error
    except DirectoryGone as error:
        raise Trouble(f"{error}. Use --cwd to run it elsewhere") from error
    except MissingValues as error:
        raise Trouble(
            str(error),
            tips=(
                f"for example: {error.names[0]}=… daft jobs retry",
                "or have daft.yml set it: `env:`",
            ),
        ) from error
    except NothingRecorded as error:
        tips = ("leave out --current",) if error.is_current else ()
        raise Trouble(str(error), tips=tips) from error
    if loaded is None or by_hand:
        return made
    return retrial.sealed(made, loaded, is_elsewhere=request.working_dir is not None)


def _place(session: Session, source: Invocation) -> Worktree | None:
    """Return the worktree of an invocation, None when it is gone."""
    live = [one for one in session.repository.worktrees if not one.is_bare and not one.missing]
    by_path = [one for one in live if one.path == source.worktree_path]
    by_label = [one for one in live if one.label == source.worktree]
    return next(iter((*by_path, *by_label)), None)


def _spokesman(session: Session, place: Worktree | None) -> Worktree | None:
    """Return the worktree whose configuration consent is about: its own, else where we are."""
    if place is not None:
        return place
    live = (one for one in session.repository.worktrees if not (one.is_bare or one.missing))
    return session.repository.current or next(live, None)


def _load(session: Session, at: Worktree | None) -> Loaded | None:
    loaded = None if at is None else discovery.load(at.path)
    if at is None or loaded is None:
        return None
    return loaded.seen_in(at.path, (session.repository.project_root,))


def _origin(session: Session, source: Invocation, jobs: tuple[Job, ...]) -> Source:
    """Return what made an invocation in the first place, through all retries of it."""
    store = session.jobs.store()
    while source.source is Source.RETRY and jobs and jobs[0].retry_of is not None:
        before = store.invocation(jobs[0].retry_of[0])
        if before is None:
            return Source.HOOK  # cleaned away; the stricter rule holds
        source, jobs = before, store.jobs_of(before.invocation_id)
    return Source.HOOK if source.source is Source.RETRY else source.source


def _event(session: Session, source: Invocation, at: Worktree) -> Event:
    task = None if source.hook_type in HOOK_TYPES else source.hook_type
    return session.event(source.hook_type, "hooks-jobs-retry", at, task=task)


def _check_consent(
    session: Session, loaded: Loaded | None, event: Event | None, origin: Source
) -> bool:
    """Refuse a retry without consent; True when it needs none. Raises: Trouble."""
    consent = retrial.permission(
        session.consenting(), session.repository.common_dir, loaded, origin=origin, event=event
    )
    if consent.allowed:
        return False
    if retrial.was_run_by_hand(consent, origin):
        session.presenter.notice(f"note: {consent.reason}; retried as it was run by hand before")
        return True
    raise Trouble(
        f"not retried: {consent.reason}",
        tips=("look at what would run, and consent to it: `daft hooks trust`",),
    )


def _specs_today(
    session: Session,
    source: Invocation,
    jobs: tuple[Job, ...],
    place: Worktree | None,
    loaded: Loaded | None,
    *,
    needed: bool,
) -> Mapping[str, JobSpec]:
    if place is None or loaded is None:
        if needed:
            gone = f"worktree '{source.worktree}' is gone" if place is None else "no daft.yml"
            raise Trouble(f"--current: {gone}; leave it out to run what was recorded")
        return {}
    return retrial.specs_today(_event(session, source, place), loaded, session.firing())


# --- what came of it --------------------------------------------------------------------------


def _nothing(jobs: tuple[Job, ...]) -> str:
    if all(job.status is JobStatus.COMPLETED for job in jobs):
        return "Nothing to retry — all jobs succeeded."
    count = sum(job.status is JobStatus.SKIPPED for job in jobs)
    return f"Nothing to retry — no job failed; {count} skipped (--skipped runs them)."


def _report(session: Session, made: Retrial, outcome: FireOutcome, *, wait: bool) -> int:
    invocation_id = made.invocation.invocation_id
    store = session.jobs.store()
    if wait and outcome.background:
        with session.jobs.client() as client:
            client.wait(Wait(invocation_ids=(invocation_id,)))
    jobs = store.jobs_of(invocation_id)
    background = [job for job in jobs if job.spec.background and not job.status.is_final]
    done = [job for job in jobs if job not in background]
    if made.plan.left_out and not session.quiet:
        left = ", ".join(harmless(name) for name in made.plan.left_out)
        sys.stderr.write(f"not retried with it: {left} (retry the whole invocation for these)\n")
    session.say(_summary(invocation_id, done, len(background)))
    if outcome.status is FireStatus.INTERRUPTED:
        return INTERRUPTED
    looked_at = done if wait else [job for job in done if not job.spec.background]
    return 1 if any(_went_wrong(job) for job in looked_at) else 0


def _went_wrong(job: Job) -> bool:
    by_condition = job.status is JobStatus.SKIPPED and job.spec.skip is not None
    return not (job.status is JobStatus.COMPLETED or by_condition)


def _summary(invocation_id: str, done: list[Job], running: int) -> str:
    by_status = {
        status: [job for job in done if job.status is status]
        for status in (JobStatus.COMPLETED, JobStatus.CANCELLED, JobStatus.SKIPPED)
    }
    completed = by_status[JobStatus.COMPLETED]
    counted = (
        (sum(not job.spec.background for job in completed), "foreground done"),
        (sum(job.spec.background for job in completed), "background done"),
        (running, "background running"),
        (len(done) - sum(map(len, by_status.values())), "failed"),
        (len(by_status[JobStatus.CANCELLED]), "cancelled"),
        (len(by_status[JobStatus.SKIPPED]), "skipped"),
    )
    parts = ", ".join(f"{count} {what}" for count, what in counted if count)
    return (
        f"Retried {len(done) + running} job(s) in invocation {invocation_id[:4]} "
        f"({parts}). Check status: daft hooks jobs"
    )
