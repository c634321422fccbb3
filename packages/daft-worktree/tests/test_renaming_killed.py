"""Whoever is killed while renaming leaves a branch and a worktree that go by one name."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import Interrupted, discover, put_right

Git = Callable[..., str]
RunsOut = Callable[..., bool]

RENAMES = """
from daft_worktree import *
root, old, new = WORDS
layout = BUILT_IN["contained"]
planned = plan_rename(discover(root), old, new, layout=layout, data_dir="/n")
steps_count_from_here()
with under_way(planned) as begun:
    begun.carry_out()
"""

PUTS_RIGHT = """
from daft_worktree import *
repository = discover(*WORDS)
steps_count_from_here()
put_right(repository, print)
"""


@pytest.fixture
def root(project: Path, tmp_path: Path, git: Git) -> Path:
    """The root of a bare layout with a worktree of `a/old` that has changes."""
    root = tmp_path / "bare one"
    git("clone", "-q", "--bare", str(project), str(root / ".git"), cwd=tmp_path)
    git("worktree", "add", "-q", "../main", "main", cwd=root / ".git")
    git("worktree", "add", "-q", "-b", "a/old", "../a/old", "main", cwd=root / ".git")
    git("config", "branch.a/old.description", "work", cwd=root / ".git")
    (root / "a" / "old" / "file").write_text("changed\n")
    return root


def name_of(root: Path, git: Git, *names: str) -> str:
    """Return the one name that everything has, of a branch and the worktree at its place."""
    listed = git("branch", "--format=%(refname:short)", cwd=root / ".git").split("\n")
    (name,) = set(listed) & set(names)
    assert git("status", "--short", "--branch", cwd=root / name) == f"## {name}\n M file"
    assert git("config", f"branch.{name}.description", cwd=root / ".git") == "work"
    worktrees = discover(str(root)).worktrees
    assert {one.label: one.path for one in worktrees if not one.is_bare} == {
        "main": str(root / "main"),
        name: str(root / name),
    }
    assert not [other for other in names if other != name and (root / other / "file").exists()]
    assert not list((root / ".git" / ".daft" / "renaming").glob("*"))
    assert not [path for path in root.iterdir() if path.name.startswith(".daft")]
    return name


@pytest.mark.parametrize("new", ["b/new", "a/old/er", "a"])
@pytest.mark.parametrize("how", ["kill", "interrupt"])
def test_a_rename_stopped_anywhere_leaves_one_name(
    root: Path, git: Git, runs_out: RunsOut, new: str, how: str
) -> None:
    names = set()
    for step in range(1, 100):
        ended = runs_out(RENAMES, str(root), "a/old", new, step=step, how=how)
        said: list[str] = []
        settled: list[Interrupted] = []
        put_right(discover(str(root)), said.append, settled.append)
        name = name_of(root, git, "a/old", new)
        names.add(name)
        if said:
            assert [(one.is_new, one.path) for one in settled] == [
                (name == new, str(root / name))
            ], step
        if ended:
            break
        if name == new:
            assert runs_out(RENAMES, str(root), new, "a/old", step=0)

    assert name == new
    assert names == {"a/old", new}
    assert step > 8


@pytest.mark.parametrize("new", ["b/new", "a/old/er", "a"])
def test_putting_it_right_may_be_killed_as_well(
    root: Path, git: Git, runs_out: RunsOut, new: str
) -> None:
    for step in range(4, 12):
        if runs_out(RENAMES, str(root), "a/old", new, step=step):
            break
        assert any(runs_out(PUTS_RIGHT, str(root), step=again) for again in range(1, 100))
        if name_of(root, git, "a/old", new) == new:
            assert runs_out(RENAMES, str(root), new, "a/old", step=0)


KILLED_WITHIN_GIT = """
import os, sys
from daft_worktree import *
open(sys.argv[2], "w").write(str(os.getpid()))
layout = BUILT_IN["contained"]
planned = plan_rename(discover(sys.argv[1]), "a/old", "new", layout=layout, data_dir="/n")
with under_way(planned) as begun:
    begun.carry_out()
"""


@pytest.mark.parametrize("moment", ["prepared", "committed"])
@pytest.mark.parametrize("who", ["everything", "daft alone"])
def test_a_rename_killed_within_git_leaves_one_name(
    root: Path, git: Git, tmp_path: Path, moment: str, who: str
) -> None:
    """git deletes the old name before it makes the new one, and tells a hook of each."""
    pid = tmp_path / "pid"
    hook = root / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    kill = "kill -9 0" if who == "everything" else f'kill -9 $(cat "{pid}")'
    once = f'mkdir "{tmp_path}/once" || exit 0'
    hook.write_text(f'#!/bin/sh\n[ "$1" = {moment} ] || exit 0\n{once}\n{kill}\nexit 0\n')
    hook.chmod(0o755)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WITHIN_GIT, str(root), str(pid)],
        start_new_session=True,
        check=False,
    )
    assert killed.returncode == -9
    for note in (root / ".git" / ".daft" / "renaming").iterdir():
        with note.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until git has gone as well
    hook.unlink()
    for stale in (root / ".git").rglob("*.lock"):
        if stale.name != "worktree.lock":
            stale.unlink()  # what a killed git leaves is its user's to remove

    said: list[str] = []
    put_right(discover(str(root)), said.append)

    name_of(root, git, "a/old", "new")
    assert len(said) == 1


def test_a_rename_that_is_still_at_work_is_left_alone(root: Path, git: Git) -> None:
    notes = root / ".git" / ".daft" / "renaming"
    notes.mkdir(parents=True)
    (notes / "1-1").write_text("\0".join(("midway", "a/old", "b", *[""] * 7)))
    with (notes / "1-1").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        put_right(discover(str(root)), pytest.fail)

        assert (notes / "1-1").exists()


def test_a_note_of_something_else_harms_nothing(root: Path, git: Git) -> None:
    notes = root / ".git" / ".daft" / "renaming"
    notes.mkdir(parents=True)
    before = git("for-each-ref", cwd=root / ".git")
    (notes / "1-1").write_text("half a no")
    (notes / "1-2").write_text("")
    private = str(root / ".git" / "worktrees" / "gone")
    (notes / "1-3").write_text(
        "\0".join(("midway", "x", "y", "0" * 40, private, "/x", "/y", "", "", ""))
    )
    said: list[str] = []

    put_right(discover(str(root)), said.append)

    assert said == ["renaming 'x' to 'y' had been interrupted; it was changed by hand since"]
    assert git("for-each-ref", cwd=root / ".git") == before
    assert list(notes.iterdir()) == []
