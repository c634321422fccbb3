"""Real processes: how jobs start, what is kept of them, and how they end."""

from __future__ import annotations

import errno
import hashlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from daft_coordinator import Coordinator, Selection, StopPolicy, hookimpl
from daft_coordinator.adapters.processes import PosixProcessControl
from daft_coordinator.errors import DuplicateJob, SpawnFailed, StoreUnavailable
from daft_coordinator.joblog import JobLog
from daft_coordinator.logreader import read_log
from daft_coordinator.ports import Delivery
from daft_protocol import InvocationSpec, JobSpec, JobStatus, RecordKind
from daft_protocol.jobs import BackgroundOutput, Job, LogPolicy, RunMode
from daft_protocol.status import EndReason

Make = Callable[..., Any]
QUICK = StopPolicy(grace_s=0.3, drain_s=0.3, give_up_s=1)


def run(store: Any, spec: InvocationSpec, **other: Any) -> dict[str, Job]:
    with Coordinator(store, **{"stop": QUICK, **other}) as coordinator:
        coordinator.submit(spec)
        return {job.name: job for job in coordinator.wait(spec.invocation_id)}


def output(store: Any, job: Job, kind: RecordKind | None = None) -> list[str]:
    directory = store.log_directory(job)
    return [
        record.data
        for record in read_log(directory)
        if isinstance(record.data, str) and kind in (None, record.kind)
    ]


def events(store: Any, job: Job) -> list[str]:
    return [r.event for r in read_log(store.log_directory(job)) if r.event is not None]


