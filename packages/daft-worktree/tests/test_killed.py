"""Whoever is killed between any two steps leaves nothing that the next run does not put right."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from daft_worktree import (
    BUILT_IN,
    Creation,
    Existing,
    create,
    discover,
    plan_removal,
    plan_start,
    plan_visit,
    put_right,
    reap_trash,
    remove,
)
from daft_worktree.errors import BranchExists, Refused, RemovalUndone

Git = Callable[..., str]
Killed = Callable[..., bool]

KILLED = """
from daft_worktree import *
verb, project, name = WORDS
layout = BUILT_IN["nested"]
repository = discover(project)
if verb == "create":
    planned = plan_start(repository, name, layout=layout, data_dir="/n")
    steps_count_from_here()
    create(planned)
else:
    (target,) = plan_removal(repository, (name,))
    if verb == "race":
        open(os.path.join(target.worktree.path, "late"), "w").close()
    steps_count_from_here()
    try:
        remove(repository, target)
    except WorktreeError:
        pass
"""


@pytest.fixture
def killed_at(runs_out: Callable[..., bool], project: Path) -> Killed:
    """Run until step `step`; False when there are fewer."""

    def run(verb: str, name: str, step: int, how: str = "kill") -> bool:
        return not runs_out(KILLED, verb, str(project), name, step=step, how=how)

    return run


def labels(project: Path) -> list[str]:
    return [one.label for one in discover(str(project)).worktrees]


def test_a_removal_killed_anywhere_can_be_finished(
    project: Path, git: Git, killed_at: Killed
) -> None:
    for step in range(1, 100):
        name = f"x{step}"
        git("worktree", "add", "-q", "-b", name, f"../{name}", cwd=project)
        ended = not killed_at("remove", name, step)
        repository = discover(str(project))
        with suppress(Refused):  # nothing was left
            for target in plan_removal(repository, (name,)):
                remove(repository, target)
        assert not (project.parent / name).exists()
        assert name not in git("branch", "--format=%(refname:short)", cwd=project).split()
        assert labels(project) == ["main"]
        if ended:
            break

    assert step > 8
    reap_trash(str(project / ".git"))
    assert list((project / ".git" / ".daft" / "trash").iterdir()) == []


def test_what_a_killed_removal_has_taken_with_changes_comes_back(
    project: Path, git: Git, killed_at: Killed
) -> None:
    undone = 0
    for step in range(1, 100):
        name = f"x{step}"
        git("worktree", "add", "-q", "-b", name, f"../{name}", cwd=project)
        ended = not killed_at("race", name, step)
        reap_trash(str(project / ".git"))
        try:
            found = plan_visit(
                discover(str(project)), name, layout=BUILT_IN["sibling"], data_dir="/n"
            )
            if isinstance(found, Creation):
                create(found)
        except RemovalUndone:
            undone += 1
        assert (project.parent / name / "late").exists(), step
        assert git("status", "--short", cwd=project.parent / name) == "?? late"
        if ended:
            break

    assert undone > 1


def test_a_creation_killed_anywhere_can_be_repeated(
    project: Path, git: Git, killed_at: Killed
) -> None:
    for step in range(1, 100):
        name = f"x{step}"
        ended = not killed_at("create", name, step)
        repository = discover(str(project))
        found: Creation | Existing
        try:
            found = plan_start(repository, name, layout=BUILT_IN["nested"], data_dir="/n")
        except BranchExists:
            found = plan_visit(repository, name, layout=BUILT_IN["nested"], data_dir="/n")
        tree = create(found) if isinstance(found, Creation) else found.worktree
        assert git("status", "--short", cwd=tree.path) == ""
        assert git("rev-parse", "HEAD", cwd=tree.path) == git("rev-parse", "main", cwd=project)
        assert git("status", "--short", cwd=project) == "" or not ended
        if ended:
            break

    assert step > 8


def everything(project: Path, git: Git) -> tuple[str, list[str], set[str]]:
    """What an undone creation must not have changed, besides notes and empty directories of git."""
    files = {
        str(path)
        for path in project.rglob("*")
        if ".daft" not in path.parts and (".git" not in path.parts or path.is_file())
    }
    return git("for-each-ref", cwd=project), labels(project), files


def test_a_creation_interrupted_anywhere_makes_all_or_nothing(
    project: Path, git: Git, killed_at: Killed
) -> None:
    create(plan_start(discover(str(project)), "first", layout=BUILT_IN["nested"], data_dir="/n"))
    kept = 0
    for step in range(1, 100):
        name = f"deep/x{step}"
        before = everything(project, git)
        ended = not killed_at("create", name, step, "interrupt")
        # Interrupted while it takes back its note, it leaves that.
        put_right(discover(str(project)), pytest.fail)
        if name in labels(project):
            kept += 1
            tree = discover(str(project)).worktrees[-1].path
            assert git("status", "--short", cwd=tree) == ""
        else:
            assert everything(project, git) == before, step
        if ended:
            break

    assert step - kept > 5


def test_a_removal_interrupted_anywhere_removes_all_or_can_be_repeated(
    project: Path, git: Git, killed_at: Killed
) -> None:
    for step in range(1, 100):
        name = f"x{step}"
        git("worktree", "add", "-q", "-b", name, f"../{name}", cwd=project)
        tree = project.parent / name
        ended = not killed_at("remove", name, step, "interrupt")
        if tree.exists():
            assert git("status", "--short", "--branch", cwd=tree) == f"## {name}"
        elif name in git("branch", "--format=%(refname:short)", cwd=project).split():
            assert labels(project) == ["main"]
        with suppress(Refused):  # nothing was left
            for target in plan_removal(discover(str(project)), (name,)):
                remove(discover(str(project)), target)
        assert labels(project) == ["main"]
        if ended:
            break

    assert step > 8


KILLED_WITHIN_GIT = """
import os, sys
from daft_worktree import *
open(sys.argv[2], "w").write(str(os.getpid()))
create(plan_start(discover(sys.argv[1]), "x", layout=BUILT_IN["sibling"], data_dir="/n"))
"""


@pytest.mark.parametrize("who", ["everything", "daft alone"])
def test_a_creation_killed_within_git_is_undone_or_finished(
    project: Path, git: Git, tmp_path: Path, who: str
) -> None:
    (project / ".gitattributes").write_text("file filter=cut\n")
    git("add", "-A", cwd=project)
    git("commit", "-qm", "filter", cwd=project)
    pid = tmp_path / "pid"
    cut = "kill -9 0" if who == "everything" else f'kill -9 $(cat "{pid}"); cat'
    git("config", "filter.cut.smudge", cut, cwd=project)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WITHIN_GIT, str(project), str(pid)],
        start_new_session=True,
        check=False,
    )
    assert killed.returncode == -9
    (note,) = (project / ".git" / ".daft" / "creating").iterdir()
    with note.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until git has gone as well
    git("config", "--unset", "filter.cut.smudge", cwd=project)

    said: list[str] = []
    repository = put_right(discover(str(project)), said.append)

    tree = project.parent / "a project.x"
    if who == "everything":
        assert said == ["making the worktree of 'x' had been interrupted; it was undone"]
        assert not tree.exists()
        assert git("branch", "--list", "x", cwd=project) == ""
        create(plan_start(repository, "x", layout=BUILT_IN["sibling"], data_dir="/n"))
    else:
        assert said == []
    assert labels(project) == ["main", "x"]
    assert git("status", "--short", cwd=tree) == ""
    assert not note.exists()


def test_a_creation_whose_git_is_still_at_work_is_left_alone(project: Path) -> None:
    notes = project / ".git" / ".daft" / "creating"
    notes.mkdir(parents=True)
    (notes / "1-1").write_text("\0".join((str(project), "main", "")))
    with (notes / "1-1").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert put_right(discover(str(project)), pytest.fail)

        assert (notes / "1-1").exists()


def test_a_note_of_something_else_harms_nothing(project: Path, git: Git) -> None:
    notes = project / ".git" / ".daft" / "creating"
    notes.mkdir(parents=True)
    oid = git("rev-parse", "main", cwd=project)
    (notes / "1-1").write_text("\0".join((str(project), "main", oid)))
    (notes / "1-2").write_text("half a no")
    (notes / "1-3").write_text("")

    put_right(discover(str(project)), pytest.fail)

    assert git("rev-parse", "main", cwd=project) == oid
    assert list(notes.iterdir()) == []
