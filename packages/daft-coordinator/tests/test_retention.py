"""What clean-up decides: what holds always, and what each rule is for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from daft_coordinator.domain import retention
from daft_coordinator.domain.elapsed import (
    ClockReading,
    ClockRecord,
    Trust,
    compare,
    passed_s,
)
from daft_coordinator.domain.policy import DeclaredPolicy, RetentionPolicy, effective, merge
from daft_coordinator.domain.retention import (
    Decision,
    KeptInvocation,
    KeptJob,
    Reason,
    Snapshot,
    StrayDirectory,
    Wishes,
    decide,
)
from daft_protocol.jobs import BootMoment
from daft_protocol.status import UNFINISHED, JobStatus

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = 86400.0


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def a_job(name: str = "a", days: float = 10, **other: Any) -> KeptJob:
    usual: dict[str, Any] = {
        "uid": name,
        "name": name,
        "status": JobStatus.COMPLETED,
        "ended_at": ago(days),
        "dir_name": name,
        "retention_s": 7 * DAY,
        "log_bytes": 100,
        "log_records": 1,
    }
    return KeptJob(**{**usual, **other})


def a_run(number: int, days: float = 10, *jobs: KeptJob, **other: Any) -> KeptInvocation:
    usual: dict[str, Any] = {
        "invocation_id": f"{number:016x}",
        "worktree": "main",
        "created_at": ago(days),
        "jobs": jobs or (a_job(f"{number}", days),),
    }
    return KeptInvocation(**{**usual, **other})


def snapshot(*runs: KeptInvocation, **other: Any) -> Snapshot:
    return Snapshot(
        taken_at=NOW,
        invocations=runs,
        policy=other.pop("policy", RetentionPolicy(keep_last=0)),
        **other,
    )


def removed(decision: Decision) -> list[str]:
    return [job.name for eviction in decision.evictions for job in eviction.jobs]


def test_what_is_older_than_its_own_retention_goes_and_nothing_else() -> None:
    runs = snapshot(
        a_run(1, 10),
        a_run(2, 10, a_job("old", 10), a_job("long", 10, retention_s=30 * DAY)),
        a_run(3, 6),
    )

    decision = decide(runs)

    assert removed(decision) == ["1", "old"]
    assert [one.whole for one in decision.evictions] == [True, False]
    assert decision.evictions[0].bytes == 100


def test_age_counts_from_the_end_of_a_job() -> None:
    long_job = a_run(1, 20, a_job("long", 1))

    assert decide(snapshot(long_job)) == Decision()


def test_a_time_in_the_future_is_new() -> None:
    assert decide(snapshot(a_run(1, -400))) == Decision()


@pytest.mark.parametrize(
    "protected",
    [
        a_run(1, 90, pinned=True),
        a_run(1, 90, a_job("a", 90), a_job("b", 90, status=JobStatus.RUNNING)),
        a_run(1, 90, a_job("a", 90, status=JobStatus.QUEUED)),
        a_run(1, 90, a_job("a", 90), a_job("b", 0.01)),
    ],
    ids=["pinned", "running", "queued", "just-ended"],
)
def test_what_is_protected_stays_however_old_and_large(protected: KeptInvocation) -> None:
    policy = RetentionPolicy(keep_last=0, max_total_size_bytes=0)

    decision = decide(snapshot(protected, policy=policy), Wishes(older_than_s=0, keep_last=0))

    assert decision.evictions == ()
    assert decision.over_budget_bytes > 0


def test_what_somebody_reads_stays() -> None:
    run = a_run(1, 90)

    assert decide(snapshot(run, in_use={run.invocation_id})) == Decision()


def test_each_worktree_keeps_its_newest() -> None:
    policy = RetentionPolicy(keep_last=2)
    runs = [a_run(number, 100 - number) for number in range(5)]
    other = a_run(9, 90, worktree="other")

    assert removed(decide(snapshot(*runs, other, policy=policy))) == ["0", "1", "2"]
    assert removed(decide(snapshot(*runs, policy=policy), Wishes(keep_last=4))) == ["0"]


def test_runs_of_one_moment_are_told_apart_by_their_ids() -> None:
    policy = RetentionPolicy(keep_last=1)

    decision = decide(snapshot(a_run(2, 50), a_run(1, 50), policy=policy))

    assert removed(decision) == ["1"]


def test_a_worktree_that_is_gone_keeps_its_newest_for_thirty_days() -> None:
    policy = RetentionPolicy(keep_last=3)
    runs = (a_run(1, 29, worktree="lately"), a_run(2, 31, worktree="long"), a_run(3, 400))

    gone = decide(snapshot(*runs, policy=policy, living_worktrees={"main"}))
    unknown = decide(snapshot(*runs, policy=policy, living_worktrees=None))

    assert removed(gone) == ["2"]
    assert unknown == Decision()


def test_a_run_without_jobs_goes_after_a_week() -> None:
    empty = [evolve(a_run(number, days), jobs=()) for number, days in ((1, 8), (2, 6))]

    decision = decide(snapshot(*empty))

    assert [one.invocation_id for one in decision.evictions] == [empty[0].invocation_id]
    assert decision.evictions[0].whole


def test_over_the_budget_the_oldest_day_goes_first_and_failures_go_last_of_a_day() -> None:
    policy = RetentionPolicy(keep_last=0, max_total_size_bytes=250)
    failed = a_job("failed", 3.3, status=JobStatus.FAILED)
    runs = (
        a_run(1, 3.3, failed),
        a_run(2, 3.1, a_job("well", 3.1)),
        a_run(3, 4.5, a_job("older", 4.5, status=JobStatus.FAILED)),
        a_run(4, 2, a_job("new", 2)),
    )

    decision = decide(snapshot(*runs, policy=policy))

    assert removed(decision) == ["older", "well"]
    assert {one.reason for one in decision.evictions} == {Reason.BUDGET}
    assert decision.over_budget_bytes == 0


def test_the_budget_never_touches_the_newest_of_a_worktree() -> None:
    policy = RetentionPolicy(keep_last=1, max_total_size_bytes=10)

    decision = decide(snapshot(a_run(1, 3), a_run(2, 2), policy=policy))

    assert removed(decision) == ["1"]
    assert decision.over_budget_bytes == 90


def test_wishes_narrow_what_goes_and_rest_the_budget() -> None:
    policy = RetentionPolicy(keep_last=0, max_total_size_bytes=0)
    failed = a_job("failed", 90, status=JobStatus.FAILED)
    runs = snapshot(
        a_run(1, 90, failed, a_job("ok", 90)), a_run(2, 90, worktree="b"), policy=policy
    )

    by_status = decide(runs, Wishes(statuses=frozenset({JobStatus.FAILED})))
    by_worktree = decide(runs, Wishes(worktree="b"))

    assert removed(by_status) == ["failed"]
    assert removed(by_worktree) == ["2"]


def test_a_row_whose_log_is_gone_goes_and_one_that_never_had_one_stays() -> None:
    lost = a_job("lost", 2, log_bytes=None, log_records=5)
    never = a_job("never", 2, log_bytes=None, log_records=0)

    decision = decide(snapshot(a_run(1, 2, lost, never), policy=RetentionPolicy()))

    assert removed(decision) == ["lost"]
    assert decision.evictions[0].reason is Reason.LOG_GONE


def test_a_running_job_of_nobody_is_given_up_after_a_day() -> None:
    def running(name: str, days: float, **other: Any) -> KeptJob:
        facts = {"owner_gone": True, "process_gone": True, **other}
        return a_job(name, days, status=JobStatus.RUNNING, **facts)

    run = a_run(
        1,
        9,
        running("given-up", 1.1),
        running("young", 0.9),
        running("owned", 9, owner_gone=False),
        running("lives", 9, process_gone=False),
        a_job("queued", 9, status=JobStatus.QUEUED, owner_gone=True, process_gone=True),
    )

    assert [job.name for job in decide(snapshot(run)).stale] == ["given-up"]


def test_directories_nobody_accounts_for_go_after_an_hour() -> None:
    old = StrayDirectory(invocation_id="0" * 16, dir_name="x", age_s=3601, bytes=5)
    new = evolve(old, age_s=10)

    assert decide(snapshot(strays=(old, new))).strays == (old,)


def test_beside_a_record_that_was_damaged_they_are_kept_as_long_as_a_job() -> None:
    stray = StrayDirectory(invocation_id="0" * 16, dir_name="x", age_s=7 * DAY - 1, bytes=5)
    old = evolve(stray, age_s=7 * DAY + 1)

    assert decide(snapshot(strays=(stray, old), was_replaced=True)).strays == (old,)


def test_a_directory_that_somebody_uses_stays() -> None:
    stray = StrayDirectory(invocation_id="0" * 16, dir_name="x", age_s=90 * DAY, bytes=5)

    assert decide(snapshot(strays=(stray,), in_use={"0" * 16})).strays == ()


def test_nothing_goes_while_the_clock_is_not_believed() -> None:
    run = a_run(1, 400)

    decision = decide(snapshot(run, ages_hold=False), Wishes(older_than_s=0, keep_last=0))

    assert decision == Decision(held_back=True)


# --- what holds always ------------------------------------------------------------------------

statuses = st.sampled_from(list(JobStatus))
days = st.floats(min_value=-5, max_value=120, allow_nan=False)


@st.composite
def any_run(draw: st.DrawFn, number: int) -> KeptInvocation:
    jobs = tuple(
        a_job(
            f"{number}-{index}",
            draw(days),
            status=draw(statuses),
            retention_s=draw(st.sampled_from([0, DAY, 7 * DAY, 90 * DAY])),
            log_bytes=draw(st.sampled_from([None, 0, 10, 1000])),
            log_records=draw(st.integers(0, 3)),
        )
        for index in range(draw(st.integers(0, 3)))
    )
    return KeptInvocation(
        invocation_id=f"{number:016x}",
        worktree=draw(st.sampled_from(["main", "a", "b"])),
        created_at=ago(draw(days)),
        pinned=draw(st.booleans()),
        jobs=jobs,
        other_bytes=draw(st.sampled_from([0, 7])),
    )


@st.composite
def any_snapshot(draw: st.DrawFn) -> Snapshot:
    count = draw(st.integers(0, 8))
    runs = [draw(any_run(number)) for number in range(count)]
    return Snapshot(
        taken_at=NOW,
        invocations=runs,
        policy=RetentionPolicy(
            keep_last=draw(st.integers(0, 3)),
            max_total_size_bytes=draw(st.sampled_from([0, 500, 10**9])),
        ),
        living_worktrees=draw(st.sampled_from([None, ("main",), ()])),
        in_use=draw(st.sets(st.sampled_from([f"{number:016x}" for number in range(8)]))),
        ages_hold=draw(st.sampled_from([True, True, True, False])),
    )


@st.composite
def any_wish(draw: st.DrawFn) -> Wishes:
    return Wishes(
        older_than_s=draw(st.sampled_from([None, 0.0, 2 * DAY])),
        keep_last=draw(st.sampled_from([None, 0, 2])),
        worktree=draw(st.sampled_from([None, None, "a"])),
        statuses=draw(st.sampled_from([None, None, frozenset({JobStatus.FAILED})])),
    )


def after(seen: Snapshot, decision: Decision) -> Snapshot:
    """Return the snapshot a pass leaves behind."""
    gone = {job.uid for one in decision.evictions for job in one.jobs}
    whole = {one.invocation_id for one in decision.evictions if one.whole}
    return evolve(
        seen,
        invocations=[
            evolve(one, jobs=tuple(job for job in one.jobs if job.uid not in gone))
            for one in seen.invocations
            if one.invocation_id not in whole
        ],
    )


@given(any_snapshot(), any_wish())
def test_nothing_protected_ever_goes(seen: Snapshot, wish: Wishes) -> None:
    by_id = {one.invocation_id: one for one in seen.invocations}
    for eviction in decide(seen, wish).evictions:
        run = by_id[eviction.invocation_id]
        assert not run.pinned
        assert run.invocation_id not in seen.in_use
        assert all(job.status not in UNFINISHED for job in run.jobs)
        last = max([run.created_at, *(job.ended_at for job in run.jobs)])
        assert retention.age_s(last, NOW) >= retention.FRESH_S
        assert seen.ages_hold


@given(any_snapshot(), any_wish())
def test_the_newest_of_a_living_worktree_never_go_while_their_logs_exist(
    seen: Snapshot, wish: Wishes
) -> None:
    keep = seen.policy.keep_last if wish.keep_last is None else wish.keep_last
    touched = {
        one.invocation_id
        for one in decide(seen, wish).evictions
        if one.reason is not Reason.LOG_GONE
    }
    for worktree in {one.worktree for one in seen.invocations}:
        if seen.living_worktrees is not None and worktree not in seen.living_worktrees:
            continue
        runs = [one for one in seen.invocations if one.worktree == worktree]
        runs.sort(key=lambda one: (one.created_at, one.invocation_id), reverse=True)
        assert not touched & {one.invocation_id for one in runs[:keep]}


@given(any_snapshot(), any_wish())
def test_each_run_is_evicted_at_most_once_and_the_sums_are_true(
    seen: Snapshot, wish: Wishes
) -> None:
    decision = decide(seen, wish)
    by_id = {one.invocation_id: one for one in seen.invocations}

    ids = [one.invocation_id for one in decision.evictions]
    assert len(ids) == len(set(ids))
    for eviction in decision.evictions:
        run = by_id[eviction.invocation_id]
        assert set(eviction.jobs) <= set(run.jobs)
        assert eviction.expected == len(run.jobs)
        assert eviction.whole == (len(eviction.jobs) == len(run.jobs))
        logs = sum(job.log_bytes or 0 for job in eviction.jobs)
        assert eviction.bytes == logs + (run.other_bytes if eviction.whole else 0)


@given(any_snapshot())
def test_a_second_pass_finds_nothing_of_age_or_size_to_do(seen: Snapshot) -> None:
    first = decide(seen)
    second = decide(after(seen, first))

    # A whole worktree that went moves no floor but its own, so nothing new comes up, except
    # runs that the first pass has left without any job.
    emptied = {one.invocation_id for one in first.evictions if not one.whole}
    assert {one.invocation_id for one in second.evictions} <= emptied


@given(any_snapshot())
def test_the_budget_is_met_or_everything_left_is_protected(seen: Snapshot) -> None:
    decision = decide(seen)
    if decision.held_back or not decision.over_budget_bytes:
        return
    left = decide(evolve(after(seen, decision)))

    assert left.over_budget_bytes == decision.over_budget_bytes


# --- the clock --------------------------------------------------------------------------------


def reading(days: float, boot_s: float, boot: str = "one") -> ClockReading:
    return ClockReading(wall_at=ago(-days), since_boot_s=boot_s, boot_id=boot)


def queued(at: ClockReading) -> dict[str, Any]:
    boot = BootMoment(boot_id=at.boot_id, since_boot_s=at.since_boot_s)
    return {"then": at.wall_at, "then_boot": boot}


@pytest.mark.parametrize("jump", [0, 1, -1, 400])
def test_within_one_boot_no_clock_that_was_set_changes_an_age(jump: float) -> None:
    assert passed_s(reading(jump, 1060), **queued(reading(0, 1000))) == 60


def test_a_moment_of_an_earlier_boot_is_at_least_as_old_as_this_one() -> None:
    then = queued(reading(0, 5000))

    assert passed_s(reading(1, 100, "two"), **then) == DAY
    assert passed_s(reading(-1, 100, "two"), **then) == 100


def test_without_the_boot_the_wall_clock_decides_and_never_below_zero() -> None:
    assert passed_s(reading(1, 5), then=ago(0), then_boot=None) == DAY
    assert passed_s(reading(-1, 5), then=ago(0), then_boot=None) == 0


def test_two_clocks_that_agree_are_believed() -> None:
    record = ClockRecord(reading=reading(0, 1000))

    assert compare(record, reading(1, 1000 + DAY)).trust is Trust.STEADY


@pytest.mark.parametrize("jump", [1, -1, 400])
def test_a_clock_that_jumped_is_believed_an_hour_of_the_machines_time_later(jump: float) -> None:
    record = compare(ClockRecord(reading=reading(0, 1000)), reading(jump, 1060))
    assert record.trust is Trust.MOVED

    record = compare(record, reading(jump + 0.5 / 24, 1060 + 1800))
    assert record.trust is Trust.MOVED
    record = compare(record, reading(jump + 1 / 24, 1060 + 3600))
    assert record.trust is Trust.STEADY


def test_a_second_jump_starts_the_hour_anew() -> None:
    record = compare(ClockRecord(reading=reading(0, 0)), reading(10, 60))
    record = compare(record, reading(20, 3660))

    assert record.trust is Trust.MOVED
    assert compare(record, reading(20 + 1 / 24, 7259)).trust is Trust.MOVED
    assert compare(record, reading(20 + 1 / 24, 7260)).trust is Trust.STEADY


def test_of_a_restart_after_a_while_nothing_is_known() -> None:
    record = ClockRecord(reading=reading(0, 1000))

    assert compare(record, reading(0.5, 100, "two")).trust is Trust.UNKNOWN
    assert compare(record, reading(0.01, 100, "two")).trust is Trust.STEADY
    assert compare(record, reading(-1, 100, "two")).trust is Trust.MOVED


def test_the_first_pass_knows_nothing_and_the_second_an_hour_later_does() -> None:
    first = compare(None, reading(0, 50))
    assert first.trust is Trust.UNKNOWN

    assert compare(first, reading(0.01, 914)).trust is Trust.UNKNOWN
    assert compare(first, reading(1, 50 + DAY)).trust is Trust.STEADY


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 2 * DAY)), min_size=1, max_size=12))
def test_no_pass_within_an_hour_of_a_jump_believes_the_clock(
    steps: list[tuple[float, float]],
) -> None:
    """steps: (days the wall clock is set by, seconds that pass before)."""
    wall, boot, jumped_at = 0.0, 0.0, 0.0
    record: ClockRecord | None = None
    for jump, passed in steps:
        wall, boot = wall + passed / DAY + jump, boot + passed
        if abs(jump) * DAY > 3600 + 1:
            jumped_at = boot
        record = compare(record, reading(wall, boot))
        if record.trust is Trust.STEADY and abs(jump) * DAY > 3600 + 1:
            raise AssertionError("a jump was not seen")
        if boot - jumped_at < 3599:
            assert record.trust is not Trust.STEADY


# --- the policy -------------------------------------------------------------------------------


def here(_: str) -> bool:
    return False


def test_a_file_replaces_what_it_sets_and_leaves_what_others_set() -> None:
    stored = merge({}, DeclaredPolicy(source="/a", keep_last=9), is_gone=here)
    stored = merge(stored, DeclaredPolicy(source="/b", stale_running_after_s=60), is_gone=here)

    assert stored == {"keep_last": (9, "/a"), "stale_running_after_s": (60, "/b")}
    assert effective(stored) == RetentionPolicy(keep_last=9, stale_running_after_s=60)


def test_a_key_taken_out_of_its_file_falls_back_to_the_default() -> None:
    stored = merge({}, DeclaredPolicy(source="/a", keep_last=9), is_gone=here)

    assert merge(stored, DeclaredPolicy(source="/b"), is_gone=here) == stored
    assert merge(stored, DeclaredPolicy(source="/a"), is_gone=here) == {}


def test_what_a_file_set_that_is_gone_does_not_outlive_it() -> None:
    stored = merge({}, DeclaredPolicy(source="/gone", keep_last=9), is_gone=here)

    assert merge(stored, DeclaredPolicy(source="/b"), is_gone=lambda path: path == "/gone") == {}
