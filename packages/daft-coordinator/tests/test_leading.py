"""Leaders and clients: one of the former, any number of the latter, whatever they say."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from daft_coordinator import Coordinator, CoordinatorClient, RetryRequest, Selection, StopPolicy
from daft_coordinator.adapters.clock import SystemClock
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_coordinator.errors import CoordinatorUnavailable, RequestRefused
from daft_coordinator.link import Link
from daft_coordinator.reactor import READ, Reactor
from daft_coordinator.station import leader_lives
from daft_protocol.frames import encode_frame
from daft_protocol.jobs import Job
from daft_protocol.messages import (
    Accepted,
    CancelAll,
    CancelJob,
    CancelMatching,
    ListJobs,
    Retry,
    Wait,
)
from daft_protocol.status import JobStatus

Make = Callable[..., Any]


Place = Any  # of conftest


def background(job: Make, name: str, command: str = ":", *needs: str, **other: Any) -> Any:
    return job(name, command, *needs, background=True, **other)


def test_a_submission_starts_a_leader_and_the_next_finds_it(
    place: Place, fire: Make, job: Make
) -> None:
    with place.client() as client:
        first = client.submit(fire(background(job, "a", "echo hi")))
        second = client.submit(fire(background(job, "b")))
        entries = client.wait(Wait(invocation_ids=(first.invocation_id, second.invocation_id)))

        assert (first.started_leader, second.started_leader) == (True, False)
        assert {entry.status for entry in entries} == {"completed"}
        assert len(place.leaders()) == 1
        lines = [record.data for record in client.tail(first.jobs[0].uid)]
        assert "hi" in lines


def test_a_leader_leaves_when_nothing_is_left_to_do(place: Place, fire: Make, job: Make) -> None:
    with place.client() as client:
        client.submit(fire(background(job, "a")))
    assert leader_lives(place.station.lock_path)

    place.until(lambda: not leader_lives(place.station.lock_path))

    assert not os.path.exists(place.station.socket_path)
    assert os.path.exists(place.station.lock_path)
    assert place.store.owners() == ()


def test_the_socket_is_private_and_the_directory_too(place: Place, fire: Make, job: Make) -> None:
    with place.client() as client:
        client.submit(fire(background(job, "a", "sleep 5")))

        assert os.stat(place.station.socket_path).st_mode & 0o077 == 0
        assert os.stat(place.root).st_mode & 0o077 == 0


def test_many_submitters_share_one_leader_and_each_job_runs_once(
    place: Place, tmp_path: Path
) -> None:
    code = """
import sys
from daft_coordinator import Coordinator, CoordinatorClient, RetryRequest, Selection, StopPolicy
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
root, repository, out, me = sys.argv[1:]
store = SqliteJobStore.open(root, repository)
with CoordinatorClient(open_station(root, repository), store) as client:
    for n in range(5):
        first = JobSpec(name="a", command=f"echo {me}-{n} >> {out}", background=True)
        second = JobSpec(name="b", command=f"grep -q {me}-{n} {out}", needs=("a",), background=True)
        client.submit(InvocationSpec(invocation_id=new_invocation_id(), hook_type="h",
            trigger_command="t", worktree=me, jobs=(first, second)))
