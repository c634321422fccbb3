"""Clean-up passes over real stores and real files, killed at every step."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.processes import PosixProcessControl
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_coordinator.adapters.sqlite_history import SqliteHistory
from daft_coordinator.adapters.sweep import Sweep
from daft_coordinator.cleaning import Cleaning
from daft_coordinator.domain.policy import DeclaredPolicy
from daft_coordinator.domain.retention import Wishes
from daft_coordinator.errors import StoreFull
from daft_coordinator.evictor import RepositoryEvictor
from daft_coordinator.joblog import JobLog
from daft_coordinator.logreader import LogCursor, read_log
from daft_coordinator.ports import JobChange
from daft_coordinator.station import LeaderLock, leader_lives
from daft_coordinator.testing import VirtualClock, a_job, an_invocation, an_owner
from daft_protocol.codec import encode_response
from daft_protocol.departures import Departure
from daft_protocol.frames import encode_frame
from daft_protocol.jobs import Job, LogPolicy
from daft_protocol.messages import Error
from daft_protocol.status import EndReason, JobStatus
from daft_store import COORDINATOR, Lineage, RepositoryPlaces, open_writer

DAY = timedelta(days=1)


class Direct:
    """Evicts at once, as whoever holds the lock does."""

    def __init__(self, history: Any) -> None:
        self.history = history

    def evict(self, departures: Sequence[Departure]) -> Sequence[bool]:
        return self.history.evict(departures)

    def give_up(self, jobs: Sequence[Any], at: Any) -> int:
        return self.history.give_up([job.uid for job in jobs], at)


class World:
    """A store with its history, at a time that tests set."""

    def __init__(self, store: Any, root: str, repository: str = "") -> None:
        self.store = store
        self.history = store.history()
        self.clock = VirtualClock()
        self.root = root
        self.repository = repository
        self.clock.move_to(400 * 86400)
        self.now = self.clock.now()

    def record(self, days: float, *names: str, size: int = 1000, **given: Any) -> list[Job]:
        """Record a run that ended `days` ago, with a log of about `size` bytes for each job."""
        status = given.pop("status", JobStatus.COMPLETED)
        end = self.now - days * DAY
        fire = an_invocation(created_at=end, worktree=given.pop("worktree", "main"))
        jobs = [
            a_job(
                fire,
                name,
                status=status,
                queued_at=end,
                started_at=end,
                finished_at=end if status.is_final else None,
                updated_at=end,
                log_records=1,
                **given,
            )
            for name in names
        ]
        self.store.record(fire, jobs)
        for job in jobs:
            log = JobLog(self.store.log_directory(job), limit_bytes=10**9)
            log.output("stdout", b"x" * size + b"\n", 0)
            log.status("finished", 0, exit_code=0)
            log.close()
        return jobs

    def cleaning(self, *, by_hand: bool = True, **given: Any) -> Cleaning:
        return Cleaning(
            self.history,
            clock=self.clock,
            processes=given.pop("processes", PosixProcessControl()),
            by_hand=by_hand,
            **given,
        )

    def clean(self, wishes: Wishes | None = None, **given: Any) -> Any:
        cleaning = self.cleaning(**given)
        return cleaning.carry_out(cleaning.plan(wishes), Direct(self.history))

    def names(self) -> list[str]:
        return sorted(job.name for one in self.history.invocations() for job in one.jobs)

    def directories(self) -> set[tuple[str, str]]:
        return {(one.invocation_id, one.dir_name) for one in self.history.directories()}


@pytest.fixture(params=["sqlite", "memory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Both histories: what one promises, the other must keep."""
    if request.param == "memory":
        yield World(MemoryJobStore(str(tmp_path / "logs")), str(tmp_path / "logs"))
        return
    root, repository = str(tmp_path / "state"), str(uuid.uuid4())
    store = SqliteJobStore.open(root, repository)
    yield World(store, root, repository)
    store.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[World]:
    root, repository = str(tmp_path / "state"), str(uuid.uuid4())
    store = SqliteJobStore.open(root, repository)
    yield World(store, root, repository)
    store.close()


