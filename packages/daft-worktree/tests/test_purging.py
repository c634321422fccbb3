"""Deleting a whole repository: what is lost is named before, and what must not go stays."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import discover, purging, remove
from daft_worktree.errors import Refused, RemoveFailed, WorktreeError
from daft_worktree.purging import Purge, delete_rest, plan_purge

Git = Callable[..., str]


@pytest.fixture
def pushed(project: Path, git: Git, tmp_path: Path) -> Path:
    """The project with all of its branches on a remote."""
    remote = tmp_path / "remote.git"
    git("init", "-q", "--bare", str(remote), cwd=tmp_path)
    git("remote", "add", "origin", str(remote), cwd=project)
    git("push", "-q", "origin", "main", "old", cwd=project)
    return project


def planned(project: Path) -> Purge:
    return plan_purge(discover(str(project)))


def purged(project: Path) -> tuple[str, ...]:
    plan = planned(project)
    for target in plan.targets:
        remove(plan.repository, target)
    return delete_rest(plan)


def test_what_the_remote_has_is_no_loss(pushed: Path, git: Git) -> None:
    git("worktree", "add", "-q", "../tree", "old", cwd=pushed)

    plan = planned(pushed)

    assert plan.losses == ()
    assert [one.label for one in plan.targets] == ["old"]
    assert plan.main is not None
    assert plan.main.path == str(pushed)


def test_what_exists_nowhere_else_is_named(pushed: Path, git: Git, tmp_path: Path) -> None:
    git("worktree", "add", "-q", "-b", "new", "../tree", cwd=pushed)
    git("commit", "-qm", "n", "--allow-empty", cwd=tmp_path / "tree")
    git("worktree", "add", "-q", "--detach", "../loose", cwd=pushed)
    git("commit", "-qm", "loose", "--allow-empty", cwd=tmp_path / "loose")
    loose = git("rev-parse", "HEAD", cwd=tmp_path / "loose")
    (pushed / "file").write_text("changed\n")
    git("stash", "-q", cwd=pushed)
    (pushed / ".env").write_text("SECRET\n")
    (pushed / ".gitignore").write_text(".env\n")
    git("add", "-A", cwd=pushed)
    git("commit", "-qm", "two", cwd=pushed)
    git("tag", "kept", cwd=pushed)
    git("reset", "-q", "--soft", "HEAD~", cwd=pushed)
    git("commit", "-qm", "again", cwd=pushed)
    (tmp_path / "tree" / "untracked").touch()
    (pushed / "deep" / "er").mkdir(parents=True)
    git("init", "-q", "other", cwd=pushed / "deep" / "er")
    shared = pushed / ".git" / ".daft" / "shared" / "config"
    shared.mkdir(parents=True)
    (shared / "local").touch()

    losses = planned(pushed).losses

    assert set(losses) == {
        "main: it has uncommitted changes (0 changed, 1 untracked)",
        f"main: another repository is in it, {pushed}/deep/er/other",
        "new: it has uncommitted changes (0 changed, 1 untracked)",
        f"loose: its commit {loose[:12]} is on no branch",
        "branch main: 1 commit that no remote has",
        "branch new: 1 commit that no remote has",
        "tags: 1 commit that no branch and no remote has",
        "stash: 1 set(s) of changes",
        "shared by all worktrees: config/local",
    }


def test_a_secret_that_git_ignores_is_a_loss(pushed: Path, git: Git) -> None:
    (pushed / ".git" / "info" / "exclude").write_text(".env\n")
    (pushed / ".env").write_text("SECRET\n")

    [loss] = planned(pushed).losses

    assert ".env" in loss


def test_without_a_remote_every_branch_is_a_loss(project: Path) -> None:
    assert planned(project).losses == (
        "branch main: 1 commit that no remote has",
        "branch old: 1 commit that no remote has",
    )


def test_a_worktree_inside_and_a_submodule_are_no_other_repositories(
    pushed: Path, git: Git, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    git("init", "-q", str(inner), cwd=tmp_path)
    git("commit", "-qm", "i", "--allow-empty", cwd=inner)
    allowed = ("-c", "protocol.file.allow=always")
    git(*allowed, "submodule", "add", "-q", str(inner), "sub", cwd=pushed)
    git("commit", "-qm", "sub", cwd=pushed)
    git("push", "-q", "origin", "main", cwd=pushed)
    (pushed / ".git" / "info" / "exclude").write_text("trees\n")
    git("worktree", "add", "-q", "trees/old", "old", cwd=pushed)

    assert not [one for one in planned(pushed).losses if "another repository" in one]


def test_all_of_it_goes_and_nothing_beside_it(
    pushed: Path, git: Git, tmp_path: Path, tree: Callable[[], set[str]]
) -> None:
    git("worktree", "add", "-q", "../tree", "old", cwd=pushed)
    (tmp_path / "bystander").touch()

    assert purged(pushed) == ()

    left = {name.split(os.sep)[0] for name in tree()}
    assert left == {"remote.git", "bystander", "gitconfig"}


def test_of_a_bare_layout_other_files_are_kept(tmp_path: Path, git: Git) -> None:
    root = tmp_path / "contained"
    git("init", "-q", "--bare", str(root / ".git"), cwd=tmp_path)
    tree = git("mktree", cwd=root / ".git")
    commit = subprocess.run(
        ["git", "commit-tree", tree, "-m", "x"],
        cwd=root / ".git", input="", capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    git("update-ref", "refs/heads/main", commit, cwd=root / ".git")
    git("worktree", "add", "-q", str(root / "main"), "main", cwd=root / ".git")
    (root / "notes").touch()

    [note] = purged(root / "main")

    assert note == f"{root} was kept: it holds other files"
    assert [one.name for one in root.iterdir()] == ["notes"]


def test_an_empty_root_goes_as_well(tmp_path: Path, git: Git) -> None:
    root = tmp_path / "contained"
    git("init", "-q", "--bare", str(root / ".git"), cwd=tmp_path)

    assert purged(root) == ()
    assert not root.exists()


def test_a_separate_git_directory_goes_too(tmp_path: Path, git: Git) -> None:
    git("init", "-q", f"--separate-git-dir={tmp_path}/store", "work", cwd=tmp_path)
    git("commit", "-qm", "x", "--allow-empty", cwd=tmp_path / "work")

    assert purged(tmp_path / "work") == ()
    assert not (tmp_path / "work").exists()
    assert not (tmp_path / "store").exists()


def test_a_locked_worktree_forbids_it(pushed: Path, git: Git) -> None:
    git("worktree", "add", "-q", "../tree", "old", cwd=pushed)
    git("worktree", "lock", "../tree", cwd=pushed)

    with pytest.raises(Refused, match="it is locked"):
        planned(pushed)


@pytest.mark.parametrize("place", ["", "sub", "../tree"])
def test_a_home_in_it_forbids_it(pushed: Path, git: Git, place: str) -> None:
    git("worktree", "add", "-q", "../tree", "old", cwd=pushed)
    spared = str((pushed / place).resolve())

    with pytest.raises(RemoveFailed, match="would be deleted"):
        plan_purge(discover(str(pushed)), spared=(spared,))


def test_another_file_system_in_it_forbids_it(
    pushed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    escaped = str(pushed).replace(" ", "\\040")
    mounts.write_text(f"1 2 3:4 / {escaped}/sub rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr("daft_worktree.places.MOUNTS", str(mounts))

    with pytest.raises(RemoveFailed, match="another file system is mounted"):
        planned(pushed)


def test_a_submodule_is_not_deleted_from_within(pushed: Path, git: Git, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    git("init", "-q", str(inner), cwd=tmp_path)
    git("commit", "-qm", "i", "--allow-empty", cwd=inner)
    allowed = ("-c", "protocol.file.allow=always")
    git(*allowed, "submodule", "add", "-q", str(inner), "sub", cwd=pushed)

    with pytest.raises(WorktreeError, match="submodule"):
        planned(pushed / "sub")


def test_a_worktree_that_came_since_the_plan_keeps_the_repository(
    pushed: Path, git: Git, tmp_path: Path
) -> None:
    plan = planned(pushed)
    git("worktree", "add", "-q", "../tree", "old", cwd=pushed)

    with pytest.raises(RemoveFailed, match="it has the worktree"):
        delete_rest(plan)
    assert (tmp_path / "tree" / "file").exists()
    assert (pushed / "file").exists()


def test_who_dies_in_the_middle_has_left_the_place_and_deleted_nothing_else(
    pushed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_path: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(purging, "delete_tree", die)
    with pytest.raises(KeyboardInterrupt):
        purged(pushed)

    [aside] = [one for one in tmp_path.iterdir() if ".deleted-" in one.name]
    assert not pushed.exists()
    assert (aside / ".git" / "HEAD").exists(), "it can still be put back"


def test_what_cannot_be_moved_is_kept_whole(pushed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_old: str, _new: str) -> None:
        raise PermissionError(13, "Permission denied")

    plan = planned(pushed)
    monkeypatch.setattr(os, "rename", refuse)

    with pytest.raises(RemoveFailed, match="Permission denied"):
        delete_rest(plan)
    assert (pushed / "file").exists()


def test_when_the_second_place_cannot_be_moved_the_first_is_put_back(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("init", "-q", f"--separate-git-dir={tmp_path}/store", "work", cwd=tmp_path)
    git("commit", "-qm", "x", "--allow-empty", cwd=tmp_path / "work")
    plan = planned(tmp_path / "work")
    rename = os.rename

    def refuse(old: str, new: str) -> None:
        if old == str(tmp_path / "store"):
            raise PermissionError(13, "Permission denied")
        rename(old, new)

    monkeypatch.setattr(os, "rename", refuse)

    with pytest.raises(RemoveFailed, match="Permission denied"):
        delete_rest(plan)
    assert (tmp_path / "work" / ".git").exists()
    assert not [one for one in tmp_path.iterdir() if ".deleted-" in one.name]
