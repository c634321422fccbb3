"""Being alone with a worktree: what a lease keeps out, and what ends it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from daft_coordinator import Coordinator, CoordinatorClient, StopPolicy, leases
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.processes import PosixProcessControl
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_coordinator.domain.lease import holds
from daft_coordinator.errors import CoordinatorUnavailable, JobsSurvived, WorktreeLeased
from daft_coordinator.testing.samples import a_lease
from daft_protocol import JobStatus
from daft_protocol.messages import Cancelled, CancelResult

Make = Callable[..., Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOLDER = """
import sys, time
from daft_coordinator import CoordinatorClient
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
root, repository = sys.argv[1:]
store = SqliteJobStore.open(root, repository)
with CoordinatorClient(open_station(root, repository), store) as client:
    with client.alone_with("main"):
        print("alone", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[str, str, SqliteJobStore]]:
    root, repository = str(tmp_path / "state"), str(uuid.uuid4())
    store = SqliteJobStore.open(root, repository)
    yield root, repository, store
    with CoordinatorClient(open_station(root, repository), store, start=False) as client:
        try:
            client.shutdown()
        except CoordinatorUnavailable:
            pass  # it has left already
    store.close()


def client_at(place: tuple[str, str, SqliteJobStore]) -> CoordinatorClient:
    return CoordinatorClient(open_station(*place[:2]), place[2])


def until(holds: Callable[[], bool], limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_lease_counts_while_its_time_lasts_and_its_holder_may_live() -> None:
    lease = a_lease(expires_at=NOW)
    before = NOW - timedelta(seconds=1)

    assert holds(lease, holder_alive=True, now=before)
    assert holds(lease, holder_alive=None, now=before), "nobody could tell"
    assert not holds(lease, holder_alive=False, now=before)
    assert not holds(lease, holder_alive=True, now=NOW)


def test_all_jobs_are_gone_before_one_is_alone_and_none_comes_in(
    place: tuple[str, str, SqliteJobStore], fire: Make, job: Make
) -> None:
    store = place[2]
    with client_at(place) as client:
        made = client.submit(
            fire(
                job("deaf", "trap '' TERM; sleep 60; sleep 60", background=True),
                job("later", ":", "deaf", background=True),
            )
        )
        other = client.submit(fire(job("x", "sleep 60", background=True), worktree="other"))
        until(lambda: store.job(made.jobs[0].uid).status is JobStatus.RUNNING)

        with client.alone_with("main", kill_after_s=0.2) as results:
            assert {one.status for one in store.jobs_of(made.invocation_id)} == {
                JobStatus.CANCELLED
            }
            assert {one.name for one in results} == {"deaf", "later"}
            lease = store.take_lease(a_lease())
            assert lease is not None
            assert lease.process.pid == os.getpid()
            with (
                client_at(place) as second,
                pytest.raises(WorktreeLeased, match="'main' is being removed"),
                second.alone_with("main"),
            ):
                raise AssertionError("not alone")
            # Our own hooks run meanwhile, here and in the background.
            mine = client.submit(fire(job("hook", ":", background=True)))
            assert mine.jobs[0].status is JobStatus.QUEUED

        assert store.take_lease(a_lease(worktree="main")) is None
        assert not store.job(other.jobs[0].uid).status.is_final


def test_others_are_turned_away_until_the_holder_dies(
    place: tuple[str, str, SqliteJobStore], fire: Make, job: Make
) -> None:
    root, repository, store = place
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, root, repository],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "alone\n"

    with Coordinator(store) as coordinator, client_at(place) as client:
        for submit in (coordinator.submit, client.submit):
            with pytest.raises(WorktreeLeased, match=f"by process {holder.pid}"):
                submit(fire(job("a", background=True)))
        assert store.recent_invocations() == ()
        coordinator.submit(fire(job("a"), worktree="other"))
        holder.kill()
        holder.wait()

        made = coordinator.submit(fire(job("a")))
        coordinator.wait(made[0].invocation_id)

    assert store.job(made[0].uid).status is JobStatus.COMPLETED
    holder.stdin.close()
    holder.stdout.close()


