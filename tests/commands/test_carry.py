"""`daft carry`: what is said of changes that go elsewhere, and where one is afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def project(home: Any) -> Path:
    """A repository with worktrees x and y, and two changed files in the main one."""
    path: Path = home.repository("rc: a\n", trust=False)
    for name in ("x", "y"):
        assert home.daft("start", name, cwd=path).returncode == 0
    (path / "daft.yml").write_text("rc: b\n")
    (path / "new").write_text("n\n")
    (path / "daft.local.yml").write_text("rc: mine\n")
    return path


def test_changes_move_and_the_shell_goes_along(home: Any, project: Path) -> None:
    cd = home.root / "cd"

    done = home.daft("carry", "x", cwd=project, DAFT_CD_FILE=str(cd))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Moved 2 changed files to 'x'\n"
    assert cd.read_text() == str(home.root / "project.x")
    assert (home.root / "project.x" / "new").read_text() == "n\n"
    assert home.git("status", "--short", cwd=project) == "?? daft.local.yml"
    back = home.daft("go", "-", cwd=home.root / "project.x", DAFT_CD_FILE=str(cd))
    assert (back.returncode, cd.read_text()) == (0, str(project))
    again = home.daft("carry", "x", cwd=project)
    assert (again.returncode, again.stdout.split(":")[0]) == (0, "Nothing to carry")


def test_copies_go_to_all_that_take_them(home: Any, project: Path) -> None:
    (home.root / "project.x" / "daft.yml").write_text("rc: theirs\n")
    cd = home.root / "cd"

    done = home.daft("carry", "y", "x", cwd=project, DAFT_CD_FILE=str(cd))

    assert done.returncode == 1
    assert done.stdout == "Copied 2 changed files to 'y'\n"
    oid = home.git("rev-parse", "--short=12", "stash@{0}", cwd=project)
    there = home.root / "project.x"
    assert f"they are safe in the stash: git -C {there} stash apply --index {oid}\n" in done.stderr
    assert "or back" not in done.stderr
    assert cd.read_text() == str(home.root / "project.y")
    assert (project / "new").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "usage:"),
        (("x", "--cop"), 2, "unrecognized"),
        (("nobody",), 1, "'nobody' has no worktree"),
        (("main", "x"), 1, "'main' is where the changes are"),
    ],
)
def test_what_cannot_be_is_said(
    home: Any, project: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    done = home.daft("carry", *words, cwd=project)

    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert (project / "new").exists()
