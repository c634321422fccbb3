"""Durations, and what may reach a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_cli import jobs_list, jobs_output
from daft_cli.terminal import age, duration, harmless, size
from daft_protocol.records import LogRecord, RecordKind, encode_record
from daft_store.listing import INVOCATION_COLUMNS, JOB_COLUMNS


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


# --- rows of the listing ----------------------------------------------------------------------


def row(name: str, status: str, owner: str | None, **other: object) -> tuple[object, ...]:
    """Return a job as `daft_store.listing` has it."""
    given = dict.fromkeys(JOB_COLUMNS) | {
        "invocation_id": "ab" * 8,
        "name": name,
        "status": status,
        "background": 1,
        "coordinator_id": owner,
        "started_at": "2026-01-01T00:00:00.000000+00:00",
        "queued_at": "2026-01-01T00:00:00.000000+00:00",
    }
    return tuple({**given, **other}.values())


RUN = tuple(
    (dict.fromkeys(INVOCATION_COLUMNS, "") | {"invocation_id": "ab" * 8, "worktree": "main",
     "created_at": "2026-01-01T00:00:00.000000+00:00"}).values()
)  # fmt: skip


def test_whom_nobody_answers_for_is_stale_beside_its_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    jobs = [
        row("left", "running", "gone"),
        row("kept", "running", "here"),
        row("done", "completed", "gone"),
    ]
    stale = frozenset({"gone"})

    jobs_output.write_structured([RUN], jobs, stale, form="json", template=None, headers=True)
    rows = json.loads(capsys.readouterr().out)
    jobs_output.write_table([RUN], jobs, stale, label=None, logs="/none", is_whole=True)
    shown = capsys.readouterr().out

    assert [(one["name"], one["status"], one["stale"]) for one in rows] == [
        ("left", "running", True), ("kept", "running", False), ("done", "completed", False),
    ]  # fmt: skip
    assert [line.split()[3:5] for line in shown.splitlines() if "↪ left" in line or "↪ kept" in line] == [
        ["⟳", "running"], ["⟳", "running"],
    ]  # fmt: skip
    assert shown.count("running (stale)") == 1


def test_every_status_has_its_sign_and_what_waits_its_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    jobs = [
        row(status, status, "here", duration_ms=None, started_at=None)
        for status in jobs_list.STATUSES
    ] + [row("second", "queued", "here", queued_at="2026-01-02T00:00:00.000000+00:00")]

    jobs_output.write_table([RUN], jobs, frozenset(), label="main", logs="/none", is_whole=True)

    signs = {
        line.split()[2]: line.split()[3] for line in capsys.readouterr().out.splitlines()[3:-1]
    }
    assert signs.pop("second") == "·"
    assert signs == {
        "queued": "·", "running": "⟳", "cancelling": "⟳", "completed": "✓", "failed": "✗",
        "cancelled": "—", "skipped": "—", "crashed": "✗",
    }  # fmt: skip


def test_names_in_wide_characters_take_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [row("構築", "completed", None), row("plain", "completed", None)]

    jobs_output.write_table([RUN], jobs, frozenset(), label=None, logs="/none", is_whole=True)

    first, second = [line for line in capsys.readouterr().out.splitlines() if "completed" in line]
    assert first.index("✓") + 2 == second.index("✓"), "two characters, four columns"


def test_our_own_signs_are_measured_without_looking_anything_up() -> None:
    code = (
        "import sys\n"
        "from daft_cli.terminal import width\n"
        "assert [width(text) for text in ('→ a', '✓ completed', '—', '構')] [:3] == [3, 11, 1]\n"
        "print('unicodedata' in sys.modules)\n"
    )
    plain = code.replace(", '構'", "")

    loaded = [
        subprocess.run([sys.executable, "-c", one], capture_output=True, text=True, check=True)
        for one in (plain, code)
    ]

    assert [one.stdout for one in loaded] == ["False\n", "True\n"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(500, "500 B"), (1536, "1.5 KB"), (1572864, "1.5 MB"), (2 * 1024**3, "2.0 GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
