"""What is left when somebody is killed, at every point at which something becomes lasting."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # as for `python sweep.py`, which stands on its own

from points import SEAMS  # noqa: E402  (found there)
from sweep import SCENARIOS  # noqa: E402  (found there)

SOURCES = HERE.parents[1] / "packages" / "daft-coordinator" / "src" / "daft_coordinator"

LASTING = {
    "os.write", "os.pwrite", "os.replace", "os.rename", "os.unlink", "os.rmdir", "os.kill",
    "os.killpg", "os.posix_spawn", "os.ftruncate", "os.truncate", "shutil.rmtree",
    "signals.pidfd_send_signal",
}  # fmt: skip
"""Calls after which the world is another one."""

ELSEWHERE = {
    "_group_exists": "signal 0 changes nothing",
    "_put_aside": "the leader's own messages; nothing is decided by them",
}
"""Functions with such a call that need no point, and why."""


def test_points_surround_every_call_that_lasts() -> None:
    covered = {name for _, _, _, name in SEAMS}

    lasting = {
        function.name: str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        if path.name != "testing.py" and "testing" not in path.parts
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and _calls(function) & LASTING
    }
    open_ends = {
        name: where
        for name, where in lasting.items()
        if name not in covered and name not in ELSEWHERE
    }
    assert open_ends == {}
    assert set(ELSEWHERE) <= set(lasting)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted with prctl")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_death_at_any_point_breaks_no_invariant(scenario: str) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "sweep.py"), scenario],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["violations"] == {}
    assert found["missed"] == []
    assert found["kills"] >= len(found["points"])


def _calls(function: ast.FunctionDef) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
