"""Invocations with a leader each, beside each other and beside the repository's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import psutil
import pytest

from daft_coordinator import CoordinatorClient, RetryRequest
from daft_coordinator.adapters.sqlite import open_station
from daft_coordinator.errors import CoordinatorUnavailable, RequestRefused
from daft_coordinator.evictor import RepositoryEvictor
from daft_coordinator.finding import knock
from daft_coordinator.link import Link
from daft_coordinator.ports import OWN_LEADER, Owner
from daft_coordinator.station import LeaderLock, anybody_leads, leader_lives, own_leaders
from daft_protocol.departures import Departure
from daft_protocol.jobs import Job
from daft_protocol.messages import (
    CancelAll,
    Cancelled,
    CancelMatching,
    Evict,
    Hello,
    Reconcile,
    Retry,
    Submit,
    Wait,
    Welcome,
)
from daft_protocol.status import JobStatus

Make = Callable[..., Any]
Place = Any  # of conftest
Clients = Callable[[], CoordinatorClient]


def background(job: Make, name: str, command: str = ":", *needs: str, **other: Any) -> Any:
    return job(name, command, *needs, background=True, **other)


@pytest.fixture
def apart(place: Place) -> Clients:
    """Clients whose invocations get a leader each."""
    own_station = partial(open_station, place.root, place.repository)
    return lambda: CoordinatorClient(place.station, place.store, own_station=own_station)


@pytest.fixture
def gate(tmp_path: Path) -> Callable[[], tuple[str, Callable[[], None]]]:
    """Make a command that runs until it is let through; the command, and who lets it through."""
    count = iter(range(100))

    def make() -> tuple[str, Callable[[], None]]:
        path = tmp_path / f"gate{next(count)}"
        os.mkfifo(path)
        return f"read line < {path}", lambda: path.write_text("go\n") and None

    return make


def leaders_of(place: Place) -> dict[str, Owner]:
    """Return job -> who answers for it, of unfinished jobs."""
    owners = {owner.id: owner for owner in place.store.owners()}
    return {job.name: owners[job.owner] for job in place.store.unfinished() if job.owner in owners}


def named(place: Place, name: str) -> Job:
    return next(job for job in place.store.find_jobs(_query(name))[0])


def _query(name: str) -> Any:
    from daft_coordinator.ports import JobQuery

    return JobQuery(name=name)


def until_running(place: Place, *names: str) -> None:
    def are_running() -> bool:
        running = {job.name for job in place.store.unfinished() if job.process is not None}
        return running.issuperset(names)

    place.until(are_running)


def until_nothing_is_left(place: Place) -> None:
    """Wait until no process leads; then nothing may claim that one does."""
    place.until(lambda: not anybody_leads(place.station.lock_path))
    place.until(lambda: not place.leaders())
    names = {name for name in os.listdir(place.root) if name.endswith((".sock", ".lock"))}
    assert names <= {os.path.basename(place.station.lock_path)}
    assert [one for one in place.store.owners() if one.kind != "command"] == []
    place.check_invariants()


def test_two_invocations_at_once_have_two_leaders_and_two_sockets(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make
) -> None:
    first_waits, let_first = gate()
    second_waits, let_second = gate()
    with apart() as client:
        first = client.submit(fire(background(job, "a", first_waits)))
        second = client.submit(fire(background(job, "b", second_waits)))
        until_running(place, "a", "b")

        led = leaders_of(place)
        assert {owner.kind for owner in led.values()} == {OWN_LEADER}
        assert (led["a"].process.pid, led["b"].process.pid) == (first.leader_pid, second.leader_pid)
        assert (first.started_leader, second.started_leader) == (True, True)
        for one, owner in ((first, led["a"]), (second, led["b"])):
            station = open_station(place.root, place.repository, one.invocation_id)
            assert owner.socket_path == station.socket_path
            assert os.stat(owner.socket_path or "").st_mode & 0o077 == 0
        assert led["a"].socket_path != led["b"].socket_path
        assert not leader_lives(place.station.lock_path)
        assert list(own_leaders(place.station.lock_path).values()) == [True, True]

        let_first()
        (ended,) = client.wait(Wait(invocation_ids=(first.invocation_id,)))
        assert ended.status == "completed"
        place.until(lambda: len(place.leaders()) == 1)
        assert named(place, "b").status is JobStatus.RUNNING
        let_second()
        client.wait(Wait(invocation_ids=(second.invocation_id,)))
    until_nothing_is_left(place)


def test_what_is_asked_of_all_reaches_every_leader(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make
) -> None:
    """Listing, following, waiting: whoever runs the jobs, in one answer."""
    commands = [gate() for _ in range(3)]
    with place.client() as usual, apart() as client:
        made = [client.submit(fire(background(job, f"j{n}", f"echo {n}; {commands[n][0]}; echo end")))
                for n in range(2)]  # fmt: skip
        made.append(
            usual.submit(fire(background(job, "j2", f"echo 2; {commands[2][0]}; echo end")))
        )
        until_running(place, "j0", "j1", "j2")
        assert len({owner.id for owner in leaders_of(place).values()}) == 3
        assert {entry.name for entry in client.jobs()} == {"j0", "j1", "j2"}
        uids = tuple(one.jobs[0].uid for one in made)
        assert {one.status for one in client.wait(Wait(job_uids=uids, timeout_ms=1))} == {"running"}

        ends: dict[str, list[Any]] = {}

        def follow(uid: str) -> None:
            store = type(place.store).open(place.root, place.repository)
            with CoordinatorClient(place.station, store, start=False) as mine:
                ends[uid] = [one.data for one in mine.tail(uid, follow=True)]
            store.close()

        followers = [threading.Thread(target=follow, args=(uid,)) for uid in uids]
        for one in followers:
            one.start()
        for _, let in commands:
            let()
        answer = client.wait(Wait(job_uids=uids))
        for one in followers:
            one.join(30)

    assert [entry.job_uid for entry in answer] == list(uids)
    assert {entry.status for entry in answer} == {"completed"}
    for n, uid in enumerate(uids):
        assert [line for line in ends[uid] if isinstance(line, str)] == [str(n), "end"]
    until_nothing_is_left(place)


POLITE = "trap 'echo term >> {out}; exit 0' TERM; echo ready >> {out}; while :; do sleep 0.02; done"


@pytest.mark.parametrize("request_", [CancelAll(wait=True), CancelMatching(tag="t", wait=True)])
def test_a_cancel_reaches_every_leader_and_signals_each_job_once(
    place: Place, fire: Make, job: Make, apart: Clients, tmp_path: Path, request_: Any
) -> None:
    """A second signal would be a kill, and the job would have no time to end in order."""
    outs = [tmp_path / f"out{n}" for n in range(3)]
    with place.client() as usual, apart() as client:
        for n, submitter in enumerate((client, client, usual)):
            command = POLITE.format(out=outs[n])
            submitter.submit(fire(background(job, f"j{n}", command, tags=("t",)),
                                  background(job, f"after{n}", ":", f"j{n}", tags=("t",))))  # fmt: skip
        place.until(lambda: all(out.exists() and out.read_text() for out in outs))

        answer = client.cancel(request_)

        assert answer.count == 6
        assert {one.status for one in answer.results} == {"cancelled"}
        assert [out.read_text().split() for out in outs] == [["ready", "term"]] * 3
        assert place.store.unfinished() == ()
    until_nothing_is_left(place)


def test_a_long_wait_is_made_of_stretches_here_too(
    place: Place, fire: Make, job: Make, apart: Clients, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("daft_coordinator.client.STRETCH_S", 0.05)
    asked, send = [], Link.send
    command = f"while ! test -e {tmp_path}/go; do sleep 0.02; done"

    def counted(link: Link, request: Any) -> None:
        asked.append(request)
        if len(asked) == 8:
            (tmp_path / "go").touch()
        send(link, request)

    with apart() as client:
        made = [client.submit(fire(background(job, name, command))) for name in "ab"]
        monkeypatch.setattr(Link, "send", counted)
        entries = client.wait(Wait(invocation_ids=tuple(one.invocation_id for one in made)))

    assert [entry.status for entry in entries] == ["completed", "completed"]
    assert len(asked) >= 8
    until_nothing_is_left(place)


@pytest.mark.parametrize("verb", ["wait", "cancel", "shutdown"])
def test_whoever_asks_learns_that_one_of_them_hangs(
    place: Place, fire: Make, job: Make, apart: Clients, monkeypatch: Any, verb: str
) -> None:
    requests = {
        "wait": lambda client, uid: client.wait(Wait(job_uids=(uid,))),
        "cancel": lambda client, uid: client.cancel(CancelMatching(job_uids=(uid,))),
        "shutdown": lambda client, uid: client.shutdown(),
    }
    with apart() as client:
        made = client.submit(fire(background(job, "a", "sleep 60")))
        until_running(place, "a")
        monkeypatch.setattr("daft_coordinator.client.STRETCH_S", 0.05)
        monkeypatch.setattr("daft_coordinator.own_leaders.ANSWER_S", 0.2)
        leader = psutil.Process(made.leader_pid)
        leader.suspend()
        try:
            with pytest.raises(CoordinatorUnavailable, match="did not answer"):
                requests[verb](client, made.jobs[0].uid)
        finally:
            leader.resume()
        client.cancel(CancelAll(wait=True))
    until_nothing_is_left(place)


def test_a_removal_stops_the_jobs_of_its_worktree_whoever_runs_them(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make
) -> None:
    waits, let = gate()
    with apart() as client:
        client.submit(fire(background(job, "gone", "sleep 60"), worktree="gone"))
        kept = client.submit(fire(background(job, "kept", waits), worktree="kept"))
        until_running(place, "gone", "kept")

        with client.alone_with("gone") as stopped:
            assert [(one.name, one.status) for one in stopped] == [("gone", "cancelled")]
            code = (
                "import sys; from functools import partial\n"
                "from daft_coordinator import CoordinatorClient\n"
                "from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station\n"
                "from daft_coordinator.errors import WorktreeLeased\n"
                "from daft_protocol import InvocationSpec, JobSpec, new_invocation_id\n"
                "here = sys.argv[1:]\n"
                "client = CoordinatorClient(open_station(*here), SqliteJobStore.open(*here),\n"
                "                           own_station=partial(open_station, *here))\n"
                "spec = InvocationSpec(invocation_id=new_invocation_id(), hook_type='h',\n"
                "    trigger_command='t', worktree='gone',\n"
                "    jobs=(JobSpec(name='x', command=':', background=True),))\n"
                "try: client.submit(spec)\n"
                "except WorktreeLeased: sys.exit(7)\n"
            )
            other = [sys.executable, "-c", code, place.root, place.repository]
            assert subprocess.run(other, timeout=60, check=False).returncode == 7
        assert named(place, "kept").status is JobStatus.RUNNING
        let()
        (ended,) = client.wait(Wait(invocation_ids=(kept.invocation_id,)))
        assert ended.status == "completed"
    until_nothing_is_left(place)


def test_a_killed_leader_takes_nobody_with_it(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make, tmp_path: Path
) -> None:
    """What it ran is stopped and told of by the repository's leader, which runs its queue."""
    waits, let = gate()
    out = tmp_path / "out"
    with apart() as client:
        doomed = client.submit(
            fire(background(job, "orphan", "sleep 60"), background(job, "after", ":", "orphan"))
        )
        spared = client.submit(fire(background(job, "spared", waits)))
        until_running(place, "orphan", "spared")
        before = named(place, "spared")
        os.kill(doomed.leader_pid, signal.SIGKILL)

        client.hello()
        client.reconcile()

        assert named(place, "orphan").status is JobStatus.CRASHED
        assert named(place, "after").status is JobStatus.SKIPPED
        assert named(place, "spared") == before
        third = client.submit(fire(background(job, "third", f"echo ran >> {out}")))
        let()
        answer = client.wait(Wait(invocation_ids=(spared.invocation_id, third.invocation_id)))
        assert {entry.status for entry in answer} == {"completed"}
        client.shutdown()
    until_nothing_is_left(place)


