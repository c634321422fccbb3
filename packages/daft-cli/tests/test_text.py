"""Forms, durations, and what may reach a terminal."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from daft_cli import jobs_list
from daft_cli.formats import FORMATS, write_rows
from daft_cli.terminal import age, duration, harmless

ROWS = [{"a": 'x,"y"\n|', "b": 1, "c": None}, {"a": "ü\t", "b": 2, "c": True}]


def written(form: str, rows: list[dict[str, object]], **options: bool) -> str:
    out = io.StringIO(newline="")
    write_rows(form, rows, ("a", "b", "c"), out=out, **options)
    return out.getvalue()


def test_rows_come_back_from_every_form() -> None:
    assert json.loads(written("json", ROWS)) == ROWS
    assert [json.loads(line) for line in written("ndjson", ROWS).splitlines()] == ROWS
    assert yaml.safe_load(written("yaml", ROWS)) == ROWS
    assert list(csv.reader(io.StringIO(written("csv", ROWS), newline="")))[1] == [
        'x,"y"\n|',
        "1",
        "",
    ]
    assert written("tsv", ROWS).split("\n")[2] == "ü \t2\ttrue"
    assert 'x,"y" \\|' in written("markdown", ROWS)


@pytest.mark.parametrize("form", FORMATS)
def test_no_rows_are_a_valid_document(form: str) -> None:
    text = written(form, [])

    if form in ("json", "yaml"):
        assert yaml.safe_load(text) == []
    elif form == "ndjson":
        assert text == ""
    else:
        assert "a" in text
    assert written("csv", ROWS, headers=False).startswith('"x')


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
        abs(jobs_list._epoch(aware.isoformat(timespec="microseconds")) - aware.timestamp()) < 1e-3
    )


def test_short_ids_grow_until_they_tell_apart() -> None:
    assert jobs_list._short_length(["abcd0000", "ffff0000"]) == 4
    assert jobs_list._short_length(["abcd01", "abcd02"]) == 6
    assert jobs_list._short_length([]) == 4