NOTHING_KEPT = Wishes(keep_last=0)


def test_rows_and_files_go_together_and_what_was_said_is_true(world: World) -> None:
    world.record(30, "a", "b")
    world.record(30, "c")
    kept = world.record(1, "d")

    outcome = world.clean(NOTHING_KEPT)

    assert (outcome.invocations, outcome.jobs) == (2, 3)
    assert outcome.trouble == []
    assert world.names() == ["d"]
    ids = {kept[0].invocation_id}
    assert {one for one, _ in world.directories()} == ids
    assert world.history.tombstones() == ()
    assert world.history.leftovers() == ()


def test_one_job_of_a_run_can_go_alone(world: World) -> None:
    short, long = LogPolicy(retention_s=60), LogPolicy(retention_s=90 * 86400)
    fire = an_invocation(created_at=world.now - 30 * DAY)
    end = {"status": JobStatus.COMPLETED, "finished_at": world.now - 30 * DAY}
    jobs = [
        a_job(fire, "short", spec_log=short, **end),
        a_job(fire, "long", spec_log=long, **end),
    ]
    world.store.record(fire, jobs)
    for job in jobs:
        JobLog(world.store.log_directory(job), limit_bytes=1000).close()

    outcome = world.clean(NOTHING_KEPT)

    assert (outcome.invocations, outcome.jobs) == (0, 1)
    assert world.names() == ["long"]
    assert {name for _, name in world.directories()} == {"", "long"}


def test_a_second_pass_has_nothing_to_do(world: World) -> None:
    world.record(30, "a")
    world.clean(NOTHING_KEPT)

    outcome = world.clean(NOTHING_KEPT)

    assert (outcome.invocations, outcome.jobs, outcome.bytes) == (0, 0, 0)


def test_what_is_pinned_stays_until_it_is_not(world: World) -> None:
    [job] = world.record(30, "a")
    assert world.history.pin(job.invocation_id, pinned=True)
    assert not world.history.pin("f" * 16, pinned=True)

    assert world.clean(NOTHING_KEPT).jobs == 0

    world.history.pin(job.invocation_id, pinned=False)
    assert world.clean(NOTHING_KEPT).jobs == 1


@pytest.mark.parametrize("expected", [0, 2])
def test_an_invocation_with_another_number_of_jobs_is_left_alone(
    world: World, expected: int
) -> None:
    [job] = world.record(30, "a")

    departure = Departure(invocation_id=job.invocation_id, expected=expected)

    assert world.history.evict([departure]) == (False,)
    assert world.history.evict([Departure(invocation_id="f" * 16, expected=0)]) == (False,)
    assert world.names() == ["a"]
    assert (job.invocation_id, "a") in world.directories()


def test_unfinished_jobs_protect_their_run(world: World) -> None:
    [job] = world.record(30, "a", status=JobStatus.RUNNING, owner="x" * 16)
    departure = Departure(invocation_id=job.invocation_id, expected=1)

    assert world.history.evict([departure]) == (False,)
    assert world.names() == ["a"]


def test_the_policy_of_files_comes_together(world: World, tmp_path: Path) -> None:
    file = tmp_path / "daft.yml"
    file.touch()
    world.history.declare(DeclaredPolicy(source=str(file), keep_last=1))
    world.history.declare(DeclaredPolicy(source="/gone", max_total_size_bytes=5))
    assert world.history.policy() == {
        "keep_last": (1, str(file)),
        "max_total_size_bytes": (5, "/gone"),
    }

    world.history.declare(DeclaredPolicy(source="/other", stale_running_after_s=60))

    assert world.history.policy() == {
        "keep_last": (1, str(file)),
        "stale_running_after_s": (60, "/other"),
    }


def test_the_policy_rules_the_pass(world: World) -> None:
    world.history.declare(DeclaredPolicy(source="/f", keep_last=1, max_total_size_bytes=2500))
    for days in (4, 3, 2):
        world.record(days, f"{days}")

    outcome = world.clean()

    assert world.names() == ["2", "3"]
    assert outcome.over_budget_bytes == 0
    assert outcome.bytes > 1000


