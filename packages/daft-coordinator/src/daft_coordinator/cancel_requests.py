"""Requests that stop jobs, and the answers that wait until they are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from daft_protocol import messages
from daft_protocol.messages import (
    Ack,
    CancelAll,
    CancelJob,
    CancelMatching,
    CancelResult,
    Error,
    Response,
)

from . import stops
from .domain.cancel import Selection
from .server import Connection, Operation
from .watching import Watching

if TYPE_CHECKING:
    from .leader import Leader


def named(leader: Leader, request: CancelJob) -> Response:
    """Stop every unfinished job of one name."""
    results = leader.coordinator.cancel(_of(leader, Selection(job_name=request.name)))
    if not results:
        return Error(
            code=messages.JOB_NOT_FOUND,
            message=f"no unfinished job is called {request.name!r}",
        )
    if stops.is_refused(results):
        return _kill_failed(leader, results)
    return Ack(message=f"Cancelled job: {request.name}")


def everything(leader: Leader, request: CancelAll) -> Operation | Response:
    """Stop all there is."""
    done = leader.coordinator.cancel(_of(leader, Selection()), manner=stops.manner_of(request))
    if not request.wait:
        return Ack(message=f"Cancelled {len(done)} job(s)")
    return Cancelling(leader, done, request.grace_ms)


def matching(leader: Leader, request: CancelMatching) -> Operation | Response:
    """Stop what fits every predicate."""
    if not request.has_predicate:
        return Error(
            code=messages.BAD_PAYLOAD,
            message="CancelMatching needs at least one predicate; CancelAll stops everything",
        )
    coordinator = leader.coordinator
    wanted = _of(leader, stops.selection_of(request))
    done = coordinator.cancel(wanted, manner=stops.manner_of(request))
    if request.strict and not done:
        return Error(code=messages.NO_MATCH, message=stops.NO_MATCH)
    if request.strict and stops.is_refused(done):
        return _kill_failed(leader, done)
    others = stops.not_stopped(coordinator.store, request, done)
    if request.wait and done:
        return Cancelling(leader, done, request.grace_ms, others=others)
    return stops.answer(done, others)


def _of(leader: Leader, selection: Selection) -> Selection:
    """Narrow a selection to what a leader answers for: all there is, or one invocation's."""
    if leader.station.invocation_id is None:
        return selection
    return evolve(selection, owner=leader.coordinator.owner.id)


def _kill_failed(leader: Leader, done: tuple[CancelResult, ...]) -> Error:
    return Error(code=messages.KILL_FAILED, message=stops.refusal(leader.coordinator.store, done))


class Cancelling(Watching, Operation):
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
        if grace_ms is None:
            meant = {one.job_uid for one in results}
            unfinished = leader.coordinator.store.unfinished()
            allowed = [policy.grace_of(job) for job in unfinished if job.uid in meant]
            grace_s = max([grace_s, *allowed])
        limit_s = grace_s + policy.give_up_s + policy.drain_s + 1.0
        # What may not be signalled ends when it likes: nothing more will help.
        stopping = [one.job_uid for one in results if one.outcome != stops.REFUSED]
        super().__init__(leader, stopping, limit_s)
        self._results = results
        self._others = others

    def poll(self, connection: Connection) -> bool:
        """Answer once there is nothing to wait for."""
        if self.still_pending():
            return False
        final = stops.settled(self.leader.coordinator.store, self._results)
        connection.send(stops.answer(final, self._others))
        return True
