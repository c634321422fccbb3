"""What it costs that a leader has to be started: for the client, and for the first job."""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from measure import Figure

LEAVES_MS = 5.0
EXISTS_RATIO = 4.0
TAKEN_BACK_S = 0.005
"""Between two looks at whether a leader has left; nothing is timed meanwhile."""


def births(home: Path, rounds: int) -> list[Figure]:
    """Start leader after leader for a job that tells when it runs; P takes its turn."""
    from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
    from daft_coordinator.client import CoordinatorClient
    from daft_coordinator.station import leader_lives
    from daft_protocol import InvocationSpec, JobSpec, new_invocation_id

    root, repository = str(home / "births"), str(uuid.uuid4())
    station = open_station(root, repository)
    python, waits, starts = [], [], []
    first = 0.0
    for number in range(max(5, rounds) + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        python.append(time.perf_counter() - began)
        pipe = home / f"pipe-{number}"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        store = SqliteJobStore.open(root, repository)
        committed = _note_commits(store)
        job = JobSpec(name="job", command=f"echo > {pipe}", background=True)
        with CoordinatorClient(station, store) as client:
            client.submit(
                InvocationSpec(
                    invocation_id=new_invocation_id(), hook_type="bench", trigger_command="bench",
                    worktree="main", jobs=(job,),
                ),
                confirm=False,
            )  # fmt: skip
            left = time.perf_counter()
            poll = select.poll()
            poll.register(reader, select.POLLIN)
            poll.poll(60_000)
            ran = time.perf_counter()
            if number:
                waits.append(left - committed[-1])
                starts.append(ran - committed[-1])
            else:
                first = left - committed[-1]
            client.shutdown()
        store.close()
        os.close(reader)
        while leader_lives(station.lock_path):
            time.sleep(TAKEN_BACK_S)
    p = statistics.median(python)
    leaves, exists = statistics.median(waits) * 1000, statistics.median(starts) / p
    low = min(starts) / min(python)
    quick, soon = leaves <= LEAVES_MS, exists <= EXISTS_RATIO
    # fmt: off
    return [
        Figure("commit -> client leaves, leader to start", leaves, "ms", "<= 5", quick),
        Figure("the same, first leader of this program here", first / p, "x P"),
        Figure("commit -> process, leader to start", exists, "x P", "<= 4", soon),
        Figure("the same, least of each", low, "x P", "<= 4", low <= EXISTS_RATIO),
    ]
    # fmt: on


def _note_commits(store: Any) -> list[float]:
    """Return a list that takes the moment of every commit of an invocation."""
    moments: list[float] = []
    record = store.record

    def noted(*given: Any, **named: Any) -> Any:
        made = record(*given, **named)
        moments.append(time.perf_counter())
        return made

    store.record = noted
    return moments