def test_the_place_and_the_passes_are_remembered(world: World) -> None:
    assert world.history.place() is None
    assert world.history.passes() == ()
    world.history.describe("/r/.git")
    world.record(30, "a")

    world.clean(NOTHING_KEPT)
    world.clean(by_hand=False)

    place = world.history.place()
    assert place is not None
    assert place.common_dir == "/r/.git"
    [second, first] = world.history.passes()
    assert (first.reason, first.jobs, first.invocations, first.at) == ("manual", 1, 1, world.now)
    assert (second.reason, second.jobs) == ("auto", 0)
    assert world.history.passes(1) == (second,)


def test_the_last_fifty_passes_are_kept(world: World) -> None:
    for _ in range(53):
        world.clean()

    assert len(world.history.passes(1000)) == 50


# --- jobs of nobody ---------------------------------------------------------------------------


def test_a_running_job_of_nobody_is_given_up_by_the_pass_and_not_by_a_look(world: World) -> None:
    [job] = world.record(2, "a", status=JobStatus.RUNNING)
    cleaning = world.cleaning()

    plan = cleaning.plan()
    assert [one.uid for one in plan.decision.stale] == [job.uid]
    seen = world.store.job(job.uid)
    assert seen is not None
    assert seen.status is JobStatus.RUNNING

    outcome = cleaning.carry_out(plan, Direct(world.history))

    found = world.store.job(job.uid)
    assert found is not None
    assert outcome.stale == 1
    assert (found.status, found.end_reason) == (JobStatus.CANCELLED, EndReason.STALE)


def test_a_running_job_is_not_given_up_while_its_owner_or_process_lives(world: World) -> None:
    processes = PosixProcessControl()
    me = processes.identify(os.getpid())
    assert me is not None
    owner = an_owner(process=me)
    world.store.register(owner)
    world.record(2, "owned", status=JobStatus.RUNNING, owner=owner.id)
    world.record(2, "lives", status=JobStatus.RUNNING, process=me)

    assert world.cleaning(processes=processes).plan().decision.stale == ()


def test_a_job_that_ends_meanwhile_is_not_given_up(world: World) -> None:
    [job] = world.record(2, "a", status=JobStatus.RUNNING)
    cleaning = world.cleaning()
    plan = cleaning.plan()
    world.store.apply(
        [
            JobChange(
                job_uid=job.uid,
                allowed=(JobStatus.RUNNING,),
                to=JobStatus.COMPLETED,
                at=world.now,
                finished_at=world.now,
            )
        ]
    )

    assert cleaning.carry_out(plan, Direct(world.history)).stale == 0
    found = world.store.job(job.uid)
    assert found is not None
    assert found.status is JobStatus.COMPLETED


# --- the clock --------------------------------------------------------------------------------


@pytest.mark.fault("F-18", "eviction")
def test_a_clock_that_jumps_forward_removes_nothing(world: World) -> None:
    world.record(1, "a")
    world.clean(by_hand=False)
    world.clock.move_to(world.clock.monotonic() + 7200)
    assert not world.clean(by_hand=False).held_back

    world.clock.jump(365 * 86400)
    jumped = world.clean(NOTHING_KEPT)
    world.clock.move_to(world.clock.monotonic() + 3000)
    too_soon = world.clean(NOTHING_KEPT)
    world.clock.move_to(world.clock.monotonic() + 600)
    settled = world.clean(NOTHING_KEPT)

    assert [one.held_back for one in (jumped, too_soon, settled)] == [True, True, False]
    assert [one.jobs for one in (jumped, too_soon, settled)] == [0, 0, 1]


def test_an_automatic_pass_wants_to_know_the_clock_and_a_user_need_not_wait(world: World) -> None:
    world.record(30, "a")

    assert world.clean(NOTHING_KEPT, by_hand=False).held_back
    assert world.clean(NOTHING_KEPT, by_hand=True).jobs == 1


