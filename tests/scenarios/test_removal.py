"""While a worktree is being removed it takes no jobs, and a removal that dies keeps nobody out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CONFIG = """\
hooks:
  worktree-post-create:
    jobs:
      - {name: a, run: "true", background: true}
  worktree-pre-remove:
    jobs: [{name: before, run: 'touch ../removing; while ! test -e ../go; do sleep 0.02; done'}]
"""


def test_nothing_is_submitted_to_a_worktree_that_is_being_removed(home: Any, until: Any) -> None:
    project: Path = home.repository(CONFIG)
    home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"
    assert home.daft("jobs", "wait", cwd=tree).returncode == 0

    first = home.start_daft("remove", "x", cwd=project)
    until(lambda: (home.root / "removing").exists(), "the hook before the removal runs")
    refused = home.daft("hooks", "run", "worktree-post-create", cwd=tree)
    second = home.daft("remove", "x", cwd=project)
    first.kill()
    first.wait()
    after = home.daft("hooks", "run", "worktree-post-create", cwd=tree)
    (home.root / "go").touch()
    last = home.daft("remove", "-f", "x", cwd=project)
    first.communicate()

    for done in (refused, second):
        assert done.returncode == 1
        assert f"worktree 'x' is being removed (by process {first.pid})" in done.stderr
        assert "Traceback" not in done.stderr
    assert after.returncode == 0, after.stderr
    assert last.returncode == 0, last.stderr
    assert not tree.exists()
