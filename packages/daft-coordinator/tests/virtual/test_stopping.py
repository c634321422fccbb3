"""How jobs end, told exactly: every second of a grace is a virtual one."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from daft_coordinator import Coordinator, Selection, StopPolicy
from daft_coordinator.domain.cancel import Manner
from daft_coordinator.testing import NEVER, Child, NothingWillHappen, Says, Script, VirtualWorld
from daft_protocol.jobs import Job
from daft_protocol.status import EndReason, JobStatus

Make = Callable[..., Any]
POLICY = StopPolicy(grace_s=5, drain_s=2, give_up_s=2)


def run(world: VirtualWorld, fire: Make, *jobs: Any, **options: Any) -> dict[str, Job]:
    coordinator = world.coordinator(stop=POLICY, **options)
    spec = fire(*jobs)
    coordinator.submit(spec)
    return {job.name: job for job in coordinator.wait(spec.invocation_id)}


def sent(world: VirtualWorld) -> list[tuple[str, float]]:
    return [(signal.Signals(one.signal).name, one.at) for one in world.host.sent]


@pytest.mark.parametrize("watches", [True, False])
def test_an_end_is_seen_with_and_without_descriptors_for_it(
    world: VirtualWorld, fire: Make, job: Make, watches: bool
) -> None:
    world.script("bad", lasts_s=10, exit_code=3)

    done = run(world, fire, job("quick", "ok"), job("bad", "bad"), watches=watches)

    assert done["quick"].status is JobStatus.COMPLETED
    assert done["bad"].exit_code == 3
    assert 10_000 <= (done["bad"].duration_ms or 0) < 10_100


@pytest.mark.parametrize("watches", [True, False])
def test_a_leftover_that_ends_by_itself_is_not_waited_for_any_longer(
    world: VirtualWorld, fire: Make, job: Make, watches: bool
) -> None:
    left = Child(script=Script(lasts_s=0.5), holds_pipes=False)
    world.script("leaves", children=(left,))

    done = run(world, fire, job("a", "leaves"), watches=watches)

    assert 500 <= (done["a"].duration_ms or 0) < 600
    assert sent(world) == []


@pytest.mark.fault("F-15", "group")
def test_a_leftover_that_stays_is_stopped_after_the_drain(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    stubborn = Child(script=Script(lasts_s=NEVER, ignores_term=True))
    world.script("leaves", lasts_s=1, children=(stubborn,))

    done = run(world, fire, job("a", "leaves"))

    assert done["a"].status is JobStatus.COMPLETED
    assert sent(world) == [("SIGTERM", 3), ("SIGCONT", 3), ("SIGKILL", 8)]
    assert world.clock.monotonic() == 8


def test_a_willing_job_ends_with_its_time(world: VirtualWorld, fire: Make, job: Make) -> None:
    world.script("willing", lasts_s=NEVER, term_takes_s=1, term_exit_code=7)

    done = run(world, fire, job("a", "willing", timeout_s=60))

    assert (done["a"].status, done["a"].end_reason) == (JobStatus.FAILED, EndReason.TIMEOUT)
    assert (done["a"].exit_code, done["a"].term_signal) == (7, None)
    assert done["a"].duration_ms == 61_000
    assert sent(world) == [("SIGTERM", 60), ("SIGCONT", 60)]


@pytest.mark.fault("F-21", "deaf")
def test_an_unwilling_job_is_killed_after_the_grace(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    world.script("stubborn", lasts_s=NEVER, ignores_term=True)

    done = run(world, fire, job("a", "stubborn", timeout_s=60))

    assert done["a"].term_signal == signal.SIGKILL
    assert sent(world) == [("SIGTERM", 60), ("SIGCONT", 60), ("SIGKILL", 65)]


@pytest.mark.parametrize(("grace_s", "killed_at"), [(0, 60), (20, 80), (None, 65)])
def test_a_job_may_ask_for_the_time_it_needs_to_end(
    world: VirtualWorld, fire: Make, job: Make, grace_s: float | None, killed_at: int
) -> None:
    world.script("stubborn", lasts_s=NEVER, ignores_term=True)

    run(world, fire, job("a", "stubborn", timeout_s=60, grace_s=grace_s))

    assert sent(world)[-1] == ("SIGKILL", killed_at)


def test_what_a_cancel_says_comes_before_what_a_job_asks_for(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    world.script("stubborn", lasts_s=NEVER, ignores_term=True)
    coordinator = world.coordinator(stop=POLICY)
    spec = fire(job("a", "stubborn", timeout_s=None, grace_s=60))
    coordinator.submit(spec)
    world.run(1)

    coordinator.cancel(Selection(job_name="a"), manner=Manner(grace_s=2))
    coordinator.wait(spec.invocation_id)

    assert sent(world)[-1] == ("SIGKILL", 3)


@pytest.mark.fault("F-21", "stopped")
def test_a_stopped_job_is_continued_so_that_it_can_end(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    world.script("stops", lasts_s=NEVER, stops_after_s=1)

    done = run(world, fire, job("a", "stops", timeout_s=60))

    assert done["a"].term_signal == signal.SIGTERM
    assert sent(world)[:2] == [("SIGTERM", 60), ("SIGCONT", 60)]


def test_a_job_that_hangs_in_the_kernel_keeps_its_owner(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    world.script("hangs", lasts_s=120, ignores_kill=True)
    coordinator = world.coordinator(stop=POLICY)
    spec = fire(job("a", "hangs", timeout_s=60))
    coordinator.submit(spec)

    world.run(70)
    assert not coordinator.is_idle
    (done,) = coordinator.wait(spec.invocation_id)

    assert (done.status, done.end_reason) == (JobStatus.FAILED, EndReason.TIMEOUT)
    assert done.duration_ms == 120_000


@pytest.mark.fault("F-15", "escaped")
def test_who_escapes_is_stopped_with_the_job_on_a_cancel(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    escaped = Child(leaves_group=True, forks_twice=True)
    world.script("leaks", lasts_s=NEVER, children=(escaped,))
    coordinator = world.coordinator(stop=POLICY)
    spec = fire(job("a", "leaks"))
    coordinator.submit(spec)
    world.run(1)

    coordinator.cancel(Selection(job_name="a"))
    (done,) = coordinator.wait(spec.invocation_id)
    world.run(10)

    assert done.status is JobStatus.CANCELLED
    assert [process for process in world.host.living() if process.mark == done.uid] == []


@pytest.mark.fault("F-15", "escaped")
def test_a_daemon_that_closed_the_pipes_is_left_alone_on_a_normal_end(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    daemon = Child(leaves_group=True, forks_twice=True, holds_pipes=False)
    world.script("starts a daemon", lasts_s=1, children=(daemon,))

    done = run(world, fire, job("a", "starts a daemon"))
    world.run(100)

    assert done["a"].duration_ms == 1000
    assert sent(world) == []
    assert [one for one in world.host.living() if one.mark == done["a"].uid] != []


def test_more_output_than_a_pipe_holds_is_read_before_the_end(
    world: VirtualWorld, fire: Make, job: Make, tmp_path: Any
) -> None:
    from daft_coordinator.adapters.memory import MemoryJobStore
    from daft_coordinator.logreader import read_log

    store = MemoryJobStore(str(tmp_path))
    world.script("talks", lasts_s=1, says=(Says(b"a line\n" * 100_000),))
    coordinator = world.coordinator(store)
    spec = fire(job("a", "talks"))
    coordinator.submit(spec)

    (done,) = coordinator.wait(spec.invocation_id)

    directory = store.log_directory(done)
    assert directory is not None
    lines = [one for one in read_log(directory) if one.data == "a line"]
    assert (done.status, len(lines)) == (JobStatus.COMPLETED, 100_000)


def test_waiting_for_nothing_is_an_error_and_no_hang(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    world.script("for ever", lasts_s=NEVER)
    coordinator = world.coordinator()
    spec = fire(job("a", "for ever", timeout_s=None))
    coordinator.submit(spec)

    with pytest.raises(NothingWillHappen, match="never come"):
        coordinator.wait(spec.invocation_id)
    with pytest.raises(NothingWillHappen):
        world.run_until(lambda: coordinator.is_idle)


def test_a_killed_coordinator_leaves_its_jobs_behind(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    world.script("for ever", lasts_s=NEVER)
    coordinator: Coordinator = world.coordinator()
    spec = fire(job("a", "for ever"), job("b", "for ever", "a"))
    coordinator.submit(spec)
    world.run(1)

    world.crash(coordinator)
    world.run(1000)

    a, b = coordinator.store.jobs_of(spec.invocation_id)
    assert (a.status, b.status) == (JobStatus.RUNNING, JobStatus.QUEUED)
    assert a.process in [one.identity for one in world.host.living()]
