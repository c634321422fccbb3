"""Failures inside the coordinator itself: what they cost, and whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daft_coordinator import Coordinator, StopPolicy
from daft_coordinator.errors import StoreUnavailable
from daft_coordinator.joblog import JobLog
from daft_coordinator.logreader import read_log
from daft_protocol.jobs import Job
from daft_protocol.status import EndReason, JobStatus

Make = Callable[..., Any]
QUICK = StopPolicy(grace_s=0.3, drain_s=0.3, give_up_s=1)


def too_deep(*_: object, **__: object) -> Any:
    raise RecursionError("maximum recursion depth exceeded")


def out_of_memory(*_: object, **__: object) -> Any:
    raise MemoryError


FAILING = {
    "output": out_of_memory,
    "flush_partial": too_deep,
    "keep_ring": out_of_memory,
    "close": too_deep,
}


@pytest.mark.fault("F-35", "it")
@pytest.mark.parametrize("method", FAILING)
def test_a_failure_over_one_job_costs_that_job_alone(
    store: Any,
    fire: Make,
    job: Make,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    reports: list[str] = []
    whole = getattr(JobLog, method)

    def failing(log: JobLog, *args: Any, **other: Any) -> Any:
        if (log._directory or "").endswith("/bad"):
            return FAILING[method]()
        return whole(log, *args, **other)

    monkeypatch.setattr(JobLog, method, failing)
    spec = fire(
        job("bad", "echo x; printf y >&2; sleep 0.2; exit 3"),
        job("good", "echo x; sleep 0.1; echo y"),
        job("after", ":", "bad"),
        job("also", ":", "good"),
    )
    with Coordinator(store, stop=QUICK, report=reports.append) as coordinator:
        coordinator.submit(spec)
        jobs = {one.name: one for one in coordinator.wait(spec.invocation_id, timeout_s=60)}

    assert jobs["bad"].status is JobStatus.FAILED
    assert jobs["bad"].end_reason is EndReason.CRASH
    assert "Error" in (jobs["bad"].end_detail or "")
    assert jobs["good"].status is JobStatus.COMPLETED
    assert jobs["also"].status is JobStatus.COMPLETED
    assert jobs["after"].status is JobStatus.SKIPPED
    assert any("Traceback" in line and "job bad" in line for line in reports)


def test_the_process_of_a_job_that_made_trouble_is_gone(
    store: Any, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(JobLog, "output", out_of_memory)
    spec = fire(job("bad", f"trap '' TERM; echo $$; sleep 60; touch {tmp_path}/survived"))

    with Coordinator(store, stop=QUICK, report=lambda line: None) as coordinator:
        coordinator.submit(spec)
        (done,) = coordinator.wait(spec.invocation_id, timeout_s=60)
        assert done.process is not None
        assert coordinator.processes.is_alive(done.process) is False

    assert (done.status, done.end_reason) == (JobStatus.FAILED, EndReason.CRASH)
    notes = [r.data for r in read_log(store.log_directory(done)) if r.event == "note"]
    assert any("MemoryError" in str(note) for note in notes)


def test_a_shutdown_needs_no_store(fire: Make, job: Make, tmp_path: Path) -> None:
    from daft_coordinator.adapters.memory import MemoryJobStore

    class Away(MemoryJobStore):
        away = False

        def unfinished(self) -> tuple[Job, ...]:
            if self.away:
                raise StoreUnavailable("busy")
            return super().unfinished()

    store = Away()
    spec = fire(job("a", "sleep 60"))
    with Coordinator(store, stop=QUICK, report=lambda line: None) as coordinator:
        coordinator.submit(spec)
        while coordinator.jobs(spec.invocation_id)[0].status is not JobStatus.RUNNING:
            coordinator.reactor.wait(1)
        store.away = True
        coordinator.shutdown()
        (done,) = coordinator.wait(spec.invocation_id, timeout_s=60)

    assert done.status is JobStatus.CANCELLED
