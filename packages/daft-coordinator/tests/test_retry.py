"""Retries: what runs again, what it needs, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from daft_coordinator import Coordinator, RetryRequest, StopPolicy
from daft_coordinator.domain import graph
from daft_coordinator.domain.phases import cut
from daft_coordinator.domain.retry import for_background, is_retryable, plan_retry
from daft_coordinator.domain.retry_targets import Narrowing, find
from daft_coordinator.errors import (
    AlreadyRunning,
    AmbiguousAddress,
    DirectoryGone,
    JobNotFound,
    MissingValues,
    NoSuchRun,
    NothingRecorded,
    NotRetryable,
    StillRunning,
)
from daft_coordinator.logreader import read_log
from daft_coordinator.retrying import prepare
from daft_coordinator.submission import record
from daft_coordinator.testing import VirtualClock
from daft_protocol import InvocationSpec, JobSpec, JobStatus
from daft_protocol.jobs import Job, RunMode, Skip
from daft_protocol.status import EndReason, SkipKind, Source

Make = Callable[..., Any]
QUICK = StopPolicy(grace_s=0.3, drain_s=0.3, give_up_s=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = "ab" * 8


def recorded(name: str, status: str, *needs: str, **other: Any) -> Job:
    reason = {"skipped": EndReason.DEP_FAILED, "crashed": EndReason.CRASH}.get(status)
    spec = JobSpec(name=name, command=f"run {name}", needs=needs, full_needs=needs)
    given = {"invocation_id": SOURCE, "hook_type": "h", "worktree": "w", "spec": spec, **other}
    return Job(
        **{
            "uid": name, "position": 0, "status": JobStatus(status), "updated_at": NOW,
            "end_reason": reason, **given,
        }
    )  # fmt: skip


def names(jobs: list[Job], /, **asked: Any) -> list[str]:
    plan = plan_retry(RetryRequest(invocation_id=SOURCE, **asked), jobs)
    return [spec.name for spec in plan.specs]


def condition(name: str, *needs: str) -> Job:
    job = recorded(name, "skipped", *needs, end_reason=EndReason.CONDITION)
    skip = Skip(kind=SkipKind.CONDITION, reason="not here")
    return evolve(job, spec=evolve(job.spec, skip=skip))


# --- the decision -----------------------------------------------------------------------------


def test_what_ended_badly_runs_again_and_what_was_skipped_because_of_it() -> None:
    jobs = [
        recorded("ok", "completed"),
        recorded("failed", "failed", "ok"),
        recorded("late", "failed", end_reason=EndReason.TIMEOUT),
        recorded("stopped", "cancelled"),
        recorded("crashed", "crashed"),
        recorded("after", "skipped", "failed"),
        recorded("last", "skipped", "after", "ok"),
        condition("elsewhere"),
        recorded("never", "skipped", end_reason=EndReason.CRASH),
    ]

    assert names(jobs) == [
        "failed", "late", "stopped", "crashed", "after", "last", "never",
    ]  # fmt: skip
    assert names(jobs, skipped=True) == [job.name for job in jobs if job.name != "ok"]


def test_needs_are_pruned_to_what_runs_again_across_both_phases() -> None:
    background = recorded("b", "skipped", "ok", "a")
    # A foreground need was taken out of `needs` when the phases were cut apart.
    background = evolve(
        background,
        spec=evolve(background.spec, needs=(), background=True, declared_background=True),
    )
    jobs = [recorded("ok", "completed"), recorded("a", "failed", "ok"), background]

    plan = plan_retry(RetryRequest(invocation_id=SOURCE), jobs)

    assert [(one.name, one.needs, one.full_needs) for one in plan.specs] == [
        ("a", (), ()), ("b", ("a",), ("a",)),
    ]  # fmt: skip
    foreground, detached = cut(plan.specs, for_background(plan.specs))
    assert [one.name for one in foreground] == ["a"]
    assert [(one.name, one.needs, one.full_needs) for one in detached] == [("b", (), ("a",))]


def test_a_background_job_that_a_foreground_job_needs_comes_to_the_foreground_again() -> None:
    specs = [
        JobSpec(name="a", command="x", background=True),
        JobSpec(name="b", command="x", needs=("a",)),
        JobSpec(name="c", command="x", declared_background=True),
        JobSpec(name="d", command="x", declared_background=True, interactive=True),
    ]

    foreground, background = cut(specs, for_background(specs))

    assert [(one.name, one.background) for one in foreground] == [
        ("a", False), ("b", False), ("d", False),
    ]  # fmt: skip
    assert [(one.name, one.background) for one in background] == [("c", True)]


def test_one_job_runs_alone_and_what_waited_for_it_is_named() -> None:
    jobs = [recorded("a", "failed"), recorded("b", "skipped", "a"), recorded("c", "completed")]

    plan = plan_retry(RetryRequest(invocation_id=SOURCE, jobs=("a",)), jobs)

    assert [spec.name for spec in plan.specs] == ["a"]
    assert plan.left_out == ("b",)
    assert names(jobs, jobs=("b",)) == ["b"]
    with pytest.raises(NotRetryable, match=r"No failed job named 'c'.*completed"):
        names(jobs, jobs=("c",))
    with pytest.raises(NotRetryable, match="no such job"):
        names(jobs, jobs=("z",))


def test_behind_a_broken_pipe_everything_runs_again() -> None:
    jobs = [
        recorded("a", "failed", mode=RunMode.PIPED),
        recorded("b", "skipped", mode=RunMode.PIPED),
    ]

    assert names(jobs) == ["a", "b"]


def test_nothing_is_retried_of_what_has_not_ended() -> None:
    with pytest.raises(StillRunning, match=r"2 job\(s\) still running \(b, c\)"):
        names([recorded("a", "failed"), recorded("b", "running"), recorded("c", "queued")])


def test_nothing_to_retry_is_no_error() -> None:
    assert names([recorded("a", "completed"), condition("b")]) == []


def test_values_that_were_not_stored_are_looked_for_and_named_when_missing() -> None:
    job = recorded("a", "failed", removed_env=("API_TOKEN", "DATABASE_URL"))
    job = evolve(job, spec=evolve(job.spec, env={"DATABASE_URL": "pg://u@h/d", "B": "c"}))
    request = RetryRequest(invocation_id=SOURCE)

    plan = plan_retry(
        request,
        [job],
        values={"a": {"DATABASE_URL": "pg://u:p@h/d"}},
        environment={"API_TOKEN": "t", "DATABASE_URL": "pg://another/one", "C": "d"},
    )

    assert plan.specs[0].env == {"API_TOKEN": "t", "DATABASE_URL": "pg://u:p@h/d", "B": "c"}
    with pytest.raises(MissingValues, match="job 'a' needs API_TOKEN"):
        plan_retry(request, [job], environment={"DATABASE_URL": "x"})


def test_what_others_run_for_the_same_worktree_is_named_and_may_be_refused() -> None:
    jobs = [recorded("a", "failed")]
    others = [
        recorded("a", "running", invocation_id="cd" * 8),
        recorded("a", "running", invocation_id="ef" * 8, worktree="v"),
        recorded("b", "running", invocation_id="cd" * 8),
    ]

    plan = plan_retry(RetryRequest(invocation_id=SOURCE), jobs, unfinished=others)

    assert [job.invocation_id for job in plan.overlapping] == ["cd" * 8]
    with pytest.raises(AlreadyRunning, match="a"):
        plan_retry(RetryRequest(invocation_id=SOURCE, exclusive=True), jobs, unfinished=others)


def test_todays_configuration_may_take_the_place_of_the_record() -> None:
    jobs = [
        recorded("a", "failed", removed_env=("GONE_TOKEN",)),
        recorded("b", "failed", "a"),
        recorded("c", "failed"),
    ]
    current = {
        "a": JobSpec(name="a", command="new a"),
        "b": JobSpec(name="b", command="new b", needs=("a", "x")),
    }

    plan = plan_retry(RetryRequest(invocation_id=SOURCE, jobs=("a", "b"), current=current), jobs)

    assert [(one.command, one.needs) for one in plan.specs] == [("new a", ()), ("new b", ("a",))]
    with pytest.raises(NothingRecorded, match="not in today's configuration: c"):
        plan_retry(RetryRequest(invocation_id=SOURCE, current=current), jobs)


def test_a_job_without_a_recorded_command_is_not_run_as_nothing() -> None:
    job = condition("a")
    job = evolve(job, spec=evolve(job.spec, command=""))

    with pytest.raises(NothingRecorded, match="no command was recorded for: a"):
        names([job], skipped=True)


ends = st.sampled_from(["completed", "failed", "cancelled", "crashed", "skipped", "condition"])


@st.composite
def invocations(draw: st.DrawFn) -> list[Job]:
    count = draw(st.integers(1, 9))
    jobs = []
    for n in range(count):
        needs = draw(st.sets(st.integers(0, n - 1), max_size=3)) if n else set()
        wanted = tuple(f"j{one}" for one in sorted(needs))
        end = draw(ends)
        jobs.append(
            condition(f"j{n}", *wanted) if end == "condition" else recorded(f"j{n}", end, *wanted)
        )
    return jobs


@given(jobs=invocations(), skipped=st.booleans())
def test_a_retry_is_a_sound_graph_of_what_did_not_end_well(jobs: list[Job], skipped: bool) -> None:
    plan = plan_retry(RetryRequest(invocation_id=SOURCE, skipped=skipped), jobs)

    again = [spec.name for spec in plan.specs]
    by_name = {job.name: job for job in jobs}
    graph.check(again, {spec.name: spec.needs for spec in plan.specs})
    assert again == [job.name for job in jobs if job.name in again], "declaration order"
    assert all(by_name[name].status is not JobStatus.COMPLETED for name in again)
    bad = {job.name for job in jobs if job.status.value in ("failed", "cancelled", "crashed")}
    assert bad <= set(again)
    for job in jobs:
        if job.status is JobStatus.SKIPPED and job.name not in again:
            assert not skipped
            assert not (is_retryable(job) and set(job.needs) & set(again))
    for spec in plan.specs:
        assert spec.skip is None
        assert set(spec.needs) == set(by_name[spec.name].needs) & set(again)


# --- running it -------------------------------------------------------------------------------


def first_run(store: Any, spec: InvocationSpec, **other: Any) -> dict[str, Job]:
    with Coordinator(store, stop=QUICK, report=lambda line: None, **other) as coordinator:
        coordinator.submit(spec)
        return {job.name: job for job in coordinator.wait(spec.invocation_id)}


def test_a_retry_is_a_new_invocation_that_tells_where_it_came_from(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    spec = fire(
        job("ok", f"echo x >> {tmp_path}/ok"),
        job("a", f"test -e {tmp_path}/now", "ok", timeout_s=7, tags=("t",), fail_text="f"),
        job("b", f"echo x >> {tmp_path}/b", "a"),
        worktree_path="/somewhere",
    )
    first_run(store, spec)
    (tmp_path / "now").touch()

    with Coordinator(store, stop=QUICK) as coordinator:
        made = coordinator.retry(RetryRequest(invocation_id=spec.invocation_id))
        done = coordinator.wait(made[0].invocation_id)

    assert [(one.name, one.status.value) for one in done] == [
        ("a", "completed"), ("b", "completed"),
    ]  # fmt: skip
    assert [one.retry_of for one in done] == [(spec.invocation_id, "a"), (spec.invocation_id, "b")]
    assert (done[0].spec.timeout_s, done[0].spec.tags, done[0].spec.fail_text) == (7, ("t",), "f")
    assert (tmp_path / "ok").read_text() == "x\n"
    invocation = store.invocation(done[0].invocation_id)
    assert (invocation.source, invocation.worktree_path) == (Source.RETRY, "/somewhere")
    assert {one.status.value for one in store.jobs_of(spec.invocation_id)} == {
        "completed", "failed", "skipped",
    }  # fmt: skip


def test_a_secret_is_taken_from_the_caller_and_reaches_the_job_again(
    fire: Make, job: Make, tmp_path: Path
) -> None:
    from daft_coordinator.adapters.sqlite import SqliteJobStore

    store = SqliteJobStore.open(str(tmp_path / "state"), "01920000-0000-7000-8000-000000000001")
    spec = fire(job("a", 'test "$API_TOKEN" = new', env={"API_TOKEN": "old"}))
    first_run(store, spec)
    request = RetryRequest(invocation_id=spec.invocation_id)
    inherited = {"PATH": os.environ["PATH"]}

    with Coordinator(store, stop=QUICK) as coordinator:
        with pytest.raises(MissingValues, match="API_TOKEN"):
            coordinator.retry(request, environment=inherited)
        made = coordinator.retry(request, environment={**inherited, "API_TOKEN": "new"})
        (done,) = coordinator.wait(made[0].invocation_id)
        assert coordinator.retry(RetryRequest(invocation_id=done.invocation_id)) == ()

    assert done.status is JobStatus.COMPLETED
    assert "new" not in "".join(store.job(done.uid).spec.env.values())
    store.close()


def test_a_directory_that_is_gone_is_refused_unless_another_is_given(
    store: Any, fire: Make, job: Make, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    spec = fire(job("a", "pwd", working_dir=str(gone)))
    first_run(store, spec)

    with Coordinator(store, stop=QUICK) as coordinator:
        with pytest.raises(DirectoryGone, match="no longer exists"):
            coordinator.retry(RetryRequest(invocation_id=spec.invocation_id))
        made = coordinator.retry(
            RetryRequest(invocation_id=spec.invocation_id, working_dir=str(tmp_path))
        )
        (done,) = coordinator.wait(made[0].invocation_id)

    lines = [one.data for one in read_log(store.log_directory(done)) if isinstance(one.data, str)]
    assert lines == [str(tmp_path)]


def test_a_refused_retry_records_nothing(store: Any, fire: Make, job: Make) -> None:
    empty = fire(skip_reason="untrusted")
    record(store, empty, owner=None, clock=VirtualClock(start=NOW))

    for unknown in ("ff" * 8, empty.invocation_id):
        with pytest.raises(JobNotFound):
            prepare(store, RetryRequest(invocation_id=unknown), environment={})

    assert [one.invocation_id for one in store.recent_invocations()] == [empty.invocation_id]


def test_a_running_namesake_is_reported_and_not_disturbed(
    store: Any, fire: Make, job: Make
) -> None:
    failing, running = fire(job("a", "exit 1")), fire(job("a", "sleep 60"))
    first_run(store, failing)
    reports: list[str] = []

    with Coordinator(store, stop=QUICK, report=reports.append) as coordinator:
        coordinator.submit(running)
        request = RetryRequest(invocation_id=failing.invocation_id)
        with pytest.raises(AlreadyRunning):
            coordinator.retry(evolve(request, exclusive=True))
        coordinator.wait(coordinator.retry(request)[0].invocation_id)
        (other,) = coordinator.jobs(running.invocation_id)
        assert not other.status.is_final

    assert any("runs for 'main' already" in line for line in reports)


def test_jobs_that_a_skip_names_are_recorded_with_the_true_reason(
    store: Any, fire: Make, job: Make
) -> None:
    kinds = (SkipKind.CONDITION, SkipKind.DEP_FAILED, SkipKind.CANCELLED)
    spec = fire(*[job(kind.value, skip=Skip(kind=kind, reason="r")) for kind in kinds])

    record(store, spec, owner=None, clock=VirtualClock(start=NOW))

    assert [one.end_reason for one in store.jobs_of(spec.invocation_id)] == [
        EndReason.CONDITION, EndReason.DEP_FAILED, EndReason.CANCEL,
    ]  # fmt: skip


# --- what somebody means ----------------------------------------------------------------------

OLD, NEW, OTHER, MERGE = ("aaaa" * 4, "aabb" * 4, "cccc" * 4, "dddd" * 4)
RUNS = [
    [recorded("db", "completed", invocation_id=NEW)],
    [recorded("db", "failed", invocation_id=OTHER, worktree="v"), recorded("x", "completed",
     invocation_id=OTHER, worktree="v")],
    [recorded("db", "failed", invocation_id=OLD), recorded("h2", "failed", invocation_id=OLD)],
    [recorded("m", "failed", invocation_id=MERGE, hook_type="my-task")],
]  # fmt: skip


def meant(text: str, **narrowing: Any) -> tuple[str, str | None]:
    found = find(
        text, RUNS, hook_types={"h"}, current_worktree="w", narrowing=Narrowing(**narrowing)
    )
    return found.invocation_id, found.job


@pytest.mark.parametrize(
    ("text", "narrowing", "expected"),
    [
        ("", {}, (NEW, None)),
        ("", {"worktree": "v"}, (OTHER, None)),
        ("h", {}, (NEW, None)),
        ("h", {"worktree": "v"}, (OTHER, None)),
        ("my-task", {}, (MERGE, None)),
        ("", {"hook": "my-task"}, (MERGE, None)),
        ("aaaa", {}, (OLD, None)),
        ("AAAA:db", {}, (OLD, "db")),
        ("db", {}, (OLD, "db")),
        ("db", {"worktree": "v"}, (OTHER, "db")),
        ("v:db", {}, (OTHER, "db")),
        ("v@cccc/x", {}, (OTHER, "x")),
        ("", {"job": "h2"}, (OLD, "h2")),
        ("", {"invocation": "aabb"}, (NEW, "db")),
        ("db", {"invocation": "cccc"}, (OTHER, "db")),
    ],
)
def test_a_retry_means_the_run_that_fits(
    text: str, narrowing: dict[str, str], expected: tuple[str, str | None]
) -> None:
    assert meant(text, **narrowing) == expected


@pytest.mark.parametrize(
    ("text", "narrowing", "said"),
    [
        ("", {"worktree": "gone"}, "No invocations found for worktree 'gone'"),
        ("", {"hook": "pre-merge"}, "No invocations of pre-merge found"),
        ("zz", {}, "No failed job named 'zz'"),
        ("", {"invocation": "00"}, "No invocation '00': nothing recorded fits"),
        ("v:db", {"worktree": "w"}, "names worktree 'v', --worktree says 'w'"),
    ],
)
def test_a_retry_of_nothing_says_what_was_looked_for(
    text: str, narrowing: dict[str, str], said: str
) -> None:
    with pytest.raises(NoSuchRun, match=said):
        meant(text, **narrowing)


def test_several_invocations_that_fit_are_listed() -> None:
    with pytest.raises(AmbiguousAddress, match="could be any of"):
        meant("aa")
