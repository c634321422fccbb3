"""The functional core: what holds for every input there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from daft_coordinator.domain.cancel import CancelAction, Selection, action_for, matches, select
from daft_coordinator.domain.lifecycle import Ending, StopCause, classify, could_not_start
from daft_coordinator.domain.reconcile import (
    REQUEUE_WITHIN_S,
    ObservedJob,
    Verdict,
    judge,
    reconcile,
    why_skipped,
)
from daft_coordinator.domain.schedule import InvocationFacts, JobFacts, Snapshot, schedule
from daft_coordinator.domain.targets import KnownJob, resolve
from daft_coordinator.errors import AmbiguousAddress, JobNotFound
from daft_protocol.address import JobAddress
from daft_protocol.jobs import Job, JobSpec, RunMode
from daft_protocol.status import HAS_PROCESS, EndReason, JobStatus

NOW = datetime(2026, 3, 1, tzinfo=UTC)

# --- schedule ---------------------------------------------------------------------------------


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any moment, the impossible ones too: a store may hold what no scheduler would have made."""
    invocations = []
    for number in range(draw(st.integers(0, 3))):
        names = [f"{number}{letter}" for letter in "abcdef"[: draw(st.integers(1, 6))]]
        jobs = [
            JobFacts(
                uid=name,
                name=name,
                status=draw(st.sampled_from(JobStatus)),
                needs=tuple(
                    draw(st.lists(st.sampled_from(names[:place]), max_size=2, unique=True))
                    if place
                    else ()
                ),
                priority=draw(st.integers(-1, 1)),
                position=place,
                urgency=draw(st.sampled_from([0.0, 1.0, 5.0])),
                exclusive=draw(st.sampled_from([False, False, False, True])),
            )
            for place, name in enumerate(names)
        ]
        invocations.append(
            InvocationFacts(
                invocation_id=str(number),
                jobs=jobs,
                mode=draw(st.sampled_from(RunMode)),
                max_parallel=draw(st.sampled_from([None, 1, 2])),
            )
        )
    return Snapshot(invocations=invocations, workers=draw(st.integers(0, 4)))


def after(snapshot: Snapshot) -> Snapshot:
    """The moment after the decision on `snapshot` was carried out."""
    decision = schedule(snapshot)
    became = dict.fromkeys(decision.start, JobStatus.RUNNING)
    became.update((skip.uid, JobStatus.SKIPPED) for skip in decision.skip)
    return evolve(
        snapshot,
        invocations=[
            evolve(one, jobs=[evolve(j, status=became.get(j.uid, j.status)) for j in one.jobs])
            for one in snapshot.invocations
        ],
    )


@given(snapshot=snapshots())
def test_a_decision_that_was_carried_out_leaves_nothing_to_decide(snapshot: Snapshot) -> None:
    assert not schedule(after(snapshot))


@given(snapshot=snapshots())
def test_a_decision_speaks_of_queued_jobs_once(snapshot: Snapshot) -> None:
    decision = schedule(snapshot)
    named = [*decision.start, *(skip.uid for skip in decision.skip)]
    queued = {
        job.uid
        for one in snapshot.invocations
        for job in one.jobs
        if job.status is JobStatus.QUEUED
    }

    assert len(named) == len(set(named))
    assert set(named) <= queued
    assert schedule(snapshot) == decision


@given(snapshot=snapshots())
def test_no_limit_is_exceeded_by_a_start(snapshot: Snapshot) -> None:
    later = after(snapshot)
    active = [[job for job in one.jobs if job.status in HAS_PROCESS] for one in later.invocations]
    started = set(schedule(snapshot).start)

    assume(started)
    assert snapshot.workers == 0 or sum(map(len, active)) <= snapshot.workers
    for one, running in zip(later.invocations, active, strict=True):
        if started & {job.uid for job in running}:
            assert one.max_parallel is None or len(running) <= one.max_parallel
            assert one.mode is RunMode.PARALLEL or len(running) == 1
    exclusive = [job for running in active for job in running if job.exclusive]
    assert not exclusive or sum(map(len, active)) == 1


