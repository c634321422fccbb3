"""Uncommitted changes on the way to another worktree: whatever happens, they are somewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import Worktree, create, discover, plan_start, restore, stash_changes
from daft_worktree import git as git_module
from daft_worktree.errors import GitFailed, StashLeft
from daft_worktree.layouts import BUILT_IN

Git = Callable[..., str]


@pytest.fixture
def here(project: Path) -> Worktree:
    found = discover(str(project)).current
    assert found is not None
    return found


@pytest.fixture
def there(project: Path) -> Path:
    made = create(
        plan_start(discover(str(project)), "x", layout=BUILT_IN["sibling"], data_dir="/n")
    )
    return Path(made.path)


def before(verb: tuple[str, ...], action: Callable[[], object]) -> None:
    def watch(words: tuple[str, ...]) -> None:
        if words[: len(verb)] == verb:
            git_module.observer = None
            action()

    git_module.observer = watch


def test_nothing_to_carry_touches_no_stash(here: Worktree, project: Path, git: Git) -> None:
    assert stash_changes(here) is None
    assert git("stash", "list", cwd=project) == ""


def test_every_kind_of_change_arrives_as_it_was(
    here: Worktree, project: Path, there: Path, git: Git
) -> None:
    (project / ".git" / "info" / "exclude").write_text("ignored\n")
    for tree in (project, there):
        for name in ("gone", "old name", "mode"):
            (tree / name).write_text(f"{name}\n" * 5)
        git("add", "-A", cwd=tree)
        git("commit", "-qm", "more", cwd=tree)
    (project / "gone").unlink()
    git("mv", "old name", "new ü\nname", cwd=project)
    (project / "mode").chmod(0o755)
    (project / "file").write_text("staged\n")
    git("add", "file", cwd=project)
    (project / "file").write_text("staged and changed\n")
    (project / "deep" / "er").mkdir(parents=True)
    (project / "deep" / "er" / "new").write_bytes(b"\xff\x00")
    (project / "link").symlink_to("file")
    (project / "ignored").write_text("stays")
    status = git("status", "--porcelain", "-z", cwd=project)

    carried = stash_changes(here)
    assert carried is not None
    assert git("status", "--porcelain", cwd=project) == ""
    assert restore(carried, str(there)) is None

    assert git("status", "--porcelain", "-z", cwd=there) == status
    assert (there / "deep" / "er" / "new").read_bytes() == b"\xff\x00"
    assert (project / "ignored").read_text() == "stays"
    assert git("stash", "list", cwd=project) == ""


def test_files_to_keep_stay_and_everything_else_goes(
    here: Worktree, project: Path, there: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(project.parent / "xdg"))
    (project.parent / "xdg" / "git").mkdir(parents=True)
    (project.parent / "xdg" / "git" / "ignore").write_text("*.cache")  # without a line end
    for name in ("daft.yml", "new", "x.cache"):
        (project / name).write_text(name)
    (project / "deep").mkdir()
    (project / "deep" / "daft.yml").write_text("another")

    carried = stash_changes(here, keep=("daft.yml", "daft.local.yml"))

    assert carried is not None
    assert carried.files == 2
    assert restore(carried, str(there)) is None
    assert git("status", "--short", cwd=project) == "?? daft.yml"
    assert (project / "x.cache").exists()
    assert git("status", "--short", "-uall", cwd=there) == "?? deep/daft.yml\n?? new"
    assert stash_changes(here, keep=("daft.yml",)) is None


def test_a_conflict_keeps_the_entry_and_what_the_target_had(
    here: Worktree, project: Path, there: Path, git: Git
) -> None:
    (there / "file").write_text("theirs\n")
    git("commit", "-qam", "theirs", cwd=there)
    (there / "other").write_text("not committed")
    git("add", "other", cwd=there)
    (project / "file").write_text("mine\n")

    carried = stash_changes(here)
    assert carried is not None
    assert restore(carried, str(there)) is not None

    assert (there / "other").read_text() == "not committed"
    assert git("rev-parse", "stash@{0}", cwd=project) == carried.oid
    assert git("show", f"{carried.oid}:file", cwd=project) == "mine"
    assert restore(carried, str(project)) is None
    assert (project / "file").read_text() == "mine\n"


def test_an_untracked_file_in_the_way_is_not_overwritten(
    here: Worktree, project: Path, there: Path, git: Git
) -> None:
    (there / "new").write_text("theirs")
    (project / "new").write_text("mine")
    (project / "file").write_text("mine too\n")

    carried = stash_changes(here)
    assert carried is not None
    assert restore(carried, str(there)) is not None

    assert (there / "new").read_text() == "theirs"
    assert git("show", f"{carried.oid}^3:new", cwd=project) == "mine"


def test_entries_of_others_are_neither_taken_nor_dropped(
    here: Worktree, project: Path, there: Path, git: Git
) -> None:
    (project / "file").write_text("mine\n")
    (there / "file").write_text("theirs\n")
    # Another worktree pushes to the same stash right behind us, and again while we drop.
    carried = None

    def push(text: str) -> None:
        (there / "file").write_text(text)
        git("stash", "push", "-q", "-m", text, cwd=there)

    before(("stash", "list"), lambda: push("theirs"))
    carried = stash_changes(here)
    assert carried is not None
    assert git("show", f"{carried.oid}:file", cwd=project) == "mine"
    before(("stash", "drop"), lambda: push("theirs too"))
    assert restore(carried, str(project)) is None

    left = git("stash", "list", "--format=%gs", cwd=project).split("\n")
    kept = {git("show", f"stash@{{{n}}}:file", cwd=project) for n in range(len(left))}
    assert {"theirs", "theirs too"} <= kept


@pytest.fixture
def lying_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that does what it is told, then says that a push to the stash has failed."""
    real = shutil.which("git")
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\n"{real}" "$@" || exit $?\n'
        'case "$*" in *"stash push"*) echo "cannot remove a file" >&2; exit 1;; esac\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("lying_git")
def test_a_push_that_fails_behind_its_entry_brings_the_changes_back(
    here: Worktree, project: Path, git: Git
) -> None:
    (project / "file").write_text("mine\n")
    (project / "new").write_text("new")

    with pytest.raises(GitFailed, match="cannot remove a file"):
        stash_changes(here)

    assert (project / "file").read_text() == "mine\n"
    assert (project / "new").read_text() == "new"
    assert git("stash", "list", cwd=project) == ""


@pytest.mark.usefixtures("lying_git")
def test_changes_that_cannot_come_back_are_named(here: Worktree, project: Path, git: Git) -> None:
    (project / "file").write_text("mine\n")
    (project / "new").write_text("new")
    before(("stash", "list"), lambda: (project / "new").write_text("in the way"))

    with pytest.raises(StashLeft) as caught:
        stash_changes(here)

    assert git("show", f"{caught.value.oid}^3:new", cwd=project) == "new"
    assert caught.value.oid[:12] in str(caught.value)


def test_a_conflict_that_is_there_already_stops_before_anything(
    here: Worktree, project: Path, git: Git
) -> None:
    git("checkout", "-q", "old", cwd=project)
    (project / "file").write_text("theirs\n")
    git("commit", "-qam", "theirs", cwd=project)
    git("checkout", "-q", "main", cwd=project)
    (project / "file").write_text("mine\n")
    git("commit", "-qam", "mine", cwd=project)
    git_module.attempt(str(project), "merge", "old")
    status = git("status", "--porcelain", cwd=project)

    with pytest.raises(GitFailed, match="putting uncommitted changes aside"):
        stash_changes(here)

    assert git("status", "--porcelain", cwd=project) == status
