"""Jobs that wait for jobs: nobody starves, and the depth has a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from daft_coordinator.environment import inheritable, job_environment
from daft_coordinator.errors import NestedTooDeep
from daft_coordinator.nesting import (
    DEPTH,
    MAX_DEPTH,
    Loan,
    cannot_end_before,
    check_depth,
    depth_of,
)
from daft_coordinator.testing import NEVER, VirtualWorld, a_job, an_invocation
from daft_protocol.status import JobStatus

Make = Callable[..., Any]


@pytest.mark.fault("F-22", "it")
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_jobs_that_wait_for_nested_jobs_do_not_starve_them(
    world: VirtualWorld, fire: Make, job: Make, depth: int
) -> None:
    """One worker, and each job waits for one that was submitted by it."""
    coordinator = world.coordinator(workers=1)
    outer = [
        fire(job(f"outer {n}", world.script(f"outer {n}", lasts_s=NEVER))) for n in range(depth)
    ]
    inner = fire(job("inner", world.script("inner", lasts_s=1)))
    loans = []
    for spec in outer:
        (made,) = coordinator.submit(spec)
        world.run(1)
        loans.append(Loan(coordinator.loans, made.uid))
    coordinator.submit(inner)

    (done,) = coordinator.wait(inner.invocation_id)

    assert done.status is JobStatus.COMPLETED
    assert done.finished_at is not None
    assert done.queued_at is not None
    assert (done.finished_at - done.queued_at).total_seconds() == 1
    for loan in loans:
        loan.end()
        loan.end()


def test_a_worker_is_lent_only_while_its_job_waits(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    coordinator = world.coordinator(workers=1)
    world.script("long", lasts_s=10)
    first, second = fire(job("a", "long")), fire(job("b", "long"))
    (made,) = coordinator.submit(first)
    coordinator.submit(second)
    world.run(1)
    assert [command for command, _ in world.host.started] == ["long"]

    twice = [Loan(coordinator.loans, made.uid) for _ in range(2)]
    twice[0].end()
    world.run(1)
    assert len(world.host.started) == 2, "it still waits for something"
    twice[1].end()
    Loan(coordinator.loans, "nobody here")
    coordinator.submit(fire(job("c", "long")))
    world.run(1)
    assert len(world.host.started) == 2, "two run already, and nobody waits"


def test_nobody_waits_for_what_cannot_end_before_them() -> None:
    fire = an_invocation()
    waiter = a_job(fire, "a")
    direct = a_job(fire, "b", spec_needs=("a",))
    further = a_job(fire, "c", spec_needs=("b", "d"))
    beside = a_job(fire, "d")

    found = cannot_end_before(waiter, [further, waiter, beside, direct])

    assert found == {waiter.uid, direct.uid, further.uid}


def test_each_job_is_one_deeper_than_who_submitted_it() -> None:
    job = a_job(an_invocation())

    outer = job_environment(inheritable({}), job, secrets={}, log_path=None)
    inner = job_environment(inheritable(outer), job, secrets={}, log_path=None)

    assert (depth_of({}), depth_of(outer), depth_of(inner)) == (0, 1, 2)
    assert depth_of({DEPTH: "many"}) == depth_of({DEPTH: "9" * 5000}) == 0


@pytest.mark.fault("F-22", "it")
def test_what_fires_itself_is_stopped_before_anything_is_recorded(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    coordinator = world.coordinator()
    spec = fire(job("a"))
    check_depth({DEPTH: str(MAX_DEPTH - 1)})

    with pytest.raises(NestedTooDeep, match="inside of 8 jobs"):
        coordinator.submit(spec, environment={DEPTH: str(MAX_DEPTH)})

    assert coordinator.store.invocation(spec.invocation_id) is None
