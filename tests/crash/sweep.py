"""Kill a coordinator, or its client, at every point in turn, and look at what is left.

    python sweep.py [SCENARIO] [--every-time]

Each run is a family of forked processes: a client that plays the scenario and the leader it
starts; then, after the death, whoever comes next. The verdict on the invariants is given by what
is on the disk at the end. Without `--every-time` each point is tried the first time it is passed.
Prints one line of JSON for the scenario, or for each of all.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import psutil
from attrs import evolve
from points import Points

from daft_coordinator import __main__ as leader_program
from daft_coordinator import detaching
from daft_coordinator.adapters.clock import SystemClock
from daft_coordinator.adapters.processes import PosixProcessControl
from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
from daft_coordinator.adapters.sqlite_history import SqliteHistory
from daft_coordinator.cleaning import Cleaning
from daft_coordinator.client import CoordinatorClient
from daft_coordinator.coordinator import Coordinator
from daft_coordinator.domain.retention import Wishes
from daft_coordinator.domain.retry import RetryRequest
from daft_coordinator.errors import CoordinatorError, CoordinatorUnavailable, RequestRefused
from daft_coordinator.evictor import RepositoryEvictor
from daft_coordinator.logfiles import last_record
from daft_coordinator.logreader import read_log
from daft_protocol import InvocationSpec, JobSpec
from daft_protocol.jobs import Job, LogPolicy
from daft_protocol.messages import CancelMatching, Wait
from daft_protocol.status import JobStatus

LIMIT_S = 30.0
"""No run may take longer: whatever waits has a bound of its own."""
_MARK = "CRASH_RUN"
_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Place:
    """Everything of one run: the state, the jobs' diary, what was promised."""

    def __init__(self, root: Path, repository: str) -> None:
        self.root = root
        self.state = str(root / "state")
        self.repository = repository
        self.work = root / "work"
        self.work.mkdir(exist_ok=True)
        self.diary = root / "diary"
        self.promises = root / "promises"

    def store(self) -> SqliteJobStore:
        """Open the record."""
        return SqliteJobStore.open(self.state, self.repository)

    def client(self, store: SqliteJobStore, *, apart: bool = False) -> CoordinatorClient:
        """Return a client that may start a leader; `apart`: one for each invocation."""
        own_station = partial(open_station, self.state, self.repository) if apart else None
        station = open_station(self.state, self.repository)
        return CoordinatorClient(station, store, own_station=own_station)

    def job(self, name: str, *needs: str, then: str = ":") -> JobSpec:
        """Return a background job that writes down its start and its end."""
        say = f'echo "%s $DAFT_JOB_ID {name}" >> {self.diary}'
        return JobSpec(
            name=name,
            command=f"{say % 'start'}; {then}; {say % 'end'}",
            working_dir=str(self.work),
            needs=needs,
            background=True,
        )

    def promise(self, what: str) -> None:
        """Write down what a caller has been told."""
        with open(self.promises, "a", encoding="utf-8") as file:
            file.write(f"{what}\n")

    def told(self) -> list[str]:
        """Return what callers have been told."""
        return self.promises.read_text().splitlines() if self.promises.exists() else []


def fire(*jobs: JobSpec, number: int = 1) -> InvocationSpec:
    """Return an invocation with an id that every run shares."""
    return InvocationSpec(
        invocation_id=f"{number:016x}",
        hook_type="crash",
        trigger_command="crash",
        worktree="main",
        jobs=jobs,
    )


# --- the scenarios --------------------------------------------------------------------------------


def submit(
    place: Place,
    client: CoordinatorClient,
    store: SqliteJobStore,
    *jobs: JobSpec,
    number: int = 1,
) -> None:
    """Submit as every caller should: when no leader can be had, the jobs run here."""
    invocation = fire(*jobs, number=number)
    try:
        client.submit(invocation)
    except CoordinatorUnavailable:
        with Coordinator(store, kind="command") as coordinator:
            coordinator.take_over(invocation.invocation_id)
            place.promise("accepted")
            coordinator.wait(invocation.invocation_id)
    else:
        place.promise("accepted")


