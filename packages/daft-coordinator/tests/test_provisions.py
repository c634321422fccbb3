"""What a leader loads before its first job starts, and what right after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from daft_coordinator import provisions
from daft_protocol.messages import Wait

Make = Callable[..., Any]
Place = Any  # of conftest

TOLD = """
import os, sys
from daft_coordinator import provisions, __main__ as program
load, seen = provisions.load, sys.argv.pop(1)
def told():
    with open(seen + ".before", "w") as file:
        print(*sys.modules, file=file)
    yield from load()
    with open(seen + ".after", "w") as file:
        print(*sys.modules, file=file)
provisions.load = told
sys.exit(program.main(sys.argv[1:]))
"""


def loaded(path: Path) -> set[str]:
    return set(path.read_text().split())


def test_no_first_job_waits_for_what_only_later_ones_need(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    seen = tmp_path / "modules"
    words = ["--state-root", place.root, "--repository", place.repository]
    leader = subprocess.Popen([sys.executable, "-c", TOLD, str(seen), *words])
    place.until(lambda: os.path.exists(place.station.socket_path))
    with place.client() as client:
        made = client.submit(fire(job("a", background=True)))
        entries = client.wait(Wait(invocation_ids=(made.invocation_id,)))
        client.shutdown()
    assert leader.wait(30) == 0

    assert [entry.status for entry in entries] == ["completed"]
    before = loaded(Path(f"{seen}.before"))
    assert not before & {*provisions.MODULES, "cattrs", "psutil", "pluggy", "argparse", "logging"}
    assert not before & {"daft_coordinator.domain.retention", "daft_coordinator.client"}
    assert {*provisions.MODULES} <= loaded(Path(f"{seen}.after"))


def test_it_is_loaded_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends meanwhile is seen to between two of them."""
    loaded: list[str] = []
    monkeypatch.setattr(provisions, "import_module", loaded.append)
    monkeypatch.setattr(provisions, "gc", Mock())

    counts = [len(loaded) for _ in provisions.load()]

    assert loaded == [*provisions.MODULES]
    assert counts == [*range(1, len(loaded) + 1)]


def test_a_leader_that_works_loads_no_code_any_more(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    """Its program may be gone by then; see the test of that, too."""
    seen = tmp_path / "modules"
    code = TOLD + "\n"
    code = code.replace(
        "sys.exit(program.main(sys.argv[1:]))",
        "code = program.main(sys.argv[1:])\n"
        "with open(seen + '.end', 'w') as file:\n"
        "    print(*sys.modules, file=file)\n"
        "sys.exit(code)",
    )
    words = ["--state-root", place.root, "--repository", place.repository]
    leader = subprocess.Popen([sys.executable, "-c", code, str(seen), *words])
    place.until(lambda: os.path.exists(place.station.socket_path))
    with place.client() as client:
        made = client.submit(
            fire(
                job("a", "echo a; exit 3", background=True),
                job("b", "sleep 60", background=True, timeout_s=0.2),
                job("c", ":", "a", background=True),
            )
        )
        client.wait(Wait(invocation_ids=(made.invocation_id,)))
        list(client.tail(made.jobs[0].uid))
        list(client.jobs())
        client.reconcile()
        client.shutdown()
    assert leader.wait(30) == 0

    new = loaded(Path(f"{seen}.end")) - loaded(Path(f"{seen}.after"))
    assert not [name for name in new if name.startswith(("daft_", "attr", "cattr"))]


def test_what_cannot_be_loaded_at_once_is_loaded_later(
    place: Place, fire: Make, job: Make, tmp_path: Path
) -> None:
    code = TOLD.replace(
        "provisions.load = told",
        "def short():\n"
        "    provisions.load = told\n"
        "    raise OSError(24, 'Too many open files')\n"
        "provisions.load = short",
    )
    words = ["--state-root", place.root, "--repository", place.repository]
    leader = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "modules"), *words])
    place.until(lambda: os.path.exists(place.station.socket_path))
    with place.client() as client:
        made = client.submit(fire(job("a", background=True)))
        place.until((tmp_path / "modules.after").exists)
        entries = client.wait(Wait(invocation_ids=(made.invocation_id,)))
        client.shutdown()
    assert leader.wait(30) == 0

    assert [entry.status for entry in entries] == ["completed"]
    assert "Too many open files" in Path(place.station.journal_path).read_text()
