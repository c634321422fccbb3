"""What every `JobStore` must do with what it is given to keep."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from daft_protocol.jobs import (
    BackgroundOutput,
    BootMoment,
    Invocation,
    Job,
    LogPolicy,
    RunMode,
    Skip,
)
from daft_protocol.status import (
    EndReason,
    InvocationStatus,
    JobStatus,
    SkipKind,
    Source,
)

from ..errors import RecordConflict
from ..ports import JobStore
from .promises import promised
from .samples import LATER, a_job, a_process, an_invocation


class RecordingSuite:
    """Recording invocations and jobs. Part of `JobStoreSuite`."""

    @pytest.fixture
    def reopen(self) -> Callable[[], JobStore] | None:
        """Return a function that opens what `store` keeps a second time; None: it is not kept."""
        return None

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
            queued_boot=BootMoment(boot_id="b-1", since_boot_s=86_400.25),
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
            spec_grace_s=0.0,
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