# --- readers ----------------------------------------------------------------------------------


@pytest.mark.fault("F-31", "it")
def test_a_log_somebody_reads_stays_until_they_have_done(disk: World) -> None:
    [job] = disk.record(30, "a")
    other = disk.record(30, "b")
    cursor = LogCursor(str(disk.store.log_directory(job)))
    assert cursor.read()

    assert disk.clean(NOTHING_KEPT).jobs == 1
    assert disk.names() == ["a"]
    assert other[0].name not in disk.names()

    cursor.close()
    assert disk.clean(NOTHING_KEPT).jobs == 1


def test_a_log_that_is_written_stays_even_without_a_row(disk: World) -> None:
    """A store that was lost under a running job has no row of it."""
    [job] = disk.record(1, "a")
    home = Path(str(disk.store.log_directory(job))).parent
    (home / "lost").mkdir()
    log = JobLog(str(home / "lost"), limit_bytes=1000)
    old(home / "lost")

    disk.clean()
    assert (home / "lost").exists()

    log.close()
    disk.clean()
    assert not (home / "lost").exists()


def test_logs_beside_a_store_that_was_damaged_are_kept_for_a_week(disk: World) -> None:
    [job] = disk.record(1, "a")
    home = Path(str(disk.store.log_directory(job))).parent
    (home.parent / "coordinator.db.corrupt-20260101T000000-abcd").touch()
    for name, days in (("young", 6), ("old", 8)):
        (home / name).mkdir()
        old(home / name, days * 86400)

    disk.clean()

    assert (home / "young").exists()
    assert not (home / "old").exists()


@pytest.mark.fault("F-31", "it")
def test_a_log_that_goes_under_its_reader_ends_cleanly(disk: World) -> None:
    [job] = disk.record(30, "a")
    directory = str(disk.store.log_directory(job))
    cleaning = disk.cleaning()
    plan = cleaning.plan(NOTHING_KEPT)
    cursor = LogCursor(directory)
    first = cursor.read(limit_bytes=10)

    assert cleaning.carry_out(plan, Direct(disk.history)).jobs == 1

    rest = first
    while records := cursor.read():
        rest += records
    assert [record.seq for record in rest] == [0, 1]
    cursor.close()
    assert list(read_log(directory)) == []


# --- what is left over ------------------------------------------------------------------------


def old(path: Path, seconds: float = 7200) -> None:
    then = VirtualClock()
    then.move_to(400 * 86400)
    stamp = then.now().timestamp() - seconds
    os.utime(path, (stamp, stamp))


def test_directories_without_rows_go_after_an_hour(world: World) -> None:
    [job] = world.record(1, "a")
    home = Path(str(world.store.log_directory(job))).parent
    for path, age in (
        (home / "stray", 7200),
        (home / "young", 10),
        (home.parent / ("b" * 16), 7200),
        (home.parent / ("c" * 16), 10),
    ):
        path.mkdir()
        (path / "file").write_text("12345")
        old(path, age)

    outcome = world.clean()

    assert outcome.bytes == 10
    assert sorted(os.listdir(home)) == ["a", "young"]
    assert not (home.parent / ("b" * 16)).exists()
    assert (home.parent / ("c" * 16)).exists()


def test_a_directory_whose_row_comes_meanwhile_stays(world: World) -> None:
    [job] = world.record(1, "a")
    home = Path(str(world.store.log_directory(job))).parent
    (home / "late").mkdir()
    old(home / "late")
    cleaning = world.cleaning()
    plan = cleaning.plan()
    assert len(plan.decision.strays) == 1
    recorded = world.store.invocation(job.invocation_id)
    assert recorded is not None
    world.store.record(None, [a_job(recorded, "late")])

    cleaning.carry_out(plan, Direct(world.history))

    assert (home / "late").exists()


def test_rows_whose_logs_somebody_deleted_go(world: World) -> None:
    [job, _] = world.record(1, "lost", "kept")
    folder = Path(str(world.store.log_directory(job)))
    (folder / "output.jsonl").unlink()
    folder.rmdir()

    assert world.clean().jobs == 1
    assert world.names() == ["kept"]


