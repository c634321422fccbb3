"""The functional core: properties that hold for every graph and every moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daft_coordinator.domain import graph
from daft_coordinator.domain.cancel import CancelAction, Selection, action_for, select
from daft_coordinator.domain.lifecycle import StopCause, classify
from daft_coordinator.domain.reconcile import ObservedJob, Verdict, judge, reconcile
from daft_coordinator.domain.schedule import InvocationFacts, JobFacts, Snapshot, schedule
from daft_coordinator.domain.targets import KnownJob, resolve
from daft_coordinator.errors import (
    AmbiguousAddress,
    DependencyCycle,
    DuplicateJob,
    JobNotFound,
    UnknownDependency,
)
from daft_protocol.jobs import Job, JobSpec, RunMode
from daft_protocol.status import UNFINISHED, EndReason, JobStatus


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """A sound graph: each job needs only earlier ones."""
    count = draw(st.integers(1, 12))
    needs: dict[str, tuple[str, ...]] = {}
    for number in range(count):
        earlier = [f"j{n}" for n in range(number)]
        needs[f"j{number}"] = tuple(
            draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else ()
        )
    return needs


def facts(
    needs: dict[str, tuple[str, ...]], statuses: dict[str, JobStatus], **other: Any
) -> InvocationFacts:
    jobs = [
        JobFacts(uid=name, name=name, status=statuses[name], needs=wanted, position=place)
        for place, (name, wanted) in enumerate(needs.items())
    ]
    return InvocationFacts(invocation_id="i", jobs=jobs, **other)


@settings(max_examples=200)
@given(
    needs=graphs(),
    workers=st.integers(0, 4),
    mode=st.sampled_from(RunMode),
    endings=st.lists(st.sampled_from([JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED])),
    pick=st.randoms(use_true_random=False),
)
def test_any_graph_runs_to_its_end_by_the_rules(
    needs: dict[str, tuple[str, ...]],
    workers: int,
    mode: RunMode,
    endings: list[JobStatus],
    pick: Any,
) -> None:
    statuses = dict.fromkeys(needs, JobStatus.QUEUED)
    started: list[str] = []
    while any(status in UNFINISHED for status in statuses.values()):
        decision = schedule(
            Snapshot(invocations=[facts(needs, statuses, mode=mode)], workers=workers)
        )
        for skip in decision.skip:
            assert statuses[skip.uid] is JobStatus.QUEUED
            assert skip.uid not in started
            statuses[skip.uid] = JobStatus.SKIPPED
        for uid in decision.start:
            assert uid not in started, "nothing starts twice"
            assert all(statuses[name] is JobStatus.COMPLETED for name in needs[uid])
            started.append(uid)
            statuses[uid] = JobStatus.RUNNING
        running = [name for name, status in statuses.items() if status is JobStatus.RUNNING]
        assert workers == 0 or len(running) <= workers
        assert mode is RunMode.PARALLEL or len(running) <= 1
        if running:
            statuses[pick.choice(running)] = endings.pop() if endings else JobStatus.COMPLETED
        else:
            assert decision or not any(s is JobStatus.QUEUED for s in statuses.values()), "stuck"
    for name, wanted in needs.items():
        if any(statuses[one] is not JobStatus.COMPLETED for one in wanted):
            assert statuses[name] is JobStatus.SKIPPED


@given(needs=graphs())
def test_a_topological_order_has_everything_behind_its_needs(
    needs: dict[str, tuple[str, ...]],
) -> None:
    names = list(needs)
    order = graph.topological(names, needs)

    assert sorted(order) == sorted(names)
    assert all(order.index(w) < order.index(name) for name in names for w in needs[name])
    assert graph.find_cycle(names, needs) == ()


@given(needs=graphs(), data=st.data())
def test_a_closed_circle_is_found_whatever_else_there_is(
    needs: dict[str, tuple[str, ...]], data: st.DataObject
) -> None:
    first = data.draw(st.sampled_from(list(needs)))
    needs = {**needs, first: (*needs[first], "last"), "last": (first,)}

    with pytest.raises(DependencyCycle) as caught:
        graph.check(list(needs), needs)

    circle = caught.value.cycle
    assert circle[0] == circle[-1]
    assert all(after in needs[before] for before, after in zip(circle, circle[1:], strict=False))


def test_what_nobody_could_run_is_refused() -> None:
    with pytest.raises(DuplicateJob, match="two jobs are called 'a'"):
        graph.check(["a", "a"], {})
    with pytest.raises(UnknownDependency, match="'a' needs 'zz'"):
        graph.check(["a", "b"], {"a": ("zz",)})
    graph.check(["a"], {"a": ("before",)}, known={"before"})
    chain = [f"j{n}" for n in range(20_000)]
    assert graph.find_cycle(chain, dict(zip(chain, [(n,) for n in chain[1:]], strict=False))) == ()


def test_a_fast_chain_does_not_wait_for_a_slow_sibling() -> None:
    needs = {"slow": (), "b": (), "c": ("b",)}
    statuses = {"slow": JobStatus.RUNNING, "b": JobStatus.COMPLETED, "c": JobStatus.QUEUED}

    assert schedule(Snapshot(invocations=[facts(needs, statuses)], workers=2)).start == ("c",)


def test_the_longest_known_path_goes_first_then_priority_then_declaration() -> None:
    def one(name: str, place: int, urgency: float = 0, priority: int = 0) -> JobFacts:
        return JobFacts(
            uid=name, name=name, status=JobStatus.QUEUED, position=place, urgency=urgency,
            priority=priority,
        )  # fmt: skip

    jobs = [one("a", 0), one("b", 1), one("low", 2, priority=-1), one("long", 3, urgency=9)]
    snapshot = Snapshot(invocations=[InvocationFacts(invocation_id="i", jobs=jobs)], workers=0)

    assert schedule(snapshot).start == ("long", "low", "a", "b")
    assert graph.remaining_path(["a", "b", "c"], {"b": ("a",)}, {"a": 1.0, "b": 5.0, "c": 3.0}) == {
        "a": 6.0,
        "b": 5.0,
        "c": 3.0,
    }


@pytest.mark.parametrize(
    ("ended", "starts"),
    [
        (JobStatus.QUEUED, False),
        (JobStatus.RUNNING, False),
        (JobStatus.CANCELLING, False),
        (JobStatus.COMPLETED, True),
        (JobStatus.FAILED, True),
        (JobStatus.SKIPPED, True),
    ],
)
def test_what_comes_after_another_starts_however_that_ended(ended: JobStatus, starts: bool) -> None:
    first = JobFacts(uid="first", name="first", status=ended, needs=("never",))
    second = JobFacts(uid="second", name="second", status=JobStatus.QUEUED, after=("first", "x"))
    invocation = InvocationFacts(invocation_id="i", jobs=[first, second])

    found = schedule(Snapshot(invocations=[invocation], workers=0))

    assert ("second" in found.start) is starts
    assert found.skip == ()


def test_workers_are_shared_between_invocations() -> None:
    def invocation(name: str) -> InvocationFacts:
        jobs = [
            JobFacts(uid=f"{name}{n}", name=f"{n}", status=JobStatus.QUEUED, position=n)
            for n in range(5)
        ]
        return InvocationFacts(invocation_id=name, jobs=jobs)

    snapshot = Snapshot(invocations=[invocation("a"), invocation("b")], workers=4)

    assert schedule(snapshot).start == ("a0", "b0", "a1", "b1")


def test_a_job_with_the_terminal_runs_alone() -> None:
    jobs = [
        JobFacts(uid="t", name="t", status=JobStatus.QUEUED, exclusive=True),
        JobFacts(uid="o", name="o", status=JobStatus.QUEUED, position=1),
    ]
    snapshot = Snapshot(invocations=[InvocationFacts(invocation_id="i", jobs=jobs)], workers=4)

    assert schedule(snapshot).start == ("t",)


# --- ends and cancels -------------------------------------------------------------------------


def test_an_end_is_recorded_as_what_it_was() -> None:
    assert classify(exit_code=0, term_signal=None).status is JobStatus.COMPLETED
    assert classify(exit_code=3, term_signal=None).reason is EndReason.EXIT
    killed = classify(exit_code=None, term_signal=9, signal_name="SIGKILL")
    assert (killed.status, killed.detail) == (JobStatus.FAILED, "killed by SIGKILL")
    timed_out = classify(exit_code=None, term_signal=15, cause=StopCause.TIMEOUT, timeout_s=3)
    assert (timed_out.status, timed_out.reason) == (JobStatus.FAILED, EndReason.TIMEOUT)
    polite = classify(exit_code=0, term_signal=None, cause=StopCause.CANCEL)
    assert (polite.status, polite.exit_code) == (JobStatus.CANCELLED, 0)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def recorded(name: str, status: JobStatus = JobStatus.RUNNING, **other: Any) -> Job:
    given = {"hook_type": "h", "worktree": "w", "invocation_id": "ab" * 8, **other}
    spec = JobSpec(name=name, tags=("t",))
    return Job(uid=name, position=0, spec=spec, status=status, updated_at=NOW, **given)


def test_a_cancel_means_what_fits_every_predicate() -> None:
    old = recorded("old", started_at=NOW - timedelta(hours=1))
    new = recorded("new", started_at=NOW, worktree="v")
    future = recorded("future", started_at=NOW + timedelta(hours=1))
    jobs = [old, new, future]

    def names(**predicates: Any) -> list[str]:
        return [job.name for job in select(jobs, Selection(**predicates), now=NOW)]

    assert names() == ["old", "new", "future"]
    assert names(older_than_s=60) == ["old"]
    assert names(worktree="w", older_than_s=0) == ["old"]
    assert names(invocation="AB", job_name="new") == ["new"]
    assert names(invocation="ff") == []
    assert names(tag="other") == []
    assert names(hook_type=old.hook_type) == ["old", "new", "future"]
    assert names(hook_type="another") == []
    assert names(job_uids={"new", "old"}, worktree="v") == ["new"]


def test_asking_again_escalates() -> None:
    assert action_for(JobStatus.QUEUED) is CancelAction.DEQUEUE
    assert action_for(JobStatus.RUNNING) is CancelAction.STOP
    assert action_for(JobStatus.CANCELLING) is CancelAction.KILL
    assert action_for(JobStatus.COMPLETED) is CancelAction.NOTHING


# --- reconciling ------------------------------------------------------------------------------

observations = st.builds(
    ObservedJob,
    uid=st.just("u"),
    status=st.sampled_from(JobStatus),
    owner_alive=st.sampled_from([True, False, None]),
    group_alive=st.booleans(),
    has_ending=st.booleans(),
    restartable=st.booleans(),
    missing_env=st.sampled_from([(), ("TOKEN",)]),
    waited_s=st.floats(0, 10_000),
)


@given(job=observations)
def test_a_living_owner_or_an_ended_job_is_never_overruled(job: ObservedJob) -> None:
    if job.owner_alive is not False or job.status.is_final:
        assert judge(job) is Verdict.LEAVE
        assert reconcile([job]) == {}


@given(job=observations)
def test_only_what_never_started_is_started_again(job: ObservedJob) -> None:
    verdict = judge(job)

    if verdict is Verdict.REQUEUE:
        assert job.status is JobStatus.QUEUED
        assert not job.missing_env
    if verdict in (Verdict.REPAIR, Verdict.CRASH, Verdict.FINISH_CANCEL):
        assert not job.group_alive


def test_a_job_whose_owner_and_processes_are_gone_is_marked_crashed() -> None:
    job = ObservedJob(uid="u", status=JobStatus.RUNNING, owner_alive=False)

    assert reconcile([job]) == {"u": Verdict.CRASH}


# --- addresses --------------------------------------------------------------------------------

KNOWN = [
    KnownJob(uid="1", name="build", invocation_id="c9d4" + "0" * 12, worktree="feat/x", order=1),
    KnownJob(uid="2", name="db", invocation_id="c9d4" + "0" * 12, worktree="feat/x", order=1),
    KnownJob(uid="3", name="build", invocation_id="dbdb" + "0" * 12, worktree="main", order=2),
    KnownJob(uid="4", name="a:b", invocation_id="dbdb" + "0" * 12, worktree="main", order=2),
    KnownJob(uid="5", name="build", invocation_id="eeee" + "0" * 12, worktree="main", order=3),
]


@pytest.mark.parametrize(
    ("text", "uid"),
    [
        ("build", "5"), ("a:b", "4"), ("db", "2"), ("feat/x:build", "1"), ("c9d4:db", "2"),
        ("feat/x@c9d4/build", "1"), ("main:dbdb:a:b", "4"), ("eeee", "5"), ("dbdb:build", "3"),
    ],
)  # fmt: skip
def test_an_address_means_what_exists(text: str, uid: str) -> None:
    assert (
        resolve(text, KNOWN, current_worktree="feat/x" if text == "db" else "main").job_uid == uid
    )


def test_an_invocation_of_several_jobs_stands_for_all() -> None:
    for text in ("feat/x:c9d4", "feat/x:"):
        target = resolve(text, KNOWN, current_worktree="main")

        assert target.job_uid is None
        assert target.invocation_id.startswith("c9d4")


def test_an_address_of_nothing_and_one_of_several_are_told() -> None:
    with pytest.raises(JobNotFound, match="nothing recorded fits"):
        resolve("zzz", KNOWN)
    twin = KnownJob(uid="6", name="x", invocation_id="c9d5" + "0" * 12, worktree="w", order=4)
    with pytest.raises(AmbiguousAddress, match="could be any of"):
        resolve("c9", [*KNOWN, twin])


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        ("c9d4:nope", {}, "c9d4"),
        ("nope", {"invocation": "c9d4"}, "c9d4"),
        ("feat/x:nope", {}, "feat/x has other jobs"),
        ("nope", {"worktree": "feat/x"}, "feat/x has other jobs"),
        ("nope", {"worktree": "gone"}, "nothing recorded fits"),
    ],
)
def test_an_address_that_leads_nowhere_says_how_far_it_led(
    text: str, flags: dict[str, str], said: str
) -> None:
    with pytest.raises(JobNotFound, match=said) as raised:
        resolve(text, KNOWN, **flags)

    assert raised.value.candidates


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("feat/x:build", {"worktree": "main"}),
        ("build", {"job": "db"}),
        ("c9d4", {"invocation": "a1b2"}),
        ("cafe", {"invocation": "c9d4"}),
        ("c9d4:db", {"invocation": "a1b2"}),
    ],
)
def test_an_address_never_means_what_only_the_options_beside_it_mean(
    text: str, flags: dict[str, str]
) -> None:
    with pytest.raises(JobNotFound):
        resolve(text, KNOWN, current_worktree="main", **flags)


def test_an_address_and_options_that_agree_narrow_each_other() -> None:
    by_both = resolve("c9", KNOWN, invocation="c9d4", job="db")

    assert by_both == resolve("db", KNOWN, invocation="c9d4")
    assert by_both.invocation_id.startswith("c9d4")
    assert by_both.job_name == "db"
    with pytest.raises(JobNotFound, match=r"it means feat/x@c9d4.*, and the options"):
        resolve("feat/x:db", KNOWN, worktree="main")
