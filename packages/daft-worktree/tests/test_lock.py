from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daft_worktree import create, discover, plan_start
from daft_worktree.errors import CannotWrite, LockTimeout
from daft_worktree.layouts import BUILT_IN
from daft_worktree.lock import worktree_lock

HOLDER = """
import sys
from daft_worktree.lock import worktree_lock
with worktree_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(common_dir: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(common_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_who_waits_too_long_learns_for_whom(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with (
            pytest.raises(LockTimeout, match=rf"another daft command .* \(pid {process.pid}\)"),
            worktree_lock(str(tmp_path), timeout_s=0),
        ):
            pytest.fail("two hold it")
        process.communicate()


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.communicate()

    with worktree_lock(str(tmp_path), timeout_s=0):
        assert (tmp_path / ".daft" / "locks" / "worktree.lock").read_text() == f"{os.getpid()}\n"


def test_who_comes_next_waits(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        second = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        first.communicate()
        assert second.communicate()[0] == "held\n"


@pytest.mark.parametrize("obstacle", ["file", "link"])
def test_a_lock_that_cannot_be_made_is_an_error(
    project: Path, obstacle: str, tmp_path: Path
) -> None:
    if obstacle == "file":
        (project / ".git" / ".daft").write_text("in the way")
    else:
        # Somebody else's file must not be opened, and written to, in place of ours.
        (project / ".git" / ".daft" / "locks").mkdir(parents=True)
        (tmp_path / "theirs").write_text("theirs")
        (project / ".git" / ".daft" / "locks" / "worktree.lock").symlink_to(tmp_path / "theirs")

    with pytest.raises(CannotWrite, match="cannot write"):
        create(plan_start(discover(str(project)), "x", layout=BUILT_IN["sibling"], data_dir="/n"))

    assert not (project.parent / "a project.x").exists()
    if obstacle == "link":
        assert (tmp_path / "theirs").read_text() == "theirs"
