"""Submitters and leaders that are killed where it hurts, and what the next one finds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from daft_coordinator import Coordinator
from daft_coordinator.logreader import read_log
from daft_coordinator.station import leader_lives
from daft_coordinator.submission import record
from daft_protocol.jobs import ProcessIdentity
from daft_protocol.messages import CancelMatching, Wait
from daft_protocol.status import JobStatus

Make = Callable[..., Any]
Place = Any  # of conftest

SUBMIT = """
import os, signal, sys
from daft_coordinator import CoordinatorClient
from daft_coordinator.calling import Line
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_protocol import InvocationSpec, JobSpec

root, repository, out, die_at = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Dying:
    "A connection that kills its process before the statement of that number."
    def __init__(self, db): self.db, self.left = db, int(die_at)
    def __getattr__(self, name): return getattr(self.db, name)
    def execute(self, *args):
        if self.left == 0: die()
        self.left -= 1
        return self.db.execute(*args)

store = SqliteJobStore.open(root, repository)
if die_at == "hand-over":
    Line.deliver = die
elif die_at != "never":
    Line.deliver = lambda *_: sys.exit(0)
    store._file.db = Dying(store._file.db)
client = CoordinatorClient(open_station(root, repository), store)
client.submit(InvocationSpec(invocation_id="a" * 16, hook_type="h", trigger_command="t",
    worktree="w", jobs=(
        JobSpec(name="one", command=f"echo one >> {out}", background=True),
        JobSpec(name="two", command=f"echo two >> {out}; sleep 0.5", needs=("one",), background=True),
    )))
if die_at == "never":
    die()
"""


@pytest.fixture(autouse=True)
def invariants(place: Place) -> Iterator[None]:
    """Whatever died: once the last leader has left, the record is whole and true."""
    yield
    place.until(lambda: not leader_lives(place.station.lock_path))
    place.check_invariants()


Submitter = Callable[[str], int]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What the submitter's jobs write to."""
    return tmp_path / "out"


@pytest.fixture
def submit(place: Place, out: Path) -> Submitter:
    """Run a submitter that dies at a place; return its exit code."""

    def run(die_at: str) -> int:
        words = [sys.executable, "-c", SUBMIT, place.root, place.repository, str(out), die_at]
        return subprocess.run(words, timeout=60, check=False).returncode

    return run


@pytest.mark.fault("F-01", "before-commit")
def test_a_submitter_that_dies_at_any_statement_leaves_all_or_nothing(
    place: Place, submit: Submitter, out: Path
) -> None:
    seen: list[int] = []
    while submit(str(len(seen))) == -signal.SIGKILL:
        seen.append(len(place.store.jobs_of("a" * 16)))
        assert (place.store.invocation("a" * 16) is not None) == bool(seen[-1])
        if seen[-1]:
            break
    with place.client() as client:
        client.reconcile()

    assert seen[-1] in (0, 2)
    assert set(seen[:-1]) == {0}
    assert len(seen) > 6  # an owner, an invocation and two jobs, each in a transaction
    assert not out.exists() or place.store.jobs_of("a" * 16)


@pytest.mark.fault("F-01", "before-hand-over")
def test_a_submitter_that_dies_before_it_tells_anybody_loses_no_job(
    place: Place, submit: Submitter, out: Path
) -> None:
    assert submit("hand-over") == -signal.SIGKILL
    assert {one.status for one in place.store.jobs_of("a" * 16)} == {JobStatus.QUEUED}

    with place.client() as client:
        client.hello()
        entries = client.wait(Wait(invocation_ids=("a" * 16,)))

    assert [entry.status for entry in entries] == ["completed", "completed"]
    assert out.read_text() == "one\ntwo\n"


@pytest.mark.fault("F-01", "after-start")
@pytest.mark.fault("F-34", "it")
def test_a_submitter_that_dies_after_the_hand_over_changes_nothing(
    place: Place, submit: Submitter, out: Path
) -> None:
    assert submit("never") == -signal.SIGKILL

    place.until(lambda: all(one.status.is_final for one in place.store.jobs_of("a" * 16)))

    assert {one.status for one in place.store.jobs_of("a" * 16)} == {JobStatus.COMPLETED}
    assert out.read_text() == "one\ntwo\n"


