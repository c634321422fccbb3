"""A leader whose program is replaced or removed while it works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daft_coordinator
import daft_protocol
import daft_store
from daft_coordinator.logreader import read_log
from daft_coordinator.station import leader_lives
from daft_protocol.messages import CancelMatching, ListJobs, Wait

Make = Callable[..., Any]
Place = Any  # of conftest


@pytest.mark.fault("F-29", "it")
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_leader_goes_on_with_the_program_it_was_started_from(
    place: Place, fire: Make, job: Make, tmp_path: Path, how: str
) -> None:
    """Everything it does afterwards, it does for the first time."""
    program = tmp_path / "program"
    for package in (daft_coordinator, daft_protocol, daft_store):
        source = Path(package.__file__ or "").parent
        shutil.copytree(source, program / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    words = [
        sys.executable, "-m", "daft_coordinator", "--state-root", place.root, "--repository",
        place.repository,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(program)}
    where = [sys.executable, "-c", "import daft_coordinator as here; print(here.__file__)"]
    found = subprocess.run(where, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(program))
    leader = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL)
    place.until(lambda: os.path.exists(place.station.socket_path))

    with place.client() as client:
        welcome = client.hello()
        assert welcome.pid == leader.pid
        if how == "removed":
            shutil.rmtree(program)
        else:
            for path in program.rglob("*.py"):
                path.write_text("raise SystemExit('another version')\n")
        made = client.submit(
            fire(
                job("good", "echo good", background=True),
                job("bad", "exit 3", background=True),
                job("after", ":", "bad", background=True),
                job("slow", "sleep 60", background=True, timeout_s=0.3),
                job("long", "sleep 60", background=True),
                job("nowhere", ":", background=True, working_dir="/no/such/place"),
                job("bytes", r"printf '\377\n'; seq 100000", background=True),
            )
        )
        uids = {one.name: one.uid for one in made.jobs}
        client.wait(Wait(job_uids=tuple(uid for name, uid in uids.items() if name != "long")))
        client.cancel(CancelMatching(job_name="long", wait=True))
        records = list(client.tail(uids["good"], follow=True))
        client.reconcile()
        entries = {entry.name: entry.status for entry in client.jobs(ListJobs(limit=3))}
    place.until(lambda: not leader_lives(place.station.lock_path))

    assert leader.wait(30) == 0
    assert "good" in [record.data for record in records]
    assert entries == {
        "good": "completed", "bad": "failed", "after": "skipped", "slow": "failed",
        "long": "cancelled", "nowhere": "failed", "bytes": "completed",
    }  # fmt: skip
    assert place.store.unfinished() == ()
    journal = Path(place.station.journal_path)
    assert "Traceback" not in (journal.read_text() if journal.exists() else "")


@pytest.mark.fault("F-32", "graph")
def test_two_hundred_jobs_of_one_hook_run_once_each(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    """Layers of twenty, each job needing two of the layer before."""
    out = tmp_path / "out"
    jobs = [
        job(
            f"j{n}", f"echo {n} >> {out}", *([f"j{n - 20}", f"j{n - 20 - n % 20}"] if n >= 20 else []),
            background=True,
        )
        for n in range(200)
    ]  # fmt: skip
    with place.client() as client:
        made = client.submit(fire(*jobs))
        entries = client.wait(Wait(invocation_ids=(made.invocation_id,)))
        logs = [place.store.log_directory(one) for one in made.jobs]

    assert {entry.status for entry in entries} == {"completed"}
    order = [int(line) for line in out.read_text().split()]
    assert sorted(order) == list(range(200))
    when = {n: position for position, n in enumerate(order)}
    assert all(when[n - 20] < when[n] and when[n - 20 - n % 20] < when[n] for n in range(20, 200))
    assert all(
        [record.event for record in read_log(directory)] == ["started", "finished"]
        for directory in logs
    )