@given(snapshot=snapshots())
def test_a_skip_names_who_is_to_blame(snapshot: Snapshot) -> None:
    later = {job.name: job.status for one in after(snapshot).invocations for job in one.jobs}

    for skip in schedule(snapshot).skip:
        assert skip.culprit in skip.detail
        assert later[skip.culprit].is_final
        assert later[skip.culprit] is not JobStatus.COMPLETED


@given(snapshot=snapshots(), more=st.integers(1, 3))
def test_more_workers_never_start_less(snapshot: Snapshot, more: int) -> None:
    assume(snapshot.workers)
    assume(not any(job.exclusive for one in snapshot.invocations for job in one.jobs))
    few = schedule(snapshot)
    many = schedule(evolve(snapshot, workers=snapshot.workers + more))

    assert many.start[: len(few.start)] == few.start
    assert many.skip == few.skip


# --- lifecycle --------------------------------------------------------------------------------

exits = st.one_of(
    st.tuples(st.sampled_from([0, 1, 2, 126, 127, 255]), st.none()),
    st.tuples(st.none(), st.sampled_from([1, 2, 9, 15, 64])),
)


@given(how=exits, cause=st.none() | st.sampled_from(StopCause), timeout_s=st.floats(0.1, 1e6))
def test_an_ending_keeps_the_true_exit(
    how: tuple[int | None, int | None], cause: StopCause | None, timeout_s: float
) -> None:
    code, number = how
    ending = classify(exit_code=code, term_signal=number, cause=cause, timeout_s=timeout_s)

    assert ending.status.is_final
    assert (ending.exit_code, ending.term_signal) == how
    assert (ending.status is JobStatus.COMPLETED) == (code == 0 and cause is None)
    assert (ending.detail is None) == (ending.status is JobStatus.COMPLETED)
    if cause is not None:
        assert ending.status is not JobStatus.COMPLETED
        assert ending.reason not in (EndReason.EXIT, EndReason.SIGNAL)
    cancelled = cause in (StopCause.CANCEL, StopCause.SHUTDOWN)
    assert (ending.status is JobStatus.CANCELLED) == cancelled
    assert (ending.reason is EndReason.TIMEOUT) == (cause is StopCause.TIMEOUT)


@given(reason=st.text(min_size=1), code=st.sampled_from([126, 127]))
def test_what_could_not_start_failed_and_says_why(reason: str, code: int) -> None:
    assert could_not_start(reason, code) == Ending(
        status=JobStatus.FAILED, reason=EndReason.SPAWN_FAILED, exit_code=code, detail=reason
    )


# --- cancel -----------------------------------------------------------------------------------


@st.composite
def recorded(draw: st.DrawFn) -> Job:
    offset = draw(st.none() | st.integers(-7200, 7200))
    return Job(
        uid=draw(st.sampled_from("uvwxyz")),
        invocation_id=draw(st.sampled_from(["ab" * 8, "abcd" * 4, "ff" * 8])),
        hook_type=draw(st.sampled_from(["post-create", "pre-remove"])),
        worktree=draw(st.sampled_from(["main", "feat/x"])),
        position=0,
        spec=JobSpec(name=draw(st.sampled_from(["build", "test"])), tags=draw(tags)),
        status=draw(st.sampled_from(JobStatus)),
        updated_at=NOW,
        started_at=None if offset is None else NOW + timedelta(seconds=offset),
    )


tags = st.sets(st.sampled_from(["slow", "net"])).map(tuple)
PREDICATES: dict[str, st.SearchStrategy[Any]] = {
    "job_uids": st.sets(st.sampled_from("uvwxyz")),
    "job_name": st.sampled_from(["build", "test"]),
    "worktree": st.sampled_from(["main", "feat/x"]),
    "hook_type": st.sampled_from(["post-create", "pre-remove"]),
    "tag": st.sampled_from(["slow", "net"]),
    "invocation": st.sampled_from(["", "ab", "AB", "abcd", "ff" * 8, "0"]),
    "older_than_s": st.integers(0, 7200),
}
predicates = st.fixed_dictionaries({}, optional=PREDICATES)


