"""What a held invocation leaves out never changes a decision."""

from __future__ import annotations

from datetime import UTC, datetime

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from daft_coordinator.domain.schedule import Decision, InvocationFacts, JobFacts, Snapshot, schedule
from daft_coordinator.held import HeldInvocation
from daft_protocol.jobs import Job, JobSpec, RunMode
from daft_protocol.status import JobStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FINAL = [status for status in JobStatus if status.is_final]


@st.composite
def graphs(draw: st.DrawFn) -> list[Job]:
    mode = draw(st.sampled_from(list(RunMode)))
    jobs: list[Job] = []
    for number in range(draw(st.integers(1, 9))):
        earlier = [job.name for job in jobs]
        some = st.lists(st.sampled_from(earlier), unique=True) if earlier else st.just([])
        jobs.append(
            Job(
                uid=f"{number:032x}",
                invocation_id="0" * 16,
                hook_type="h",
                worktree="main",
                position=number,
                spec=JobSpec(name=f"j{number}", command=":", needs=draw(some), after=draw(some)),
                status=draw(st.sampled_from([JobStatus.QUEUED] * 4 + FINAL)),
                updated_at=NOW,
                owner="me",
                dir_name=f"j{number}",
                mode=mode,
            )
        )
    return jobs


def decide_on_all(jobs: list[Job]) -> Decision:
    """Return the decision of a look at every job, whatever its state."""
    facts = [
        JobFacts(
            uid=job.uid,
            name=job.name,
            status=job.status,
            needs=job.spec.needs,
            after=job.spec.after,
            position=job.position,
        )
        for job in jobs
    ]
    whole = InvocationFacts(invocation_id="0" * 16, jobs=facts, mode=jobs[0].mode)
    return schedule(Snapshot(invocations=[whole], workers=3))


@settings(deadline=None)
@given(jobs=graphs(), data=st.data())
def test_what_is_left_out_decides_nothing(jobs: list[Job], data: st.DataObject) -> None:
    held = HeldInvocation("0" * 16, owner="me")
    held.take(jobs, {})

    for _ in range(len(jobs) + 1):
        decision = schedule(Snapshot(invocations=[held.facts()], workers=3))
        expected = decide_on_all(jobs)
        assert set(decision.start) == set(expected.start)
        assert {skip.uid for skip in decision.skip} == {skip.uid for skip in expected.skip}
        open_jobs = [job for job in jobs if not job.status.is_final]
        if not open_jobs:
            break
        changed = evolve(
            data.draw(st.sampled_from(open_jobs)),
            status=data.draw(st.sampled_from([JobStatus.RUNNING, JobStatus.CANCELLING, *FINAL])),
        )
        jobs = [changed if job.uid == changed.uid else job for job in jobs]
        held.replace(changed)
