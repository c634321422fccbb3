"""What every `JobStore` must do."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from attrs import evolve

from daft_protocol.status import (
    JobStatus,
)

from ..errors import StoreUnavailable, WorktreeLeased
from ..ports import JobStore
from .promises import promised
from .samples import LATER, a_job, a_lease, an_invocation, an_owner
from .store_changing_suite import ChangingSuite, a_change, finished
from .store_reading_suite import ReadingSuite
from .store_recording_suite import RecordingSuite


class JobStoreSuite(RecordingSuite, ChangingSuite, ReadingSuite):
    """Holds a `JobStore` to its port. Subclass it and supply the fixture `store`, an empty one.

    `reopen` and `cut_off` are fixtures to override where the adapter can do it; what they are
    needed for is skipped otherwise.
    """

    @pytest.fixture
    def cut_off(self) -> Callable[[], AbstractContextManager[None]] | None:
        """Return a context in which the storage of `store` takes no change; None: none fails."""
        return None

    # --- leases and labels --------------------------------------------------------------------

    @promised(
        JobStore.take_lease,
        "Keep the lease unless its worktree has one; return the one that is in the way, or None.",
        "Whether the holder of another lease still lives is not looked at.",
    )
    @promised(JobStore.drop_lease, "Forget a lease; a lease that is not there changes nothing.")
    def test_a_worktree_has_one_lease(self, store: JobStore) -> None:
        """The first holds until it is dropped, whoever holds it; other worktrees are free."""
        first, second = a_lease(worktree="a/ü"), a_lease(worktree="a/ü")

        assert store.take_lease(first) is None
        assert store.take_lease(second) == first
        assert store.take_lease(a_lease(worktree="other")) is None
        store.drop_lease(second.id)
        assert store.take_lease(second) == first
        store.drop_lease(first.id)
        assert store.take_lease(second) is None

    @promised(
        JobStore.record,
        "Raises: WorktreeLeased when a job that is not final is for a worktree with a lease other "
        "than `lease`; then nothing was recorded.",
    )
    def test_a_leased_worktree_takes_jobs_of_its_holder_only(self, store: JobStore) -> None:
        """Others are refused whole; what never runs may be recorded, and so may other worktrees."""
        lease = a_lease(worktree="main")
        store.take_lease(lease)
        fire, elsewhere = an_invocation(), an_invocation(worktree="other")
        jobs = [a_job(fire, "one", status=JobStatus.SKIPPED), a_job(fire, "two", position=1)]

        with pytest.raises(WorktreeLeased) as caught:
            store.record(fire, jobs)

        assert caught.value.lease == lease
        assert store.invocation(fire.invocation_id) is None
        assert store.record(elsewhere, [a_job(elsewhere)])
        assert store.record(fire, jobs[:1])
        with pytest.raises(WorktreeLeased):
            store.record(None, jobs[1:], lease="another")
        assert store.record(None, jobs[1:], lease=lease.id)
        store.drop_lease(lease.id)
        again = an_invocation()
        assert store.record(again, [a_job(again)])

    @promised(
        JobStore.relabel,
        "Move every invocation from one label to another, whole, those that have ended too.",
        "Returns how many invocations that were.",
    )
    def test_the_record_follows_its_worktree(self, store: JobStore) -> None:
        """With all jobs, whatever their status; other worktrees keep theirs."""
        active, ended, other = an_invocation(), an_invocation(), an_invocation(worktree="other")
        done = {"status": JobStatus.COMPLETED, "finished_at": LATER}
        store.record(active, [a_job(active, "one", **done), a_job(active, "two", position=1)])
        store.record(ended, [a_job(ended, **done)])
        others = store.record(other, [a_job(other)])

        moving = {"old_path": active.worktree_path, "path": "/new/place"}
        assert store.relabel("main", "näw", **moving) == 2

        for fire in (active, ended):
            moved = store.invocation(fire.invocation_id)
            assert moved == evolve(fire, worktree="näw", worktree_path="/new/place")
            assert {job.worktree for job in store.jobs_of(fire.invocation_id)} == {"näw"}
        assert store.invocation(other.invocation_id) == other
        assert store.jobs_of(other.invocation_id) == others
        assert store.relabel("main", "again", **moving) == 0

    @promised(
        JobStore.relabel,
        "old_path, path: where the worktree was, and is now.",
        "An invocation that was there, and a working directory there or below, moves along.",
    )
    def test_what_waits_starts_where_its_worktree_is_now(self, store: JobStore) -> None:
        """Names that only begin alike are other places, and any bytes may be in a name."""
        moves = {
            "/w/a": "/w/n\udcff",
            "/w/a/deep/er": "/w/n\udcff/deep/er",
            "/w/a/\udcfe": "/w/n\udcff/\udcfe",
            "/w/ab": "/w/ab",
            "/w": "/w",
            "/elsewhere/w/a": "/elsewhere/w/a",
        }
        fire = an_invocation(worktree_path="/w/elsewhere")
        jobs = [
            a_job(fire, f"job{place}", position=place, spec_working_dir=directory)
            for place, directory in enumerate(moves)
        ]
        store.record(fire, jobs)

        assert store.relabel("main", "new", old_path="/w/a", path="/w/n\udcff") == 1

        assert store.invocation(fire.invocation_id) == evolve(fire, worktree="new")
        assert store.jobs_of(fire.invocation_id) == tuple(
            evolve(job, worktree="new", spec=evolve(job.spec, working_dir=moves[place]))
            for job, place in zip(jobs, moves, strict=True)
        )

    # --- logs, the end, and trouble -----------------------------------------------------------

    @promised(
        JobStore.log_directory,
        "Return the directory for the job's log, created; None when logs are not kept.",
    )
    def test_each_job_has_a_directory_of_its_own(self, store: JobStore) -> None:
        """It exists, it is the same each time, and no other job's."""
        fire, other = an_invocation(), an_invocation()
        jobs = [a_job(fire, "a"), a_job(fire, "../a"), a_job(other, "a")]
        store.record(fire, jobs[:2])
        store.record(other, jobs[2:])

        found = [store.log_directory(job) for job in jobs]

        assert [store.log_directory(job) for job in jobs] == found
        kept = [path for path in found if path is not None]
        assert len(kept) in (0, 3)
        assert len(set(kept)) == len(kept)
        assert all(os.path.isdir(path) for path in kept)

    @promised(JobStore.close, "Let go of the storage.", "Calling it again does nothing.")
    def test_it_can_be_closed_twice(self, store: JobStore) -> None:
        """Whoever cleans up need not know whether somebody did."""
        store.close()
        store.close()

    @promised(JobStore, "Keeps invocations and jobs.")
    def test_what_is_stored_outlives_who_stored_it(
        self, store: JobStore, reopen: Callable[[], JobStore] | None
    ) -> None:
        """Opened anew, everything is as it was."""
        if reopen is None:
            pytest.skip("this store keeps nothing beyond its process")
        fire = an_invocation()
        jobs = store.record(fire, [a_job(fire, "one"), a_job(fire, "two", position=1)])
        owner = an_owner()
        store.register(owner)
        finished(store, "build", 4)
        store.close()

        again = reopen()
        try:
            assert again.invocation(fire.invocation_id) == fire
            assert again.jobs_of(fire.invocation_id) == jobs
            assert again.owners() == (owner,)
            assert again.durations() == {("post-create", "build"): 4}
        finally:
            again.close()

    @promised(
        JobStore,
        "A method that cannot reach its storage raises `StoreUnavailable` and has changed nothing.",
    )
    @promised(JobStore, "Every method is one transaction.")
    def test_a_storage_that_takes_nothing_is_said_and_nothing_changes(
        self, store: JobStore, cut_off: Callable[[], AbstractContextManager[None]] | None
    ) -> None:
        """Every method that writes raises the one error callers know how to survive."""
        if cut_off is None:
            pytest.skip("the storage of this store cannot be made to fail")
        fire, other = an_invocation(), an_invocation()
        before = store.record(fire, [a_job(fire, "one"), a_job(fire, "two", position=1)])
        owner, late, held = an_owner(), an_owner(), a_lease(worktree="held")
        store.register(owner)
        store.take_lease(held)
        attempts: list[Callable[[], object]] = [
            lambda: store.record(other, [a_job(other)]),
            lambda: store.apply([a_change(job, JobStatus.RUNNING) for job in before]),
            lambda: store.claim(fire.invocation_id, owner.id),
            lambda: store.register(late),
            lambda: store.retire(owner.id),
            lambda: store.take_lease(a_lease()),
            lambda: store.drop_lease(held.id),
            lambda: store.relabel("main", "other", old_path="/", path="/elsewhere"),
        ]

        with cut_off():
            for attempt in attempts:
                with pytest.raises(StoreUnavailable):
                    attempt()

        assert store.jobs_of(fire.invocation_id) == before
        assert store.invocation(other.invocation_id) is None
        assert store.owners() == (owner,)
        assert store.take_lease(a_lease(worktree="held")) == held
        assert store.take_lease(a_lease()) is None
        assert store.apply([a_change(before[0], JobStatus.RUNNING)]) == (True,)
