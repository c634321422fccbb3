from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import apsw
import pytest

from daft_store import COORDINATOR, listing, migrations, open_writer, writing

ID = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs" / "store.db")


def test_the_listing_and_the_writer_agree_on_what_a_store_is(path: str) -> None:
    open_writer(path, COORDINATOR).close()

    assert listing.APPLICATION_ID == migrations.APPLICATION_ID
    assert COORDINATOR.version == listing.SCHEMA_VERSION
    db = listing.open_listing(path)
    assert db is not None
    assert listing.newest_invocations(db, "r") == []
    db.close()


def test_a_missing_or_fresh_store_is_no_history(path: str) -> None:
    assert listing.open_listing(path) is None
    os.mkdir(os.path.dirname(path))
    assert listing.open_listing(path) is None
    Path(path).touch()
    assert listing.open_listing(path) is None


def test_a_store_that_cannot_be_listed_is_not_called_empty(path: str, tmp_path: Path) -> None:
    def code() -> str:
        with pytest.raises(listing.ListingError) as caught:
            listing.open_listing(path)
        assert path in str(caught.value)
        return caught.value.code

    os.makedirs(path)
    assert code() == "foreign"
    os.rmdir(path)

    open_writer(str(tmp_path / "other" / "s.db"), COORDINATOR).close()
    os.symlink(tmp_path / "other" / "s.db", path)
    assert code() == "foreign"
    os.unlink(path)

    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE theirs (x)")
    theirs.close()
    assert code() == "foreign"
    os.unlink(path)

    Path(path).write_bytes(b"not a database at all" * 500)
    assert code() == "damaged"
    os.unlink(path)

    db = open_writer(path, COORDINATOR)
    db.pragma("user_version", 99)
    db.close()
    assert code() == "newer"


def test_a_row_that_is_no_text_is_told_and_the_others_are_listed(path: str) -> None:
    db = open_writer(path, COORDINATOR)
    insert = (
        "INSERT INTO invocations (repo_hash, invocation_id, trigger_command, hook_type, worktree,"
        " created_at) VALUES ('r', ?, CAST(? AS TEXT), 'h', 'w', '2026-01-01T00:00:00+00:00')"
    )
    db.execute(insert, ("a", b"\xff"))
    db.execute(insert, ("b", b"fine"))
    told: list[str] = []

    found = listing.newest_invocations(db, "r", skipped=told.append)

    assert [row[0] for row in found] == ["b"]
    assert len(told) == 1
    with pytest.raises(listing.ListingError, match="cannot be read"):
        listing.newest_invocations(db, "r")
    assert listing.newest_invocations(db, "r", worktree="odd\udcff") == []
    db.close()


def filled(path: str, invocations: int) -> apsw.Connection:
    """Return a store with that many invocations of one job, the oldest of them odd."""
    db = open_writer(path, COORDINATOR)
    with writing(db):
        for number in range(invocations):
            odd = number == 0
            uid = f"{number:016x}"
            db.execute(
                "INSERT INTO invocations (repo_hash, invocation_id, trigger_command, hook_type,"
                " worktree, created_at) VALUES ('r', ?, 't', ?, ?, ?)",
                (uid, "rare" if odd else "usual", "main", f"2026-01-01T{number:08d}"),
            )
            db.execute(
                "INSERT INTO jobs (job_uid, repo_hash, invocation_id, name, dir_name, hook_type,"
                " worktree, background, status, updated_at)"
                " VALUES (?, 'r', ?, 'job', 'job', 'h', 'main', 1, ?, '')",
                (uid, uid, "failed" if odd else "completed"),
            )
    return db


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"statuses": '["failed","crashed"]'}, [0]),
        ({"statuses": '["failed"]', "worktree": "main", "hook": "rare"}, [0]),
        ({"statuses": '["failed"]', "worktree": "other"}, []),
        ({"statuses": '["queued"]'}, []),
        ({"statuses": '["failed","completed"]', "limit": 2}, [699, 698]),
        ({"hook": "rare"}, [0]),
        ({"hook": "usual", "limit": 1}, [699]),
        ({"worktree": "main", "hook": "rare"}, [0]),
        ({"limit": 1}, [699]),
    ],
)
@pytest.mark.parametrize("few", [listing._FEW, 0])
def test_a_page_has_what_was_asked_for_however_old_it_is(
    path: str,
    given: dict[str, Any],
    expected: list[int],
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "_FEW", few)  # at 0 every status is a common one
    db = filled(path, 700)

    found = listing.newest_invocations(db, "r", **given)

    assert [int(row[0], 16) for row in found] == expected
    db.close()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"hook": "rare"},
        {"worktree": "main"},
        {"statuses": '["failed"]'},
        {"statuses": '["queued"]'},
        {"statuses": '["failed"]', "worktree": "main"},
    ],
)
@pytest.mark.parametrize("few", [listing._FEW, 0])
def test_no_page_walks_the_whole_history(
    path: str, given: dict[str, Any], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_FEW", few)
    db = filled(path, 10)
    asked: list[tuple[str, Any]] = []

    def note(cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        asked.append((sql, bindings))
        return True

    db.exec_trace = note
    listing.newest_invocations(db, "r", **given)
    db.exec_trace = None

    for sql, bindings in asked:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
        scans = [step for step in plan if step.startswith("SCAN") and "json_each" not in step]
        # What is scanned is the window of the newest, and the few rows that were counted.
        assert [step for step in scans if "newest" not in step and "(subquery" not in step] == []
        wide = [step for step in plan if "jobs" in step and "(repo_hash=?)" in step]
        # The index of unfinished jobs holds few rows whatever is stored.
        assert [step for step in wide if "jobs_unfinished" not in step] == [], plan
    db.close()


@pytest.mark.parametrize("below", ["", "jobs", f"jobs/{ID}"])
def test_no_directory_below_the_state_directory_may_be_a_link(tmp_path: Path, below: str) -> None:
    root = tmp_path / "state"
    open_writer(str(root / "jobs" / ID / "coordinator.db"), COORDINATOR).close()
    opened = listing.open_jobs(str(root), ID)
    assert opened is not None
    opened.close()
    place = root / below
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(listing.ListingError, match="is not a directory of yours") as caught:
        listing.open_jobs(str(root), ID)

    assert caught.value.code == "foreign"
    assert str(place) in str(caught.value)


def test_what_is_no_id_opens_nothing(tmp_path: Path) -> None:
    open_writer(str(tmp_path / "jobs" / "x" / "coordinator.db"), COORDINATOR).close()
    open_writer(str(tmp_path / "coordinator.db"), COORDINATOR).close()

    for word in ("x", "", "..", f"../jobs/{ID}"):
        with pytest.raises(listing.ListingError, match="is not the id of a repository"):
            listing.open_jobs(str(tmp_path), word)
    assert listing.open_jobs(str(tmp_path), ID) is None
    assert listing.open_jobs(str(tmp_path / "nothing"), ID) is None
