"""`copy:` when a worktree is made, and `daft warm` when it is there already."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

HOOK = "hooks: {worktree-post-create: {jobs: [{name: look, run: 'ls -A cache > seen'}]}}\n"


def warm(home: Any, copy: str = "copy: [cache, .env]\n", hooks: str = HOOK) -> Path:
    """Return a repository that has what it wants copied."""
    project: Path = home.repository(copy + hooks, trust=bool(hooks))
    (project / ".git" / "info" / "exclude").write_text("cache/\n.env\nseen\n")
    (project / "cache").mkdir()
    (project / "cache" / "file").write_text("warm\n")
    (project / ".env").write_text("SECRET=1\n")
    return project


def test_a_new_worktree_has_what_is_to_be_copied_before_its_hooks_run(home: Any) -> None:
    project = warm(home)

    done = home.daft("start", "x", cwd=project)

    made = home.root / "project.x"
    assert done.returncode == 0, done.stderr
    assert (made / "seen").read_text() == "file\n"
    assert (made / ".env").read_text() == "SECRET=1\n"
    assert "copied cache from main (1 file, 5 B" in done.stderr
    assert home.git("status", "--porcelain", cwd=made) == ""
    assert not (project / ".git" / ".daft" / "copying").exists() or not list(
        (project / ".git" / ".daft" / "copying").iterdir()
    )


def test_going_to_a_branch_and_further_worktrees_of_a_clone_get_it_as_well(home: Any) -> None:
    project = warm(home, hooks="")
    home.git("branch", "old", cwd=project)
    (project / ".gitignore").write_text("cache/\n")
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "rules", cwd=project)
    home.git("branch", "new", cwd=project)
    build = "hooks: {post-clone: {jobs: [{name: b, run: 'mkdir cache && echo x > cache/built'}]}}\n"
    (project / "daft.yml").write_text("copy: cache\n" + build)
    home.git("commit", "-qam", "build", cwd=project)
    home.git("branch", "-f", "new", cwd=project)

    assert home.daft("go", "old", cwd=project).returncode == 0
    assert (home.root / "project.old" / "cache" / "file").exists()
    words = ("--trust-hooks", "-b", "main", "-b", "new", str(project), "copy")
    done = home.daft("clone", "--layout", "sibling", *words, cwd=home.root)
    assert done.returncode == 0, done.stderr
    assert (home.root / "copy.new" / "cache" / "built").exists()


def test_nobody_is_asked_and_nothing_runs_for_a_copy(home: Any) -> None:
    project = warm(home)
    home.daft("hooks", "deny", "-f", cwd=project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.x" / "cache" / "file").exists()
    assert not (home.root / "project.x" / "seen").exists()


def test_what_is_shared_is_linked_and_not_copied(home: Any) -> None:
    project = warm(home, copy="copy: [cache, .env]\nshared: [.env, cache/own]\n", hooks="")
    (project / "cache" / "own").write_text("shared\n")
    for name in (".env", "cache/own"):
        assert home.daft("shared", "add", name, cwd=project).returncode == 0

    done = home.daft("start", "x", cwd=project)

    made = home.root / "project.x"
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert (made / ".env").is_symlink()
    assert (made / "cache" / "own").is_symlink()
    assert (made / "cache" / "own").read_text() == "shared\n"
    assert not (made / "cache" / "file").is_symlink()


def test_links_inside_of_what_is_copied_come_along(home: Any) -> None:
    project = warm(home, copy="copy: cache\nshared: [.env, cache/own]\n", hooks="")
    (project / "cache" / "own").write_text("shared\n")
    for name in (".env", "cache/own"):
        assert home.daft("shared", "add", name, cwd=project).returncode == 0
    home.daft("start", "x", cwd=project)
    made = home.root / "project.x"
    shutil.rmtree(made / "cache")
    (made / ".env").unlink()

    done = home.daft("warm", cwd=made)

    assert done.returncode == 0, done.stderr
    assert (made / "cache" / "own").is_symlink()
    assert (made / "cache" / "own").read_text() == "shared\n"
    assert not (made / ".env").exists()  # whoever took that one away did not ask for it


@pytest.mark.parametrize(
    ("copy", "asked"),
    [
        ("layout: sibling\n", []),
        ("copy: nothing\n", []),
        ("copy: [cache, .env]\n", ["check-ignore", "ls-files"]),
    ],
)
def test_git_is_asked_only_where_there_is_something_to_copy(
    home: Any, copy: str, asked: list[str]
) -> None:
    project = warm(home, copy=copy, hooks="")
    log, shims = home.root / "log", home.root / "bin"
    shims.mkdir()
    (shims / "git").write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {shutil.which("git")} "$@"\n')
    (shims / "git").chmod(0o755)

    done = home.daft("start", "x", cwd=project, PATH=f"{shims}:{home.environment['PATH']}")

    assert done.returncode == 0, done.stderr
    lines = log.read_text().splitlines()
    assert any("worktree add" in line for line in lines)
    words = {"check-ignore", "ls-files"}
    assert sorted(word for line in lines for word in words & set(line.split())) == asked


def test_another_list_undoes_no_consent(home: Any) -> None:
    project = warm(home)
    (project / "daft.yml").write_text("copy: [cache]\n" + HOOK)
    home.git("commit", "-qam", "less", cwd=project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.x" / "seen").read_text() == "file\n"


def test_what_cannot_be_copied_is_a_warning_and_nothing_more(home: Any) -> None:
    project = warm(home, "copy: [daft.yml, cache, /etc, gone]\n")
    (project / "cache" / "inner").mkdir()
    (project / "cache" / "inner" / ".git").mkdir()

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert "warning: daft.yml was not copied from main: git tracks it" in done.stderr
    assert "'/etc' begins with a slash" in done.stderr
    assert "gone" not in done.stderr
    assert (home.root / "project.x" / "cache" / "file").exists()


def test_it_is_off_for_new_worktrees_where_the_user_says_so(home: Any) -> None:
    project = warm(home)
    home.git("config", "daft.copy.enabled", "off", cwd=project)

    done = home.daft("start", "x", "--skip-hooks", "all", cwd=project)

    assert done.returncode == 0, done.stderr
    assert not (home.root / "project.x" / "cache").exists()
    assert home.daft("warm", "x", cwd=project).returncode == 0
    assert (home.root / "project.x" / "cache" / "file").exists()


@pytest.fixture
def cold(home: Any) -> Path:
    """A worktree that was made before its repository had anything to copy."""
    project = warm(home)
    home.git("config", "daft.copy.enabled", "false", cwd=project)
    home.daft("start", "x", "--skip-hooks", "all", cwd=project)
    return Path(home.root / "project.x")


def test_a_worktree_is_warmed_from_the_best_that_has_something(home: Any, cold: Path) -> None:
    done = home.daft("warm", cwd=cold)

    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.splitlines()
        == [
            "copied .env from main (1 file, 9 B)",
            "copied cache from main (1 file, 5 B)",
        ]
        or "shared" in done.stdout
    )
    again = home.daft("warm", cwd=cold)
    assert (again.returncode, again.stdout) == (0, "")
    assert "cache is there already; -f replaces it" in again.stderr


def test_what_is_there_is_replaced_by_force_and_never_what_git_keeps(home: Any, cold: Path) -> None:
    (cold / "cache").mkdir()
    (cold / "cache" / "own").write_text("mine")
    (cold / ".env").write_text("mine")
    home.git("add", "-f", ".env", cwd=cold)

    done = home.daft("warm", "-f", cwd=cold)

    assert done.returncode == 0, done.stderr
    assert "replaced cache from main" in done.stdout
    assert "warning: .env was not copied from main: git tracks it there" in done.stderr
    assert [path.name for path in (cold / "cache").iterdir()] == ["file"]
    assert (cold / ".env").read_text() == "mine"


def test_a_dry_run_shows_it_and_touches_nothing(home: Any, cold: Path) -> None:
    (cold / ".env").write_text("mine")

    done = home.daft("warm", "-n", "-f", cwd=cold)
    plain = home.daft("warm", "-n", "--format", "json", cwd=cold)

    assert done.stdout == "would replace .env\nwould copy cache\n"
    assert [(row["path"], row["outcome"]) for row in json.loads(plain.stdout)] == [
        (".env", "present"),
        ("cache", "copy"),
    ]
    assert not (cold / "cache").exists()
    assert (cold / ".env").read_text() == "mine"


def test_rows_for_programs_say_all_there_is(home: Any, cold: Path) -> None:
    done = home.daft("warm", "--from", "main", "--format", "json", cwd=cold)

    assert json.loads(done.stdout)[1] == {
        "path": "cache", "outcome": "copied", "reason": "", "files": 1, "size_bytes": 5,
        "copied_bytes": json.loads(done.stdout)[1]["copied_bytes"],
        "source": str(home.root / "project"), "target": str(cold),
    }  # fmt: skip
    assert home.daft("warm", "--format", "json", cwd=home.root / "project").stdout != ""


def test_wrong_words_are_told(home: Any, cold: Path) -> None:
    for words, told in (
        (("nope",), "no worktree 'nope'"),
        (("--from", "nope"), "no worktree 'nope'"),
        (("--from", "x", "x"), "cannot be copied to itself"),
    ):
        done = home.daft("warm", *words, cwd=cold)
        assert (done.returncode, done.stdout) == (1, "")
        assert told in done.stderr
    assert home.daft("warm", "a", "b", cwd=cold).returncode == 2


def test_nothing_to_copy_is_said(home: Any, cold: Path) -> None:
    project = home.root / "project"
    empty = home.daft("warm", "--from", "x", cwd=project)
    (project / "cache").rename(project / "away")
    (project / ".env").unlink()
    nobody = home.daft("warm", cwd=cold)
    bare = home.repository(name="other")
    without = home.daft("warm", cwd=bare)

    assert empty.stdout == "Nothing to copy: 'x' has not cache, .env\n"
    assert nobody.stdout == "Nothing to copy: no other worktree has cache, .env\n"
    assert without.stdout == "Nothing to copy: daft.yml names nothing under `copy:`\n"
    assert empty.returncode == nobody.returncode == without.returncode == 0


def test_a_file_from_before_the_wish_is_warmed_by_the_wish_of_where_one_stands(home: Any) -> None:
    project = warm(home, copy="", hooks="layout: sibling\n")
    home.daft("start", "x", cwd=project)
    (project / "daft.yml").write_text("copy: cache\n")

    done = home.daft("warm", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.x" / "cache" / "file").exists()


def test_a_failure_is_an_exit_code_to_who_asked_and_the_rest_is_copied(
    home: Any, cold: Path
) -> None:
    (home.root / "project" / "cache" / "large").write_bytes(b"x" * 100_000)

    # No file may become larger than that: as on a full disk, but without one.
    done = home.run("sh", "-c", f"ulimit -f 20; exec {sys.executable} -m daft_cli warm", cwd=cold)

    assert done.returncode == 1
    assert "warning: cache was not copied from main: File too large" in done.stderr
    assert "copied .env from main" in done.stdout
    assert not (cold / "cache").exists()


def test_an_interrupt_keeps_the_worktree_and_leaves_nothing_half_copied(
    home: Any, until: Any
) -> None:
    project = warm(home)
    for number in range(8000):
        (project / "cache" / str(number)).write_text("x")
    process = home.start_daft("start", "x", cwd=project)
    copying = project / ".git" / ".daft" / "copying"
    until(lambda: bool(list(copying.glob("*/copies/*"))), "something is copied")

    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)

    made = home.root / "project.x"
    if process.returncode == 0:
        pytest.skip("it was faster than the interrupt")
    assert process.returncode == 130
    assert "the worktree is kept at" in told
    assert "hooks run worktree-post-create" in told
    assert not (made / "cache").exists()
    assert list(copying.iterdir()) == []


def test_progress_is_drawn_on_a_terminal_and_wiped(home: Any, cold: Path) -> None:
    code, shown = home.on_terminal("warm", cwd=cold)

    assert code == 0
    assert "copying cache" in shown
    assert "\r\x1b[Kcopied cache from main" in shown
