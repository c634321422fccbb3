from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import BUILT_IN, discover, fetch_clone, first_worktree, initialise
from daft_worktree import git as git_module
from daft_worktree.cloning import add_orphan, directory_name, discard, harmless_url
from daft_worktree.errors import BadBranchName, BadPath, GitFailed, PathTaken

Git = Callable[..., str]
CONTAINED = BUILT_IN["contained"]


def before_git(verb: str, action: Callable[[], object]) -> None:
    def watch(words: tuple[str, ...]) -> None:
        if words[0] == verb:
            git_module.observer = None
            action()

    git_module.observer = watch


def test_a_clone_that_fails_keeps_an_empty_directory_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()

    with pytest.raises(GitFailed):
        fetch_clone(str(tmp_path / "nowhere"), "mine", cwd=str(tmp_path))

    assert list((tmp_path / "mine").iterdir()) == []


def test_a_clone_that_fails_takes_nothing_of_another_to_the_same_place(
    project: Path, tmp_path: Path
) -> None:
    place = tmp_path / "copy"
    before_git("clone", lambda: (place / "precious").write_text("precious"))

    with pytest.raises(GitFailed, match="already exists"):
        fetch_clone(str(project), "copy", cwd=str(tmp_path))

    assert (place / "precious").read_text() == "precious"


@pytest.mark.parametrize("kind", ["file", "full", "link"])
def test_what_is_there_is_not_cloned_over(
    project: Path, tmp_path: Path, tree: Callable[[], set[str]], kind: str
) -> None:
    place = tmp_path / "copy"
    if kind == "file":
        place.write_text("mine")
    elif kind == "link":
        place.symlink_to("nowhere")
    else:
        place.mkdir()
        (place / "mine").touch()
    before = tree()

    with pytest.raises(PathTaken):
        fetch_clone(str(project), "copy", cwd=str(tmp_path))

    assert tree() == before


def test_a_clone_below_a_file_says_so(project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BadPath, match="cannot be made"):
        fetch_clone(str(project), "file/copy", cwd=str(tmp_path))


@pytest.mark.parametrize("layout", ["sibling", "contained"])
def test_a_clone_whose_files_cannot_be_made_is_removed(
    project: Path, tmp_path: Path, git: Git, tree: Callable[[], set[str]], layout: str
) -> None:
    (project / ".gitattributes").write_text("file filter=broken\n")
    git("add", "-A", cwd=project)
    git("commit", "-qm", "filter", cwd=project)
    git("config", "--global", "filter.broken.smudge", "false", cwd=project)
    git("config", "--global", "filter.broken.required", "true", cwd=project)
    before = tree()

    cloned = fetch_clone(str(project), "deep/copy", cwd=str(tmp_path))
    with pytest.raises(GitFailed, match="broken"):
        first_worktree(cloned, "main", BUILT_IN[layout], data_dir="/n")

    assert tree() == before


