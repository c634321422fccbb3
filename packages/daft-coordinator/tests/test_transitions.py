"""From a status to those it may become: each change of `changes`, tried from every status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from daft_coordinator import changes
from daft_coordinator.domain.lifecycle import Ending, could_not_start
from daft_coordinator.ports import JobChange, changed
from daft_coordinator.testing.samples import a_job, a_process, an_invocation
from daft_protocol.jobs import Job
from daft_protocol.status import EndReason, JobStatus

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
Q, R, C = JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.CANCELLING
WRITTEN = [status for status in JobStatus if status is not JobStatus.UNKNOWN]

Change = Callable[[Job], JobChange]


def ended(status: JobStatus, reason: EndReason, **given: Any) -> Change:
    ending = Ending(status=status, reason=reason, **given)
    log = SimpleNamespace(bytes_written=1, records_written=1, dropped=0)
    return lambda job: changes.ended(
        SimpleNamespace(job=job, elapsed_ms=5, log=log),
        ending,
        LATER,  # type: ignore[arg-type]
    )


def found(status: JobStatus, reason: EndReason) -> Change:
    """An end that a reconciler records of the job as it was queued, running or being stopped."""
    return lambda job: changes.found_ended(job, Ending(status=status, reason=reason), LATER)


TABLE: dict[str, tuple[Change, set[JobStatus], JobStatus]] = {
    "started by its owner": (
        lambda job: changes.started(job.uid, a_process(), LATER, owner="me"),
        {Q},
        R,
    ),
    "could not start": (
        lambda job: changes.not_started(job, could_not_start("why", 127), LATER),
        {Q, R, C},
        JobStatus.FAILED,
    ),
    "skipped": (lambda job: changes.skipped(job.uid, "why", LATER), {Q}, JobStatus.SKIPPED),
    "cancelled in the queue": (
        lambda job: changes.dequeued(job.uid, "why", LATER),
        {Q},
        JobStatus.CANCELLED,
    ),
    "asked to stop": (lambda job: changes.cancelling(job.uid, LATER), {R}, C),
    "completed": (
        ended(JobStatus.COMPLETED, EndReason.EXIT, exit_code=0),
        {R},
        JobStatus.COMPLETED,
    ),
    "failed": (ended(JobStatus.FAILED, EndReason.EXIT, exit_code=3), {R}, JobStatus.FAILED),
    "timed out": (ended(JobStatus.FAILED, EndReason.TIMEOUT), {R}, JobStatus.FAILED),
    "stopped": (
        ended(JobStatus.CANCELLED, EndReason.CANCEL, exit_code=0),
        {R, C},
        JobStatus.CANCELLED,
    ),
    "nothing ends it": (ended(JobStatus.CRASHED, EndReason.CRASH), {R, C}, JobStatus.CRASHED),
    "its owner died": (found(JobStatus.CRASHED, EndReason.CRASH), {Q, R, C}, JobStatus.CRASHED),
    "given up by clean-up": (
        lambda job: changes.given_up(job.uid, LATER),
        {R},
        JobStatus.CANCELLED,
    ),
}


@pytest.mark.parametrize("status", WRITTEN)
@pytest.mark.parametrize("change", TABLE)
def test_a_status_becomes_only_what_it_may(store: Any, change: str, status: JobStatus) -> None:
    make, allowed, to = TABLE[change]
    fire = an_invocation()
    (job,) = store.record(fire, [a_job(fire, status=status, owner="me")])
    wanted = make(job)

    assert store.apply([wanted]) == (status in allowed,)

    after = store.job(job.uid)
    assert after == (changed(job, wanted) if status in allowed else job)
    assert after.status is (to if status in allowed else status)


def test_a_queued_job_is_started_by_its_owner_alone(store: Any) -> None:
    fire = an_invocation()
    (job,) = store.record(fire, [a_job(fire, owner="they")])

    assert store.apply([changes.started(job.uid, a_process(), LATER, owner="me")]) == (False,)
    assert store.apply([changes.started(job.uid, a_process(), LATER, owner="they")]) == (True,)

    started = store.job(job.uid)
    assert (started.started_at, started.process) == (LATER, a_process())


def test_the_code_of_a_job_that_was_stopped_is_kept(store: Any) -> None:
    fire = an_invocation()
    (job,) = store.record(fire, [a_job(fire, status=C, owner="me")])

    store.apply([TABLE["stopped"][0](job)])

    stopped = store.job(job.uid)
    assert (stopped.status, stopped.exit_code) == (JobStatus.CANCELLED, 0)
    assert (stopped.end_reason, stopped.finished_at) == (EndReason.CANCEL, LATER)
