"""What the next leader makes of what a dead one left: exactly, and without touching a stranger."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable
from typing import Any

import pytest

from daft_coordinator import Coordinator, StopPolicy
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.recovery import Orphans, Recovery
from daft_coordinator.testing import NEVER, Child, Script, VirtualWorld
from daft_protocol.jobs import Job
from daft_protocol.status import EndReason, JobStatus

Make = Callable[..., Any]
POLICY = StopPolicy(grace_s=5, drain_s=2, give_up_s=2)


class Repository:
    """One store, and the leaders that come and go."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.store = MemoryJobStore()
        self.leader: Coordinator | None = None

    def lead(self, orphans: Orphans = Orphans.STOP, **given: Any) -> Recovery:
        if self.leader is not None:
            self.world.crash(self.leader)
        self.leader = self.world.coordinator(self.store, kind="leader", stop=POLICY, workers=2)
        recovery = Recovery(self.leader, report=lambda line: None, orphans=orphans, **given)
        recovery.run()
        return recovery

    def submit(self, spec: Any) -> Job:
        assert self.leader is not None
        first: Job = self.leader.submit(spec, environment={})[0]
        return first

    def now(self, job: Job) -> Job:
        found = self.store.job(job.uid)
        assert found is not None
        return found


@pytest.fixture
def repository(world: VirtualWorld) -> Repository:
    made = Repository(world)
    made.lead()
    return made


def test_an_orphan_is_stopped_politely_then_by_force(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make
) -> None:
    world.script("stubborn", lasts_s=NEVER, ignores_term=True)
    orphan = repository.submit(fire(job("a", "stubborn")))
    world.run(1)

    repository.lead()
    world.run(60)

    assert repository.now(orphan).status is JobStatus.CRASHED
    assert [(one.signal.name, one.at) for one in world.host.sent] == [
        ("SIGTERM", 1),
        ("SIGCONT", 1),
        ("SIGKILL", 6),
    ]


def test_what_left_its_group_is_found_after_its_leader_died(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make
) -> None:
    escaped = Child(leaves_group=True, forks_twice=True)
    world.script("leaks", lasts_s=2, children=(escaped,))
    orphan = repository.submit(fire(job("a", "leaks")))
    world.run(1)
    assert repository.leader is not None
    world.crash(repository.leader)
    repository.leader = None
    world.run(10)

    repository.lead()
    world.run(60)

    assert repository.now(orphan).status is JobStatus.CRASHED
    assert orphan.uid not in {process.mark for process in world.host.living()}


@pytest.mark.fault("F-13", "it")
@pytest.mark.parametrize("leads_group", [True, False])
def test_the_next_holder_of_a_number_is_never_signalled(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make, leads_group: bool
) -> None:
    """The job's process is gone, and the leader's too; strangers have their numbers now."""
    world.script("short", lasts_s=2)
    orphan = repository.submit(fire(job("a", "short")))
    world.run(1)
    dead, first = repository.now(orphan).process, repository.leader
    assert first is not None
    world.crash(first)
    repository.leader = None
    world.run(10)
    assert dead is not None
    child = (Child(),) if leads_group else ()
    strangers = [
        world.host.use_again(dead, Script(lasts_s=NEVER, children=child)),
        world.host.use_again(first.owner.process),
    ]

    repository.lead()
    world.run(60)

    found = repository.now(orphan)
    assert (found.status, found.end_reason) == (JobStatus.CRASHED, EndReason.CRASH)
    assert world.host.sent == []
    assert {one.identity for one in world.host.living()} >= set(strangers)


@pytest.mark.fault("F-24", "it")
def test_after_a_power_cut_all_is_dead_and_nothing_is_signalled(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make
) -> None:
    world.script("long", lasts_s=NEVER)
    running = repository.submit(fire(job("a", "long"), job("b", ":", "a")))
    world.run(1)
    dead = repository.now(running).process
    assert dead is not None

    world.lose_power(boot_id="the next one")
    repository.leader = None
    again = world.host.add(Script(lasts_s=NEVER), parent=1, pid=dead.pid)
    repository.lead()
    world.run(60)

    assert repository.now(running).status is JobStatus.CRASHED
    assert world.host.sent == []
    assert again.lives


