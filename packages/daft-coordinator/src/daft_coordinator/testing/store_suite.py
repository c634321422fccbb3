"""What every `JobStore` must do."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from daft_protocol.jobs import BackgroundOutput, Invocation, Job, LogPolicy, RunMode, Skip
from daft_protocol.status import (
    UNFINISHED,
    EndReason,
    InvocationStatus,
    JobStatus,
    SkipKind,
    Source,
)

from ..errors import RecordConflict, StoreUnavailable, WorktreeLeased
from ..ports import JobChange, JobQuery, JobStore, Owner, changed
from .promises import promised
from .samples import MORNING, a_job, a_lease, a_process, an_invocation, an_owner

FINAL = tuple(status for status in JobStatus if status.is_final and status is not JobStatus.UNKNOWN)
LATER = MORNING + timedelta(minutes=5, microseconds=123456)


def a_change(job: Job, to: JobStatus, **given: Any) -> JobChange:
    """Return a change of `job` that is allowed from any status; `given` are its fields."""
    fields: dict[str, Any] = {"allowed": tuple(JobStatus), "at": LATER, **given}
    return JobChange(job_uid=job.uid, to=to, **fields)


def finished(store: JobStore, name: str, seconds: float, hook_type: str = "post-create") -> None:
    """Have a job called `name` completed after `seconds`."""
    fire = an_invocation(hook_type=hook_type)
    (job,) = store.record(fire, [a_job(fire, name, status=JobStatus.RUNNING)])
    store.apply([a_change(job, JobStatus.COMPLETED, duration_ms=int(seconds * 1000))])


class JobStoreSuite:
    """Holds a `JobStore` to its port. Subclass it and supply the fixture `store`, an empty one.

    `reopen` and `cut_off` are fixtures to override where the adapter can do it; what they are
    needed for is skipped otherwise.
    """

    @pytest.fixture
    def reopen(self) -> Callable[[], JobStore] | None:
        """Return a function that opens what `store` keeps a second time; None: it is not kept."""
        return None

    @pytest.fixture
    def cut_off(self) -> Callable[[], AbstractContextManager[None]] | None:
        """Return a context in which the storage of `store` takes no change; None: none fails."""
        return None

    # --- recording ----------------------------------------------------------------------------

    @promised(
        JobStore.record,
        "Add an invocation (None: it exists) and its jobs; return the jobs as they are stored.",
    )
    @promised(JobStore, "Keeps invocations and jobs.")
    @promised(JobStore.invocation, "Return one invocation, or None when it is not recorded.")
    @promised(JobStore.job, "Return one job, or None when it is not recorded.")
    def test_what_is_recorded_comes_back(self, store: JobStore) -> None:
        """The invocation and its jobs, each as it was given; what is not recorded is None."""
        fire = an_invocation()
        jobs = [a_job(fire, "one"), a_job(fire, "two", position=1, spec_needs=("one",))]

        recorded = store.record(fire, jobs)

        assert recorded == tuple(jobs)
        assert store.invocation(fire.invocation_id) == fire
        assert [store.job(job.uid) for job in jobs] == jobs
        assert store.invocation("f" * 16) is None
        assert store.job("f" * 32) is None

    @promised(
        JobStore.record,
        "Add an invocation (None: it exists) and its jobs; return the jobs as they are stored.",
    )
    def test_an_invocation_takes_more_jobs_later(self, store: JobStore) -> None:
        """With None for an invocation the jobs go to one that is there."""
        fire = an_invocation()
        first = store.record(fire, [a_job(fire, "one")])

        more = store.record(None, [a_job(fire, "two", position=1)])

        assert store.jobs_of(fire.invocation_id) == (*first, *more)

    @promised(
        JobStore.record,
        "Add an invocation (None: it exists) and its jobs; return the jobs as they are stored.",
    )
    def test_an_invocation_may_have_no_jobs(self, store: JobStore) -> None:
        """A fire that was skipped whole is recorded with its reason."""
        fire = an_invocation(
            status=InvocationStatus.SKIPPED, skip_reason="not trusted", source=Source.MANUAL
        )

        assert store.record(fire, []) == ()
        assert store.invocation(fire.invocation_id) == fire
        assert store.jobs_of(fire.invocation_id) == ()

    @promised(
        JobStore.record,
        "Add an invocation (None: it exists) and its jobs; return the jobs as they are stored.",
    )
    def test_no_field_of_a_job_is_lost(self, store: JobStore) -> None:
        """A job with everything set, odd names among it, reads back equal."""
        fire = an_invocation(worktree="feat/ü", worktree_id="w-1", coordinator_id="c-1")
        job = a_job(
            fire,
            "odd: name/é 'x'",
            position=7,
            status=JobStatus.FAILED,
            updated_at=LATER,
            started_at=LATER,
            finished_at=LATER + timedelta(seconds=1),
            duration_ms=1000,
            exit_code=3,
            term_signal=15,
            end_reason=EndReason.TIMEOUT,
            end_detail="too long",
            process=a_process(),
            owner="c-1",
            mode=RunMode.PIPED,
            max_parallel=2,
            log_bytes=1,
            log_records=2,
            log_dropped=3,
            retry_of=("a" * 16, "odd"),
            spec_command="echo 'a\nb' \"$HOME\"",
            spec_working_dir="/some where",
            spec_env={"PLAIN": "x=y", "EMPTY": ""},
            spec_needs=("a", "b"),
            spec_full_needs=("a", "b", "c"),
            spec_after=("d",),
            spec_declared_background=True,
            spec_background_output=BackgroundOutput.SILENT,
            spec_description="what it is",
            spec_fail_text="what to do",
            spec_interactive=True,
            spec_tags=("t", "u"),
            spec_timeout_s=1.5,
            spec_priority=-3,
            spec_log=LogPolicy(retention_s=5, limit_bytes=6, keep_every_nth=7),
            spec_skip=Skip(kind=SkipKind.PLATFORM, reason="not on this system"),
        )

        assert store.record(fire, [job]) == (job,)
        assert store.job(job.uid) == job

    @promised(
        JobStore.record,
        "Add an invocation (None: it exists) and its jobs; return the jobs as they are stored.",
    )
    @pytest.mark.parametrize("timeout_s", [None, 0.25, 300.0])
    def test_a_limit_and_the_lack_of_one_are_two_things(
        self, store: JobStore, timeout_s: float | None
    ) -> None:
        """No time-out must not become the usual one on the way."""
        fire = an_invocation()
        (job,) = store.record(fire, [a_job(fire, spec_timeout_s=timeout_s)])

        assert store.jobs_of(fire.invocation_id)[0].spec.timeout_s == job.spec.timeout_s
        assert job.spec.timeout_s == timeout_s

    @promised(
        JobStore.record,
        "Values that must not be kept are left out of the stored `spec.env`; their names are in "
        "`removed_env` of what is returned.",
    )
    def test_a_secret_is_kept_out_or_kept_whole(
        self, store: JobStore, reopen: Callable[[], JobStore] | None
    ) -> None:
        """A store that outlives the process leaves secrets out, and tells which."""
        fire = an_invocation()
        given = {"PLAIN": "x", "API_KEY": "hush", "URL": "https://me:hush@host/p"}

        (returned,) = store.record(fire, [a_job(fire, spec_env=given)])
        stored = store.job(returned.uid)

        assert stored is not None
        assert stored.removed_env == returned.removed_env
        assert stored.spec.env["PLAIN"] == "x"
        changed_names = {name for name in given if stored.spec.env.get(name) != given[name]}
        assert changed_names == set(returned.removed_env)
        if reopen is not None:
            assert "hush" not in repr(stored)
            assert set(returned.removed_env) == {"API_KEY", "URL"}

    @promised(
        JobStore.record,
        "Raises: RecordConflict when the invocation, a job's uid or a job's name within its "
        "invocation is recorded already, or when the invocation is not; then nothing was recorded.",
    )
    @promised(JobStore, "Every method is one transaction.")
    @pytest.mark.parametrize("what", ["invocation", "uid", "name", "twice", "unknown"])
    def test_a_conflict_records_nothing(self, store: JobStore, what: str) -> None:
        """Whichever of its parts conflicts, no other part is recorded either."""
        fire, other = an_invocation(), an_invocation()
        (there,) = store.record(fire, [a_job(fire, "there")])
        fresh = a_job(other, "fresh")
        attempt: tuple[Invocation | None, list[Job]]
        if what == "invocation":
            attempt = (fire, [a_job(fire, "fresh", uid=fresh.uid)])
        elif what == "uid":
            attempt = (other, [fresh, a_job(other, "second", uid=there.uid)])
        elif what == "name":
            attempt = (None, [a_job(fire, "new", uid=fresh.uid), a_job(fire, "there")])
        elif what == "twice":
            attempt = (other, [fresh, a_job(other, "fresh")])
        else:
            attempt = (None, [fresh])

        with pytest.raises(RecordConflict):
            store.record(*attempt)

        assert store.jobs_of(fire.invocation_id) == (there,)
        assert store.invocation(other.invocation_id) is None
        assert store.job(fresh.uid) is None

    # --- changing -----------------------------------------------------------------------------

    @promised(
        JobStore.apply,
        "Make each change whose guard holds, all in one transaction; False: it was refused.",
    )
    @promised(JobChange, "One guarded change of a job's row.")
    @promised(
        JobChange,
        "allowed: statuses the row may have before; in any other the change is refused.",
    )
    def test_a_change_is_made_only_from_where_it_is_allowed(self, store: JobStore) -> None:
        """Of three changes the guarded one and the one of nothing are refused, in their places."""
        fire = an_invocation()
        one, two = store.record(fire, [a_job(fire, "one"), a_job(fire, "two", position=1)])
        start = a_change(one, JobStatus.RUNNING, allowed=(JobStatus.QUEUED,), started_at=LATER)
        refused = a_change(two, JobStatus.COMPLETED, allowed=(JobStatus.RUNNING,))
        nobody = evolve(start, job_uid="f" * 32)
        never = evolve(start, allowed=())

        assert store.apply([refused, nobody, never, start]) == (False, False, False, True)

        assert store.jobs_of(fire.invocation_id) == (changed(one, start), two)
        assert store.apply([]) == ()

    @promised(
        JobStore.apply,
        "Make each change whose guard holds, all in one transaction; False: it was refused.",
    )
    def test_changes_of_one_job_follow_each_other(self, store: JobStore) -> None:
        """A later change of a batch sees what an earlier one made."""
        fire = an_invocation()
        (job,) = store.record(fire, [a_job(fire)])
        start = a_change(job, JobStatus.RUNNING, allowed=(JobStatus.QUEUED,))
        end = a_change(job, JobStatus.FAILED, allowed=(JobStatus.RUNNING,), exit_code=1)

        assert store.apply([start, start, end]) == (True, False, True)
        assert store.job(job.uid) == changed(changed(job, start), end)

    @promised(JobStore.apply, "A job in a final status is never changed, whatever `allowed` says.")
    @pytest.mark.parametrize("final", FINAL)
    def test_what_has_ended_never_changes(self, store: JobStore, final: JobStatus) -> None:
        """Not to another end, not back to life, and not in any other field."""
        fire = an_invocation()
        (job,) = store.record(fire, [a_job(fire, status=JobStatus.RUNNING)])
        assert store.apply([a_change(job, final)]) == (True,)
        before = store.job(job.uid)

        again = [
            a_change(job, to, end_detail="changed", set_owner=True, owner="x") for to in JobStatus
        ]

        assert not any(store.apply(again))
        assert store.job(job.uid) == before

    @promised(JobChange, "Fields left at None keep what the row has.")
    @promised(JobChange, 'set_owner: give the row to `owner`, which may be None for "nobody".')
    def test_a_change_touches_what_it_names(self, store: JobStore) -> None:
        """What one change sets, the next one that is silent about it leaves."""
        fire = an_invocation()
        (job,) = store.record(fire, [a_job(fire, owner="first")])
        full = a_change(
            job,
            JobStatus.RUNNING,
            process=a_process(),
            started_at=LATER,
            finished_at=LATER,
            duration_ms=0,
            exit_code=0,
            term_signal=9,
            end_reason=EndReason.STALE,
            end_detail="",
            log_bytes=10,
            log_records=11,
            log_dropped=12,
        )
        silent = a_change(job, JobStatus.CANCELLING, at=LATER + timedelta(seconds=1))
        given = a_change(job, JobStatus.CANCELLING, set_owner=True, owner="second")
        freed = a_change(job, JobStatus.CANCELLING, set_owner=True, owner=None)

        expected = job
        for change in (full, silent, given, freed):
            assert store.apply([change]) == (True,)
            expected = changed(expected, change)
            assert store.job(job.uid) == expected

        assert expected.owner is None
        assert expected.process == a_process()

    @promised(
        JobStore.apply, "A job that becomes completed adds its `duration_ms` to the durations."
    )
    @promised(JobStore.durations, "Return (hook type, job name) -> seconds that job usually takes.")
    def test_durations_follow_what_was_measured(self, store: JobStore) -> None:
        """The first run counts fully; later ones move it between the old and the new value."""
        assert store.durations() == {}
        finished(store, "build", 10)
        assert store.durations() == {("post-create", "build"): 10}

        finished(store, "build", 20)
        usual = store.durations()["post-create", "build"]
        finished(store, "build", 1, hook_type="pre-remove")

        assert 10 < usual < 20
        assert store.durations() == {
            ("post-create", "build"): usual,
            ("pre-remove", "build"): 1,
        }

    @promised(
        JobStore.apply, "A job that becomes completed adds its `duration_ms` to the durations."
    )
    @pytest.mark.parametrize("status", [one for one in FINAL if one is not JobStatus.COMPLETED])
    def test_only_a_success_says_how_long_a_job_takes(
        self, store: JobStore, status: JobStatus
    ) -> None:
        """One that was stopped half way would make the next look short."""
        fire = an_invocation()
        running = [a_job(fire, name, status=JobStatus.RUNNING) for name in ("ended", "unmeasured")]
        ended, unmeasured = store.record(fire, running)

        store.apply([a_change(ended, status, duration_ms=5)])
        store.apply([a_change(unmeasured, JobStatus.COMPLETED)])

        assert store.durations() == {}

    # --- claiming -----------------------------------------------------------------------------

    @promised(
        JobStore.claim,
        "Give the queued background jobs of an invocation to `owner`; return all its jobs.",
        "Where there was any to give, the invocation goes to `owner` with them.",
    )
    def test_a_claim_takes_what_waits_in_the_background(self, store: JobStore) -> None:
        """Nothing that runs, nothing that ended, no foreground job, no other invocation."""
        fire, other = an_invocation(coordinator_id="command"), an_invocation()
        jobs = [
            a_job(fire, "waits", owner="command"),
            a_job(fire, "nobody's", position=1),
            a_job(fire, "front", position=2, owner="command", spec_background=False),
            a_job(fire, "runs", position=3, owner="command", status=JobStatus.RUNNING),
            a_job(fire, "ended", position=4, status=JobStatus.COMPLETED),
        ]
        store.record(fire, jobs)
        store.record(other, [a_job(other, "waits")])

        claimed = store.claim(fire.invocation_id, "leader")

        expected = [evolve(job, owner="leader") for job in jobs[:2]] + jobs[2:]
        assert claimed == tuple(expected) == store.jobs_of(fire.invocation_id)
        assert store.invocation(fire.invocation_id) == evolve(fire, coordinator_id="leader")
        assert store.jobs_of(other.invocation_id)[0].owner is None
        assert store.claim(fire.invocation_id, "leader") == tuple(expected)

    @promised(
        JobStore.claim,
        "Give the queued background jobs of an invocation to `owner`; return all its jobs.",
        "Where there was any to give, the invocation goes to `owner` with them.",
    )
    def test_a_claim_of_nothing_changes_nothing(self, store: JobStore) -> None:
        """An invocation without waiting jobs stays with whom it was; an unknown one has none."""
        fire = an_invocation(coordinator_id="command")
        jobs = store.record(fire, [a_job(fire, owner="command", spec_background=False)])

        assert store.claim(fire.invocation_id, "leader") == jobs
        assert store.invocation(fire.invocation_id) == fire
        assert store.claim("f" * 16, "leader") == ()

    # --- reading ------------------------------------------------------------------------------

    @promised(JobStore.jobs_of, "Return the jobs of an invocation in the order they were declared.")
    def test_jobs_come_in_the_order_they_were_declared(self, store: JobStore) -> None:
        """By position, in whatever order they were handed over."""
        fire, other = an_invocation(), an_invocation()
        shuffled = [a_job(fire, f"j{place}", position=place) for place in (3, 0, 2, 1)]
        store.record(fire, shuffled)
        store.record(other, [a_job(other)])

        assert [job.position for job in store.jobs_of(fire.invocation_id)] == [0, 1, 2, 3]
        assert store.jobs_of("f" * 16) == ()

    @promised(
        JobStore.unfinished, "Return every job that is not final, in the order they were recorded."
    )
    def test_the_unfinished_are_all_that_are_not_final(self, store: JobStore) -> None:
        """Of every invocation, and no other job; whatever the wall clock said meanwhile."""
        late = an_invocation()
        early = an_invocation(created_at=MORNING - timedelta(days=1))
        every = [
            a_job(late, status.value, status=status)
            for status in JobStatus
            if status is not JobStatus.UNKNOWN
        ]
        store.record(late, every)
        jumped = a_job(early, queued_at=MORNING - timedelta(days=1))
        store.record(early, [jumped])

        found = store.unfinished()

        assert list(found) == [job for job in every if job.status in UNFINISHED] + [jumped]

    @promised(
        JobStore.find_jobs,
        "Return one page of jobs, oldest first, and the `after` of the next page if any.",
    )
    @promised(
        JobQuery,
        "Which jobs to read; None does not narrow.",
        "limit: most jobs of one page, at least 1.",
        "after: position of the last job of the page before, as `JobStore.find_jobs` returned it; "
        "a text that is no such position begins at the start.",
    )
    def test_pages_meet_without_gap_or_overlap(self, store: JobStore) -> None:
        """Every job once, oldest first; the last page names no next one."""
        fires = [an_invocation() for _ in range(3)]
        jobs = [a_job(fire, f"j{place}", position=place) for fire in fires for place in range(5)]
        for fire, first in zip(fires, range(0, 15, 5), strict=True):
            store.record(fire, jobs[first : first + 5])

        for limit in (1, 2, 5, 15, 16):
            seen: list[Job] = []
            after: str | None = None
            for _ in jobs:  # as many pages as there can be, so that a store in a circle ends
                page, after = store.find_jobs(JobQuery(limit=limit, after=after))
                assert 0 < len(page) <= limit
                seen += page
                if after is None:
                    break
            assert after is None
            assert seen == jobs
        assert store.find_jobs(JobQuery(after="no position")) == (tuple(jobs), None)
        with pytest.raises(ValueError, match="limit"):
            JobQuery(limit=0)

    @promised(JobQuery, "Which jobs to read; None does not narrow.")
    def test_a_query_narrows_by_everything_it_names(self, store: JobStore) -> None:
        """Each predicate alone, several together, and over pages."""
        here, there = an_invocation(), an_invocation(worktree="feature")
        a, b = a_job(here, "a"), a_job(here, "b", position=1, status=JobStatus.RUNNING)
        c, d = a_job(there, "a"), a_job(there, "d", position=1, status=JobStatus.FAILED)
        store.record(here, [a, b])
        store.record(there, [c, d])

        def found(**predicates: Any) -> list[Job]:
            page, after = store.find_jobs(JobQuery(**predicates))
            assert after is None
            return list(page)

        assert found() == [a, b, c, d]
        assert found(invocation_id=there.invocation_id) == [c, d]
        assert found(worktree="main") == [a, b]
        assert found(name="a") == [a, c]
        assert found(statuses={JobStatus.QUEUED, JobStatus.RUNNING}) == [a, b, c]
        assert found(statuses={JobStatus.FAILED, JobStatus.QUEUED}) == [a, c, d]
        assert found(statuses=()) == []
        assert found(name="a", worktree="feature", statuses=(JobStatus.QUEUED,)) == [c]
        assert found(name="a", invocation_id=there.invocation_id, worktree="main") == []
        page, after = store.find_jobs(JobQuery(name="a", limit=1))
        assert (page, after is None) == ((a,), False)
        assert store.find_jobs(JobQuery(name="a", limit=1, after=after)) == ((c,), None)

    @promised(JobStore.recent_invocations, "Return the newest invocations, newest first.")
    def test_the_newest_invocations_come_first(self, store: JobStore) -> None:
        """By when they were made, whenever they were recorded."""
        fires = [
            an_invocation(created_at=MORNING + timedelta(seconds=offset)) for offset in (5, 9, 1, 7)
        ]
        for fire in fires:
            store.record(fire, [])
        newest = sorted(fires, key=lambda fire: fire.created_at, reverse=True)

        assert store.recent_invocations() == tuple(newest)
        assert store.recent_invocations(limit=2) == tuple(newest[:2])

    # --- owners -------------------------------------------------------------------------------

    @promised(JobStore.register, "Make `owner` known, before any row names it.")
    @promised(JobStore.retire, "Note that an owner has ended in good order.")
    @promised(JobStore.owners, "Return every owner that did not retire.")
    @promised(Owner, "A process that answers for jobs.")
    @promised(
        Owner,
        'kind: "leader" of a repository, a "command" running its own foreground, or "embedded".',
    )
    def test_an_owner_is_known_until_it_retires(self, store: JobStore) -> None:
        """With everything that tells whether it still lives; rows that name it stay."""
        leader = an_owner(kind="leader", socket_path="/run/socket")
        command = an_owner(kind="command", process=a_process(4712))
        embedded = an_owner(process=a_process(4713))
        for owner in (leader, command, embedded):
            store.register(owner)
        fire = an_invocation(coordinator_id=command.id)
        (job,) = store.record(fire, [a_job(fire, owner=command.id)])

        assert {owner.id: owner for owner in store.owners()} == {
            owner.id: owner for owner in (leader, command, embedded)
        }
        store.retire(command.id)
        store.retire(command.id)
        store.retire("nobody")

        assert {owner.id for owner in store.owners()} == {leader.id, embedded.id}
        assert store.job(job.uid) == job

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
        "Move every invocation with an unfinished job from one label to another, whole.",
        "path: where the worktree is now.",
        "Returns how many invocations that were.",
    )
    def test_what_is_unfinished_follows_its_worktree(self, store: JobStore) -> None:
        """An invocation goes with all its jobs; one that has ended keeps the old label."""
        active, ended, other = an_invocation(), an_invocation(), an_invocation(worktree="other")
        done = {"status": JobStatus.COMPLETED, "finished_at": LATER}
        store.record(active, [a_job(active, "one", **done), a_job(active, "two", position=1)])
        store.record(ended, [a_job(ended, **done)])
        store.record(other, [a_job(other)])

        assert store.relabel("main", "näw", path="/new/place") == 1

        moved = store.invocation(active.invocation_id)
        assert moved == evolve(active, worktree="näw", worktree_path="/new/place")
        assert {job.worktree for job in store.jobs_of(active.invocation_id)} == {"näw"}
        assert store.invocation(ended.invocation_id) == ended
        assert {job.worktree for job in store.jobs_of(ended.invocation_id)} == {"main"}
        assert {job.worktree for job in store.jobs_of(other.invocation_id)} == {"other"}
        assert store.relabel("main", "again", path="/") == 0

    # --- a storage that fails -----------------------------------------------------------------

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
            lambda: store.relabel("main", "other", path="/elsewhere"),
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
