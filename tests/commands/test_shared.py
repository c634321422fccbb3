"""`daft shared` and the links that worktrees begin with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

CONFIG = (
    "# ours\nshared:\n  - .env  # secrets\n"
    "hooks: {worktree-post-create: {jobs: [{name: a, run: 'cat .env > seen'}]}}\n"
)


@pytest.fixture
def project(home: Any) -> Path:
    """A repository that shares a `.env`, with its file in place."""
    path: Path = home.repository(CONFIG)
    (path / ".git" / "info" / "exclude").write_text("seen\n")
    stored = path / ".git" / ".daft" / "shared"
    stored.mkdir(parents=True)
    (stored / ".env").write_text("S=1\n")
    return path


def test_a_new_worktree_has_the_links_before_its_hooks_run(home: Any, project: Path) -> None:
    done = home.daft("start", "x", cwd=project)

    tree = home.root / "project.x"
    assert (done.returncode, done.stderr.count("warning")) == (0, 0), done.stderr
    assert os.readlink(tree / ".env") == "../project/.git/.daft/shared/.env"
    assert (tree / "seen").read_text() == "S=1\n"
    assert home.git("status", "--short", cwd=tree) == ""
    assert home.daft("remove", "x", cwd=project).returncode == 0
    assert (project / ".git" / ".daft" / "shared" / ".env").read_text() == "S=1\n"


def test_what_is_declared_and_not_committed_is_linked_as_well(home: Any, project: Path) -> None:
    (project / ".git" / ".daft" / "shared" / "key").write_text("k\n")
    (project / "daft.yml").write_text(CONFIG.replace(".env  #", "key\n  - .env  #"))
    home.git("branch", "old", cwd=project)

    done = home.daft("go", "old", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.old" / "key").read_text() == "k\n"


def test_a_file_of_the_branch_is_not_replaced_by_a_link(home: Any, project: Path) -> None:
    (project / ".env").write_text("tracked\n")
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "env", cwd=project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0
    assert "warning: .env is not linked in 'x': git tracks it" in done.stderr
    assert (home.root / "project.x" / ".env").read_text() == "tracked\n"


def test_a_clone_has_what_its_first_hook_has_shared(home: Any) -> None:
    share = "mkdir -p .git/.daft/shared; echo fetched > .git/.daft/shared/.env"
    origin = home.repository(
        f"shared: .env\nhooks: {{post-clone: {{jobs: [{{name: a, run: '{share}'}}]}}}}\n",
        name="origin",
    )

    done = home.daft("clone", "--trust-hooks", str(origin), "copy", cwd=home.root)

    assert done.returncode == 0, done.stderr
    assert (home.root / "copy" / ".env").read_text() == "fetched\n"
    assert (home.root / "copy" / ".env").is_symlink()
