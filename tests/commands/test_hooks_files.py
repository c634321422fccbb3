"""The files of hooks as a user makes, renames and looks at them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def project(home: Any) -> Path:
    path: Path = home.repository()
    return path


def script(home: Any, project: Path, name: str, text: str) -> None:
    path = project / ".daft" / "hooks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "script", cwd=project)


def test_a_starter_fits_the_project_and_is_left_alone_afterwards(home: Any, project: Path) -> None:
    (project / "go.mod").write_text("module x\n")

    shown = home.daft("hooks", "init", "--dry-run", cwd=project)
    assert not (project / "daft.yml").exists()
    written = home.daft("hooks", "install", cwd=project)
    assert written.returncode == 0
    assert (project / "daft.yml").read_text() == shown.stdout
    assert (project / "daft.yml").stat().st_mode & 0o777 == 0o644
    assert home.daft("hooks", "validate", cwd=project).returncode == 0

    again = home.daft("hooks", "install", "pre-merge", cwd=project)
    assert "is there already. It defines: worktree-post-create" in again.stdout
    assert "  pre-merge:\n    jobs:" in again.stdout
    assert (project / "daft.yml").read_text() == shown.stdout
    assert home.daft("hooks", "install", "--local", cwd=project).returncode == 0
    dumped = json.loads(home.daft("hooks", "dump", "--format", "json", cwd=project).stdout)
    names = [job["name"] for job in dumped["hooks"]["worktree-post-create"]["jobs"]]
    assert names == ["go", "go-build", "setup"]


def test_a_link_is_not_followed_when_a_starter_is_written(home: Any, project: Path) -> None:
    (project / "daft.yml").symlink_to(home.root / "elsewhere")

    done = home.daft("hooks", "install", cwd=project)

    assert done.returncode == 1
    assert not (home.root / "elsewhere").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["install", "nope"], 1, "Unknown hook name: 'nope'. Valid hooks: post-clone"),
        (["install", "--local"], 1, "first: daft hooks install"),
        (["dump", "--origin", "--format", "json"], 2, "not allowed with"),
        (["migrate"], 0, ""),
        (["dump"], 0, ""),
    ],
)
def test_wrong_words_are_answered(
    home: Any, project: Path, words: list[str], code: int, said: str
) -> None:
    done = home.daft("hooks", *words, cwd=project)

    assert done.returncode == code
    assert said in done.stderr


def test_executable_hooks_run_by_consent_are_listed_and_migrated(home: Any, project: Path) -> None:
    script(home, project, "post-create", "echo made >> ran")
    script(home, project, "worktree-post-remove", 'echo "$DAFT_REMOVAL_REASON" >> ran')

    untrusted = home.daft("start", "x", cwd=project)
    assert "2 hooks not run" in untrusted.stderr
    assert "not run: worktree-post-create, worktree-post-remove" in untrusted.stderr
    home.daft("hooks", "trust", "-f", cwd=project)
    assert home.daft("hooks", "replay", cwd=project).returncode == 0
    assert (home.root / "project.x" / "ran").read_text() == "made\n"
    assert "script:post-create" in home.jobs(project, "--worktree", "x")

    moved = home.daft("hooks", "migrate", cwd=project)
    assert "post-create -> .daft/hooks/worktree-post-create" in moved.stdout
    home.daft("hooks", "trust", "-f", cwd=project)
    assert home.daft("hooks", "run", "worktree-post-create", cwd=project).returncode == 0
    assert home.daft("remove", "-f", "x", cwd=project).returncode == 0
    assert (project / "ran").read_text() == "made\nmanual\n"


def test_executable_hooks_never_stand_in_for_a_configuration_that_cannot_be_read(
    home: Any, project: Path
) -> None:
    script(home, project, "worktree-pre-remove", "echo ran >> ../ran")
    home.daft("hooks", "trust", "-f", cwd=project)
    home.daft("start", "x", cwd=project)
    (home.root / "project.x" / "daft.yml").write_text("hooks: [\n")

    removed = home.daft("remove", "-f", "x", cwd=project)

    assert removed.returncode == 0
    assert "cannot be read" in removed.stderr
    assert not (home.root / "ran").exists()
