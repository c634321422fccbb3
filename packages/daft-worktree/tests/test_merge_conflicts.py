"""Merges that stop at conflicts: where they stay, and the three ways they end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daft_worktree import discover, put_right
from daft_worktree.errors import (
    MergeLeft,
    MergeOutdated,
    NotUnderWay,
)
from daft_worktree.merging import Merged, MergeResult, merge
from daft_worktree.merging.ending import abandon, forget, resume
from daft_worktree.merging.notes import find
from daft_worktree.merging.plan import plan_merge
from daft_worktree.merging.rules import Style

Git = Callable[..., str]


# --- a target without a worktree ----------------------------------------------------------------


@pytest.mark.parametrize("style", [Style.MERGE, Style.SQUASH])
def test_a_target_without_a_worktree_is_merged_into_where_nobody_sees_it(
    scene: Any, style: Style
) -> None:
    hook = scene.project / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch '{scene.project.parent}/set-up'\n")
    hook.chmod(0o755)
    plan = scene.plan(into="t", style=style)

    merged = scene.carry_out(plan)
    assert not (scene.project.parent / "set-up").exists()

    assert plan.is_ephemeral
    assert merged == Merged(MergeResult.SUCCESS, scene.oid("t"))
    assert scene.git("ls-tree", "--name-only", "t", cwd=scene.project) == "file\nof-x"
    assert (scene.trees(), scene.files(), scene.status()) == (["main", "x"], set(), "")


def test_a_bare_repository_is_merged_in_as_well(scene: Any, tmp_path: Path, git: Git) -> None:
    git("clone", "-q", "--bare", str(scene.project), "bare.git", cwd=tmp_path)
    bare = tmp_path / "bare.git"
    plan = plan_merge(discover(str(bare)), ("x",), into="t")

    assert merge(plan, lambda name: str(tmp_path / f"bare.{name}")).result is MergeResult.SUCCESS
    assert git("rev-parse", "t^2", cwd=bare) == git("rev-parse", "x", cwd=bare)


def test_a_conflict_there_becomes_a_worktree_of_the_target(scene: Any) -> None:
    scene.clash("t")

    merged = scene.merge(into="t")

    made = Path(scene.place("t"))
    assert merged.result is MergeResult.CONFLICT
    assert (merged.conflicts, merged.path, merged.promoted) == (("file",), str(made), True)
    assert scene.trees() == ["main", "t", "x"]
    assert scene.files() == set()
    (made / "file").write_text("both\n")
    scene.git("add", "-A", cwd=made)
    done = resume(find(discover(str(scene.project))))
    assert (done.result, done.promoted) == (MergeResult.SUCCESS, True)
    assert scene.parents("t")[1] == scene.oid("x")
    assert scene.status(made) == ""


def test_a_conflict_there_goes_with_its_worktree_when_it_is_taken_back(scene: Any) -> None:
    scene.clash("t")
    t = scene.oid("t")
    scene.merge(into="t")

    assert abandon(find(discover(str(scene.project)))) == ()

    assert scene.trees() == ["main", "x"]
    assert not os.path.exists(scene.place("t"))
    assert scene.oid("t") == t


def test_a_worktree_with_something_of_the_user_stays(scene: Any) -> None:
    scene.clash("t")
    scene.merge(into="t")
    made = Path(scene.place("t"))
    (scene.project / ".git" / "info" / "exclude").write_text(".env\n")
    (made / ".env").write_text("SECRET=1\n")

    (note,) = abandon(find(discover(str(scene.project))))

    assert "stays" in note
    assert (made / ".env").exists()
    assert scene.status(made) == ""


def test_where_the_place_is_taken_a_conflict_stays_hidden_and_can_be_ended(scene: Any) -> None:
    scene.clash("t")
    Path(scene.place("t")).mkdir()
    (Path(scene.place("t")) / "theirs").write_text("x")

    merged = scene.merge(into="t")

    assert merged.path is not None
    assert ".daft/merging" in merged.path
    assert scene.status(Path(merged.path)).split("\n") == ["UU file", "A  of-x"]
    told: list[str] = []
    put_right(discover(str(scene.project)), told.append)
    assert told == []
    assert abandon(find(discover(str(scene.project)), "t")) == ()
    assert scene.trees() == ["main", "x"]


# --- conflicts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("style", [Style.MERGE, Style.SQUASH])
def test_a_conflict_stays_and_is_gone_on_with(scene: Any, style: Style) -> None:
    scene.clash()
    main = scene.oid("main")

    merged = scene.merge(style=style, message="mine")

    assert merged.result is MergeResult.CONFLICT
    assert (merged.conflicts, merged.path) == (("file",), str(scene.project))
    assert scene.status() == "UU file\nA  of-x"
    with pytest.raises(NotUnderWay, match=r"still in conflict in .*: file"):
        resume(find(discover(str(scene.project))))
    (scene.project / "file").write_text("both\n")
    scene.git("add", "file", cwd=scene.project)
    done = resume(find(discover(str(scene.project))))
    assert done == Merged(MergeResult.SUCCESS, scene.oid("main"), path=str(scene.project))
    wanted = [main, scene.oid("x")] if style is Style.MERGE else [main]
    assert scene.parents() == wanted
    assert scene.git("log", "-1", "--format=%B", cwd=scene.project) == "mine"
    assert scene.status() == ""
    with pytest.raises(NotUnderWay, match="no merge is under way"):
        find(discover(str(scene.project)))


@pytest.mark.parametrize("style", [Style.MERGE, Style.SQUASH])
def test_a_conflict_is_taken_back_and_files_nobody_tracks_stay(scene: Any, style: Style) -> None:
    scene.clash()
    main = scene.oid("main")
    (scene.project / "untracked").write_text("x")
    scene.merge(style=style)
    (scene.project / "file").write_text("half resolved\n")
    scene.git("add", "file", cwd=scene.project)

    assert abandon(find(discover(str(scene.project)))) == ()

    assert (scene.oid("main"), scene.status()) == (main, "?? untracked")
    assert (scene.project / "file").read_text() == "ours\n"


@pytest.mark.parametrize("style", [Style.MERGE, Style.SQUASH])
def test_a_merge_the_user_has_committed_is_only_ended(scene: Any, style: Style) -> None:
    scene.clash()
    scene.merge(style=style)
    (scene.project / "file").write_text("both\n")
    oid = scene.commit(scene.project, "file", "both\n")

    with pytest.raises(NotUnderWay, match="committed"):
        abandon(find(discover(str(scene.project))))
    done = resume(find(discover(str(scene.project))))

    assert (done.result, done.commit) == (MergeResult.SUCCESS, oid)


def test_a_merge_whose_git_died_right_after_the_commit_is_ended(scene: Any) -> None:
    scene.clash()
    scene.merge()
    oid = scene.commit(scene.project, "file", "both\n")
    head = scene.project / ".git" / "MERGE_HEAD"
    head.write_text(scene.oid("x") + "\n")

    done = resume(find(discover(str(scene.project))))

    assert (done.result, done.commit, head.exists()) == (MergeResult.SUCCESS, oid, False)


def test_a_target_that_moves_in_the_middle_of_a_conflict_is_not_overrun(scene: Any) -> None:
    scene.clash()
    scene.merge()
    (scene.project / "file").write_text("both\n")
    scene.git("add", "file", cwd=scene.project)
    late = scene.git("commit-tree", "main^{tree}", "-p", "main", "-m", "l", cwd=scene.project)
    scene.git("update-ref", "refs/heads/main", late, cwd=scene.project)

    with pytest.raises(MergeOutdated, match="'main' has moved"):
        resume(find(discover(str(scene.project))))

    assert scene.oid("main") == late


def test_a_merge_the_user_has_taken_back_is_over(scene: Any) -> None:
    scene.clash()
    scene.merge()
    scene.git("merge", "--abort", cwd=scene.project)

    with pytest.raises(NotUnderWay, match="nothing is left"):
        resume(find(discover(str(scene.project))))
    with pytest.raises(NotUnderWay, match="no merge"):
        find(discover(str(scene.project)))


@pytest.mark.parametrize("style", [Style.MERGE, Style.SQUASH, Style.REBASE])
def test_a_merge_is_forgotten_and_its_files_stay(scene: Any, style: Style) -> None:
    scene.clash()
    merged = scene.merge(style=style)
    assert merged.path is not None
    before = scene.status(Path(merged.path))

    forget(find(discover(str(scene.project))))

    assert scene.status(Path(merged.path)) == before
    assert discover(merged.path).current is not None
    with pytest.raises(NotUnderWay):
        find(discover(str(scene.project)))


def test_a_commit_that_conflicts_has_a_place_of_its_own(scene: Any) -> None:
    scene.clash()

    merged = scene.merge("x~0", style=Style.REBASE)

    assert merged.path == scene.place(f"{scene.oid('x')[:12]}-onto-main")


@pytest.mark.parametrize("style", [Style.REBASE, Style.REBASE_MERGE])
@pytest.mark.parametrize("into", ["main", "t"])
def test_a_rebase_that_conflicts_is_gone_on_with_apart(scene: Any, style: Style, into: str) -> None:
    scene.clash(into)
    tip, x = scene.oid(into), scene.oid("x")

    merged = scene.merge(into=into, style=style)

    made = Path(scene.place(f"x-onto-{into}"))
    assert (merged.result, merged.path) == (MergeResult.CONFLICT, str(made))
    assert (scene.oid(into), scene.status(), scene.status(scene.tree)) == (tip, "", "")
    (made / "file").write_text("both\n")
    scene.git("add", "file", cwd=made)
    done = resume(find(discover(str(scene.project))))
    assert done.result is MergeResult.SUCCESS
    assert scene.git("show", f"{into}:file", cwd=scene.project) == "both"
    assert scene.oid(f"{into}{'~2' if style is Style.REBASE else '^1'}") == tip
    assert scene.oid("x") == x
    assert (scene.trees(), scene.files(), scene.status()) == (["main", "x"], set(), "")
    assert not made.exists()


def test_a_rebase_that_conflicts_is_taken_back(scene: Any) -> None:
    scene.clash()
    main = scene.oid("main")
    scene.merge(style=Style.REBASE)

    assert abandon(find(discover(str(scene.project)))) == ()

    assert (scene.oid("main"), scene.trees(), scene.status()) == (main, ["main", "x"], "")


def test_a_target_that_moves_while_a_rebase_waits_is_not_overrun(scene: Any) -> None:
    scene.clash()
    merged = scene.merge(style=Style.REBASE)
    made = Path(merged.path or "")
    (made / "file").write_text("both\n")
    scene.git("add", "file", cwd=made)
    late = scene.commit(scene.project, "late")

    with pytest.raises(MergeOutdated, match="'main' has moved"):
        resume(find(discover(str(scene.project))))

    assert scene.oid("main") == late
    assert made.exists()


def test_half_a_merge_never_becomes_a_commit(scene: Any) -> None:
    main = scene.oid("main")
    lock = scene.project / ".git" / "index.lock"
    lock.touch()

    with pytest.raises(MergeLeft, match=r"index\.lock"):
        scene.merge()

    lock.unlink()
    with pytest.raises(NotUnderWay, match="broke off"):
        resume(find(discover(str(scene.project))))
    assert abandon(find(discover(str(scene.project)))) == ()
    assert (scene.oid("main"), scene.status()) == (main, "")
    assert scene.merge().result is MergeResult.SUCCESS


def test_several_merges_under_way_are_told_apart(scene: Any) -> None:
    scene.clash()
    scene.clash("t")
    scene.merge()
    scene.merge(into="t")
    repository = discover(str(scene.project.parent / "x"))

    with pytest.raises(NotUnderWay, match="several merges are under way"):
        find(repository)
    assert find(repository, "t").plan.target.name == "t"
    assert find(discover(str(scene.project))).plan.target.name == "main"
