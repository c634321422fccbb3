"""Finding the repository from wherever one stands, and the worktree a word means."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import (
    create,
    discover,
    fetch_clone,
    first_worktree,
    plan_removal,
    plan_start,
    plan_visit,
)
from daft_worktree import git as git_module
from daft_worktree.errors import GitFailed, InsideSubmodule, MovedByHand, NotARepository, NoWorktree
from daft_worktree.finding import find
from daft_worktree.layouts import BUILT_IN

Git = Callable[..., str]


def test_anywhere_below_is_within(project: Path) -> None:
    (project / "deep" / "er").mkdir(parents=True)

    found = discover(str(project / "deep" / "er"))

    assert found.project_root == str(project)
    assert found.current == found.worktrees[0]
    assert found.main == found.current


def test_within_the_git_directory_one_is_in_no_worktree_of_another(project: Path, git: Git) -> None:
    found = discover(str(project / ".git" / "refs"))

    assert found.common_dir == str(project / ".git")


@pytest.mark.parametrize("where", ["", "a/b"])
def test_outside_there_is_none(tmp_path: Path, where: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)

    with pytest.raises(NotARepository, match="Not inside a Git repository"):
        discover(str(tmp_path / where))


def test_a_directory_that_only_looks_like_git_is_passed_over(tmp_path: Path, project: Path) -> None:
    (project / "inner" / ".git").mkdir(parents=True)

    assert discover(str(project / "inner")).common_dir == str(project / ".git")


@pytest.mark.parametrize("hidden", [".git", ".bare"])
def test_the_root_of_a_bare_layout_is_within_but_in_no_worktree(
    project: Path, tmp_path: Path, git: Git, hidden: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    git("clone", "-q", "--bare", str(project), str(root / hidden), cwd=tmp_path)
    if hidden == ".bare":
        (root / ".git").write_text("gitdir: ./.bare\n")
    git("worktree", "add", "-q", str(root / "old"), "old", cwd=root / hidden)

    found = discover(str(root))

    assert (found.is_bare, found.current, found.main) == (True, None, None)
    assert found.project_root == str(root)
    below = discover(str(root / "old"))
    assert below.current is not None
    assert below.current.branch == "old"
    assert below.project_root == str(root)


def test_a_plain_bare_repository_is_its_own_root(project: Path, tmp_path: Path, git: Git) -> None:
    git("clone", "-q", "--bare", str(project), "plain.git", cwd=tmp_path)

    assert discover(str(tmp_path / "plain.git")).project_root == str(tmp_path / "plain.git")


@pytest.mark.parametrize("layout", ["sibling", "contained"])
def test_bare_repositories_that_nobody_named_may_be_forbidden(
    tmp_path: Path, project: Path, git: Git, layout: str
) -> None:
    git("config", "--global", "safe.bareRepository", "explicit", cwd=tmp_path)
    cloned = fetch_clone(str(project), "copy", cwd=str(tmp_path))
    repository = first_worktree(cloned, "main", BUILT_IN[layout], data_dir="/n")

    made = create(plan_start(repository, "x", layout=BUILT_IN[layout], data_dir="/n"))

    assert discover(made.path).current == made
    git("init", "-q", "--bare", str(project / "planted"), cwd=tmp_path)
    with pytest.raises(GitFailed, match="cannot use bare repository"):
        discover(str(project / "planted"))


def test_a_separate_git_directory_is_followed(tmp_path: Path, git: Git) -> None:
    (tmp_path / "tree").mkdir()
    git("init", "-q", "--separate-git-dir", str(tmp_path / "store"), cwd=tmp_path / "tree")
    git("commit", "-qm", "x", "--allow-empty", cwd=tmp_path / "tree")

    found = discover(str(tmp_path / "tree"))

    assert found.common_dir == str(tmp_path / "store")
    assert found.current is not None
    assert found.current.path == str(tmp_path / "tree")


def test_a_separate_git_directory_stays_followed_beside_worktrees(tmp_path: Path, git: Git) -> None:
    (tmp_path / "tree").mkdir()
    git("init", "-q", "--separate-git-dir", str(tmp_path / "store"), cwd=tmp_path / "tree")
    git("commit", "-qm", "x", "--allow-empty", cwd=tmp_path / "tree")
    git("worktree", "add", "-q", "-b", "x", "../x", cwd=tmp_path / "tree")

    again = discover(str(tmp_path / "tree")).refreshed()
    linked = discover(str(tmp_path / "x"))

    assert again.worktrees[0].path == str(tmp_path / "tree")
    assert again.current == again.worktrees[0]
    assert linked.current is not None
    assert linked.current.branch == "x"


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_from_a_worktree_that_is_elsewhere_for_git_nothing_is_changed(
    project: Path, tmp_path: Path, git: Git, how: str
) -> None:
    git("worktree", "add", "-q", "-b", "x", "../x", cwd=project)
    (shutil.move if how == "moved" else shutil.copytree)(tmp_path / "x", tmp_path / "y")
    found = discover(str(tmp_path / "y"))

    with pytest.raises(MovedByHand, match="on record at"):
        plan_start(found, "z", layout=BUILT_IN["sibling"], data_dir="/n")
    with pytest.raises(MovedByHand, match="on record at"):
        plan_removal(found, ("x",))
    if how == "moved":  # the original of a copy is there to be visited
        with pytest.raises(MovedByHand, match="on record at"):
            plan_visit(found, "x", layout=BUILT_IN["sibling"], data_dir="/n")

    git("worktree", "repair", str(tmp_path / "y"), cwd=project)
    repaired = discover(str(tmp_path / "y"))
    assert plan_start(repaired, "z", layout=BUILT_IN["sibling"], data_dir="/n")


def test_a_submodule_is_read_but_not_given_worktrees(
    project: Path, tmp_path: Path, git: Git
) -> None:
    git("config", "--global", "protocol.file.allow", "always", cwd=tmp_path)
    git("init", "-q", "lib", cwd=tmp_path)
    git("commit", "-qm", "lib", "--allow-empty", cwd=tmp_path / "lib")
    git("submodule", "--quiet", "add", str(tmp_path / "lib"), "lib", cwd=project)

    found = discover(str(project / "lib"))

    assert found.current is not None
    assert found.current.path == str(project / "lib")
    with pytest.raises(InsideSubmodule) as caught:
        plan_start(found, "x", layout=BUILT_IN["sibling"], data_dir="/n")
    assert str(project) in caught.value.tips[0]


def test_nothing_that_surrounds_us_leads_git_astray(project: Path) -> None:
    names = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True
    )

    assert set(names.stdout.split()) <= set(git_module.SCRUBBED)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "de_DE.UTF-8"])
def test_names_are_read_alike_in_every_locale(
    project: Path, git: Git, locale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setenv("LANGUAGE", "de")

    made = create(plan_start(discover(str(project)), "ü", layout=BUILT_IN["sibling"], data_dir="/"))

    assert discover(made.path).current == made


def test_a_path_that_is_no_text_is_kept_exactly(tmp_path: Path, git: Git) -> None:
    odd = tmp_path / os.fsdecode(b"odd \xff")
    odd.mkdir()
    git("init", "-q", cwd=odd)
    git("commit", "-qm", "x", "--allow-empty", cwd=odd)

    made = create(plan_start(discover(str(odd)), "x", layout=BUILT_IN["sibling"], data_dir="/"))

    assert os.fsencode(made.path).endswith(b"odd \xff.x")
    assert discover(made.path).current == made


# --- words --------------------------------------------------------------------------------------


@pytest.fixture
def trees(project: Path, git: Git) -> Path:
    for name in ("a", "b"):
        git("worktree", "add", "-q", "-b", f"team/{name}", f"../{name}", cwd=project)
    git("worktree", "add", "-q", "-b", "c", "../deep/a", cwd=project)
    return project


def meant(project: Path, word: str, cwd: Path | None = None) -> str | None:
    found = discover(str(project))
    worktree = find(
        list(found.worktrees), word, cwd=str(cwd or project), project_root=found.project_root
    )
    return None if worktree is None else worktree.branch


@pytest.mark.parametrize(
    ("word", "branch"),
    [
        ("team/a", "team/a"),
        ("c", "c"),
        ("b", "team/b"),
        (".", "main"),
        ("../b", "team/b"),
        ("./../deep/../b", "team/b"),
        ("main", "main"),
        ("", None),
        ("nothing", None),
        ("./nothing", None),
        ("team", None),
    ],
)
def test_a_word_means_a_branch_a_path_or_a_directory(
    trees: Path, word: str, branch: str | None
) -> None:
    assert meant(trees, word) == branch


def test_a_branch_is_preferred_to_a_directory_of_its_name(trees: Path, git: Git) -> None:
    git("checkout", "-q", "--detach", cwd=trees.parent / "a")
    git("checkout", "-q", "-b", "b", cwd=trees.parent / "a")

    assert meant(trees, "b") == "b"
    assert meant(trees, "b", cwd=trees.parent) == "b"


def test_a_name_that_two_directories_have_is_asked_back(trees: Path) -> None:
    with pytest.raises(NoWorktree, match="'a' is ambiguous"):
        meant(trees, "a")

    assert meant(trees, "a", cwd=trees.parent) == "team/a"


def test_a_worktree_within_another_is_the_one_that_counts(trees: Path, git: Git) -> None:
    inner = trees / "inner"
    git("worktree", "add", "-q", "-b", "inner", str(inner), cwd=trees)
    (inner / "below").mkdir()

    current = discover(str(inner / "below")).current

    assert current is not None
    assert current.branch == "inner"
