"""The status model, lived: two stores, the same deaths and repairs, one truth.

Real coordinators on virtual machines go through one random sequence of submits, cancels, crashes,
power cuts and repairs, once over the SQLite store and once over the memory store.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from daft_coordinator import Coordinator, Selection, StopPolicy, submission
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_coordinator.errors import StoreUnavailable
from daft_coordinator.ports import JobChange, JobStore
from daft_coordinator.recovery import Recovery
from daft_coordinator.testing import NEVER, Child, Script, VirtualWorld, an_owner
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
from daft_protocol.jobs import Job, ProcessIdentity
from daft_protocol.status import EndReason, JobStatus

Q, R, C = JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.CANCELLING
ALLOWED = {
    Q: {R, JobStatus.SKIPPED, JobStatus.CANCELLED, JobStatus.FAILED},
    R: {C, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.CRASHED},
    C: {JobStatus.CANCELLED, JobStatus.CRASHED, JobStatus.FAILED, JobStatus.COMPLETED},
}
"""From a status to those it may become. A queued job fails only for want of a process."""

SCRIPTS: dict[str, dict[str, Any]] = {
    "quick": {},
    "fails": {"lasts_s": 1, "exit_code": 3},
    "takes a while": {"lasts_s": 30},
    "for ever": {"lasts_s": NEVER},
    "stubborn": {"lasts_s": NEVER, "ignores_term": True},
    "polite": {"lasts_s": NEVER, "term_takes_s": 2, "term_exit_code": 0},
    "refused": {"refused": "no such thing"},
    "leaks": {"lasts_s": 2, "children": (Child(leaves_group=True, forks_twice=True),)},
    "leaves": {
        "lasts_s": 2,
        "children": (Child(script=Script(lasts_s=NEVER, ignores_term=True), holds_pipes=False),),
    },
}
NAMES = ("a", "b", "c", "d")


class Watched:
    """A store of which every change of a status is checked, and which may be out of reach."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def record(self, *given: Any, **named: Any) -> Any:
        self._reach()
        return self._store.record(*given, **named)

    def claim(self, *given: Any, **named: Any) -> Any:
        self._reach()
        return self._store.claim(*given, **named)

    def apply(self, changes: Sequence[JobChange]) -> tuple[bool, ...]:
        self._reach()
        before = {change.job_uid: self._store.job(change.job_uid) for change in changes}
        done = self._store.apply(changes)
        for change, made in zip(changes, done, strict=True):
            was = before[change.job_uid]
            assert was is not None
            if made:
                assert change.to in ALLOWED.get(was.status, ()), f"{was.status} -> {change.to}"
                if was.status is Q and change.to is JobStatus.FAILED:
                    assert change.end_reason is EndReason.SPAWN_FAILED
                before[change.job_uid] = self._store.job(change.job_uid)
        return done

    def apply_together(self, changes: Sequence[JobChange]) -> bool:
        self._reach()
        before = {change.job_uid: self._store.job(change.job_uid) for change in changes}
        made = bool(self._store.apply_together(changes))
        for change in changes if made else ():
            was = before[change.job_uid]
            assert was is not None
            assert change.to in ALLOWED.get(was.status, ()), f"{was.status} -> {change.to}"
            before[change.job_uid] = self._store.job(change.job_uid)
        return made

    def _reach(self) -> None:
        if self.is_away:
            raise StoreUnavailable("it is away")


class Lane:
    """One store, one machine, and the coordinator that leads there at the moment."""

    def __init__(self, store: JobStore) -> None:
        self.world = VirtualWorld()
        self.store = Watched(store)
        self.leader: Coordinator | None = None
        self.recovery: Recovery | None = None
        self.strangers: list[ProcessIdentity] = []

    def command(self, kind: str, name: str, fire: str) -> str:
        return self.world.script(f"{fire[:4]}/{name}: {kind}", **SCRIPTS[kind])

    def lead(self) -> None:
        assert self.leader is None
        self.leader = self.world.coordinator(
            self.store,
            kind="leader",
            workers=2,
            stop=StopPolicy(grace_s=5, drain_s=2, give_up_s=2),
            report=lambda line: None,
        )
        self.recovery = Recovery(self.leader, report=lambda line: None)
        self.recovery.run()

    def view(self) -> dict[tuple[str, str], tuple[Any, ...]]:
        page, _ = self.store.find_jobs(_everything())
        return {
            (job.invocation_id, job.name): (
                job.status,
                job.end_reason,
                job.end_detail,
                job.exit_code,
                job.term_signal,
                job.duration_ms,
                job.started_at,
                job.finished_at,
                job.owner is None,
                job.log_records,
            )
            for job in page
        }

    def jobs(self) -> list[Job]:
        page, _ = self.store.find_jobs(_everything())
        return list(page)

    def still_there(self) -> set[str | None]:
        return {process.mark for process in self.world.host.living()}