def one_job(place: Place) -> None:
    """Submit one job and wait for its end."""
    store = place.store()
    with place.client(store) as client:
        submit(place, client, store, place.job("only"))
        ended = client.wait(Wait(invocation_ids=(f"{1:016x}",), timeout_ms=15_000))
        place.promise(f"ended {ended[0].status}")


def graph_of_12(place: Place) -> None:
    """Submit twelve jobs of three layers and wait for the last."""
    jobs = [place.job(f"a{number}") for number in range(4)]
    jobs += [place.job(f"b{number}", f"a{number}", f"a{(number + 1) % 4}") for number in range(4)]
    jobs += [place.job(f"c{number}", f"b{number}") for number in range(3)]
    jobs.append(place.job("last", "c0", "c1", "c2", "b3"))
    store = place.store()
    with place.client(store) as client:
        submit(place, client, store, *jobs)
        client.wait(Wait(invocation_ids=(f"{1:016x}",), timeout_ms=15_000))


def cancel_in_flight(place: Place) -> None:
    """Cancel one job that runs, with one that waits for it and one that is none of it."""
    store = place.store()
    jobs = [place.job("long", then="sleep 3"), place.job("after", "long"), place.job("other")]
    with place.client(store) as client:
        submit(place, client, store, *jobs)
        _until(lambda: place.diary.exists() and "long" in place.diary.read_text(), client)
        answer = client.cancel(CancelMatching(job_name="long", wait=True))
        for result in answer.results:
            place.promise(f"cancelled {result.status}")
        client.wait(Wait(invocation_ids=(f"{1:016x}",), timeout_ms=15_000))


def own_leaders(place: Place) -> None:
    """Submit two invocations that get a leader each, cancel in one, and wait for both."""
    store = place.store()
    numbers = (0x1111111100000000, 0x2222222200000000)
    first = [place.job("long", then="sleep 3"), place.job("after", "long"), place.job("other")]
    with place.client(store, apart=True) as client:
        submit(place, client, store, *first, number=numbers[0])
        submit(place, client, store, place.job("b"), place.job("c", "b"), number=numbers[1])
        _until(lambda: place.diary.exists() and "long" in place.diary.read_text(), client)
        answer = client.cancel(CancelMatching(job_name="long", wait=True))
        for result in answer.results:
            place.promise(f"cancelled {result.status}")
        ids = tuple(f"{number:016x}" for number in numbers)
        client.wait(Wait(invocation_ids=ids, timeout_ms=15_000))


def log_over_its_limit(place: Place) -> None:
    """Submit one job that says more than its log may hold."""
    talk = place.job("only", then="seq 1 400; seq 1 400 >&2")
    job = evolve(talk, log=LogPolicy(limit_bytes=8192))
    store = place.store()
    with place.client(store) as client:
        submit(place, client, store, job)
        client.wait(Wait(invocation_ids=(f"{1:016x}",), timeout_ms=15_000))


def retry(place: Place) -> None:
    """Retry a job that has failed, with the one that was skipped because of it."""
    flaky = place.job("flaky", then=f"test -e {place.root}/mended || exit 3")
    store = place.store()
    with place.client(store) as client:
        submit(place, client, store, flaky, place.job("after", "flaky"), place.job("other"))
        client.wait(Wait(invocation_ids=(f"{1:016x}",), timeout_ms=15_000))
        (place.root / "mended").touch()
        again = client.retry(RetryRequest(invocation_id=f"{1:016x}"))
        place.promise("retried")
        client.wait(Wait(invocation_ids=(again.invocation_id,), timeout_ms=15_000))


class LaterClock(SystemClock):
    """A clock by which all that ended just now ended long ago."""

    def now(self) -> datetime:
        """Return the wall clock a year from now."""
        return super().now() + timedelta(days=365)


