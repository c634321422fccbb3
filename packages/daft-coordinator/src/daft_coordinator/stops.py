"""What a cancel on the wire means, and what its answer says. The same with a leader or without."""

from __future__ import annotations

from collections.abc import Sequence
from signal import SIGTERM, Signals

from daft_protocol.jobs import Job
from daft_protocol.messages import CancelAll, Cancelled, CancelMatching, CancelResult

from .domain.cancel import CancelAction, Manner, Selection
from .ports import Delivery, JobStore

NO_MATCH = "no unfinished job fits"
REFUSED = Delivery.REFUSED.value
SURVIVED = "survived"


def selection_of(request: CancelMatching | CancelAll) -> Selection:
    """Return which jobs are meant."""
    if isinstance(request, CancelAll):
        return Selection()
    return Selection(
        job_uids=request.job_uids,
        job_name=request.job_name,
        worktree=request.worktree,
        hook_type=request.hook,
        tag=request.tag,
        invocation=request.invocation_prefix,
        older_than_s=request.older_than_secs,
    )


def manner_of(request: CancelMatching | CancelAll) -> Manner:
    """Return how they are stopped. Raises: ValueError for a signal that there is not."""
    first = SIGTERM
    if isinstance(request, CancelMatching) and request.signal is not None:
        first = signal_called(request.signal)
    grace_s = None if request.grace_ms is None else request.grace_ms / 1000
    return Manner(kill=request.kill, signal=first, grace_s=grace_s)


def signal_called(name: str) -> Signals:
    """Return a signal by its name, with or without SIG, in any case. Raises: ValueError."""
    text = name.upper().removeprefix("SIG")
    for one in Signals:
        if one.name == f"SIG{text}":
            return one
    raise ValueError(f"no signal is called {name!r}")


def not_stopped(
    store: JobStore, request: CancelMatching | CancelAll, done: tuple[CancelResult, ...]
) -> tuple[CancelResult, ...]:
    """Return what became of jobs that were named and needed no stop, or are not there."""
    if isinstance(request, CancelAll):
        return ()
    found: list[CancelResult] = []
    known = {result.job_uid for result in done}
    for uid in request.job_uids or ():
        job = None if uid in known else store.job(uid)
        if uid in known or (job is not None and not job.status.is_final):
            continue  # stopped just now, or left out by another predicate
        found.append(
            CancelResult(
                job_uid=uid,
                name="" if job is None else job.name,
                outcome="not found" if job is None else "already finished",
                status="" if job is None else job.status.value,
                invocation_id="" if job is None else job.invocation_id,
                worktree="" if job is None else job.worktree,
            )
        )
    return tuple(found)


def settled(store: JobStore, done: tuple[CancelResult, ...]) -> tuple[CancelResult, ...]:
    """Return the results with the statuses of now; what is not final has survived.

    Of those, the ones that may not be signalled stay told apart.
    """
    final: list[CancelResult] = []
    for result in done:
        job = store.job(result.job_uid)
        outcome = result.outcome
        if job is not None and not job.status.is_final:
            outcome = REFUSED if outcome == REFUSED else SURVIVED
        elif outcome == REFUSED:
            outcome = "already finished"  # by itself, or by somebody who may
        final.append(
            CancelResult(
                job_uid=result.job_uid,
                name=result.name,
                outcome=outcome,
                status=result.status if job is None else job.status.value,
                invocation_id=result.invocation_id,
                worktree=result.worktree,
            )
        )
    return tuple(final)


def refusal(store: JobStore, results: Sequence[CancelResult]) -> str:
    """Return one line about jobs that may not be signalled, and what to do about them."""
    jobs = [store.job(one.job_uid) for one in results if one.outcome == REFUSED]
    return "; ".join(why_refused(job) for job in jobs if job is not None)


def why_refused(job: Job) -> str:
    """Return why a job could not be signalled, with the command for who may."""
    if job.process is None:
        return f"{job.name}: the system does not let us signal it"
    who = job.process
    whom = f"-- -{who.pgid}" if who.leads_group else str(who.pid)
    return f"{job.name}: its processes run as another user; stop them with `sudo kill {whom}`"


def is_refused(done: Sequence[CancelResult]) -> bool:
    """True when there was something to stop, and nothing of it may be signalled."""
    tried = [one for one in done if one.outcome != CancelAction.NOTHING.value]
    return bool(tried) and all(one.outcome == REFUSED for one in tried)


def answer(done: tuple[CancelResult, ...], others: tuple[CancelResult, ...] = ()) -> Cancelled:
    """Count what was stopped; the others are only among the results."""
    stopped = tuple(one for one in done if one.outcome not in _UNTOUCHED)
    return Cancelled(
        count=len(stopped),
        names=tuple(one.name for one in stopped),
        results=(*done, *others),
    )


_UNTOUCHED = (CancelAction.NOTHING.value, REFUSED)