def test_the_repositorys_leader_runs_the_queue_of_one_that_died(
    place: Place, fire: Make, job: Make, apart: Clients, tmp_path: Path, monkeypatch: Any
) -> None:
    """Who waits is answered all the same, and never asks for it."""
    monkeypatch.setenv("DAFT_JOBS_WORKERS", "1")
    out = tmp_path / "out"
    with apart() as client:
        made = client.submit(
            fire(background(job, "first", "sleep 60"), background(job, "later", f"echo x >> {out}"))
        )
        until_running(place, "first")
        answers: list[Any] = []

        def wait() -> None:
            store = type(place.store).open(place.root, place.repository)
            with CoordinatorClient(place.station, store) as mine:
                answers.extend(mine.wait(Wait(invocation_ids=(made.invocation_id,))))
            store.close()

        waiter = threading.Thread(target=wait)
        waiter.start()
        place.until(lambda: _is_asked(made.leader_pid))
        os.kill(made.leader_pid, signal.SIGKILL)
        waiter.join(60)

    assert {entry.name: entry.status for entry in answers} == {
        "first": "crashed", "later": "completed"
    }  # fmt: skip
    assert out.read_text() == "x\n"
    until_nothing_is_left(place)


def _is_asked(pid: int) -> bool:
    """True when two clients are connected to a leader: who submitted, and who waits."""
    return sum(one.status != "LISTEN" for one in _sockets(pid)) >= 2


