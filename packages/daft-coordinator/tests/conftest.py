from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from daft_coordinator import CoordinatorClient
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_coordinator.joblog import last_record
from daft_coordinator.ports import JobQuery
from daft_coordinator.station import Station
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
from daft_protocol.jobs import Job
from daft_protocol.status import JobStatus


def a_job(name: str, command: str = ":", *needs: str, **other: Any) -> JobSpec:
    given = {"working_dir": "/", "needs": needs, **other}
    return JobSpec(name=name, command=command, **given)


def a_fire(*jobs: JobSpec, **other: Any) -> InvocationSpec:
    given = {"hook_type": "post-clone", "trigger_command": "t", "worktree": "main", **other}
    return InvocationSpec(invocation_id=new_invocation_id(), jobs=jobs, **given)


@pytest.fixture
def job() -> Callable[..., JobSpec]:
    return a_job


@pytest.fixture
def fire() -> Callable[..., InvocationSpec]:
    return a_fire


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Both stores: what one promises, the other must keep."""
    if request.param == "memory":
        yield MemoryJobStore(str(tmp_path / "logs"))
        return
    made = SqliteJobStore.open(str(tmp_path / "state"), str(uuid.uuid4()))
    yield made
    made.close()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def parent_of(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return 0


class Place:
    """One repository's store and station, in a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = str(root / "state")
        self.repository = str(uuid.uuid4())
        self.store = SqliteJobStore.open(self.root, self.repository)
        self.station: Station = open_station(self.root, self.repository)

    @property
    def database(self) -> Path:
        return Path(self.root) / "jobs" / self.repository / "coordinator.db"

    def client(self) -> CoordinatorClient:
        return CoordinatorClient(self.station, self.store)

    def leaders(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if self.repository in process.cmdline() and "daft_coordinator" in process.cmdline():
                    found.append(process)
            except psutil.Error:
                continue
        pids = {one.pid for one in found}
        # A job's process looks like its leader for the moment before it becomes a shell.
        return [one for one in found if is_alive(one) and parent_of(one) not in pids]

    def check_invariants(self) -> None:
        """Fail if the record lies: when no leader lives, all that is said must be true.

        Nothing is unfinished, no process of a job lives, and no log tells another end than its
        row.
        """
        jobs: list[Job] = []
        after = None
        while True:
            page, after = self.store.find_jobs(JobQuery(after=after))
            jobs += page
            if after is None:
                break
        assert {job.name: job.status for job in jobs if not job.status.is_final} == {}
        marks = {f"DAFT_JOB_ID={job.uid}".encode() for job in jobs}
        for process in Path("/proc").glob("[0-9]*/environ"):
            try:
                assert marks.isdisjoint(process.read_bytes().split(b"\0")), process
            except OSError:
                continue  # gone, or not ours
        for job in jobs:
            last = last_record(self.store.log_directory(job) or "")
            if last is not None and last.event == "finished" and last.data.get("exit_code") == 0:
                assert job.status in (JobStatus.COMPLETED, JobStatus.CANCELLED), job
            if last is not None and last.event == "finished":
                assert job.exit_code == last.data.get("exit_code"), job
            if last is not None and last.event == "signaled":
                assert job.term_signal == last.data.get("signal"), job

    def until(self, holds: Callable[[], bool], limit_s: float = 30) -> None:
        """Wait for something only the outside can show; fail when it does not come."""
        deadline = time.monotonic() + limit_s
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for leader in made.leaders():
        leader.kill()
    made.store.close()


@pytest.fixture(autouse=True)
def no_job_of_ours_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test run inside a job must not be taken for that job's process."""
    monkeypatch.delenv("DAFT_JOB_ID", raising=False)
    assert "DAFT_JOB_ID" not in os.environ
