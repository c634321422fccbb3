from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daft_worktree import git as git_module

CONFIG = "[user]\n\tname = T\n\temail = t@localhost\n[init]\n\tdefaultBranch = main\n"
Git = Callable[..., str]


@pytest.fixture(autouse=True)
def own_git_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the real user's configuration out."""
    path = tmp_path / "gitconfig"
    path.write_text(CONFIG)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def git() -> Git:
    def run(*words: str, cwd: Path | str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "GIT_DIR"}
        done = subprocess.run(
            ["git", *words], cwd=cwd, capture_output=True, text=True, check=True, env=environment
        )
        return done.stdout.strip()

    return run


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Path:
    """A repository with one commit on main and a branch `old`."""
    path = tmp_path / "a project"
    path.mkdir()
    git("init", "-q", cwd=path)
    (path / "file").write_text("one\n")
    git("add", "-A", cwd=path)
    git("commit", "-qm", "one", cwd=path)
    git("branch", "old", cwd=path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[], set[str]]:
    """Everything below the test's directory, to see that nothing changed."""

    def listing() -> set[str]:
        return {
            str(path.relative_to(tmp_path))
            for path in tmp_path.rglob("*")
            if "/.daft/locks" not in str(path) and path.name not in (".daft",)
        }

    return listing


@pytest.fixture(autouse=True)
def nobody_watches() -> Iterator[None]:
    """A watcher of git's starts does not outlive its test."""
    yield
    git_module.observer = None
