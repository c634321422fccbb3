"""How much running jobs costs: graphs of nothing, a fresh leader, a leader at rest, log output."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import measure
from births import births
from floor import Floor
from measure import Figure

if TYPE_CHECKING:
    from daft_coordinator.adapters.sqlite import SqliteJobStore

NO_OP = ":"
GRAPH_JOBS = 200
GRAPH_WIDTH = 8
REST_S = 5.0


def run(rounds: int) -> None:
    """Measure and report."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as home:
        figures += graph(Path(home))
        figures += births(Path(home), rounds)
        figures += leader(Path(home), rounds)
    measure.report_figures("jobs", figures)


def graph(home: Path) -> list[Figure]:
    """A graph of 200 no-op jobs with every state persisted, against `make -j` and `make -jN`."""
    from daft_coordinator.adapters.sqlite import SqliteJobStore

    makefile = home / "Makefile"
    names = [f"j{number}" for number in range(GRAPH_JOBS)]
    rules = [f"all: {' '.join(names)}"]
    for number, name in enumerate(names):
        needed = names[number - GRAPH_WIDTH] if number >= GRAPH_WIDTH else ""
        # Two commands, or make would not start a shell.
        rules.append(f"{name}: {needed}\n\t@{NO_OP};{NO_OP}")
    makefile.write_text("\n".join([".PHONY: all " + " ".join(names), *rules]) + "\n")
    store = SqliteJobStore.open(str(home / "state"), str(uuid.uuid4()))
    figures: list[Figure] = []
    least = Floor(home, count=GRAPH_JOBS, width=GRAPH_WIDTH)
    for workers in (os.cpu_count() or 2, 0):
        ours, makes, floor = _race(store, makefile, names, workers, least)
        rate, ratio = GRAPH_JOBS / ours, ours / makes
        limit = f"make -j{workers or ''}"
        if workers:
            figures.append(
                Figure(f"graph of {GRAPH_JOBS} no-op jobs", rate, "jobs/s", ">= 700", rate >= 700)
            )
        figures.append(Figure(f"the same, ours / {limit}", ratio, "x", "<= 1.3", ratio <= 1.3))
        if not workers:
            name = f"its system calls and nothing else / {limit}"
            figures.append(Figure(name, floor / makes, "x"))
    least.close()
    store.close()
    return figures


def _race(
    store: SqliteJobStore, makefile: Path, names: list[str], workers: int, least: Floor
) -> tuple[float, float, float]:
    """Return the median seconds of ours, of make and of the floor, run in turn.

    workers: 0 is no limit, and the floor knows none.
    """
    from daft_coordinator import Coordinator
    from daft_protocol import InvocationSpec, JobSpec, new_invocation_id

    ours: list[float] = []
    makes: list[float] = []
    floors: list[float] = []
    jobs = tuple(
        JobSpec(
            name=name,
            command=NO_OP,
            needs=(names[number - GRAPH_WIDTH],) if number >= GRAPH_WIDTH else (),
        )
        for number, name in enumerate(names)
    )
    make = ["make", f"-j{workers or ''}", "-f", str(makefile), "all"]
    with Coordinator(store, workers=workers) as coordinator:
        for _ in range(7):
            fire = InvocationSpec(
                invocation_id=new_invocation_id(),
                hook_type="bench", trigger_command="bench", worktree="main", jobs=jobs,
            )  # fmt: skip
            began = time.perf_counter()
            coordinator.submit(fire)
            ended = coordinator.wait(fire.invocation_id)
            ours.append(time.perf_counter() - began)
            assert all(job.status.value == "completed" for job in ended)
            began = time.perf_counter()
            subprocess.run(make, check=True, cwd=makefile.parent)
            makes.append(time.perf_counter() - began)
            floors.append(least.run())
    return sorted(ours)[3], sorted(makes)[3], sorted(floors)[3]


def leader(home: Path, rounds: int) -> list[Figure]:
    """What a submitter waits for, and what a leader costs at rest."""
    import psutil

    from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
    from daft_coordinator.client import CoordinatorClient
    from daft_protocol import InvocationSpec, JobSpec, new_invocation_id
    from daft_protocol.messages import CancelAll, Wait

    repository = str(uuid.uuid4())
    root = str(home / "state")
    store = SqliteJobStore.open(root, repository)
    station = open_station(root, repository)

    def fire(command: str) -> InvocationSpec:
        return InvocationSpec(
            invocation_id=new_invocation_id(),
            hook_type="bench", trigger_command="bench", worktree="main",
            jobs=(JobSpec(name="job", command=command, background=True),),
        )  # fmt: skip

    figures: list[Figure] = []
    with CoordinatorClient(station, store) as client:
        client.submit(fire("sleep 60"))
        delays, cancels = [], []
        for _ in range(max(5, rounds)):
            stamp = home / "stamp"
            began = time.time()
            submission = client.submit(fire(f"date +%s.%N > {stamp}; exec sleep 60"))
            while not stamp.exists() or not stamp.read_text().strip():
                time.sleep(0.0005)
            delays.append(float(stamp.read_text()) - began)
            stamp.unlink()
            began = time.perf_counter()
            client.cancel(CancelAll(wait=True))
            client.wait(Wait(invocation_ids=(submission.invocation_id,)))
            cancels.append(time.perf_counter() - began)
        delay = sorted(delays)[len(delays) // 2] * 1000
        gone = sorted(cancels)[len(cancels) // 2] * 1000
        figures.append(
            Figure("submit -> process exists, leader up", delay, "ms", "<= 15", delay <= 15)
        )
        figures.append(Figure("cancel -> process gone", gone, "ms", "<= 50", gone <= 50))
        client.submit(fire("sleep 60"))
        process = psutil.Process(client.hello().pid)
        time.sleep(1.0)  # what it has to settle after all this
        before = process.num_ctx_switches()
        time.sleep(REST_S)
        after = process.num_ctx_switches()
        wakeups = (after.voluntary - before.voluntary) / REST_S
        memory = process.memory_info().rss / 2**20
        figures.append(Figure("leader at rest", memory, "MiB", "<= 26", memory <= 26))
        figures.append(Figure("leader at rest", wakeups, "wakes/s", "0", wakeups == 0))
        client.shutdown()
    store.close()
    return figures
