"""What every `JobStore` must tell, and in which order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from daft_protocol.jobs import Job
from daft_protocol.status import (
    UNFINISHED,
    JobStatus,
)

from ..ports import JobQuery, JobStore, Owner
from .promises import promised
from .samples import MORNING, a_job, a_process, an_invocation, an_owner


class ReadingSuite:
    """Jobs, pages, invocations and owners. Part of `JobStoreSuite`."""

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

    @promised(JobStore.register, "Make `owner` known, before any row names it.")
    @promised(JobStore.retire, "Note that an owner has ended in good order.")
    @promised(JobStore.owners, "Return every owner that did not retire.")
    @promised(Owner, "A process that answers for jobs.")
    @promised(
        Owner,
        'kind: "leader" of a repository, "own-leader" of one invocation, a "command" running its '
        'own foreground, or "embedded".',
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
