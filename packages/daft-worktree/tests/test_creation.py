from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import (
    BUILT_IN,
    Creation,
    Existing,
    create,
    discover,
    plan_start,
    plan_visit,
    previous_worktree,
    remember_previous,
)
from daft_worktree import git as git_module
from daft_worktree.carry import restore, stash_changes
from daft_worktree.cloning import directory_name, fetch_clone, first_worktree, initialise
from daft_worktree.errors import (
    BadBranchName,
    BadLayout,
    BadPath,
    BaseNotFound,
    BranchConflict,
    BranchExists,
    BranchNotFound,
    GitFailed,
    NoCommits,
    NotARepository,
    NoWorktree,
    PathTaken,
)
from daft_worktree.layouts import Layout, named, path_for
from daft_worktree.names import check_branch_name

Git = Callable[..., str]
SIBLING = BUILT_IN["sibling"]


def start(where: Path, branch: str, **other: object) -> Creation:
    return plan_start(discover(str(where)), branch, layout=SIBLING, data_dir="/nowhere", **other)  # type: ignore[arg-type]


def test_a_branch_gets_its_worktree_beside_the_repository(project: Path, git: Git) -> None:
    made = create(start(project, "feature/x"))

    assert made.path == str(project.parent / "a project.feature-x")
    assert made.branch == "feature/x"
    assert (Path(made.path) / "file").read_text() == "one\n"
    assert git("status", "--short", cwd=made.path) == ""
    assert git("config", "branch.feature/x.daftOrigin", cwd=project) == "local"