def eviction(place: Place) -> None:
    """Clean up after two of three invocations."""
    store = place.store()
    with place.client(store) as client:
        for number in (1, 2, 3):
            jobs = (place.job("one"), place.job("two", "one"))
            submit(place, client, store, *jobs, number=number)
            client.wait(Wait(invocation_ids=(f"{number:016x}",), timeout_ms=15_000))
        clean_up(place)


def clean_up(place: Place) -> None:
    """Evict all but the newest invocation: four jobs."""
    place.promise("evicting")
    store = place.store()
    history = SqliteHistory.open(place.state, place.repository)
    cleaning = Cleaning(history, clock=LaterClock(), processes=PosixProcessControl(), by_hand=True)
    plan = cleaning.plan(Wishes(older_than_s=0, keep_last=1))
    evictor = RepositoryEvictor(open_station(place.state, place.repository), store, history)
    done = cleaning.carry_out(plan, evictor)
    place.promise(f"removed {done.invocations} {done.trouble}")
    history.close()


def nothing_more(_place: Place, _client: CoordinatorClient) -> None:
    """Ask for nothing: what was accepted is to end by itself."""


def cancel_again(_place: Place, client: CoordinatorClient) -> None:
    """Ask again for what may have been lost with the one who asked."""
    client.cancel(CancelMatching(job_name="long", wait=True))


def clean_up_again(place: Place, _client: CoordinatorClient) -> None:
    """Have the next pass finish what the last one began."""
    clean_up(place)


SCENARIOS: dict[str, tuple[Callable[[Place], None], Callable[[CoordinatorClient], None]]] = {
    "one-job": (one_job, nothing_more),
    "graph-of-12": (graph_of_12, nothing_more),
    "own-leaders": (own_leaders, cancel_again),
    "log-over-its-limit": (log_over_its_limit, nothing_more),
    "cancel-in-flight": (cancel_in_flight, cancel_again),
    "retry": (retry, nothing_more),
    "eviction": (eviction, clean_up_again),
}
"""Name -> what is played, and what the next command asks for once somebody has died."""


# --- the family of processes ----------------------------------------------------------------------


