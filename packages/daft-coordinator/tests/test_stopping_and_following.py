"""Cancels that say what they did, and streams that no reader can hold up."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from attrs import evolve

from daft_coordinator import CoordinatorClient
from daft_coordinator.adapters.clock import SystemClock
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.processes import PosixProcessControl
from daft_coordinator.domain.reconcile import ObservedJob, Verdict, reconcile
from daft_coordinator.errors import RequestRefused
from daft_coordinator.finding import Meeting
from daft_coordinator.logreader import read_log
from daft_coordinator.ports import JobChange
from daft_coordinator.reactor import Reactor
from daft_coordinator.server import SEND_BUFFER_BYTES, WRITE_STALL_S, Connection, Operation
from daft_coordinator.station import LeaderLock, leader_lives
from daft_coordinator.submission import record
from daft_coordinator.testing import VirtualClock
from daft_protocol.codec import decode_response, encode_request
from daft_protocol.frames import FrameDecoder, encode_frame
from daft_protocol.messages import (
    CancelAll,
    CancelMatching,
    Error,
    Heartbeat,
    Hello,
    StreamEnd,
    StreamFrame,
    TailLogs,
    Wait,
)
from daft_protocol.status import JobStatus

Make = Callable[..., Any]


def running(place: Any, uid: str, ready: Path | None = None) -> None:
    place.until(lambda: place.store.job(uid).status is JobStatus.RUNNING)
    place.until(lambda: ready is None or ready.exists())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- cancels ----------------------------------------------------------------------------------


def test_a_job_is_stopped_by_the_signal_that_was_asked_for(
    place: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    command = f"trap 'exit 7' INT; trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done"
    with place.client() as client:
        made = client.submit(fire(job("a", command, background=True)))
        running(place, made.jobs[0].uid, tmp_path / "up")
        with pytest.raises(RequestRefused, match="no signal is called 'COFFEE'") as caught:
            client.cancel(CancelMatching(job_name="a", signal="COFFEE"))
        client.cancel(CancelMatching(job_name="a", signal="int", wait=True))

    found = place.store.job(made.jobs[0].uid)
    assert caught.value.code == "BAD_PAYLOAD"
    assert (found.status, found.exit_code) == (JobStatus.CANCELLED, 7)


def test_a_cancel_waits_for_as_long_as_a_job_asks_for(
    place: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    """Longer than the coordinator gives others: the job ends by itself, 6 s after it was told."""
    command = f"trap 'sleep 6; exit 7' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done"
    with place.client() as client:
        made = client.submit(fire(job("a", command, background=True, grace_s=60)))
        running(place, made.jobs[0].uid, tmp_path / "up")
        answer = client.cancel(CancelMatching(job_name="a", wait=True))

    found = place.store.job(made.jobs[0].uid)
    assert [one.outcome for one in answer.results] == ["signalled"]
    assert (found.status, found.exit_code) == (JobStatus.CANCELLED, 7)


def test_a_second_cancel_kills(place: Any, fire: Make, job: Make, tmp_path: Path) -> None:
    command = f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done"
    with place.client() as client:
        made = client.submit(fire(job("a", command, background=True)))
        running(place, made.jobs[0].uid, tmp_path / "up")
        first = client.cancel(CancelMatching(job_name="a"))
        assert [one.status for one in first.results] == ["cancelling"]
        second = client.cancel(CancelMatching(job_name="a", wait=True))

    found = place.store.job(made.jobs[0].uid)
    assert [(one.outcome, one.status) for one in second.results] == [("signalled", "cancelled")]
    assert (found.status, found.term_signal) == (JobStatus.CANCELLED, signal.SIGKILL)
    events = [one.event for one in read_log(place.store.log_directory(found)) if one.event]
    assert events == ["started", "signaled"]


def test_what_needed_no_stop_is_told_apart_from_what_is_not_there(
    place: Any, fire: Make, job: Make
) -> None:
    with place.client() as client:
        made = client.submit(
            fire(job("done", background=True), job("later", "sleep 60", background=True))
        )
        uids = [one.uid for one in made.jobs]
        client.wait(Wait(job_uids=(uids[0],)))
        answer = client.cancel(
            CancelMatching(job_uids=(*uids, "f" * 32), invocation_prefix=made.invocation_id[:4])
        )

    assert (answer.count, answer.names) == (1, ("later",))
    assert {one.job_uid: one.outcome for one in answer.results} == {
        uids[0]: "already finished", uids[1]: "signalled", "f" * 32: "not found",
    }  # fmt: skip


def test_a_strict_cancel_of_nothing_is_refused_with_a_leader_and_without(
    place: Any, fire: Make, job: Make
) -> None:
    with place.client() as client:
        for _ in range(2):
            with pytest.raises(RequestRefused, match="no unfinished job fits") as caught:
                client.cancel(CancelMatching(hook="none", strict=True))
            assert caught.value.code == "NO_MATCH"
            assert client.cancel(CancelMatching(hook="none")).count == 0
            client.submit(fire(job("a", "sleep 60", background=True)))
        client.cancel(CancelAll(wait=True))


FOREGROUND = """
import sys
from daft_coordinator import Coordinator
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
root, repository, command, terminal = sys.argv[1:]
with Coordinator(SqliteJobStore.open(root, repository), kind="command") as coordinator:
    (job,) = coordinator.submit(InvocationSpec(invocation_id=new_invocation_id(), hook_type="h",
        trigger_command="t", worktree="main",
        jobs=(JobSpec(name="fore", command=command, interactive=terminal == "True", grace_s=2.5),)))
    print(job.uid, flush=True)
    coordinator.wait(job.invocation_id)
