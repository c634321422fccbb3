"""Jobs that write without end, without lines, without sense, or with no place to write to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daft_coordinator import Coordinator, StopPolicy
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.joblog import JobLog, mend
from daft_coordinator.logreader import read_log
from daft_coordinator.pump import LINE_LIMIT_BYTES
from daft_protocol.records import RecordKind
from daft_protocol.status import JobStatus

Make = Callable[..., Any]
QUICK = StopPolicy(grace_s=0.3, drain_s=0.3, give_up_s=1)
MIB = 1024 * 1024

MEASURE = """
import resource, sys
from daft_coordinator import Coordinator
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id

directory, writer, jobs = sys.argv[1:]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def run(command, count):
    specs = tuple(JobSpec(name=f"j{n}", command=command, timeout_s=None) for n in range(count))
    spec = InvocationSpec(invocation_id=new_invocation_id(), hook_type="h", trigger_command="t",
        worktree="w", jobs=specs)
    coordinator.submit(spec)
    done = coordinator.wait(spec.invocation_id)
    assert {one.status.value for one in done} == {"completed"}, done
    return done

with Coordinator(MemoryJobStore(directory), workers=8) as coordinator:
    run("head -c 1000000 /dev/zero | tr '\\\\0' x; echo; seq 100000", int(jobs))  # all code has run
    before = peak()
    done = run(writer, int(jobs))
    print((peak() - before) // int(jobs), *[one.log_bytes for one in done])
"""


@pytest.mark.fault("F-16", "it")
@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize(
    ("writer", "mib"),
    [
        ("head -c {size} /dev/zero | tr '\\0' x", 30),
        ("head -c {size} /dev/zero", 30),
        ("head -c {size} /dev/urandom", 4),
        ("yes '' | head -c {size}", 1),
        ("yes '\\r' | tr -d '\\n' | head -c {size}", 30),
    ],
    ids=["no-newline", "nul", "random", "empty-lines", "cr-flood"],
)
def test_output_without_end_costs_bounded_memory_and_a_bounded_log(
    tmp_path: Path, writer: str, mib: int, jobs: int, fault_scale: int
) -> None:
    size = mib * MIB * fault_scale
    words = [sys.executable, "-c", MEASURE, str(tmp_path), writer.format(size=size), str(jobs)]

    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=170)

    assert done.returncode == 0, done.stderr
    growth_kib, *logs = map(int, done.stdout.split())
    assert growth_kib <= 1024
    assert max(logs) <= 10 * MIB + 6 * LINE_LIMIT_BYTES + 1000  # the limit and one record


@pytest.mark.fault("F-16", "it")
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_gigabytes_without_a_newline(tmp_path: Path, fault_scale: int) -> None:
    size = 50 * MIB if fault_scale == 1 else 10_000 * MIB
    writer = f"head -c {size} /dev/zero | tr '\\0' x"
    words = [sys.executable, "-c", MEASURE, str(tmp_path), writer, "1"]

    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=1700)

    assert done.returncode == 0, done.stderr
    growth_kib, log_bytes = map(int, done.stdout.split())
    assert growth_kib <= 1024
    assert log_bytes <= 10 * MIB + LINE_LIMIT_BYTES + 1000


@pytest.mark.fault("F-17", "log")
@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans())
def test_any_bytes_are_kept_as_valid_records_in_order(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], stderr: bool
) -> None:
    directory = tmp_path_factory.mktemp("log")
    kind = "stderr" if stderr else "stdout"
    log = JobLog(str(directory), limit_bytes=10 * MIB)
    for chunk in chunks:
        log.output(kind, chunk, 1)
    log.flush_partial(2)
    log.status("finished", 3, exit_code=0)
    log.close()

    lines = (directory / "output.jsonl").read_bytes().splitlines()
    records = list(read_log(str(directory)))

    assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))
    assert len(records) == len(lines)
    assert records[-1].event == "finished"
    # Put together again it is what was written, but for carriage returns before newlines.
    kept = b""
    for number, record in enumerate(records[:-1]):
        assert isinstance(record.data, str)
        kept += b"" if record.cont or number == 0 else b"\n"
        kept += unescaped(record.data) if record.enc == "bytes" else record.data.encode()
    written = b"".join(chunks)
    if all(record.enc is None for record in records):
        assert kept == written.replace(b"\r\n", b"\n").removesuffix(b"\n")


def unescaped(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.fault("F-17", "log")
def test_hostile_output_of_a_real_job_is_kept_and_harms_nobody(
    store: Any, fire: Make, job: Make
) -> None:
    command = (
        r"printf '\377\376\000\001\355\240\200 lone\n'; printf '\033]0;title\007\033[2J\n';"
        r"printf 'a\rb\rc\n'; printf '\302'; sleep 0.1; printf '\251 split\n'; exit 6"
    )
    spec = fire(job("a", command))
    with Coordinator(store, stop=QUICK) as coordinator:
        coordinator.submit(spec)
        (done,) = coordinator.wait(spec.invocation_id)

    records = [r for r in read_log(store.log_directory(done)) if r.kind is RecordKind.STDOUT]
    assert (done.status, done.exit_code) == (JobStatus.FAILED, 6)
    assert [record.data for record in records] == [
        "\\xff\\xfe\0\x01\\xed\\xa0\\x80 lone",
        "\x1b]0;title\x07\x1b[2J",
        "a\rb\rc",
        "© split",
    ]
    assert [record.enc for record in records] == ["bytes", None, None, None]


@pytest.mark.fault("F-15", "escaped")
@pytest.mark.parametrize("how", ["cancel", "time-out"])
def test_a_child_that_forks_twice_into_a_session_of_its_own_is_found(
    store: Any, fire: Make, job: Make, tmp_path: Path, how: str
) -> None:
    """Its parents are gone, its group is another one; it even ignores TERM."""
    pid_file = tmp_path / "pid"
    inner = f'trap "" TERM; echo $$ > {pid_file}; exec >/dev/null 2>&1; sleep 60; sleep 60'
    command = f"(setsid sh -c '{inner}' & ); while ! [ -s {pid_file} ]; do sleep 0.02; done; echo up; sleep 60"
    spec = fire(job("a", command, timeout_s=1.0 if how == "time-out" else None))
    with Coordinator(store, stop=QUICK) as coordinator:
        (made,) = coordinator.submit(spec)
        for record in coordinator.tail(made.uid, follow=True):
            if record.data == "up" and how == "cancel":
                from daft_coordinator import Selection

                coordinator.cancel(Selection(job_name="a"))
        (done,) = coordinator.wait(spec.invocation_id, timeout_s=60)
        escaped = coordinator.processes.identify(int(pid_file.read_text()))

    assert done.status is (JobStatus.CANCELLED if how == "cancel" else JobStatus.FAILED)
    assert escaped is None


@pytest.mark.fault("F-30", "command")
@pytest.mark.parametrize(
    ("command", "code"), [("no-such-command-anywhere", 127), ("/etc/passwd", 126), ("/", 126)]
)
def test_a_command_that_cannot_run_ends_as_the_shell_says(
    store: Any, fire: Make, job: Make, command: str, code: int
) -> None:
    spec = fire(job("a", command), job("b", ":", "a"), job("c"))
    with Coordinator(store, stop=QUICK) as coordinator:
        coordinator.submit(spec)
        a, b, c = coordinator.wait(spec.invocation_id)

    assert (a.status, a.exit_code) == (JobStatus.FAILED, code)
    assert (b.status, c.status) == (JobStatus.SKIPPED, JobStatus.COMPLETED)


@pytest.mark.fault("F-30", "shell")
def test_without_a_shell_jobs_fail_and_say_why(
    store: Any, fire: Make, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daft_coordinator.adapters import processes

    monkeypatch.setattr(processes, "SHELL", "/nowhere/sh")
    spec = fire(job("a"), job("b", ":", "a"))
    with Coordinator(store, stop=QUICK) as coordinator:
        coordinator.submit(spec)
        a, b = coordinator.wait(spec.invocation_id)

    assert (a.status, a.exit_code) == (JobStatus.FAILED, 127)
    assert "/nowhere/sh" in (a.end_detail or "")
    assert b.status is JobStatus.SKIPPED


@pytest.mark.fault("F-19", "running")
@pytest.mark.fault("F-19", "waiting")
def test_a_directory_that_vanishes_costs_only_jobs_that_have_not_started(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    tree, go = tmp_path / "tree", tmp_path / "go"
    tree.mkdir()
    spec = fire(
        job(
            "runs",
            f"echo up; while ! [ -e {go} ]; do sleep 0.02; done; exit 5",
            working_dir=str(tree),
        ),
        job("ready", ":", working_dir=str(tree)),
        job("elsewhere", ":"),
        worktree="gone",
    )
    with Coordinator(store, stop=QUICK, workers=1) as coordinator:
        first, *_ = coordinator.submit(spec)
        for record in coordinator.tail(first.uid, follow=True):
            if record.data == "up":
                shutil.rmtree(tree)
                go.touch()
        runs, ready, elsewhere = coordinator.wait(spec.invocation_id)

    assert (runs.status, runs.exit_code, runs.worktree) == (JobStatus.FAILED, 5, "gone")
    assert ready.end_reason is not None
    assert (ready.end_reason.value, ready.end_detail) == (
        "spawn-failed", f"working directory {tree} no longer exists",
    )  # fmt: skip
    assert elsewhere.status is JobStatus.COMPLETED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where the machine allows one."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts nothing for us")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all the room there is; return what takes it."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler


@pytest.mark.fault("F-07", "log")
def test_a_full_disk_costs_lines_of_the_log_and_nothing_else(
    fire: Make, job: Make, small_disk: Path, tmp_path: Path
) -> None:
    """The disk is full for a while and then has room again."""
    store = MemoryJobStore(str(small_disk))
    flood, go = tmp_path / "flooded", tmp_path / "go"
    spec = fire(
        job(
            "a",
            f"seq 1 200000; touch {flood}; while ! [ -e {go} ]; do sleep 0.02; done; echo last; exit 8",
        )
    )
    with Coordinator(store, stop=QUICK) as coordinator:
        (made,) = coordinator.submit(spec)
        while not flood.exists():
            coordinator.reactor.wait(0.05)
        assert (small_disk / spec.invocation_id).exists()
        go.touch()
        (done,) = coordinator.wait(spec.invocation_id, timeout_s=100)

    assert (done.status, done.exit_code) == (JobStatus.FAILED, 8)
    assert done.log_dropped > 0
    assert next(iter(read_log(store.log_directory(made) or ""))).event == "started"


@pytest.mark.fault("F-07", "log")
def test_a_disk_that_was_full_tells_so_once_in_the_log(
    fire: Make, job: Make, small_disk: Path, tmp_path: Path
) -> None:
    filler = fill(small_disk)
    filler.unlink()
    store = MemoryJobStore(str(small_disk))
    flood, go = tmp_path / "flooded", tmp_path / "go"
    spec = fire(
        job("a", f"echo first; while ! [ -e {go}1 ]; do sleep 0.02; done; seq 1000; touch {flood};"
                 f"while ! [ -e {go}2 ]; do sleep 0.02; done; echo last")
    )  # fmt: skip
    with Coordinator(store, stop=QUICK) as coordinator:
        (made,) = coordinator.submit(spec)
        for record in coordinator.tail(made.uid, follow=True):
            if record.data == "first":
                break
        filler = fill(small_disk)
        Path(f"{go}1").touch()
        while not flood.exists():
            coordinator.reactor.wait(0.05)
        coordinator.reactor.wait(0.05)
        filler.unlink()
        Path(f"{go}2").touch()
        (done,) = coordinator.wait(spec.invocation_id, timeout_s=100)

    records = list(read_log(store.log_directory(made) or ""))
    notes = [str(record.data) for record in records if record.event == "note"]
    assert done.status is JobStatus.COMPLETED
    assert done.log_dropped >= 900
    assert [record.data for record in records if record.data == "last"] == ["last"]
    assert len(notes) == 1
    assert "No space left" in notes[0]
    assert records[-1].event == "finished"


@pytest.mark.parametrize("joined", [1, 30, 10_000])
def test_a_log_whose_writer_died_while_joining_it_is_read_once_and_in_order(
    tmp_path: Path, joined: int
) -> None:
    log = JobLog(str(tmp_path), limit_bytes=8192)
    for number in range(400):
        log.output("stdout", f"line {number}\n".encode(), 1)
    segments = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    head = tmp_path / "output.jsonl"
    whole = segments.pop(head.name)
    log.close()
    # As a death leaves it: part of the segments is in the head, and both are still there.
    rest = head.read_bytes()[len(whole) :].splitlines(keepends=True)
    head.write_bytes(whole + b"".join(rest[:joined]))
    for name, content in segments.items():
        (tmp_path / name).write_bytes(content)

    before = [record.seq for record in read_log(str(tmp_path))]
    mend(str(tmp_path), limit_bytes=8192)
    after = [record.seq for record in read_log(str(tmp_path))]

    assert before == sorted(set(before))
    assert after == sorted(set(after))
    assert after[-1] == 399
    assert [one.name for one in tmp_path.iterdir()] == [head.name]