@given(job=recorded(), chosen=predicates)
def test_predicates_narrow_and_only_together_decide(job: Job, chosen: dict[str, Any]) -> None:
    alone = [matches(job, Selection(**{name: value}), now=NOW) for name, value in chosen.items()]

    assert matches(job, Selection(), now=NOW)
    assert matches(job, Selection(**chosen), now=NOW) == all(alone)


@given(job=recorded(), chosen=predicates)
def test_each_predicate_asks_for_its_own_field(job: Job, chosen: dict[str, Any]) -> None:
    fits = {
        "job_uids": lambda uids: job.uid in uids,
        "job_name": lambda name: job.spec.name == name,
        "worktree": lambda label: job.worktree == label,
        "hook_type": lambda hook: job.hook_type == hook,
        "tag": lambda tag: tag in job.spec.tags,
        "invocation": lambda prefix: job.invocation_id[: len(prefix)] == prefix.lower(),
        "older_than_s": lambda age: (
            job.started_at is not None and job.started_at + timedelta(seconds=age) <= NOW
        ),
    }

    for name, value in chosen.items():
        assert matches(job, Selection(**{name: value}), now=NOW) == fits[name](value)


@given(jobs=st.lists(recorded(), max_size=8), chosen=predicates)
def test_a_selection_keeps_order_and_adds_nothing(jobs: list[Job], chosen: dict[str, Any]) -> None:
    found = select(jobs, Selection(**chosen), now=NOW)

    assert list(found) == [job for job in jobs if job in found]
    assert select(found, Selection(**chosen), now=NOW) == found


@given(job=recorded(), age=st.integers(0, 7200))
def test_a_start_in_the_future_has_no_age(job: Job, age: int) -> None:
    if job.started_at is None or job.started_at > NOW:
        assert not matches(job, Selection(older_than_s=age), now=NOW)


@given(status=st.sampled_from(JobStatus), kill=st.booleans())
def test_a_cancel_does_something_to_the_unfinished_alone(status: JobStatus, kill: bool) -> None:
    action = action_for(status, kill=kill)

    assert (action is CancelAction.NOTHING) == status.is_final
    assert (action in (CancelAction.STOP, CancelAction.KILL)) == (status in HAS_PROCESS)
    assert action is CancelAction.KILL or status is not JobStatus.CANCELLING


# --- reconcile --------------------------------------------------------------------------------

observations = st.builds(
    ObservedJob,
    uid=st.uuids().map(str),
    status=st.sampled_from(JobStatus),
    owner_alive=st.sampled_from([True, False, False, None]),
    group_alive=st.booleans(),
    has_ending=st.booleans(),
    restartable=st.booleans(),
    missing_env=st.sampled_from([(), ("TOKEN",)]),
    waited_s=st.floats(0, 2 * REQUEUE_WITHIN_S),
)


def repaired(job: ObservedJob, verdict: Verdict) -> ObservedJob:
    """The same job once the verdict was carried out, as the next pass sees it."""
    match verdict:
        case Verdict.LEAVE:
            return job
        case Verdict.REPAIR:
            return evolve(job, status=JobStatus.COMPLETED)
        case Verdict.FINISH_CANCEL:
            return evolve(job, status=JobStatus.CANCELLED)
        case Verdict.CRASH:
            return evolve(job, status=JobStatus.CRASHED)
        case Verdict.STOP_ORPHAN:
            return evolve(job, group_alive=False)
        case Verdict.REQUEUE:
            return evolve(job, owner_alive=True)
        case Verdict.SKIP:
            return evolve(job, status=JobStatus.SKIPPED)
        case _:  # whatever else a verdict may say hands the job to a living owner
            return evolve(job, owner_alive=True)


@given(jobs=st.lists(observations, max_size=6))
def test_repairing_twice_changes_nothing_more(jobs: list[ObservedJob]) -> None:
    """Orphans take two passes: one stops them, one records it. Then all is well for good."""
    for _ in range(2):
        verdicts = reconcile(jobs)
        jobs = [repaired(job, verdicts.get(job.uid, Verdict.LEAVE)) for job in jobs]

    assert reconcile(jobs) == {}


@given(job=observations)
def test_a_living_owner_is_never_overruled(job: ObservedJob) -> None:
    for alive in (True, None):
        assert judge(evolve(job, owner_alive=alive)) is Verdict.LEAVE