"""


@pytest.fixture
def foreground(place: Any) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Run a job in another process, as a command runs its foreground."""
    started: list[subprocess.Popen[str]] = []

    def start(command: str, *, terminal: bool = False) -> tuple[subprocess.Popen[str], str]:
        words = (place.root, place.repository, command, str(terminal))
        process = subprocess.Popen(
            [sys.executable, "-c", FOREGROUND, *words],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_foreground_job_that_ignores_the_request_is_killed_for_it(
    place: Any, foreground: Make, tmp_path: Path
) -> None:
    command = f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done"
    process, uid = foreground(command)
    running(place, uid, tmp_path / "up")

    with place.client() as client:
        answer = client.cancel(CancelMatching(job_uids=(uid,), wait=True, grace_ms=200))

    assert process.wait(30) == 0
    assert [one.status for one in answer.results] == ["cancelled"]


@pytest.mark.parametrize("leads", [True, False])
def test_a_cancel_that_nobody_waits_for_is_seen_through(
    place: Any, foreground: Make, tmp_path: Path, leads: bool
) -> None:
    command = f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done"
    process, uid = foreground(command)
    running(place, uid, tmp_path / "up")

    with place.client() as client:
        if leads:
            client.hello()
        client.cancel(CancelMatching(job_uids=(uid,)))

    # Longer than a leader stays that has nothing to do.
    assert process.wait(30) == 0
    found = place.store.job(uid)
    assert (found.status, found.term_signal) == (JobStatus.CANCELLED, signal.SIGKILL)


@pytest.mark.parametrize("leads", [True, False])
def test_what_left_the_group_of_a_foreground_job_ends_with_it(
    place: Any, foreground: Make, tmp_path: Path, leads: bool
) -> None:
    escaped = tmp_path / "escaped"
    child = f"trap '' TERM; echo \\$\\$ > {escaped}.new; mv {escaped}.new {escaped}"
    process, uid = foreground(f'setsid sh -c "{child}; while :; do sleep 0.02; done" & sleep 60')
    running(place, uid, escaped)

    with place.client() as client:
        if leads:
            client.hello()
        answer = client.cancel(CancelMatching(job_uids=(uid,), wait=True, grace_ms=100))

        assert [one.status for one in answer.results] == ["cancelled"]
        place.until(lambda: is_gone(int(escaped.read_text())))
    assert process.wait(30) == 0


def test_a_job_with_a_terminal_is_cancelled_alone(
    place: Any, foreground: Make, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    process, uid = foreground(f"sleep 60 & echo $! > {child}.new; mv {child}.new {child}; wait",
                              terminal=True)  # fmt: skip
    running(place, uid, child)

    with place.client() as client:
        client.hello()
        client.cancel(CancelMatching(job_uids=(uid,), wait=True))

    # It shares the group of its command, and of all that runs beside that.
    assert process.wait(30) == 0
    assert place.store.job(uid).status is JobStatus.CANCELLED
    place.until(lambda: is_gone(int(child.read_text())))


def test_who_waits_or_follows_learns_that_the_owner_of_a_job_has_died(
    place: Any, foreground: Make
) -> None:
    process, uid = foreground("sleep 60")
    running(place, uid)
    with place.client() as client:
        client.hello()
        process.kill()
        process.wait()

        events = [one.event for one in client.tail(uid, follow=True)]
        (entry,) = client.wait(Wait(job_uids=(uid,)))

    assert events == ["started", "crashed"]
    assert entry.status == "crashed"


# --- streams ----------------------------------------------------------------------------------


def test_a_stream_may_begin_at_the_end_and_be_of_one_kind(
    place: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    command = f"echo one; echo err >&2; touch {tmp_path}/up; while ! test -e {tmp_path}/go; do sleep 0.02; done; echo two"
    with place.client() as client, place.client() as other:
        made = client.submit(fire(job("a", command, background=True)))
        uid = made.jobs[0].uid
        running(place, uid, tmp_path / "up")
        place.until(lambda: len(list(read_log(place.store.log_directory(made.jobs[0])))) == 3)
        whole, late = other._line.link(), client._line.link()
        asked = TailLogs(job_uid=uid, follow=True, kinds=("stdout",), heartbeat_ms=1000)
        whole.send(asked)
        late.send(evolve(asked, from_end=True))
        first, second = whole.receive(20), whole.receive(20)
        waits = late.receive(20)
        (tmp_path / "go").touch()
        rest = [one for one in iter(lambda: late.receive(20), StreamEnd()) if one != Heartbeat()]

    assert isinstance(first, StreamFrame)
    assert first.record["data"] == "one"
    assert second == Heartbeat(), "nothing to say, and still there"
    assert waits == Heartbeat(), "what was there is not for it"
    assert [one.record["data"] for one in rest] == ["two"]


def test_a_reader_that_takes_nothing_holds_up_nobody(place: Any, fire: Make, job: Make) -> None:
    lines = 60_000
    with place.client() as client, place.client() as good:
        made = client.submit(fire(job("a", f"seq 1 {lines}; sleep 60", background=True)))
        uid = made.jobs[0].uid
        running(place, uid)
        slow = [raw(place) for _ in range(5)]
        for sock in slow:
            sock.sendall(encode_frame(encode_request(TailLogs(job_uid=uid, follow=True), 1)))
        followed = good.tail(uid, follow=True, kinds=("stdout",))
        seen = [record.data for record in itertools.islice(followed, lines)]
        client.cancel(CancelAll(wait=True))
        assert list(followed) == []
        for sock in slow:
            sock.close()

    assert seen == [str(n) for n in range(1, lines + 1)]


def raw(place: Any) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(30)
    sock.connect(place.station.socket_path)
    return sock


class Endless(Operation):
    """An operation that sends as long as there is room."""

    def __init__(self) -> None:
        self.is_closed = False

    def poll(self, connection: Connection) -> bool:
        while connection.has_room:
            connection.send(StreamFrame(record={"data": "x" * 1000}))
        return False

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("is_late", [False, True])
def test_a_slow_reader_is_told_that_it_was_and_hung_up_on(is_late: bool) -> None:
    clock, endless, closed = VirtualClock(), Endless(), []
    reactor = Reactor(clock)
    ours, theirs = socket.socketpair()
    connection = Connection(
        ours,
        reactor=reactor,
        handle=lambda *_: endless,
        closed=closed.append,
        troubled=lambda error: pytest.fail(str(error)),
    )
    theirs.sendall(encode_frame(encode_request(Hello(), 3)))
    reactor.turn()
    assert len(connection._out) >= SEND_BUFFER_BYTES

    clock.move_to(clock.monotonic() + WRITE_STALL_S)
    reactor.turn()
    assert endless.is_closed
    assert len(connection._out) < 2000, "nothing is kept for it any more"
    if is_late:
        clock.move_to(clock.monotonic() + WRITE_STALL_S)
        reactor.turn()
    theirs.setblocking(False)
    decoder, bodies = FrameDecoder(), []
    while True:
        reactor.turn()
        try:
            data = theirs.recv(1 << 20)
        except BlockingIOError:
            continue
        if not data:
            break
        bodies += decoder.feed(data)

    answers = [decode_response(body) for body in bodies]
    assert all(answer.id == 3 for answer in answers)
    assert closed == [connection]
    assert all(isinstance(answer.message, StreamFrame) for answer in answers[:-1])
    if is_late:
        assert isinstance(answers[-1].message, StreamFrame)
    else:
        assert isinstance(answers[-1].message, Error)
        assert answers[-1].message.code == "OVERRUN"
    theirs.close()
    reactor.close()


class Script:
    """A connection that answers from a list; an exception in it is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    def send(self, request: Any) -> None:
        self.asked.append(request)

    def receive(self, answer_s: float | None) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        pass


def test_a_stream_goes_on_where_it_was_cut_off(place: Any) -> None:
    def line(seq: int) -> StreamFrame:
        return StreamFrame(record={"seq": seq, "ts": 0, "kind": "stdout", "data": str(seq)})

    links = [
        Script(line(4), Heartbeat(), RequestRefused("OVERRUN", "too slow")),
        Script(line(5), TimeoutError()),
        Script(ConnectionResetError()),
        Script(line(7), StreamEnd()),
    ]
    met = iter(links)
    client = CoordinatorClient(place.station, MemoryJobStore())
    client._line._finder.meet = lambda: Meeting(link=next(met))  # type: ignore[method-assign, assignment, return-value, arg-type]

    assert [record.seq for record in client.tail("u", follow=True, from_end=True)] == [4, 5, 7]
    assert [link.asked[0].since_seq for link in links] == [0, 5, 6, 6]
    assert [link.asked[0].from_end for link in links] == [True, False, False, False]


def test_nothing_is_left_of_a_crash_but_the_truth(place: Any, fire: Make, job: Make) -> None:
    with place.client() as client:
        made = client.submit(fire(job("a", "sleep 60", background=True)))
        running(place, made.jobs[0].uid)
        os.kill(client.hello().pid, signal.SIGKILL)
        client.hello()

    found = place.store.job(made.jobs[0].uid)
    events = [one.event for one in read_log(place.store.log_directory(found)) if one.event]
    assert found.status is JobStatus.CRASHED
    assert events == ["started", "crashed"]


# --- orphans ----------------------------------------------------------------------------------


def test_an_orphan_with_a_terminal_takes_nothing_along_that_shares_its_group(
    place: Any, tmp_path: Path
) -> None:
    command = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    script = subprocess.Popen(
        # Whatever a script runs is in one group, also what it runs after a death.
        ["sh", "-c", f'"$@"; touch {tmp_path}/next; exec sleep 60', "sh", sys.executable, "-c",
         FOREGROUND, place.root, place.repository, command, "True"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert script.stdout is not None
    uid = script.stdout.readline().strip()
    running(place, uid, tmp_path / "child")
    (owner,) = place.store.owners()

    os.kill(owner.process.pid, signal.SIGKILL)
    place.until(lambda: (tmp_path / "next").exists())
    with place.client() as client:
        client.hello()

    assert place.store.job(uid).status is JobStatus.CRASHED
    place.until(lambda: is_gone(int((tmp_path / "child").read_text())))
    assert script.poll() is None
    script.kill()
    script.communicate()


def test_an_orphan_may_be_adopted_and_is_told_as_what_it_is(
    place: Any, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFT_JOBS_ORPHANS", "adopt")
    wait = f"while ! test -e {tmp_path}/$DAFT_JOB_NAME; do sleep 0.02; done"
    with place.client() as client:
        made = client.submit(
            fire(
                job("goes", wait, background=True),
                job("stopped", wait, background=True),
                job("after", ":", "goes", background=True),
            )
        )
        by_name = {one.name: one.uid for one in made.jobs}
        for name in ("goes", "stopped"):
            running(place, by_name[name])
        os.kill(client.hello().pid, signal.SIGKILL)

        leader = client.hello()
        still = place.store.job(by_name["goes"])
        client.cancel(CancelMatching(job_name="stopped", wait=True))
        (tmp_path / "goes").touch()
        client.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert still.status is JobStatus.RUNNING
    assert {owner.id: owner.process.pid for owner in place.store.owners()}.get(
        still.owner, leader.pid
    ) == leader.pid
    found = {one.name: one for one in place.store.jobs_of(made.invocation_id)}
    assert {name: (one.status.value, one.end_detail) for name, one in found.items()} == {
        "goes": ("crashed", "adopted; exit status unknown"),
        "stopped": ("cancelled", "cancelled; its coordinator died meanwhile"),
        "after": ("skipped", "dependency failed: goes crashed"),
    }
    events = [one.event for one in read_log(place.store.log_directory(found["goes"])) if one.event]
    assert events == ["started", "note", "crashed"]


class AnHourAgo(SystemClock):
    """What the clocks of this machine said an hour ago."""

    def now(self) -> datetime:
        return super().now() - timedelta(hours=1)

    def since_boot(self) -> float:
        return super().since_boot() - 3600


def test_what_was_adopted_has_no_more_time_than_it_had(
    place: Any, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFT_JOBS_ORPHANS", "adopt")
    control, clock = PosixProcessControl(), AnHourAgo()
    now = clock.now()
    orphan = subprocess.Popen(["sleep", "60"], process_group=0)
    identity = control.identify(orphan.pid)
    assert identity is not None
    spec = fire(job("a", background=True, timeout_s=60))
    (made,) = record(place.store, spec, owner="f" * 16, clock=clock)
    place.store.apply(
        [
            JobChange(
                job_uid=made.uid, allowed=(JobStatus.QUEUED,), to=JobStatus.RUNNING, at=now,
                process=identity, started_at=now,
            )
        ]
    )  # fmt: skip

    with place.client() as client:
        client.wait(Wait(job_uids=(made.uid,)))

    assert orphan.wait(10) == -signal.SIGTERM
    found = place.store.job(made.uid)
    assert (found.status, found.end_detail) == (
        JobStatus.CRASHED, "its coordinator died; what still ran of it was stopped",
    )  # fmt: skip


def test_a_user_may_not_want_a_queue_taken_over(
    place: Any, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFT_JOBS_REQUEUE", "off")
    spec = fire(job("a", background=True))
    (made,) = record(place.store, spec, owner="f" * 16, clock=SystemClock())

    with place.client() as client:
        client.hello()

    assert place.store.job(made.uid).status is JobStatus.SKIPPED


def test_a_leader_that_is_told_to_leave_stops_what_it_adopted(
    place: Any, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFT_JOBS_ORPHANS", "adopt")
    with place.client() as client:
        made = client.submit(fire(job("a", "sleep 60", background=True)))
        running(place, made.jobs[0].uid)
        os.kill(client.hello().pid, signal.SIGKILL)
        client.hello()
        assert place.store.job(made.jobs[0].uid).status is JobStatus.RUNNING
        client.shutdown()
    place.until(lambda: not leader_lives(place.station.lock_path))

    assert place.store.job(made.jobs[0].uid).status is JobStatus.CRASHED


def test_what_needed_a_job_that_crashed_is_skipped_because_of_it() -> None:
    def one(name: str, status: JobStatus, *needs: str, **other: Any) -> ObservedJob:
        given = {"owner_alive": False, "restartable": False, "invocation_id": "i", **other}
        return ObservedJob(uid=name, name=name, status=status, needs=needs, **given)

    queued = JobStatus.QUEUED
    jobs = [
        one("a", JobStatus.RUNNING),
        one("b", queued, "a"),
        one("c", queued, "b"),
        one("d", queued),
        one("e", queued, "a", restartable=True),
        one("f", JobStatus.RUNNING, group_alive=True),
        one("g", queued, "f"),
        one("h", queued, "a", invocation_id="other"),
    ]

    assert reconcile(jobs) == {
        "a": Verdict.CRASH, "b": Verdict.SKIP_DEPENDENT, "c": Verdict.SKIP_DEPENDENT,
        "d": Verdict.SKIP, "e": Verdict.REQUEUE, "f": Verdict.STOP_ORPHAN,
        "g": Verdict.SKIP_DEPENDENT, "h": Verdict.SKIP,
    }  # fmt: skip
    adopting = reconcile(jobs, adopt=True)
    assert (adopting["f"], adopting["g"]) == (Verdict.ADOPT, Verdict.SKIP)
    stopping = one("f", JobStatus.CANCELLING, group_alive=True)
    assert reconcile([stopping], adopt=True) == {"f": Verdict.STOP_ORPHAN}


# --- nobody leads -----------------------------------------------------------------------------


def test_what_a_dead_leader_left_in_the_queue_is_cancelled_before_it_starts(
    place: Any, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFT_JOBS_WORKERS", "1")
    with place.client() as client:
        made = client.submit(
            fire(
                job("runs", f"trap '' TERM; touch {tmp_path}/up; sleep 60; sleep 60",
                    background=True),
                job("waits", f"touch {tmp_path}/started", background=True, tags=("t",)),
                job("other", f"touch {tmp_path}/other", background=True),
            )
        )  # fmt: skip
        running(place, made.jobs[0].uid, tmp_path / "up")
        os.kill(client.hello().pid, signal.SIGKILL)
        place.until(lambda: not leader_lives(place.station.lock_path))
    by_name = {one.name: one.uid for one in made.jobs}

    with place.client() as client:
        with pytest.raises(RequestRefused, match="at least one predicate"):
            client.cancel(CancelMatching())
        first = client.cancel(CancelMatching(tag="t", wait=True))
        assert not leader_lives(place.station.lock_path), "nothing needed one"
        second = client.cancel(
            CancelMatching(job_uids=(by_name["runs"], by_name["waits"]), wait=True, grace_ms=200)
        )
        client.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert [(one.name, one.outcome) for one in first.results] == [("waits", "dequeued")]
    assert {one.name: (one.outcome, one.status) for one in second.results} == {
        "runs": ("signalled", "cancelled"), "waits": ("already finished", "cancelled"),
    }  # fmt: skip
    assert place.store.job(by_name["other"]).status is JobStatus.COMPLETED
    assert not (tmp_path / "started").exists()


def test_a_foreground_job_is_cancelled_where_nobody_leads(
    place: Any, foreground: Make, tmp_path: Path
) -> None:
    command = f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done"
    process, uid = foreground(command)
    running(place, uid, tmp_path / "up")

    with place.client() as client:
        answer = client.cancel(CancelMatching(hook="h", wait=True, grace_ms=100))

    assert process.wait(30) == 0
    assert [(one.outcome, one.status) for one in answer.results] == [("signalled", "cancelled")]


# --- the place where a leader is met ----------------------------------------------------------

tells = pytest.mark.skipif(not hasattr(fcntl, "F_NOTIFY"), reason="this system tells nobody")


@tells
@pytest.mark.parametrize("how", ["removed", "replaced", "cleared"])
def test_a_socket_that_vanished_is_put_back(place: Any, fire: Make, job: Make, how: str) -> None:
    path = place.station.socket_path
    with place.client() as client:
        made = client.submit(fire(job("a", "sleep 60", background=True)))
        running(place, made.jobs[0].uid)
        leader = client.hello().pid

    if how == "removed":
        os.unlink(path)
    elif how == "replaced":
        Path(f"{path}.other").touch()
        os.rename(f"{path}.other", path)
    else:
        for found in Path(place.root).iterdir():
            if found.is_file() or found.is_socket():
                found.unlink()
    place.until(lambda: os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode))

    place.until(lambda: leader_lives(place.station.lock_path))  # a new lock file is locked, too
    with place.client() as client:
        assert client.hello().pid == leader
        client.cancel(CancelAll(wait=True))


@tells
def test_a_socket_whose_place_was_taken_is_put_back_when_that_is_free(
    place: Any, fire: Make, job: Make
) -> None:
    path = Path(place.station.socket_path)
    with place.client() as client:
        made = client.submit(fire(job("a", "sleep 60", background=True)))
        running(place, made.jobs[0].uid)
        leader = client.hello().pid

    path.unlink()
    path.mkdir()
    journal = Path(place.station.journal_path)
    place.until(lambda: "cannot listen at" in journal.read_text())
    path.rmdir()
    place.until(path.is_socket)

    with place.client() as client:
        assert client.hello().pid == leader
        client.cancel(CancelAll(wait=True))
    assert list(path.parent.glob(f"{path.name}.*")) == []


@tells
def test_who_has_lost_the_lock_takes_nothing_more_and_finishes(
    place: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    with place.client() as client:
        made = client.submit(
            fire(job("a", f"while ! test -e {tmp_path}/go; do sleep 0.02; done", background=True))
        )
        running(place, made.jobs[0].uid)
        first = client.hello().pid
    other = LeaderLock.try_acquire(f"{place.station.lock_path}.other")
    assert other is not None

    # As if the file had been deleted, and the next leader had locked another one.
    os.rename(f"{place.station.lock_path}.other", place.station.lock_path)
    place.until(lambda: "another coordinator leads" in Path(place.station.journal_path).read_text())
    (tmp_path / "go").touch()
    place.until(lambda: first not in [one.pid for one in place.leaders()])
    other.release()

    assert place.store.job(made.jobs[0].uid).status is JobStatus.COMPLETED
