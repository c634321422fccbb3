"""What tests and reports of trouble ask `daft` for: nothing of it changes anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
log: {keep_last: 7, max_log_size: 5KB}
hooks:
  worktree-post-create:
    jobs:
      - {name: build, run: "echo building", log: {retention: 2d}}
      - {name: check, run: "exit 3", env: {API_TOKEN: secret}}
"""


@pytest.fixture
def used(home: Any) -> tuple[Any, Path]:
    project = home.repository(CONFIG)
    home.daft("hooks", "run", "worktree-post-create", cwd=project)
    return home, project


def dumped(home: Any, project: Path, table: str) -> list[dict[str, Any]]:
    done = home.daft("__dump-store", table, cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_runs_and_jobs_are_dumped_an_object_each(used: tuple[Any, Path]) -> None:
    home, project = used

    (run,) = dumped(home, project, "invocations")
    build, check = dumped(home, project, "jobs")

    assert {"trigger_command", "created_at", "skip_reason"} <= set(run)
    assert (run["hook_type"], run["worktree"], run["status"]) == (
        "worktree-post-create", "main", "completed",
    )  # fmt: skip
    assert {build["invocation_id"], check["invocation_id"]} == {run["invocation_id"]}
    assert (build["name"], build["status"], build["exit_code"]) == ("build", "completed", 0)
    assert (check["name"], check["status"], check["exit_code"]) == ("check", "failed", 3)
    assert (build["retention_seconds"], build["max_log_size_bytes"]) == (2 * 86400, 5120)
    assert check["retention_seconds"] == 7 * 86400
    assert "secret" not in json.dumps(check)


def test_the_policy_is_one_object_under_either_name(used: tuple[Any, Path]) -> None:
    home, project = used

    texts = [
        home.daft("__dump-store", name, cwd=project).stdout for name in ("policy", "repo-policy")
    ]

    assert texts[0] == texts[1]
    assert texts[0].startswith('{\n  "version"')
    policy = json.loads(texts[0])
    assert (policy["keep_last"], policy["max_total_size_bytes"]) == (7, None)
    assert policy["stale_running_after_seconds"] is None


def test_coordinators_are_dumped_while_they_are_there(used: tuple[Any, Path]) -> None:
    home, project = used
    assert dumped(home, project, "coordinators") == []
    (project / "daft.yml").write_text(CONFIG.replace('"exit 3"', '"sleep 60", background: true'))
    assert home.daft("hooks", "trust", "-f", cwd=project).returncode == 0

    home.daft("hooks", "run", "worktree-post-create", cwd=project)
    found = dumped(home, project, "coordinators")
    (leader,) = home.leaders()

    assert [one["pid"] for one in found if one["kind"] == "leader"] == [leader.pid]
    home.daft("jobs", "cancel", "--all", cwd=project)


def test_a_dump_leaves_the_store_as_it_is(used: tuple[Any, Path]) -> None:
    home, project = used
    (database,) = (home.root / "state" / "jobs").glob("*/coordinator.db")
    before = database.read_bytes()

    for table in ("invocations", "jobs", "coordinators", "policy"):
        dumped_text = home.daft("__dump-store", table, cwd=project)
        assert dumped_text.returncode == 0

    assert database.read_bytes() == before
