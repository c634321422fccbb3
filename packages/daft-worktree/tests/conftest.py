from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daft_worktree import BUILT_IN, discover, layouts
from daft_worktree import git as git_module
from daft_worktree.merging import Merged, merge
from daft_worktree.merging.plan import plan_merge, under_policy
from daft_worktree.merging.rules import MergeOptions, Merging, Policy

CONFIG = "[user]\n\tname = T\n\temail = t@localhost\n[init]\n\tdefaultBranch = main\n"
Git = Callable[..., str]


@pytest.fixture(autouse=True)
def own_git_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the real user's configuration out."""
    path = tmp_path / "gitconfig"
    path.write_text(CONFIG)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def git() -> Git:
    def run(*words: str, cwd: Path | str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "GIT_DIR"}
        done = subprocess.run(
            ["git", *words], cwd=cwd, capture_output=True, text=True, check=True, env=environment
        )
        return done.stdout.strip()

    return run


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Path:
    """A repository with one commit on main and a branch `old`."""
    path = tmp_path / "a project"
    path.mkdir()
    git("init", "-q", cwd=path)
    (path / "file").write_text("one\n")
    git("add", "-A", cwd=path)
    git("commit", "-qm", "one", cwd=path)
    git("branch", "old", cwd=path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[], set[str]]:
    """Everything below the test's directory, to see that nothing changed."""

    def listing() -> set[str]:
        return {
            str(path.relative_to(tmp_path))
            for path in tmp_path.rglob("*")
            if "/.daft/locks" not in str(path) and path.name not in (".daft",)
        }

    return listing


# Every change of the file system, every start of git and every library that is looked for is a step.
# The run dies before step `left`, with all it has started, as by a power cut, or is interrupted.
_DIES = """
import os, signal, sys
*WORDS, left, how = sys.argv[1:]
left = int(left)
STEPS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.utime",
         "os.chmod", "subprocess.Popen", "ctypes.dlopen"}
def watch(event, words):
    global left
    writes = event == "open" and isinstance(words[2], int) and words[2] & os.O_ACCMODE
    if event in STEPS or writes:
        left -= 1
        if left == 0 and how == "kill":
            os.killpg(0, signal.SIGKILL)
        elif left == 0:
            raise KeyboardInterrupt
def steps_count_from_here():
    sys.addaudithook(watch)
"""


@pytest.fixture
def runs_out() -> Callable[..., bool]:
    """Run a script that dies before a step of its own; True when it has fewer steps than that.

    The script finds its words in `WORDS`, and says `steps_count_from_here()`. step: 0 for none.
    how: "kill" or "interrupt".
    """

    def run(script: str, *words: str, step: int, how: str = "kill") -> bool:
        done = subprocess.run(
            [sys.executable, "-c", _DIES + script, *words, str(step), how],
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (0, {"kill": -9, "interrupt": -2}[how]), done.stderr
        return done.returncode == 0

    return run


@pytest.fixture(autouse=True)
def nobody_watches() -> Iterator[None]:
    """A watcher of git's starts does not outlive its test."""
    yield
    git_module.observer = None


class MergeScene:
    """A project on main, a worktree `x` with a commit of its own, and a branch `t` without one."""

    def __init__(self, project: Path, git: Git) -> None:
        self.project = project
        self.tree = project.parent / "x"
        self.git = git
        git("worktree", "add", "-q", "-b", "x", "../x", cwd=project)
        self.commit(self.tree, "of-x")
        git("branch", "t", "main", cwd=project)

    def commit(self, where: Path, name: str, text: str = "new\n") -> str:
        (where / name).write_text(text)
        self.git("add", "-A", cwd=where)
        self.git("commit", "-qm", f"change {name}", cwd=where)
        return self.oid("HEAD", where)

    def oid(self, name: str, where: Path | None = None) -> str:
        return self.git("rev-parse", name, cwd=where or self.project)

    def plan(
        self,
        *words: str,
        into: str | None = None,
        policy: Policy | None = None,
        cwd: Path | None = None,
        **options: object,
    ) -> Merging:
        planned = plan_merge(
            discover(str(cwd or self.project)),
            words or ("x",),
            into=into,
            options=MergeOptions(**options),  # type: ignore[arg-type]
        )
        return under_policy(planned, policy or Policy())

    def merge(self, *words: str, **facts: object) -> Merged:
        return self.carry_out(self.plan(*words, **facts))  # type: ignore[arg-type]

    def carry_out(self, plan: Merging) -> Merged:
        return merge(plan, self.place)

    def place(self, name: str) -> str:
        root = str(self.project)
        return layouts.path_for(BUILT_IN["sibling"], name, root=root, data_dir="/n")

    def clash(self, branch: str = "main") -> None:
        """Have `x` and a branch change the same line."""
        (self.tree / "file").write_text("theirs\n")
        self.git("commit", "-qam", "change file", "--allow-empty", cwd=self.tree)
        self.on(branch, "file", "ours\n")

    def on(self, branch: str, name: str, text: str = "new\n") -> str:
        """Commit to a branch of the project, which is on main."""
        if branch == "main":
            return self.commit(self.project, name, text)
        self.git("checkout", "-q", branch, cwd=self.project)
        oid = self.commit(self.project, name, text)
        self.git("checkout", "-q", "main", cwd=self.project)
        return oid

    def subjects(self, branch: str = "main") -> list[str]:
        return self.git("log", "--format=%s", "--first-parent", branch, cwd=self.project).split(
            "\n"
        )

    def parents(self, name: str = "main") -> list[str]:
        return self.git("rev-parse", f"{name}^@", cwd=self.project).split()

    def status(self, where: Path | None = None) -> str:
        return self.git("status", "--short", cwd=where or self.project)

    def trees(self) -> list[str]:
        return [one.label for one in discover(str(self.project)).worktrees]

    def files(self) -> set[str]:
        return {str(path) for path in (self.project / ".git" / ".daft" / "merging").rglob("*")}


@pytest.fixture
def scene(project: Path, git: Git) -> MergeScene:
    return MergeScene(project, git)
