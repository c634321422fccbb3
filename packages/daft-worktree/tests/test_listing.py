"""What is read from files must be what git itself would say."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import create, discover, list_worktrees, plan_start
from daft_worktree.errors import GitFailed
from daft_worktree.layouts import BUILT_IN
from daft_worktree.settings import read_settings

Git = Callable[..., str]


def both_agree(common_dir: Path) -> list[str]:
    settings = read_settings(str(common_dir))
    assert settings.is_bare is not None
    from_files = list_worktrees(str(common_dir), settings)
    # Where the directory of a bare repository is called is git's own business, and differs by
    # version; nobody goes there.
    from_git = list_worktrees(str(common_dir))
    if from_git[0].is_bare:
        assert from_files[0].is_bare
        from_git[0] = from_files[0]
    assert from_files == from_git
    return [one.label for one in from_files]


@pytest.fixture
def zoo(project: Path, git: Git) -> Path:
    """Worktrees in every state git knows."""
    (project / "file").write_text("two\n")
    git("commit", "-qam", "two", cwd=project)
    git("branch", "clash", "HEAD~1", cwd=project)
    git("worktree", "add", "-q", "../clash", "clash", cwd=project)
    (project.parent / "clash" / "file").write_text("other\n")
    git("commit", "-qam", "other", cwd=project.parent / "clash")
    for name in ("locked", "gone", "gone-locked", "packed", "merging"):
        git("worktree", "add", "-q", "-b", f"b/{name}", f"../{name}", cwd=project)
    git("worktree", "add", "-q", "--detach", "../detached", cwd=project)
    git("worktree", "lock", "--reason", "a\nb", "../locked", cwd=project)
    git("worktree", "lock", "../gone-locked", cwd=project)
    shutil.rmtree(project.parent / "gone")
    shutil.rmtree(project.parent / "gone-locked")
    git("pack-refs", "--all", cwd=project)
    git("commit", "-q", "--allow-empty", "-m", "loose", cwd=project.parent / "packed")
    subprocess.run(["git", "merge", "-q", "clash"], cwd=project.parent / "merging", check=False)
    subprocess.run(["git", "rebase", "-q", "main"], cwd=project.parent / "clash", check=False)
    return project


def test_every_state_is_read_as_git_lists_it(zoo: Path) -> None:
    labels = both_agree(zoo / ".git")

    # fmt: off
    assert labels == ["main", "clash", "detached", "b/gone", "b/gone-locked", "b/locked",
                      "b/merging", "b/packed"]
    # fmt: on
    found = {one.label: one for one in discover(str(zoo)).worktrees}
    assert found["clash"].operation == "rebase"
    assert found["b/merging"].operation == "merge"
    assert found["b/gone"].missing
    assert found["b/gone-locked"].locked == ""
    assert found["b/locked"].locked == "a\nb"


def test_a_bare_repository_whose_flag_has_moved_is_read(zoo: Path, git: Git) -> None:
    git("config", "core.bare", "true", cwd=zoo)
    both_agree(zoo / ".git")

    # Moves `core.bare` out of the common configuration.
    git("sparse-checkout", "set", "nothing", cwd=zoo.parent / "packed")

    assert "core.bare" not in (zoo / ".git" / "config").read_text()
    both_agree(zoo / ".git")
    assert discover(str(zoo.parent / "packed")).is_bare


def test_a_repository_without_commits_is_read(tmp_path: Path, git: Git) -> None:
    git("init", "-q", "fresh", cwd=tmp_path)

    assert both_agree(tmp_path / "fresh" / ".git") == ["main"]
    assert discover(str(tmp_path / "fresh")).worktrees[0].head is None


def test_long_object_ids_are_read(tmp_path: Path, git: Git) -> None:
    path = tmp_path / "long"
    git("init", "-q", "--object-format=sha256", str(path), cwd=tmp_path)
    git("commit", "-qm", "x", "--allow-empty", cwd=path)
    git("worktree", "add", "-q", "--detach", "../other", cwd=path)

    assert both_agree(path / ".git") == ["main", "other"]


def test_a_branch_that_points_to_another_is_left_to_git(project: Path, git: Git) -> None:
    git("symbolic-ref", "refs/heads/alias", "refs/heads/old", cwd=project)
    git("worktree", "add", "-q", "../other", "old", cwd=project)
    (project / ".git" / "worktrees" / "other" / "HEAD").write_text("ref: refs/heads/alias\n")

    head = discover(str(project)).worktrees[1].head

    assert head == git("rev-parse", "old", cwd=project)


def test_a_half_made_record_is_passed_over(project: Path) -> None:
    (project / ".git" / "worktrees" / "half").mkdir(parents=True)

    assert [one.label for one in discover(str(project)).worktrees] == ["main"]


def test_a_place_that_cannot_be_looked_at_is_not_taken_for_gone(project: Path, git: Git) -> None:
    inner = project.parent / "volume" / "x"
    git("worktree", "add", "-q", "-b", "x", str(inner), cwd=project)
    inner.parent.rename(project.parent / "elsewhere")
    assert discover(str(project)).worktrees[1].missing
    inner.parent.symlink_to("volume")  # a loop: neither there nor absent

    assert not discover(str(project)).worktrees[1].missing


def test_the_repository_of_somebody_else_is_refused_in_gits_words(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    with pytest.raises(GitFailed, match="dubious ownership"):
        discover(str(project))


@pytest.mark.parametrize("layout", ["sibling", "contained"])
def test_odd_configuration_misleads_nobody(project: Path, git: Git, layout: str) -> None:
    for key, value in (
        ("color.ui", "always"),
        ("core.quotePath", "true"),
        ("status.showUntrackedFiles", "no"),
        ("status.relativePaths", "true"),
        ("status.branch", "true"),
        ("worktree.guessRemote", "true"),
        ("branch.autoSetupMerge", "always"),
        ("log.showSignature", "true"),
        ("column.ui", "always"),
        ("core.abbrev", "4"),
    ):
        git("config", "--global", key, value, cwd=project)

    made = create(plan_start(discover(str(project)), "ü/x", layout=BUILT_IN[layout], data_dir="/n"))

    both_agree(project / ".git")
    assert made.branch == "ü/x"
    assert "merge" not in git("config", "--get-regexp", "^branch\\.ü", cwd=project)
