"""What a job's log tells, of jobs that run and of jobs that never do, and how it is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from daft_coordinator import Coordinator
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.joblog import JobLog
from daft_coordinator.logreader import LogCursor, read_log
from daft_coordinator.testing import Says, VirtualWorld
from daft_protocol.jobs import BackgroundOutput, LogPolicy
from daft_protocol.messages import CancelMatching, Wait
from daft_protocol.records import LogRecord, decode_record
from daft_protocol.status import JobStatus

Make = Callable[..., Any]


def records(store: Any, job: Any) -> list[LogRecord]:
    return list(read_log(store.log_directory(job)))


def told(store: Any, job: Any) -> list[tuple[str | None, Any]]:
    """Return the status records of a log: each event with what it says first."""
    return [
        (one.event, next((one.data[key] for key in ("exit_code", "signal", "message", "after_secs", "text") if key in one.data), None))
        for one in records(store, job)
        if not isinstance(one.data, str)
    ]  # fmt: skip


def test_a_job_handed_over_as_skipped_says_why_in_its_log(
    place: Any, fire: Make, job: Make
) -> None:
    """Its foreground dependency failed in the command: no coordinator ever sees it as waiting."""
    failed = fire(job("fore", "exit 1"))
    with Coordinator(place.store, kind="command") as here:
        here.submit(failed)
        here.wait(failed.invocation_id)
    more = fire(
        job("back", ":", "fore", background=True), job("last", ":", "back", background=True)
    )

    with place.client() as client:
        made = client.submit(evolve(more, invocation_id=failed.invocation_id))

    assert {one.status for one in made.jobs} == {JobStatus.SKIPPED}
    assert [told(place.store, one) for one in made.jobs] == [
        [("note", "dependency failed: fore failed")], [("note", "dependency failed: back skipped")],
    ]  # fmt: skip


def test_each_end_is_told_as_what_it_was(store: Any, fire: Make, job: Make) -> None:
    spec = fire(
        job("well"),
        job("badly", "exit 3"),
        job("killed", "kill -USR1 $$"),
        job("long", "exec sleep 60", timeout_s=0.1),
        job("after", ":", "badly"),
    )
    with Coordinator(store) as coordinator:
        coordinator.submit(spec)
        done = {one.name: one for one in coordinator.wait(spec.invocation_id)}

    assert {name: told(store, one)[1:] for name, one in done.items() if name != "after"} == {
        "well": [("finished", 0)], "badly": [("finished", 3)], "killed": [("signaled", 10)],
        "long": [("timeout", 0.1), ("signaled", 15)],
    }  # fmt: skip
    assert told(store, done["after"]) == [("note", "dependency failed: badly failed")]
    for name in ("well", "badly", "killed", "long"):
        first, *_, last = records(store, done[name])
        assert (first.event, first.seq) == ("started", 0)
        assert first.data["pid"] == done[name].process.pid
        assert last.is_final


def test_what_a_foreground_job_writes_is_in_its_log_while_it_runs(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    wait = f"echo x; while ! test -e {tmp_path}/go; do sleep 0.02; done; echo y"
    spec = fire(job("a", wait))
    with Coordinator(store) as coordinator:
        (made,) = coordinator.submit(spec)
        seen: list[object] = []
        while "x" not in seen:
            coordinator.reactor.wait(1)
            seen = [one.data for one in records(store, made)]
        running = store.job(made.uid).status
        (tmp_path / "go").touch()
        coordinator.wait(spec.invocation_id)

    assert running is JobStatus.RUNNING
    assert "y" not in seen
    assert "y" in [one.data for one in records(store, made)]


def test_a_line_that_is_not_finished_is_written_after_a_second_of_quiet(
    fire: Make, job: Make, tmp_path: Path
) -> None:
    with VirtualWorld() as world:
        asks = (Says(b"password"), Says(b"? ", after_s=0.5), Says(b"ok\n", after_s=9))
        world.script("asks", lasts_s=10, says=asks)
        coordinator = world.coordinator(MemoryJobStore(str(tmp_path)))
        start_ms = world.clock.now().timestamp() * 1000
        spec = fire(job("a", "asks"))
        coordinator.submit(spec)
        (done,) = coordinator.wait(spec.invocation_id)
        seen = [one for one in records(coordinator.store, done) if one.event is None]

    assert [(one.data, one.cont, one.ts - start_ms) for one in seen] == [
        ("password? ", False, 1500), ("ok", True, 9000),
    ]  # fmt: skip


@pytest.mark.parametrize(("lasts_s", "is_forced"), [(0.9, False), (1, True), (3600, True)])
def test_the_end_of_a_job_that_lasted_is_on_the_disk(
    fire: Make,
    job: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lasts_s: float,
    is_forced: bool,
) -> None:
    forced: list[bytes] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: forced.append(Path(f"/proc/self/fd/{fd}").read_bytes())
    )
    with VirtualWorld() as world:
        world.script("works", lasts_s=lasts_s, says=(Says(b"x\n"),))
        coordinator = world.coordinator(MemoryJobStore(str(tmp_path)))
        spec = fire(job("a", "works", timeout_s=None))
        coordinator.submit(spec)
        coordinator.wait(spec.invocation_id)

    ends = [decode_record(one.splitlines()[-1]).event for one in forced]
    assert ends == ["finished"] * is_forced


def test_a_long_line_comes_in_parts_and_reads_as_one(tmp_path: Path) -> None:
    log = JobLog(str(tmp_path), limit_bytes=10**7)
    log.output("stdout", b"x" * 65536 + b"y" * 10 + b"\nz\rz\r\n", 5)
    log.close()

    lines = (tmp_path / "output.jsonl").read_text().splitlines()
    seen = [(one.seq, len(str(one.data)), one.cont) for one in map(decode_record, lines)]
    assert seen == [(0, 65536, False), (1, 10, True), (2, 3, False)]
    assert lines[2] == '{"seq":2,"ts":5,"kind":"stdout","data":"z\\rz"}'


def test_the_newest_and_the_first_part_of_a_log_stay_and_the_gap_says_how_much(
    store: Any, fire: Make, job: Make
) -> None:
    spec = fire(job("a", "seq 1 50000", log=LogPolicy(limit_bytes=100_000)))
    with Coordinator(store) as coordinator:
        coordinator.submit(spec)
        (done,) = coordinator.wait(spec.invocation_id)

    seen = records(store, done)
    (gap,) = [number for number, one in enumerate(seen) if one.event == "truncated"]
    head = (Path(store.log_directory(done)) / "output.jsonl").read_bytes().index(b"truncated")
    assert 59_000 < head < 60_100, "the first 60 %"
    assert seen[gap].data["records"] == 50_000 - sum(one.event is None for one in seen)
    assert seen[gap].data["bytes"] > 10 * 100_000
    assert seen[gap - 1].seq < seen[gap].seq < seen[gap + 1].seq
    assert [one.event for one in seen if one.event] == ["started", "truncated", "finished"]


@pytest.mark.parametrize("limit", [1, 100, 400])
def test_the_smallest_limit_has_room_for_the_end(
    store: Any, fire: Make, job: Make, limit: int
) -> None:
    spec = fire(job("a", "seq 1 100; exit 7", log=LogPolicy(limit_bytes=limit)))
    with Coordinator(store) as coordinator:
        coordinator.submit(spec)
        (done,) = coordinator.wait(spec.invocation_id)

    last = records(store, done)[-1]
    assert (last.event, last.data["exit_code"]) == ("finished", 7)


def test_a_line_that_is_half_there_is_read_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "output.jsonl"
    cursor = LogCursor(str(tmp_path))
    assert cursor.read() == [], "there is none yet"
    line = b'{"seq":0,"ts":1,"kind":"stdout","data":"whole"}\n'
    file.write_bytes(line[:20])
    assert cursor.read() == []
    with file.open("ab") as more:
        more.write(line[20:] + b"no record\n" + line.replace(b":0", b":1"))

    seen = [(one.seq, one.data) for one in cursor.read()]
    cursor.close()

    assert seen == [(0, "whole"), (1, "whole")]
    assert cursor.bad_lines == 1


# --- followed over the limit ------------------------------------------------------------------


def numbers(cursor: LogCursor, limit_bytes: int = 4096) -> list[int]:
    """Read until there is no more for now."""
    return [one.seq for part in iter(lambda: cursor.read(limit_bytes), []) for one in part]


@pytest.mark.parametrize("lines_at_once", [1, 7, 30])
@pytest.mark.parametrize("limit_bytes", [10, 300, 4096])
def test_who_keeps_up_with_a_log_over_its_limit_misses_nothing(
    tmp_path: Path, lines_at_once: int, limit_bytes: int
) -> None:
    log = JobLog(str(tmp_path), limit_bytes=20_000)
    cursor = LogCursor(str(tmp_path))
    seen: list[int] = []
    for first in range(0, 1200, lines_at_once):
        lines = "".join(f"line {n} {'x' * (n % 40)}\n" for n in range(first, first + lines_at_once))
        log.output("stdout", lines.encode(), 1)
        seen += numbers(cursor, limit_bytes)
    log.status("finished", 2, exit_code=0)
    log.close()
    seen += numbers(cursor, limit_bytes)
    cursor.close()

    assert seen == list(range(log.next_seq))
    assert cursor.bad_lines == 0


def test_who_does_not_keep_up_sees_what_is_left_once_and_in_order(tmp_path: Path) -> None:
    log = JobLog(str(tmp_path), limit_bytes=20_000)
    cursor = LogCursor(str(tmp_path))
    seen: list[int] = []
    for n in range(2000):
        log.output("stdout", b"a line of some length\n", 1)
        if n % 3 == 0:
            seen += [one.seq for one in cursor.read(200)]
    log.close()
    seen += numbers(cursor)
    cursor.close()

    assert seen == sorted(set(seen))
    assert seen[-1] == 1999
    assert len(seen) < 2000


def test_a_line_more_costs_its_reader_that_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = JobLog(str(tmp_path), limit_bytes=1_000_000)
    cursor = LogCursor(str(tmp_path))
    for n in range(12_000):
        log.output("stdout", b"x" * 40 + b"\n", n)
    numbers(cursor)
    taken: list[int] = []
    read = os.pread
    monkeypatch.setattr(
        os, "pread", lambda *given: (part := read(*given), taken.append(len(part)))[0]
    )

    log.output("stdout", b"one more\n", 1)
    seen = numbers(cursor)

    assert seen == [12_000]
    assert 0 < sum(taken) < 2_000, "not all that is there again"
    log.close()
    cursor.close()


# --- silent jobs ------------------------------------------------------------------------------

SILENT = {"background": True, "background_output": BackgroundOutput.SILENT}


def test_who_follows_a_silent_job_learns_how_it_ended(
    place: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    wait = f"echo x; while ! test -e {tmp_path}/go; do sleep 0.02; done"
    with place.client() as client, place.client() as other:
        made = client.submit(fire(job("a", wait, **SILENT)))
        uid = made.jobs[0].uid
        followed = client.tail(uid, follow=True)
        seen = [next(followed).event]
        (tmp_path / "go").touch()
        seen += [one.event for one in followed]
        other.wait(Wait(job_uids=(uid,)))
        late = [(one.event, one.data) for one in other.tail(uid, follow=True)]
        now = list(other.tail(uid))
        lines = list(other.tail(uid, follow=True, kinds=("stdout",)))

    assert seen == ["started", None, "finished"]
    assert late == [("finished", {"event": "finished", "exit_code": 0})]
    assert (now, lines) == ([], [])
    assert not list(Path(place.store.log_directory(made.jobs[0])).iterdir())


@pytest.mark.parametrize("how", ["fails", "cancelled"])
def test_a_silent_job_keeps_its_log_for_anything_but_success(
    place: Any, fire: Make, job: Make, tmp_path: Path, how: str
) -> None:
    waits = f"trap 'exit 0' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done"
    command = "echo x; exit 1" if how == "fails" else f"echo x; {waits}"
    with place.client() as client:
        made = client.submit(fire(job("a", command, **SILENT)))
        if how == "cancelled":
            place.until((tmp_path / "up").exists)
            client.cancel(CancelMatching(job_name="a", wait=True))
        client.wait(Wait(job_uids=(made.jobs[0].uid,)))

    found = place.store.job(made.jobs[0].uid)
    assert found.status is (JobStatus.FAILED if how == "fails" else JobStatus.CANCELLED)
    assert found.exit_code == (1 if how == "fails" else 0)
    assert records(place.store, found)[1].data == "x"
    assert records(place.store, found)[-1].event == "finished"
