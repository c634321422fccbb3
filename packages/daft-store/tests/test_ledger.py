from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from attrs import asdict, evolve, fields

from daft_store import (
    COORDINATOR,
    InvocationRow,
    JobMove,
    JobRow,
    leases,
    ledger,
    listing,
    open_writer,
    owners,
    pages,
    policies,
)
from daft_store.rows import CoordinatorRow, LeaseRow

AT = "2026-01-01T00:00:00.000000+00:00"
REPO = "00000000-0000-7000-8000-000000000000"
ACTIVE = " queued waiting running cancelling "


@pytest.fixture
def db(tmp_path: Path) -> Any:
    connection = open_writer(str(tmp_path / "d" / "store.db"), COORDINATOR)
    yield connection
    connection.close()


def invocation(number: int = 1, **other: Any) -> InvocationRow:
    row = InvocationRow(
        REPO,
        f"{number:016x}",
        "t",
        "post-clone",
        "main",
        "",
        "",
        AT,
        None,
        "completed",
        None,
        "hook",
    )
    return evolve(row, **other)


def job(name: str, number: int = 1, **other: Any) -> JobRow:
    row = JobRow(
        f"{number}-{name}", REPO, f"{number:016x}", name, 0, name, "post-clone", "main", "c", "/",
        "{}", "[]", "{}", "[]", "[]", "[]", 1, 1, "queued", AT, None, None, AT, None, None, None,
        None, None, None, None, None, None, None, None, None, 0, 0, 0, None, None,
    )  # fmt: skip
    return evolve(row, **other)


def move(uid: str, status: str, allowed: str = ACTIVE, **other: Any) -> JobMove:
    return JobMove(job_uid=uid, allowed=allowed, status=status, at=AT, **other)


def test_a_submission_is_recorded_whole_or_not_at_all(db: apsw.Connection) -> None:
    with pytest.raises(apsw.ConstraintError):
        ledger.insert_submission(db, invocation(), [job("a"), job("a", job_uid="other")])

    assert ledger.get_invocation(db, REPO, invocation().invocation_id) is None


def test_a_job_without_an_invocation_is_refused(db: apsw.Connection) -> None:
    with pytest.raises(apsw.ConstraintError):
        ledger.insert_submission(db, None, [job("a")])


def test_only_the_expected_state_is_moved(db: apsw.Connection) -> None:
    ledger.insert_submission(db, invocation(), [job("a")])

    done = ledger.move_jobs(
        db,
        [
            move("1-a", "completed", " running "),
            move("1-a", "running", " queued ", pid=7),
            move("1-a", "completed", " running ", duration_ms=500, exit_code=0),
            move("1-a", "crashed"),
            move("1-a", "failed", " completed "),
        ],
    )

    assert done == [False, True, True, False, False]
    row = ledger.job_by_uid(db, "1-a")
    assert row is not None
    assert (row.status, row.pid, row.exit_code) == ("completed", 7, 0)
    assert ledger.durations(db, REPO) == {("post-clone", "a"): 500}


def test_even_a_statement_of_anybody_cannot_change_an_ended_job(db: apsw.Connection) -> None:
    ledger.insert_submission(db, invocation(), [job("a", status="failed")])

    with pytest.raises(apsw.ConstraintError, match="has ended"):
        db.execute("UPDATE jobs SET status = 'completed'")


def test_the_counts_of_an_invocation_follow_its_jobs(db: apsw.Connection) -> None:
    ledger.insert_submission(db, invocation(), [job("a"), job("b"), job("c", status="skipped")])
    ledger.move_jobs(db, [move("1-a", "failed")])

    row = ledger.get_invocation(db, REPO, invocation().invocation_id)

    assert row is not None
    assert (row.job_count, row.unfinished_count, row.failed_count) == (3, 1, 1)


def test_a_claim_takes_what_is_queued_and_nobody_leads(db: apsw.Connection) -> None:
    for name in ("leader", "command"):
        owners.register(db, CoordinatorRow(name, REPO, name, 1, 1, "1", "b", AT, None, None, ""))
    ledger.insert_submission(
        db,
        invocation(),
        [
            job("mine", coordinator_id="command"),
            job("theirs", coordinator_id="leader"),
            job("foreground", background=0, coordinator_id="command"),
            job("ended", status="completed"),
        ],
    )

    rows = ledger.claim_invocation(db, REPO, invocation().invocation_id, "new")

    owner = {row.name: row.coordinator_id for row in rows}
    assert owner == {"mine": "new", "theirs": "leader", "foreground": "command", "ended": None}
    again = ledger.claim_invocation(
        db, REPO, invocation().invocation_id, "new", dead_owners=["leader"]
    )
    assert {row.name: row.coordinator_id for row in again}["theirs"] == "new"


