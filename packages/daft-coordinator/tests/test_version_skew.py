"""A newer client and an older leader: the older one finishes, then a newer one leads. Never two."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from attrs import evolve

from daft_coordinator import CoordinatorClient, RetryRequest
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_coordinator.domain.reconcile import ObservedJob, Verdict, judge, why_skipped
from daft_coordinator.station import leader_lives
from daft_protocol.jobs import SPEC_VERSION, JobSpec
from daft_protocol.messages import Wait
from daft_protocol.status import JobStatus

Make = Callable[..., Any]

OLDER = """
import sys
import daft_protocol.jobs, daft_coordinator.intake, daft_coordinator.requests, daft_coordinator.recovery
from daft_protocol.messages import UNKNOWN_REQUEST, Error, Retry
daft_coordinator.intake.SPEC_VERSION = daft_coordinator.recovery.SPEC_VERSION = 0
known = daft_coordinator.requests._dispatch
def dispatch(leader, request):
    if isinstance(request, Retry):
        return Error(code=UNKNOWN_REQUEST, message="unknown request 'Retry'")
    return known(leader, request)
daft_coordinator.requests._dispatch = dispatch
from daft_coordinator.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
OLD_CLIENT = """
import sys
import daft_coordinator.client
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
JobSpec.version = 0
root, repository, command = sys.argv[1:]
store = SqliteJobStore.open(root, repository)
with daft_coordinator.client.CoordinatorClient(
    open_station(root, repository), store, start=False
) as client:
    made = client.submit(InvocationSpec(invocation_id=new_invocation_id(), hook_type="h",
        trigger_command="t", worktree="main",
        jobs=(JobSpec(name="old", command=command, background=True),)))
print(made.invocation_id)
"""


class Place:
    def __init__(self, root: Path) -> None:
        self.root, self.repository = str(root / "state"), str(uuid.uuid4())
        self.store = SqliteJobStore.open(self.root, self.repository)
        self.station = open_station(self.root, self.repository)

    def older_leader(self, command: str) -> tuple[subprocess.Popen[bytes], str]:
        """Start a leader that knows no present submission, and give it a job."""
        words = ["--state-root", self.root, "--repository", self.repository]
        leader = subprocess.Popen([sys.executable, "-c", OLDER, *words], stderr=subprocess.DEVNULL)
        until(lambda: os.path.exists(self.station.socket_path))
        done = subprocess.run(
            [sys.executable, "-c", OLD_CLIENT, self.root, self.repository, command],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return leader, done.stdout.strip()

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if self.repository in process.cmdline():
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for process in made.processes():
        process.kill()
    made.store.close()


def until(holds: Callable[[], bool], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.fault("F-29", "skew")
def test_newer_work_waits_until_the_older_leader_has_finished(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    leader, old = place.older_leader(f"while ! test -e {tmp_path}/go; do sleep 0.02; done")
    first, second = (
        fire(
            job(
                f"new{n}",
                f'test "$API_TOKEN" = secret && ! kill -0 {leader.pid} 2>/dev/null',
                background=True,
                env={"API_TOKEN": "secret"},
            )
        )
        for n in (1, 2)
    )
    with CoordinatorClient(place.station, place.store) as client:
        submissions = [client.submit(first), client.submit(second)]

    assert all("older than these jobs" in (made.waits_for or "") for made in submissions)
    owners = {owner.id: owner for owner in place.store.owners()}
    for made in submissions:
        (waiting,) = place.store.jobs_of(made.invocation_id)
        assert waiting.status is JobStatus.QUEUED
        assert owners[waiting.owner or ""].kind == "courier", "somebody living answers for it"
    assert leader.poll() is None
    (tmp_path / "go").touch()
    leader.wait(30)
    until(lambda: not place.store.unfinished())

    for spec in (first, second):
        (ended,) = place.store.jobs_of(spec.invocation_id)
        assert (ended.status, ended.end_detail) == (JobStatus.COMPLETED, None)
    (ended,) = place.store.jobs_of(old)
    assert ended.status is JobStatus.COMPLETED
    until(lambda: not leader_lives(place.station.lock_path) and not place.processes())
    assert place.store.owners() == ()


@pytest.mark.fault("F-29", "skew")
def test_a_job_that_waits_for_an_older_leader_can_be_cancelled(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    from daft_protocol.messages import CancelMatching

    leader, _ = place.older_leader(f"while ! test -e {tmp_path}/go; do sleep 0.02; done")
    with CoordinatorClient(place.station, place.store) as client:
        made = client.submit(fire(job("new", f"touch {tmp_path}/ran", background=True)))
        answer = client.cancel(CancelMatching(job_name="new", wait=True))
        assert [one.outcome for one in answer.results] == ["dequeued"]
    (tmp_path / "go").touch()
    leader.wait(30)
    until(lambda: not place.processes())

    assert place.store.jobs_of(made.invocation_id)[0].status is JobStatus.CANCELLED
    assert not (tmp_path / "ran").exists()


def test_a_job_needs_the_oldest_coordinator_that_knows_all_it_asks_for(
    place: Place, fire: Make, job: Make
) -> None:
    from daft_coordinator.adapters.clock import SystemClock
    from daft_coordinator.submission import record

    spec = fire(job("plain"), job("newer", grace_s=60))
    made = record(place.store, spec, owner=None, clock=SystemClock())

    assert [one.spec_version for one in made] == [1, 2]
    assert max(one.version for one in spec.jobs) == SPEC_VERSION


def test_an_older_leader_runs_a_retry_that_it_does_not_know(
    place: Place, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobSpec, "version", 0)
    leader, old = place.older_leader("exit 1")
    with CoordinatorClient(place.station, place.store) as client:
        client.wait(Wait(invocation_ids=(old,)))
        again = client.retry(RetryRequest(invocation_id=old))
        client.wait(Wait(invocation_ids=(again.invocation_id,)))

    (found,) = place.store.jobs_of(again.invocation_id)
    assert (found.status, found.retry_of) == (JobStatus.FAILED, (old, "old"))
    leader.wait(30)


def test_what_a_newer_daft_left_behind_is_not_run_as_if_it_were_understood(
    place: Place, fire: Make, job: Make
) -> None:
    from daft_coordinator.adapters.clock import SystemClock
    from daft_coordinator.submission import record

    newer = ObservedJob(uid="u", status=JobStatus.QUEUED, owner_alive=False, is_newer=True)
    assert judge(newer) is Verdict.SKIP
    assert "newer daft" in why_skipped(newer)

    (made,) = record(place.store, fire(job("a", background=True)), owner=None, clock=SystemClock())
    later = evolve(
        made, uid="f" * 32, spec=evolve(made.spec, name="b"), spec_version=SPEC_VERSION + 1
    )
    place.store.record(None, [later])
    assert place.store.job(later.uid) == later
    with CoordinatorClient(place.station, place.store) as client:
        client.hello()
        client.wait(Wait(invocation_ids=(made.invocation_id,)))

    found = {one.name: one for one in place.store.jobs_of(made.invocation_id)}
    assert found["a"].status is JobStatus.COMPLETED
    assert (found["b"].status, "newer daft" in (found["b"].end_detail or "")) == (
        JobStatus.SKIPPED, True,
    )  # fmt: skip
