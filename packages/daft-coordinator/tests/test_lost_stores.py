"""Stores that are damaged, deleted or held by somebody else while jobs run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import psutil
import pytest

from daft_coordinator import Coordinator, CoordinatorClient, StopPolicy
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_coordinator.errors import RequestRefused
from daft_coordinator.station import LeaderLock, leader_lives
from daft_coordinator.submission import record
from daft_protocol.messages import CancelAll, Submit, Wait
from daft_protocol.status import JobStatus
from daft_store.errors import StoreCorrupt

Make = Callable[..., Any]
Place = Any  # of conftest
QUICK = StopPolicy(grace_s=0.3, drain_s=0.3, give_up_s=1)


def bad_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"nonsense" * 12)


def bad_pages(path: Path) -> None:
    """Every page but the first, which holds header and schema."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


DAMAGE = [
    pytest.param(bad_header, marks=pytest.mark.fault("F-08", "header")),
    pytest.param(bad_pages, marks=pytest.mark.fault("F-08", "page")),
    pytest.param(cut_short, marks=pytest.mark.fault("F-08", "truncated")),
]


def background(job: Make, name: str, command: str = ":", *needs: str, **other: Any) -> Any:
    return job(name, command, *needs, background=True, **other)


def aside(place: Place) -> list[Path]:
    """Return the damaged stores that were kept."""
    found = place.database.parent.glob("coordinator.db.corrupt-*")
    return [path for path in found if not path.name.endswith(("-wal", "-shm"))]


def with_history(place: Place, fire: Make, job: Make) -> Any:
    """Run jobs of every ending, and let the leader leave."""
    spec = fire(
        background(job, "good", "echo x"),
        background(job, "bad", "exit 7"),
        background(job, "shot", "kill -SEGV $$"),
        background(job, "after", ":", "bad"),
    )
    with place.client() as client:
        client.submit(spec)
        client.wait(Wait(invocation_ids=(spec.invocation_id,)))
    # Who closes a store last may still write to it, and a leader does so without its lock.
    place.until(lambda: not place.leaders())
    place.store.close()
    return spec


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_store_is_kept_and_a_new_one_knows_what_the_logs_tell(
    place: Place, fire: Make, job: Make, damage: Callable[[Path], None]
) -> None:
    spec = with_history(place, fire, job)
    damage(place.database)
    damaged = place.database.read_bytes()
    journal = Path(place.station.journal_path)

    place.store = SqliteJobStore.open(place.root, place.repository, report=lambda line: None)
    later = fire(background(job, "later"))
    with place.client() as client:
        client.submit(later)
        client.wait(Wait(invocation_ids=(later.invocation_id,)))

    (kept,) = aside(place)
    assert kept.read_bytes() == damaged
    jobs = {one.name: one for one in place.store.jobs_of(spec.invocation_id)}
    told = {name: (one.status.value, one.exit_code, one.term_signal) for name, one in jobs.items()}
    assert told == {
        "good": ("completed", 0, None),
        "bad": ("failed", 7, None),
        "shot": ("failed", None, signal.SIGSEGV),
    }
    assert (jobs["bad"].hook_type, jobs["bad"].worktree) == ("post-clone", "main")
    assert [one.status for one in place.store.jobs_of(later.invocation_id)] == [JobStatus.COMPLETED]
    assert journal.exists()


