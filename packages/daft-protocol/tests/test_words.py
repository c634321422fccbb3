"""Names, addresses, records, statuses; and what importing them costs."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_protocol.address import JobAddress, readings
from daft_protocol.errors import BadAddress, BadJobName, BadRecord
from daft_protocol.jobs import LogPolicy
from daft_protocol.names import (
    check_job_name,
    directory_name,
    new_invocation_id,
)
from daft_protocol.records import LogRecord, RecordKind, decode_record, encode_record
from daft_protocol.status import UNFINISHED, EndReason, JobStatus

names = st.text(min_size=1, max_size=300)


@given(first=names, second=names)
def test_different_names_have_different_directories(first: str, second: str) -> None:
    assert (directory_name(first) == directory_name(second)) == (first == second)


@given(name=names)
def test_a_directory_name_leads_nowhere_else(name: str) -> None:
    directory = directory_name(name)

    assert directory
    assert len(directory) <= 113
    assert "/" not in directory
    assert "\0" not in directory
    assert not directory.startswith(".")


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("build", "build"),
        ("A b-c_d.e", "A b-c_d.e"),
        ("lint:fast", "lint%3Afast"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("..", "%2E."),
        (".deleting-x", "%2Edeleting-x"),
        ("é", "%C3%A9"),
        ("x" * 100, "x" * 100),
        (
            "x" * 101,
            "x" * 100 + "~" + hashlib.sha256(b"x" * 101).hexdigest()[:12],
        ),
    ],
)
def test_a_name_is_spelled_by_these_rules(name: str, directory: str) -> None:
    assert directory_name(name) == directory


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "a:b", "../../x", " ", ".", "-x"])
def test_any_other_name_is_kept_as_it_is(name: str) -> None:
    assert check_job_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "a\nb", "a\0", "\x1b[31m", "\x7f", "\x85", "x" * 256, "é" * 128]
)
def test_a_name_nobody_could_show_is_refused(name: str) -> None:
    with pytest.raises(BadJobName):
        check_job_name(name)


def test_invocation_ids_do_not_repeat() -> None:
    made = {new_invocation_id() for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in made)
    # Nothing of them comes from a clock: what one is known by differs at once.
    assert len({one[:4] for one in made}) > 90


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("build", [JobAddress(job="build")]),
        ("db", [JobAddress(invocation="db"), JobAddress(job="db")]),
        (
            "c9d4:db",
            [JobAddress(worktree="c9d4", job="db"), JobAddress(invocation="c9d4", job="db")],
        ),
        ("feat/x:1f2b", [JobAddress(worktree="feat/x", invocation="1f2b")]),
        ("w:c9d4:a:b", [JobAddress(worktree="w", invocation="c9d4", job="a:b")]),
        ("build:test", [JobAddress(job="build:test")]),
        ("feat@2@c9d4/b/c", [JobAddress(worktree="feat@2", invocation="c9d4", job="b/c")]),
        ("C9D4", [JobAddress(invocation="c9d4")]),
    ],
)
def test_every_meaning_of_an_address_is_considered(text: str, expected: list[JobAddress]) -> None:
    assert set(expected) <= set(readings(text))


def test_the_canonical_address_reads_as_itself_first() -> None:
    address = JobAddress(worktree="feature/a@b", invocation="0123abcd", job="x:y/z")

    assert readings(str(address))[-1] is not None
    assert address in readings(str(address))
    with pytest.raises(BadAddress):
        readings("")


records = st.builds(
    LogRecord,
    seq=st.integers(0, 2**40),
    ts=st.integers(0, 2**45),
    kind=st.sampled_from([RecordKind.STDOUT, RecordKind.STDERR]),
    data=st.text(st.characters(), max_size=200),
    cont=st.booleans(),
)


@given(record=records)
def test_a_record_survives_its_line(record: LogRecord) -> None:
    line = encode_record(record)

    assert line.count(b"\n") == 1
    assert decode_record(line) == record


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b'{"seq":-1,"ts":1,"kind":"stdout","data":"x"}',
     b'{"seq":1,"ts":1,"kind":"nonsense","data":"x"}', b'{"seq":1,"ts":1,"kind":"stdout","data":{}}',
     b'{"seq":true,"ts":1,"kind":"stdout","data":"x"}', b'{"seq":1,"ts":1,"kind":"status","data":{"x":NaN}}',
     b'{"seq":1,"ts":1,"kind":"status","data":{"x":1e999}}', b'{"seq":1,"ts":1,"kind":[],"data":"x"}'],
)  # fmt: skip
def test_a_torn_line_is_no_record(line: bytes) -> None:
    with pytest.raises(BadRecord):
        decode_record(line)


def test_what_a_newer_program_writes_is_final_and_no_success() -> None:
    status = JobStatus.parse("levitating")

    assert status is JobStatus.UNKNOWN
    assert status.is_final
    assert not status.is_success
    assert EndReason.parse("levitation") is None


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import daft_protocol", {"attrs", "attr", "cattrs", "json"}),
        ("import daft_protocol.jobs, daft_protocol.address", {"cattrs"}),
    ],
)
def test_importing_costs_no_more_than_is_used(statement: str, absent: set[str]) -> None:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not absent & set(done.stdout.split())


@pytest.mark.parametrize("field", ["retention_s", "limit_bytes", "keep_every_nth"])
@pytest.mark.parametrize("number", [-1, 2**63])
def test_a_number_that_no_store_holds_is_refused(field: str, number: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must be from . to 2"):
        LogPolicy(**{field: number})
    assert getattr(LogPolicy(**{field: 2**63 - 1}), field) == 2**63 - 1


def test_a_status_is_the_same_word_everywhere() -> None:
    assert {status.value for status in JobStatus} == {
        "queued", "running", "cancelling", "completed", "failed", "cancelled", "skipped",
        "crashed", "unknown",
    }  # fmt: skip
    assert [JobStatus.parse(status.value) for status in JobStatus] == list(JobStatus)
    assert {status for status in JobStatus if not status.is_final} == UNFINISHED
    assert [status for status in JobStatus if status.is_success] == [JobStatus.COMPLETED]
