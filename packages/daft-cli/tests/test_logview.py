"""Which records of a log are shown, and how they look."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_cli.logview import LogView
from daft_coordinator.joblog import JobLog
from daft_coordinator.logreader import read_log
from daft_protocol.records import LogRecord, RecordKind

OUT, ERR, STATUS = RecordKind.STDOUT, RecordKind.STDERR, RecordKind.STATUS


def record(seq: int, data: object, kind: RecordKind = OUT, **other: object) -> LogRecord:
    return LogRecord(seq=seq, ts=1_700_000_000_000 + seq, kind=kind, data=data, **other)


LOG = [
    record(0, {"event": "started", "pid": 7, "boot": "for repairs"}, STATUS),
    record(1, "one"),
    record(2, "two", ERR),
    record(3, "three"),
    record(4, {"event": "finished", "exit_code": None}, STATUS),
]


def shown(view: LogView, records: list[LogRecord] = LOG, name: str = "") -> str:
    return b"".join(view.text(view.of(records), name)).decode()


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (LogView(), "[status] started pid=7\none\ntwo\nthree\n[status] finished exit_code=?\n"),
        (LogView(kind=OUT), "one\nthree\n"),
        (LogView(kind=ERR), "two\n"),
        (LogView(raw=True), "one\ntwo\nthree\n"),
        (LogView(raw=True, kind=ERR), "two\n"),
        (LogView(since_seq=3, kind=OUT), "three\n"),
        (LogView(after_ms=1_700_000_000_003, kind=OUT), "three\n"),
        (LogView(raw=True, head=1), "one\n"),
        (LogView(raw=True, tail=1), "three\n"),
        (LogView(raw=True, head=2, tail=1), "two\n"),
        (LogView(raw=True, tail=0), ""),
        (LogView(kind=ERR, numbers=True), "     2\ttwo\n"),
    ],
)
def test_a_view_leaves_out_what_it_says(view: LogView, text: str) -> None:
    assert shown(view) == text


def test_the_time_of_a_line_is_local_and_no_moment_is_no_failure() -> None:
    line = shown(LogView(times=True, kind=ERR))
    never = shown(LogView(times=True), [LogRecord(seq=0, ts=10**30, kind=OUT, data="x")])

    assert line.endswith(".002  two\n")
    assert len(line) == len("2023-11-14 22:13:20.002  two\n")
    assert never == f"{10**30}  x\n"


def test_several_logs_are_told_apart_in_every_form() -> None:
    assert shown(LogView(kind=ERR), name="build") == "build │ two\n"
    row = json.loads(shown(LogView(kind=ERR, form="ndjson"), name="build "))
    assert row == {
        "job": "build",
        "seq": 2,
        "ts": 1_700_000_000_002,
        "kind": "stderr",
        "data": "two",
    }


def test_nothing_a_job_says_drives_the_terminal_unless_raw() -> None:
    hostile = [
        record(0, "\x1b[2J"),
        record(1, {"event": "note", "text": "\x1b]0;x\x07"}, STATUS),
        record(2, {"event": "\x1b", "a\x1b": "b\x1b"}, STATUS),
    ]

    assert "\x1b" not in shown(LogView(), hostile, name="\x1b[1m")
    assert shown(LogView(raw=True), hostile) == "\x1b[2J\n"


@given(
    lines=st.lists(
        st.binary(max_size=60).filter(lambda line: not {10, 13, 92} & set(line)), max_size=5
    )
)
def test_raw_gives_back_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    directory = str(tmp_path_factory.mktemp("job"))
    log = JobLog(directory, limit_bytes=1_000_000)
    output = b"".join(line + b"\n" for line in lines)
    log.output("stdout", output, 1)
    log.close()
    view = LogView(raw=True)

    assert b"".join(view.text(view.of(read_log(directory)))) == output


def test_a_line_longer_than_a_record_comes_out_in_one_piece(tmp_path: object) -> None:
    log = JobLog(str(tmp_path), limit_bytes=10_000_000)
    output = b"x" * 200_000 + b"\n" + b"y\n"
    log.output("stdout", output, 1)
    log.close()

    for view in (LogView(raw=True), LogView(kind=OUT)):
        assert b"".join(view.text(view.of(read_log(str(tmp_path))))) == output
