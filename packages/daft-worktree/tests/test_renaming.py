"""A branch gets another name and its worktree the place that goes with it: all of it or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import (
    BUILT_IN,
    Renaming,
    discover,
    plan_rename,
    previous_worktree,
    remember_previous,
    rename_on_remote,
    under_way,
)
from daft_worktree import git as git_module
from daft_worktree.errors import (
    BadBranchName,
    BadPath,
    BranchConflict,
    BranchExists,
    CannotRename,
    GitFailed,
    NoCommits,
    NoWorktree,
    PathTaken,
    RenameFailed,
    WorktreeError,
)

Git = Callable[..., str]
Tree = Callable[[], set[str]]


def plan(where: Path, word: str, new: str, layout: str = "sibling", **options: bool) -> Renaming:
    return plan_rename(
        discover(str(where)), word, new, layout=BUILT_IN[layout], data_dir="/n", **options
    )


def rename(where: Path, word: str, new: str, layout: str = "sibling") -> str:
    """Rename, and return where the worktree is then."""
    with under_way(plan(where, word, new, layout)) as begun:
        worktree = begun.carry_out()
    return "" if worktree is None else worktree.path


def state(project: Path, git: Git) -> tuple[str, str, str]:
    return (
        git("for-each-ref", cwd=project),
        git("worktree", "list", "--porcelain", cwd=project),
        git("config", "--local", "--list", cwd=project),
    )


@pytest.fixture
def contained(project: Path, tmp_path: Path, git: Git) -> Path:
    """The root of a bare layout, with worktrees of `main` and `old`."""
    root = tmp_path / "bare one"
    git("clone", "-q", "--bare", str(project), str(root / ".git"), cwd=tmp_path)
    git("worktree", "add", "-q", "../main", "main", cwd=root / ".git")
    git("worktree", "add", "-q", "../old", "old", cwd=root / ".git")
    return root


# --- what is done -------------------------------------------------------------------------------


def test_branch_directory_and_configuration_go_by_the_new_name(project: Path, git: Git) -> None:
    git("worktree", "add", "-q", "../a project.old", "old", cwd=project)
    git("config", "branch.old.daftOrigin", "local", cwd=project)
    tree = project.parent / "a project.old"
    (tree / "file").write_text("changed\n")
    (tree / "untracked").write_text("x")

    moved = rename(project, "old", "deep/new")

    assert moved == str(project.parent / "a project.deep-new")
    assert not tree.exists()
    assert git("status", "--short", "--branch", cwd=moved).split("\n") == [
        "## deep/new",
        " M file",
        "?? untracked",
    ]
    assert git("config", "branch.deep/new.daftOrigin", cwd=project) == "local"
    assert "branch.old" not in git("config", "--local", "--list", cwd=project)
    assert git("branch", "--list", "old", cwd=project) == ""
    assert git("worktree", "list", cwd=project).count("\n") == 1
    assert not list((project / ".git" / ".daft" / "renaming").iterdir())


@pytest.mark.parametrize(
    ("word", "new"),
    [("old", "old/er"), ("old", "old/er/still"), ("old", "very/old"), ("old", "b")],
)
def test_a_directory_goes_below_itself_and_back(
    contained: Path, git: Git, word: str, new: str
) -> None:
    (contained / "old" / "er").mkdir()
    (contained / "old" / "er" / "inside").write_text("x")

    there = rename(contained, word, new, "contained")

    assert there == str(contained / new)
    assert (Path(there) / "er" / "inside").exists()
    assert git("status", "--short", "--branch", cwd=there) == f"## {new}\n?? er/"
    assert rename(contained, new, word, "contained") == str(contained / word)
    assert git("status", "--short", "--branch", cwd=contained / "old") == "## old\n?? er/"
    assert {path.name for path in contained.iterdir()} == {".git", "main", "old"}


def test_empty_directories_above_do_not_stay(contained: Path, git: Git) -> None:
    git("worktree", "add", "-q", "-b", "x/y/z", "../x/y/z", "main", cwd=contained / ".git")
    git("worktree", "add", "-q", "-b", "x/k", "../x/k", "main", cwd=contained / ".git")

    rename(contained, "x/y/z", "plain", "contained")

    assert {path.name for path in (contained / "x").iterdir()} == {"k"}


def test_the_default_branch_of_a_bare_repository_stays_its_head(contained: Path, git: Git) -> None:
    with pytest.raises(CannotRename, match="it is the default branch"):
        plan(contained, "main", "trunk", "contained")

    with under_way(plan(contained, "main", "trunk", "contained", force=True)) as begun:
        begun.carry_out()

    assert git("symbolic-ref", "HEAD", cwd=contained / ".git") == "refs/heads/trunk"
    assert (contained / "trunk" / "file").exists()


def test_the_main_working_tree_stays_where_it_is(project: Path, git: Git) -> None:
    git("switch", "-qc", "work", cwd=project)

    planned = plan(project, ".", "job")
    assert (planned.path, planned.stays) == (None, "the main working tree stays where it is")
    assert rename(project, "work", "job") == str(project)

    assert git("branch", "--show-current", cwd=project) == "job"


def test_a_place_of_the_users_choice_stays(project: Path, git: Git) -> None:
    git("worktree", "add", "-q", "../mine", "old", cwd=project)

    planned = plan(project, "mine", "new")
    assert planned.path is None
    assert "not where the layout would place it" in planned.stays
    assert rename(project, "../mine", "new") == str(project.parent / "mine")

    assert git("branch", "--show-current", cwd=project.parent / "mine") == "new"


def test_names_that_share_a_directory_need_no_move(project: Path, git: Git) -> None:
    git("worktree", "add", "-q", "-b", "a/b", "../a project.a-b", cwd=project)

    planned = plan(project, "a/b", "a-b")

    assert (planned.path, planned.stays) == (None, "")
    assert rename(project, "a/b", "a-b") == str(project.parent / "a project.a-b")


def test_a_branch_without_a_worktree_is_renamed_alone(project: Path, git: Git) -> None:
    assert rename(project, "old", "new") == ""

    assert git("branch", "--format=%(refname:short)", cwd=project) == "main\nnew"


def test_dash_goes_on_meaning_what_was_moved(project: Path, git: Git) -> None:
    git("worktree", "add", "-q", "../a project.old", "old", cwd=project)
    remember_previous(discover(str(project)), str(project.parent / "a project.old"))

    rename(project, "old", "new")

    assert previous_worktree(discover(str(project))).branch == "new"


def test_a_plan_touches_nothing(project: Path, git: Git, tree: Tree) -> None:
    git("worktree", "add", "-q", "../a project.old", "old", cwd=project)
    before = tree()

    plan(project, "old", "new")

    assert tree() == before


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "new", "error", "says"),
    [
        ("old", "a..b", BadBranchName, "not a valid branch name"),
        ("old", "old", CannotRename, "has that name already"),
        ("old", "main", BranchExists, "already exists"),
        ("old", "main/x", BranchConflict, "conflicts with existing branch 'main'"),
        ("odl", "new", NoWorktree, "branch 'odl' not found"),
        ("./odl", "new", NoWorktree, "no worktree at ./odl"),
        ("old", "taken", PathTaken, "already exists"),
        ("main", "trunk", CannotRename, "it is the default branch"),
        ("../loose", "new", CannotRename, "detached HEAD"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    project: Path, git: Git, word: str, new: str, error: type[WorktreeError], says: str
) -> None:
    git("worktree", "add", "-q", "../a project.old", "old", cwd=project)
    git("worktree", "add", "-q", "--detach", "../loose", "old", cwd=project)
    (project.parent / "a project.taken").mkdir()
    (project.parent / "a project.taken" / "file").touch()
    before = state(project, git)

    with pytest.raises(error, match=says) as caught:
        plan(project, word, new)

    assert state(project, git) == before
    assert "--at" not in " ".join(caught.value.tips)


def test_worktrees_in_special_states_are_refused(project: Path, git: Git) -> None:
    tree = project.parent / "a project.old"
    git("worktree", "add", "-q", str(tree), "old", cwd=project)

    def refusal() -> str:
        with pytest.raises(CannotRename) as caught:
            plan(project, "old", "new")
        return str(caught.value)

    git("worktree", "lock", "--reason", "on a stick", str(tree), cwd=project)
    assert "its worktree is locked: on a stick" in refusal()
    git("worktree", "unlock", str(tree), cwd=project)
    private = project / ".git" / "worktrees" / "a-project.old"
    (private / "MERGE_HEAD").write_text(git("rev-parse", "main", cwd=project))
    assert "in the middle of a merge" in refusal()
    (private / "MERGE_HEAD").unlink()
    (private / "modules" / "lib").mkdir(parents=True)
    assert "git moves no worktree with submodules" in refusal()
    (private / "modules" / "lib").rmdir()
    (private / "modules").rmdir()
    git("worktree", "add", "-q", "--detach", f"{tree}/inner", "main", cwd=project)
    assert "its worktree holds the one of 'inner'" in refusal()
    git("worktree", "remove", f"{tree}/inner", cwd=project)
    git("worktree", "add", "-qf", "../twin", "old", cwd=project)
    assert "checked out at" in refusal()
    git("worktree", "remove", "../twin", cwd=project)
    tree.rename(project.parent / "gone")
    assert "is not at" in refusal()
    git("init", "-q", str(tree), cwd=project)
    assert "does not hold this worktree" in refusal()


def test_a_branch_that_is_rebased_elsewhere_is_refused(project: Path, git: Git) -> None:
    git("worktree", "add", "-q", "--detach", "../other", "main", cwd=project)
    paused = project / ".git" / "worktrees" / "other" / "rebase-merge"
    paused.mkdir()
    (paused / "head-name").write_text("refs/heads/old\n")

    with pytest.raises(CannotRename, match="in the middle of a rebase"):
        plan(project, "old", "new")


def test_a_repository_without_commits_is_refused(tmp_path: Path, git: Git) -> None:
    git("init", "-q", "fresh", cwd=tmp_path)

    with pytest.raises(NoCommits):
        plan(tmp_path / "fresh", "main", "new", force=True)


def test_a_directory_above_must_hold_nothing_else(contained: Path, git: Git) -> None:
    git("worktree", "add", "-q", "-b", "x/y", "../x/y", "main", cwd=contained / ".git")
    (contained / "x" / "note").write_text("mine")

    with pytest.raises(PathTaken):
        plan(contained, "x/y", "x", "contained")


def test_a_place_inside_another_worktree_is_refused(contained: Path, git: Git) -> None:
    git("worktree", "add", "-q", "--detach", "../box", "main", cwd=contained / ".git")

    with pytest.raises(BadPath, match="is inside the worktree of 'box'"):
        plan(contained, "old", "box/x", "contained")


# --- what goes wrong meanwhile ------------------------------------------------------------------


def test_what_changed_since_the_plan_is_seen(project: Path, git: Git) -> None:
    tree = project.parent / "a project.old"
    git("worktree", "add", "-q", str(tree), "old", cwd=project)
    late = project.parent / "a project.new"

    def attempt(error: type[WorktreeError]) -> None:
        before = state(project, git)
        with pytest.raises(error), under_way(planned) as begun:
            begun.carry_out()
        assert state(project, git) == before
        assert git("status", "--short", "--branch", cwd=tree) == "## old"

    planned = plan(project, "old", "new")
    late.mkdir()
    (late / "file").touch()
    attempt(PathTaken)
    (late / "file").unlink()
    git("worktree", "lock", str(tree), cwd=project)
    attempt(CannotRename)
    git("worktree", "unlock", str(tree), cwd=project)
    git("branch", "new", cwd=project)
    attempt(BranchExists)
    git("branch", "-D", "new", cwd=project)
    with under_way(planned) as begun:
        begun.carry_out()
    assert git("status", "--short", "--branch", cwd=late) == "## new"


@pytest.mark.parametrize("new", ["new", "old/er"])
def test_each_git_that_fails_leaves_all_as_it_was(
    contained: Path, git: Git, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every start of a git that changes something fails in turn, on doing, not on undoing."""
    usual = git_module.attempt
    git("config", "branch.old.description", "x", cwd=contained / ".git")
    before = state(contained / "main", git)

    for step in range(1, 10):
        left = step

        def failing(directory: str, *words: str, **options: object) -> git_module.Output:
            nonlocal left
            if words[0] in ("branch", "worktree"):
                left -= 1
                if left == 0:
                    return git_module.Output(128, "", "fatal: no")
            return usual(directory, *words, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(git_module, "attempt", failing)
        planned = plan(contained, "old", new, "contained")
        try:
            with under_way(planned) as begun:
                begun.carry_out()
        except GitFailed:
            assert state(contained / "main", git) == before, step
            assert {path.name for path in contained.iterdir()} == {".git", "main", "old"}
        else:
            break

    assert step == (3 if new == "new" else 4)
    assert git("branch", "--show-current", cwd=contained / new) == new


def test_what_cannot_be_undone_is_told_and_tried_again(
    project: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daft_worktree import put_right

    tree = project.parent / "a project.old"
    git("worktree", "add", "-q", str(tree), "old", cwd=project)
    usual = git_module.attempt

    def failing(directory: str, *words: str, **options: object) -> git_module.Output:
        if words[:2] == ("worktree", "move") or words[-2:] == ("new", "old"):
            return git_module.Output(128, "", "fatal: no")
        return usual(directory, *words, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(git_module, "attempt", failing)
        with (
            pytest.raises(
                RenameFailed, match=r"moving the worktree(.|\n)*not 'old' again"
            ) as caught,
            under_way(plan(project, "old", "new")) as begun,
        ):
            begun.carry_out()
        said: list[str] = []
        put_right(discover(str(project)), said.append)
    assert caught.value.tips
    assert len(said) == 1
    assert "not 'old' again" in said[0]

    said.clear()
    put_right(discover(str(project)), said.append)

    assert said == ["renaming 'old' to 'new' had been interrupted; it has its old name"]
    assert git("status", "--short", "--branch", cwd=tree) == "## old"


# --- the remote ---------------------------------------------------------------------------------


@pytest.fixture
def cloned(project: Path, tmp_path: Path, git: Git) -> Path:
    """A clone whose branch `old` follows that of its remote."""
    git("config", "receive.denyDeleteCurrent", "ignore", cwd=project)
    git("clone", "-q", str(project), str(tmp_path / "clone"), cwd=tmp_path)
    clone = tmp_path / "clone"
    git("worktree", "add", "-q", "../clone.old", "old", cwd=clone)
    git("commit", "-qm", "more", "--allow-empty", cwd=tmp_path / "clone.old")
    return clone


def on_remote(project: Path, git: Git) -> list[str]:
    return git("branch", "--format=%(refname:short)", cwd=project).split("\n")


def test_the_branch_it_follows_is_renamed_as_well(cloned: Path, project: Path, git: Git) -> None:
    planned = plan(cloned, "old", "new")
    with under_way(planned) as begun:
        begun.carry_out()

    done = rename_on_remote(planned, verify=True)

    assert done == (None, ())
    assert on_remote(project, git) == ["main", "new"]
    tree = cloned.parent / "clone.new"
    assert git("status", "--short", "--branch", cwd=tree) == "## new...origin/new"
    assert git("branch", "-r", "--list", "origin/old", cwd=cloned) == ""


def test_a_prefix_on_the_remote_stays_and_another_name_too(
    cloned: Path, project: Path, git: Git
) -> None:
    git("push", "-q", "-u", "origin", "old:me/old", cwd=cloned)
    remote = plan(cloned, "old", "new").remote
    assert remote is not None
    assert (remote.old, remote.new, remote.has_news) == ("me/old", "me/new", False)

    git("branch", "-u", "origin/main", "old", cwd=cloned)
    planned = plan(cloned, "old", "new")

    assert planned.remote is None
    assert planned.remote_stays == "origin/main has a name of its own, and keeps it"


def test_the_remote_is_left_alone_where_that_is_wanted_or_it_has_nothing(
    cloned: Path, git: Git
) -> None:
    assert plan(cloned, "old", "new", remote=False).remote is None
    git("branch", "--unset-upstream", "old", cwd=cloned)
    assert plan(cloned, "old", "new").remote is None
    git("switch", "-qc", "main2", cwd=cloned)
    assert plan(cloned, "main", "trunk", force=True).remote_stays.startswith("the default branch")


def test_nothing_on_the_remote_is_lost_or_written_over(
    cloned: Path, project: Path, git: Git
) -> None:
    git("branch", "new", "main", cwd=project)
    git("fetch", "-q", cwd=cloned)
    with pytest.raises(CannotRename, match="'origin' has a branch 'new' already"):
        plan(cloned, "old", "new")
    git("switch", "-q", "old", cwd=project)
    git("commit", "-qm", "theirs", "--allow-empty", cwd=project)
    git("fetch", "-q", cwd=cloned)
    with pytest.raises(CannotRename, match="origin/old has commits that it has not"):
        plan(cloned, "old", "newer")


def test_what_came_to_the_remote_meanwhile_stays(cloned: Path, project: Path, git: Git) -> None:
    planned = plan(cloned, "old", "new")
    with under_way(planned) as begun:
        begun.carry_out()
    git("branch", "new", "main", cwd=project)
    git("switch", "-q", "old", cwd=project)
    git("commit", "-qm", "theirs", "--allow-empty", cwd=project)
    theirs = git("rev-parse", "old", "new", cwd=project)

    taken = rename_on_remote(planned, verify=True)
    git("branch", "-D", "new", cwd=project)
    moved = rename_on_remote(planned, verify=True)

    assert taken.trouble is not None
    assert taken.trouble.startswith("'new' was not pushed to 'origin'")
    assert taken.commands == (
        "git push --set-upstream origin new",
        "git push origin --delete old",
    )
    assert moved.trouble is not None
    assert "somebody has pushed to it" in moved.trouble
    assert moved.commands == ("git push origin --delete old",)
    assert git("rev-parse", "old", cwd=project) == theirs.split("\n")[0]


def test_a_hook_of_gits_judges_the_push_unless_it_is_not_asked(
    cloned: Path, project: Path, git: Git
) -> None:
    hook = cloned / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho never >&2\nexit 1\n")
    hook.chmod(0o755)
    planned = plan(cloned, "old", "new")
    with under_way(planned) as begun:
        begun.carry_out()

    judged = rename_on_remote(planned, verify=True)

    assert judged.trouble is not None
    assert "never" in judged.trouble
    assert rename_on_remote(planned, verify=False) == (None, ())
    assert on_remote(project, git) == ["main", "new"]


def test_another_file_system_is_refused(
    project: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("worktree", "add", "-q", "../a project.old", "old", cwd=project)
    usual = os.stat

    def elsewhere(path: str, **options: bool) -> os.stat_result:
        found = usual(path, **options)
        if str(path).endswith("a project.old"):
            return os.stat_result((*found[:2], found.st_dev + 1, *found[3:]))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", elsewhere)
        with pytest.raises(CannotRename, match="on another file system"):
            plan(project, "old", "new")