"""
    out = tmp_path / "out"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, place.root, place.repository, str(out), f"p{n}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(10)
    ]
    errors = [process.communicate(timeout=90)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 10, errors

    with place.client() as client:
        client.hello()
        uids = tuple(entry.job_uid for entry in client.jobs(ListJobs(limit=7)))
        entries = client.wait(Wait(job_uids=uids))

    assert len(entries) == 100
    assert {entry.status for entry in entries} == {"completed"}
    assert sorted(out.read_text().split()) == sorted(
        f"p{p}-{n}" for p in range(10) for n in range(5)
    )
    assert len(place.leaders()) <= 1


def test_a_cancel_that_waits_answers_when_the_process_is_gone(
    place: Place, fire: Make, job: Make
) -> None:
    with place.client() as client:
        made = client.submit(
            fire(background(job, "a", "sleep 60"), background(job, "b", "sleep 60"),
                 background(job, "c", ":", "a"))
        )  # fmt: skip
        place.until(lambda: place.store.jobs_of(made.invocation_id)[0].status is JobStatus.RUNNING)
        process = place.store.jobs_of(made.invocation_id)[0].process
        assert process is not None

        answer = client.cancel(CancelMatching(worktree="main", wait=True))

        assert answer.count == 3
        assert {result.status for result in answer.results} == {"cancelled"}
        assert not psutil.pid_exists(process.pid)
        assert client.cancel(CancelMatching(worktree="main")).count == 0


def test_refusals_have_codes(place: Place, fire: Make, job: Make) -> None:
    with place.client() as client:
        client.submit(fire(background(job, "a", "sleep 9")))

        with pytest.raises(RequestRefused) as caught:
            client.cancel(CancelMatching())
        assert caught.value.code == "BAD_PAYLOAD"
        with pytest.raises(RequestRefused) as caught:
            client._line.ask(CancelJob(name="nothing"))
        assert caught.value.code == "JOB_NOT_FOUND"
        with pytest.raises(RequestRefused) as caught:
            client.wait(Wait(job_uids=("nothing",)))
        assert caught.value.code == "JOB_NOT_FOUND"
        client.cancel(CancelAll(wait=True))


def test_a_leader_retries_and_asking_twice_runs_it_once(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    command = f"echo $API_TOKEN >> {tmp_path}/ran; test -e {tmp_path}/now"
    with place.client() as client:
        made = client.submit(
            fire(
                background(job, "a", command, env={"API_TOKEN": "one"}),
                background(job, "b", ":", "a"),
            )
        )
        request = RetryRequest(invocation_id=made.invocation_id)
        client.wait(Wait(invocation_ids=(made.invocation_id,)))
        (tmp_path / "now").touch()
        with pytest.raises(RequestRefused, match="API_TOKEN") as caught:
            client.retry(request)
        assert caught.value.code == "CANNOT_RETRY"

        again = client.retry(request, values={"a": {"API_TOKEN": "two"}})
        asked = Retry(invocation_id=made.invocation_id, as_invocation=again.invocation_id)
        assert isinstance(client._line.ask(asked), Accepted)
        client.wait(Wait(invocation_ids=(again.invocation_id,)))

        assert [one.status for one in place.store.jobs_of(again.invocation_id)] == [
            JobStatus.COMPLETED, JobStatus.COMPLETED,
        ]  # fmt: skip
        assert (tmp_path / "ran").read_text() == "one\ntwo\n"
        assert client.retry(RetryRequest(invocation_id=again.invocation_id)).jobs == ()
        slow = client.submit(fire(background(job, "slow", "sleep 60")))
        with pytest.raises(RequestRefused, match="still running") as caught:
            client.retry(RetryRequest(invocation_id=slow.invocation_id))
        assert caught.value.code == "BUSY"
        client.cancel(CancelAll(wait=True))


def test_a_follower_sees_lines_as_they_come_and_the_end(
    place: Place, fire: Make, job: Make
) -> None:
    with place.client() as client, place.client() as other:
        made = client.submit(
            fire(background(job, "a", "for i in 1 2 3; do echo $i; sleep 0.05; done"))
        )
        uid = made.jobs[0].uid
        followed = client.tail(uid, follow=True)
        seen = [record.data for record in followed if isinstance(record.data, str)]
        rest = [
            record.data for record in other.tail(uid, since_seq=3) if isinstance(record.data, str)
        ]

    assert seen == ["1", "2", "3"]
    assert rest == ["3"]


def raw(place: Place) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect(place.station.socket_path)
    return sock


@pytest.mark.fault("F-23", "garbage")
@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100,
        b"\xff\xff\xff\xff",
        encode_frame(b"garbage"),
        encode_frame(b'{"v":9,"req":"ListJobs"}'),
        encode_frame(b'{"v":1,"req":"MakeCoffee"}'),
        encode_frame(b'{"v":1,"req":"CancelJob"}') * 3,
        b"\0\0",
        b"",
    ],
)
def test_a_bad_client_harms_nobody(place: Place, fire: Make, job: Make, said: bytes) -> None:
    with place.client() as client:
        made = client.submit(fire(background(job, "a", "sleep 0.3")))
        silent = [raw(place) for _ in range(10)]
        bad = raw(place)
        bad.sendall(said)

        entries = client.wait(Wait(invocation_ids=(made.invocation_id,)))

        assert [entry.status for entry in entries] == ["completed"]
        if said.startswith((b"\0\0\0", b"\xff")):
            assert b'"kind":"Error"' in bad.recv(4096)
        for sock in (*silent, bad):
            sock.close()


@pytest.mark.parametrize(
    "said",
    [
        b'"ListJobs","payload":{"cursor":"99999999999999999999"}',
        b'"ListJobs","payload":{"cursor":"nonsense"}',
        b'"ListJobs","payload":{"worktree":"\\ud800"}',
        b'"TailLogs","payload":{"job_uid":"\\ud800"}',
        b'"TailLogs","payload":{"job":{"job_name":"\\ud800"}}',
        b'"Submit","payload":{"invocation_id":"\\ud800"}',
        b'"Wait","payload":{"job_uids":["\\ud800"]}',
        b'"CancelMatching","payload":{"older_than_secs":1e999}',
    ],
)
def test_values_beyond_reason_are_refused_and_the_leader_lives(place: Place, said: bytes) -> None:
    with place.client() as client:
        pid = client.hello().pid
        sock = raw(place)
        sock.sendall(encode_frame(b'{"v":1,"id":7,"req":' + said + b"}"))

        answer = sock.recv(4096)
        sock.close()

        assert b'"kind":"Error"' in answer or b'"payload":[]' in answer
        assert client.hello().pid == pid


def test_a_timer_centuries_away_does_not_stop_the_present() -> None:
    reactor = Reactor(SystemClock())
    reader, writer = os.pipe()
    seen: list[int] = []
    reactor.watch(reader, READ, seen.append)
    reactor.call_after(2.0**64, lambda: None)
    os.write(writer, b"x")

    assert reactor.wait()

    assert seen == [READ]
    reactor.close()
    os.close(reader)
    os.close(writer)


@pytest.mark.fault("F-04", "it")
def test_a_killed_leader_leaves_no_lie(
    place: Place, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFT_JOBS_WORKERS", "2")
    with place.client() as client:
        made = client.submit(
            fire(
                background(job, "runs", "sleep 60"),
                background(job, "deaf", "trap '' TERM; sleep 60; sleep 60"),
                background(job, "waits", ":", "runs"),
                background(job, "secret", env={"API_TOKEN": "x"}),
            )
        )
        place.until(lambda: len([j for j in place.store.unfinished() if j.process]) == 2)
        processes = [j.process for j in place.store.unfinished() if j.process]
        (leader,) = place.leaders()
        leader.send_signal(signal.SIGKILL)
        place.until(lambda: not leader_lives(place.station.lock_path))

        client.hello()

        jobs = {one.name: one for one in place.store.jobs_of(made.invocation_id)}
        assert jobs["runs"].status is JobStatus.CRASHED
        assert jobs["deaf"].status is JobStatus.CRASHED
        for process in processes:
            assert process is not None
            assert not psutil.pid_exists(process.pid) or (
                psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
            )
        client.wait(Wait(invocation_ids=(made.invocation_id,)))
        jobs = {one.name: one for one in place.store.jobs_of(made.invocation_id)}
        assert jobs["waits"].status is JobStatus.SKIPPED
        assert jobs["secret"].status is JobStatus.SKIPPED
        assert "API_TOKEN" in (jobs["secret"].end_detail or "")


@pytest.mark.fault("F-06", "before-row")
def test_an_end_that_only_the_log_knows_is_recorded_truly(
    place: Place, fire: Make, job: Make
) -> None:
    """The last record is written before the row: a death in between must not lose the result."""
    from daft_coordinator import Coordinator
    from daft_coordinator.joblog import JobLog
    from daft_coordinator.ports import JobChange
    from daft_coordinator.submission import record

    dead = subprocess.Popen(["sleep", "60"])
    with Coordinator(place.store) as living:
        identity = living.processes.identify(dead.pid)
        assert identity is not None
        dead.kill()
        dead.wait()
        from attrs import evolve

        owner = evolve(living.owner, id="f" * 16, kind="leader", process=identity)
        place.store.register(owner)
        made = record(place.store, fire(background(job, "a")), owner=owner.id, clock=living.clock)
        place.store.apply(
            [
                JobChange(
                    job_uid=made[0].uid, allowed=(JobStatus.QUEUED,), to=JobStatus.RUNNING,
                    at=living.clock.now(), process=identity,
                )
            ]
        )  # fmt: skip
        log = JobLog(place.store.log_directory(made[0]), limit_bytes=10**6)
        log.status("finished", 1, exit_code=7)
        log.close()

    with place.client() as client:
        client.hello()

    found = place.store.job(made[0].uid)
    assert found is not None
    assert (found.status, found.exit_code) == (JobStatus.FAILED, 7)


@pytest.mark.fault("F-06", "before-row")
def test_a_result_that_was_kept_is_recorded_by_the_next_leader(
    place: Place, fire: Make, job: Make
) -> None:
    from attrs import evolve

    from daft_coordinator import Coordinator
    from daft_coordinator.ports import JobChange
    from daft_coordinator.results import write_result
    from daft_coordinator.submission import record
    from daft_protocol.status import EndReason

    with Coordinator(place.store) as living:
        ended = subprocess.Popen(["sleep", "60"], process_group=0)
        identity = living.processes.identify(ended.pid)
        ended.kill()
        ended.wait()
        assert identity is not None
        gone = evolve(identity, pgid=identity.pid)
        place.store.register(evolve(living.owner, id="e" * 16, process=gone))
        (made,) = record(
            place.store, fire(background(job, "a")), owner="e" * 16, clock=living.clock
        )
        now = living.clock.now()
        place.store.apply(
            [
                JobChange(
                    job_uid=made.uid,
                    allowed=(JobStatus.QUEUED,),
                    to=JobStatus.RUNNING,
                    at=now,
                    process=gone,
                )
            ]
        )
        directory = place.store.log_directory(made)
        ending = JobChange(
            job_uid=made.uid, allowed=(), to=JobStatus.FAILED, at=now, term_signal=11,
            end_reason=EndReason.SIGNAL, end_detail="killed by SIGSEGV",
        )  # fmt: skip
        write_result(directory, ending)

    with place.client() as client:
        client.hello()

    found = place.store.job(made.uid)
    assert found is not None
    assert (found.status, found.term_signal, found.end_detail) == (
        JobStatus.FAILED, 11, "killed by SIGSEGV",
    )  # fmt: skip
    assert not os.path.exists(os.path.join(directory, "result.json"))


@pytest.mark.fault("F-33", "hang-up")
@pytest.mark.fault("F-33", "terminate")
def test_terminating_the_leader_stops_its_jobs_and_says_so(
    place: Place, fire: Make, job: Make
) -> None:
    with place.client() as client:
        made = client.submit(
            fire(background(job, "a", "sleep 60"), background(job, "b", "sleep 60"))
        )
    place.until(lambda: any(one.process for one in place.store.jobs_of(made.invocation_id)))
    (leader,) = place.leaders()

    leader.send_signal(signal.SIGHUP)
    leader.send_signal(signal.SIGTERM)
    place.until(lambda: not leader_lives(place.station.lock_path))

    assert {one.status for one in place.store.jobs_of(made.invocation_id)} == {JobStatus.CANCELLED}


def test_a_leader_holds_nothing_of_where_it_was_started(
    place: Place, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inherited, _ = os.pipe()
    os.set_inheritable(inherited, True)
    with place.client() as client:
        client.submit(fire(background(job, "a", "sleep 9")))
        (leader,) = place.leaders()

        assert leader.cwd() == "/"
        if sys.platform == "linux":
            assert "Umask:\t0077\n" in Path(f"/proc/{leader.pid}/status").read_text()
        names = {
            os.readlink(f"/proc/{leader.pid}/fd/{fd}")
            for fd in os.listdir(f"/proc/{leader.pid}/fd")
        }
        assert not [
            name
            for name in names
            if name.startswith(("pipe:", "/dev/pts"))
            and os.readlink(f"/proc/self/fd/{inherited}") == name
        ]
        assert os.getsid(leader.pid) == leader.pid
    os.close(inherited)


def test_a_leader_that_cannot_open_the_store_says_why(place: Place, fire: Make, job: Make) -> None:
    place.store.close()
    for path in place.database.parent.glob("coordinator.db*"):
        path.unlink()
    with sqlite3.connect(place.database) as foreign:
        foreign.execute("CREATE TABLE theirs (a)")
    place.database.chmod(0o600)
    client = CoordinatorClient(place.station, MemoryJobStore())

    with pytest.raises(CoordinatorUnavailable, match="another program"):
        client.submit(fire(background(job, "a")))

    client.close()
    assert "another program" in Path(place.station.journal_path).read_text()


def test_a_leader_that_nobody_can_reach_does_what_it_was_born_with(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    in_the_way = Path(place.station.socket_path)
    (in_the_way / "deep").mkdir(parents=True)
    command = f"while ! test -e {tmp_path}/go; do sleep 0.02; done"

    with place.client() as client:
        made = client.submit(fire(background(job, "a", command), background(job, "b", ":", "a")))
        uid = made.jobs[0].uid
        place.until(lambda: place.store.job(uid).status is JobStatus.RUNNING)
    said = Path(place.station.journal_path).read_text()
    shutil.rmtree(in_the_way)
    with place.client() as other:
        place.until(lambda: in_the_way.is_socket())
        assert other.hello().pid == place.leaders()[0].pid
        (tmp_path / "go").touch()
        entries = other.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert [one.status for one in entries] == ["completed", "completed"]
    assert said.count(f"cannot listen at {in_the_way}: ") == 1
    assert "Traceback" not in said
    assert list(in_the_way.parent.glob(f"{in_the_way.name}*")) == [in_the_way]


NESTED = """
import sys
from daft_coordinator import CoordinatorClient
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
from daft_protocol.messages import ListJobs, Wait
root, repository = sys.argv[1:]
store = SqliteJobStore.open(root, repository)
with CoordinatorClient(open_station(root, repository), store) as client:
    made = client.submit(InvocationSpec(
        invocation_id=new_invocation_id(), hook_type="h", trigger_command="t", worktree="main",
        jobs=(JobSpec(name="inner", command=":", working_dir="/", background=True),)))
    # All there is: itself and what needs it among them, which nobody can wait for.
    client.wait(Wait(job_uids=tuple(entry.job_uid for entry in client.jobs(ListJobs()))))
    print(store.jobs_of(made.invocation_id)[0].status.value)