def test_a_discarded_clone_leaves_the_directory_that_was_there(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()

    discard(fetch_clone(str(project), "mine", cwd=str(tmp_path)))

    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("layout", BUILT_IN.values(), ids=lambda one: one.name)
def test_an_empty_remote_is_cloned(tmp_path: Path, git: Git, layout: object) -> None:
    git("init", "-q", "--bare", "-b", "trunk", "empty.git", cwd=tmp_path)

    cloned = fetch_clone(str(tmp_path / "empty.git"), "copy", cwd=str(tmp_path))
    repository = first_worktree(cloned, cloned.default or "", layout, data_dir="/n")  # type: ignore[arg-type]

    assert cloned.is_empty
    assert repository.current is not None
    assert (repository.current.branch, repository.current.head) == ("trunk", None)


def test_a_remote_without_a_default_branch_is_told(project: Path, tmp_path: Path, git: Git) -> None:
    git("checkout", "-q", "--detach", cwd=project)
    git("commit", "-qm", "two", "--allow-empty", cwd=project)  # or git would guess

    cloned = fetch_clone(str(project), "copy", cwd=str(tmp_path))

    assert cloned.default is None
    assert first_worktree(cloned, "old", CONTAINED, data_dir="/n").current is not None


def test_a_shallow_clone_knows_all_branches(project: Path, tmp_path: Path, git: Git) -> None:
    git("commit", "-qm", "two", "--allow-empty", cwd=project)
    cloned = fetch_clone(f"file://{project}", "copy", cwd=str(tmp_path), depth=1)

    repository = first_worktree(cloned, "main", CONTAINED, data_dir="/n")

    assert git("rev-list", "--count", "main", cwd=repository.common_dir) == "1"
    assert "origin/old" in git("branch", "-r", cwd=repository.common_dir)


def test_a_clone_of_one_branch_has_no_other(project: Path, tmp_path: Path, git: Git) -> None:
    cloned = fetch_clone(f"file://{project}", "copy", cwd=str(tmp_path), single_branch=True)

    assert "old" not in git("for-each-ref", cwd=cloned.common_dir)


@pytest.mark.parametrize("word", ["", "/", "https://h/", "git@h:", "..", "https://h/.git", "ü"])
def test_a_url_without_a_name_asks_for_one(word: str) -> None:
    with pytest.raises(BadPath, match="cannot derive a directory name"):
        directory_name(word)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    assert harmless_url("https://me:geheim@h:8443/o/r") == "https://me:***@h:8443/o/r"
    assert harmless_url("https://me@h/o@2") == "https://me@h/o@2"
    assert harmless_url("git@h:o/r") == "git@h:o/r"

    with pytest.raises(GitFailed) as caught:
        fetch_clone("nosuch://me:geheim@h/r", "r", cwd=str(tmp_path))
    assert "geheim" not in str(caught.value)


# --- new ones -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["sibling", "contained"])
def test_an_initialisation_that_fails_leaves_nothing(
    tmp_path: Path, git: Git, tree: Callable[[], set[str]], layout: str
) -> None:
    before = tree()
    with pytest.raises(BadBranchName):
        initialise(str(tmp_path / "x"), branch="a..b", layout=BUILT_IN[layout], data_dir="/n")
    with pytest.raises(BadPath, match="requires a bare layout"):
        initialise(
            str(tmp_path / "x"),
            branch="b",
            layout=BUILT_IN["sibling"],
            data_dir="/n",
            with_worktree=False,
        )
    before_git("config", lambda: (tmp_path / "x" / ".git" / "config.lock").touch())
    (tmp_path / "x").mkdir()

    with pytest.raises(GitFailed, match="could not lock"):
        initialise(str(tmp_path / "x"), branch="b", layout=BUILT_IN[layout], data_dir="/n")

    assert tree() == {*before, "x"}


@pytest.mark.parametrize("branch", ["main", "deep/er/branch", "ü"])
def test_the_first_commit_can_be_made_where_one_lands(
    tmp_path: Path, git: Git, branch: str
) -> None:
    path = tmp_path / "with blank" / "fresh"

    repository = initialise(str(path), branch=branch, layout=CONTAINED, data_dir="/n")

    here = repository.current
    assert here is not None
    assert here.path == str(path / branch)
    git("commit", "-qm", "one", "--allow-empty", cwd=here.path)
    assert discover(here.path).worktrees[1].head == git("rev-parse", branch, cwd=here.path)


def test_a_worktree_without_commits_is_not_put_over_anything(tmp_path: Path, git: Git) -> None:
    git("init", "-q", "--bare", "r.git", cwd=tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".git").write_text("gitdir: precious\n")

    with pytest.raises(PathTaken):
        add_orphan(str(tmp_path / "r.git"), str(tmp_path / "x"), "x")

    assert (tmp_path / "x" / ".git").read_text() == "gitdir: precious\n"


def test_two_initialisations_of_one_place_do_not_undo_each_other(tmp_path: Path) -> None:
    place = str(tmp_path / "x")

    def other() -> None:
        with pytest.raises(PathTaken):
            initialise(place, branch="b", layout=CONTAINED, data_dir="/n")

    # The other one comes between the directory and git.
    before_git("init", other)
    repository = initialise(place, branch="b", layout=CONTAINED, data_dir="/n")

    assert repository.current is not None
    assert os.path.exists(repository.current.path)


def test_two_clones_to_one_place_do_not_undo_each_other(project: Path, tmp_path: Path) -> None:
    def other() -> None:
        with pytest.raises(PathTaken):
            fetch_clone(str(project), "copy", cwd=str(tmp_path))

    before_git("clone", other)
    cloned = fetch_clone(str(project), "copy", cwd=str(tmp_path))

    assert first_worktree(cloned, "main", CONTAINED, data_dir="/n").current is not None
