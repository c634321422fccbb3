"""One random sequence of calls, two stores: they always agree, with each other and with the rules."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_coordinator.domain.lease import Lease
from daft_coordinator.errors import RecordConflict, WorktreeLeased
from daft_coordinator.ports import LEADING, JobChange, JobQuery, JobStore, Owner, changed
from daft_coordinator.testing import a_job, an_invocation, an_owner
from daft_coordinator.testing.samples import MORNING, a_process
from daft_protocol.jobs import Invocation, Job
from daft_protocol.status import UNFINISHED, EndReason, JobStatus
from daft_store import ledger

STATUSES = tuple(status for status in JobStatus if status is not JobStatus.UNKNOWN)
WORKTREES = ("main", "feature")
NAMES = ("a", "b", "c")

moments = st.integers(-3600, 3600).map(lambda seconds: MORNING + timedelta(seconds=seconds))
changes = st.fixed_dictionaries(
    {
        "allowed": st.sets(st.sampled_from(STATUSES)),
        "to": st.sampled_from(STATUSES),
        "at": moments,
    },
    optional={
        "set_owner": st.booleans(),
        "process": st.just(a_process()),
        "started_at": moments,
        "finished_at": moments,
        "duration_ms": st.integers(0, 10**7),
        "exit_code": st.integers(0, 255),
        "term_signal": st.sampled_from([9, 15]),
        "end_reason": st.sampled_from(EndReason),
        "end_detail": st.sampled_from(["", "why"]),
        "log_bytes": st.integers(0, 10**12),
    },
)


class StoresAgree(RuleBasedStateMachine):
    """Drives both stores. What the port says, kept as values, is the third opinion."""

    fires = Bundle("fires")
    jobs = Bundle("jobs")
    owners = Bundle("owners")
    leases = Bundle("leases")

    @initialize()
    def open(self) -> None:
        self.root = tempfile.mkdtemp(prefix="daft-model-")
        self.repository = str(uuid.uuid4())
        self.sqlite = SqliteJobStore.open(self.root, self.repository)
        self.memory = MemoryJobStore()
        self.expected: dict[str, Job] = {}
        self.invocations: dict[str, Invocation] = {}
        self.known_owners: dict[str, Owner] = {}
        self.held: dict[str, Lease] = {}

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.sqlite.close()
            shutil.rmtree(self.root)

    def both(self, call: Callable[[JobStore], Any]) -> Any:
        """Do the same with both stores; return what both returned, or raise what both raised."""
        outcomes: list[tuple[Any, type[Exception] | None]] = []
        for store in (self.sqlite, self.memory):
            try:
                outcomes.append((call(store), None))
            except (RecordConflict, WorktreeLeased) as error:
                outcomes.append((None, type(error)))
        assert outcomes[0] == outcomes[1]
        returned, raised = outcomes[0]
        if raised is not None:
            raise raised.__new__(raised)
        return returned

    # --- what is submitted --------------------------------------------------------------------

    @rule(
        target=jobs,
        worktree=st.sampled_from(WORKTREES),
        created_at=moments,
        backgrounds=st.lists(st.booleans(), min_size=1, max_size=3),
        skipped=st.booleans(),
        owner=st.none() | owners,
    )
    def submit(
        self,
        worktree: str,
        created_at: datetime,
        backgrounds: Sequence[bool],
        skipped: bool,
        owner: str | None,
    ) -> Any:
        fire = an_invocation(worktree=worktree, created_at=created_at, coordinator_id=owner)
        jobs = [
            a_job(
                fire,
                name,
                position=place,
                owner=owner,
                spec_background=background,
                spec_working_dir=f"/somewhere/main/{name}" if place else "/",
                status=JobStatus.SKIPPED if skipped and place else JobStatus.QUEUED,
            )
            for place, (name, background) in enumerate(zip(NAMES, backgrounds, strict=False))
        ]
        return multiple(*self.record(fire, jobs))

    @precondition(lambda self: self.invocations)
    @rule(target=jobs, data=st.data(), name=st.sampled_from([*NAMES, "d", "e"]))
    def submit_more(self, data: st.DataObject, name: str) -> Any:
        fire = self.invocations[data.draw(st.sampled_from(list(self.invocations)))]
        return multiple(*self.record(None, [a_job(fire, name, position=9)]))

    @rule(target=jobs, job=jobs)
    def submit_again(self, job: str) -> Any:
        """The same uid a second time, with a sound job before it."""
        fire = an_invocation(worktree="elsewhere")
        jobs = [a_job(fire, "first"), a_job(fire, "second", position=1, uid=job)]
        assert self.record(fire, jobs) == []
        return multiple()

    def record(self, fire: Invocation | None, jobs: list[Job]) -> list[str]:
        taken = {(one.invocation_id, one.name) for one in self.expected.values()}
        leased = [one for one in jobs if one.worktree in self.held and not one.status.is_final]
        conflict = any(
            one.uid in self.expected or (one.invocation_id, one.name) in taken for one in jobs
        )
        try:
            returned = self.both(lambda store: store.record(fire, jobs))
        except RecordConflict:
            assert conflict
            return []
        except WorktreeLeased:
            assert leased
            return []
        assert not conflict
        assert not leased
        assert returned == tuple(jobs)
        if fire is not None:
            self.invocations[fire.invocation_id] = fire
        self.expected.update((job.uid, job) for job in jobs)
        return [job.uid for job in jobs]

    # --- what changes -------------------------------------------------------------------------

    @rule(
        drawn=st.lists(st.tuples(jobs, changes), min_size=1, max_size=4), owner=st.none() | owners
    )
    def change(self, drawn: list[tuple[str, dict[str, Any]]], owner: str | None) -> None:
        batch = [
            JobChange(job_uid=uid, owner=owner if fields.get("set_owner") else None, **fields)
            for uid, fields in drawn
        ]

        done = self.both(lambda store: store.apply(batch))

        for change, made in zip(batch, done, strict=True):
            job = self.expected[change.job_uid]
            assert made == (not job.status.is_final and job.status in change.allowed)
            if made:
                self.expected[job.uid] = changed(job, change)

    @rule(job=jobs, end=st.sampled_from([JobStatus.COMPLETED, JobStatus.FAILED]), at=moments)
    def run_to_the_end(self, job: str, end: JobStatus, at: datetime) -> None:
        """What happens most: otherwise few of these stories would get beyond a first change."""
        start = JobChange(
            job_uid=job, allowed=(JobStatus.QUEUED,), to=JobStatus.RUNNING, at=at, started_at=at
        )
        finish = evolve(
            start, allowed=(JobStatus.RUNNING,), to=end, started_at=None, duration_ms=1234
        )
        waits = self.expected[job].status

        done = self.both(lambda store: store.apply([start, finish]))

        assert done == (waits is JobStatus.QUEUED, waits in (JobStatus.QUEUED, JobStatus.RUNNING))
        for change, made in zip((start, finish), done, strict=True):
            if made:
                self.expected[job] = changed(self.expected[job], change)

    @precondition(lambda self: self.invocations)
    @rule(data=st.data(), owner=owners)
    def claim(self, data: st.DataObject, owner: str) -> None:
        fire = data.draw(st.sampled_from(list(self.invocations)))

        self.both(lambda store: store.claim(fire, owner))

        for job in list(self.expected.values()):
            waits = job.status is JobStatus.QUEUED and job.spec.background
            has = self.known_owners.get(job.owner or "")
            is_led = has is not None and has.kind in LEADING
            if job.invocation_id == fire and waits and job.owner != owner and not is_led:
                self.expected[job.uid] = evolve(job, owner=owner)
                self.invocations[fire] = evolve(self.invocations[fire], coordinator_id=owner)

    @rule(worktree=st.sampled_from(WORKTREES), to=st.sampled_from(WORKTREES))
    def relabel(self, worktree: str, to: str) -> None:
        moved = {uid for uid, fire in self.invocations.items() if fire.worktree == worktree}
        old, new = f"/somewhere/{worktree}", f"/somewhere/{to}"

        count = self.both(lambda store: store.relabel(worktree, to, old_path=old, path=new))

        assert count == len(moved)
        for uid in moved:
            fire = self.invocations[uid]
            there = new if fire.worktree_path == old else fire.worktree_path
            self.invocations[uid] = evolve(fire, worktree=to, worktree_path=there)
        for job in list(self.expected.values()):
            if job.invocation_id in moved:
                below = job.spec.working_dir.removeprefix(old)
                there = new + below if below != job.spec.working_dir else below
                spec = evolve(job.spec, working_dir=there)
                self.expected[job.uid] = evolve(job, worktree=to, spec=spec)

    # --- owners and leases --------------------------------------------------------------------

    @rule(target=owners, kind=st.sampled_from(["embedded", "command", *LEADING]))
    def register(self, kind: str) -> str:
        owner = an_owner(kind=kind)
        self.both(lambda store: store.register(owner))
        self.known_owners[owner.id] = owner
        return owner.id

    @rule(owner=owners)
    def retire(self, owner: str) -> None:
        self.both(lambda store: store.retire(owner))
        self.known_owners.pop(owner, None)

    @rule(target=leases, worktree=st.sampled_from(WORKTREES))
    def take_lease(self, worktree: str) -> str:
        lease = Lease(
            id=str(uuid.uuid4()),
            worktree=worktree,
            purpose="being removed",
            process=a_process(),
            taken_at=MORNING,
            expires_at=MORNING + timedelta(hours=1),
        )
        in_the_way = self.both(lambda store: store.take_lease(lease))
        assert in_the_way == self.held.get(worktree)
        self.held.setdefault(worktree, lease)
        return lease.id

    @rule(lease=consumes(leases))
    def drop_lease(self, lease: str) -> None:
        self.both(lambda store: store.drop_lease(lease))
        self.held = {tree: held for tree, held in self.held.items() if held.id != lease}

    @rule()
    def open_again(self) -> None:
        self.sqlite.close()
        self.sqlite = SqliteJobStore.open(self.root, self.repository)

    # --- what always holds --------------------------------------------------------------------

    @invariant()
    def everything_is_as_it_was_recorded(self) -> None:
        if not hasattr(self, "root"):
            return
        for fire, invocation in self.invocations.items():
            assert self.both(lambda store, fire=fire: store.invocation(fire)) == invocation
            jobs = [job for job in self.expected.values() if job.invocation_id == fire]
            found = self.both(lambda store, fire=fire: store.jobs_of(fire))
            assert sorted(found, key=lambda job: job.uid) == sorted(jobs, key=lambda job: job.uid)
        assert len(self.both(lambda store: store.recent_invocations())) == len(self.invocations)
        page, after = self.both(lambda store: store.find_jobs(JobQuery()))
        assert (list(page), after) == (list(self.expected.values()), None)

    @invariant()
    def the_unfinished_are_told(self) -> None:
        if not hasattr(self, "root"):
            return
        for store in (self.sqlite, self.memory):
            found = {job.uid: job for job in store.unfinished()}
            assert found == {
                uid: job for uid, job in self.expected.items() if job.status in UNFINISHED
            }
            owners = {owner.id: owner for owner in store.owners()}
            assert owners == self.known_owners

    @invariant()
    def both_know_the_same_durations(self) -> None:
        if hasattr(self, "root"):
            self.both(lambda store: store.durations())

    @invariant()
    def the_counters_are_true(self) -> None:
        if not hasattr(self, "root"):
            return
        for fire in self.invocations:
            row = ledger.get_invocation(self.sqlite._db, self.repository, fire)
            assert row is not None
            jobs = [job for job in self.expected.values() if job.invocation_id == fire]
            assert row.job_count == len(jobs)
            assert row.unfinished_count == sum(not job.status.is_final for job in jobs)
            assert row.failed_count == sum(
                job.status in (JobStatus.FAILED, JobStatus.CRASHED) for job in jobs
            )


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