"""


@pytest.mark.fault("F-22", "it")
def test_a_job_waits_for_jobs_it_submitted_even_with_one_worker(
    place: Place, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFT_JOBS_WORKERS", "1")
    script = tmp_path / "nested.py"
    script.write_text(NESTED)
    command = f"{sys.executable} {script} {place.root} {place.repository} > {tmp_path}/said"
    with place.client() as client:
        made = client.submit(
            fire(background(job, "outer", command), background(job, "last", ":", "outer"))
        )
        entries = client.wait(Wait(invocation_ids=(made.invocation_id,), timeout_ms=60_000))

    assert [entry.status for entry in entries] == ["completed", "completed"]
    assert (tmp_path / "said").read_text() == "completed\n"


def test_a_leader_started_inside_of_a_job_outlives_it(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    """A foreground job that submits work and is stopped takes only itself along."""
    inside = tmp_path / "inside.py"
    inside.write_text(
        NESTED.replace('command=":"', 'command="sleep 600"').replace("client.wait", "print")
    )
    command = f"{sys.executable} {inside} {place.root} {place.repository} && exec sleep 600"
    spec = fire(job("front", command))
    with Coordinator(place.store, kind="command", stop=StopPolicy(drain_s=0.3)) as coordinator:
        coordinator.submit(spec)
        inner: list[Job] = []
        while not inner:
            coordinator.reactor.wait(0.05)
            inner = [
                one
                for one in place.store.unfinished()
                if one.spec.background and one.status is JobStatus.RUNNING
            ]
        coordinator.cancel(Selection(job_name="front"), kill=True)
        coordinator.wait(spec.invocation_id)

    assert place.store.job(inner[0].uid).status is JobStatus.RUNNING
    assert len(place.leaders()) == 1
    with place.client() as client:
        client.cancel(CancelAll(wait=True, kill=True))


SUBMIT_DEAF = """
import signal, sys
from daft_coordinator import CoordinatorClient
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGIO})
root, repository, command = sys.argv[1:]
store = SqliteJobStore.open(root, repository)
with CoordinatorClient(open_station(root, repository), store) as client:
    client.submit(InvocationSpec(invocation_id=new_invocation_id(), hook_type="h",
        trigger_command="t", worktree="main",
        jobs=(JobSpec(name="a", command=command, background=True, working_dir="/"),)))