def forked(body: Callable[[], None], trouble: Path) -> int:
    """Run `body` in a child of ours that inherits no more than memory; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        body()
        code = 0
    except BaseException:
        with open(trouble, "a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
    finally:
        os._exit(code)


def fork_leaders(place: Place, leader_points: Points | None) -> None:
    """Have clients of this process get their leaders by a fork: 200 ms less for each run.

    They are forked off a process that has nothing open, since SQLite must not be taken along,
    and become children of this one, as they are when the client starts a new interpreter.
    leader_points: for the first leader only.
    """
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = socket.socketpair()
    if forked(lambda: _nursery(place, theirs, ours, leader_points), place.root / "trouble"):
        theirs.close()

    def start(
        _module: str, words: Sequence[str], *, lock_fd: int | None = None, first: bytes = b""
    ) -> detaching.Started:
        mine, its = socket.socketpair()
        mine.sendall(first)
        lent = [its.fileno()] if lock_fd is None else [its.fileno(), lock_fd]
        socket.send_fds(ours, ["\0".join(words).encode()], lent)
        its.close()
        return detaching.Started(pid=int(ours.recv(64)), sock=mine, holds_all=True)

    detaching.start = start


def _nursery(
    place: Place, orders: socket.socket, other_end: socket.socket, points: Points | None
) -> None:
    other_end.close()
    while True:
        order, lent, _, _ = socket.recv_fds(orders, 4096, 2)
        if not order:
            return  # the client is gone

        def lead(
            words: Sequence[str] = order.decode().split("\0"),
            lent: Sequence[int] = lent,
            points: Points | None = points,
        ) -> None:
            os.setsid()
            if points is not None:
                points.install()
            # Each of the places may be taken by another of them.
            free = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in lent]
            for fd, wanted in zip(free, (detaching.CLIENT_FD, detaching.LOCK_FD), strict=False):
                os.dup2(fd, wanted)
            leader_program.main(list(words))

        def bear(lead: Callable[[], None] = lead) -> None:
            # Whose parent has ended belongs to the client.
            orders.send(str(forked(lead, place.root / "trouble")).encode())

        os.waitpid(forked(bear, place.root / "trouble"), 0)
        for fd in lent:
            os.close(fd)
        points = None


class Run:
    """One family: who is to die where, and what became of it.

    role: "client" or "leader"; target: None kills nobody and writes the points down.
    """

    def __init__(
        self, scenario: str, role: str = "", target: tuple[str, int] | None = None
    ) -> None:
        self.scenario = scenario
        self.role = role
        self.target = target
        self.violations: list[str] = []
        self.points: dict[str, list[str]] = {}

    @property
    def has_killed(self) -> bool:
        """True when somebody died as intended."""
        return self.target is not None and bool(self.points[self.role])

    def play(self) -> None:
        """Play the scenario, let the next ones clear up, and judge."""
        root = Path(tempfile.mkdtemp(prefix="daft-crash-"))
        try:
            place = Place(root, str(uuid.UUID(int=7)))
            os.environ[_MARK] = root.name
            began = time.monotonic()
            self._first(place)
            self._next(place)
            self._judge(place)
            if time.monotonic() - began > LIMIT_S:
                self.violations.append(f"I4: the run took {time.monotonic() - began:.0f} s")
            for role in ("client", "leader"):
                passed = root / f"points-{role}"
                self.points[role] = passed.read_text().splitlines() if passed.exists() else []
        finally:
            _sweep_up(root.name)
            shutil.rmtree(root, ignore_errors=True)

    def _first(self, place: Place) -> None:
        def points_of(role: str) -> Points | None:
            journal = str(place.root / f"points-{role}")
            if self.target is None or role == self.role:
                return Points(self.target, journal)
            return None

        def play() -> None:
            fork_leaders(place, points_of("leader"))
            mine = points_of("client")
            if mine is not None:
                mine.install()
            try:
                SCENARIOS[self.scenario][0](place)
            except (CoordinatorError, RequestRefused) as error:
                # A sentence for the user, which is all right when somebody has died.
                place.promise(f"refused {error}")

        code = self._bounded(forked(play, place.root / "trouble"), "the client")
        if self.target is None and code != 0:
            self.violations.append(f"the undisturbed run ended with {code}")

    def _next(self, place: Place) -> None:
        """Whatever daft command comes next repairs the record and runs what was left."""

        def repair() -> None:
            fork_leaders(place, None)
            store = place.store()
            with place.client(store) as client:
                client.hello()
                client.reconcile()
                SCENARIOS[self.scenario][1](place, client)
                left = tuple(job.uid for job in store.unfinished())
                if left:
                    client.wait(Wait(job_uids=left, timeout_ms=15_000))
                client.shutdown()
            store.close()

        code = self._bounded(forked(repair, place.root / "trouble"), "the next command")
        if code != 0:
            self.violations.append(f"the next command ended with {code}")

    def _bounded(self, pid: int, who: str) -> int:
        fd = os.pidfd_open(pid)
        try:
            import select

            if not select.select([fd], [], [], LIMIT_S)[0]:
                self.violations.append(f"I4: {who} was still there after {LIMIT_S:.0f} s")
                os.kill(pid, signal.SIGKILL)
        finally:
            os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    # --- the verdict --------------------------------------------------------------------------

    def _judge(self, place: Place) -> None:
        report = place.root / "verdict"
        if self.role == "leader":
            # Its client starts another one and goes on, so nobody need be told anything.
            self.violations += [f"I5: {told}" for told in place.told() if "refused" in told]

        def judge() -> None:
            report.write_text("\n".join(verdict(place, disturbed=self.target is not None)))

        # In a child: an open database would be inherited by the next family.
        os.waitpid(forked(judge, place.root / "trouble"), 0)
        if not report.exists():
            self.violations.append("no verdict")
        elif found := report.read_text():
            self.violations += found.split("\n")
        trouble = place.root / "trouble"
        if trouble.exists():
            self.violations.append(f"unforeseen: {trouble.read_text()[-1500:]}")


def verdict(place: Place, *, disturbed: bool) -> list[str]:
    """Return what contradicts the invariants I1 to I7."""
    wrong: list[str] = []
    store = place.store()
    jobs = [job for one in store.recent_invocations() for job in store.jobs_of(one.invocation_id)]
    wrong += [f"I1: {job.name} is {job.status.value}" for job in store.unfinished()]
    wrong += [f"I2: process {pid} of a job still runs" for pid in _job_processes(place.root.name)]
    lines = place.diary.read_text().split("\n")[:-1] if place.diary.exists() else []
    starts = Counter(line.split()[1] for line in lines if line.startswith("start "))
    ends = Counter(line.split()[1] for line in lines if line.startswith("end "))
    wrong += [f"I3: {uid} ran {times} times" for uid, times in starts.items() if times > 1]
    told = place.told()
    if "accepted" in told and not jobs:
        wrong.append("I7: what was accepted is not in the record")
    known = {job.uid for job in jobs}
    gone = [uid for uid in starts if uid not in known]
    if len(gone) > (4 if "evicting" in told else 0):
        wrong.append(f"I7: {len(gone)} jobs have run and are not in the record")
    wrong += _shelf_against_rows(place, jobs)
    for job in jobs:
        wrong += _contradictions(store, job, starts[job.uid], ends[job.uid], disturbed=disturbed)
    wrong += _disorder(jobs, lines)
    if left := sorted(path.name for path in place.work.iterdir()):
        wrong.append(f"I6: found {left} in the working directory")
    store.close()
    check = apsw.Connection(
        f"{place.state}/jobs/{place.repository}/coordinator.db", flags=apsw.SQLITE_OPEN_READONLY
    )
    answer = check.execute("PRAGMA integrity_check").get
    if answer != "ok":
        wrong.append(f"the store is damaged: {answer}")
    check.close()
    return wrong


def _contradictions(
    store: SqliteJobStore, job: Job, starts: int, ends: int, *, disturbed: bool
) -> list[str]:
    name, status = job.name, job.status
    wrong: list[str] = []
    if status is JobStatus.COMPLETED and (not ends or job.exit_code != 0):
        wrong.append(f"I7: {name} is completed, ended {ends} times, exit code {job.exit_code}")
    if status is JobStatus.SKIPPED and starts:
        wrong.append(f"I7: {name} is skipped and has run")
    if status is JobStatus.FAILED and name != "flaky":
        wrong.append(f"I7: {name} has failed: {job.end_detail}")
    if status is JobStatus.CRASHED and not disturbed:
        wrong.append(f"I7: {name} has crashed though nobody died")
    if status.is_final and job.end_reason is None:
        wrong.append(f"I7: {name} is {status.value} without a reason")
    if job.started_at is not None and status is not JobStatus.SKIPPED:
        directory = store.log_directory(job)
        last = None if directory is None else last_record(directory)
        if last is None or not last.is_final:
            wrong.append(f"I7: the log of {name} ({status.value}) ends with {last}")
        numbers = [] if directory is None else [record.seq for record in read_log(directory)]
        if numbers != sorted(set(numbers)):
            wrong.append(f"the log of {name} is out of order: {numbers}")
        if directory is not None and os.path.exists(os.path.join(directory, "result.json")):
            wrong.append(f"the result file of {name} was left behind")
    return wrong


def _shelf_against_rows(place: Place, jobs: list[Job]) -> list[str]:
    """Return directories without rows, what an eviction left, and rows in excess."""
    shelf = Path(place.state, "jobs", place.repository)
    known = {job.invocation_id for job in jobs}
    wrong = [
        f"I7: {path.name} has no rows"
        for path in shelf.iterdir()
        if path.is_dir() and path.name not in known
    ]
    history = SqliteHistory.open(place.state, place.repository)
    wrong += [f"a tombstone is left: {one}" for one in history.tombstones()]
    history.close()
    retried = [job for job in jobs if job.name == "flaky"]
    if len(retried) > 2:
        wrong.append(f"I3: one retry became {len(retried) - 1}")
    if "retried" in place.told() and len(retried) < 2:
        wrong.append("I7: the retry that was accepted is not in the record")
    return wrong


def _disorder(jobs: list[Job], lines: list[str]) -> list[str]:
    place = {tuple(line.split()[:2]): number for number, line in enumerate(lines)}
    uids = {(job.invocation_id, job.name): job.uid for job in jobs}
    return [
        f"{job.name} started before the end of {need}"
        for job in jobs
        for need in job.spec.needs
        if ("start", job.uid) in place
        and place["start", job.uid]
        < place.get(("end", uids.get((job.invocation_id, need), "")), len(lines))
    ]


def _job_processes(mark: str) -> list[int]:
    """Return the processes of jobs of a run: those that carry its mark and a job's.

    A leader that was started by another one carries an empty mark, and is no job's.
    """
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue  # gone, or not ours
        if alive and environ.get(_MARK) == mark and environ.get("DAFT_JOB_ID"):
            found.append(process.pid)
    return found


def _sweep_up(mark: str) -> None:
    """Let no process of a run live on, nor stay a zombie of ours."""
    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _until(true: Callable[[], bool], client: CoordinatorClient) -> None:
    """Wait for something to become true, asking for a leader now and then as people do."""
    for _ in range(50):
        for _ in range(40):
            if true():
                return
            time.sleep(0.005)  # a file has no event that works everywhere
        client.hello()
        client.reconcile()
        if not client_waits_for_work(client):
            return


def client_waits_for_work(client: CoordinatorClient) -> bool:
    """True while some job has not ended."""
    return any(not JobStatus.parse(job.status).is_final for job in client.jobs())


def main() -> None:
    """Sweep one scenario, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=SCENARIOS)
    parser.add_argument("--every-time", action="store_true")
    parser.add_argument("--only", nargs=3, metavar=("ROLE", "POINT", "TIME"))
    options = parser.parse_args()
    # Leaders whose client was killed become children of ours, so that none is left behind.
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if options.only:
        role, point, which = options.only
        run = Run(options.scenario, role, (point, int(which)))
        run.play()
        print(json.dumps({"violations": run.violations, "killed": run.has_killed}))
        return
    is_bad = False
    for scenario in [options.scenario] if options.scenario else SCENARIOS:
        found = sweep(scenario, every_time=options.every_time)
        print(json.dumps(found), flush=True)
        is_bad = is_bad or bool(found["violations"] or found["missed"])
    sys.exit(1 if is_bad else 0)


def sweep(scenario: str, *, every_time: bool) -> dict[str, Any]:
    """Play `scenario` undisturbed, then once for each point that was passed."""
    undisturbed = Run(scenario)
    undisturbed.play()
    violations = {"undisturbed": undisturbed.violations} if undisturbed.violations else {}
    kills = 0
    names: set[str] = set()
    missed: list[str] = []
    for role, passed in undisturbed.points.items():
        for name, count in Counter(passed).items():
            names.add(name)
            for which in range(1, count + 1 if every_time else 2):
                run = Run(scenario, role, (name, which))
                run.play()
                kills += run.has_killed
                if run.violations:
                    violations[f"{role} {name} {which}"] = run.violations
                elif which == 1 and not run.has_killed:
                    # Later times may come about differently; the first must come.
                    missed.append(f"{role} {name}")
    return {
        "scenario": scenario,
        "points": sorted(names),
        "kills": kills,
        "missed": missed,
        "violations": violations,
    }


if __name__ == "__main__":
    main()
