from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id


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


@pytest.fixture(autouse=True)
def no_job_of_ours_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test run inside a job must not be taken for that job's process."""
    monkeypatch.delenv("DAFT_JOB_ID", raising=False)
    assert "DAFT_JOB_ID" not in os.environ