"""


def test_a_leader_hears_signals_that_its_starter_put_off(place: Place, tmp_path: Path) -> None:
    command = f"touch {tmp_path}/up; while ! test -e {tmp_path}/go; do sleep 0.02; done; exit 3"
    subprocess.run(
        [sys.executable, "-c", SUBMIT_DEAF, place.root, place.repository, command],
        check=True, timeout=60,
    )  # fmt: skip
    place.until(lambda: (tmp_path / "up").exists())
    (leader,) = place.leaders()
    (job,) = place.store.unfinished()

    (tmp_path / "go").touch()
    place.until(lambda: place.store.job(job.uid).status.is_final)
    leader.terminate()

    assert leader.wait(30) in (0, None)
    assert place.store.job(job.uid).exit_code == 3
    assert not os.path.exists(place.station.socket_path)


def test_who_leads_is_told_in_the_lock(place: Place, fire: Make, job: Make) -> None:
    with place.client() as client:
        client.submit(fire(background(job, "a", "sleep 300")))
        welcome = client.hello()
        (owner,) = [one for one in place.store.owners() if one.kind == "leader"]

        said = Path(place.station.lock_path).read_text().splitlines()[0]

        assert said.split()[:3] == [str(welcome.pid), "started", owner.process.start]
        client.shutdown()


def test_a_leaders_messages_stay_within_bounds(tmp_path: Path) -> None:
    code = """
