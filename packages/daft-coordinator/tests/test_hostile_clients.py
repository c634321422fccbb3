"""Clients by the thousand, clients that say nothing, and clients that say too much."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from daft_coordinator import CoordinatorClient
from daft_coordinator.reactor import Reactor
from daft_coordinator.server import FIRST_WORD_S, IDLE_S, MAX_CONNECTIONS, Connection
from daft_coordinator.station import leader_lives
from daft_coordinator.testing import VirtualWorld
from daft_coordinator.testing.virtual_world import VirtualSelector
from daft_protocol.codec import encode_request
from daft_protocol.frames import encode_frame
from daft_protocol.messages import Ack, CancelAll, ListJobs, TailLogs, Wait
from daft_protocol.status import JobStatus

Make = Callable[..., Any]
Place = Any  # of conftest
MIB = 1024 * 1024


def background(job: Make, name: str, command: str = ":", *needs: str, **other: Any) -> Any:
    return job(name, command, *needs, background=True, **other)


def raw(place: Place) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(place.station.socket_path)
    sock.settimeout(30)
    return sock


@pytest.mark.fault("F-23", "silent")
def test_thousands_that_say_nothing_keep_nobody_from_being_served(
    place: Place, fire: Make, job: Make, fault_scale: int
) -> None:
    with place.client() as client:
        made = client.submit(fire(background(job, "a", "sleep 300")))
        place.until(lambda: place.store.jobs_of(made.invocation_id)[0].status is JobStatus.RUNNING)
        (leader,) = place.leaders()
        before = leader.memory_info().rss
        silent = [raw(place) for _ in range(1000 * fault_scale)]

        with place.client() as other:
            assert other.hello().pid == leader.pid
            assert other.cancel(CancelAll(wait=True)).count == 1
        entries = client.wait(Wait(invocation_ids=(made.invocation_id,)))

        assert [entry.status for entry in entries] == ["cancelled"]
        assert leader.memory_info().rss - before < 8 * MIB
        assert leader.num_fds() < MAX_CONNECTIONS + 32
        for sock in silent:
            sock.close()


@pytest.mark.fault("F-23", "slow")
@pytest.mark.parametrize(("spoken", "limit_s"), [(False, FIRST_WORD_S), (True, IDLE_S)])
def test_one_byte_a_minute_is_not_saying_anything(spoken: bool, limit_s: float) -> None:
    """In virtual time: a byte every 50 s, for as long as it is listened to."""
    said = encode_frame(encode_request(ListJobs(), 1))
    with VirtualWorld() as world:
        reactor = Reactor(world.clock, VirtualSelector(world.host))
        ours, theirs = socket.socketpair()
        ends: list[float] = []
        Connection(
            ours,
            reactor=reactor,
            handle=lambda *_: Ack(message="yes"),
            closed=lambda _: ends.append(world.clock.monotonic()),
            troubled=pytest.fail,
        )
        if spoken:
            theirs.sendall(said)
            reactor.wait(0)
        for byte in said:
            try:
                theirs.send(bytes([byte]))
            except BrokenPipeError:
                break
            until = world.clock.monotonic() + 50
            while world.clock.monotonic() < until:
                reactor.wait(until - world.clock.monotonic())
        theirs.close()
        reactor.close()

    assert ends == [limit_s]


@pytest.mark.fault("F-23", "dead")
def test_followers_that_die_in_mid_stream_are_forgotten(
    place: Place, fire: Make, job: Make
) -> None:
    with place.client() as client:
        made = client.submit(fire(background(job, "a", "yes | head -n 100000; exit 3")))
        uid = made.jobs[0].uid
        (leader,) = place.leaders()
        before = leader.num_fds()
        for n in range(20):
            follower = raw(place)
            follower.sendall(encode_frame(encode_request(TailLogs(job_uid=uid, follow=True), n)))
            assert follower.recv(100)
            # A reset instead of an end.
            follower.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            follower.close()

        (entry,) = client.wait(Wait(job_uids=(uid,)))

        assert (entry.status, entry.exit_code) == ("failed", 3)
        place.until(lambda: leader.num_fds() <= before)


@pytest.mark.fault("F-23", "garbage")
def test_oversized_and_endless_frames_cost_their_sender_the_connection(
    place: Place, fire: Make, job: Make
) -> None:
    deep = b'{"v":1,"req":"ListJobs","payload":' + b"[" * 100_000 + b"}"
    with place.client() as client:
        made = client.submit(fire(background(job, "a", "sleep 300")))
        (leader,) = place.leaders()
        for said in (b"\x7f\xff\xff\xff" + b"x" * MIB, b"\x00\x80\x00\x01", encode_frame(deep)):
            with raw(place) as bad:
                try:
                    bad.sendall(said)
                except (BrokenPipeError, ConnectionResetError):
                    continue  # refused at the header: nobody reads the rest
                size = int.from_bytes(bad.recv(4), "big")
                assert json.loads(bad.recv(size))["kind"] == "Error"

        assert client.hello().pid == leader.pid
        assert place.store.jobs_of(made.invocation_id)[0].status is JobStatus.RUNNING
        client.cancel(CancelAll(wait=True))


@pytest.mark.fault("F-14", "leaders")
@pytest.mark.slow
def test_of_many_leaders_at_once_one_does_the_work(
    place: Place, fire: Make, job: Make, tmp_path: Path, fault_scale: int
) -> None:
    """All start on a queue that somebody left behind; a hundred of them at full size."""
    count = min(100, 30 * fault_scale)
    from daft_coordinator import Coordinator
    from daft_coordinator.submission import record

    out = tmp_path / "out"
    spec = fire(*[background(job, f"j{n}", f"echo {n} >> {out}; sleep 0.2") for n in range(20)])
    with Coordinator(place.store) as me:
        record(place.store, spec, owner=None, clock=me.clock)
    words = [
        sys.executable, "-m", "daft_coordinator", "--state-root", place.root, "--repository",
        place.repository,
    ]  # fmt: skip

    running = [subprocess.Popen(words) for _ in range(count)]
    codes = Counter(process.wait(120) for process in running)

    assert codes == {0: count}
    assert not leader_lives(place.station.lock_path)
    assert {one.status for one in place.store.jobs_of(spec.invocation_id)} == {JobStatus.COMPLETED}
    assert sorted(int(line) for line in out.read_text().split()) == list(range(20))


SUBMITTER = """
import sys
from daft_coordinator import CoordinatorClient
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
root, repository, out, me, fires = sys.argv[1:]
store = SqliteJobStore.open(root, repository)
with CoordinatorClient(open_station(root, repository), store) as client:
    for n in range(int(fires)):
        # a -> b, c -> d, and e alone; each notes when it began and when it ended
        jobs = [
            JobSpec(name=name, needs=needs, background=True,
                    command=f"echo {me}-{n} {name} began >> {out}; echo {me}-{n} {name} ended >> {out}")
            for name, needs in (("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b", "c")), ("e", ()))
        ]
        client.submit(InvocationSpec(invocation_id=new_invocation_id(), hook_type="h",
            trigger_command="t", worktree=me, jobs=tuple(jobs)))
