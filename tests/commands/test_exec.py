"""`daft exec`: the same command in several worktrees, and what is said of how it went."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def project(home: Any) -> Path:
    """A repository with worktrees feat/x and feat/y besides the main one."""
    path: Path = home.repository("env: {ports: [WEB_PORT]}\n", trust=False)
    for name in ("feat/x", "feat/y"):
        assert home.daft("start", name, cwd=path).returncode == 0
    home.git("worktree", "add", "-q", "--detach", "../loose", cwd=path)
    return path


def test_one_target_has_the_terminal_and_its_exit_code_counts(home: Any, project: Path) -> None:
    code, shown = home.on_terminal(
        "exec", "feat/x", "--", "sh", "-c", "tty; pwd; exit 7", cwd=project
    )

    assert code == 7
    assert "/dev/pts/" in shown
    assert "project.feat-x" in shown
    killed = home.daft("exec", "project.feat-x", "-x", "kill -9 $$", cwd=project)
    assert (killed.returncode, killed.stdout) == (137, "")
    missing = home.daft("exec", "../loose", "--", "no-such-program", cwd=project)
    assert missing.returncode == 127


def test_each_worktree_is_told_who_it_is(home: Any, project: Path) -> None:
    text = 'echo "$DAFT_BRANCH_NAME $DAFT_WORKTREE_PATH $WEB_PORT ${DAFT_CD_FILE-none}"'

    done = home.daft("exec", "--all", "-v", "-x", text, cwd=project, DAFT_CD_FILE="/cd")

    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if not line.startswith("===")]
    assert sorted((branch, Path(path).name, cd) for branch, path, _, cd in rows) == [
        ("feat/x", "project.feat-x", "none"),
        ("feat/y", "project.feat-y", "none"),
        ("main", "project", "none"),
    ]
    assert len({port for _, _, port, _ in rows}) == 3


def test_only_what_failed_is_shown_of_several(home: Any, project: Path) -> None:
    text = 'echo "out $DAFT_BRANCH_NAME"; test "$DAFT_BRANCH_NAME" = feat/x'

    done = home.daft("exec", "feat/*", "-x", text, "-x", "echo second", cwd=project)

    assert done.returncode == 1
    assert done.stdout == "=== feat/y\nout feat/y\n"
    assert "✓ feat/x" in done.stderr
    assert "✗ feat/y" in done.stderr
    assert "(exit code 1)" in done.stderr
    quiet = home.daft("exec", "-q", "feat/*", "-x", "true", cwd=project)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_one_after_another_stops_at_a_failure_unless_told_to_go_on(
    home: Any, project: Path
) -> None:
    text = 'echo "$DAFT_BRANCH_NAME" >> ../ran; test "$DAFT_BRANCH_NAME" != feat/x'
    ran = home.root / "ran"

    stopped = home.daft("exec", "--sequential", "feat/x", "feat/y", "-x", text, cwd=project)
    assert (stopped.returncode, ran.read_text()) == (1, "feat/x\n")
    assert "— feat/y (previous job failed: feat/x failed)" in stopped.stderr
    words = ("exec", "--sequential", "--keep-going", "feat/x", "feat/y", "-x", text)
    going = home.daft(*words, cwd=project)
    assert (going.returncode, ran.read_text()) == (1, "feat/x\nfeat/x\nfeat/y\n")


def test_the_end_of_what_one_prints_is_kept(home: Any, project: Path) -> None:
    text = "seq 400000; exit 1"

    done = home.daft("exec", "--all", "-x", text, cwd=project)

    assert done.returncode == 1
    assert done.stdout.count("(the beginning is left out)") == 3
    assert done.stdout.count("\n400000\n") == 3
    assert len(done.stdout) < 3 * 1.5 * 1024 * 1024


def test_ctrl_c_ends_them_all(home: Any, project: Path, until: Any) -> None:
    text = 'touch ../on-$(basename "$PWD"); sleep 60'

    process = home.start_daft("exec", "feat/*", "-x", text, cwd=project)
    until(lambda: len(list(home.root.glob("on-*"))) == 2, "both run")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)

    assert process.returncode == 130
    words = ("exec", "feat/x", "-x", "echo rea''dy; sleep 60")
    code, _ = home.on_terminal(*words, cwd=project, typed=(("ready", "\x03"),))
    assert code == 130


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--all",), 2, "usage:"),
        (("--all", "-x", "a", "--", "b"), 2, "usage:"),
        (("--", "ls"), 1, "one of both"),
        (("--all", "main", "--", "ls"), 1, "one of both"),
        (("main", "nobody", "z*", "--", "ls"), 1, "no worktree is meant by 'nobody', 'z*'"),
    ],
)
def test_what_cannot_be_is_said(
    home: Any, project: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    done = home.daft("exec", *words, cwd=project)

    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