@given(job=observations)
def test_nothing_with_a_dead_owner_stays_open(job: ObservedJob) -> None:
    dead = evolve(job, owner_alive=False)

    assert (judge(dead) is Verdict.LEAVE) == job.status.is_final


@given(job=observations, shorter=st.floats(0, REQUEUE_WITHIN_S))
def test_waiting_longer_never_makes_a_job_startable(job: ObservedJob, shorter: float) -> None:
    assume(shorter <= job.waited_s)
    job = evolve(job, status=JobStatus.QUEUED, owner_alive=False)
    if judge(job) is Verdict.REQUEUE:
        assert job.waited_s <= REQUEUE_WITHIN_S
        assert judge(evolve(job, waited_s=shorter)) is Verdict.REQUEUE


@given(job=observations)
def test_a_skip_says_why(job: ObservedJob) -> None:
    job = evolve(job, status=JobStatus.QUEUED, owner_alive=False)
    if judge(job) is Verdict.SKIP:
        why = why_skipped(job)
        assert all(name in why for name in job.missing_env)
        assert ("waited" in why) == (job.restartable and not job.missing_env)


# --- targets ----------------------------------------------------------------------------------

NAMES = ("build", "test", "a:b", "x@y", "ab")
TREES = ("main", "feat/x", "build")


@st.composite
def histories(draw: st.DrawFn) -> list[KnownJob]:
    known: list[KnownJob] = []
    for number in range(draw(st.integers(1, 5))):
        invocation = (
            draw(st.sampled_from(["ab", "abcd", "cd", "f0"])).ljust(15, "0") + f"{number:x}"
        )
        tree = draw(st.sampled_from(TREES))
        for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
            known.append(
                KnownJob(
                    uid=f"{number}/{name}",
                    name=name,
                    invocation_id=invocation,
                    worktree=tree,
                    order=number,
                )
            )
    return known


@given(known=histories(), data=st.data())
def test_every_job_has_an_address_that_means_it(known: list[KnownJob], data: Any) -> None:
    """The full one, from flags: worktree, whole invocation, name."""
    job = data.draw(st.sampled_from(known))

    target = resolve("", known, worktree=job.worktree, invocation=job.invocation_id, job=job.name)

    assert target.job_uid == job.uid


@given(known=histories(), data=st.data())
def test_what_an_answer_calls_a_job_means_that_job(known: list[KnownJob], data: Any) -> None:
    """The text of a target can be given back, unless a longer prefix is needed to tell."""
    job = data.draw(st.sampled_from(known))
    target = resolve("", known, worktree=job.worktree, invocation=job.invocation_id, job=job.name)

    try:
        again = resolve(str(target), known)
    except AmbiguousAddress:
        alike = [one for one in known if one.invocation_id[:8] == job.invocation_id[:8]]
        assert len({one.invocation_id for one in alike}) > 1
    else:
        assert again.job_name == job.name


@given(known=histories(), text=st.text(alphabet="abcdf0:@/x", max_size=8))
def test_an_address_means_something_recorded_or_is_refused(
    known: list[KnownJob], text: str
) -> None:
    uids = {job.uid for job in known}
    try:
        target = resolve(text, known, current_worktree="main")
    except (JobNotFound, AmbiguousAddress):
        return

    assert target.job_uid is None or target.job_uid in uids
    assert target.invocation_id in {job.invocation_id for job in known}


@given(known=histories(), data=st.data())
def test_a_name_means_its_newest_run_here(known: list[KnownJob], data: Any) -> None:
    name = data.draw(st.sampled_from(sorted({job.name for job in known})))
    here = data.draw(st.sampled_from(TREES))
    runs = [job for job in known if job.name == name and job.worktree == here]
    assume(runs)

    newest = max(runs, key=lambda job: job.order).uid
    assert resolve("", known, current_worktree=here, job=name).job_uid == newest
    assert resolve("", known, current_worktree="nowhere", worktree=here, job=name).job_uid == newest


def test_the_full_text_of_an_address_names_all_its_parts() -> None:
    address = JobAddress(worktree="feat/x", invocation="abcd", job="build")

    with pytest.raises(JobNotFound, match="nothing recorded fits"):
        resolve(str(address), [])