def _sockets(pid: int) -> list[Any]:
    return [one for one in psutil.Process(pid).net_connections("unix") if one.fd > 2]


def test_the_next_submission_sees_to_it_that_a_death_is_told_of(
    place: Place, fire: Make, job: Make, apart: Clients
) -> None:
    """Nobody asks, nobody lists: the record becomes true all the same."""
    with apart() as client:
        doomed = client.submit(fire(background(job, "orphan", "sleep 60")))
        until_running(place, "orphan")
        os.kill(doomed.leader_pid, signal.SIGKILL)

        client.submit(fire(background(job, "next")))

        place.until(lambda: named(place, "orphan").status is JobStatus.CRASHED)
    until_nothing_is_left(place)


def test_a_mixture_of_both_is_shut_down_as_one(
    place: Place, fire: Make, job: Make, apart: Clients
) -> None:
    with place.client() as usual, apart() as client:
        usual.submit(fire(background(job, "a", "sleep 60")))
        client.submit(fire(background(job, "b", "sleep 60")))
        until_running(place, "a", "b")
        kinds = {name: owner.kind for name, owner in leaders_of(place).items()}
        assert kinds == {"a": "leader", "b": OWN_LEADER}

        usual.shutdown()

    until_nothing_is_left(place)
    assert {named(place, name).status for name in "ab"} == {JobStatus.CANCELLED}


