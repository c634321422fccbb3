"""Durations, and what may reach a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_cli import jobs_output
from daft_cli.terminal import age, duration, harmless
from daft_protocol.records import LogRecord, RecordKind, encode_record


@given(text=st.text())
def test_nothing_that_could_drive_a_terminal_gets_through(text: str) -> None:
    shown = harmless(text)

    assert not [c for c in shown if c != "\t" and (c < " " or "\x7f" <= c <= "\x9f")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.036, "36ms"), (12, "12s"), (1.5, "1.5s"), (92, "1m32s"), (3900, "1h5m"), (183600, "2d3h"), (-1, "0ms")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_ages() -> None:
    assert [age(s) for s in (-5, 59, 60, 7200, 86400 * 6, 86400 * 8, 86400 * 40, 86400 * 800)] == [
        "0s", "59s", "1m", "2h", "6d", "1w", "1mo", "2y",
    ]  # fmt: skip


@given(moment=st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)))
def test_the_listing_reads_time_as_the_calendar_does(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)

    assert (
        abs(jobs_output.epoch(aware.isoformat(timespec="microseconds")) - aware.timestamp()) < 1e-3
    )


def test_short_ids_grow_until_they_tell_apart() -> None:
    assert jobs_output._short_length(["abcd0000", "ffff0000"]) == 4
    assert jobs_output._short_length(["abcd01", "abcd02"]) == 6
    assert jobs_output._short_length([]) == 4


def log_of(path: Path, *lines: str, kind: RecordKind = RecordKind.STDOUT) -> Path:
    """Write a log as jobs have it: what they said between a start and an end."""
    records = [LogRecord(seq=n, ts=1, kind=kind, data=line) for n, line in enumerate(lines)]
    ends = [
        LogRecord(seq=n, ts=1, kind=RecordKind.STATUS, data={"event": event, "text": '"data":"x'})
        for n, event in enumerate(("started", "finished"))
    ]
    path.write_bytes(b"".join(map(encode_record, [ends[0], *records, ends[1]])))
    return path


@given(lines=st.lists(st.text(max_size=40), max_size=8))
def test_the_tail_of_a_failed_job_is_what_its_log_says(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = log_of(tmp_path_factory.mktemp("log") / "output.jsonl", *lines)

    shown = jobs_output.last_lines(str(path))

    # A half character alone can be written to a log but not to a terminal.
    whole = [line.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for line in lines]
    assert shown == [harmless(line) for line in whole][-3:]


def test_the_tail_of_a_torn_or_missing_log_is_what_can_be_told(tmp_path: Path) -> None:
    path = log_of(tmp_path / "output.jsonl", "one", "two", 'say "data":"no" \\u12')
    whole = path.read_bytes()

    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        for line in jobs_output.last_lines(str(path)):
            assert any(
                full.startswith(line.rstrip("\ufffd"))
                for full in ("one", "two", "say", 'say "data":"no" \\u12')
            )
    path.write_bytes(b'{"seq":0,"ts":1,"kind":"stdout","data":"\\u12\xff\xfe')
    assert len(jobs_output.last_lines(str(path))) == 1
    assert jobs_output.last_lines(str(tmp_path / "nowhere")) == []
    assert jobs_output.last_lines(str(tmp_path)) == []
    link = tmp_path / "link"
    link.symlink_to(path)
    assert jobs_output.last_lines(str(link)) == []


def test_the_tail_is_short_however_long_the_lines(tmp_path: Path) -> None:
    path = log_of(tmp_path / "output.jsonl", *("x" * 5000 for _ in range(50)))

    shown = jobs_output.last_lines(str(path))

    assert [len(line) for line in shown] == [160, 160, 160]
    assert shown[0].endswith("…")
