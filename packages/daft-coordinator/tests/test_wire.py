"""A leader as programs meet it that write their frames themselves: bytes in, bytes out."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from daft_coordinator import CoordinatorClient
from daft_coordinator.adapters.clock import SystemClock
from daft_coordinator.errors import PeerNotOurs, RequestRefused
from daft_coordinator.finding import Meeting
from daft_coordinator.reactor import Reactor
from daft_coordinator.server import MAX_CONNECTIONS, Connection
from daft_coordinator.station import check_peer
from daft_coordinator.submission import record
from daft_protocol.codec import decode_response, encode_request
from daft_protocol.frames import FrameDecoder, encode_frame
from daft_protocol.jobs import Skip
from daft_protocol.messages import Ack, CancelAll, Error, Hello, StreamFrame, Wait
from daft_protocol.status import JobStatus, SkipKind

Make = Callable[..., Any]
Place = Any  # of conftest


class Caller:
    """A program that knows nothing but the frames."""

    def __init__(self, place: Place) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(30)
        self.socket.connect(place.station.socket_path)

    def say(self, text: str) -> None:
        body = text.encode()
        self.socket.sendall(len(body).to_bytes(4, "big") + body)

    def hear(self) -> Any:
        """Return the next answer as it stands on the wire; None when there is none any more."""
        header = self._bytes(4)
        return json.loads(self._bytes(int.from_bytes(header, "big"))) if header else None

    def ask(self, text: str) -> Any:
        self.say(text)
        return self.hear()

    def _bytes(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            try:
                part = self.socket.recv(count - len(found))
            except ConnectionResetError:
                part = b""  # it hung up before it had read what we said
            if not part:
                return b""
            found += part
        return found


@pytest.fixture
def call(place: Place) -> Iterator[Callable[[], Caller]]:
    callers: list[Caller] = []

    def make() -> Caller:
        callers.append(Caller(place))
        return callers[-1]

    yield make
    for one in callers:
        one.socket.close()


@contextmanager
def leading(place: Place, *jobs: Any, fire: Make) -> Iterator[tuple[Any, CoordinatorClient]]:
    """Have a leader run jobs until the context ends."""
    with place.client() as client:
        yield client.submit(fire(*jobs)), client
        client.cancel(CancelAll(wait=True))


def test_a_program_that_speaks_plain_version_one_gets_plain_answers(
    place: Place,
    fire: Make,
    job: Make,
    call: Callable[[], Caller],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DAFT_JOBS_WORKERS", "4")

    def task(name: str, command: str) -> Any:
        return job(name, command, background=True, tags=("t",))

    wait = f"echo out; echo err >&2; while ! test -e {tmp_path}/go; do sleep 0.02; done"
    jobs = [task("ends", wait), *(task(name, "sleep 60") for name in ("one", "two", "three"))]
    with leading(place, *jobs, fire=fire) as (made, _):
        place.until(
            lambda: (
                {one.status for one in place.store.jobs_of(made.invocation_id)}
                == {JobStatus.RUNNING}
            )
        )
        listed = call().ask('{"v":1,"req":"ListJobs"}')
        follower = call()
        follower.say(
            '{"v":1,"req":"TailLogs","payload":{"job":{"job_name":"ends","worktree":"main"},'
            '"follow":true,"since_seq":1}}'
        )
        lines = [follower.hear() for _ in range(2)]
        (tmp_path / "go").touch()
        end = [follower.hear(), follower.hear()]
        cancelled = call().ask('{"v":1,"req":"CancelJob","payload":{"name":"one"}}')
        missed = call().ask('{"v":1,"req":"CancelJob","payload":{"name":"none"}}')
        matched = call().ask(
            '{"v":1,"req":"CancelMatching","payload":{"hook":"post-clone","worktree":"main",'
            '"tag":"t","invocation_prefix":"' + made.invocation_id[:4] + '","older_than_secs":0,'
            '"kill":true}}'
        )
        everything = call().ask('{"v":1,"req":"CancelAll"}')
        left = call().ask('{"v":1,"req":"Shutdown"}')

    assert (listed["v"], listed["kind"]) == (1, "Jobs")
    assert [one["name"] for one in listed["payload"]] == ["ends", "one", "two", "three"]
    for one in listed["payload"]:
        assert (one["hook_type"], one["worktree"], one["status"]) == (
            "post-clone", "main", "running",
        )  # fmt: skip
        assert type(one["elapsed_secs"]) is int
        assert one["elapsed_secs"] >= 0
        assert "exit_code" not in one
    assert {(one["kind"], one["payload"]["kind"], one["payload"]["data"]) for one in lines} == {
        ("StreamFrame", "stdout", "out"), ("StreamFrame", "stderr", "err"),
    }  # fmt: skip
    assert {one["payload"]["seq"] for one in lines} == {1, 2}
    assert end[0]["payload"]["data"]["event"] == "finished"
    assert end[0]["payload"]["data"]["exit_code"] == 0
    assert end[1] == {"v": 1, "kind": "StreamEnd"}
    assert (cancelled["kind"], cancelled["payload"]) == ("Ack", {"message": "Cancelled job: one"})
    assert (missed["kind"], missed["payload"]["code"]) == ("Error", "JOB_NOT_FOUND")
    assert matched["payload"]["count"] >= 2
    assert {"two", "three"} <= set(matched["payload"]["names"])
    assert (everything["kind"], left["kind"]) == ("Ack", "Ack")


def test_requests_on_one_connection_are_answered_in_order_each_under_its_number(
    place: Place, fire: Make, job: Make, call: Callable[[], Caller], tmp_path: Path
) -> None:
    wait = f"while ! test -e {tmp_path}/go; do sleep 0.02; done"
    with leading(place, job("a", wait, background=True), fire=fire) as (made, _):
        caller = call()
        named = f'"payload":{{"job_uids":["{made.jobs[0].uid}"]}}'
        caller.say('{"v":1,"id":7,"req":"Wait",' + named + "}")
        caller.say('{"v":1,"id":3,"req":"MakeCoffee"}')
        caller.say('{"v":9,"id":4,"req":"MakeCoffee"}')
        caller.say('{"v":1,"id":5,"req":"Hello","payload":{"capabilities":["x"],"new":1}}')
        caller.say("")
        (tmp_path / "go").touch()
        answers = [caller.hear() for _ in range(5)]

    assert [(one["kind"], one.get("id")) for one in answers] == [
        ("Jobs", 7), ("Error", 3), ("Error", 4), ("Welcome", 5), ("Error", None),
    ]  # fmt: skip
    assert answers[0]["payload"][0]["status"] == "completed"
    assert [one["payload"].get("code") for one in answers[1:3]] == [
        "UNKNOWN_REQUEST", "SCHEMA_MISMATCH",
    ]  # fmt: skip
    welcome = answers[3]["payload"]
    assert {"submit", "wait", "tail"} <= set(welcome["capabilities"])
    assert welcome["repo_id"] == place.repository
    assert welcome["pid"] > 1
    assert answers[4]["payload"]["code"] == "BAD_PAYLOAD", "a frame of no bytes is one"


def test_pages_go_on_where_the_one_before_ended(
    place: Place, fire: Make, job: Make, call: Callable[[], Caller]
) -> None:
    jobs = [job(f"j{n}", "sleep 60" if n == 4 else ":", background=True) for n in range(5)]
    with leading(place, *jobs, fire=fire) as (made, client):
        client.wait(Wait(job_uids=tuple(one.uid for one in made.jobs[:4])))
        caller = call()
        found: list[Any] = []
        cursor = ""
        while True:
            answer = caller.ask('{"v":1,"req":"ListJobs","payload":{"limit":2' + cursor + "}}")
            assert len(answer["payload"]) <= 2
            found += answer["payload"]
            if "cursor" not in answer:
                break
            cursor = f',"cursor":{json.dumps(answer["cursor"])}'
        running = caller.ask('{"v":1,"req":"ListJobs","payload":{"statuses":["running"]}}')
        other = caller.ask(
            '{"v":1,"req":"ListJobs","payload":{"invocation_id":"' + "0" * 16 + '"}}'
        )

    assert [one["name"] for one in found] == [one.name for one in made.jobs]
    assert {one["invocation_id"] for one in found} == {made.invocation_id}
    assert [one["job_uid"] for one in found] == [one.uid for one in made.jobs]
    assert [one["name"] for one in running["payload"]] == ["j4"]
    assert other["payload"] == []
    (entry,) = running["payload"]
    assert (entry["tags"], entry["background"]) == ([], True)
    assert entry["started_at"]
    assert found[0]["end_reason"] == "exit"


def test_a_name_that_means_several_jobs_is_refused_with_all_of_them(
    place: Place, fire: Make, job: Make, call: Callable[[], Caller]
) -> None:
    def first(letters: str) -> Any:
        spec = fire(job("a", "sleep 60", background=True))
        return evolve(spec, invocation_id=(letters + "0" * 16)[:16])

    def tail(**named: str) -> Any:
        payload = {"job": {"job_name": "a", **named}, "follow": False}
        return call().ask(json.dumps({"v": 1, "req": "TailLogs", "payload": payload}))

    with place.client() as client:
        client.submit(first("abc"))
        newest = client.submit(first("ab9"))
        ambiguous, exact = tail(invocation_prefix="ab"), tail(invocation_prefix="ab9")
        unprefixed, nameless, none = tail(), tail(job_name=""), tail(job_name="b")
        client.cancel(CancelAll(wait=True))

    assert ambiguous["payload"]["code"] == "AMBIGUOUS"
    assert "abc0" in ambiguous["payload"]["message"]
    assert "ab90" in ambiguous["payload"]["message"]
    for found in (exact, unprefixed):
        assert found["payload"]["data"]["uid"] == newest.jobs[0].uid
    assert nameless["payload"]["code"] == "BAD_PAYLOAD"
    assert none["payload"]["code"] == "JOB_NOT_FOUND"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Ack(message="x" * 9_000_000), "TOO_LARGE"),
        (StreamFrame(record={"seq": float("nan")}), "INTERNAL"),
    ],
    ids=["too-large", "no-json"],
)
def test_an_answer_that_cannot_be_said_is_an_answer_all_the_same(answer: Any, code: str) -> None:
    reactor = Reactor(SystemClock())
    ours, theirs = socket.socketpair()
    Connection(
        ours,
        reactor=reactor,
        handle=lambda *_: answer,
        closed=lambda _: None,
        troubled=lambda error: pytest.fail(str(error)),
    )
    theirs.sendall(encode_frame(encode_request(Hello(), 3)))
    reactor.wait()
    (body,) = FrameDecoder().feed(theirs.recv(1 << 16))

    found = decode_response(body)
    assert found.id == 3
    assert isinstance(found.message, Error)
    assert found.message.code == code
    theirs.close()
    ours.close()
    reactor.close()


def test_a_page_has_five_hundred_at_most_and_plain_version_one_gets_what_matters(
    place: Place, fire: Make, job: Make, call: Callable[[], Caller]
) -> None:
    off = Skip(kind=SkipKind.CONDITION, reason="off")
    with leading(place, job("runs", "sleep 60", background=True), fire=fire) as (made, client):
        for part in range(51):
            record(
                place.store, fire(*(job(f"{part}-{n}", skip=off) for n in range(10))), owner=None,
                clock=SystemClock(),
            )  # fmt: skip
        late = client.submit(fire(job("late", "sleep 60", background=True)))
        caller = call()
        first = caller.ask('{"v":1,"req":"ListJobs","payload":{"limit":9999}}')
        cursor = json.dumps(first["cursor"])
        rest = caller.ask('{"v":1,"req":"ListJobs","payload":{"cursor":' + cursor + "}}")
        plain = caller.ask('{"v":1,"req":"ListJobs"}')
        every = [one.job_uid for one in client.jobs()]

    names = [one["name"] for one in plain["payload"]]
    assert [len(one["payload"]) for one in (first, rest)] == [500, 12]
    assert "cursor" not in plain
    assert len(names) == 492
    assert (names[0], names[-3:]) == ("2-0", ["50-9", "runs", "late"])
    assert len(set(every)) == 512
    assert {made.jobs[0].uid, late.jobs[0].uid} <= set(every)


# --- who is let in ----------------------------------------------------------------------------


def test_one_more_than_there_is_room_for_is_told_so(
    place: Place, fire: Make, job: Make, call: Callable[[], Caller]
) -> None:
    with leading(place, job("a", "sleep 60", background=True), fire=fire) as (made, client):
        client.close()
        waits = '{"v":1,"req":"Wait","payload":{"job_uids":["' + made.jobs[0].uid + '"]}}'
        callers: list[Caller] = []
        for _ in range(MAX_CONNECTIONS):
            caller = call()
            callers.append(caller)
            assert caller.ask('{"v":1,"req":"Hello"}')["kind"] == "Welcome"
            caller.say(waits)
        refused = call()
        answer, rest = refused.hear(), refused.hear()
        for caller in callers:
            caller.socket.close()

    assert answer["payload"]["code"] == "BUSY"
    assert rest is None


def test_who_wants_nothing_now_makes_room_for_who_does(
    place: Place, fire: Make, job: Make, call: Callable[[], Caller]
) -> None:
    with leading(place, job("a", "sleep 60", background=True), fire=fire) as (made, _):
        waits = call()
        waits.say('{"v":1,"req":"Hello"}')
        assert waits.hear()["kind"] == "Welcome"
        waits.say('{"v":1,"req":"Wait","payload":{"job_uids":["' + made.jobs[0].uid + '"]}}')
        idle: list[Caller] = []
        heard: set[str] = set()
        for _ in range(MAX_CONNECTIONS + 9):
            idle.append(call())
            heard.add(idle[-1].ask('{"v":1,"req":"Hello"}')["kind"])
        with place.client() as other:
            other.cancel(CancelAll(wait=True))
        ended = waits.hear()

    assert heard == {"Welcome"}
    assert idle[0].hear() is None, "the first to go, and it may call again"
    assert [one["status"] for one in ended["payload"]] == ["cancelled"]


def test_a_client_that_found_no_room_comes_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def ask(self, *_: Any, **__: Any) -> Any:
            raise RequestRefused("BUSY", "it serves many", unheard=True)

        def close(self) -> None:
            pass

    class Free(Full):
        def ask(self, *_: Any, **__: Any) -> Any:
            return Ack(message="all is well")

    client = place.client()
    links: Iterator[Any] = iter([Full(), Full(), Free()])
    monkeypatch.setattr(client._line._finder, "meet", lambda: Meeting(link=next(links)))

    assert client.reconcile() == "all is well"


FOREIGN = """
import sys
import daft_coordinator.leader
from daft_coordinator.errors import PeerNotOurs, RequestRefused
def check_peer(sock):
    raise PeerNotOurs(1, 2)
daft_coordinator.leader.check_peer = check_peer
from daft_coordinator.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_another_user_is_turned_away_and_told(place: Place, call: Callable[[], Caller]) -> None:
    words = ["--state-root", place.root, "--repository", place.repository]
    leader = subprocess.Popen([sys.executable, "-c", FOREIGN, *words], stderr=subprocess.DEVNULL)
    place.until(lambda: os.path.exists(place.station.socket_path))

    refused = call()
    answer, rest = refused.hear(), refused.hear()

    leader.send_signal(signal.SIGTERM)
    assert leader.wait(30) == 0
    assert answer["payload"]["code"] == "FORBIDDEN"
    assert rest is None


def test_a_client_sends_nothing_to_a_socket_of_another_user(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(place.station.socket_path)
    listener.listen(1)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(PeerNotOurs):
        place.client().hello()

    theirs, _ = listener.accept()
    assert theirs.recv(100) == b""
    theirs.close()
    listener.close()


def test_both_ends_of_a_connection_are_told_apart_by_their_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = socket.socketpair()
    check_peer(ours)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PeerNotOurs):
        check_peer(ours)
    ours.close()
    theirs.close()
