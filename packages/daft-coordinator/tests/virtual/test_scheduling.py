"""The real coordinator over random graphs: what may never happen, and what must."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pytest
from attrs import frozen, mutable
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from daft_coordinator import Coordinator, Selection, StopPolicy, hookimpl
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.domain import graph
from daft_coordinator.testing import VirtualWorld
from daft_protocol import InvocationSpec, JobSpec
from daft_protocol.jobs import Job, RunMode
from daft_protocol.status import HAS_PROCESS, EndReason, JobStatus

Make = Callable[..., Any]

SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@frozen(kw_only=True)
class Part:
    """One job of a plan: what it needs, and what it will do."""

    needs: tuple[str, ...]
    lasts_s: float
    exit_code: int
    timeout_s: float | None
    background: bool = True
    tag: str = "x"

    @property
    def is_cut_short(self) -> bool:
        return self.timeout_s is not None and self.timeout_s < self.lasts_s

    @property
    def fails(self) -> bool:
        return self.is_cut_short or self.exit_code != 0

    @property
    def takes_s(self) -> float:
        return min(self.lasts_s, self.timeout_s or self.lasts_s)


@frozen(kw_only=True)
class Fire:
    """One invocation of a plan."""

    arrives_s: float
    parts: Mapping[str, Part]
    mode: RunMode = RunMode.PARALLEL
    max_parallel: int | None = None


@mutable(kw_only=True)
class Life:
    """What was seen of one job."""

    job: Job
    queued_at: float
    started_at: float | None = None
    ended_at: float | None = None
    order: int | None = None


half_seconds = st.integers(0, 12).map(lambda halves: halves / 2)


@st.composite
def parts(draw: st.DrawFn, most: int = 8) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for number in range(draw(st.integers(1, most))):
        earlier = list(found)
        found[f"j{number}"] = Part(
            needs=tuple(
                draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else ()
            ),
            lasts_s=draw(half_seconds),
            exit_code=draw(st.sampled_from([0, 0, 0, 0, 1, 7])),
            timeout_s=draw(st.sampled_from([None, None, 0.75, 3.25])),
            tag=draw(st.sampled_from(["x", "y"])),
        )
    return found


@st.composite
def plans(draw: st.DrawFn, *, any_mode: bool = True) -> list[Fire]:
    fires = draw(st.integers(1, 3))
    return [
        Fire(
            arrives_s=draw(half_seconds),
            parts=draw(parts()),
            mode=draw(st.sampled_from(RunMode)) if any_mode else RunMode.PARALLEL,
            max_parallel=draw(st.sampled_from([None, None, 1, 2])) if any_mode else None,
        )
        for _ in range(fires)
    ]


class Story:
    """A plan, carried out by a coordinator in virtual time, and what was seen of it."""

    def __init__(
        self,
        world: VirtualWorld,
        plan: Sequence[Fire],
        *,
        workers: int,
        fire: Make,
        store: Any = None,
    ) -> None:
        self.world = world
        self.plan = plan
        self.workers = workers
        self.lives: dict[tuple[int, str], Life] = {}
        self.specs: dict[str, int] = {}
        self._orders = itertools.count()
        self.coordinator: Coordinator = world.coordinator(
            MemoryJobStore() if store is None else store,
            workers=workers,
            plugins=[self],
            stop=StopPolicy(grace_s=5, drain_s=2, give_up_s=2),
        )
        for number, one in enumerate(plan):
            spec = self._spec(number, one, fire)
            self.specs[spec.invocation_id] = number
            self.coordinator.reactor.call_after(
                one.arrives_s, lambda spec=spec: self.coordinator.submit(spec, environment={})
            )

    def _spec(self, number: int, one: Fire, fire: Make) -> InvocationSpec:
        jobs = [
            JobSpec(
                name=name,
                command=self.world.script(
                    f"{number}/{name}", lasts_s=part.lasts_s, exit_code=part.exit_code
                ),
                needs=part.needs,
                timeout_s=part.timeout_s,
                background=part.background,
                tags=(part.tag,),
            )
            for name, part in one.parts.items()
        ]
        spec: InvocationSpec = fire(
            *jobs, mode=one.mode, max_parallel=one.max_parallel, worktree=f"w{number % 2}"
        )
        return spec

    def tell(self) -> None:
        """Carry it out to its end."""
        everybody = sum(len(one.parts) for one in self.plan)
        self.world.run_until(
            lambda: (
                len(self.lives) == everybody
                and all(life.job.status.is_final for life in self.lives.values())
                and self.coordinator.is_idle
            )
        )

    @hookimpl
    def daft_job_changed(self, job: Job) -> None:
        key = (self.specs[job.invocation_id], job.name)
        now = self.world.clock.monotonic()
        life = self.lives.setdefault(key, Life(job=job, queued_at=now))
        if job.status is JobStatus.RUNNING:
            assert life.started_at is None, "a job never runs twice"
            life.started_at = now
            life.order = next(self._orders)
        if job.status.is_final:
            assert life.ended_at is None, "a job never ends twice"
            life.ended_at = now
        life.job = job

    # --- what was seen ------------------------------------------------------------------------

    @property
    def started(self) -> list[tuple[tuple[int, str], Life]]:
        found = [(key, life) for key, life in self.lives.items() if life.order is not None]
        return sorted(found, key=lambda one: one[1].order or 0)

    def part(self, key: tuple[int, str]) -> Part:
        return self.plan[key[0]].parts[key[1]]

    def needed(self, key: tuple[int, str]) -> list[Life]:
        return [self.lives[key[0], name] for name in self.part(key).needs]

    def running_at(self, life: Life, fire: int | None = None) -> int:
        """How many ran when `life` started, itself left out."""
        assert life.started_at is not None
        assert life.order is not None
        return sum(
            other is not life
            and other.order is not None
            and other.order < life.order
            and (other.ended_at is None or other.ended_at > life.started_at)
            and fire in (None, key[0])
            for key, other in self.lives.items()
        )

    def ready_at(self, key: tuple[int, str]) -> float:
        """When nothing but workers kept a job from starting."""
        return max([self.lives[key].queued_at, *(life.ended_at or 0 for life in self.needed(key))])


def check_everything(story: Story) -> None:
    """What holds for every story in which nobody interferes."""
    check_order(story)
    check_workers(story)
    check_failures(story)
    check_ends(story)


def check_order(story: Story) -> None:
    commands = [command for command, _ in story.world.host.started]
    assert len(commands) == len(set(commands)), "no job runs twice"
    for key, life in story.started:
        for before in story.needed(key):
            assert before.job.status is JobStatus.COMPLETED
            assert before.ended_at is not None
            assert life.started_at is not None
            assert before.ended_at <= life.started_at
            assert before.job.finished_at is not None
            assert life.job.started_at is not None


def check_workers(story: Story) -> None:
    for key, life in story.started:
        fire = story.plan[key[0]]
        assert story.workers == 0 or story.running_at(life) < story.workers
        beside = story.running_at(life, key[0])
        assert fire.max_parallel is None or beside < fire.max_parallel
        assert fire.mode is RunMode.PARALLEL or beside == 0


def check_failures(story: Story, *, cancelled: Collection[str] = ()) -> None:
    for key, life in story.lives.items():
        if story.plan[key[0]].mode is RunMode.PIPED or life.job.uid in cancelled:
            continue
        bad = [one.job for one in story.needed(key) if one.job.status is not JobStatus.COMPLETED]
        assert (life.job.status is JobStatus.SKIPPED) == bool(bad)
        if bad:
            assert life.order is None
            assert life.job.end_reason is EndReason.DEP_FAILED
            assert life.job.end_detail in {
                f"dependency failed: {one.name} {one.status.value}" for one in bad
            }


def check_ends(story: Story) -> None:
    for key, life in story.started:
        part = story.part(key)
        assert life.started_at is not None
        assert life.ended_at == pytest.approx(life.started_at + part.takes_s)
        assert life.job.duration_ms == pytest.approx(part.takes_s * 1000, abs=1)
        if part.is_cut_short:
            assert life.job.end_reason is EndReason.TIMEOUT
        else:
            assert life.job.exit_code == part.exit_code
        assert (life.job.status is JobStatus.FAILED) == part.fails


@SETTINGS
@given(plan=plans(), workers=st.integers(0, 4))
def test_any_plan_is_carried_out_by_the_rules(plan: list[Fire], workers: int) -> None:
    with VirtualWorld() as world:
        story = Story(world, plan, workers=workers, fire=a_fire)
        story.tell()

        check_everything(story)


@SETTINGS
@given(plan=plans(any_mode=False), workers=st.integers(1, 4))
def test_nothing_waits_while_a_worker_is_free(plan: list[Fire], workers: int) -> None:
    with VirtualWorld() as world:
        story = Story(world, plan, workers=workers, fire=a_fire)
        story.tell()

        for key, life in story.started:
            assert life.started_at is not None
            ready = story.ready_at(key)
            moments = {ready} | {
                one.ended_at
                for one in story.lives.values()
                if one.ended_at is not None and ready < one.ended_at < life.started_at
            }
            for moment in moments if ready < life.started_at else ():
                busy = sum(
                    other.started_at is not None
                    and other.ended_at is not None
                    and other.started_at <= moment < other.ended_at
                    for other in story.lives.values()
                )
                assert busy >= workers, f"{key} could have started at {moment}"


@SETTINGS
@given(plan=plans(any_mode=False), workers=st.integers(1, 3))
def test_the_next_worker_goes_to_whom_has_fewest(plan: list[Fire], workers: int) -> None:
    with VirtualWorld() as world:
        story = Story(world, plan, workers=workers, fire=a_fire)
        story.tell()

        for key, life in story.started:
            mine = story.running_at(life, key[0])
            for other, beside in story.lives.items():
                if other[0] == key[0] or not waited_beside(story, other, beside, life):
                    continue
                assert mine <= story.running_at(life, other[0])


def waited_beside(story: Story, key: tuple[int, str], one: Life, started: Life) -> bool:
    """True when `one` was ready, and still waited, as `started` got its worker."""
    assert started.started_at is not None
    assert started.order is not None
    return (
        one.order is not None
        and one.order > started.order
        and story.ready_at(key) <= started.started_at
        # Equal moments: it may have become ready after the decision of that moment.
        and (one.started_at or 0) > started.started_at
        and story.ready_at(key) < started.started_at
    )


@SETTINGS
@given(shape=parts(most=10), workers=st.integers(1, 3))
def test_the_longest_path_that_is_known_goes_first(shape: dict[str, Part], workers: int) -> None:
    with VirtualWorld() as world:
        store = MemoryJobStore()
        first = Story(world, [Fire(arrives_s=0, parts=shape)], workers=0, fire=a_fire, store=store)
        first.tell()
        durations = {name: seconds for (_, name), seconds in store.durations().items()}
        world.host.started.clear()
        story = Story(
            world, [Fire(arrives_s=0, parts=shape)], workers=workers, fire=a_fire, store=store
        )
        story.tell()

        check_everything(story)
        names = list(shape)
        path = graph.remaining_path(names, {name: shape[name].needs for name in names}, durations)
        event(f"{len(durations)} durations known")
        for key, life in story.started:
            for other, beside in story.lives.items():
                if waited_beside(story, other, beside, life):
                    assert (-path[key[1]], names.index(key[1])) < (
                        -path[other[1]],
                        names.index(other[1]),
                    )


@pytest.mark.fault("F-18", "durations")
@SETTINGS
@given(
    plan=plans(),
    workers=st.integers(0, 3),
    jumps=st.lists(
        st.tuples(half_seconds, st.sampled_from([-86_400, -3600, -1, 1, 3600, 86_400])), max_size=5
    ),
)
def test_a_wall_clock_that_jumps_changes_nothing(
    plan: list[Fire], workers: int, jumps: list[tuple[float, int]]
) -> None:
    def tell(world: VirtualWorld, jumping: Sequence[tuple[float, int]]) -> list[Any]:
        story = Story(world, plan, workers=workers, fire=a_fire)
        for at, seconds in jumping:
            world.host.after(at, lambda seconds=seconds: world.clock.jump(seconds))
        story.tell()
        check_everything(story)
        return [
            (key, life.started_at, life.ended_at, life.job.status, life.job.duration_ms)
            for key, life in story.lives.items()
        ]

    with VirtualWorld() as steady, VirtualWorld() as jumpy:
        assert tell(steady, ()) == tell(jumpy, jumps)


selections = st.one_of(
    st.just(Selection()),
    st.builds(Selection, job_name=st.sampled_from(["j0", "j1", "j2", "j3"])),
    st.builds(Selection, tag=st.sampled_from(["x", "y"])),
    st.builds(Selection, worktree=st.sampled_from(["w0", "w1"])),
    st.builds(Selection, older_than_s=half_seconds),
)


@SETTINGS
@given(
    plan=plans(),
    workers=st.integers(0, 3),
    at=st.integers(0, 40).map(lambda quarters: quarters / 4),
    selection=selections,
    kill=st.booleans(),
)
def test_a_cancel_at_any_moment_takes_what_it_means_and_what_needs_it(
    plan: list[Fire], workers: int, at: float, selection: Selection, kill: bool
) -> None:
    with VirtualWorld() as world:
        story = Story(world, plan, workers=workers, fire=a_fire)
        cancelled: dict[str, str] = {}
        before: dict[str, JobStatus] = {}

        def cancel() -> None:
            before.update((job.uid, job.status) for job in story.coordinator.store.unfinished())
            for result in story.coordinator.cancel(selection, kill=kill):
                cancelled[result.job_uid] = result.outcome

        story.coordinator.reactor.call_after(at, cancel)
        world.run(at)
        story.tell()

        check_order(story)
        check_workers(story)
        check_failures(story, cancelled=cancelled)
        event(f"cancelled: {min(len(cancelled), 3)}")
        for life in story.lives.values():
            if life.job.uid not in cancelled:
                assert life.job.status is not JobStatus.CANCELLED
                continue
            assert life.job.status is JobStatus.CANCELLED
            assert life.job.end_reason is EndReason.CANCEL
            assert life.ended_at == pytest.approx(at)
            was = before[life.job.uid]
            assert (cancelled[life.job.uid] == "dequeued") == (was is JobStatus.QUEUED)
            assert (life.order is not None) == (was in HAS_PROCESS)


@SETTINGS
@given(plan=plans(), workers=st.integers(1, 3), at=half_seconds)
def test_a_coordinator_that_shuts_down_leaves_nothing_open(
    plan: list[Fire], workers: int, at: float
) -> None:
    with VirtualWorld() as world:
        story = Story(world, plan, workers=workers, fire=a_fire)
        world.run(at)

        story.coordinator.shutdown()
        world.run(20)

        for life in story.lives.values():
            if life.queued_at < at:
                assert life.job.status.is_final
        story.tell()  # what came later runs as ever


def a_fire(*jobs: JobSpec, **other: Any) -> InvocationSpec:
    from daft_protocol import new_invocation_id

    given = {"hook_type": "post-clone", "trigger_command": "t", "worktree": "main", **other}
    return InvocationSpec(invocation_id=new_invocation_id(), jobs=jobs, **given)