def test_further_jobs_of_an_invocation_go_to_the_leader_it_has(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make
) -> None:
    from attrs import evolve

    waits, let = gate()
    spec = fire(background(job, "a", waits))
    with apart() as client:
        first = client.submit(spec)
        until_running(place, "a")
        more = evolve(spec, jobs=(background(job, "b", ":", "a"),))

        second = client.submit(more)

        assert not second.started_leader
        let()
        answer = client.wait(Wait(invocation_ids=(spec.invocation_id,)))
        assert {entry.name: entry.status for entry in answer} == {
            "a": "completed", "b": "completed"
        }  # fmt: skip
        assert first.started_leader
    until_nothing_is_left(place)


def test_each_leader_has_its_own_workers(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make, monkeypatch: Any
) -> None:
    monkeypatch.setenv("DAFT_JOBS_WORKERS", "1")
    gates = [gate() for _ in range(2)]
    with apart() as client:
        for n, (waits, _) in enumerate(gates):
            client.submit(fire(background(job, f"a{n}", waits), background(job, f"b{n}")))
        until_running(place, "a0", "a1")  # one at a time would never get there
        assert {named(place, one).status for one in ("b0", "b1")} == {JobStatus.QUEUED}
        for _, let in gates:
            let()
        client.wait(Wait(job_uids=tuple(one.uid for one in place.store.unfinished())))
    until_nothing_is_left(place)


NESTED = """
import os, sys
from functools import partial
from daft_coordinator import CoordinatorClient
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
from daft_protocol.messages import Wait
root, repository, out = sys.argv[1:]
store = SqliteJobStore.open(root, repository)
own_station = partial(open_station, root, repository)
inner = JobSpec(name="inner", command=f"echo $DAFT_HOOK_DEPTH >> {out}", background=True)
with CoordinatorClient(open_station(root, repository), store, own_station=own_station) as client:
    made = client.submit(InvocationSpec(invocation_id=new_invocation_id(), hook_type="h",
        trigger_command="t", worktree="main", jobs=(inner,)))
    (entry,) = client.wait(Wait(invocation_ids=(made.invocation_id,)))
sys.exit(entry.status != "completed")
"""


