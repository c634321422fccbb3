"""How fast output becomes a log, in how much memory, and how soon a follower sees a line."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import measure
from measure import Figure

SHORT = "ok"
BUILD = (
    "[ 42%] Building CXX object src/some/where/CMakeFiles/thing.dir/a_source_of_usual_length.cpp.o"
)


def run(rounds: int) -> None:
    """Measure and report."""
    figures: list[Figure] = []
    # The leader of the last measurement may still be leaving.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        lines, _, memory = pump(Path(home), SHORT, 30_000_000)
        figures.append(
            Figure("two jobs of short lines", lines, "lines/s", ">= 500000", lines >= 500_000)
        )
        _, speed, more = pump(Path(home), BUILD, 300_000_000)
        memory = max(memory, more)
        mib = speed / 2**20
        figures.append(Figure("two jobs of build log", mib, "MiB/s", ">= 50", mib >= 50))
        figures.append(Figure("memory per writing job", memory, "MiB", "<= 1", memory <= 1))
        delay = follow(Path(home), rounds) * 1000
        figures.append(Figure("follower sees a line", delay, "ms", "<= 20", delay <= 20))
    measure.report_figures("logs", figures)


def pump(home: Path, line: str, size: int) -> tuple[float, float, float]:
    """Have two jobs write `size` bytes of `line` each, with the log's usual limit.

    Returns: lines and bytes per second of both, MiB by which one of them made us grow.
    """
    # In a process of its own: memory that is given back to the interpreter is not to the system.
    done = subprocess.run(
        [sys.executable, __file__, str(home), line, str(size)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return found["lines"], found["bytes"], found["memory"]


def _pump_here(home: Path, line: str, size: int) -> None:
    from daft_coordinator import Coordinator
    from daft_coordinator.adapters.sqlite import SqliteJobStore
    from daft_protocol import InvocationSpec, JobSpec, new_invocation_id

    def fire(*commands: str) -> InvocationSpec:
        return InvocationSpec(
            invocation_id=new_invocation_id(),
            hook_type="bench", trigger_command="bench", worktree="main",
            jobs=tuple(
                JobSpec(name=f"job-{number}", command=command)
                for number, command in enumerate(commands)
            ),
        )  # fmt: skip

    store = SqliteJobStore.open(str(home / "state"), str(uuid.uuid4()))
    with Coordinator(store, workers=2) as coordinator:
        for warm_up in (fire(f"yes '{line}' | head -n 1000"),):
            coordinator.submit(warm_up)
            coordinator.wait(warm_up.invocation_id)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        loud = f"yes '{line}' | head -c {size}"
        both = fire(loud, loud)
        began = time.perf_counter()
        coordinator.submit(both)
        jobs = coordinator.wait(both.invocation_id)
        took = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert all(job.exit_code == 0 for job in jobs)
    store.close()
    print(
        json.dumps(
            {
                "lines": 2 * size / (len(line) + 1) / took,
                "bytes": 2 * size / took,
                "memory": (after - before) / 1024 / 2,
            }
        )
    )


def follow(home: Path, rounds: int) -> float:
    """Return the median of seconds from the writing of a line to a follower's having it."""
    from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
    from daft_coordinator.client import CoordinatorClient
    from daft_protocol import InvocationSpec, JobSpec, new_invocation_id

    repository = str(uuid.uuid4())
    root = str(home / "state")
    store = SqliteJobStore.open(root, repository)
    count = max(20, rounds)
    talk = f"for i in $(seq {count}); do sleep 0.03; date +%s.%N; done"
    spec = InvocationSpec(
        invocation_id=new_invocation_id(),
        hook_type="bench", trigger_command="bench", worktree="main",
        jobs=(JobSpec(name="talk", command=talk, background=True),),
    )  # fmt: skip
    with CoordinatorClient(open_station(root, repository), store) as client:
        (job,) = client.submit(spec).jobs
        delays = [
            time.time() - float(record.data)
            for record in client.tail(job.uid, follow=True)
            if isinstance(record.data, str)
        ]
        client.shutdown()
    store.close()
    return statistics.median(delays)


if __name__ == "__main__":
    _pump_here(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)