LEAD = """
import os, signal, sys
from daft_coordinator import __main__, coordinator, leader, roster
from daft_coordinator.adapters.processes import PosixProcessControl
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_protocol.status import JobStatus

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def before_starts(store, changes):
    if any(change.to is JobStatus.RUNNING for change in changes): die()
    return whole_apply(store, changes)

def after_ends(store, changes):
    if any(change.to.is_final for change in changes): die()
    return whole_apply(store, changes)

whole_apply = SqliteJobStore.apply
match sys.argv.pop(1):
    case "claim": SqliteJobStore.claim = die
    case "spawn": PosixProcessControl.spawn = die
    case "row": SqliteJobStore.apply = before_starts
    case "end": SqliteJobStore.apply = after_ends
sys.exit(__main__.main(sys.argv[1:]))
"""


@pytest.fixture
def lead(place: Place) -> Iterator[Callable[[str], None]]:
    """Run a leader that dies at a place, until it has."""
    running: list[subprocess.Popen[bytes]] = []

    def run(die_at: str) -> None:
        words = [
            sys.executable, "-c", LEAD, die_at, "--state-root", place.root, "--repository",
            place.repository,
        ]  # fmt: skip
        running.append(subprocess.Popen(words, start_new_session=True))
        assert running[-1].wait(60) == -signal.SIGKILL

    yield run
    for one in running:
        one.kill()


def left_by_a_submitter(place: Place, spec: Any) -> Any:
    """Record jobs of a submitter that is gone."""
    with Coordinator(place.store) as me:
        return record(place.store, spec, owner=None, clock=me.clock)


@pytest.mark.fault("F-02", "it")
@pytest.mark.parametrize(
    "die_at",
    [
        "claim",
        pytest.param("spawn", marks=pytest.mark.fault("F-03", "before-spawn")),
        pytest.param("row", marks=pytest.mark.fault("F-03", "before-row")),
    ],
)
def test_a_leader_that_dies_before_a_job_runs_leaves_it_to_the_next(
    place: Place, fire: Make, job: Make, lead: Callable[[str], None], tmp_path: Path, die_at: str
) -> None:
    out = tmp_path / "out"
    spec = fire(
        job("a", f"echo a >> {out}", background=True),
        job("b", f"echo b >> {out}", "a", background=True),
    )
    left_by_a_submitter(place, spec)

    for _ in range(2):  # a second death there changes nothing
        lead(die_at)
        assert not leader_lives(place.station.lock_path)
        assert {one.status for one in place.store.jobs_of(spec.invocation_id)} == {JobStatus.QUEUED}
        assert not out.exists()
    with place.client() as client:
        client.hello()
        entries = client.wait(Wait(invocation_ids=(spec.invocation_id,)))

    assert {entry.status for entry in entries} == {"completed"}
    assert out.read_text() == "a\nb\n"


