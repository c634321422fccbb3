"""Clocks that jump, machines that sleep or restart, processes that nothing ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from daft_coordinator import Selection, StopPolicy, cancel_requests
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.errors import SpawnFailed
from daft_coordinator.logreader import read_log
from daft_coordinator.ports import Spawned
from daft_coordinator.recovery import Recovery
from daft_coordinator.submission import record
from daft_coordinator.testing import NEVER, VirtualWorld
from daft_protocol.messages import CancelJob, Cancelled, CancelMatching, Error
from daft_protocol.status import EndReason, JobStatus

Make = Callable[..., Any]
POLICY = StopPolicy(grace_s=5, drain_s=2, give_up_s=2)
DAY = 86_400.0


@pytest.mark.fault("F-18", "durations")
@pytest.mark.fault("F-28", "it")
@pytest.mark.parametrize("jump", [DAY, -DAY, 7 * 3600.0])
def test_time_limits_and_durations_do_not_follow_the_wall_clock(
    world: VirtualWorld, fire: Make, job: Make, jump: float
) -> None:
    """A machine that slept for hours wakes with just such a jump."""
    for seconds in (30, 100):
        world.script(f"takes {seconds}", lasts_s=seconds)
    coordinator = world.coordinator(stop=POLICY)
    spec = fire(job("a", "takes 30", timeout_s=60), job("b", "takes 100", timeout_s=60))
    coordinator.submit(spec)
    world.run(20)

    world.clock.jump(jump)
    world.run(5)
    assert {one.status for one in coordinator.jobs(spec.invocation_id)} == {JobStatus.RUNNING}
    a, b = coordinator.wait(spec.invocation_id)

    assert (a.status, a.duration_ms) == (JobStatus.COMPLETED, 30_000)
    assert (b.status, b.end_reason, b.duration_ms) == (
        JobStatus.FAILED, EndReason.TIMEOUT, 60_000,
    )  # fmt: skip


@pytest.mark.fault("F-18", "ages")
@pytest.mark.parametrize("jump", [-DAY, -1.0])
def test_a_queued_job_is_not_too_old_for_a_clock_that_went_back(
    world: VirtualWorld, fire: Make, job: Make, jump: float
) -> None:
    store = MemoryJobStore()
    spec = fire(job("a", ":", background=True))
    record(store, spec, owner=None, clock=world.clock)
    world.clock.jump(jump)
    leader = world.coordinator(store, kind="leader", stop=POLICY)

    Recovery(leader, report=pytest.fail).run()
    (done,) = leader.wait(spec.invocation_id)

    assert done.status is JobStatus.COMPLETED


@pytest.mark.fault("F-24", "it")
def test_jobs_of_another_boot_are_dead_and_nobody_is_signalled(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    store = MemoryJobStore()
    world.script("runs", lasts_s=NEVER)
    first = world.coordinator(store, kind="leader", stop=POLICY)
    spec = fire(job("a", "runs"), job("b", ":", "a"), job("c", "runs"))
    first.submit(spec)
    world.run(10)
    first.cancel(Selection(job_name="c"))
    processes = [one.process for one in store.jobs_of(spec.invocation_id) if one.process]
    before = len(world.host.sent)

    world.lose_power(boot_id="boot-2")
    for process in processes:
        world.host.use_again(process)
    leader = world.coordinator(store, kind="leader", stop=POLICY)
    Recovery(leader, report=pytest.fail).run()
    world.run(60)

    jobs = {one.name: one.status for one in store.jobs_of(spec.invocation_id)}
    assert jobs["a"] is JobStatus.CRASHED
    assert jobs["c"] is JobStatus.CANCELLED
    assert jobs["b"].is_final
    assert len(world.host.sent) == before


@pytest.mark.fault("F-13", "it")
def test_an_orphan_whose_number_was_given_out_again_is_dead_and_its_namesake_lives(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    store = MemoryJobStore()
    world.script("ends", lasts_s=5)
    first = world.coordinator(store, kind="leader", stop=POLICY)
    spec = fire(job("a", "ends", background=True))
    first.submit(spec)
    world.run(1)
    (running,) = store.jobs_of(spec.invocation_id)
    world.crash(first)
    world.clock.move_to(100)
    world.host.settle()
    assert running.process is not None
    namesake = world.host.use_again(running.process)
    before = len(world.host.sent)

    leader = world.coordinator(store, kind="leader", stop=POLICY)
    Recovery(leader, report=pytest.fail).run()
    leader.cancel(Selection(job_name="a"), kill=True)
    world.run(60)

    (done,) = store.jobs_of(spec.invocation_id)
    assert done.status is JobStatus.CRASHED
    assert len(world.host.sent) == before
    assert world.host.find(namesake) is not None


@pytest.mark.fault("F-21", "unkillable")
def test_a_process_that_nothing_ends_is_called_crashed_after_a_minute(
    world: VirtualWorld, fire: Make, job: Make, tmp_path: Any
) -> None:
    store = MemoryJobStore(str(tmp_path))
    world.script("hangs", lasts_s=NEVER, ignores_kill=True)
    coordinator = world.coordinator(store, stop=POLICY)
    spec = fire(job("a", "hangs"), job("b", ":", "a"), job("c"))
    coordinator.submit(spec)
    world.run(10)

    coordinator.cancel(Selection(job_name="a"))
    world.run(5 + 2 + 59)
    assert coordinator.jobs(spec.invocation_id)[0].status is JobStatus.CANCELLING
    assert not coordinator.is_idle
    a, b, c = coordinator.wait(spec.invocation_id)

    assert a.status is JobStatus.CRASHED
    assert "unkillable" in (a.end_detail or "")
    assert (b.status, c.status) == (JobStatus.SKIPPED, JobStatus.COMPLETED)
    events = [one.event for one in read_log(store.log_directory(a) or "")]
    assert events == ["started", "note", "crashed"]
    assert coordinator.is_idle


@pytest.mark.fault("F-21", "unkillable")
def test_a_job_that_may_not_be_signalled_says_so_and_is_called_crashed_after_a_minute(
    world: VirtualWorld, fire: Make, job: Make, tmp_path: Any
) -> None:
    store = MemoryJobStore(str(tmp_path))
    world.script("runs as root", lasts_s=NEVER)
    coordinator = world.coordinator(store, stop=POLICY)
    spec = fire(job("a", "runs as root"), job("b"))
    coordinator.submit(spec)
    world.run(10)
    process = store.jobs_of(spec.invocation_id)[0].process
    coordinator.processes.forbids.add(process)  # type: ignore[attr-defined]

    results = coordinator.cancel(Selection())
    assert [(one.name, one.outcome) for one in results] == [("a", "refused")]
    a, _ = coordinator.wait(spec.invocation_id)

    assert world.host.sent == []
    assert a.status is JobStatus.CRASHED
    assert "runs as another user" in (a.end_detail or "")
    notes = [one.data for one in read_log(store.log_directory(a) or "") if one.event == "note"]
    assert process is not None
    assert [f"(group {process.pgid})" in str(note) for note in notes] == [True]


@pytest.mark.parametrize("others", [False, True])
def test_who_asks_over_the_wire_is_told_that_nothing_may_be_signalled(
    world: VirtualWorld, fire: Make, job: Make, others: bool
) -> None:
    store = MemoryJobStore()
    world.script("runs as root", lasts_s=NEVER)
    coordinator = world.coordinator(store, stop=POLICY)
    everything = SimpleNamespace(invocation_id=None)
    leader: Any = SimpleNamespace(coordinator=coordinator, station=everything)
    spec = fire(*[job(name, "runs as root", timeout_s=None) for name in ("a", "b")[: 1 + others]])
    coordinator.submit(spec)
    world.run(10)
    process = store.jobs_of(spec.invocation_id)[0].process
    assert process is not None
    coordinator.processes.forbids.add(process)  # type: ignore[attr-defined]

    by_name = cancel_requests.named(leader, CancelJob(name="a"))
    strictly = cancel_requests.matching(leader, CancelMatching(worktree="main", strict=True))

    assert isinstance(by_name, Error)
    assert by_name.code == "KILL_FAILED"
    assert (
        f"a: its processes run as another user; stop them with `sudo kill -- -{process.pgid}`"
        in (by_name.message)
    )
    if others:
        assert isinstance(strictly, Cancelled)
        assert strictly.names == ("b",)
        assert [one.outcome for one in strictly.results] == ["refused", "signalled"]
    else:
        assert isinstance(strictly, Error)
        assert strictly.code == "KILL_FAILED"


def test_a_job_that_may_be_signalled_again_is_cancelled_as_any_other(
    world: VirtualWorld, fire: Make, job: Make
) -> None:
    store = MemoryJobStore()
    world.script("runs as root", lasts_s=NEVER)
    coordinator = world.coordinator(store, stop=POLICY)
    spec = fire(job("a", "runs as root"))
    coordinator.submit(spec)
    world.run(10)
    forbids = coordinator.processes.forbids  # type: ignore[attr-defined]
    forbids.add(store.jobs_of(spec.invocation_id)[0].process)
    coordinator.cancel(Selection())
    world.run(6)

    forbids.clear()
    results = coordinator.cancel(Selection())

    assert [one.outcome for one in results] == ["signalled"]
    assert coordinator.wait(spec.invocation_id)[0].status is JobStatus.CANCELLED


@pytest.mark.fault("F-27", "spawn")
@pytest.mark.parametrize(("refusals", "expected"), [(5, "completed"), (6, "failed")])
def test_a_start_that_the_system_has_no_room_for_is_tried_again(
    world: VirtualWorld, fire: Make, job: Make, tmp_path: Any, refusals: int, expected: str
) -> None:
    store = MemoryJobStore(str(tmp_path))
    world.script("short", lasts_s=1)
    coordinator = world.coordinator(store, stop=POLICY)
    whole, tries = coordinator.processes.spawn, []

    def spawn(command: str, **other: Any) -> Spawned:
        if command == "short":
            tries.append(world.clock.monotonic())
            if len(tries) <= refusals:
                raise SpawnFailed("no room", is_shortage=True)
        return whole(command, **other)

    coordinator.processes.spawn = spawn  # type: ignore[method-assign]
    spec = fire(job("a", "short"), job("b", ":"), job("c", ":", "a"))
    coordinator.submit(spec)
    a, b, c = coordinator.wait(spec.invocation_id)

    assert a.status.value == expected
    assert b.status is JobStatus.COMPLETED
    assert c.status is (JobStatus.COMPLETED if expected == "completed" else JobStatus.SKIPPED)
    pauses = [round(later - earlier, 3) for earlier, later in itertools.pairwise(tries)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6]
    if expected == "failed":
        assert a.end_reason is EndReason.SPAWN_FAILED
    numbers = [one.seq for one in read_log(store.log_directory(a) or "")]
    assert numbers == sorted(set(numbers))