@pytest.mark.fault("F-07", "clean-up")
def test_on_a_full_disk_logs_go_first_and_the_rows_follow(disk: World) -> None:
    [job] = disk.record(30, "a", size=100_000)
    disk.record(1, "b")
    folder = Path(str(disk.store.log_directory(job)))

    class Full(Direct):
        def evict(self, departures: Sequence[Departure]) -> Sequence[bool]:
            if folder.exists():
                raise StoreFull("no space left on the device")
            return super().evict(departures)

    cleaning = disk.cleaning()
    outcome = cleaning.carry_out(cleaning.plan(NOTHING_KEPT), Full(disk.history))

    assert (outcome.jobs, outcome.trouble) == (1, [])
    assert outcome.bytes > 100_000
    assert disk.names() == ["b"]


@pytest.mark.fault("F-07", "clean-up")
def test_a_disk_without_any_room_still_loses_the_logs_and_the_rows_later(disk: World) -> None:
    [job] = disk.record(30, "a")
    pinned = disk.record(30, "p")
    folder = Path(str(disk.store.log_directory(job)))
    kept = Path(str(disk.store.log_directory(pinned[0])))

    class Full(Direct):
        def evict(self, departures: Sequence[Departure]) -> Sequence[bool]:
            disk.history.pin(pinned[0].invocation_id, pinned=True)
            raise StoreFull("no space left on the device")

    cleaning = disk.cleaning()
    outcome = cleaning.carry_out(cleaning.plan(NOTHING_KEPT), Full(disk.history))

    assert outcome.jobs == 0
    assert "no space" in outcome.trouble[0]
    assert not folder.exists()
    assert kept.exists()
    assert disk.clean(Wishes(keep_last=9)).jobs == 1
    assert disk.names() == ["p"]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB with a place in it, where the machine allows one."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts nothing for us")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.fault("F-07", "clean-up")
