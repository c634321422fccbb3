"""A client that leaves as soon as a leader that is started holds its work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daft_coordinator.errors import CoordinatorUnavailable
from daft_coordinator.station import LeaderLock, leader_lives, program
from daft_protocol.messages import CancelMatching, Wait
from daft_protocol.status import JobStatus

Make = Callable[..., Any]
Place = Any  # of conftest

NO_INTERPRETER = "/bin/false"


@pytest.fixture
def proven(place: Place, fire: Make, job: Make) -> Place:
    """A repository whose last leader was the program that is tested."""
    with place.client() as client:
        made = client.submit(fire(job("before", background=True)))
        client.wait(Wait(invocation_ids=(made.invocation_id,)))
        client.shutdown()
    place.until(lambda: not leader_lives(place.station.lock_path))
    return place


@pytest.mark.fault("F-01", "handed-over")
def test_a_client_that_dies_right_after_its_submission_takes_nothing_with_it(
    proven: Place, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code = """
import os, signal, sys
from daft_coordinator import CoordinatorClient
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
root, repository, out = sys.argv[1:]
client = CoordinatorClient(open_station(root, repository), SqliteJobStore.open(root, repository))
job = JobSpec(name="a", command=f'echo "$API_TOKEN $ONLY_HERE" > {out}', background=True,
    working_dir="/", env={"API_TOKEN": "never stored"})
made = client.submit(InvocationSpec(invocation_id=new_invocation_id(), hook_type="h",
    trigger_command="t", worktree="main", jobs=(job,)), confirm=False)
print(made.invocation_id, made.leader_pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, proven.root, proven.repository, str(out)],
        env={**os.environ, "ONLY_HERE": "inherited"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    invocation_id, leader_pid = done.stdout.split()

    with proven.client() as client:
        welcome = client.hello()
        entries = client.wait(Wait(invocation_ids=(invocation_id,)))

    assert [entry.status for entry in entries] == ["completed"]
    assert out.read_text() == "never stored inherited\n"
    assert welcome.pid == int(leader_pid)
    assert "never stored" not in json.dumps(
        [repr(job) for job in proven.store.jobs_of(invocation_id)]
    )


def test_the_answer_is_waited_for_where_this_program_has_never_led(
    place: Place, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(place.station.lock_path).write_text("1 daft 0.0\n0.0 /elsewhere /usr/bin/python\n")
    monkeypatch.setattr(sys, "executable", NO_INTERPRETER)
    spec = fire(job("a", background=True))

    with place.client() as client, pytest.raises(CoordinatorUnavailable, match="while starting"):
        client.submit(spec, confirm=False)

    assert [one.status for one in place.store.jobs_of(spec.invocation_id)] == [JobStatus.QUEUED]


def broken(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the next leader end at birth, although the last one led well; return what mends it."""
    real = sys.executable
    monkeypatch.setattr(sys, "executable", NO_INTERPRETER)
    lock = LeaderLock.try_acquire(place.station.lock_path)
    assert lock is not None
    lock.describe("1 daft 0.0")
    assert lock.was_held_by_ours
    lock.release()
    return lambda: monkeypatch.setattr(sys, "executable", real)


@pytest.mark.fault("F-02", "it")
def test_what_a_leader_takes_to_its_grave_is_told_by_the_next(
    place: Place, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = broken(place, monkeypatch)
    spec = fire(
        job("plain", background=True),
        job("secret", background=True, env={"API_TOKEN": "never stored"}),
    )
    with place.client() as client:
        made = client.submit(spec, confirm=False)
    assert made.started_leader
    place.until(lambda: not leader_lives(place.station.lock_path))
    monkeypatch.undo()
    mend()

    with place.client() as client:
        client.hello()
        client.wait(Wait(invocation_ids=(spec.invocation_id,)))

    ended = {one.name: one for one in place.store.jobs_of(spec.invocation_id)}
    assert ended["plain"].status is JobStatus.COMPLETED
    assert ended["secret"].status is JobStatus.SKIPPED
    assert "API_TOKEN" in (ended["secret"].end_detail or "")


def test_who_stays_hands_it_over_again_before_asking_anything_else(
    place: Place, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = broken(place, monkeypatch)
    out = tmp_path / "out"
    secret = job("a", f'echo "$API_TOKEN" > {out}', background=True, env={"API_TOKEN": "kept"})
    with place.client() as client:
        made = client.submit(fire(secret), confirm=False)
        mend()

        entries = client.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert [entry.status for entry in entries] == ["completed"]
    assert out.read_text() == "kept\n"


def test_who_stays_may_go_on_at_once(proven: Place, fire: Make, job: Make) -> None:
    with proven.client() as client:
        first = client.submit(fire(job("a", "sleep 60", background=True)), confirm=False)
        second = client.submit(fire(job("b", "sleep 60", background=True)), confirm=False)

        cancelled = client.cancel(CancelMatching(worktree="main", wait=True))

    assert (first.started_leader, second.started_leader) == (True, False)
    assert cancelled.count == 2


def test_more_than_the_kernel_holds_is_handed_over_as_well(
    proven: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    much = {f"MUCH_{number}": "x" * 100_000 for number in range(12)}
    asked = fire(job("a", f"echo ${{#MUCH_11}} > {out}", background=True))
    with proven.client() as client:
        made = client.submit(asked, environment={**os.environ, **much}, confirm=False)
        client.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert out.read_text() == "100000\n"


def test_a_lock_that_is_handed_on_is_free_when_the_last_holder_is_gone(place: Place) -> None:
    lock = LeaderLock.try_acquire(place.station.lock_path)
    assert lock is not None
    ready, told = os.pipe()
    words = [sys.executable, "-c", f"import os; os.write({told}, b'!'); input()"]
    heir = subprocess.Popen(words, pass_fds=(lock.fileno(), told), stdin=subprocess.PIPE)
    assert os.read(ready, 1) == b"!"
    os.close(ready)
    os.close(told)

    lock.release()

    assert leader_lives(place.station.lock_path)
    heir.kill()
    heir.communicate()
    assert not leader_lives(place.station.lock_path)


def test_a_lock_whose_file_was_replaced_is_not_inherited(place: Place) -> None:
    path = place.station.lock_path
    lock = LeaderLock.try_acquire(path)
    assert lock is not None
    os.unlink(path)
    other = LeaderLock.try_acquire(path)
    assert other is not None

    assert LeaderLock.inherit(os.dup(lock.fileno()), path) is None

    other.release()
    heir = LeaderLock.inherit(os.dup(lock.fileno()), path)
    assert heir is not None
    assert heir.is_at(path)
    heir.release()
    lock.release()


def test_a_program_is_known_by_its_code_and_its_interpreter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = program()

    monkeypatch.setattr(sys, "executable", "/elsewhere/python")

    assert program() != here
