"""What every `JobHistory` must do."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daft_protocol.departures import Departure
from daft_protocol.jobs import Job, LogPolicy
from daft_protocol.status import EndReason, JobStatus

from ..domain.elapsed import ClockReading, ClockRecord, Trust
from ..domain.policy import DeclaredPolicy
from ..domain.retention import KeptJob
from ..errors import StoreUnavailable
from ..history import JobHistory, LogDirectory, PassRecord, Place, RunningJob, Tombstone
from ..joblog import JobLog
from ..logreader import LogCursor
from ..ports import JobStore
from .promises import promised
from .samples import MORNING, a_job, a_process, an_invocation, an_owner

DONE: dict[str, Any] = {"status": JobStatus.COMPLETED, "finished_at": MORNING, "log_records": 1}
CLOCK = ClockRecord(reading=ClockReading(wall_at=MORNING, since_boot_s=12.5, boot_id="b"))


def ended(store: JobStore, *names: str, **given: Any) -> list[Job]:
    """Record an invocation whose jobs have ended; return them."""
    fire = an_invocation(**given)
    jobs = [a_job(fire, name, position=place, **DONE) for place, name in enumerate(names)]
    store.record(fire, jobs)
    return jobs


def logged(store: JobStore, job: Job, text: str = "hello\n") -> Path:
    """Write a log for `job`; return its directory. Skips where logs are not kept."""
    directory = store.log_directory(job)
    if directory is None:
        pytest.skip("this store keeps no logs")
    log = JobLog(directory, limit_bytes=100_000)
    log.output("stdout", text.encode(), 0)
    log.close()
    return Path(directory)


def whole(job: Job, expected: int) -> Departure:
    """Return the departure of the invocation of `job`, with all its jobs."""
    return Departure(invocation_id=job.invocation_id, expected=expected)


class JobHistorySuite:
    """Holds a `JobHistory` to its port.

    Subclass it and supply the fixtures `store`, an empty `JobStore`, and `history`, the same
    storage as clean-up sees it. `cut_off` may be overridden, as for `JobStoreSuite`.
    """

    @pytest.fixture
    def cut_off(self) -> Callable[[], AbstractContextManager[None]] | None:
        """Return a context in which the storage takes no change; None: none fails."""
        return None

    # --- looking ------------------------------------------------------------------------------

    @promised(JobHistory, "Reads and shortens the record of one repository.")
    @promised(
        JobHistory.invocations,
        "Return every invocation with its jobs, oldest first; nothing is said of files.",
    )
    def test_everything_recorded_is_seen_oldest_first(
        self, store: JobStore, history: JobHistory
    ) -> None:
        """With what a decision needs of each job, and no size of any log."""
        late = an_invocation(created_at=MORNING + timedelta(hours=1), worktree="a/b")
        job = a_job(late, "x", spec_log=LogPolicy(retention_s=60), **DONE)
        store.record(late, [job])
        logged_job = ended(store, "one", "two")[0]
        store.log_directory(logged_job)
        store.record(an_invocation(created_at=MORNING - timedelta(hours=1)), [])

        first, second, third = history.invocations()

        assert (first.jobs, first.created_at) == ((), MORNING - timedelta(hours=1))
        assert [one.name for one in second.jobs] == ["one", "two"]
        assert (third.invocation_id, third.worktree) == (late.invocation_id, "a/b")
        assert third.jobs == (
            KeptJob(
                uid=job.uid,
                name="x",
                status=JobStatus.COMPLETED,
                ended_at=MORNING,
                dir_name=job.dir_name,
                retention_s=60,
                log_records=1,
            ),
        )
        assert not any(one.pinned for one in (first, second, third))

    @promised(
        JobHistory.invocations,
        "Return every invocation with its jobs, oldest first; nothing is said of files.",
    )
    def test_the_age_of_a_job_counts_from_its_latest_moment(
        self, store: JobStore, history: JobHistory
    ) -> None:
        """Its end; else its start; else when it was queued."""
        hours = [MORNING + timedelta(hours=number) for number in range(3)]
        fire = an_invocation()
        moments: list[dict[str, Any]] = [
            {"queued_at": hours[0], "started_at": hours[1], "finished_at": hours[2]},
            {"queued_at": hours[0], "started_at": hours[1]},
            {"queued_at": hours[0]},
        ]
        jobs = [a_job(fire, f"{place}", **given) for place, given in enumerate(moments)]
        store.record(fire, jobs)

        [kept] = history.invocations()

        assert [job.ended_at for job in kept.jobs] == [hours[2], hours[1], hours[0]]

    @promised(JobHistory.running, "Return every job recorded as running.")
    @promised(
        RunningJob, "A job recorded as running. owner, process: None when the record names none."
    )
    def test_running_jobs_come_with_whom_to_ask_about_them(
        self, store: JobStore, history: JobHistory
    ) -> None:
        """Queued and ended ones are not among them; an owner that retired is none."""
        owner, retired = an_owner(process=a_process(1)), an_owner(process=a_process(2))
        for one in (owner, retired):
            store.register(one)
        fire = an_invocation()
        runs = {"status": JobStatus.RUNNING}
        jobs = [
            a_job(fire, "owned", owner=owner.id, process=a_process(3), **runs),
            a_job(fire, "left", owner=retired.id, **runs),
            a_job(fire, "queued"),
            a_job(fire, "done", **DONE),
        ]
        store.record(fire, jobs)
        store.retire(retired.id)

        found = {one.uid: one for one in history.running()}

        assert found == {
            jobs[0].uid: RunningJob(uid=jobs[0].uid, owner=a_process(1), process=a_process(3)),
            jobs[1].uid: RunningJob(uid=jobs[1].uid, owner=None, process=None),
        }

    @promised(
        JobHistory.knows,
        "True when a row accounts for the directory of an invocation, or of one of its jobs.",
    )
    def test_a_directory_is_known_by_its_row(self, store: JobStore, history: JobHistory) -> None:
        """A job's under its own invocation only."""
        [job] = ended(store, "one")
        other = ended(store, "two")[0]

        assert history.knows(job.invocation_id, "")
        assert history.knows(job.invocation_id, job.dir_name)
        assert not history.knows(other.invocation_id, job.dir_name)
        assert not history.knows("f" * 16, "")

    # --- evicting -----------------------------------------------------------------------------

    @promised(
        JobHistory.evict,
        "Delete rows and leave tombstones for their directories; False: it changed meanwhile.",
    )
    @promised(JobHistory.tombstones, "Return what earlier evictions have left to be deleted.")
    @promised(JobHistory.settle, "Forget a tombstone: its directory is gone.")
    @promised(Tombstone, "A directory whose rows are gone. dir_name: empty for a whole invocation.")
    def test_rows_go_and_leave_tombstones(self, store: JobStore, history: JobHistory) -> None:
        """One for a whole invocation, one for each job that goes alone."""
        gone = ended(store, "one", "two")
        halved = ended(store, "goes", "stays")
        departures = [
            whole(gone[0], 2),
            Departure(invocation_id=halved[0].invocation_id, expected=2, job_uids=(halved[0].uid,)),
            Departure(invocation_id="f" * 16, expected=0),
        ]

        assert history.evict(departures) == (True, True, False)

        assert store.invocation(gone[0].invocation_id) is None
        assert store.jobs_of(gone[0].invocation_id) == ()
        assert [job.name for job in store.jobs_of(halved[0].invocation_id)] == ["stays"]
        stones = {
            Tombstone(invocation_id=gone[0].invocation_id, dir_name=""),
            Tombstone(invocation_id=halved[0].invocation_id, dir_name=halved[0].dir_name),
        }
        assert set(history.tombstones()) == stones
        for stone in stones:
            history.settle(stone)
        assert history.tombstones() == ()

    @promised(
        JobHistory.evict,
        "An invocation that is pinned, has another number of jobs than expected, or an unfinished "
        "one, is left alone.",
    )
    @promised(
        JobHistory.pin,
        "Protect an invocation from clean-up, or no longer; False: there is no such one.",
    )
    def test_what_is_not_as_it_was_stays_whole(self, store: JobStore, history: JobHistory) -> None:
        """Asked for in whole or in part, nothing of it goes."""
        pinned, grown = ended(store, "p")[0], ended(store, "g", "h")[0]
        active = an_invocation()
        jobs = [a_job(active, "done", **DONE), a_job(active, "queued", position=1)]
        store.record(active, jobs)
        assert history.pin(pinned.invocation_id, pinned=True)
        assert not history.pin("f" * 16, pinned=True)

        for job, expected in ((pinned, 1), (grown, 1), (jobs[0], 2)):
            some = Departure(
                invocation_id=job.invocation_id, expected=expected, job_uids=(job.uid,)
            )
            assert history.evict([whole(job, expected), some]) == (False, False)
            assert store.job(job.uid) is not None

        assert history.tombstones() == ()
        assert [one.pinned for one in history.invocations()].count(True) == 1
        assert history.pin(pinned.invocation_id, pinned=False)
        assert history.evict([whole(pinned, 1)]) == (True,)

    @promised(
        JobHistory.give_up,
        "Record running jobs as cancelled, reason `stale`; return how many still were running.",
    )
    def test_jobs_of_nobody_are_given_up(self, store: JobStore, history: JobHistory) -> None:
        """One that has ended meanwhile keeps its end."""
        fire = an_invocation()
        jobs = [a_job(fire, "runs", status=JobStatus.RUNNING), a_job(fire, "done", **DONE)]
        store.record(fire, jobs)

        assert history.give_up([job.uid for job in jobs], MORNING) == 1

        found = store.job(jobs[0].uid)
        assert found is not None
        assert (found.status, found.end_reason) == (JobStatus.CANCELLED, EndReason.STALE)
        assert found.finished_at == MORNING
        assert store.job(jobs[1].uid) == jobs[1]

    @promised(JobHistory, "Every method is one transaction.")
    @promised(
        JobHistory,
        "A method that cannot reach its storage raises `StoreUnavailable` and has changed nothing.",
    )
    def test_trouble_is_told_and_changes_nothing(
        self,
        store: JobStore,
        history: JobHistory,
        cut_off: Callable[[], AbstractContextManager[None]] | None,
    ) -> None:
        """All of an eviction happens, or nothing of it."""
        if cut_off is None:
            pytest.skip("the storage of this history cannot be made to fail")
        jobs = [ended(store, "one")[0], ended(store, "two")[0]]
        with cut_off():
            for refused in (
                lambda: history.evict([whole(job, 1) for job in jobs]),
                lambda: history.pin(jobs[0].invocation_id, pinned=True),
                lambda: history.declare(DeclaredPolicy(source="/f", keep_last=1)),
                lambda: history.describe("/r"),
                lambda: history.note_pass(PassRecord(at=MORNING, reason="auto"), CLOCK),
            ):
                with pytest.raises(StoreUnavailable):
                    refused()

        assert len(history.invocations()) == 2
        assert history.tombstones() == ()
        assert (history.policy(), history.place(), history.clock()) == ({}, None, None)

    # --- what is kept for the next pass ---------------------------------------------------------

    @promised(
        JobHistory.policy, "Return what is set of the repository's policy, and by which file."
    )
    @promised(
        JobHistory.declare, "Take over what a configuration file says, see `domain.policy.merge`."
    )
    def test_what_files_declare_comes_together(self, history: JobHistory, tmp_path: Path) -> None:
        """Field by field; what a file set goes with the key, and with the file."""
        here = tmp_path / "daft.yml"
        here.touch()
        assert history.policy() == {}

        history.declare(DeclaredPolicy(source=str(here), keep_last=0))
        history.declare(DeclaredPolicy(source="/no/such", max_total_size_bytes=2**40))
        assert history.policy() == {
            "keep_last": (0, str(here)),
            "max_total_size_bytes": (2**40, "/no/such"),
        }
        history.declare(DeclaredPolicy(source="/other", stale_running_after_s=60))
        assert history.policy() == {
            "keep_last": (0, str(here)),
            "stale_running_after_s": (60, "/other"),
        }
        history.declare(DeclaredPolicy(source=str(here)))
        assert history.policy() == {}

    @promised(JobHistory.describe, "Remember where the repository is.")
    @promised(
        JobHistory.place,
        "Return where the repository was last known to be, None when that was never told.",
    )
    @promised(
        Place, "Where a repository is: its git common directory, and when that was first told."
    )
    def test_the_repository_s_place_is_remembered(self, history: JobHistory) -> None:
        """Told again, the same place keeps its moment; another one replaces it."""
        assert history.place() is None

        history.describe("/r/ü/.git")
        first = history.place()
        history.describe("/r/ü/.git")
        again = history.place()
        history.describe("/moved/.git")
        moved = history.place()

        assert first is not None
        assert first.common_dir == "/r/ü/.git"
        assert first.told_at.tzinfo is not None
        assert again == first
        assert moved is not None
        assert moved.common_dir == "/moved/.git"

    @promised(JobHistory.note_pass, "Add a pass, and what it saw of the clocks.")
    @promised(JobHistory.passes, "Return the newest passes, newest first.")
    @promised(
        JobHistory.clock,
        "Return what the last pass left to compare the clocks with, None before the first.",
    )
    @promised(
        PassRecord,
        'What one clean-up pass did. reason: "auto" or "manual". trouble: one line each.',
    )
    def test_passes_are_remembered_with_their_clocks(self, history: JobHistory) -> None:
        """The clock of the last one counts, doubts included."""
        assert (history.clock(), history.passes()) == (None, ())
        first = PassRecord(at=MORNING, reason="auto")
        second = PassRecord(
            at=MORNING + timedelta(days=1),
            reason="manual",
            invocations=1,
            jobs=2,
            bytes=2**40,
            stale=3,
            trouble=("a file stays: ü", "another"),
        )
        doubted = ClockRecord(reading=CLOCK.reading, trust=Trust.MOVED, doubted_since_s=7.25)

        history.note_pass(first, doubted)
        assert history.clock() == doubted
        history.note_pass(second, CLOCK)

        assert history.clock() == CLOCK
        assert history.passes() == (second, first)
        assert history.passes(1) == (second,)

    @promised(JobHistory.passes, "At least the last 50 are kept.")
    def test_fifty_passes_are_kept(self, history: JobHistory) -> None:
        """The newest of more."""
        passes = [PassRecord(at=MORNING, reason="auto", jobs=number) for number in range(60)]
        for one in passes:
            history.note_pass(one, CLOCK)

        assert list(history.passes(50)) == passes[:9:-1]

    @promised(JobHistory.shrink, "Give back to the disk what deleted rows took.")
    def test_shrinking_loses_nothing(self, store: JobStore, history: JobHistory) -> None:
        """However much has gone, what stays is there afterwards."""
        gone = [ended(store, "one")[0] for _ in range(20)]
        kept = ended(store, "kept")[0]
        history.evict([whole(job, 1) for job in gone])

        history.shrink()

        assert store.job(kept.uid) == kept
        assert len(history.invocations()) == 1

    # --- files --------------------------------------------------------------------------------

    @promised(
        JobHistory.directories,
        "Yield every directory that holds logs, measured.",
        "No link is followed.",
    )
    @promised(
        LogDirectory,
        "A directory that holds logs.",
        "dir_name: of a job; empty for the invocation's own directory.",
        "bytes: of the files in it; for an invocation's, of those beside the jobs' directories.",
    )
    def test_directories_are_measured(
        self, store: JobStore, history: JobHistory, tmp_path: Path
    ) -> None:
        """Each job's and each invocation's; what a link points to is not counted."""
        job = ended(store, "one")[0]
        folder = logged(store, job)
        size = (folder / "output.jsonl").stat().st_size
        (folder.parent / "beside").write_bytes(b"12345")
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "large").write_bytes(b"x" * 10_000)
        (folder.parent / "link").symlink_to(outside)
        (folder / "link").symlink_to(outside / "large")

        found = {one.dir_name: one for one in history.directories()}

        assert set(found) == {"", job.dir_name}
        assert found[""].bytes < 5 + 1000
        assert found[""].bytes >= 5
        assert size <= found[job.dir_name].bytes < size + 1000
        assert {one.invocation_id for one in found.values()} == {job.invocation_id}
        assert all(one.modified_at.tzinfo is not None for one in found.values())

    @promised(JobHistory.is_in_use, "True while somebody reads or writes a log in that directory.")
    def test_an_open_log_is_in_use(self, store: JobStore, history: JobHistory) -> None:
        """By whoever reads it or writes it, also beyond its first part, until that is over."""
        job = ended(store, "one")[0]
        folder = logged(store, job)
        where = (job.invocation_id, job.dir_name)
        assert not history.is_in_use(*where)

        cursor = LogCursor(str(folder))
        cursor.read()
        assert history.is_in_use(*where)
        cursor.close()
        assert not history.is_in_use(*where)

        log = JobLog(str(folder), limit_bytes=4000)
        assert history.is_in_use(*where)
        assert history.is_in_use(job.invocation_id, "")
        for _ in range(100):
            log.output("stdout", b"a line of some length\n", 0)
        assert history.is_in_use(*where)
        log.close()
        assert not history.is_in_use(*where)
        assert not history.is_in_use(job.invocation_id, "none")

    @promised(
        JobHistory.was_replaced,
        "True when the record stands in for one that was damaged, so that rows may be missing.",
    )
    def test_a_sound_record_is_no_replacement(self, history: JobHistory) -> None:
        """One that was never damaged is the first of its kind."""
        assert not history.was_replaced()

    @promised(
        JobHistory.set_aside,
        "Rename a directory so that no row leads to it; return its new name, None: it is gone.",
    )
    @promised(JobHistory.leftovers, "Return the names of everything that was set aside.")
    @promised(
        JobHistory.clear,
        "Delete what was set aside under a name; return the bytes of its files.",
    )
    def test_what_is_set_aside_can_be_deleted(self, store: JobStore, history: JobHistory) -> None:
        """A job's directory, then the invocation's; nothing else of the store goes with them."""
        one, two = ended(store, "one", "two")
        kept = logged(store, ended(store, "kept")[0])
        folder, beside = logged(store, one), logged(store, two)
        size = (folder / "output.jsonl").stat().st_size

        first = history.set_aside(one.invocation_id, one.dir_name)
        assert not folder.exists()
        assert beside.exists()
        second = history.set_aside(one.invocation_id, "")
        assert not beside.parent.exists()

        assert first is not None
        assert second is not None
        assert set(history.leftovers()) == {first, second}
        assert [item.dir_name for item in history.directories()] in (
            ["", kept.name],
            [kept.name, ""],
        )
        assert history.clear(first) == size
        assert history.clear(second) > 0
        assert history.leftovers() == ()
        assert history.set_aside(one.invocation_id, "") is None
        assert history.set_aside(one.invocation_id, one.dir_name) is None
        assert os.listdir(kept) == ["output.jsonl"]