def test_pages_meet_without_gap_or_overlap(db: apsw.Connection) -> None:
    ledger.insert_submission(db, invocation(), [job(f"j{n}") for n in range(25)])
    seen: list[str] = []
    after: int | None = 0

    while after is not None:
        rows, after = pages.page_of_jobs(db, REPO, limit=10, after=after)
        seen += [row.name for row in rows]

    assert seen == [f"j{n}" for n in range(25)]


def test_at_most_one_skipped_fire_is_kept_and_it_goes_when_the_hook_runs(
    db: apsw.Connection,
) -> None:
    for number in (1, 2, 3):
        ledger.record_skipped_fire(
            db, invocation(number, status="skipped", skip_reason="untrusted")
        )
    ledger.insert_submission(db, invocation(4), [])

    found = ledger.recent_invocations(db, REPO, limit=10)
    assert sorted(row.invocation_id[-1] for row in found) == ["3", "4"]
    ledger.clear_skipped_fires(db, REPO, "post-clone", "main")
    assert [row.status for row in ledger.recent_invocations(db, REPO, limit=10)] == ["completed"]


@pytest.mark.fault("F-32", "it")
@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (listing._INVOCATIONS, {"repo": "r", "hook": None, "statuses": None, "limit": 9}),
        (listing._INVOCATIONS_OF_WORKTREE, {"repo": "r", "worktree": "w", "hook": None, "statuses": None, "limit": 9}),
        (listing._JOBS, {"repo": "r", "ids": "[]"}),
        (listing._OWNERS, {"repo": "r"}),
        (ledger.UNFINISHED_JOBS, ("r",)),
    ],
)  # fmt: skip
def test_no_listing_scans_or_sorts_the_history(
    db: apsw.Connection, statement: str, values: Any
) -> None:
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]

    assert not [line for line in plan if line.startswith("SCAN") and "json_each" not in line], plan
    if statement is listing._INVOCATIONS_OF_WORKTREE:
        assert any("worktree=?" in line for line in plan), plan
    if statement in (listing._INVOCATIONS, listing._INVOCATIONS_OF_WORKTREE):
        assert not [line for line in plan if "TEMP B-TREE" in line], plan
    if statement in (listing._OWNERS, ledger.UNFINISHED_JOBS):
        assert any("jobs_unfinished" in line for line in plan), plan


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ({"invocation_id": "0" * 16}, "(repo_hash=? AND invocation_id=?"),
        ({"name": "a"}, "jobs_by_name (repo_hash=? AND name=?"),
        ({"statuses": ["queued", "running"]}, "jobs_unfinished (repo_hash=?"),
    ],
)
def test_a_narrow_page_of_jobs_is_found_by_an_index(
    db: apsw.Connection, query: dict[str, Any], condition: str
) -> None:
    seen: list[tuple[str, Any]] = []
    db.exec_trace = lambda _, sql, bindings: not seen.append((sql, bindings))
    pages.page_of_jobs(db, REPO, limit=5, **query)
    db.exec_trace = None

    ((sql, bindings),) = seen
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
    assert any(condition in line for line in plan), plan


def test_each_page_holds_what_was_asked_for_and_no_more(db: apsw.Connection) -> None:
    for number in (1, 2):
        names = [("a", "queued"), ("b", "completed"), ("c", "failed")]
        ledger.insert_submission(
            db, invocation(number), [job(name, number, status=status) for name, status in names]
        )

    def uids(**query: Any) -> list[str]:
        return [row.job_uid for row in pages.page_of_jobs(db, REPO, limit=9, **query)[0]]

    assert uids(invocation_id=f"{2:016x}") == ["2-a", "2-b", "2-c"]
    assert uids(invocation_id=f"{2:016x}", name="b") == ["2-b"]
    assert uids(name="b") == ["1-b", "2-b"]
    assert uids(name="b", statuses=["queued"]) == []
    assert uids(statuses=["queued", "waiting"]) == ["1-a", "2-a"]
    assert uids(statuses=["queued", "failed"]) == ["1-a", "1-c", "2-a", "2-c"]
    assert uids(worktree="other") == []
    assert pages.page_of_jobs(db, REPO, limit=1, statuses=["queued"])[1] is not None


def test_the_values_have_the_columns_of_their_tables(db: apsw.Connection) -> None:
    for table, values in (
        ("jobs", JobRow),
        ("coordinators", CoordinatorRow),
        ("worktree_leases", LeaseRow),
    ):
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]

        assert [field.name for field in fields(values)] == columns