def test_jobs_run_by_their_needs_and_their_ends_are_recorded(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    jobs = run(
        store,
        fire(
            job("a", f"echo out; echo err >&2; touch {tmp_path}/a"),
            job("b", f"test -e {tmp_path}/a", "a"),
            job("c", "exit 3", "b"),
            job("d", ":", "c"),
            job("e", ":", "d"),
        ),
    )

    assert [one.status.value for one in jobs.values()] == [
        "completed", "completed", "failed", "skipped", "skipped",
    ]  # fmt: skip
    assert jobs["c"].exit_code == 3
    assert jobs["d"].end_detail == "dependency failed: c failed"
    for name in ("d", "e"):
        assert jobs[name].started_at >= jobs["c"].finished_at  # when it was decided
        assert (jobs[name].finished_at, jobs[name].process) == (None, None)
    assert output(store, jobs["a"], RecordKind.STDERR) == ["err"]
    assert events(store, jobs["a"]) == ["started", "finished"]
    assert events(store, jobs["e"]) == ["note"]
    assert jobs["b"].started_at >= jobs["a"].finished_at


def test_nothing_is_recorded_of_a_graph_that_cannot_run(store: Any, fire: Make, job: Make) -> None:
    spec = fire(job("a"), job("a"))

    with Coordinator(store) as coordinator, pytest.raises(DuplicateJob):
        coordinator.submit(spec)

    assert store.invocation(spec.invocation_id) is None


def test_a_time_out_ends_the_whole_group(store: Any, fire: Make, job: Make, tmp_path: Path) -> None:
    jobs = run(
        store, fire(job("a", f"sleep 60 & echo $! > {tmp_path}/pid; sleep 60", timeout_s=0.2))
    )

    assert jobs["a"].status is JobStatus.FAILED
    assert jobs["a"].end_reason is EndReason.TIMEOUT
    assert is_gone(int((tmp_path / "pid").read_text()))
    assert "timeout" in events(store, jobs["a"])


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.fault("F-21", "deaf")
@pytest.mark.fault("F-15", "deaf")
def test_what_ignores_a_polite_request_is_killed(store: Any, fire: Make, job: Make) -> None:
    jobs = run(store, fire(job("a", "trap '' TERM; sleep 60; sleep 60", timeout_s=0.2)))

    assert jobs["a"].term_signal == signal.SIGKILL


@pytest.mark.fault("F-21", "stopped")
def test_a_stopped_job_can_be_cancelled(store: Any, fire: Make, job: Make) -> None:
    spec = fire(job("a", "kill -STOP $$; sleep 60"))
    with Coordinator(store, stop=QUICK) as coordinator:
        coordinator.submit(spec)
        while store.jobs_of(spec.invocation_id)[0].process is None or (
            psutil.Process(store.jobs_of(spec.invocation_id)[0].process.pid).status()
            != psutil.STATUS_STOPPED
        ):
            coordinator.reactor.wait(0.05)
        coordinator.cancel(Selection(job_name="a"))
        (done,) = coordinator.wait(spec.invocation_id)

    assert done.status is JobStatus.CANCELLED
    assert done.term_signal == signal.SIGTERM


@pytest.mark.fault("F-15", "pipe")
def test_a_daemon_that_holds_the_pipe_does_not_hold_the_job(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    command = f"setsid sleep 60 & echo $! > {tmp_path}/pid; echo done"

    jobs = run(store, fire(job("a", command)))

    assert jobs["a"].status is JobStatus.COMPLETED
    assert output(store, jobs["a"]) == ["done"]
    assert "note" in events(store, jobs["a"])
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


@pytest.mark.fault("F-15", "escaped")
def test_who_escapes_the_group_is_found_on_a_cancel(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    command = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60' & sleep 60"
    spec = fire(job("a", command))
    with Coordinator(store, stop=QUICK) as coordinator:
        coordinator.submit(spec)
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            coordinator.reactor.wait(0.05)
        coordinator.cancel(Selection(job_name="a"))
        coordinator.wait(spec.invocation_id)

    assert is_gone(int((tmp_path / "pid").read_text()))


def test_what_a_job_with_the_terminal_started_ends_with_it(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    command = f"(trap '' TERM; echo up > {tmp_path}/up; sleep 60) & echo $! > {tmp_path}/pid; wait"
    spec = fire(job("a", command, interactive=True))
    with Coordinator(store, stop=QUICK) as coordinator:
        coordinator.submit(spec)
        while not (tmp_path / "up").exists():
            coordinator.reactor.wait(0.05)
        coordinator.cancel(Selection(job_name="a"))
        (ended,) = coordinator.wait(spec.invocation_id)

    assert ended.status is JobStatus.CANCELLED
    assert is_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.fault("F-15", "group")
def test_what_outlives_the_job_in_its_group_is_stopped_and_said(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    command = f"sleep 60 >/dev/null 2>&1 & echo $! > {tmp_path}/pid"

    jobs = run(store, fire(job("a", command)))

    assert jobs["a"].status is JobStatus.COMPLETED
    assert is_gone(int((tmp_path / "pid").read_text()))
    assert "note" in events(store, jobs["a"])


@pytest.mark.fault("F-30", "arguments")
@pytest.mark.fault("F-30", "directory")
@pytest.mark.parametrize(
    ("command", "directory", "said"),
    [
        (":", "/nowhere/at/all", "no longer exists"),
        (":", "/etc/passwd", "not a directory"),
        ("x" * 3_000_000, "/", "could not be started"),
    ],
)
def test_a_job_that_cannot_start_fails_and_the_others_run(
    store: Any, fire: Make, job: Make, command: str, directory: str, said: str
) -> None:
    jobs = run(store, fire(job("a", command, working_dir=directory), job("b"), job("c", ":", "a")))

    assert jobs["a"].status is JobStatus.FAILED
    assert jobs["a"].end_reason is EndReason.SPAWN_FAILED
    assert said in (jobs["a"].end_detail or "")
    assert jobs["b"].status is JobStatus.COMPLETED
    assert jobs["c"].status is JobStatus.SKIPPED


def test_a_job_without_a_place_for_its_log_fails_and_says_why(
    store: Any, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = fire(job("a", f"touch {tmp_path}/ran"), job("b", ":", "a"), job("c"))
    kept = store.log_directory

    def blocked(one: Job) -> Any:
        if one.name == "a":
            raise StoreUnavailable("a link is in the way")
        return kept(one)

    monkeypatch.setattr(store, "log_directory", blocked)
    jobs = run(store, spec, report=lambda line: None)

    assert jobs["a"].status is JobStatus.FAILED
    assert jobs["a"].end_reason is EndReason.SPAWN_FAILED
    assert "there is no place for its log" in (jobs["a"].end_detail or "")
    assert "a link is in the way" in (jobs["a"].end_detail or "")
    assert jobs["b"].status is JobStatus.SKIPPED
    assert jobs["c"].status is JobStatus.COMPLETED
    assert not (tmp_path / "ran").exists()


@pytest.mark.fault("F-07", "log")
def test_a_job_whose_log_has_no_room_for_its_directory_runs_without_one(
    store: Any, fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(one: Job) -> Any:
        raise StoreUnavailable("full") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "log_directory", full)
    reports: list[str] = []

    jobs = run(store, fire(job("a", f"touch {tmp_path}/ran")), report=reports.append)

    assert jobs["a"].status is JobStatus.COMPLETED
    assert (tmp_path / "ran").exists()
    assert [line.startswith("a: no log: ") for line in reports] == [True]


@pytest.mark.fault("F-17", "log")
def test_output_of_any_kind_is_kept_and_never_stops_the_job(
    store: Any, fire: Make, job: Make
) -> None:
    command = r"printf 'bad \377 byte\nplain\r\n'; head -c 200000 /dev/zero | tr '\0' x; printf '\033[2Jend'"

    jobs = run(store, fire(job("a", command)))

    records = [r for r in read_log(store.log_directory(jobs["a"])) if r.kind is RecordKind.STDOUT]
    assert jobs["a"].status is JobStatus.COMPLETED
    assert records[0].data == "bad \\xff byte"
    assert records[0].enc == "bytes"
    assert records[1].data == "plain"
    long = "".join(str(record.data) for record in records[2:])
    assert long == "x" * 200000 + "\x1b[2Jend"
    assert all(record.cont for record in records[3:])
    assert [record.seq for record in records] == sorted(record.seq for record in records)


def test_a_log_keeps_its_head_and_its_newest_part(store: Any, fire: Make, job: Make) -> None:
    limit = 100_000
    policy = LogPolicy(limit_bytes=limit)

    jobs = run(store, fire(job("a", "seq 1 50000", log=policy)))

    directory = Path(store.log_directory(jobs["a"]))
    lines = output(store, jobs["a"])
    assert [path.name for path in directory.iterdir()] == ["output.jsonl"]
    assert (directory / "output.jsonl").stat().st_size <= limit + 1000
    assert lines[0] == "1"
    assert lines[-1] == "50000"
    assert len(lines) < 50000
    assert "truncated" in events(store, jobs["a"])
    assert [r.seq for r in read_log(str(directory))] == sorted(
        r.seq for r in read_log(str(directory))
    )


def test_sampling_leaves_gaps_and_a_failure_keeps_its_end(
    store: Any, fire: Make, job: Make
) -> None:
    policy = LogPolicy(keep_every_nth=100)

    jobs = run(
        store,
        fire(job("ok", "seq 1 1000", log=policy), job("bad", "seq 1 1000; exit 1", log=policy)),
    )

    sampled = [str(n) for n in range(100, 1001, 100)]
    assert output(store, jobs["ok"]) == sampled
    assert output(store, jobs["bad"]) == [*sampled, *(str(n) for n in range(801, 1001))]
    assert events(store, jobs["ok"]) == ["started", "finished"]
    assert events(store, jobs["bad"]) == ["started", "note", "finished"]
    for one in jobs.values():
        numbers = [record.seq for record in read_log(store.log_directory(one))]
        assert numbers == sorted(set(numbers)), "whoever goes on from a number misses nothing"


def test_watchers_see_of_a_sampled_job_what_its_log_has(store: Any, fire: Make, job: Make) -> None:
    watcher = Watcher()

    jobs = run(
        store,
        fire(job("a", "seq 1 30; exit 1", log=LogPolicy(keep_every_nth=10))),
        plugins=[watcher],
    )

    assert watcher.lines == output(store, jobs["a"])
    assert watcher.lines == ["10", "20", "30", *(str(n) for n in range(1, 31))]


def test_a_sampled_log_over_its_limit_keeps_the_end_of_a_failure(
    store: Any, fire: Make, job: Make
) -> None:
    policy = LogPolicy(keep_every_nth=2, limit_bytes=100_000)

    jobs = run(store, fire(job("bad", "seq 1 9000; exit 1", log=policy)))

    assert output(store, jobs["bad"])[-200:] == [str(n) for n in range(8801, 9001)]
    assert "truncated" in events(store, jobs["bad"])


def test_the_lines_kept_for_a_failure_take_little_memory(tmp_path: Path) -> None:
    log = JobLog(str(tmp_path), limit_bytes=10**9, keep_every_nth=1000)
    for letter in "abcdefgh":
        log.output("stdout", letter.encode() * 60_000 + b"\n", 1)
    log.keep_ring()
    log.close()

    kept = [str(record.data)[0] for record in read_log(str(tmp_path)) if record.event is None]
    assert kept == ["a", *"efgh"], "the first is in the sample"


def test_a_silent_job_leaves_a_log_only_when_it_fails(store: Any, fire: Make, job: Make) -> None:
    silent = {"background": True, "background_output": BackgroundOutput.SILENT}

    jobs = run(store, fire(job("ok", "echo x", **silent), job("bad", "echo x; exit 1", **silent)))

    assert output(store, jobs["ok"]) == []
    assert output(store, jobs["bad"]) == ["x"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (RunMode.PARALLEL, ["failed", "completed", "completed"]),
        (RunMode.ORDERED, ["failed", "completed", "completed"]),
        (RunMode.PIPED, ["failed", "skipped", "skipped"]),
    ],
)
def test_modes(store: Any, fire: Make, job: Make, mode: RunMode, expected: list[str]) -> None:
    jobs = run(store, fire(job("a", "exit 1"), job("b"), job("c"), mode=mode))

    assert [one.status.value for one in jobs.values()] == expected


def test_a_job_sees_the_environment_it_was_given(store: Any, fire: Make, job: Make) -> None:
    command = 'echo "$A|$B|$API_TOKEN|$DAFT_JOB_NAME|$DAFT_CD_FILE|$GIT_DIR|$DAFT_BACKGROUND"'
    spec = fire(job("a", command, env={"B": "own", "API_TOKEN": "secret"}))
    inherited = {
        "PATH": os.environ["PATH"],
        "A": "outer",
        "B": "outer",
        "DAFT_CD_FILE": "x",
        "GIT_DIR": "x",
    }

    with Coordinator(store, stop=QUICK) as coordinator:
        coordinator.submit(spec, environment=inherited)
        (done,) = coordinator.wait(spec.invocation_id)

    assert output(store, done) == ["outer|own|secret|a|||false"]


@pytest.mark.parametrize("background", [True, False])
def test_a_job_is_told_who_it_is_and_where_its_log_lies(
    store: Any, fire: Make, job: Make, background: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAFT_HOOK_DEPTH", raising=False)  # of a test that runs in a job
    command = (
        'echo "$DAFT_JOB_ID $DAFT_INVOCATION_ID $DAFT_BACKGROUND $DAFT_HOOK_DEPTH '
        '$DAFT_IS_COORDINATOR"; grep -c "$DAFT_JOB_ID" "$DAFT_JOB_LOG"'
    )

    done = run(store, fire(job("a", command, background=background)))["a"]

    who = f"{done.uid} {done.invocation_id} {str(background).lower()} 1 1"
    assert output(store, done)[0] == who
    assert int(output(store, done)[1]) >= 1


def test_a_cancel_takes_queued_jobs_too(store: Any, fire: Make, job: Make) -> None:
    spec = fire(job("a", "sleep 60"), job("b", "sleep 60"), job("c", ":", "a"))
    with Coordinator(store, workers=1, stop=QUICK) as coordinator:
        coordinator.submit(spec)
        while coordinator.jobs(spec.invocation_id)[0].status is not JobStatus.RUNNING:
            coordinator.reactor.wait(1)
        coordinator.cancel(Selection(worktree="main"))
        jobs = coordinator.wait(spec.invocation_id)

    assert {one.status for one in jobs} == {JobStatus.CANCELLED}
    assert jobs[1].end_detail == "cancelled before it started"


def test_it_can_be_driven_from_another_loop(store: Any, fire: Make, job: Make) -> None:
    spec = fire(job("a", "sleep 0.1"), job("b", ":", "a"))
    with Coordinator(store) as coordinator:
        coordinator.submit(spec)
        while not coordinator.is_idle:
            deadline = coordinator.deadline()
            limit = 5.0 if deadline is None else max(0, deadline - coordinator.clock.monotonic())
            select.select([coordinator.fileno()], [], [], limit)
            coordinator.turn()

    assert {one.status for one in store.jobs_of(spec.invocation_id)} == {JobStatus.COMPLETED}


def test_it_starts_no_thread(store: Any, fire: Make, job: Make) -> None:
    before = threading.active_count()
    run(store, fire(job("a"), job("b")))

    assert threading.active_count() == before


class Watcher:
    def __init__(self) -> None:
        self.statuses: list[tuple[str, str]] = []
        self.lines: list[str] = []

    @hookimpl
    def daft_job_changed(self, job: Job) -> None:
        self.statuses.append((job.name, job.status.value))

    @hookimpl
    def daft_log_records(self, records: Any) -> None:
        self.lines += [record.data for record in records if isinstance(record.data, str)]


class Broken:
    @hookimpl
    def daft_job_changed(self, job: Job) -> None:
        raise RuntimeError("watcher's own trouble")


def test_watchers_see_everything_and_a_broken_one_harms_nobody(
    store: Any, fire: Make, job: Make
) -> None:
    watcher, reports = Watcher(), []

    jobs = run(
        store,
        fire(job("a", "echo one; echo two")),
        plugins=[Broken(), watcher],
        report=reports.append,
    )

    assert jobs["a"].status is JobStatus.COMPLETED
    assert watcher.statuses == [("a", "queued"), ("a", "running"), ("a", "completed")]
    assert watcher.lines == ["one", "two"]
    assert any("watcher's own trouble" in line for line in reports)


@pytest.mark.fault("F-25", "writer")
def test_a_job_whose_row_is_not_taken_never_runs(fire: Make, job: Make, tmp_path: Path) -> None:
    from daft_coordinator.adapters.memory import MemoryJobStore

    class Stubborn(MemoryJobStore):
        refusals = 3

        def apply(self, changes: Any) -> Any:
            if any(c.to is JobStatus.RUNNING for c in changes) and self.refusals:
                self.refusals -= 1
                assert not (tmp_path / "ran").exists()
                raise StoreUnavailable("busy")
            return super().apply(changes)

    store = Stubborn()

    jobs = run(store, fire(job("a", f"echo x >> {tmp_path}/ran")), report=lambda line: None)

    assert jobs["a"].status is JobStatus.COMPLETED
    assert (tmp_path / "ran").read_text() == "x\n"


def test_an_end_that_somebody_forestalls_starts_nothing_that_relied_on_it(
    fire: Make, job: Make, tmp_path: Path
) -> None:
    from daft_coordinator import changes
    from daft_coordinator.adapters.memory import MemoryJobStore

    class Forestalled(MemoryJobStore):
        def apply_together(self, wanted: Any) -> bool:
            # Another process asks for a stop of the job whose end is on its way.
            for change in wanted:
                if self._jobs[change.job_uid].name == "a":
                    self.apply([changes.cancelling(change.job_uid, change.at)])
            return super().apply_together(wanted)

    jobs = run(
        Forestalled(),
        fire(
            job("a", ":"), job("b", f"touch {tmp_path}/b", "a"), job("c", ":", "b"), job("d", ":")
        ),
        workers=2,
    )

    assert jobs["a"].status is JobStatus.CANCELLED
    assert jobs["b"].status is jobs["c"].status is JobStatus.SKIPPED
    assert jobs["d"].status is JobStatus.COMPLETED
    assert not (tmp_path / "b").exists()


@pytest.mark.fault("F-07", "store")
def test_an_end_the_store_does_not_take_is_kept_and_recorded_later(
    fire: Make, job: Make, tmp_path: Path
) -> None:
    from daft_coordinator.adapters.memory import MemoryJobStore
    from daft_coordinator.results import read_result

    seen: list[Any] = []

    class Full(MemoryJobStore):
        refusals = 2

        def apply(self, changes: Any) -> Any:
            if any(c.to.is_final for c in changes) and self.refusals:
                self.refusals -= 1
                raise StoreUnavailable("disk full")
            seen.append(read_result(str(directory)))
            return super().apply(changes)

    store = Full(str(tmp_path))
    spec = fire(job("a", "exit 5"), job("b", ":", "a"))
    directory = tmp_path / spec.invocation_id / "a"

    jobs = run(store, spec, report=lambda line: None)

    assert jobs["a"].exit_code == 5
    assert jobs["b"].status is JobStatus.SKIPPED
    assert next(one for one in seen if one)["exit_code"] == 5
    assert not (directory / "result.json").exists()


@pytest.mark.fault("F-07", "store")
def test_a_store_that_stays_away_costs_no_job_its_end(
    fire: Make, job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daft_coordinator import roster
    from daft_coordinator.adapters.memory import MemoryJobStore
    from daft_coordinator.results import read_result

    class Gone(MemoryJobStore):
        def apply(self, changes: Any) -> Any:
            if any(c.to.is_final for c in changes):
                raise StoreUnavailable("disk full")
            return super().apply(changes)

    monkeypatch.setattr(roster, "RETRY_LIMIT_S", 0.3)
    store, reports = Gone(str(tmp_path)), []
    spec = fire(job("a", "exit 5"), job("b", "sleep 1; exit 6"), job("c", ":", "b"))

    with Coordinator(store, stop=QUICK, report=reports.append) as coordinator:
        coordinator.submit(spec)
        jobs = coordinator.wait(spec.invocation_id, timeout_s=60)
        assert coordinator.has_given_up
        assert coordinator.is_idle

    kept = [read_result(str(tmp_path / spec.invocation_id / name)) for name in "ab"]
    assert [one and one["exit_code"] for one in kept] == [5, 6]
    # Whoever waits is told the truth, whatever the store knows.
    assert [(one.status.value, one.exit_code) for one in jobs][:2] == [("failed", 5), ("failed", 6)]
    assert any("giving up" in line for line in reports)


@pytest.mark.fault("F-03", "before-row")
def test_a_closed_gate_runs_nothing(tmp_path: Path) -> None:
    control = PosixProcessControl()
    spawned = control.spawn(
        f"touch {tmp_path}/ran", working_dir="/", environment={"PATH": os.environ["PATH"]}
    )
    assert control.identify(spawned.identity.pid) == spawned.identity

    os.close(spawned.gate)
    assert spawned.exit_fd is not None
    select.select([spawned.exit_fd], [], [], 10)
    status = control.reap(spawned.identity)

    assert status is not None
    assert status.code == 125
    assert not (tmp_path / "ran").exists()
    for fd in (spawned.stdout, spawned.stderr, spawned.exit_fd):
        assert fd is not None
        os.close(fd)


@pytest.mark.fault("F-13", "it")
@pytest.mark.fault("F-24", "it")
def test_no_signal_reaches_a_process_with_the_number_of_another(tmp_path: Path) -> None:
    from attrs import evolve

    control = PosixProcessControl()
    spawned = control.spawn("sleep 60", working_dir="/", environment={"PATH": os.environ["PATH"]})
    earlier = evolve(spawned.identity, start="1")
    other_boot = evolve(spawned.identity, boot_id="another")

    assert control.is_alive(earlier) is False
    assert not control.signal(earlier, signal.SIGKILL)
    assert control.group_members(earlier) == ()
    assert control.family(earlier, "some job") == ()
    assert not control.signal_group(earlier, signal.SIGKILL)
    assert not control.signal_group(other_boot, signal.SIGKILL)
    assert control.is_alive(spawned.identity) is True

    assert control.signal_group(spawned.identity, signal.SIGKILL)
    select.select([spawned.exit_fd], [], [], 10)  # type: ignore[list-item]
    assert control.reap(spawned.identity) is not None
    for fd in (spawned.gate, spawned.stdout, spawned.stderr, spawned.exit_fd):
        assert fd is not None
        os.close(fd)


@pytest.mark.parametrize("pgid", [0, 1])
def test_no_signal_is_sent_to_everybody(pgid: int) -> None:
    """To the system these numbers of a group mean one's own, and every process there is."""
    from attrs import evolve

    control = PosixProcessControl()
    me = control.identify(os.getpid())
    assert me is not None

    assert control.signal_group(evolve(me, pgid=pgid), signal.SIGCONT) is Delivery.GONE


STRANGER = """
import sys
from daft_coordinator.adapters.processes import PosixProcessControl
control = PosixProcessControl()
who = control.identify(int(sys.argv[1]))
print(control.signal(who, 15).name, control.signal_group(who, 15).name)
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can start processes of two users",
)
def test_a_signal_to_a_process_of_another_user_is_refused() -> None:
    without_rights = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]
    with subprocess.Popen(["sleep", "60"], user=65534, start_new_session=True) as theirs:
        asked = subprocess.run(
            [*without_rights, sys.executable, "-c", STRANGER, str(theirs.pid)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        theirs.kill()

    assert asked.stdout.split() == ["REFUSED", "REFUSED"], asked.stderr


def test_a_spawn_that_is_refused_leaves_no_descriptor_open() -> None:
    control = PosixProcessControl()
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(SpawnFailed):
        control.spawn("a\0b", working_dir="/", environment={})

    assert len(os.listdir("/proc/self/fd")) == before


def test_descriptors_are_given_back(store: Any, fire: Make, job: Make) -> None:
    run(store, fire(job("warm")))
    before = len(os.listdir("/proc/self/fd"))

    run(
        store,
        fire(*[job(f"j{n}", "echo x") for n in range(30)], job("gone", working_dir="/nowhere")),
    )

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_spec_survives_the_store(store: Any, fire: Make) -> None:
    spec = JobSpec(
        name="odd: name/é", command="c", working_dir="/", env={"A": "b"}, tags=("t",), timeout_s=None,
        description="d", fail_text="f", priority=3, background=True, declared_background=True,
        background_output=BackgroundOutput.SILENT, log=LogPolicy(keep_every_nth=4, limit_bytes=5),
    )  # fmt: skip
    made = fire(spec, mode=RunMode.ORDERED, max_parallel=2)
    with Coordinator(store) as coordinator:
        from daft_coordinator.submission import record

        record(store, made, owner=coordinator.owner.id, clock=coordinator.clock)

    (found,) = store.jobs_of(made.invocation_id)

    assert found.spec == spec
    assert (found.mode, found.max_parallel) == (RunMode.ORDERED, 2)


def test_a_job_starts_only_while_the_files_it_is_bound_to_are_unchanged(
    store: Any, fire: Make, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("agreed")
    seals = {str(script): hashlib.sha256(b"agreed").hexdigest()}

    def bound(name: str, command: str, *needs: str) -> JobSpec:
        return JobSpec(
            name=name,
            command=command,
            working_dir=str(tmp_path),
            needs=needs,
            background=True,
            seals=seals,
        )

    jobs = run(
        store,
        fire(
            bound("a", "echo other > script"),
            bound("b", "touch ran", "a"),
            bound("c", "touch ran", "b"),
        ),
    )

    assert jobs["a"].spec.seals == seals
    assert [one.status.value for one in jobs.values()] == ["completed", "failed", "skipped"]
    assert jobs["b"].end_reason is EndReason.SPAWN_FAILED
    assert "script has changed since" in (jobs["b"].end_detail or "")
    assert events(store, jobs["b"]) == ["note"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("broken", ["missing", "directory", "unreadable"])
def test_a_bound_file_that_cannot_be_compared_keeps_the_job_from_starting(
    store: Any, fire: Make, tmp_path: Path, broken: str
) -> None:
    script = tmp_path / "script"
    if broken == "directory":
        script.mkdir()
    if broken == "unreadable":
        os.symlink("/proc/self/mem", script)
    spec = JobSpec(
        name="a", command="touch ran", working_dir=str(tmp_path), seals={str(script): "0"}
    )

    assert run(store, fire(spec))["a"].status is JobStatus.FAILED
    assert not (tmp_path / "ran").exists()