@pytest.mark.fault("F-06", "before-row")
def test_an_end_whose_row_was_never_written_is_found_in_the_log(
    place: Place, fire: Make, job: Make, lead: Callable[[str], None], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    spec = fire(
        job("bad", f"echo x >> {out}; exit 41", background=True),
        job("slow", ":", "bad", background=True),
    )
    left_by_a_submitter(place, spec)
    lead("end")
    assert place.store.jobs_of(spec.invocation_id)[0].status is JobStatus.RUNNING

    with place.client() as client:
        client.hello()
        client.wait(Wait(invocation_ids=(spec.invocation_id,)))

    bad, slow = place.store.jobs_of(spec.invocation_id)
    assert (bad.status, bad.exit_code, bad.end_detail) == (JobStatus.FAILED, 41, "exit code 41")
    assert slow.status is JobStatus.SKIPPED
    assert out.read_text() == "x\n"


def deaf(job: Make, name: str = "deaf") -> Any:
    return job(name, "trap '' TERM; echo ready; sleep 60; sleep 60", background=True)


def started(place: Place, invocation_id: str) -> ProcessIdentity:
    """Return the process of a deaf job once it listens no more."""

    def is_ready() -> bool:
        (one,) = place.store.jobs_of(invocation_id)
        directory = place.store.log_directory(one)
        return any(record.data == "ready" for record in read_log(directory))

    place.until(is_ready)
    process: ProcessIdentity = place.store.jobs_of(invocation_id)[0].process
    return process


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.fault("F-06", "cancel")
def test_a_cancel_that_its_leader_did_not_live_to_see_is_finished(
    place: Place, fire: Make, job: Make
) -> None:
    with place.client() as client:
        made = client.submit(fire(deaf(job)))
        process = started(place, made.invocation_id)
        client.cancel(CancelMatching(job_name="deaf"))
        assert place.store.jobs_of(made.invocation_id)[0].status is JobStatus.CANCELLING
        (leader,) = place.leaders()
        leader.send_signal(signal.SIGKILL)
        place.until(lambda: not leader_lives(place.station.lock_path))

        client.hello()

    assert place.store.jobs_of(made.invocation_id)[0].status is JobStatus.CANCELLED
    assert is_gone(process.pid)


@pytest.mark.fault("F-06", "shutdown")
@pytest.mark.fault("F-12", "it")
def test_a_leader_killed_while_it_shuts_down_leaves_nothing_the_next_does_not_put_right(
    place: Place, fire: Make, job: Make
) -> None:
    with place.client() as client:
        made = client.submit(fire(deaf(job)))
        process = started(place, made.invocation_id)
        (leader,) = place.leaders()
        leader.send_signal(signal.SIGTERM)
        place.until(
            lambda: place.store.jobs_of(made.invocation_id)[0].status is JobStatus.CANCELLING
        )
        leader.send_signal(signal.SIGKILL)
        place.until(lambda: not leader_lives(place.station.lock_path))
    assert os.path.exists(place.station.socket_path)

    with place.client() as client:
        client.hello()
        assert place.store.jobs_of(made.invocation_id)[0].status is JobStatus.CANCELLED
    place.until(lambda: not leader_lives(place.station.lock_path))

    assert is_gone(process.pid)
    assert not os.path.exists(place.station.socket_path)
    assert place.store.owners() == ()


@pytest.mark.fault("F-12", "it")
def test_what_a_dead_leader_left_lying_about_means_nothing(
    place: Place, fire: Make, job: Make
) -> None:
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stale.bind(place.station.socket_path)
    stale.close()
    Path(place.station.lock_path).write_text("1 daft 0.0\n")
    Path(place.station.socket_path).with_suffix(".pid").write_text("1")
    before = os.stat(place.station.socket_path).st_ino

    from daft_coordinator import CoordinatorClient

    assert CoordinatorClient.connect(place.station, place.store) is None
    assert os.stat(place.station.socket_path).st_ino == before  # nobody but a leader may
    with place.client() as client:
        made = client.submit(fire(job("a", background=True)))
        entries = client.wait(Wait(invocation_ids=(made.invocation_id,)))

        assert [entry.status for entry in entries] == ["completed"]
        assert os.stat(place.station.socket_path).st_ino != before


@pytest.mark.fault("F-33", "terminate")
def test_an_interrupted_leader_stops_its_jobs_and_leaves_in_good_order(
    place: Place, fire: Make, job: Make
) -> None:
    words = [
        sys.executable, "-m", "daft_coordinator", "--state-root", place.root, "--repository",
        place.repository,
    ]  # fmt: skip
    spec = fire(job("a", "sleep 60", background=True), job("b", ":", "a", background=True))
    left_by_a_submitter(place, spec)
    leader = subprocess.Popen(words)
    place.until(lambda: place.store.jobs_of(spec.invocation_id)[0].status is JobStatus.RUNNING)

    leader.send_signal(signal.SIGINT)

    assert leader.wait(30) == 0
    assert {one.status for one in place.store.jobs_of(spec.invocation_id)} <= {
        JobStatus.CANCELLED,
        JobStatus.SKIPPED,
    }
    assert place.store.owners() == ()


def test_what_waited_in_a_directory_that_is_gone_is_not_started_by_the_next(
    place: Place, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFT_JOBS_WORKERS", "1")
    gone = tmp_path / "gone"
    gone.mkdir()
    with place.client() as client:
        made = client.submit(
            fire(
                job("holds it", "sleep 60", background=True),
                job("waits", ":", background=True, working_dir=str(gone)),
                job("after", ":", "waits", background=True),
            )
        )
        place.until(lambda: place.store.job(made.jobs[0].uid).status is JobStatus.RUNNING)
        os.kill(client.hello().pid, signal.SIGKILL)
    gone.rmdir()

    with place.client() as client:
        client.hello()
        entries = client.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert [entry.status for entry in entries] == ["crashed", "skipped", "skipped"]
    assert "its directory is gone" in (place.store.job(made.jobs[1].uid).end_detail or "")
