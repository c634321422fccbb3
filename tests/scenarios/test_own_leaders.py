"""With `DAFT_JOBS_COORDINATOR=per-invocation`, whole stories as a user lives them."""

from __future__ import annotations

import os
import signal
from typing import Any

HOOKS = """
hooks:
  worktree-post-create:
    jobs:
      - {name: hold, run: 'echo $$ > ../$DAFT_BRANCH_NAME.pid; sleep 300', background: true}
      - {name: after, run: 'true', background: true, needs: [hold]}
"""
APART = {"DAFT_JOBS_COORDINATOR": "per-invocation"}


def statuses(home: Any, project: Any, branch: str) -> dict[str, str]:
    rows = home.jobs(project, "--worktree", branch)
    return {name: row["status"] for name, row in rows.items()}


def sockets(home: Any) -> list[str]:
    return [name for name in os.listdir(home.root / "state") if name.endswith(".sock")]


def start(home: Any, until: Any, project: Any, branch: str, **environment: str) -> None:
    done = home.daft("start", branch, cwd=project, **environment)
    assert done.returncode == 0, done.stderr
    until(lambda: (home.root / f"{branch}.pid").exists(), f"the job of {branch} runs")


def test_worktrees_whose_hooks_have_a_leader_each(home: Any, until: Any) -> None:
    project = home.repository(HOOKS)
    start(home, until, project, "x", **APART)
    start(home, until, project, "y", **APART)
    start(home, until, project, "z")  # as usual: beside the others, and none the worse for them

    assert len(home.leaders()) == 3
    shown = home.daft("list", "--format", "json", cwd=project)
    assert shown.stdout.count('"running"') >= 3, shown.stdout
    for branch in "xyz":
        assert statuses(home, project, branch) == {"hold": "running", "after": "queued"}

    assert (
        "before it" not in home.daft("jobs", "--all", cwd=project).stdout
    )  # in no queue of its own

    removed = home.daft("remove", "x", cwd=project)
    assert removed.returncode == 0, removed.stderr
    assert statuses(home, project, "x") == {"hold": "cancelled", "after": "cancelled"}
    assert statuses(home, project, "y") == {"hold": "running", "after": "queued"}

    done = home.daft("jobs", "cancel", "--all", cwd=project)
    assert done.returncode == 0, done.stderr
    for branch in "yz":
        assert statuses(home, project, branch) == {"hold": "cancelled", "after": "cancelled"}
    until(lambda: not home.leaders() and not sockets(home), "every leader has left")
    pruned = home.daft("jobs", "prune", "--dry-run", cwd=project)
    assert pruned.returncode == 0, pruned.stderr


def test_the_death_of_one_is_told_of_and_no_other_is_hurt(home: Any, until: Any) -> None:
    project = home.repository(HOOKS)
    start(home, until, project, "x", **APART)
    (first,) = home.leaders()
    start(home, until, project, "y", **APART)

    first.send_signal(signal.SIGKILL)
    first.wait(10)

    assert statuses(home, project, "x") == {"hold": "crashed", "after": "skipped"}
    assert statuses(home, project, "y") == {"hold": "running", "after": "queued"}
    followed = home.daft("jobs", "cancel", "y:hold", cwd=project)
    assert followed.returncode == 0, followed.stderr
    until(lambda: not home.leaders() and not sockets(home), "every leader has left")


def test_a_retry_and_a_wait_in_this_way(home: Any, until: Any) -> None:
    project = home.repository(
        """
hooks:
  worktree-post-create:
    jobs:
      - {name: flaky, run: 'test -e ../mended', background: true}
"""
    )
    assert home.daft("start", "x", cwd=project, **APART).returncode == 0
    waited = home.daft("jobs", "wait", "--worktree", "x", cwd=project, **APART)
    assert waited.returncode in (0, 1), waited.stderr  # it may be over before anybody asks
    until(lambda: statuses(home, project, "x") == {"flaky": "failed"}, "it has failed")
    (home.root / "mended").touch()

    again = home.daft("jobs", "retry", "x:flaky", "--wait", cwd=project, **APART)

    assert again.returncode == 0, again.stderr
    assert statuses(home, project, "x") == {"flaky": "completed"}
    until(lambda: not home.leaders() and not sockets(home), "every leader has left")