"""


@pytest.mark.fault("F-14", "submitters")
@pytest.mark.slow
def test_five_hundred_jobs_of_twenty_submitters_run_once_each_in_order(
    place: Place, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-c", SUBMITTER, place.root, place.repository, str(out)]
    running = [
        subprocess.Popen([*words, f"p{n}", "5"], stderr=subprocess.PIPE, text=True)
        for n in range(20)
    ]
    errors = [process.communicate(timeout=150)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 20, errors

    place.until(lambda: not leader_lives(place.station.lock_path), 120)

    with CoordinatorClient(place.station, place.store) as client:
        client.hello()
        entries = list(client.jobs(ListJobs()))
    assert Counter(entry.status for entry in entries) == {"completed": 500}
    happened = [tuple(line.split()) for line in out.read_text().splitlines()]
    assert set(Counter(happened).values()) == {1}
    assert len(happened) == 1000
    when = {event: place_of for place_of, event in enumerate(happened)}
    for fire_of in {event[0] for event in happened}:
        for before, after in (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")):
            assert when[fire_of, before, "ended"] < when[fire_of, after, "began"]
    place.until(lambda: not leader_lives(place.station.lock_path))
    assert place.store.owners() == ()
    place.check_invariants()
    assert not os.path.exists(place.station.socket_path)


def use_up_descriptors(process: psutil.Process) -> None:
    """Leave a process none: the limit is on their numbers, so it is the first free one."""
    used = {int(name) for name in os.listdir(f"/proc/{process.pid}/fd")}
    first_free = next(number for number in itertools.count() if number not in used)
    give_descriptors(process, first_free)


def give_descriptors(process: psutil.Process, count: int) -> None:
    _, most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (count, most))


@pytest.mark.fault("F-27", "spawn")
@pytest.mark.fault("F-27", "accept")
def test_a_leader_without_descriptors_serves_again_when_there_are_some(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    waits = f"while ! [ -e {go} ]; do sleep 0.05; done"
    with place.client() as client, place.client() as other:
        made = client.submit(
            fire(background(job, "runs", f"{waits}; exit 3"), background(job, "after", ":", "runs"))
        )
        place.until(lambda: place.store.jobs_of(made.invocation_id)[0].status is JobStatus.RUNNING)
        (leader,) = place.leaders()
        room, _ = resource.prlimit(leader.pid, resource.RLIMIT_NOFILE)
        journal = Path(place.station.journal_path)
        use_up_descriptors(leader)
        second = client.submit(fire(background(job, "waits", "echo it ran")))
        asking = threading.Thread(target=other.hello)
        asking.start()
        place.until(lambda: "cannot accept" in journal.read_text())

        give_descriptors(leader, room)
        asking.join(30)
        entries = client.wait(Wait(invocation_ids=(second.invocation_id,)))
        assert [entry.status for entry in entries] == ["completed"]

        # Ends are seen, and seen rightly, without a single descriptor to spare.
        use_up_descriptors(leader)
        go.touch()
        place.until(
            lambda: place.store.jobs_of(made.invocation_id)[0].status is not JobStatus.RUNNING
        )
        give_descriptors(leader, room)
        client.wait(Wait(invocation_ids=(made.invocation_id,)))

    runs, after = place.store.jobs_of(made.invocation_id)
    assert (runs.status, runs.exit_code, runs.end_detail) == (JobStatus.FAILED, 3, "exit code 3")
    assert after.status is JobStatus.SKIPPED


@pytest.mark.fault("F-33", "hang-up")
def test_a_terminal_that_closes_takes_no_leader_and_no_job_with_it(
    place: Place, fire: Make, job: Make
) -> None:
    """The submitter's whole session is hung up, as a closed terminal does."""
    pid, terminal = os.forkpty()
    if pid == 0:
        code = (
            "import sys\n"
            "from daft_coordinator import CoordinatorClient\n"
            "from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station\n"
            "from daft_protocol import InvocationSpec, JobSpec\n"
            "store = SqliteJobStore.open(*sys.argv[1:])\n"
            "client = CoordinatorClient(open_station(*sys.argv[1:]), store)\n"
            "client.submit(InvocationSpec(invocation_id='a' * 16, hook_type='h', worktree='w',\n"
            "    trigger_command='t', jobs=(JobSpec(name='a', command='sleep 1', background=True),)))\n"
            "input()\n"
        )
        os.execv(sys.executable, [sys.executable, "-c", code, place.root, place.repository])
    place.until(
        lambda: [one.status for one in place.store.jobs_of("a" * 16)] == [JobStatus.RUNNING]
    )

    os.close(terminal)
    os.kill(pid, signal.SIGHUP)
    os.waitpid(pid, 0)

    place.until(lambda: all(one.status.is_final for one in place.store.jobs_of("a" * 16)))
    assert [one.status for one in place.store.jobs_of("a" * 16)] == [JobStatus.COMPLETED]