def test_fifty_creations_at_once_leave_fifty_worktrees_and_no_debris(
    project: Path, git: Git, tmp_path: Path
) -> None:
    code = """
import sys
from daft_worktree import BUILT_IN, create, discover, plan_start
for name in sys.argv[2:]:
    create(plan_start(discover(sys.argv[1]), name, layout=BUILT_IN["sibling"], data_dir="/n"))
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(project), *(f"b/{p}-{n}" for n in range(5))],
            stderr=subprocess.PIPE,
        )
        for p in range(10)
    ]
    errors = [process.communicate(timeout=120)[1] for process in running]

    assert [process.returncode for process in running] == [0] * 10, errors
    names = {f"b/{p}-{n}" for p in range(10) for n in range(5)}
    assert set(git("branch", "--format=%(refname:short)", cwd=project).split("\n")) == {
        "main",
        "old",
        *names,
    }
    repository = discover(str(project))
    assert {worktree.branch for worktree in repository.worktrees} == {"main", *names}
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("a project.")]) == 50
    assert not list((project / ".git").rglob("*.lock")) or [
        path.name for path in (project / ".git").rglob("*.lock")
    ] == ["worktree.lock"]
    assert git("fsck", "--connectivity-only", cwd=project) is not None


def test_a_failing_checkout_leaves_neither_branch_nor_directory(
    project: Path, git: Git, tree: Callable[[], set[str]]
) -> None:
    (project / ".gitattributes").write_text("file filter=broken\n")
    git("add", "-A", cwd=project)
    git("commit", "-qm", "filter", cwd=project)
    git("config", "filter.broken.smudge", "false", cwd=project)
    git("config", "filter.broken.required", "true", cwd=project)
    before, refs = tree(), git("for-each-ref", cwd=project)

    with pytest.raises(GitFailed, match="broken"):
        create(start(project, "feature/x"))

    assert git("for-each-ref", cwd=project) == refs
    assert not (project.parent / "a project.feature-x").exists()
    assert {path for path in tree() - before if "/.git/" not in path} == set()
    assert len(discover(str(project)).worktrees) == 1


def before_git_adds(action: Callable[[], object]) -> None:
    """Run `action` at the last moment before git makes the worktree."""

    def watch(words: tuple[str, ...]) -> None:
        if words[:2] == ("worktree", "add"):
            git_module.observer = None
            action()

    git_module.observer = watch


def test_a_branch_somebody_makes_at_the_last_moment_stays(project: Path, git: Git) -> None:
    planned = start(project, "x")
    before_git_adds(lambda: git("branch", "x", cwd=project))

    with pytest.raises(BranchExists):
        create(planned)

    assert git("branch", "--list", "x", cwd=project) == "x"
    assert not Path(planned.path).exists()


def test_a_branch_made_since_the_plan_stays(project: Path, git: Git) -> None:
    planned = start(project, "x")
    git("branch", "x", cwd=project)

    with pytest.raises(BranchExists):
        create(planned)

    assert git("branch", "--list", "x", cwd=project) == "x"


def test_a_file_that_comes_to_the_place_at_the_last_moment_stays(project: Path, git: Git) -> None:
    planned = start(project, "x")
    place = Path(planned.path)
    before_git_adds(lambda: (place.mkdir(), (place / "mine").write_text("mine")))

    with pytest.raises(GitFailed, match="already exists"):
        create(planned)

    assert (place / "mine").read_text() == "mine"
    assert git("branch", "--list", "x", cwd=project) == ""


@pytest.mark.parametrize(
    "name",
    ["", "-x", "a b", "a..b", "a~b", "a:b", "a\\b", "x.lock", "HEAD", "@", "refs/heads/x", "a/", "a//b",
     ".a", "a.", "a\x7f", "a\u200bb", "x" * 300],
)  # fmt: skip
def test_a_name_git_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(BadBranchName, match="not a valid branch name"):
        check_branch_name(name)


@pytest.mark.parametrize("name", ["feature/HEADER-fix", "a;b", "a&b$c", "übung", "y" * 200])
def test_odd_names_that_git_takes_are_taken(project: Path, git: Git, name: str) -> None:
    git("check-ref-format", "--branch", name, cwd=project)

    assert create(start(project, name)).branch == name


def test_refusals_change_nothing(project: Path, git: Git, tree: Callable[[], set[str]]) -> None:
    git("branch", "a", cwd=project)
    (project.parent / "a project.taken").mkdir()
    (project.parent / "a project.taken" / "mine").write_text("mine")
    (project.parent / "plain").write_text("a file")
    before, refs = tree(), git("for-each-ref", cwd=project)

    with pytest.raises(BranchExists, match="already exists"):
        start(project, "old")
    with pytest.raises(BranchConflict, match="conflicts with existing branch"):
        start(project, "a/b")
    with pytest.raises(BaseNotFound, match="does not resolve"):
        start(project, "x", base="nothing")
    with pytest.raises(PathTaken, match="already exists"):
        start(project, "taken")
    with pytest.raises(BadPath, match="not a directory"):
        start(project, "x", at="../plain/tree")
    with pytest.raises(BadPath, match="inside the git directory"):
        start(project, "x", at=".git/tree")
    with pytest.raises(BadPath, match="inside the worktree"):
        start(project, "x", at="sub/tree")
    with pytest.raises(BadLayout, match="unknown layout"):
        named("sibbling")
    with pytest.raises(NotARepository, match="Not inside a Git repository"):
        discover(str(project.parent))

    assert tree() == before
    assert git("for-each-ref", cwd=project) == refs


def test_another_branchs_worktree_is_never_opened_instead(project: Path) -> None:
    create(start(project, "feature/foo"))

    with pytest.raises(PathTaken, match="already used by branch 'feature/foo'"):
        start(project, "feature-foo")


def test_a_repository_without_commits_is_told(tmp_path: Path, git: Git) -> None:
    git("init", "-q", "fresh", cwd=tmp_path)

    with pytest.raises(NoCommits, match="no commits yet"):
        start(tmp_path / "fresh", "x")


def test_an_empty_directory_in_the_way_is_used(project: Path) -> None:
    (project.parent / "a project.x" / "empty").mkdir(parents=True)

    assert create(start(project, "x")).branch == "x"


def test_git_variables_of_a_surrounding_hook_mislead_nobody(
    project: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("init", "-q", "other", cwd=tmp_path)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))

    made = create(start(project, "x"))

    assert made.path == str(project.parent / "a project.x")


def test_a_project_is_found_through_a_link(project: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(project)

    repository = discover(str(link))

    assert repository.common_dir == str(project / ".git")
    assert repository.current is not None


def test_an_inner_worktree_stays_out_of_the_status(project: Path, git: Git) -> None:
    repository = discover(str(project))
    create(plan_start(repository, "x", layout=BUILT_IN["nested"], data_dir="/n"))

    assert (project / ".worktrees" / "x" / "file").exists()
    assert git("status", "--short", cwd=project) == ""
    assert not (project / ".gitignore").exists()


# --- visiting ---------------------------------------------------------------------------------


def visit(where: Path, name: str, **other: object) -> Existing | Creation:
    return plan_visit(discover(str(where)), name, layout=SIBLING, data_dir="/n", **other)  # type: ignore[arg-type]


def test_a_visit_finds_makes_or_refuses(project: Path) -> None:
    found = visit(project, "old")
    assert isinstance(found, Creation)
    assert not found.new_branch
    made = create(found)

    again = visit(project, "old")
    assert isinstance(again, Existing)
    assert again.worktree.path == made.path
    assert isinstance(visit(project, made.path), Existing)
    with pytest.raises(BranchNotFound, match="not found"):
        visit(project, "olf")
    with pytest.raises(BadPath, match="--at cannot be used"):
        visit(project, "old", at="x")


def test_a_worktree_deleted_by_hand_is_made_again(project: Path) -> None:
    import shutil

    made = create(start(project, "x"))
    shutil.rmtree(made.path)

    found = visit(project, "x")

    assert isinstance(found, Creation)
    assert create(found).path == made.path


def test_a_branch_of_the_remote_is_followed(project: Path, tmp_path: Path, git: Git) -> None:
    cloned = fetch_clone(str(project), "copy", cwd=str(tmp_path))
    repository = first_worktree(cloned, "main", SIBLING, data_dir="/n")

    found = visit(Path(repository.project_root), "origin/old")

    assert isinstance(found, Creation)
    made = create(found)
    assert made.branch == "old"
    assert git("rev-parse", "--abbrev-ref", "old@{upstream}", cwd=made.path) == "origin/old"


def test_the_previous_worktree_is_remembered(project: Path) -> None:
    with pytest.raises(NoWorktree, match="No previous worktree"):
        previous_worktree(discover(str(project)))
    made = create(start(project, "x"))
    remember_previous(discover(str(project)), made.path)

    assert previous_worktree(discover(str(project))).path == made.path


# --- carrying ---------------------------------------------------------------------------------


def test_carried_changes_keep_what_was_staged(project: Path, git: Git) -> None:
    (project / "file").write_text("two\n")
    git("add", "file", cwd=project)
    (project / "file").write_text("three\n")
    (project / "new").write_text("new")
    before = git("status", "--short", cwd=project)
    made = create(start(project, "x"))
    here = discover(str(project)).current
    assert here is not None

    carried = stash_changes(here)
    assert carried is not None
    assert git("status", "--short", cwd=project) == ""
    assert restore(carried, made.path) is None

    assert git("status", "--short", cwd=made.path) == before
    assert git("stash", "list", cwd=project) == ""


# --- layouts and clones -----------------------------------------------------------------------


@pytest.mark.parametrize("layout", BUILT_IN.values(), ids=lambda layout: layout.name)
@pytest.mark.parametrize("branch", [None, "old"])
def test_every_layout_clones_creates_and_follows(
    project: Path, tmp_path: Path, git: Git, layout: Layout, branch: str | None
) -> None:
    data = str(tmp_path / "data")
    cloned = fetch_clone(str(project), "clones/copy", cwd=str(tmp_path))
    repository = first_worktree(cloned, branch or "main", layout, data_dir=data)

    here = repository.current
    assert here is not None
    assert here.branch == (branch or "main")
    assert repository.is_bare == layout.is_bare
    assert git("rev-parse", "--abbrev-ref", "@{upstream}", cwd=here.path) == f"origin/{here.branch}"
    assert (
        git("config", "remote.origin.fetch", cwd=here.path) == "+refs/heads/*:refs/remotes/origin/*"
    )
    made = create(plan_start(discover(here.path), "new/one", layout=layout, data_dir=data))
    assert made.path == path_for(layout, "new/one", root=repository.project_root, data_dir=data)
    assert git("status", "--short", cwd=made.path) == ""


def test_a_clone_that_fails_leaves_nothing(tmp_path: Path, tree: Callable[[], set[str]]) -> None:
    before = tree()

    with pytest.raises(GitFailed):
        fetch_clone(str(tmp_path / "nowhere"), "deep/copy", cwd=str(tmp_path))

    assert tree() == before


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("ssh://git@h:2222/o/r.git", "r"),
        ("https://h:8443/o/r", "r"),
        ("git@h:o/foo.js", "foo.js"),
        ("file:///w/a.git/", "a"),
        ("https://h/o/r.git?x=1#y", "r"),
        ("/w/project/.git", "project"),
    ],
)
def test_the_directory_of_a_clone_is_derived(url: str, name: str) -> None:
    assert directory_name(url) == name


@pytest.mark.parametrize("layout", ["sibling", "contained"])
def test_a_new_repository_has_the_shape_of_its_layout(tmp_path: Path, layout: str) -> None:
    path = str(tmp_path / "fresh")

    repository = initialise(path, branch="trunk", layout=BUILT_IN[layout], data_dir="/n")

    assert repository.current is not None
    assert repository.current.branch == "trunk"
    assert repository.is_bare == BUILT_IN[layout].is_bare
    with pytest.raises(PathTaken):
        initialise(path, branch="trunk", layout=BUILT_IN[layout], data_dir="/n")


def spawned(action: Callable[[], object]) -> list[str]:
    started: list[tuple[str, ...]] = []
    git_module.observer = started.append
    try:
        action()
    finally:
        git_module.observer = None
    return [words[0] for words in started]


def test_a_creation_starts_git_three_times_besides_the_one_that_adds(project: Path) -> None:
    words = spawned(lambda: create(start(project, "x")))

    assert words == ["config", "for-each-ref", "worktree", "config"]


def test_an_existing_branch_costs_three_gits(project: Path) -> None:
    words = spawned(lambda: create(visit(project, "old")))  # type: ignore[arg-type]

    assert words == ["config", "for-each-ref", "worktree"]


def test_a_visit_to_what_is_there_costs_one_git(project: Path) -> None:
    create(start(project, "x"))

    assert spawned(lambda: visit(project, "x")) == ["config"]


def test_paths_may_hold_anything(tmp_path: Path, git: Git) -> None:
    odd = tmp_path / "with 'quotes'\nand \"lines\" ü"
    odd.mkdir()
    git("init", "-q", cwd=odd)
    git("commit", "-qm", "x", "--allow-empty", cwd=odd)

    made = create(start(odd, "x"))

    assert os.path.isdir(made.path)
    assert discover(made.path).current == made
