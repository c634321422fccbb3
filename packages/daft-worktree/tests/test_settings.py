from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree.errors import GitFailed
from daft_worktree.settings import PROTECT, Settings, interpret, read_settings

Git = Callable[..., str]


def test_nothing_configured_means_the_defaults(tmp_path: Path) -> None:
    found = read_settings(str(tmp_path))

    assert found == Settings(values=found.values, initial_branch="main")


def test_the_repository_overrides_the_user(project: Path, git: Git) -> None:
    git("config", "--global", "daft.checkout.fetch", "yes", cwd=project)
    git("config", "--global", "daft.autocd", "off", cwd=project)
    git("config", "Daft.AutoCd", "on", cwd=project)

    found = read_settings(str(project))

    assert found.fetch
    assert found.autocd


def test_what_the_user_said_can_be_told_from_what_the_repository_says(
    project: Path, git: Git
) -> None:
    git("config", "--global", "daft.hooks.defaultTrust", "prompt", cwd=project)
    git("config", "--global", "daft.layout", "nested", cwd=project)
    git("config", "daft.hooks.defaultTrust", "allow", cwd=project)
    git("config", "daft.hooks.trustPrune", "false", cwd=project)

    found = read_settings(str(project))

    assert found.own == {"daft.hooks.defaulttrust": "prompt", "daft.layout": "nested"}
    assert found.values["daft.hooks.defaulttrust"] == "allow"


def test_files_that_the_users_own_configuration_includes_are_the_users(
    project: Path, git: Git
) -> None:
    more = project.parent / "more"
    git("config", "--file", str(more), "daft.hooks.defaultTrust", "allow", cwd=project)
    git("config", "--global", "include.path", str(more), cwd=project)

    assert read_settings("/").own["daft.hooks.defaulttrust"] == "allow"


@pytest.mark.parametrize("word", ["true", "YES", "on", "1"])
def test_git_has_many_words_for_yes(word: str) -> None:
    assert interpret({"daft.go.autostart": word}).auto_start


@pytest.mark.parametrize("word", ["false", "No", "off", "0", ""])
def test_and_for_no(word: str) -> None:
    assert not interpret({"daft.checkoutbranch.carry": word}).carry_on_start


def test_a_key_without_a_value_means_yes(project: Path) -> None:
    with (project / ".git" / "config").open("a") as file:
        file.write('[daft]\n\tpush\n[daft "checkout"]\n\tpush\n')

    assert read_settings(str(project)).push


def test_a_value_that_makes_no_sense_is_told_and_not_used() -> None:
    found = interpret({"daft.autocd": "maybe"})

    assert found.autocd
    assert found.warnings == ("git config daft.autocd is 'maybe', not a boolean; default used",)


def test_values_may_hold_lines(project: Path, git: Git) -> None:
    git("config", "daft.layout", "a\nb = c", cwd=project)
    git("remote", "add", "with.dot", "x\ny", cwd=project)

    found = read_settings(str(project))

    assert found.layout == "a\nb = c"
    assert found.remotes == ("with.dot",)


def test_a_remote_with_two_addresses_is_one(project: Path, git: Git) -> None:
    git("remote", "add", "origin", "x", cwd=project)
    git("remote", "set-url", "--add", "origin", "y", cwd=project)

    assert read_settings(str(project)).remotes == ("origin",)


def test_what_to_protect_can_be_named() -> None:
    assert interpret({}).protect == PROTECT
    assert interpret({"daft.protect": "*.db  secret*"}).protect == ("*.db", "secret*")
    assert interpret({"daft.protect": ""}).protect == ()


def test_a_broken_configuration_is_an_error_in_gits_words(project: Path) -> None:
    (project / ".git" / "config").write_text("[broken\n")

    with pytest.raises(GitFailed, match="bad config"):
        read_settings(str(project))