@pytest.mark.parametrize("table", ["jobs", "invocations", "coordinators", "worktree_leases"])
def test_a_column_that_a_newer_daft_adds_changes_nothing_for_who_has_the_file_open(
    db: apsw.Connection, tmp_path: Path, table: str
) -> None:
    """A leader runs on while a newer daft brings the store to its own schema."""
    newer = apsw.Connection(str(tmp_path / "d" / "store.db"))
    newer.execute(f"ALTER TABLE {table} ADD COLUMN later TEXT NOT NULL DEFAULT 'x'")
    newer.close()
    owner = CoordinatorRow("o", REPO, "leader", 1, 1, "s", "b", AT, None, None, "")
    lease = LeaseRow(REPO, "main", "l", "remove", 1, 1, "s", "b", AT, AT)
    rows = [job("a"), job("b", status="running")]

    owners.register(db, owner)
    assert leases.take(db, lease) is None
    ledger.insert_submission(db, invocation(), rows)

    assert [asdict(row) for row in owners.live(db, REPO)] == [asdict(owner)]
    assert asdict(leases.in_the_way(db, REPO, "main")) == asdict(lease)
    found = ledger.get_invocation(db, REPO, invocation().invocation_id)
    assert asdict(found) == asdict(invocation(job_count=2, unfinished_count=2))
    everything = [asdict(row) for row in rows]
    for read in (
        [ledger.job_by_uid(db, "1-a"), ledger.job_by_uid(db, "1-b")],
        ledger.jobs_of_invocation(db, REPO, invocation().invocation_id),
        ledger.unfinished_jobs(db, REPO),
        pages.page_of_jobs(db, REPO, limit=9)[0],
        pages.page_of_jobs(db, REPO, invocation_id=invocation().invocation_id, limit=9)[0],
        pages.page_of_jobs(db, REPO, statuses=["queued", "running"], limit=9)[0],
        [row for name in "ab" for row in pages.page_of_jobs(db, REPO, name=name, limit=9)[0]],
    ):
        assert [asdict(row) for row in read] == everything


def test_a_status_of_a_newer_daft_is_kept_and_an_empty_one_is_none(db: apsw.Connection) -> None:
    ledger.insert_submission(db, invocation(), [job("a", status="levitating")])
    with pytest.raises(apsw.ConstraintError):
        ledger.insert_submission(db, None, [job("b", status="")])

    (row,) = ledger.jobs_of_invocation(db, REPO, invocation().invocation_id)

    assert row.status == "levitating"
    assert ledger.move_jobs(db, [move("1-a", "failed", " levitating ")]) == [False]


@pytest.mark.parametrize(
    "change",
    [
        lambda db: ledger.insert_submission(db, invocation(2), [job("b", 2)]),
        lambda db: ledger.move_jobs(db, [move("1-a", "running")]),
        lambda db: ledger.move_jobs_together(db, [move("1-a", "running")]),
        lambda db: ledger.claim_invocation(db, REPO, invocation().invocation_id, "me"),
        lambda db: ledger.record_skipped_fire(db, invocation(3, status="skipped")),
        lambda db: ledger.clear_skipped_fires(db, REPO, "post-clone", "main"),
        lambda db: owners.register(
            db, CoordinatorRow("o", REPO, "leader", 1, 1, "s", "b", AT, None, None, "")
        ),
        lambda db: owners.retire(db, "o", AT),
        lambda db: leases.take(db, LeaseRow(REPO, "main", "l", "x", 1, 1, "s", "b", AT, AT)),
        lambda db: leases.drop(db, REPO, "l"),
        lambda db: policies.merge_policy(db, REPO, lambda known: {"keep_last": (3, "f")}),
    ],
)
def test_whoever_writes_takes_the_lock_before_looking(
    db: apsw.Connection, change: Callable[[apsw.Connection], Any]
) -> None:
    ledger.insert_submission(db, invocation(), [job("a")])
    seen: list[str] = []
    db.exec_trace = lambda _, sql, bindings: not seen.append(" ".join(sql.split()))
    change(db)
    db.exec_trace = None

    # A policy is looked at once without it, to take no lock when nothing is to be changed.
    transaction = seen[seen.index("BEGIN IMMEDIATE") :]
    changing = [sql for sql in seen if sql.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert changing
    assert [sql for sql in transaction if sql in changing] == changing
    assert transaction.count("BEGIN IMMEDIATE") == 1
    assert transaction[-1] == "COMMIT"