@pytest.mark.fault("F-08", "page")
def test_damage_that_a_leader_meets_costs_no_running_job_its_end(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    """The leader, not whoever submits: that one has closed its store before the damage."""
    go = tmp_path / "go"
    spec = fire(
        background(job, "runs", f"while ! [ -e {go} ]; do sleep 0.05; done; exit 9"),
        background(job, "over", "exit 2"),
        background(job, "after", ":", "runs"),
        background(job, "queued", ":", "over"),
    )
    with place.client() as client:
        made = client.submit(spec)
    place.until(
        lambda: (
            [one.status.value for one in place.store.jobs_of(made.invocation_id)]
            == ["running", "failed", "queued", "skipped"]
        )
    )
    place.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    place.store.close()
    bad_pages(place.database)

    with CoordinatorClient(place.station, MemoryJobStore(), start=False) as asks:
        asks.reconcile()
        place.until(lambda: len(aside(place)) == 1)
        go.touch()
    place.until(lambda: not leader_lives(place.station.lock_path))

    place.store = SqliteJobStore.open(place.root, place.repository)
    jobs = {one.name: one for one in place.store.jobs_of(spec.invocation_id)}
    assert len(aside(place)) == 1, Path(place.station.journal_path).read_text()
    assert (jobs["runs"].status, jobs["runs"].exit_code) == (JobStatus.FAILED, 9)
    assert (jobs["over"].status, jobs["over"].exit_code) == (JobStatus.FAILED, 2)
    assert jobs["after"].status is JobStatus.SKIPPED
    # Its row is whole: what the leader knew of it is more than what its log tells.
    assert jobs["runs"].spec.command == spec.jobs[0].command
    assert "was damaged" in Path(place.station.journal_path).read_text()


@pytest.mark.fault("F-08", "journal")
def test_a_journal_that_is_lost_or_of_another_store_leaves_a_store_that_works(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    other = SqliteJobStore.open(str(tmp_path / "other"), place.repository)
    run_one(other, fire(job("elsewhere")))
    theirs = Path(other._places.database + "-wal").read_bytes()
    other.close()
    with_history(place, fire, job)

    for journal in (b"", theirs, theirs[:1000], os.urandom(20000)):
        Path(f"{place.database}-wal").write_bytes(journal)
        Path(f"{place.database}-shm").unlink(missing_ok=True)
        store = SqliteJobStore.open(place.root, place.repository)
        jobs = run_one(store, fire(job("again")))
        store.close()

        assert jobs[0].status is JobStatus.COMPLETED


def run_one(store: SqliteJobStore, spec: Any) -> Any:
    with Coordinator(store, stop=QUICK) as coordinator:
        coordinator.submit(spec)
        return coordinator.wait(spec.invocation_id, timeout_s=60)


DIES = """
import os, signal, sys
from daft_coordinator.adapters import salvage, storefile
from daft_coordinator.adapters.sqlite import SqliteJobStore

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

whole = salvage.take_in
def late(*args, **other):
    whole(*args, **other)
    die()

match sys.argv[3]:
    case "before": salvage.take_in = die
    case "after": salvage.take_in = late
    case "moving": storefile.bringup.set_aside_corrupt = die
SqliteJobStore.open(*sys.argv[1:3])
"""


@pytest.mark.fault("F-08", "header")
@pytest.mark.parametrize("moment", ["before", "after", "moving"])
def test_a_death_while_a_store_is_made_anew_loses_nothing_of_what_logs_tell(
    place: Place, fire: Make, job: Make, moment: str
) -> None:
    spec = with_history(place, fire, job)
    bad_header(place.database)
    words = [sys.executable, "-c", DIES, place.root, place.repository, moment]
    for _ in range(2):
        assert subprocess.run(words, timeout=60, check=False).returncode == -signal.SIGKILL

    place.store = SqliteJobStore.open(place.root, place.repository)

    assert {one.name for one in place.store.jobs_of(spec.invocation_id)} == {"good", "bad", "shot"}
    assert len(aside(place)) == 1
    assert [path.name for path in place.database.parent.glob("coordinator.db.new*")] == []


def test_a_damaged_store_is_left_alone_while_a_leader_lives(
    place: Place, fire: Make, job: Make
) -> None:
    with_history(place, fire, job)
    bad_header(place.database)
    lock = LeaderLock.try_acquire(place.station.lock_path)
    assert lock is not None

    with pytest.raises(StoreCorrupt):
        SqliteJobStore.open(place.root, place.repository)
    assert aside(place) == []
    lock.release()

    place.store = SqliteJobStore.open(place.root, place.repository)
    assert len(aside(place)) == 1


def test_a_log_that_lies_about_where_it_is_adds_nothing(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    spec = with_history(place, fire, job)
    invocation = place.database.parent / spec.invocation_id
    shutil.copytree(invocation / "good", invocation / "copied")
    (invocation / "linked").symlink_to(invocation / "good")
    for name, text in (("text", b"\xff\n"), ("deep", b"[" * 100_000), ("list", b"[]\n")):
        (invocation / name).mkdir()
        (invocation / name / "output.jsonl").write_bytes(text)
    bad_header(place.database)

    place.store = SqliteJobStore.open(place.root, place.repository)

    assert {one.name for one in place.store.jobs_of(spec.invocation_id)} == {"good", "bad", "shot"}


@pytest.mark.fault("F-20", "store")
def test_a_deleted_state_directory_is_made_again_with_the_rows_of_what_runs(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    spec = fire(
        background(job, "runs", f"while ! [ -e {go} ]; do sleep 0.05; done; echo last; exit 9"),
        background(job, "after", ":", "runs"),
        background(job, "also", f"while ! [ -e {go} ]; do sleep 0.05; done"),
        background(job, "then", ":", "also"),
    )
    with place.client() as client:
        made = client.submit(spec)
    place.until(
        lambda: (
            [one.status.value for one in place.store.jobs_of(made.invocation_id)]
            == ["running", "queued", "running", "queued"]
        )
    )
    assert len(place.leaders()) == 1
    shutil.rmtree(place.root)

    go.touch()
    place.until(lambda: place.leaders() == [])

    store = SqliteJobStore.open(place.root, place.repository)
    jobs = {
        one.name: (one.status.value, one.exit_code) for one in store.jobs_of(spec.invocation_id)
    }
    store.close()
    assert jobs == {
        "runs": ("failed", 9),
        "after": ("skipped", None),
        "also": ("completed", 0),
        "then": ("completed", 0),
    }


@pytest.mark.fault("F-20", "store")
def test_ends_of_one_moment_are_all_recorded_in_the_store_that_is_made_again(
    place: Place, fire: Make, job: Make
) -> None:
    spec = fire(job("a", "sleep 0.2; exit 1"), job("b", "sleep 0.2; exit 2"), job("c", "sleep 0.2"))
    with Coordinator(place.store, stop=QUICK, workers=3, report=lambda line: None) as coordinator:
        coordinator.submit(spec)
        while {one.status for one in coordinator.jobs(spec.invocation_id)} != {JobStatus.RUNNING}:
            coordinator.reactor.wait(1)
        processes = [one.process for one in coordinator.jobs(spec.invocation_id)]
        shutil.rmtree(place.root)
        while not all(is_zombie(process.pid) for process in processes if process):
            os.sched_yield()

        jobs = coordinator.wait(spec.invocation_id, timeout_s=60)

    assert [one.exit_code for one in jobs] == [1, 2, 0]
    assert [one.exit_code for one in place.store.jobs_of(spec.invocation_id)] == [1, 2, 0]


def is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.fault("F-20", "store")
def test_who_submits_after_the_state_directory_is_gone_is_served(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    waits = f"while ! [ -e {go} ]; do sleep 0.05; done"
    with place.client() as client:
        old = client.submit(fire(background(job, "old", f"{waits}; exit 4")))
        place.until(lambda: place.store.jobs_of(old.invocation_id)[0].status is JobStatus.RUNNING)
        shutil.rmtree(place.root)

        # Over the connection that it has, or another: whoever leads there now.
        new = client.submit(fire(background(job, "new", "exit 5")))
        (entry,) = client.wait(Wait(invocation_ids=(new.invocation_id,)))
        go.touch()
    place.until(lambda: place.leaders() == [])

    assert entry.exit_code == 5
    (ended,) = place.store.jobs_of(old.invocation_id)
    assert (ended.status, ended.exit_code) == (JobStatus.FAILED, 4)
    place.check_invariants()


@pytest.mark.fault("F-20", "job")
def test_a_job_whose_directory_is_deleted_goes_on(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    spec = fire(job("a", f"echo x; while ! [ -e {go} ]; do sleep 0.02; done; seq 1000; exit 4"))
    with Coordinator(store, stop=QUICK) as coordinator:
        (made,) = coordinator.submit(spec)
        directory = store.log_directory(made)
        while not os.path.exists(f"{directory}/output.jsonl") or not os.path.getsize(
            f"{directory}/output.jsonl"
        ):
            coordinator.reactor.wait(0.05)
        shutil.rmtree(directory)
        go.touch()
        (done,) = coordinator.wait(spec.invocation_id, timeout_s=60)

    assert (done.status, done.exit_code) == (JobStatus.FAILED, 4)


class Held:
    """Another process's hold on a store; as good as one, since SQLite locks by connection."""

    def __init__(self, path: Path) -> None:
        self._db = apsw.Connection(str(path))  # used by one thread at a time
        self._db.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._db.execute("ROLLBACK")
        self._db.close()


@pytest.mark.fault("F-25", "writer")
def test_a_store_held_by_another_process_delays_rows_and_nothing_else(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    """Output is taken all the while, the ends are recorded when the store is free again."""
    out, go = tmp_path / "out", tmp_path / "go"
    command = f"while ! [ -e {go} ]; do sleep 0.02; done; seq 1 200000; touch {out}; exit 5"
    spec = fire(background(job, "a", command), background(job, "b", ":", "a"))
    with place.client() as client:
        made = client.submit(spec)
        place.until(lambda: place.store.jobs_of(made.invocation_id)[0].status is JobStatus.RUNNING)
        held = Held(place.database)
        go.touch()
        place.until(out.exists)  # it was not blocked on its pipe
        ended = place.database.parent / made.invocation_id / "a" / "result.json"
        place.until(ended.exists)
        assert place.store.jobs_of(made.invocation_id)[0].status is JobStatus.RUNNING
        held.release()

        entries = client.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert {entry.name: entry.status for entry in entries} == {"a": "failed", "b": "skipped"}
    assert not ended.exists()


@pytest.mark.fault("F-25", "writer")
def test_a_hand_over_waits_for_a_store_that_is_held(place: Place, fire: Make, job: Make) -> None:
    spec = fire(background(job, "a"))
    with Coordinator(place.store, kind="command") as me, place.client() as client:
        record(place.store, spec, owner=me.owner.id, clock=me.clock)
        client.hello()
        held = Held(place.database)
        refused = threading.Thread(target=lambda: release_when_refused(place, held))
        refused.start()

        client._line.deliver(Submit(invocation_id=spec.invocation_id, environment=dict(os.environ)))
        refused.join()
        entries = client.wait(Wait(invocation_ids=(spec.invocation_id,)))

    assert [entry.status for entry in entries] == ["completed"]


def release_when_refused(place: Place, held: Held) -> None:
    """Let go of the store once a leader has found it busy."""
    with CoordinatorClient(place.station, MemoryJobStore(), start=False) as other:
        with pytest.raises(RequestRefused) as caught:
            other._line.ask(CancelAll())
        assert caught.value.code == "BUSY"
    held.release()