def test_a_job_that_submits_jobs_waits_for_another_leader(
    place: Place, fire: Make, job: Make, apart: Clients, tmp_path: Path, monkeypatch: Any
) -> None:
    """The worker it gives back meanwhile is one of its own leader's."""
    monkeypatch.setenv("DAFT_JOBS_WORKERS", "1")
    out, script = tmp_path / "out", tmp_path / "nested.py"
    script.write_text(NESTED)
    command = f"exec {sys.executable} {script} {place.root} {place.repository} {out}"
    with apart() as client:
        made = client.submit(fire(background(job, "outer", command)))
        answer = client.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert [entry.status for entry in answer] == ["completed"]
    assert out.read_text() == "2\n"
    until_nothing_is_left(place)


def test_a_job_that_waits_lends_a_worker_of_its_own_leader(
    place: Place, fire: Make, job: Make, apart: Clients, tmp_path: Path, monkeypatch: Any
) -> None:
    """What it waits for, by another leader, may itself wait for what its own has not begun."""
    monkeypatch.setenv("DAFT_JOBS_WORKERS", "1")
    out, opened, script = tmp_path / "out", tmp_path / "opened", tmp_path / "nested.py"
    inner = f"until test -e {opened}; do sleep 0.02; done"
    script.write_text(NESTED.replace('f"echo $DAFT_HOOK_DEPTH >> {out}"', repr(inner)))
    command = f"exec {sys.executable} {script} {place.root} {place.repository} {out}"
    with apart() as client:
        made = client.submit(
            fire(background(job, "outer", command), background(job, "second", f"touch {opened}"))
        )
        answer = client.wait(Wait(invocation_ids=(made.invocation_id,), timeout_ms=60_000))

    assert [entry.status for entry in answer] == ["completed", "completed"]
    until_nothing_is_left(place)


def test_a_leader_that_is_never_born_leaves_no_file(
    place: Place, fire: Make, job: Make, apart: Clients, monkeypatch: Any
) -> None:
    """Its lock was taken for it before it was to be born."""
    import daft_coordinator.detaching as detaching

    def refuse(*_: Any, **__: Any) -> Any:
        raise CoordinatorUnavailable("no process can be started")

    monkeypatch.setattr(detaching, "start", refuse)
    with apart() as client, pytest.raises(CoordinatorUnavailable):
        client.submit(fire(background(job, "a")))
    assert own_leaders(place.station.lock_path) == {}


def test_a_retry_gets_a_leader_of_its_own(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make, tmp_path: Path
) -> None:
    waits, let = gate()
    mended = tmp_path / "mended"
    with apart() as client:
        made = client.submit(fire(background(job, "flaky", f"test -e {mended} && {waits}")))
        client.wait(Wait(invocation_ids=(made.invocation_id,)))
        mended.touch()

        again = client.retry(RetryRequest(invocation_id=made.invocation_id))

        until_running(place, "flaky")
        assert leaders_of(place)["flaky"].process.pid == again.leader_pid
        assert leaders_of(place)["flaky"].kind == OWN_LEADER
        with pytest.raises(RequestRefused) as refused:
            client.retry(RetryRequest(invocation_id=again.invocation_id))
        assert refused.value.code == "BUSY"
        let()
        (ended,) = client.wait(Wait(invocation_ids=(again.invocation_id,)))
        assert ended.status == "completed"
        done = client.retry(RetryRequest(invocation_id=again.invocation_id))
        assert done.jobs == ()
    until_nothing_is_left(place)


def test_a_leader_of_one_invocation_answers_for_that_alone(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make
) -> None:
    waits, let = gate()
    with apart() as client:
        made = client.submit(fire(background(job, "mine", "sleep 60")))
        other = client.submit(fire(background(job, "other", waits)))
        until_running(place, "mine", "other")
        link = knock(leaders_of(place)["mine"].socket_path or "")
        assert link is not None

        welcome = link.ask(Hello())
        for request in (
            Submit(invocation_id=other.invocation_id),
            Retry(invocation_id=other.invocation_id),
            Reconcile(),
            Evict(departures=()),
        ):
            with pytest.raises(RequestRefused) as refused:
                link.ask(request)
            assert refused.value.code == "FORBIDDEN"
        answer = link.ask(CancelAll(wait=True))
        link.close()

        assert isinstance(welcome, Welcome)
        assert welcome.pid == made.leader_pid
        assert {"retry", "reconcile", "evict"}.isdisjoint(welcome.capabilities)
        assert isinstance(answer, Cancelled)
        assert answer.names == ("mine",)
        assert named(place, "other").status is JobStatus.RUNNING
        let()
        client.wait(Wait(invocation_ids=(other.invocation_id,)))
    until_nothing_is_left(place)


