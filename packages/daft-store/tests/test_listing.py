from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from daft_store import COORDINATOR, listing, migrations, open_writer


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
    assert code() == "unreadable"
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