def test_a_leader_of_which_nothing_is_told_counts_as_alive(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make
) -> None:
    world.script("long", lasts_s=NEVER)
    theirs = repository.submit(fire(job("a", "long", timeout_s=None)))
    world.run(1)
    first = repository.leader
    assert first is not None

    other = world.coordinator(repository.store, kind="leader", stop=POLICY)
    other.processes.hides.add(first.owner.process)  # type: ignore[attr-defined]
    repairs = Recovery(other, report=lambda line: None).run()
    world.run(60)

    assert not repairs
    assert repository.now(theirs).status is JobStatus.RUNNING
    assert world.host.sent == []


@pytest.mark.fault("F-18", "ages")
@pytest.mark.parametrize("jump_s", [0, -60, -86_400, 3600, 86_400])
def test_a_clock_that_was_set_makes_nothing_older_or_newer(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make, jump_s: int
) -> None:
    waiting = submit_behind_busy_workers(world, repository, fire, job)

    world.clock.jump(jump_s)
    repository.lead()
    world.run(60)

    assert repository.now(waiting).status is JobStatus.COMPLETED


@pytest.mark.fault("F-18", "ages")
@pytest.mark.parametrize("jump_s", [0, -86_400])
def test_what_waited_too_long_is_skipped_and_says_so(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make, jump_s: int
) -> None:
    waiting = submit_behind_busy_workers(world, repository, fire, job)
    assert repository.leader is not None
    world.crash(repository.leader)
    repository.leader = None
    world.run(700)
    world.clock.jump(jump_s)

    repository.lead()
    world.run(60)

    found = repository.now(waiting)
    assert found.status is JobStatus.SKIPPED
    assert "waited longer than 600 s" in (found.end_detail or "")


@pytest.mark.fault("F-18", "durations")
@pytest.mark.parametrize("jump_s", [0, -86_400, 3600, 86_400])
def test_what_is_adopted_has_the_time_that_it_had_left(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make, jump_s: int
) -> None:
    world.script("long", lasts_s=NEVER)
    orphan = repository.submit(fire(job("a", "long", timeout_s=300)))
    world.run(100)

    world.clock.jump(jump_s)
    repository.lead(Orphans.ADOPT)
    world.run(500)

    stops = [(one.signal, one.at) for one in world.host.sent if one.signal == signals.SIGTERM]
    assert stops == [(signals.SIGTERM, 300)]
    assert repository.now(orphan).status is JobStatus.CRASHED


@pytest.mark.parametrize(
    ("within_s", "status"), [(None, JobStatus.SKIPPED), (3600.0, JobStatus.COMPLETED)]
)
def test_how_long_a_queue_is_taken_over_can_be_said(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make,
    within_s: float | None, status: JobStatus,
) -> None:  # fmt: skip
    waiting = submit_behind_busy_workers(world, repository, fire, job)
    assert repository.leader is not None
    world.crash(repository.leader)
    repository.leader = None
    world.run(0 if within_s is None else 700)

    repository.lead(requeue_within_s=within_s)
    world.run(60)

    found = repository.now(waiting)
    assert found.status is status
    assert within_s is not None or "DAFT_JOBS_REQUEUE" in (found.end_detail or "")


def submit_behind_busy_workers(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make
) -> Job:
    world.script("busy", lasts_s=NEVER)
    repository.submit(fire(*[job(f"busy {n}", "busy", timeout_s=None) for n in range(2)]))
    world.run(1)
    return repository.submit(fire(job("waits", ":", background=True)))


def test_a_repair_done_twice_changes_nothing_the_second_time(
    world: VirtualWorld, repository: Repository, fire: Make, job: Make
) -> None:
    world.script("long", lasts_s=NEVER)
    repository.submit(fire(job("a", "long"), job("b", ":", "a"), job("c", "refused")))
    world.run(1)
    recovery = repository.lead()
    world.run(60)
    before = {uid: repository.store.job(uid) for uid in repository.store._jobs}

    assert not recovery.run()
    assert repository.lead().is_settled
    world.run(60)

    assert {uid: repository.store.job(uid) for uid in repository.store._jobs} == before