import sys
from daft_coordinator.journal import Journal
journal = Journal(sys.argv[1], limit_bytes=2000)
for number in range(100):
    journal.note(f"line {number} " + "x" * 80)
raise SystemExit("and the last one")
"""
    path = tmp_path / "journal"

    subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)

    files = sorted(tmp_path.iterdir())
    assert [one.name for one in files] == ["journal", "journal.1"]
    assert max(one.stat().st_size for one in files) < 2300
    assert {one.stat().st_mode & 0o077 for one in files} == {0}
    assert path.read_text().endswith("and the last one\n")


def test_a_leader_that_does_not_answer_is_not_waited_for_for_ever(
    place: Place, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.client() as client:
        client.submit(fire(background(job, "holds it", "sleep 300")))
        leader = psutil.Process(client.hello().pid)
    leader.suspend()
    monkeypatch.setattr("daft_coordinator.finding.ANSWER_S", 1)
    monkeypatch.setattr("daft_coordinator.finding.RECONCILE_S", 1)
    try:
        with place.client() as client:
            mine = fire(background(job, "a"))
            with pytest.raises(CoordinatorUnavailable, match="does not answer"):
                client.hello()
            with pytest.raises(CoordinatorUnavailable, match="does not answer"):
                client.submit(mine)
    finally:
        leader.resume()

    # What it was told meanwhile, it was told.
    place.until(lambda: place.store.jobs_of(mine.invocation_id)[0].status is JobStatus.COMPLETED)


def test_a_long_wait_is_made_of_stretches(
    place: Place, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daft_coordinator.client.STRETCH_S", 0.05)
    command = f"while ! test -e {tmp_path}/go; do sleep 0.02; done"
    asked, ask = [], Link.ask

    def counted(link: Link, request: Any, **given: Any) -> Any:
        asked.append(request)
        if len(asked) == 4:
            (tmp_path / "go").touch()
        return ask(link, request, **given)

    with place.client() as client:
        made = client.submit(fire(background(job, "a", command)))
        monkeypatch.setattr(Link, "ask", counted)
        (entry,) = client.wait(Wait(invocation_ids=(made.invocation_id,)))
        over = client.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert (entry.status, len(asked) > 4) == ("completed", True)
    assert over == (entry,)


def test_whoever_waits_learns_that_a_leader_hangs(
    place: Place, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.client() as client:
        made = client.submit(fire(background(job, "a", "sleep 300")))
        leader = psutil.Process(client.hello().pid)
        monkeypatch.setattr("daft_coordinator.client.STRETCH_S", 0.05)
        monkeypatch.setattr("daft_coordinator.client.ANSWER_S", 0.2)
        leader.suspend()
        try:
            with pytest.raises(CoordinatorUnavailable, match="did not answer"):
                client.wait(Wait(invocation_ids=(made.invocation_id,)))
        finally:
            leader.resume()


def test_a_leader_is_found_where_it_says_that_it_is_met(
    fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Too long a path for a socket, so that it is met in the runtime directory of its starter.
    runtime = tempfile.TemporaryDirectory(dir="/tmp")  # short enough, and nobody else's
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime.name)
    root, repository = str(tmp_path / ("long" * 30)), str(uuid.uuid4())
    store = SqliteJobStore.open(root, repository)
    here = open_station(root, repository)
    with CoordinatorClient(here, store) as client:
        client.submit(fire(background(job, "a", "sleep 300")))
        leader = client.hello().pid

    monkeypatch.setenv("XDG_RUNTIME_DIR", "/another")
    there = open_station(root, repository)
    with CoordinatorClient(there, store) as client:
        made = client.submit(fire(background(job, "b")))

        assert (there.socket_path != here.socket_path, made.started_leader) == (True, False)
        assert client.hello().pid == leader
        client.shutdown()
    psutil.Process(leader).wait(30)
    store.close()
    runtime.cleanup()


def test_nothing_in_a_worktree_is_taken_for_part_of_the_leader(
    place: Place, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("attrs", "apsw", "json", "sitecustomize", "usercustomize", "daft_protocol"):
        (tree / f"{name}.py").write_text("raise SystemExit('of the worktree')\n")
    monkeypatch.chdir(tree)
    monkeypatch.setenv("PYTHONPATH", str(tree))
    monkeypatch.setenv("PYTHONSTARTUP", str(tree / "json.py"))

    with place.client() as client:
        made = client.submit(fire(background(job, "a", f'test "$PYTHONPATH" = {tree}')))
        (entry,) = client.wait(Wait(invocation_ids=(made.invocation_id,)))

    assert (made.started_leader, entry.status) == (True, "completed")
