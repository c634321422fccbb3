from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from daft_store import COORDINATOR, dump, labels, open_writer

INSERT = (
    "INSERT INTO invocations (repo_hash, invocation_id, trigger_command, hook_type, worktree,"
    " created_at) VALUES (?, ?, 'start', ?, ?, ?)"
)


@pytest.fixture
def db(tmp_path: Path) -> apsw.Connection:
    made = open_writer(str(tmp_path / "store.db"), COORDINATOR)
    for number in range(300):
        worktree = ("main", "a/b", "")[number % 3]
        hook = "post-clone" if number == 7 else "worktree-post-create"
        row = ("r", f"{number:016x}", hook, worktree, f"2026-01-01T00:00:00.{number:06d}+00:00")
        made.execute(INSERT, row)
    made.execute(INSERT, ("other", "f" * 16, "other-hook", "other", "2026"))
    return made


def test_every_name_is_told_once_with_its_newest_time(db: apsw.Connection) -> None:
    assert labels.worktrees(db, "r") == [
        ("", "2026-01-01T00:00:00.000299+00:00"),
        ("a/b", "2026-01-01T00:00:00.000298+00:00"),
        ("main", "2026-01-01T00:00:00.000297+00:00"),
    ]
    assert labels.hook_types(db, "r") == ["post-clone", "worktree-post-create"]
    assert labels.worktrees(db, "nobody") == []
    assert labels.hook_types(db, "nobody") == []


def test_invocations_are_found_by_how_their_id_starts(db: apsw.Connection) -> None:
    assert labels.invocations_starting_with(db, "r", "0000000000000007") == [
        ("0000000000000007", "a/b")
    ]
    assert len(labels.invocations_starting_with(db, "r", "00")) == 2
    assert labels.invocations_starting_with(db, "r", "ff") == []


@pytest.mark.parametrize("statement", [labels._WORKTREES, labels._HOOKS, labels._STARTING_WITH])
def test_no_answer_reads_the_whole_history(db: apsw.Connection, statement: str) -> None:
    given = {"repo": "r", "limit": 5, "prefix": "00"}

    steps = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + statement, given)]

    assert [step for step in steps if "invocations" in step]
    assert not [step for step in steps if step.startswith("SCAN invocations")]


@pytest.mark.parametrize("table", dump.TABLES)
def test_a_dump_is_of_one_repository_and_holds_no_environment(
    db: apsw.Connection, table: str
) -> None:
    found = list(dump.rows(db, "r", table))

    assert len(found) == {"invocations": 300, "repo-policy": 1}.get(table, 0)
    assert not [name for row in found for name in row if "env" in name]
