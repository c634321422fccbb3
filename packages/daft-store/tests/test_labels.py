from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from daft_store import COORDINATOR, dump, labels, open_writer

_WHOLE = [["SCAN", table] for table in ("invocations", "jobs", "i")]
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
        ("", "2026-01-01T00:00:00.000299+00:00", 100),
        ("a/b", "2026-01-01T00:00:00.000298+00:00", 100),
        ("main", "2026-01-01T00:00:00.000297+00:00", 100),
    ]
    assert labels.hook_types(db, "r") == [("post-clone", 1), ("worktree-post-create", 100)]
    assert labels.worktrees(db, "other") == [("other", "2026", 1)]
    assert labels.worktrees(db, "nobody") == []
    assert labels.hook_types(db, "nobody") == []


def test_invocations_are_found_by_how_their_id_starts(db: apsw.Connection) -> None:
    assert labels.invocations_starting_with(db, "r", "0000000000000007") == [
        ("0000000000000007", "a/b")
    ]
    assert len(labels.invocations_starting_with(db, "r", "00")) == 2
    assert labels.invocations_starting_with(db, "r", "ff") == []


JOB = (
    "INSERT INTO jobs (job_uid, repo_hash, invocation_id, name, position, dir_name, hook_type,"
    " worktree, background, status, updated_at)"
    " VALUES (?, 'r', ?, ?, ?, ?, 'h', ?, 1, 'completed', '2026')"
)


def test_jobs_are_found_by_name_and_by_run(db: apsw.Connection) -> None:
    for number in (3, 4, 6):
        run, worktree = f"{number:016x}", ("main", "a/b", "")[number % 3]
        for place, name in enumerate(("z", "a")):
            db.execute(JOB, (f"{number}{name}", run, name, place, name, worktree))

    assert [row[0] for row in labels.jobs_named(db, "r", "z")] == ["6z", "4z", "3z"]
    assert [row[0] for row in labels.jobs_named(db, "r", "z", worktree="main")] == ["6z", "3z"]
    assert [row[0] for row in labels.jobs_named(db, "r", "z", limit=1)] == ["6z"]
    assert labels.jobs_named(db, "r", "odd\udcff") == []
    runs = labels.jobs_of_runs(db, "r", [f"{number:016x}" for number in (3, 6, 99)])
    assert [row[:2] for row in runs] == [("6z", "z"), ("6a", "a"), ("3z", "z"), ("3a", "a")]
    assert runs[0][2:] == (f"{6:016x}", "main", "2026-01-01T00:00:00.000006+00:00")


def add_jobs(db: apsw.Connection, *numbers: int) -> None:
    """Give some runs a job `z` and behind it a job `a`."""
    for number in numbers:
        run, worktree = f"{number:016x}", ("main", "a/b", "")[number % 3]
        for place, name in enumerate(("z", "a")):
            db.execute(JOB, (f"{number}{name}", run, name, place, name, worktree))


def test_what_may_stand_in_an_address_is_told_in_one_look(db: apsw.Connection) -> None:
    add_jobs(db, 297, 294, 295)
    asked: list[str] = []
    db.exec_trace = lambda _, statement, __: asked.append(statement) is None

    found = labels.offered(db, "r", worktree="main", worktrees=True, runs=2)

    assert len(asked) == 1
    assert [row[:3] for row in found] == [
        ("job", "z", f"{297:016x}"),
        ("job", "a", f"{297:016x}"),
        ("run", "start", f"{297:016x}"),
        ("run", "start", f"{294:016x}"),
        ("worktree", "", None),
        ("worktree", "a/b", None),
        ("worktree", "main", None),
    ]
    assert found[2][3:] == ("2026-01-01T00:00:00.000297+00:00", 2, None)
    assert found[-1][3:] == ("2026-01-01T00:00:00.000297+00:00", 100, None)


def test_a_run_that_is_meant_is_opened_and_no_other(db: apsw.Connection) -> None:
    add_jobs(db, 294, 295)
    run = f"{294:016x}"

    opened = labels.offered(db, "r", worktree="a/b", run=run, runs=2)
    assert [row[:3] for row in opened] == [("job", "z", run), ("job", "a", run)]
    assert labels.offered(db, "r", worktree=None, run=run, of="main", runs=2) == opened
    assert labels.offered(db, "r", worktree=None, run=run, of="a/b", runs=2) == []
    of_several = labels.offered(db, "r", worktree="a/b", run="00", runs=1)
    assert [row[0] for row in of_several] == ["run"]
    assert labels.offered(db, "nobody", worktree="main", run=run, worktrees=True, runs=2) == []


def test_the_jobs_of_the_newest_runs_come_newest_first(db: apsw.Connection) -> None:
    add_jobs(db, 294, 295, 297)

    here = labels.jobs_of_newest(db, "r", worktree="main", runs=2)
    assert [(row[0], row[4]) for row in here] == [
        (f"{297:016x}", "z"), (f"{297:016x}", "a"), (f"{294:016x}", "z"), (f"{294:016x}", "a")
    ]  # fmt: skip
    anywhere = labels.jobs_of_newest(db, "r", worktree=None, runs=5)
    assert [row[0] for row in anywhere[::2]] == [f"{297:016x}", f"{295:016x}"]
    assert here[0][1:4] == ("worktree-post-create", "start", "2026-01-01T00:00:00.000297+00:00")


@pytest.mark.parametrize(
    "statement",
    [
        labels._WORKTREES,
        labels._HOOKS,
        labels._STARTING_WITH,
        labels._NAMED,
        labels._OF_RUNS,
        labels._OFFERED,
        labels._JOBS_OF_NEWEST,
        labels._JOBS_OF_NEWEST_ANYWHERE,
    ],
)
def test_no_answer_reads_the_whole_history(db: apsw.Connection, statement: str) -> None:
    given = {
        "repo": "r",
        "limit": 5,
        "counted": 9,
        "prefix": "00",
        "name": "z",
        "worktree": None,
        "ids": "[]",
        "of": None,
        "worktrees": True,
        "runs": 5,
    }

    steps = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + statement, given)]

    assert [step for step in steps if step.startswith("SEARCH")]
    assert not [step for step in steps if step.split()[:2] in _WHOLE]


@pytest.mark.parametrize("statement", [labels._NAMED, labels._OF_RUNS])
def test_no_job_is_held_against_every_run(db: apsw.Connection, statement: str) -> None:
    given = {"repo": "r", "limit": 5, "counted": 9, "name": "z", "worktree": None, "ids": "[]"}

    steps = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + statement, given)]

    runs = next(step for step in steps if step.startswith("SEARCH i "))
    assert "repo_hash=? AND invocation_id=?" in runs


@pytest.mark.parametrize("table", dump.TABLES)
def test_a_dump_is_of_one_repository_and_holds_no_environment(
    db: apsw.Connection, table: str
) -> None:
    found = list(dump.rows(db, "r", table))

    assert len(found) == {"invocations": 300, "policy": 1, "repo-policy": 1}.get(table, 0)
    assert not [name for row in found for name in row if "env" in name]