def _everything() -> Any:
    from daft_coordinator.ports import JobQuery

    return JobQuery(limit=10_000)


kinds = st.sampled_from(sorted(SCRIPTS))
moments = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5, 6.0, 20.0])
selections = st.one_of(
    st.just(Selection()),
    st.builds(Selection, job_name=st.sampled_from(NAMES)),
    st.builds(Selection, older_than_s=moments),
)


class StatusModel(RuleBasedStateMachine):
    """Life and death of leaders over two stores."""

    @initialize()
    def begin(self) -> None:
        self.root = tempfile.mkdtemp(prefix="daft-model-")
        sqlite = SqliteJobStore.open(f"{self.root}/state", str(uuid.uuid4()))
        self.lanes = [Lane(sqlite), Lane(MemoryJobStore(f"{self.root}/logs"))]
        self.ended: dict[tuple[int, str, str], Job] = {}
        self.lead()

    def teardown(self) -> None:
        if not hasattr(self, "root"):
            return
        try:
            self.settle_everything()
        finally:
            for lane in self.lanes:
                lane.world.__exit__(None, None, None)
                lane.store.close()
            shutil.rmtree(self.root)

    @property
    def leads(self) -> bool:
        return hasattr(self, "root") and self.lanes[0].leader is not None

    @property
    def has_work(self) -> bool:
        return hasattr(self, "root") and bool(self.lanes[0].store.unfinished())

    # --- what happens -------------------------------------------------------------------------

    @precondition(lambda self: self.leads and not self.lanes[0].store.is_away)
    @rule(
        jobs=st.lists(
            st.tuples(kinds, st.sets(st.integers(0, 2), max_size=2)), min_size=1, max_size=4
        )
    )
    def submit(self, jobs: list[tuple[str, set[int]]]) -> None:
        fire = new_invocation_id()
        for lane in self.lanes:
            assert lane.leader is not None
            lane.leader.submit(self.spec(lane, fire, jobs), environment={})

    @precondition(lambda self: hasattr(self, "root") and not self.lanes[0].store.is_away)
    @rule(jobs=st.lists(st.tuples(kinds, st.just(set())), min_size=1, max_size=2))
    def submit_and_die(self, jobs: list[tuple[str, set[int]]]) -> None:
        """A submitter commits its rows and is killed before it tells anybody."""
        fire = new_invocation_id()
        owner = an_owner(kind="command")
        for lane in self.lanes:
            lane.store.register(owner)
            submission.record(
                lane.store,  # type: ignore[arg-type]
                self.spec(lane, fire, jobs),
                owner=owner.id,
                clock=lane.world.clock,
            )

    def spec(self, lane: Lane, fire: str, jobs: list[tuple[str, set[int]]]) -> InvocationSpec:
        return InvocationSpec(
            invocation_id=fire,
            hook_type="post-create",
            trigger_command="t",
            worktree="main",
            jobs=[
                JobSpec(
                    name=NAMES[place],
                    command=lane.command(kind, NAMES[place], fire),
                    needs=tuple(NAMES[need] for need in sorted(needs) if need < place),
                    background=True,
                    timeout_s=40,
                )
                for place, (kind, needs) in enumerate(jobs)
            ],
        )

    @precondition(lambda self: self.has_work)
    @rule(seconds=moments)
    def pass_time(self, seconds: float) -> None:
        for lane in self.lanes:
            lane.world.run(seconds)

    @precondition(lambda self: self.leads and self.has_work and not self.lanes[0].store.is_away)
    @rule(selection=selections, kill=st.booleans())
    def cancel(self, selection: Selection, kill: bool) -> None:
        results = []
        for lane in self.lanes:
            assert lane.leader is not None
            done = lane.leader.cancel(selection, kill=kill)
            results.append(
                sorted((one.invocation_id, one.name, one.outcome, one.status) for one in done)
            )
        assert results[0] == results[1]

    @precondition(lambda self: self.leads and self.has_work)
    @rule(after=moments, replaced=st.booleans())
    def crash(self, after: float, replaced: bool) -> None:
        self.pass_time(after)
        for lane in self.lanes:
            assert lane.leader is not None
            lane.world.crash(lane.leader)
            lane.leader = lane.recovery = None
        if replaced and not self.lanes[0].store.is_away:
            self.lead()

    @precondition(lambda self: self.has_work)
    @rule(boot=st.uuids().map(str))
    def lose_power(self, boot: str) -> None:
        for lane in self.lanes:
            sent = list(lane.world.host.sent)
            lane.world.lose_power(boot_id=boot)
            assert lane.world.host.sent == sent
            lane.leader = lane.recovery = None

    @precondition(lambda self: not self.leads and not self.lanes[0].store.is_away)
    @rule()
    def lead(self) -> None:
        for lane in self.lanes:
            lane.lead()

    @precondition(lambda self: self.leads and self.has_work and not self.lanes[0].store.is_away)
    @rule()
    def reconcile_again(self) -> None:
        """A living owner is never overruled: a second pass has nothing to do."""
        for lane in self.lanes:
            assert lane.recovery is not None
            lane.recovery.run()
            if lane.recovery.is_settled:
                before = lane.view()
                assert not lane.recovery.run()
                assert lane.view() == before

    @precondition(lambda self: self.has_work)
    @rule(seconds=st.sampled_from([-86_400, -60, 60, 86_400]))
    def jump(self, seconds: int) -> None:
        for lane in self.lanes:
            lane.world.clock.jump(seconds)

    @precondition(lambda self: self.has_work)
    @rule()
    def reach_the_store_or_not(self) -> None:
        for lane in self.lanes:
            lane.store.is_away = not lane.store.is_away

    @precondition(lambda self: getattr(self, "ended", None))
    @rule()
    def use_numbers_again(self) -> None:
        """Strangers get the numbers of processes that are gone."""
        for lane in self.lanes:
            for job in lane.jobs():
                who = job.process
                taken = {one.identity.pid for one in lane.world.host.processes.values()}
                groups = {one.identity.pgid for one in lane.world.host.living()}
                if who is not None and who.pid not in taken | groups:
                    lane.strangers.append(lane.world.host.use_again(who))

    # --- what always holds --------------------------------------------------------------------

    @invariant()
    def both_tell_the_same(self) -> None:
        if hasattr(self, "root"):
            assert self.lanes[0].view() == self.lanes[1].view()

    @invariant()
    def what_has_ended_never_changes(self) -> None:
        if not hasattr(self, "root"):
            return
        for number, lane in enumerate(self.lanes):
            for job in lane.jobs():
                key = (number, job.invocation_id, job.name)
                if job.status.is_final:
                    assert self.ended.setdefault(key, job) == job

    @invariant()
    def nothing_runs_twice(self) -> None:
        if not hasattr(self, "root"):
            return
        for lane in self.lanes:
            commands = [command for command, _ in lane.world.host.started]
            assert len(commands) == len(set(commands))

    @invariant()
    def no_stranger_is_signalled(self) -> None:
        if not hasattr(self, "root"):
            return
        for lane in self.lanes:
            assert not {one.to for one in lane.world.host.sent} & set(lane.strangers)

    def settle_everything(self) -> None:
        """However it stands: a leader and some time, and nothing is left open."""
        for lane in self.lanes:
            lane.store.is_away = False
            if lane.leader is None or lane.leader.has_given_up or lane.recovery.has_given_up:
                if lane.leader is not None:
                    lane.world.crash(lane.leader)
                    lane.leader = None
                lane.lead()
            else:
                lane.recovery.run()
            lane.world.run_until(lambda lane=lane: not lane.store.unfinished(), limit_s=10_000)
            lane.world.run(60)
            for job in lane.jobs():
                event(f"{job.status.value}, {job.end_reason and job.end_reason.value}")
                if job.process is not None and "leaks" not in job.spec.command:
                    assert job.uid not in lane.still_there()
        self.both_tell_the_same()
        self.nothing_runs_twice()
        self.no_stranger_is_signalled()
        self.what_has_ended_never_changes()


TestStatusModel = pytest.mark.fault("F-18", "ages")(StatusModel.TestCase)
TestStatusModel.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
