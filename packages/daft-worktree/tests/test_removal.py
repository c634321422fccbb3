from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import (
    BUILT_IN,
    Removed,
    create,
    discover,
    fetch_clone,
    first_worktree,
    plan_removal,
    plan_start,
    reap_trash,
    remove,
)
from daft_worktree.errors import Refused

Git = Callable[..., str]


@pytest.fixture
def tree_x(project: Path) -> Path:
    made = create(
        plan_start(discover(str(project)), "x", layout=BUILT_IN["sibling"], data_dir="/n")
    )
    return Path(made.path)


def take(project: Path, *words: str, force: bool = False, **other: bool) -> list[Removed]:
    repository = discover(str(project))
    return [
        remove(repository, one) for one in plan_removal(repository, words, force=force, **other)
    ]


def commit(path: Path, git: Git, text: str) -> None:
    (path / "file").write_text(text)
    git("commit", "-qam", text, cwd=path)


def test_a_merged_branch_goes_with_its_worktree(project: Path, tree_x: Path, git: Git) -> None:
    (removed,) = take(project, "x")

    assert removed.parts == ("worktree", "local branch")
    assert not tree_x.exists()
    assert git("branch", "--list", "x", cwd=project) == ""
    assert reap_trash(str(project / ".git")) == 1
    assert list((project / ".git" / ".daft" / "trash").iterdir()) == []


def test_the_branch_may_be_kept(project: Path, tree_x: Path, git: Git) -> None:
    take(project, "x", keep_branch=True)

    assert not tree_x.exists()
    assert git("branch", "--list", "x", cwd=project) != ""


def refusal(project: Path, word: str, *, force: bool = False) -> str:
    with pytest.raises(Refused) as caught:
        plan_removal(discover(str(project)), (word,), force=force)
    return str(caught.value)


def test_work_is_not_lost_without_force(project: Path, tree_x: Path, git: Git) -> None:
    (tree_x / "new").write_text("untracked")
    assert "uncommitted changes (0 changed, 1 untracked)" in refusal(project, "x")
    (tree_x / "new").unlink()
    commit(tree_x, git, "only here")
    assert "not merged into 'main'" in refusal(project, "x")
    assert tree_x.exists()

    (removed,) = take(project, "x", force=True)

    assert removed.oid is not None
    assert not tree_x.exists()


@pytest.mark.parametrize("how", ["merge", "rebase", "squash"])
def test_what_arrived_in_the_default_branch_is_safe(
    project: Path, tree_x: Path, git: Git, how: str
) -> None:
    (tree_x / "a").write_text("a")
    git("add", "-A", cwd=tree_x)
    git("commit", "-qm", "a", cwd=tree_x)
    (tree_x / "b").write_text("b")
    git("add", "-A", cwd=tree_x)
    git("commit", "-qm", "b", cwd=tree_x)
    (project / "other").write_text("other")
    git("add", "-A", cwd=project)
    git("commit", "-qm", "other", cwd=project)
    if how == "merge":
        git("merge", "-q", "--no-edit", "x", cwd=project)
    elif how == "rebase":
        git("cherry-pick", "main..x", cwd=project)
    else:
        git("merge", "-q", "--squash", "x", cwd=project)
        git("commit", "-qm", "squashed", cwd=project)

    (target,) = plan_removal(discover(str(project)), ("x",))

    assert target.proof.endswith("'main'")


def test_what_the_remote_holds_is_safe(project: Path, tmp_path: Path, git: Git) -> None:
    cloned = fetch_clone(str(project), "copy", cwd=str(tmp_path))
    repository = first_worktree(cloned, "main", BUILT_IN["sibling"], data_dir="/n")
    copy = Path(repository.project_root)
    made = create(plan_start(repository, "y", layout=BUILT_IN["sibling"], data_dir="/n"))
    commit(Path(made.path), git, "pushed")
    git("push", "-q", "-u", "origin", "y", cwd=made.path)

    (target,) = plan_removal(discover(str(copy)), ("y",))
    assert target.proof == "pushed to 'origin'"

    commit(Path(made.path), git, "more")
    assert "not merged" in refusal(copy, "y")


def test_what_must_stay_is_refused(project: Path, tree_x: Path, git: Git) -> None:
    assert "default branch" in refusal(project, "main") or "main working tree" in refusal(
        project, "main"
    )
    assert "main working tree" in refusal(project, "main", force=True)
    assert "branch not found" in refusal(project, "nothing")
    git("worktree", "lock", "--reason", "on a stick", str(tree_x), cwd=project)
    assert "it is locked: on a stick" in refusal(project, "x", force=True)


def test_all_refusals_are_told_and_nothing_is_removed(project: Path, tree_x: Path) -> None:
    with pytest.raises(Refused) as caught:
        plan_removal(discover(str(project)), ("x", "nothing", "main"))

    assert len(caught.value.refusals) == 2
    assert tree_x.exists()


def test_a_foreign_repository_on_the_path_is_never_touched(
    project: Path, tree_x: Path, git: Git
) -> None:
    shutil.rmtree(tree_x)
    git("init", "-q", str(tree_x), cwd=project)
    (tree_x / "precious").write_text("precious")

    assert "does not hold this worktree" in refusal(project, "x", force=True)
    assert (tree_x / "precious").read_text() == "precious"


def test_a_worktree_deleted_by_hand_can_be_removed(project: Path, tree_x: Path, git: Git) -> None:
    shutil.rmtree(tree_x)

    take(project, "x")

    assert len(discover(str(project)).worktrees) == 1
    assert git("branch", "--list", "x", cwd=project) == ""


def test_a_paused_operation_is_not_lost_unsaid(project: Path, tree_x: Path, git: Git) -> None:
    commit(tree_x, git, "mine")
    commit(project, git, "theirs")
    with pytest.raises(Exception, match="rebase"):
        git("rebase", "main", cwd=tree_x)

    assert "in the middle of a rebase" in refusal(project, "x")


def test_the_same_target_by_two_names_is_one(project: Path, tree_x: Path) -> None:
    assert len(plan_removal(discover(str(project)), ("x", str(tree_x)))) == 1


def test_an_unfinished_removal_keeps_its_trash(project: Path) -> None:
    trash = project / ".git" / ".daft" / "trash"
    (trash / "busy").mkdir(parents=True)
    (trash / "busy.origin").write_text("/somewhere")
    (trash / "done").mkdir()

    assert reap_trash(str(project / ".git")) == 1
    assert (trash / "busy").exists()
