"""What keeps a worktree from being removed, what force overrides, what comes too late."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import (
    BUILT_IN,
    RemoteBranch,
    Removed,
    create,
    discover,
    fetch_clone,
    first_worktree,
    places,
    plan_removal,
    plan_start,
    reap_trash,
    remove,
)
from daft_worktree import git as git_module
from daft_worktree.errors import Refused, RemoveFailed

Git = Callable[..., str]


@pytest.fixture
def tree_x(project: Path) -> Path:
    made = create(
        plan_start(discover(str(project)), "x", layout=BUILT_IN["sibling"], data_dir="/n")
    )
    return Path(made.path)


def take(where: Path, *words: str, **other: object) -> list[Removed]:
    repository = discover(str(where))
    return [remove(repository, one) for one in plan_removal(repository, words, **other)]  # type: ignore[arg-type]


def refusal(where: Path, *words: str, **other: object) -> str:
    with pytest.raises(Refused) as caught:
        plan_removal(discover(str(where)), words, **other)  # type: ignore[arg-type]
    return str(caught.value)


def commit(path: Path, git: Git, text: str) -> str:
    (path / "file").write_text(text)
    git("commit", "-qam", text, cwd=path)
    return git("rev-parse", "HEAD", cwd=path)


def before(first_words: tuple[str, ...], action: Callable[[], object]) -> None:
    """Run `action` once, at the last moment before git is started with these words."""

    def watch(words: tuple[str, ...]) -> None:
        if all(word in words for word in first_words):
            git_module.observer = None
            action()

    git_module.observer = watch


def git_status(path: Path) -> str:
    return git_module.run(str(path), "status", "--short")


# --- what is there ------------------------------------------------------------------------------


@pytest.mark.parametrize("hiding", ["status.showUntrackedFiles=no", "core.quotePath=true"])
def test_untracked_files_count_whatever_is_configured(
    project: Path, tree_x: Path, git: Git, hiding: str
) -> None:
    git("config", *hiding.split("="), cwd=project)
    (tree_x / 'a "ü"\n file').write_text("new")

    assert "(0 changed, 1 untracked)" in refusal(project, "x")


def test_staged_renames_count_once(project: Path, tree_x: Path, git: Git) -> None:
    git("mv", "file", "file two", cwd=tree_x)
    (tree_x / "other").write_text("other")
    git("add", "other", cwd=tree_x)

    assert "(2 changed, 0 untracked)" in refusal(project, "x")


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_changes_git_was_told_to_overlook_are_seen(
    project: Path, tree_x: Path, git: Git, flag: str
) -> None:
    git("update-index", flag, "file", cwd=tree_x)
    assert plan_removal(discover(str(project)), ("x",))
    (tree_x / "file").write_text("my own settings")

    assert "told to overlook: file" in refusal(project, "x")
    assert take(project, "x", force=True)


def test_a_sparse_worktree_can_be_removed(project: Path, git: Git) -> None:
    (project / "deep").mkdir()
    (project / "deep" / "file").write_text("deep")
    git("add", "-A", cwd=project)
    git("commit", "-qm", "deep", cwd=project)
    git("worktree", "add", "-q", "-b", "x", "../x", cwd=project)
    git("sparse-checkout", "set", "nothing", cwd=project.parent / "x")
    assert not (project.parent / "x" / "deep").exists()

    assert take(project, "x")


def test_ignored_files_people_would_miss_are_not_removed_unsaid(
    project: Path, tree_x: Path, git: Git
) -> None:
    (project / ".git" / "info" / "exclude").write_text(".env*\nbuild/\n*.sqlite\n")
    (tree_x / "build").mkdir()
    (tree_x / "build" / "out").write_text("made again in a minute")
    assert plan_removal(discover(str(project)), ("x",))
    (tree_x / ".env.test").write_text("secret")

    assert "ignored files that are nowhere else: .env.test" in refusal(project, "x")
    (project / ".env.test").write_text("secret")
    assert plan_removal(discover(str(project)), ("x",))  # a copy of another worktree's
    (project / ".env.test").write_text("another")
    assert "ignored files" in refusal(project, "x")
    git("config", "daft.protect", "*.sqlite", cwd=project)
    assert plan_removal(discover(str(project)), ("x",))


def test_an_ignored_repository_is_not_removed_unsaid(project: Path, tree_x: Path, git: Git) -> None:
    (project / ".git" / "info" / "exclude").write_text("vendor\n")
    git("init", "-q", str(tree_x / "vendor"), cwd=project)

    assert "nowhere else: vendor/" in refusal(project, "x")


def test_copied_configuration_is_no_loss_while_another_has_the_same(
    project: Path, tree_x: Path
) -> None:
    (project / "daft.yml").write_text("hooks: {}\n")
    (tree_x / "daft.yml").write_text("hooks: {}\n")
    assert "1 untracked" in refusal(project, "x")

    assert take(project, "x", replaceable=("daft.yml",))
    assert not tree_x.exists()


def test_refined_configuration_is_a_change(project: Path, tree_x: Path) -> None:
    (project / "daft.yml").write_text("hooks: {}\n")
    (tree_x / "daft.yml").write_text("hooks: {x: {}}\n")

    assert "1 untracked" in refusal(project, "x", replaceable=("daft.yml",))


@pytest.mark.parametrize("ignored", ["inner\n", ""])
def test_a_worktree_inside_another_goes_first_or_keeps_it(
    project: Path, tree_x: Path, git: Git, ignored: str
) -> None:
    (project / ".git" / "info" / "exclude").write_text(ignored)
    git("worktree", "add", "-q", "-b", "y", str(tree_x / "inner"), cwd=project)

    assert "it holds the worktree of 'y'" in refusal(project, "x", force=True)
    assert [one.label for one in take(project, "x", "y")] == ["y", "x"]
    assert not tree_x.exists()


def test_an_inner_worktree_made_at_the_last_moment_keeps_the_outer(
    project: Path, tree_x: Path, git: Git
) -> None:
    (project / ".git" / "info" / "exclude").write_text("inner\n")
    repository = discover(str(project))
    (target,) = plan_removal(repository, ("x",), force=True)
    git("worktree", "add", "-q", "-b", "y", str(tree_x / "inner"), cwd=project)

    with pytest.raises(RemoveFailed, match="holds another worktree"):
        remove(repository, target)

    assert (tree_x / "inner" / "file").exists()


def test_the_repository_itself_is_never_removed(tmp_path: Path, project: Path, git: Git) -> None:
    place = tmp_path / "place"
    git("clone", "-q", "--bare", str(project), str(tmp_path / "bare"), cwd=tmp_path)
    git("worktree", "add", "-q", "-b", "x", str(place), cwd=tmp_path / "bare")
    (tmp_path / "bare").rename(place / ".bare")
    (place / ".git").write_text("gitdir: .bare/worktrees/place\n")
    (place / ".bare" / "info" / "exclude").write_text(".bare\n")

    assert "holds the repository itself" in refusal(place, str(place), force=True)


def test_a_link_in_place_of_the_worktree_is_not_followed(project: Path, tree_x: Path) -> None:
    real = tree_x.with_name("moved")
    tree_x.rename(real)
    tree_x.symlink_to(real)

    assert "is a symbolic link" in refusal(project, "x", force=True)
    assert (real / "file").exists()


def test_what_is_mounted_in_it_is_not_deleted(
    project: Path, tree_x: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tree_x / "data").replace(" ", "\\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"36 35 98:0 / / rw - ext4 a rw\n37 36 98:1 / {place} rw - ext4 b rw\n")
    repository = discover(str(project))
    (target,) = plan_removal(repository, ("x",), force=True)
    monkeypatch.setattr(places, "MOUNTS", str(mounts))

    assert f"mounted in it: {tree_x}/data" in refusal(project, "x", force=True)
    with pytest.raises(RemoveFailed, match="nothing was removed"):
        remove(repository, target)
    assert (tree_x / "file").exists()


def test_an_empty_directory_in_place_of_the_worktree_goes(project: Path, tree_x: Path) -> None:
    shutil.rmtree(tree_x)
    tree_x.mkdir()

    take(project, "x")

    assert not tree_x.exists()
    assert len(discover(str(project)).worktrees) == 1


# --- branches and commits -----------------------------------------------------------------------


def test_a_directory_named_like_another_branch_is_not_taken_for_it(
    project: Path, tree_x: Path, git: Git
) -> None:
    tree_x.rename(tree_x.with_name("old"))
    git("worktree", "repair", str(tree_x.with_name("old")), cwd=project)
    assert discover(str(project)).worktrees[1].branch == "x"

    (removed,) = take(project, "old")

    assert removed.path is None
    assert git("branch", "--format=%(refname:short)", cwd=project).split() == ["main", "x"]


def test_commits_of_a_detached_worktree_are_not_lost_unsaid(
    project: Path, tree_x: Path, git: Git
) -> None:
    git("checkout", "-q", "--detach", cwd=tree_x)
    oid = commit(tree_x, git, "nowhere else")
    assert "detached HEAD" in refusal(project, str(tree_x))
    kept = tree_x.with_name("aside")
    tree_x.rename(kept)
    assert f"commit {oid[:12]} is on no branch" in refusal(project, str(tree_x))
    kept.rename(tree_x)

    (removed,) = take(project, str(tree_x), force=True)

    assert removed.oid == oid
    assert removed.parts == ("worktree",)


def test_a_detached_worktree_that_vanished_may_go_when_a_branch_has_its_commit(
    project: Path, tree_x: Path, git: Git
) -> None:
    git("checkout", "-q", "--detach", cwd=tree_x)
    shutil.rmtree(tree_x)

    assert take(project, str(tree_x))


def test_a_branch_in_two_worktrees_must_be_named_by_path(
    project: Path, tree_x: Path, git: Git
) -> None:
    git("worktree", "add", "-q", "-f", "../second", "x", cwd=project)
    assert "checked out in 2 worktrees" in refusal(project, "x")

    (removed,) = take(project, str(tree_x))

    assert removed.parts == ("worktree",)
    assert git("rev-parse", "--verify", "x", cwd=project)


def test_a_commit_made_after_the_check_keeps_the_worktree(
    project: Path, tree_x: Path, git: Git
) -> None:
    repository = discover(str(project))
    (target,) = plan_removal(repository, ("x",))
    oid = commit(tree_x, git, "late")

    with pytest.raises(RemoveFailed, match="there is a new commit"):
        remove(repository, target)

    assert (tree_x / "file").read_text() == "late"
    assert git("rev-parse", "x", cwd=project) == oid
    assert git("status", "--short", cwd=tree_x) == ""


def test_a_commit_at_the_very_last_moment_keeps_the_branch(
    project: Path, tree_x: Path, git: Git
) -> None:
    repository = discover(str(project))
    (target,) = plan_removal(repository, ("x",), force=True)
    late = commit(project, git, "late")
    before(("update-ref",), lambda: git("update-ref", "refs/heads/x", late, cwd=project))

    with pytest.raises(RemoveFailed, match="branch 'x' was kept"):
        remove(repository, target)

    assert git("rev-parse", "x", cwd=project) == late


def test_a_branch_checked_out_elsewhere_meanwhile_is_kept(
    project: Path, tree_x: Path, git: Git
) -> None:
    repository = discover(str(project))
    (target,) = plan_removal(repository, ("x",))
    git("checkout", "-q", "--detach", cwd=tree_x)
    git("checkout", "-q", "x", cwd=project)

    with pytest.raises(RemoveFailed, match="another branch or commit"):
        remove(repository, target)

    assert tree_x.exists()


def test_what_is_configured_for_a_branch_goes_with_it(
    project: Path, tree_x: Path, git: Git
) -> None:
    take(project, "x")

    assert "branch" not in (project / ".git" / "config").read_text()


# --- changes that come too late -----------------------------------------------------------------


def test_a_file_written_at_the_last_moment_is_never_lost(project: Path, tree_x: Path) -> None:
    repository = discover(str(project))
    (target,) = plan_removal(repository, ("x",))
    inside = os.open(tree_x, os.O_RDONLY)

    def write() -> None:
        # As somebody would who stands in the directory, wherever it has gone.
        os.close(os.open("late", os.O_WRONLY | os.O_CREAT, dir_fd=inside))

    before(("status",), write)
    with pytest.raises(RemoveFailed, match=r"changed meanwhile \(0 changed, 1 untracked\)"):
        remove(repository, target)

    os.close(inside)
    assert (tree_x / "late").exists()
    assert git_status(tree_x) == "?? late"


def test_who_still_stands_in_a_removed_worktree_does_not_reach_the_next(
    project: Path, tree_x: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree_x)
    take(project, "x")
    create(plan_start(discover(str(project)), "x", layout=BUILT_IN["sibling"], data_dir="/n"))

    found = git_module.attempt(".", "rm", "--cached", "file")

    assert not found.ok
    assert git_status(tree_x) == ""


def test_a_worktree_locked_meanwhile_is_kept(project: Path, tree_x: Path, git: Git) -> None:
    repository = discover(str(project))
    (target,) = plan_removal(repository, ("x",), force=True)
    git("worktree", "lock", str(tree_x), cwd=project)

    with pytest.raises(RemoveFailed, match="has been locked"):
        remove(repository, target)

    assert (tree_x / "file").exists()


def test_a_lock_at_the_very_last_moment_puts_everything_back(
    project: Path, tree_x: Path, git: Git
) -> None:
    repository = discover(str(project))
    (target,) = plan_removal(repository, ("x",))
    before(("worktree", "remove"), lambda: git("worktree", "lock", str(tree_x), cwd=project))

    with pytest.raises(RemoveFailed, match="git keeps the worktree"):
        remove(repository, target)

    assert git("status", "--short", cwd=tree_x) == ""
    assert reap_trash(str(project / ".git")) == 0


def test_another_repository_put_there_meanwhile_is_not_touched(
    project: Path, tree_x: Path, git: Git
) -> None:
    repository = discover(str(project))
    (target,) = plan_removal(repository, ("x",), force=True)
    shutil.rmtree(tree_x)
    git("init", "-q", str(tree_x), cwd=project)
    (tree_x / "precious").write_text("precious")

    with pytest.raises(RemoveFailed, match="does not hold this worktree"):
        remove(repository, target)

    assert (tree_x / "precious").read_text() == "precious"


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSPC])
def test_a_tree_that_cannot_be_set_aside_is_removed_in_place(
    project: Path, tree_x: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def other_file_system(source: str, target: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", other_file_system)

    assert take(project, "x")[0].parts == ("worktree", "local branch")
    assert not tree_x.exists()
    assert list((project / ".git" / ".daft" / "trash").iterdir()) == []


def test_a_tree_that_cannot_be_moved_stays_whole(
    project: Path, tree_x: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: str, target: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refused)

    with pytest.raises(RemoveFailed, match="nothing was removed"):
        take(project, "x")
    assert (tree_x / "file").exists()
    assert list((project / ".git" / ".daft" / "trash").iterdir()) == []


# --- remotes ------------------------------------------------------------------------------------


@pytest.fixture
def copy(project: Path, tmp_path: Path, git: Git) -> Path:
    """A clone of `project`, with a worktree and a pushed, unmerged branch `y`."""
    cloned = fetch_clone(str(project), "copy", cwd=str(tmp_path))
    repository = first_worktree(cloned, "main", BUILT_IN["sibling"], data_dir="/n")
    made = create(plan_start(repository, "y", layout=BUILT_IN["sibling"], data_dir="/n"))
    commit(Path(made.path), git, "pushed")
    git("push", "-q", "-u", "origin", "y", cwd=made.path)
    return Path(repository.project_root)


def test_what_this_run_deletes_on_the_remote_proves_nothing(copy: Path, project: Path) -> None:
    assert plan_removal(discover(str(copy)), ("y",))

    text = refusal(copy, "y", remote_branch=RemoteBranch.ALSO)

    assert "its remote branch is to be deleted as well" in text


def test_the_remote_branch_goes_as_well_when_it_is_merged(
    copy: Path, project: Path, git: Git
) -> None:
    git("merge", "-q", "y", cwd=copy)

    (removed,) = take(copy, "y", remote_branch=RemoteBranch.ALSO)

    assert removed.parts == ("worktree", "local branch", "remote branch")
    assert git("branch", "--list", "y", cwd=project) == ""


def test_only_the_remote_branch_goes_when_asked(copy: Path, project: Path, git: Git) -> None:
    (removed,) = take(copy, "y", remote_branch=RemoteBranch.ONLY)

    assert removed.parts == ("remote branch",)
    assert git("branch", "--list", "y", cwd=project) == ""
    assert "y" in git("branch", "--format=%(refname:short)", cwd=copy).split()


def test_a_remote_branch_that_has_moved_is_kept_with_all_else(
    copy: Path, project: Path, git: Git
) -> None:
    git("checkout", "-q", "y", cwd=project)
    theirs = commit(project, git, "theirs")
    git("checkout", "-q", "main", cwd=project)

    with pytest.raises(RemoveFailed, match="has moved on 'origin'"):
        take(copy, "y", force=True, remote_branch=RemoteBranch.ALSO)

    assert git("rev-parse", "y", cwd=project) == theirs
    assert git("rev-parse", "--verify", "y", cwd=copy)
    assert len(discover(str(copy)).worktrees) == 2


@pytest.mark.parametrize("known", [True, False])
def test_a_remote_branch_that_is_gone_already_is_no_trouble(
    copy: Path, project: Path, git: Git, known: bool
) -> None:
    git("branch", "-D", "y", cwd=project)
    if known:
        git("fetch", "-q", "--prune", cwd=copy)

    (removed,) = take(copy, "y", force=True, remote_branch=RemoteBranch.ALSO)

    assert removed.parts == ("worktree", "local branch")
    assert "already gone" in removed.notes[0]


def test_an_upstream_that_differs_is_not_deleted_unsaid(copy: Path, git: Git) -> None:
    git("merge", "-q", "y", cwd=copy)
    tree = Path(discover(str(copy)).worktrees[1].path)
    commit(tree, git, "more")
    git("merge", "-q", "y", cwd=copy)

    assert "out of sync" in refusal(copy, "y", remote_branch=RemoteBranch.ALSO)
    assert plan_removal(discover(str(copy)), ("y",))


def test_a_removal_of_what_is_merged_starts_git_nine_times(project: Path, tree_x: Path) -> None:
    started: list[str] = []
    git_module.observer = lambda words: started.append(
        next(word for word in words if not word.startswith("-") and "=" not in word)
    )

    take(project, "x")

    # fmt: off
    assert started == [
        "config", "for-each-ref", "status", "ls-files", "merge-base",  # the plan
        "status", "worktree", "update-ref", "config",
    ]
    # fmt: on


# --- submodules ---------------------------------------------------------------------------------


@pytest.fixture
def with_submodule(project: Path, tmp_path: Path, git: Git) -> Path:
    """A worktree `x` of a project with an initialised submodule `lib`."""
    git("config", "--global", "protocol.file.allow", "always", cwd=tmp_path)
    git("init", "-q", "lib.origin", cwd=tmp_path)
    (tmp_path / "lib.origin" / "file").write_text("lib")
    git("add", "-A", cwd=tmp_path / "lib.origin")
    git("commit", "-qm", "lib", cwd=tmp_path / "lib.origin")
    git("submodule", "--quiet", "add", str(tmp_path / "lib.origin"), "lib", cwd=project)
    git("commit", "-qm", "lib", cwd=project)
    git("worktree", "add", "-q", "-b", "x", "../x", cwd=project)
    git("submodule", "--quiet", "update", "--init", cwd=tmp_path / "x")
    return tmp_path / "x"


def test_a_clean_submodule_is_no_obstacle(project: Path, with_submodule: Path) -> None:
    assert take(project, "x")[0].parts == ("worktree", "local branch")
    assert not with_submodule.exists()


@pytest.mark.parametrize("how", ["changed", "untracked", "commit", "stash"])
def test_work_in_a_submodule_is_not_lost_unsaid(
    project: Path, with_submodule: Path, git: Git, how: str
) -> None:
    git("config", "submodule.lib.ignore", "all", cwd=with_submodule)
    lib = with_submodule / "lib"
    before_all = git("rev-parse", "HEAD", cwd=lib)
    (lib / ("new" if how == "untracked" else "file")).write_text("mine")
    if how == "stash":
        git("stash", cwd=lib)
    if how == "commit":
        git("commit", "-qam", "mine", cwd=lib)
        git("branch", "mine", cwd=lib)
        git("checkout", "-q", before_all, cwd=lib)

    text = refusal(project, "x")

    expected = {"stash": "no remote has: lib", "commit": "no remote has: lib"}
    assert expected.get(how, "uncommitted changes (1 changed") in text
    assert take(project, "x", force=True)