def test_where_its_place_is_taken_the_repositorys_leader_runs_it(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make
) -> None:
    """Names of sockets are short: two invocations may happen to have the same."""
    from attrs import evolve

    waits, let = gate()
    first = evolve(fire(background(job, "a", waits)), invocation_id="0" * 16)
    second = evolve(fire(background(job, "b")), invocation_id="0" * 15 + "1")
    with apart() as client:
        client.submit(first)
        until_running(place, "a")

        client.submit(second)

        answer = client.wait(Wait(invocation_ids=(second.invocation_id,)))
        assert [entry.status for entry in answer] == ["completed"]
        assert named(place, "a").status is JobStatus.RUNNING
        let()
        client.wait(Wait(invocation_ids=(first.invocation_id,)))
    until_nothing_is_left(place)


def test_files_of_a_killed_leader_are_cleared_away(
    place: Place, fire: Make, job: Make, apart: Clients
) -> None:
    with apart() as client:
        made = client.submit(fire(background(job, "a", "sleep 60")))
        until_running(place, "a")
        os.kill(made.leader_pid, signal.SIGKILL)
        place.until(lambda: not anybody_leads(place.station.lock_path))
        assert own_leaders(place.station.lock_path) == {made.invocation_id[:8]: False}

        client.hello()

    assert own_leaders(place.station.lock_path) == {}
    until_nothing_is_left(place)


def test_a_lock_whose_file_is_deleted_meanwhile_is_taken_anew(
    place: Place, monkeypatch: Any
) -> None:
    """Whoever opened the file before it went must not take its lock for the place's."""
    import fcntl

    path = open_station(place.root, place.repository, "a" * 16).lock_path
    first = LeaderLock.try_acquire(path)
    assert first is not None
    whole = fcntl.flock

    def flock(fd: int, what: int) -> None:
        monkeypatch.setattr(fcntl, "flock", whole)
        first.remove(path)
        whole(fd, what)

    monkeypatch.setattr(fcntl, "flock", flock)
    second = LeaderLock.try_acquire(path)

    assert second is not None
    assert second.is_at(path)
    assert LeaderLock.try_acquire(path) is None
    second.remove(path)
    assert not os.path.exists(path)


def damage(place: Place) -> None:
    """Have nothing of the store make sense any more, for who has it open as well."""
    place.store.close()
    db = apsw.Connection(str(place.database))
    db.set_busy_timeout(10_000)
    # Whoever has it open must read it again, and what is in the side file would be sound.
    db.execute("UPDATE coordinators SET program_version = program_version")
    db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    db.close()
    with open(place.database, "r+b") as file:
        file.write(b"\xff" * place.database.stat().st_size)


def kept_aside(place: Place) -> list[str]:
    found = place.database.parent.glob("coordinator.db.corrupt-*")
    return [one.name for one in found if not one.name.endswith(("-wal", "-shm"))]


def test_a_damaged_store_is_replaced_under_living_leaders(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make, tmp_path: Path
) -> None:
    """None of their jobs is lost, called crashed or stopped for it."""
    gates = [gate() for _ in range(2)]
    out = tmp_path / "out"
    with apart() as client:
        for n, (waits, _) in enumerate(gates):
            client.submit(
                fire(background(job, f"j{n}", f"{waits}; echo {n} >> {out}"),
                     background(job, f"after{n}", f"echo after{n} >> {out}", f"j{n}"))
            )  # fmt: skip
        until_running(place, "j0", "j1")
    damage(place)

    # Whoever opens it next makes it anew, and must not take what runs for a dead one's.
    place.store = type(place.store).open(place.root, place.repository)
    with place.client() as usual:
        usual.hello()
        usual.reconcile()
        for _, let in gates:
            let()
        place.until(lambda: out.exists() and len(out.read_text().split()) == 4)
        place.until(lambda: not own_leaders(place.station.lock_path))
        jobs = [named(place, name) for name in ("j0", "j1", "after0", "after1")]

        assert {one.status for one in jobs} == {JobStatus.COMPLETED}
        usual.shutdown()
    until_nothing_is_left(place)


