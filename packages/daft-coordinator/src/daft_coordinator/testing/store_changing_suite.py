"""What every `JobStore` must do when jobs change, and when they change hands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from daft_protocol.jobs import Job
from daft_protocol.status import (
    EndReason,
    JobStatus,
)

from ..ports import LEADING, JobChange, JobStore, changed
from .promises import promised
from .samples import LATER, a_job, a_process, an_invocation, an_owner

FINAL = tuple(status for status in JobStatus if status.is_final and status is not JobStatus.UNKNOWN)


def a_change(job: Job, to: JobStatus, **given: Any) -> JobChange:
    """Return a change of `job` that is allowed from any status; `given` are its fields."""
    fields: dict[str, Any] = {"allowed": tuple(JobStatus), "at": LATER, **given}
    return JobChange(job_uid=job.uid, to=to, **fields)


def finished(store: JobStore, name: str, seconds: float, hook_type: str = "post-create") -> None:
    """Have a job called `name` completed after `seconds`."""
    fire = an_invocation(hook_type=hook_type)
    (job,) = store.record(fire, [a_job(fire, name, status=JobStatus.RUNNING)])
    store.apply([a_change(job, JobStatus.COMPLETED, duration_ms=int(seconds * 1000))])


class ChangingSuite:
    """Guarded changes, durations and claims. Part of `JobStoreSuite`."""

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
        JobChange,
        "only_of: the owner it must have before, or the change is refused; None: whoever has it.",
    )
    def test_a_change_may_be_the_owner_s_alone(self, store: JobStore) -> None:
        """Neither another owner nor a job of nobody passes for the one that was named."""
        fire = an_invocation()
        mine, theirs, free = store.record(
            fire,
            [
                a_job(fire, "mine", owner="me"),
                a_job(fire, "theirs", position=1, owner="they"),
                a_job(fire, "free", position=2, owner=None),
            ],
        )
        starts = [a_change(job, JobStatus.RUNNING, only_of="me") for job in (mine, theirs, free)]

        assert store.apply(starts) == (True, False, False)
        assert not store.apply_together([a_change(mine, JobStatus.FAILED), starts[1]])

        assert store.jobs_of(fire.invocation_id) == (changed(mine, starts[0]), theirs, free)

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

    @promised(
        JobStore.apply_together,
        "Make all of the changes, as `apply` does, or none where the guard of one does not hold.",
    )
    @promised(JobStore.apply_together, "Returns: whether they were made.")
    def test_changes_are_made_together_or_not_at_all(self, store: JobStore) -> None:
        """An end that somebody forestalled takes the start that relied on it along."""
        fire = an_invocation()
        one, two = store.record(
            fire,
            [a_job(fire, "one", status=JobStatus.RUNNING), a_job(fire, "two", position=1)],
        )
        end = a_change(one, JobStatus.COMPLETED, allowed=(JobStatus.RUNNING,), duration_ms=7)
        start = a_change(two, JobStatus.RUNNING, allowed=(JobStatus.QUEUED,), started_at=LATER)
        forestalled = evolve(end, allowed=(JobStatus.CANCELLING,))

        assert store.apply_together([start, forestalled]) is False
        assert store.apply_together([end, evolve(start, job_uid="f" * 32)]) is False
        assert store.jobs_of(fire.invocation_id) == (one, two)
        assert store.durations() == {}

        assert store.apply_together([end, start]) is True
        assert store.jobs_of(fire.invocation_id) == (changed(one, end), changed(two, start))
        assert store.durations() == {(one.hook_type, "one"): 0.007}

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

    @promised(
        JobStore.claim,
        "What another leader has that did not retire is left to it, unless it is among the `dead`.",
    )
    @pytest.mark.parametrize("kind", LEADING)
    def test_a_claim_takes_nothing_from_another_leader(self, store: JobStore, kind: str) -> None:
        """Whether it lives is the caller's to know; one that retired has nothing any more."""
        other, me = an_owner(kind=kind), an_owner(kind=kind)
        for owner in (other, me):
            store.register(owner)
        fire = an_invocation()
        store.record(fire, [a_job(fire, owner=other.id)])

        assert store.claim(fire.invocation_id, me.id)[0].owner == other.id
        assert store.claim(fire.invocation_id, me.id, dead=[other.id])[0].owner == me.id
        store.retire(me.id)
        assert store.claim(fire.invocation_id, other.id)[0].owner == other.id
