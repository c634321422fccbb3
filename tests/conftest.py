"""A throw-away home with a repository in it, and the `daft` of this environment."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

GIT_CONFIG = (
    "[user]\n\tname = Tester\n\temail = tester@localhost\n[init]\n\tdefaultBranch = main\n"
    "[advice]\n\tdetachedHead = false\n"
)


class Home:
    """A user's home: nothing of the real one reaches what runs here, or the reverse."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "gitconfig").write_text(GIT_CONFIG)
        self.environment = {
            "HOME": str(root),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": str(root / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "DAFT_STATE_DIR": str(root / "state"),
            "DAFT_DATA_DIR": str(root / "data"),
            "DAFT_NO_LOG_CLEAN": "1",  # tests that want it take this out
            "PYTHONWARNINGS": "error",
        }

    def run(
        self, *words: str, cwd: Path | None = None, stdin: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program; its exit code is the caller's to judge."""
        return subprocess.run(
            words,
            cwd=cwd or self.root,
            env={**self.environment, **environment},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def git(self, *words: str, cwd: Path) -> str:
        """Run git, which must succeed; return what it printed."""
        done = self.run("git", *words, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def daft(
        self, *words: str, cwd: Path, stdin: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run daft."""
        return self.run(
            sys.executable, "-m", "daft_cli", *words, cwd=cwd, stdin=stdin, **environment
        )

    def start_daft(self, *words: str, cwd: Path) -> subprocess.Popen[str]:
        """Start daft without waiting for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "daft_cli", *words],
            cwd=cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def on_terminal(
        self, *words: str, cwd: Path, typed: tuple[tuple[str, str], ...] = (), **environment: str
    ) -> tuple[int, str]:
        """Run daft on a terminal; return its exit code and all that was shown.

        typed: (what must be shown first, what is typed then), in order.
        """
        return self.program_on_terminal(
            *(sys.executable, "-m", "daft_cli", *words), cwd=cwd, typed=typed, **environment
        )

    def program_on_terminal(
        self,
        *words: str,
        cwd: Path | None = None,
        typed: tuple[tuple[str, str], ...] = (),
        **environment: str,
    ) -> tuple[int, str]:
        """Run a program on a terminal; see `on_terminal`."""
        parent, child = pty.openpty()
        process = subprocess.Popen(
            words,
            cwd=cwd or self.root,
            env={**self.environment, "TERM": "xterm", "COLUMNS": "100", **environment},
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(child)
        shown, seen, waiting = "", 0, list(typed)
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:
                break  # the other side is closed: the last process has ended
            if not part:
                break
            shown += part.decode("utf-8", "replace")
            while waiting and waiting[0][0] in shown[seen:]:
                seen = shown.index(waiting[0][0], seen) + len(waiting[0][0])
                os.write(parent, waiting.pop(0)[1].encode())
        os.close(parent)
        assert not waiting, f"{waiting[0][0]!r} was never shown: {shown}"
        return process.wait(60), shown.replace("\r\n", "\n")

    def jobs(self, cwd: Path, *words: str) -> dict[str, dict[str, Any]]:
        """Return the jobs that daft lists, by name."""
        done = self.daft("jobs", "--format", "json", *words, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return {row["name"]: row for row in json.loads(done.stdout)}

    def repository(self, config: str = "", *, trust: bool = True, name: str = "project") -> Path:
        """Make a repository with this `daft.yml`, trusted."""
        path = self.root / name
        path.mkdir()
        self.git("init", "-q", cwd=path)
        if config:
            (path / "daft.yml").write_text(config)
            self.git("add", "-A", cwd=path)
        self.git("commit", "-qm", "first", "--allow-empty", cwd=path)
        if trust and config:
            done = self.daft("hooks", "trust", "-f", cwd=path)
            assert done.returncode == 0, done.stderr
        return path

    def leaders(self) -> list[psutil.Process]:
        """Return the leaders that serve this home."""
        found: dict[int, tuple[psutil.Process, int]] = {}
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if "daft_coordinator" in words and f"{self.root}/state" in words:
                    found[process.pid] = (process, process.ppid())
            except psutil.Error:
                continue
        # A job's process looks like its leader for the moment before it becomes a shell.
        return [process for process, parent in found.values() if parent not in found]


def wait_until(holds: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    """Wait for something only the outside can show; fail when it does not come."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"it never came about that {what}"
        time.sleep(0.02)


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    for leader in made.leaders():
        leader.terminate()
        try:
            leader.wait(15)
        except psutil.TimeoutExpired:
            leader.kill()
