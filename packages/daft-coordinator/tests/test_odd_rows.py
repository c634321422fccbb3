"""Rows that nobody expects: text SQLite cannot hold, and rows that make no sense."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_coordinator import Coordinator
from daft_coordinator.adapters import rows
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_coordinator.errors import StoreUnavailable
from daft_coordinator.ports import JobQuery
from daft_coordinator.submission import record
from daft_protocol.status import InvocationStatus, JobStatus, Source

Make = Callable[..., Any]


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def sqlite(tmp_path: Path, reports: list[str]) -> Iterator[SqliteJobStore]:
    made = SqliteJobStore.open(str(tmp_path / "state"), str(uuid.uuid4()), report=reports.append)
    yield made
    made.close()


def test_a_job_runs_in_a_directory_whose_name_is_not_text(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/b\xe9")
    os.mkdir(odd)
    spec = fire(
        job("a", "touch here", working_dir=odd, env={"WHERE": odd}),
        worktree="b\udce9",
        worktree_path=odd,
    )

    with Coordinator(store) as coordinator:
        coordinator.submit(spec)
        (done,) = coordinator.wait(spec.invocation_id)

    assert done.status is JobStatus.COMPLETED, done.end_detail
    assert os.path.exists(odd + "/here")
    # Whoever runs it from the store runs it in the same place.
    (stored,) = store.jobs_of(spec.invocation_id)
    assert (stored.spec.working_dir, stored.spec.env["WHERE"]) == (odd, odd)
    assert [one.uid for one in store.find_jobs(JobQuery(worktree="b\udce9"))[0]] == [done.uid]


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_any_text_is_a_row(text: str) -> None:
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE t (a TEXT)")

    db.execute("INSERT INTO t VALUES (?)", (rows.storable(text),))

    kept = db.execute("SELECT a FROM t").get
    assert kept == text or any(0xD800 <= ord(char) < 0xE000 for char in text)


DAMAGE = {
    "no object": "UPDATE jobs SET spec_json = '[]' WHERE job_uid = ?",
    "no JSON": "UPDATE jobs SET env_json = '{' WHERE job_uid = ?",
    "deep JSON": "UPDATE jobs SET tags_json = replace(hex(zeroblob(50000)), '0', '[') WHERE job_uid = ?",
    "no text": "UPDATE jobs SET command = CAST(x'ff41' AS TEXT) WHERE job_uid = ?",
    "no moment": "UPDATE jobs SET queued_at = 'soon' WHERE job_uid = ?",
    "no boot": "UPDATE jobs SET spec_json = '{\"queued_boot\":[]}' WHERE job_uid = ?",
    "no number": "UPDATE jobs SET max_log_size_bytes = 'x' WHERE job_uid = ?",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_row_that_cannot_be_read_is_told_once_and_harms_no_other(
    sqlite: SqliteJobStore, fire: Make, job: Make, reports: list[str], kind: str
) -> None:
    with Coordinator(sqlite) as coordinator:
        spec = fire(job("bad"), job("good"))
        bad, good = record(sqlite, spec, owner=None, clock=coordinator.clock)
        sqlite._db.execute(DAMAGE[kind], (bad.uid,))

        for _ in range(2):
            assert [one.uid for one in sqlite.jobs_of(spec.invocation_id)] == [good.uid]
            assert [one.uid for one in sqlite.unfinished()] == [good.uid]
            assert [one.uid for one in sqlite.find_jobs(JobQuery())[0]] == [good.uid]
            assert sqlite.job(bad.uid) is None
        coordinator.take_over(spec.invocation_id)

    assert len(reports) == 1, reports


def test_an_invocation_that_cannot_be_read_is_told_once(
    sqlite: SqliteJobStore, fire: Make, job: Make, reports: list[str]
) -> None:
    with Coordinator(sqlite) as coordinator:
        specs = [fire(job("a")), fire(job("a"))]
        for spec in specs:
            record(sqlite, spec, owner=None, clock=coordinator.clock)
    sqlite._db.execute(
        "UPDATE invocations SET created_at = 'once' WHERE invocation_id = ?",
        (specs[0].invocation_id,),
    )

    found = [[one.invocation_id for one in sqlite.recent_invocations()] for _ in range(2)]

    assert found == [[specs[1].invocation_id]] * 2
    assert sqlite.invocation(specs[0].invocation_id) is None
    assert len(reports) == 1


def test_words_of_a_newer_daft_make_no_row_unreadable(
    sqlite: SqliteJobStore, fire: Make, job: Make, reports: list[str]
) -> None:
    with Coordinator(sqlite) as coordinator:
        spec = fire(job("a"))
        (made,) = record(sqlite, spec, owner=None, clock=coordinator.clock)
    sqlite._db.execute("UPDATE invocations SET source = 'elsewhere', status = 'half'")
    sqlite._db.execute("UPDATE jobs SET status = 'later', end_reason = 'whim'")

    (run,) = sqlite.recent_invocations()
    found = sqlite.job(made.uid)

    assert (run.source, run.status) == (Source.UNKNOWN, InvocationStatus.UNKNOWN)
    assert found is not None
    assert (found.status, found.end_reason) == (JobStatus.UNKNOWN, None)
    assert found.status.is_final
    assert not found.status.is_success
    assert reports == []
    # What is not understood is left as it is.
    assert sqlite._db.execute("SELECT source, status FROM invocations").get == ("elsewhere", "half")
    assert sqlite._db.execute("SELECT status, end_reason FROM jobs").get == ("later", "whim")


def test_pages_go_on_behind_rows_that_cannot_be_read(
    sqlite: SqliteJobStore, fire: Make, job: Make
) -> None:
    with Coordinator(sqlite) as coordinator:
        spec = fire(*[job(f"j{n}") for n in range(6)])
        made = record(sqlite, spec, owner=None, clock=coordinator.clock)
    for one in (made[0], made[3]):
        sqlite._db.execute(DAMAGE["no text"], (one.uid,))

    names: list[str] = []
    after = None
    while True:
        page, after = sqlite.find_jobs(JobQuery(limit=2, after=after))
        names += [one.name for one in page]
        if after is None:
            break

    assert names == ["j1", "j2", "j4", "j5"]


def test_who_only_looks_changes_nothing_and_is_told_what_it_cannot_do(
    sqlite: SqliteJobStore, fire: Make, job: Make, tmp_path: Path
) -> None:
    with Coordinator(sqlite) as coordinator:
        (made,) = record(sqlite, fire(job("a")), owner=None, clock=coordinator.clock)
    places = sqlite._places
    os.chmod(places.database, 0o644)
    before = os.stat(places.database)

    seen = SqliteJobStore.read(places.root, places.repository)

    assert seen is not None
    assert seen.job(made.uid) == sqlite.job(made.uid)
    (later,) = record(sqlite, fire(job("b")), owner=None, clock=coordinator.clock)
    assert seen.job(later.uid) == sqlite.job(later.uid)
    with pytest.raises(StoreUnavailable, match="readonly"):
        seen.claim(made.invocation_id, "me")
    assert os.stat(places.database).st_mode == before.st_mode
    seen.close()


def test_who_looks_where_nothing_is_makes_nothing(tmp_path: Path) -> None:
    assert SqliteJobStore.read(str(tmp_path / "state"), str(uuid.uuid4())) is None
    assert list(tmp_path.iterdir()) == []


def test_who_looks_follows_a_store_that_is_replaced(
    sqlite: SqliteJobStore, fire: Make, job: Make
) -> None:
    places = sqlite._places
    seen = SqliteJobStore.read(places.root, places.repository)
    assert seen is not None
    assert seen.recent_invocations() == ()
    for name in os.listdir(places.directory):
        os.unlink(os.path.join(places.directory, name))
    assert seen.recent_invocations() == ()

    with Coordinator(sqlite) as coordinator:
        spec = fire(job("a"))
        record(sqlite, spec, owner=None, clock=coordinator.clock)

    assert [one.invocation_id for one in seen.recent_invocations()] == [spec.invocation_id]
    seen.close()


def test_who_makes_room_for_a_log_tells_of_what_was_open_to_others(
    sqlite: SqliteJobStore, fire: Make, job: Make, reports: list[str]
) -> None:
    with Coordinator(sqlite) as coordinator:
        made = record(sqlite, fire(job("a")), owner=None, clock=coordinator.clock)
    places = sqlite._places
    os.chmod(places.root, 0o755)

    for _ in range(2):
        assert sqlite.log_directory(made[0]) is not None
        sqlite._has_directory = ""

    assert os.stat(places.root).st_mode & 0o077 == 0
    assert reports == [
        f"{places.root} was open to other users (mode 0755); it is closed to them now"
    ]