def test_a_holder_that_hangs_keeps_nobody_out_for_ever(fire: Make, job: Make) -> None:
    store, control = MemoryJobStore(), PosixProcessControl()
    parent = control.identify(os.getppid())
    assert parent is not None
    store.take_lease(
        evolve(a_lease(process=parent), expires_at=datetime.now(UTC) + timedelta(hours=1))
    )
    with Coordinator(store) as coordinator:
        with pytest.raises(WorktreeLeased):
            coordinator.submit(fire(job("a")))
        with pytest.raises(WorktreeLeased):
            leases.take(store, "main", purpose="x", processes=control, now=datetime.now(UTC))
        later = datetime.now(UTC) + timedelta(hours=2)
        mine = leases.take(store, "main", purpose="x", processes=control, now=later)
        assert store.take_lease(a_lease()) == mine


class Unwilling(CoordinatorClient):
    """A client whose leader cannot stop a job, or is not there at all."""

    answer: Cancelled | None = None

    def cancel(self, *_: Any, **__: Any) -> Cancelled:
        if self.answer is None:
            raise CoordinatorUnavailable("none is running")
        return self.answer


def test_a_survivor_stops_the_removal_unless_it_is_forced(
    place: tuple[str, str, SqliteJobStore], fire: Make, job: Make
) -> None:
    store = place[2]
    with Coordinator(store, stop=StopPolicy(grace_s=0)) as coordinator:
        (made,) = coordinator.submit(fire(job("stays", "sleep 60")))
        client = Unwilling(open_station(*place[:2]), store)

        with pytest.raises(CoordinatorUnavailable), client.alone_with("main"):
            raise AssertionError("not alone")
        with client.alone_with("main", force=True) as results:
            assert [(one.name, one.outcome) for one in results] == [("stays", "survived")]
        survivor = CancelResult(job_uid=made.uid, name="stays", outcome="survived", status="x")
        client.answer = Cancelled(count=1, names=("stays",), results=(survivor,))
        with (
            pytest.raises(JobsSurvived, match="still running in 'main': stays"),
            client.alone_with("main"),
        ):
            raise AssertionError("not alone")
        with client.alone_with("main", force=True) as results:
            assert results == (survivor,)
        assert store.take_lease(a_lease()) is None, "given back each time"


def test_a_running_job_is_found_under_the_new_name_of_its_worktree(
    place: tuple[str, str, SqliteJobStore], fire: Make, job: Make
) -> None:
    from daft_protocol.messages import CancelMatching

    with client_at(place) as client:
        made = client.submit(fire(job("a", "sleep 60", background=True)))
        until(lambda: place[2].job(made.jobs[0].uid).status is JobStatus.RUNNING)

        assert client.relabel("main", "renamed", old_path="/", path="/somewhere") == 1
        answer = client.cancel(CancelMatching(worktree="renamed", wait=True))

    assert answer.names == ("a",)
    found = place[2].job(made.jobs[0].uid)
    assert (found.status, found.worktree) == (JobStatus.CANCELLED, "renamed")


def test_a_job_that_waits_with_a_leader_starts_where_its_worktree_is_by_then(
    place: tuple[str, str, SqliteJobStore], fire: Make, job: Make, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "deep").mkdir(parents=True)
    os.mkfifo(tmp_path / "go")
    waits = f"read -r line < '{tmp_path}/go'"
    with client_at(place) as client:
        made = client.submit(
            fire(
                job("first", waits, background=True),
                job("then", "pwd > where", "first", background=True, working_dir=f"{old}/deep"),
                job("gone", ":", background=True, working_dir="/not/there"),
                worktree_path=str(old),
            )
        )
        first, then, gone = (one.uid for one in made.jobs)
        until(lambda: place[2].job(first).status is JobStatus.RUNNING)
        old.rename(new)
        client.relabel("main", "renamed", old_path=str(old), path=str(new))
        (tmp_path / "go").write_text("\n")
        until(lambda: place[2].job(then).status.is_final)
        until(lambda: place[2].job(gone).status.is_final)

    assert place[2].job(then).status is JobStatus.COMPLETED
    assert (new / "deep" / "where").read_text() == f"{new}/deep\n"
    assert place[2].job(gone).status is JobStatus.FAILED
