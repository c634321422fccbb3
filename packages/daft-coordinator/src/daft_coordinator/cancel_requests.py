"""Requests that stop jobs, and the answers that wait until they are gone."""

from __future__ import annotations

from signal import SIGTERM, Signals
from typing import TYPE_CHECKING

from daft_protocol import messages
from daft_protocol.messages import (
    Ack,
    CancelAll,
    CancelJob,
    Cancelled,
    CancelMatching,
    CancelResult,
    Error,
    Response,
)

from .domain.cancel import CancelAction, Manner, Selection
from .server import Connection, Operation
from .watching import Watching

if TYPE_CHECKING:
    from .leader import Leader


def named(leader: Leader, request: CancelJob) -> Response:
    """Stop every unfinished job of one name."""
    results = leader.coordinator.cancel(Selection(job_name=request.name))
    if not results:
        return Error(
            code=messages.JOB_NOT_FOUND,
            message=f"no unfinished job is called {request.name!r}",
        )
    return Ack(message=f"Cancelled job: {request.name}")


def everything(leader: Leader, request: CancelAll) -> Operation | Response:
    """Stop all there is."""
    results = leader.coordinator.cancel(
        Selection(), manner=Manner(kill=request.kill, grace_s=_grace_s(request))
    )
    if not request.wait:
        return Ack(message=f"Cancelled {len(results)} job(s)")
    return Cancelling(leader, results, request.grace_ms)


def matching(leader: Leader, request: CancelMatching) -> Operation | Response:
    """Stop what fits every predicate."""
    if not request.has_predicate:
        return Error(
            code=messages.BAD_PAYLOAD,
            message="CancelMatching needs at least one predicate; CancelAll stops everything",
        )
    selection = Selection(
        job_uids=request.job_uids,
        job_name=request.job_name,
        worktree=request.worktree,
        hook_type=request.hook,
        tag=request.tag,
        invocation=request.invocation_prefix,
        older_than_s=request.older_than_secs,
    )
    first = SIGTERM if request.signal is None else signal_number(request.signal)
    if first is None:
        return Error(code=messages.BAD_PAYLOAD, message=f"no signal is called {request.signal!r}")
    manner = Manner(kill=request.kill, signal=first, grace_s=_grace_s(request))
    done = leader.coordinator.cancel(selection, manner=manner)
    others = _not_stopped(leader, request, done)
    if request.wait and done:
        return Cancelling(leader, done, request.grace_ms, others=others)
    return _cancelled(done, others)


def _grace_s(request: CancelAll | CancelMatching) -> float | None:
    return None if request.grace_ms is None else request.grace_ms / 1000


def signal_number(name: str) -> int | None:
    """Return the number of a signal by its name, with or without SIG, in any case."""
    text = name.upper().removeprefix("SIG")
    return next((one for one in Signals if one.name == f"SIG{text}"), None)


def _not_stopped(
    leader: Leader, request: CancelMatching, done: tuple[CancelResult, ...]
) -> tuple[CancelResult, ...]:
    """Return what became of jobs that were named and needed no stop, or are not there."""
    found: list[CancelResult] = []
    known = {result.job_uid for result in done}
    for uid in request.job_uids or ():
        job = None if uid in known else leader.coordinator.store.job(uid)
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


def _cancelled(done: tuple[CancelResult, ...], others: tuple[CancelResult, ...] = ()) -> Cancelled:
    """Count what was stopped; the jobs that needed no stop are only among the results."""
    stopped = tuple(one for one in done if one.outcome != CancelAction.NOTHING.value)
    return Cancelled(
        count=len(stopped),
        names=tuple(one.name for one in stopped),
        results=(*done, *others),
    )


class Cancelling(Watching):
    """Answers a cancel that waits: when all are final, or when nothing more will help."""

    def __init__(
        self,
        leader: Leader,
        results: tuple[CancelResult, ...],
        grace_ms: int | None,
        *,
        others: tuple[CancelResult, ...] = (),
    ) -> None:
        policy = leader.coordinator.policy
        grace_s = policy.grace_s if grace_ms is None else grace_ms / 1000
        limit_s = grace_s + policy.give_up_s + policy.drain_s + 1.0
        super().__init__(leader, [result.job_uid for result in results], limit_s)
        self._results = results
        self._others = others

    def poll(self, connection: Connection) -> bool:
        """Answer once there is nothing to wait for."""
        if self.still_pending():
            return False
        store = self.leader.coordinator.store
        final: list[CancelResult] = []
        for result in self._results:
            job = store.job(result.job_uid)
            status = result.status if job is None else job.status.value
            survived = job is not None and not job.status.is_final
            final.append(
                CancelResult(
                    job_uid=result.job_uid,
                    name=result.name,
                    outcome="survived" if survived else result.outcome,
                    status=status,
                    invocation_id=result.invocation_id,
                    worktree=result.worktree,
                )
            )
        connection.send(_cancelled(tuple(final), self._others))
        return True