@pytest.mark.parametrize("is_open", [True, False], ids=["in use", "at rest"])
def test_a_disk_without_a_byte_left_is_cleaned_up(full: Path, is_open: bool) -> None:
    """At rest not even SQLite's shared memory has room, so the store opens in no usual way."""
    root, repository = str(full / "state"), str(uuid.uuid4())
    store = SqliteJobStore.open(root, repository)
    world = World(store, root, repository)
    world.now = datetime.now(UTC)
    for number in range(30):
        world.record(30, f"{number}", size=30_000)
    if not is_open:
        store.close()
    with open(full / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            pass  # that is the end of the room
    sweep = Sweep(root, by_hand=True)

    first = sweep.clean(repository, NOTHING_KEPT)
    second = sweep.clean(repository, NOTHING_KEPT)

    assert (first.error, second.error) == (None, None)
    assert first.outcome is not None
    assert second.outcome is not None
    assert (first.outcome.jobs, first.outcome.trouble) == (30, [])
    assert first.outcome.bytes > 30 * 30_000
    assert (second.outcome.jobs, second.outcome.bytes) == (0, 0)
    if is_open:
        store.close()


@pytest.mark.parametrize("led", [None, "0123456789abcdef"])
def test_a_full_disk_whose_leader_lives_is_told(full: Path, led: str | None) -> None:
    """Whether it leads the repository or one invocation."""
    root, repository = str(full / "state"), str(uuid.uuid4())
    SqliteJobStore.open(root, repository).close()
    lock = LeaderLock.try_acquire(open_station(root, repository, led).lock_path)
    assert lock is not None
    with open(full / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            pass  # that is the end of the room

    assert Sweep(root, by_hand=True).clean(repository).error == "the disk is full"
    lock.release()


@pytest.mark.slow
def test_passes_that_run_at_once_remove_everything_once(disk: World) -> None:
    for _ in range(3):
        for _ in range(20):
            disk.record(500, "a", "b", size=100)
        passes = [
            subprocess.Popen(
                [sys.executable, "-c", AT_ONCE, disk.root, disk.repository],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        said = [json.loads(one.communicate(timeout=60)[0]) for one in passes]

        assert sum(one["jobs"] for one in said) == 40
        assert sum(one["invocations"] for one in said) == 20
        assert [line for one in said for line in one["trouble"]] == []
        Sweep(disk.root, by_hand=True).clean(disk.repository)
        assert disk.names() == []
        assert disk.directories() == set()
        assert disk.history.leftovers() == ()


AT_ONCE = """
import json, sys
from daft_coordinator.adapters.sweep import Sweep
from daft_coordinator.domain.retention import Wishes
done = Sweep(sys.argv[1], by_hand=True).clean(sys.argv[2], Wishes(keep_last=0))
assert done.error is None, done.error
outcome = done.outcome
print(json.dumps({"jobs": outcome.jobs, "invocations": outcome.invocations,
                  "trouble": outcome.trouble}))
"""


def test_a_pass_that_is_told_to_stop_stops_between_two_things(disk: World) -> None:
    for _ in range(3):
        disk.record(30, "a")
    cleaning = disk.cleaning()
    asked = iter([False, True])

    outcome = cleaning.carry_out(
        cleaning.plan(NOTHING_KEPT), Direct(disk.history), enough=lambda: next(asked)
    )

    assert not outcome.is_complete
    assert "the next pass goes on" in outcome.trouble[0]
    assert len(disk.history.tombstones()) == 3
    disk.clean()
    assert disk.history.tombstones() == ()


def test_a_store_of_an_older_version_is_looked_at_as_it_is(tmp_path: Path) -> None:
    root, repository = str(tmp_path / "state"), str(uuid.uuid4())
    places = RepositoryPlaces(root, repository)
    places.make(os.environ)
    first = Lineage(name=COORDINATOR.name, steps=COORDINATOR.steps[:1])
    db = open_writer(places.database, first)
    db.execute(
        "INSERT INTO invocations (repo_hash, invocation_id, trigger_command, hook_type, worktree,"
        " created_at) VALUES (?, '0123456789abcdef', 't', 'h', 'main', '2026-01-01T00:00:00Z')",
        (repository,),
    )
    sweep = Sweep(root, by_hand=True)

    looked = sweep.look(repository, NOTHING_KEPT)

    assert looked.plan is not None
    assert [one.invocation_id for one in looked.plan.decision.evictions] == ["0123456789abcdef"]
    assert db.pragma("user_version") == 1
    db.close()
    cleaned = sweep.clean(repository, NOTHING_KEPT)
    assert cleaned.outcome is not None
    assert cleaned.outcome.invocations == 1


def contents(root: str) -> dict[str, bytes]:
    """Return the files below `root`, but for what SQLite itself needs to share a file."""
    return {
        str(path): path.read_bytes()
        for path in Path(root).rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_a_look_changes_nothing_on_the_disk(disk: World) -> None:
    disk.record(30, "a")
    disk.store.close()
    before = contents(disk.root)
    history = SqliteHistory.read(disk.root, disk.repository)
    assert history is not None

    plan = Cleaning(history, clock=disk.clock, processes=PosixProcessControl(), by_hand=True).plan(
        NOTHING_KEPT
    )
    history.close()

    assert len(plan.decision.evictions) == 1
    assert contents(disk.root) == before
    assert SqliteHistory.read(disk.root, str(uuid.uuid4())) is None


def test_what_a_look_announces_is_what_the_pass_removes(disk: World) -> None:
    for days in range(0, 40, 4):
        disk.record(days, f"{days}", worktree="main" if days % 8 else "other")
    reader = SqliteHistory.read(disk.root, disk.repository)
    assert reader is not None
    announced = Cleaning(
        reader, clock=disk.clock, processes=PosixProcessControl(), by_hand=True
    ).plan()
    reader.close()
    names = {job.name for one in announced.decision.evictions for job in one.jobs}
    before = set(disk.names())

    outcome = disk.clean()

    assert names
    assert before - set(disk.names()) == names
    assert outcome.bytes == sum(one.bytes for one in announced.decision.evictions)


# --- killed at every step ---------------------------------------------------------------------

STEPS = """
import os, signal, sys
sys.path.insert(0, sys.argv[4])
from daft_coordinator.adapters.processes import PosixProcessControl
from daft_coordinator.adapters.clock import SystemClock
from daft_coordinator.adapters.sqlite_history import SqliteHistory
from daft_coordinator.adapters.sweep import Sweep
from daft_coordinator.cleaning import Cleaning
from daft_coordinator.domain.retention import Wishes

class Mortal:
    '''Dies before the step whose turn it is, and after the last one tells how many there were.'''
    def __init__(self, history, die_at):
        self._history, self._left = history, die_at
        self.steps = 0
    def __getattr__(self, name):
        method = getattr(self._history, name)
        if name not in ("evict", "set_aside", "clear", "settle", "note_pass", "shrink"):
            return method
        def call(*given, **named):
            self.steps += 1
            if self.steps == self._left:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*given, **named)
        return call

history = Mortal(SqliteHistory.open(sys.argv[1], sys.argv[2]), int(sys.argv[3]))
cleaning = Cleaning(history, clock=SystemClock(), processes=PosixProcessControl(), by_hand=True)
class Direct:
    def evict(self, departures):
        return history.evict(departures)
cleaning.carry_out(cleaning.plan(Wishes(keep_last=0)), Direct())
print(history.steps)
"""


def killed(world: World, step: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STEPS, world.root, world.repository, str(step), ""],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def long_ago(disk: World) -> list[Job]:
    """Record what goes (one whole run, one job of another) and what stays; return the latter."""
    disk.record(500, "a", "b")
    fire = an_invocation(created_at=disk.now - 500 * DAY)
    end = {"status": JobStatus.COMPLETED, "finished_at": disk.now - 500 * DAY, "log_records": 1}
    keep = LogPolicy(retention_s=100 * 365 * 86400)
    jobs = [a_job(fire, "goes", **end), a_job(fire, "stays", spec_log=keep, **end)]
    disk.store.record(fire, jobs)
    for job in jobs:
        log = JobLog(disk.store.log_directory(job), limit_bytes=1000)
        log.output("stdout", b"hello\n", 0)
        log.close()
    return [jobs[1]]


@pytest.mark.fault("F-26", "it")
def test_killed_at_any_step_the_next_pass_finishes_it(disk: World, tmp_path: Path) -> None:
    rehearsal = World(
        SqliteJobStore.open(str(tmp_path / "r"), disk.repository), str(tmp_path / "r")
    )
    rehearsal.repository = disk.repository
    long_ago(rehearsal)
    counted = killed(rehearsal, 0)
    rehearsal.store.close()
    assert counted.returncode == 0, counted.stderr
    steps = int(counted.stdout)
    assert steps >= 8

    for step in range(1, steps + 1):
        root = str(tmp_path / f"{step}")
        world = World(SqliteJobStore.open(root, disk.repository), root, disk.repository)
        [stays] = long_ago(world)

        dead = killed(world, step)
        assert dead.returncode == -signal.SIGKILL, dead.stderr
        # Rows and files of what stays are whole whenever one looks; nothing shows without files
        # but what is still to come: a row that exists has its directory.
        for one in world.history.invocations():
            for job in one.jobs:
                assert (one.invocation_id, job.dir_name) in world.directories(), step

        world.clean(NOTHING_KEPT)

        assert world.names() == ["stays"], step
        assert {name for _, name in world.directories()} == {"", "stays"}, step
        assert world.history.tombstones() == ()
        assert world.history.leftovers() == ()
        assert [record.data for record in read_log(str(world.store.log_directory(stays)))] == [
            "hello"
        ]
        world.store.close()


# --- the leader's lock ------------------------------------------------------------------------


@pytest.fixture
def leader(disk: World) -> Iterator[subprocess.Popen[bytes]]:
    """A leader at work: it runs a job until the file `stop` is there."""
    from daft_coordinator import CoordinatorClient
    from daft_protocol import InvocationSpec, JobSpec, new_invocation_id

    job = JobSpec(name="long", command="sleep 60", working_dir="/", background=True)
    spec = InvocationSpec(
        invocation_id=new_invocation_id(),
        hook_type="post-clone",
        trigger_command="t",
        worktree="main",
        jobs=(job,),
    )
    station = open_station(disk.root, disk.repository)
    with CoordinatorClient(station, disk.store) as client:
        client.submit(spec)
        yield client  # type: ignore[misc]
        client.shutdown()
    deadline = time.monotonic() + 20
    while leader_lives(station.lock_path) and time.monotonic() < deadline:
        time.sleep(0.02)


def test_a_living_leader_is_asked_and_the_files_are_ours(disk: World, leader: Any) -> None:
    disk.record(30, "a")
    station = open_station(disk.root, disk.repository)
    assert leader_lives(station.lock_path)
    evictor = RepositoryEvictor(station, disk.store, disk.history)
    cleaning = disk.cleaning()

    outcome = cleaning.carry_out(cleaning.plan(NOTHING_KEPT), evictor)

    assert (outcome.jobs, outcome.trouble) == (1, [])
    assert disk.names() == ["long"]
    assert disk.history.tombstones() == ()


def test_without_a_leader_the_lock_is_held_for_the_transaction_alone(disk: World) -> None:
    disk.record(30, "a")
    station = open_station(disk.root, disk.repository)
    seen: list[bool] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(disk.history, name)

        def evict(self, departures: Sequence[Departure]) -> Sequence[bool]:
            seen.append(leader_lives(station.lock_path))
            return disk.history.evict(departures)

    evictor = RepositoryEvictor(station, disk.store, Watched())  # type: ignore[arg-type]
    assert evictor.evict([Departure(invocation_id="f" * 16, expected=0)]) == (False,)

    assert seen == [True]
    assert not leader_lives(station.lock_path)


def test_a_lock_whose_holder_does_not_answer_removes_nothing(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daft_coordinator.evictor._PAUSES_S", (0.0, 0.01))
    disk.record(30, "a")
    station = open_station(disk.root, disk.repository)
    lock = LeaderLock.try_acquire(station.lock_path)
    assert lock is not None
    evictor = RepositoryEvictor(station, disk.store, disk.history)

    cleaning = disk.cleaning()
    outcome = cleaning.carry_out(cleaning.plan(NOTHING_KEPT), evictor)

    lock.release()
    assert outcome.jobs == 0
    assert "rows were not deleted" in outcome.trouble[0]
    assert disk.names() == ["a"]


@pytest.mark.parametrize(
    ("code", "told"),
    [("UNKNOWN_REQUEST", "of an older version"), ("BUSY", "it is busy"), ("", "not answer")],
)
def test_a_leader_that_cannot_evict_removes_nothing_and_is_told(
    disk: World, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    """Older leaders live on after an upgrade; without a code it says that it is leaving."""
    monkeypatch.setattr("daft_coordinator.evictor._PAUSES_S", (0.0, 0.01))
    disk.record(30, "a")
    station = open_station(disk.root, disk.repository)
    lock = LeaderLock.try_acquire(station.lock_path)
    assert lock is not None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(station.socket_path)
    listener.listen(8)

    def answer() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.recv(65536)
            message = Error(code=code or "SHUTTING_DOWN", message=told)
            client.sendall(encode_frame(encode_response(message, 1)))
            client.close()

    server = threading.Thread(target=answer, daemon=True)
    server.start()
    cleaning = disk.cleaning()
    outcome = cleaning.carry_out(
        cleaning.plan(NOTHING_KEPT), RepositoryEvictor(station, disk.store, disk.history)
    )
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    server.join(10)
    lock.release()

    assert outcome.jobs == 0
    assert told in outcome.trouble[0]
    assert disk.names() == ["a"]