def test_a_leader_of_its_own_replaces_a_damaged_store_where_nobody_leads_all(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make
) -> None:
    waits, let = gate()
    with apart() as client:
        client.submit(fire(background(job, "a", waits), background(job, "b", ":", "a")))
        until_running(place, "a")
    damage(place)

    let()

    place.until(lambda: not anybody_leads(place.station.lock_path))
    assert len(kept_aside(place)) == 1
    place.store = type(place.store).open(place.root, place.repository)
    assert {named(place, name).status for name in "ab"} == {JobStatus.COMPLETED}
    until_nothing_is_left(place)


def test_what_nobody_can_run_now_waits_for_the_end_of_the_leader_it_depends_on(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make
) -> None:
    """Its submitter died before it could hand it over; what it needs runs elsewhere."""
    from attrs import evolve

    from daft_coordinator import Coordinator
    from daft_coordinator.submission import record

    waits, let = gate()
    spec = fire(background(job, "a", waits))
    with apart() as client:
        client.submit(spec)
        until_running(place, "a")
        with Coordinator(place.store) as me:
            more = evolve(spec, jobs=(background(job, "b", ":", "a"),))
            record(place.store, more, owner=None, clock=me.clock)
        client.hello()
        client.reconcile()
        assert named(place, "b").status is JobStatus.QUEUED
        assert named(place, "b").owner is None

        let()

        place.until(lambda: named(place, "b").status is JobStatus.COMPLETED)
    until_nothing_is_left(place)


def test_leaders_that_share_a_journal_put_aside_only_what_they_write(tmp_path: Path) -> None:
    """The next file, which one of them has begun, would take the place of the last."""
    code = """
import sys
from daft_coordinator.journal import Journal
journal = Journal(sys.argv[1], limit_bytes=2000)
print("ready", flush=True)
for line in sys.stdin:
    journal.note(line.strip())
    print("done", flush=True)
"""
    path = tmp_path / "journal"
    words = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes) as first, subprocess.Popen(words, **pipes) as second:
        for one in (first, second):
            assert one.stdout.readline() == "ready\n"
        for one, line in (
            (first, "a" * 3000), (first, "b"), (second, "c"), (second, "d"), (first, "e")
        ):  # fmt: skip
            one.stdin.write(f"{line}\n")
            one.stdin.flush()
            assert one.stdout.readline() == "done\n"

    assert "a" * 3000 in (tmp_path / "journal.1").read_text()
    said = [line.rpartition("] ")[2] for line in path.read_text().splitlines()]
    assert said == ["b", "c", "d", "e"]


@pytest.mark.parametrize("is_led", [False, True])
def test_rows_are_evicted_beside_leaders_of_their_own(
    place: Place, fire: Make, job: Make, apart: Clients, gate: Make, is_led: bool
) -> None:
    """By whoever holds the repository's lock: who cleans up, or the leader, which is asked."""
    waits, let = gate()
    with apart() as client, place.client() as usual:
        over = client.submit(fire(background(job, "over")))
        client.wait(Wait(invocation_ids=(over.invocation_id,)))
        led = client.submit(fire(background(job, "led", waits)))
        until_running(place, "led")
        place.until(lambda: len(place.leaders()) == 1)
        if is_led:
            usual.submit(fire(background(job, "other", "sleep 60")))
        evictor = RepositoryEvictor(place.station, place.store, place.store.history())

        done = evictor.evict(
            [Departure(invocation_id=one.invocation_id, expected=1) for one in (over, led)]
        )

        assert list(done) == [True, False]
        assert leader_lives(place.station.lock_path) is is_led
        assert place.store.invocation(over.invocation_id) is None
        let()
        (ended,) = client.wait(Wait(invocation_ids=(led.invocation_id,)))
        assert ended.status == "completed"
        if is_led:
            usual.shutdown()
    until_nothing_is_left(place)
