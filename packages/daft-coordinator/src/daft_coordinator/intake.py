"""Work that reaches a leader over the wire: what was recorded already, and what is retried."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from daft_protocol import handing
from daft_protocol.handing import Accepted, Error, Submit
from daft_protocol.jobs import SPEC_VERSION
from daft_protocol.status import JobStatus

from .errors import (
    AlreadyRunning,
    AmbiguousAddress,
    CoordinatorError,
    JobNotFound,
    NotRetryable,
    StillRunning,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from daft_protocol.messages import Response, Retry

    from .leader import Leader

Answer = TypeVar("Answer")

DEFAULT_UMASK = 0o022
NOTHING_TO_RETRY = "nothing to retry: no job of that invocation ended badly"


def handle(leader: Leader, request: Submit) -> Response:
    """Answer a submission; see `answered`."""
    return answered(lambda: submit(leader, request))


def answered(act: Callable[[], Answer]) -> Answer | Error:
    """Return what `act` answers. Trouble becomes an `Error` answer; it never ends the leader."""
    try:
        return act()
    except AmbiguousAddress as error:
        return Error(code=handing.AMBIGUOUS, message=str(error))
    except JobNotFound as error:
        return Error(code=handing.JOB_NOT_FOUND, message=str(error))
    except StoreUnavailable as error:
        return Error(code=handing.BUSY, message=str(error))
    except CoordinatorError as error:
        return Error(code=handing.INTERNAL, message=str(error))
    except (ValueError, OverflowError) as error:
        # JSON has half characters and numbers beyond any column; the store has neither.
        return Error(code=handing.BAD_PAYLOAD, message=f"a value cannot be used: {error}")


def submit(leader: Leader, request: Submit) -> Response:
    """Run an invocation whose rows are committed."""
    if leader.is_leaving:
        return _leaving()
    mine = leader.station.invocation_id
    if mine is not None and request.invocation_id != mine:
        return Error(
            code=handing.FORBIDDEN,
            message=f"this coordinator runs invocation {mine[:8]} and nothing else",
        )
    if request.spec_version > SPEC_VERSION:
        return Error(
            code=handing.NEWER_SPEC,
            message=f"the coordinator that runs (daft {leader.version}) is older than these jobs; "
            "they wait until it has finished",
        )
    if leader.coordinator.store.invocation(request.invocation_id) is None:
        return Error(
            code=handing.JOB_NOT_FOUND,
            message=f"invocation {request.invocation_id} is not recorded; record it first",
        )
    position = _queued(leader)
    leader.coordinator.take_over(
        request.invocation_id,
        environment=request.environment,
        umask=_umask(request.umask),
        secrets=request.secrets,
    )
    return Accepted(invocation_id=request.invocation_id, position=position)


def retry(leader: Leader, request: Retry) -> Response:
    """Record a retry and run it. Asked again under the same id, it is only confirmed."""
    from . import retrying  # a leader is started for what is new
    from .domain.retry import RetryRequest

    if leader.is_leaving:
        return _leaving()
    coordinator = leader.coordinator
    again = request.as_invocation
    if again is not None and coordinator.store.invocation(again) is not None:
        return Accepted(invocation_id=again, position=_queued(leader))
    environment = dict(os.environ) if request.environment is None else request.environment
    try:
        retrial = retrying.prepare(
            coordinator.store,
            RetryRequest(
                invocation_id=request.invocation_id,
                jobs=request.jobs,
                skipped=request.skipped,
                working_dir=request.working_dir,
                exclusive=request.exclusive,
            ),
            environment=environment,
            values=request.secrets,
            as_invocation=again,
        )
        if not retrial.plan.specs:
            return Error(code=handing.NO_MATCH, message=NOTHING_TO_RETRY)
        position = _queued(leader)
        coordinator.submit(
            retrying.detached(retrial), environment=environment, umask=_umask(request.umask)
        )
    except (StoreUnavailable, JobNotFound):
        raise  # they have codes of their own everywhere
    except CoordinatorError as error:
        return Error(code=why_not_retried(error), message=str(error))
    return Accepted(invocation_id=retrial.invocation.invocation_id, position=position)


def why_not_retried(error: CoordinatorError) -> str:
    """Return the code by which a client is told why jobs cannot be retried."""
    match error:
        case StillRunning() | AlreadyRunning():
            return handing.BUSY
        case NotRetryable() | JobNotFound():
            return handing.JOB_NOT_FOUND
        case _:
            return handing.CANNOT_RETRY


def _queued(leader: Leader) -> int:
    """Return how many jobs wait here: of the whole repository, for who leads that."""
    jobs = leader.coordinator.store.unfinished()
    if leader.station.invocation_id is not None:
        jobs = tuple(job for job in jobs if job.owner == leader.coordinator.owner.id)
    return sum(job.status is JobStatus.QUEUED for job in jobs)


def _umask(given: int | None) -> int:
    return DEFAULT_UMASK if given is None else given


def _leaving() -> Error:
    return Error(code=handing.SHUTTING_DOWN, message="the coordinator is about to leave")
