"""Uncommitted changes go to other worktrees: each gets all of them, and none are ever lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import deliver, discover, plan_delivery
from daft_worktree import git as git_module
from daft_worktree.delivery import Delivered
from daft_worktree.errors import CannotCarry, StashLeft

Git = Callable[..., str]
CHANGES = "A  added\n M file\n?? new"


@pytest.fixture
def trees(project: Path, git: Git) -> tuple[Path, Path]:
    """Two more worktrees; the main one has a staged file, a changed one and one of its own."""
    for name in ("x", "y"):
        git("worktree", "add", "-q", "-b", name, f"../{name}", cwd=project)
    (project / "added").write_text("a\n")
    git("add", "added", cwd=project)
    (project / "file").write_text("two\n")
    (project / "new").write_text("n\n")
    return project.parent / "x", project.parent / "y"


def carry(project: Path, *words: str, copy: bool = False) -> Delivered | None:
    return deliver(plan_delivery(discover(str(project)), words, copy=copy))


def changes(git: Git, tree: Path) -> str:
    return git("status", "--porcelain", cwd=tree).strip("\n")


def test_one_target_gets_them_and_the_source_has_them_no_more(
    project: Path, trees: tuple[Path, Path], git: Git
) -> None:
    done = carry(project, "x")

    assert done is not None
    assert [one.label for one in done.into] == ["x"]
    assert changes(git, trees[0]) == CHANGES
    assert changes(git, project) == ""
    assert git("stash", "list", cwd=project) == ""


@pytest.mark.parametrize(("words", "copy"), [(("x", "y", "../x"), False), (("x", "./../y"), True)])
def test_copies_leave_them_where_they_were(
    project: Path, trees: tuple[Path, Path], git: Git, words: tuple[str, ...], copy: bool
) -> None:
    done = carry(project, *words, copy=copy)

    assert done is not None
    assert [one.label for one in done.into] == ["x", "y"]
    assert [changes(git, tree) for tree in (project, *trees)] == [CHANGES] * 3
    assert git("stash", "list", cwd=project) == ""


def test_nothing_to_carry_touches_nothing(project: Path, git: Git) -> None:
    git("worktree", "add", "-q", "-b", "x", "../x", cwd=project)

    assert carry(project, "x") is None
    assert git("stash", "list", cwd=project) == ""


def test_what_does_not_apply_stays_in_the_stash(
    project: Path, trees: tuple[Path, Path], git: Git
) -> None:
    (trees[0] / "file").write_text("theirs\n")
    (project / "deep" / "er").mkdir(parents=True)
    (project / "deep" / "er" / "new").write_text("n\n")
    before = changes(git, trees[0])

    moved = carry(project, "x")

    assert moved is not None
    assert [one.label for one, _ in moved.troubles] == ["x"]
    assert (moved.into, changes(git, trees[0])) == ((), before)
    assert not (trees[0] / "deep").exists()
    assert git("rev-parse", "stash@{0}", cwd=project) == moved.carried.oid
    git("stash", "pop", "-q", "--index", cwd=project)
    copied = carry(project, "x", "y")
    assert copied is not None
    assert [one.label for one in copied.into] == ["y"]
    assert changes(git, trees[1]) == changes(git, project)
    assert (project / "deep" / "er" / "new").exists()
    assert changes(git, trees[0]) == before
    assert git("rev-parse", "stash@{0}", cwd=project) == copied.carried.oid


def test_where_the_same_lines_were_changed_there_are_conflicts_to_settle(
    project: Path, trees: tuple[Path, Path], git: Git
) -> None:
    (trees[0] / "file").write_text("theirs\n")
    git("commit", "-qam", "theirs", cwd=trees[0])

    done = carry(project, "x")

    assert done is not None
    assert done.troubles[0][1] == "conflicts in file"
    assert "UU file" in changes(git, trees[0])
    assert git("rev-parse", "stash@{0}", cwd=project) == done.carried.oid


def test_a_file_that_is_in_the_way_stays_and_nothing_else_comes(
    project: Path, trees: tuple[Path, Path], git: Git
) -> None:
    (project / "another").write_text("a\n")
    (trees[0] / "new").write_text("theirs\n")

    done = carry(project, "x")

    assert done is not None
    assert done.troubles[0][1] == "new would be overwritten"
    assert (done.into, changes(git, trees[0])) == ((), "?? new")
    assert (trees[0] / "new").read_text() == "theirs\n"


def test_directories_nobody_tracks_share_a_name_but_no_file(
    project: Path, trees: tuple[Path, Path], git: Git
) -> None:
    for tree, name in ((project, "mine"), (trees[0], "theirs"), (trees[1], "mine")):
        (tree / "dir").mkdir()
        (tree / "dir" / name).write_text("x")

    done = carry(project, "x", "y")

    assert done is not None
    assert [one.label for one in done.into] == ["x"]
    assert {path.name for path in (trees[0] / "dir").iterdir()} == {"mine", "theirs"}
    assert [text for _, text in done.troubles] == ["dir/mine would be overwritten"]
    for tree in trees:
        git("reset", "-q", "--hard", cwd=tree)
        git("clean", "-fdq", cwd=tree)
        (tree / "dir").write_text("a file")
    blocked = carry(project, "x")
    assert blocked is not None
    assert blocked.troubles[0][1] == "dir/ would be overwritten"
    assert changes(git, trees[0]) == "?? dir"


def test_everything_in_the_way_is_told_at_once_and_nothing_is_done(
    project: Path, trees: tuple[Path, Path], git: Git
) -> None:
    (project / ".git" / "worktrees" / "y" / "MERGE_HEAD").write_text("x")
    trees[0].rename(project.parent / "z")

    with pytest.raises(CannotCarry) as caught:
        carry(project, "x", "y", "main", "nobody", "old")

    assert caught.value.refusals == (
        f"the worktree of 'x' is not at {trees[0]} any more",
        "a merge is paused in 'y'; finish or abort it first",
        "'main' is where the changes are",
        "'nobody' has no worktree",
        "'old' has no worktree",
    )
    assert changes(git, project) == CHANGES
    assert git("stash", "list", cwd=project) == ""


def test_a_source_that_is_none_or_paused_or_unborn_is_refused(
    project: Path, trees: tuple[Path, Path], tmp_path: Path, git: Git
) -> None:
    (project / ".git" / "MERGE_HEAD").write_text("x")
    with pytest.raises(CannotCarry, match="a merge is paused here"):
        carry(project, "x")
    git("clone", "-q", "--bare", str(project), str(tmp_path / "bare" / ".git"), cwd=tmp_path)
    with pytest.raises(CannotCarry, match="this is no worktree"):
        carry(tmp_path / "bare", "main")
    git("init", "-q", "fresh", cwd=tmp_path)
    with pytest.raises(CannotCarry, match="there are no commits yet"):
        carry(tmp_path / "fresh", "main")


@pytest.mark.parametrize("words", [("x",), ("x", "y")])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_an_interrupt_leaves_them_in_the_stash_and_says_so(
    project: Path, trees: tuple[Path, Path], git: Git, words: tuple[str, ...], step: int
) -> None:
    left = step

    def interrupt(given: tuple[str, ...]) -> None:
        nonlocal left
        left -= given[:2] == ("stash", "apply")
        if left == 0:
            git_module.observer = None
            raise KeyboardInterrupt

    git_module.observer = interrupt
    if step > (1 if len(words) == 1 else 3):
        assert carry(project, *words) is not None
        return
    with pytest.raises(StashLeft) as caught:
        carry(project, *words)

    assert git("rev-parse", "stash@{0}", cwd=project) == caught.value.oid
    assert changes(git, project) == ("" if step == 1 else CHANGES)
