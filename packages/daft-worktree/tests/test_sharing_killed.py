"""Whoever is killed while sharing has lost nothing, and the same again finishes it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import BUILT_IN, create, discover, plan_start

Git = Callable[..., str]
Run = Callable[[str, int, str], bool]

# `far`: nothing has two names, and the git directory is on another file system than the worktrees.
SHARES = """
import errno
from daft_worktree import discover, sharing
verb, project, far = WORDS
if far == "far":
    def refuse(*_, **__):
        raise OSError(errno.EXDEV, "another file system")
    def replace(old, new, really=os.replace):
        if ("/.git/" in old) != ("/.git/" in new):
            refuse()
        really(old, new)
    os.link, os.replace = refuse, replace
repository = discover(project)
main, x, y = repository.worktrees
import shutil  # loaded when first needed: writing its cache is no step
steps_count_from_here()
if verb == "add":
    sharing.share(repository, main, ".env")
    for tree in (x, y):
        sharing.link(repository, tree, (".env",))
elif verb == "replace":
    sharing.share(repository, y, ".env", override=True)
elif verb == "override":
    sharing.link(repository, y, (".env",), asked=True, override=True)
elif verb == "materialize":
    sharing.materialize(repository, x, ".env")
else:
    sharing.unshare(repository, (main, x, y), ".env")
"""


@pytest.fixture
def run(project: Path, runs_out: Callable[..., bool]) -> Run:
    """Run until step `step`; False when it was killed there."""

    def run(verb: str, step: int, far: str) -> bool:
        return runs_out(SHARES, verb, str(project), far, step=step)

    return run


@pytest.fixture
def files(project: Path, git: Git) -> tuple[Path, Path, Path]:
    """The `.env` of main, of x and of y; x has none, y one that says something else."""
    (project / ".gitignore").write_text(".env\n")
    git("add", "-A", cwd=project)
    git("commit", "-qm", "ignore", cwd=project)
    for name in ("x", "y"):
        found = plan_start(discover(str(project)), name, layout=BUILT_IN["sibling"], data_dir="/n")
        create(found)
    main, x, y = (Path(tree.path) / ".env" for tree in discover(str(project)).worktrees)
    return main, x, y


def begin(verb: str, project: Path, files: tuple[Path, Path, Path], run: Run) -> None:
    """Make everything as it is before `verb`."""
    main, _, y = files
    for file in files:
        file.unlink(missing_ok=True)
    for kept in (project / ".git" / ".daft" / "shared", project / ".git" / ".daft" / "discarded"):
        subprocess.run(["rm", "-rf", str(kept)], check=True)
    main.write_text("S=1\n")
    y.write_text("S=3\n")
    for file in (main, y):
        file.chmod(0o600)
    if verb != "add":
        assert run("add", 0, "near")


def texts(project: Path) -> list[str]:
    """What all files say that can be reached without daft."""
    places = [project, project.parent / f"{project.name}.x", project.parent / f"{project.name}.y"]
    found = [place / ".env" for place in places]
    kept = (project / ".git" / ".daft").rglob("*")
    return [path.read_text() for path in (*found, *kept) if path.is_file()]


@pytest.mark.parametrize("far", ["near", "far"])
@pytest.mark.parametrize("verb", ["add", "override", "replace", "materialize", "remove"])
def test_nothing_is_lost_anywhere_and_the_same_again_finishes_it(
    project: Path, files: tuple[Path, Path, Path], run: Run, verb: str, far: str
) -> None:
    main, x, y = files
    for step in range(1, 100):
        begin(verb, project, files, run)
        ended = run(verb, step, far)
        # At each moment, whoever reads a file by its path finds what it should say.
        shared = {"S=1\n", "S=3\n"} if verb == "replace" else {"S=1\n"}
        assert main.read_text() in shared, step
        assert (verb == "add" and not os.path.lexists(x)) or x.read_text() in shared, step
        assert y.read_text() == "S=3\n" or verb == "override", step
        assert {"S=1\n", "S=3\n"} <= set(texts(project)), step
        modes = [path.stat().st_mode & 0o077 for path in (main, x) if path.exists()]
        assert set(modes) == {0}, step

        assert run(verb, 0, far)

        links = {"replace": (True, True, True), "add": (True, True, False), "override": (True, True, True),
                 "materialize": (True, False, False), "remove": (False, False, False)}  # fmt: skip
        assert tuple(file.is_symlink() for file in files) == links[verb], step
        said = ["S=1\n", "S=1\n", "S=1\n" if verb == "override" else "S=3\n"]
        said = ["S=3\n"] * 3 if verb == "replace" else said
        assert [file.read_text() for file in files] == said, step
        assert list((project / ".git" / ".daft" / "sharing").iterdir()) == []
        for file in files:
            assert [path for path in file.parent.iterdir() if ".daft-" in path.name] == [], step
        if ended:
            break

    assert step > 4
