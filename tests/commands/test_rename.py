"""`daft rename`: a branch, its worktree, its hooks, its jobs and its record go by another name."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

NOTE = 'echo "$DAFT_HOOK {branch} {old_branch} $(basename "$PWD")" >> {git_dir}/told'
CONFIG = f"""\
hooks:
  worktree-pre-create: {{jobs: [{{name: before, run: '{NOTE}'}}]}}
  worktree-post-create:
    jobs:
      - {{name: up, run: '{NOTE}'}}
      - {{name: deps, run: 'test ! -e {{git_dir}}/no-deps'}}
      - {{name: build, run: 'test -e {{git_dir}}/go || sleep 60', background: true}}
  worktree-pre-remove: {{jobs: [{{name: down, run: '{NOTE}'}}, {{name: other, run: 'exit 1'}}]}}
  worktree-post-remove: {{jobs: [{{name: gone, run: '{NOTE}'}}]}}
"""


@pytest.fixture
def project(home: Any) -> Path:
    """A repository with hooks and a worktree `x` whose background job runs."""
    path: Path = home.repository(CONFIG)
    done = home.daft("start", "x", cwd=path)
    assert done.returncode == 0, done.stderr
    (path / ".git" / "told").unlink()
    return path


def told(project: Path) -> list[str]:
    path = project / ".git" / "told"
    return path.read_text().splitlines() if path.exists() else []


def states(home: Any, project: Path) -> dict[str, str]:
    done = home.daft("list", "--format", "json", cwd=project)
    return {row["name"]: row["setup_state"] for row in json.loads(done.stdout)}


def test_hooks_tear_down_under_the_old_name_and_set_up_under_the_new(
    home: Any, project: Path
) -> None:
    done = home.daft("rename", "x", "feature/y", cwd=project)

    assert done.returncode == 0, done.stderr
    there = home.root / "project.feature-y"
    assert done.stdout == f"Renamed 'x' to 'feature/y' (worktree moved to {there})\n"
    assert told(project) == [
        "worktree-pre-remove x x project.x",
        "worktree-post-remove x x project.x",
        "worktree-pre-create feature/y x project.feature-y",
        "worktree-post-create feature/y x project.feature-y",
    ]
    assert home.git("branch", "--show-current", cwd=there) == "feature/y"
    assert not (home.root / "project.x").exists()


def test_the_record_follows_and_stopped_jobs_run_again_there(
    home: Any, project: Path, until: Any
) -> None:
    until(lambda: home.jobs(project, "--all")["build"]["status"] == "running", "it runs")

    done = home.daft("rename", "x", "y", cwd=project)

    assert "stopping jobs of 'x': build" in done.stderr
    there = home.root / "project.y"
    listed = json.loads(home.daft("jobs", "--format", "json", cwd=there).stdout)
    assert {row["worktree"] for row in listed} == {"y"}
    assert [row["status"] for row in listed if row["name"] == "build"] == ["cancelled", "skipped"]
    assert states(home, project)["y"] == "failed", "what was stopped is missing"
    (run,) = {row["invocation_id"] for row in listed if row["status"] == "cancelled"}
    assert f"its stopped jobs run again with: daft jobs retry {run[:8]}" in done.stderr
    (project / ".git" / "go").touch()
    retried = home.daft("jobs", "retry", run[:8], "--wait", cwd=there)
    assert retried.returncode == 0, retried.stderr


def test_a_failed_set_up_is_not_made_up_for_by_what_tracks_a_move(home: Any) -> None:
    project = home.repository(CONFIG.replace("sleep 60", "true"))
    (project / ".git" / "no-deps").touch()
    home.daft("start", "x", cwd=project)
    assert states(home, project)["x"] == "failed"

    assert home.daft("rename", "x", "y", cwd=project).returncode == 0

    assert states(home, project)["y"] == "failed"
    (project / ".git" / "no-deps").unlink()
    home.daft("hooks", "run", "worktree-post-create", cwd=home.root / "project.y")
    home.daft("jobs", "wait", cwd=home.root / "project.y")
    assert states(home, project)["y"] == "ok"


def test_a_dry_run_tells_all_of_it_and_changes_nothing(
    home: Any, project: Path, until: Any
) -> None:
    until(lambda: home.jobs(project, "--all")["build"]["status"] == "running", "it runs")
    before = home.git("for-each-ref", cwd=project), home.jobs(project, "--all")

    done = home.daft("rename", "x", "y", "--dry-run", cwd=project)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "would rename branch 'x' to 'y'",
        f"would move its worktree from {home.root}/project.x to {home.root}/project.y",
        "would stop jobs: build",
        "would run worktree-pre-remove: down",
        "would run worktree-post-remove: gone",
        "would run worktree-pre-create: before",
        "would run worktree-post-create: up",
    ]
    after = home.jobs(project, "--all")
    assert home.git("for-each-ref", cwd=project) == before[0]
    assert {name: row["status"] for name, row in after.items()} == {
        name: row["status"] for name, row in before[1].items()
    }
    assert told(project) == []


def test_a_shell_inside_is_taken_along(home: Any, project: Path) -> None:
    inside = home.root / "project.x" / "deep"
    inside.mkdir()
    target = home.root / "cd"

    done = home.daft("rename", "..", "y", cwd=inside, DAFT_CD_FILE=str(target))
    assert done.returncode == 0, done.stderr
    assert target.read_text() == str(home.root / "project.y" / "deep")
    target.unlink()
    assert home.daft("rename", "y", "z", cwd=project, DAFT_CD_FILE=str(target)).returncode == 0
    assert not target.exists()


def test_a_rename_that_fails_is_undone_with_its_hooks(home: Any) -> None:
    blocks = "mkdir -p ../project.y && touch ../project.y/late"
    project = home.repository(CONFIG.replace("exit 1", f"{blocks} # {{branch}}"))
    home.daft("start", "x", cwd=project)
    (project / ".git" / "told").unlink()

    done = home.daft("rename", "x", "y", cwd=project)

    assert done.returncode == 1
    assert f"{home.root}/project.y already exists" in done.stderr
    assert "Traceback" not in done.stderr
    assert told(project)[-2:] == [
        "worktree-pre-create x y project.x",
        "worktree-post-create x y project.x",
    ]
    tree = home.root / "project.x"
    assert home.git("status", "--short", "--branch", cwd=tree) == "## x"
    assert list((project / ".git" / ".daft" / "renaming").iterdir()) == []


def test_ctrl_c_while_it_tears_down_leaves_the_old_name(home: Any, until: Any) -> None:
    project = home.repository(CONFIG.replace("exit 1", "touch ../on; sleep 60 # {branch}"))
    home.daft("start", "x", cwd=project)

    process = home.start_daft("rename", "x", "y", cwd=project)
    until(lambda: (home.root / "on").exists(), "the hook runs")
    refused = home.daft("hooks", "run", "worktree-post-create", cwd=home.root / "project.x")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "'x' was not renamed; to set it up: daft -C" in errors
    assert refused.returncode == 1
    assert f"worktree 'x' is being renamed (by process {process.pid})" in refused.stderr
    assert home.git("branch", "--show-current", cwd=home.root / "project.x") == "x"


@pytest.mark.parametrize(
    ("hook", "name", "text"),
    [
        ("worktree-post-remove", "x", "it has its old name"),
        ("worktree-pre-create", "y", "it has its new name"),
    ],
)
def test_a_rename_killed_within_a_hook_is_told_by_the_next_verb(
    home: Any, hook: str, name: str, text: str
) -> None:
    config = CONFIG.replace("sleep 60", "true")
    project = home.repository(config)
    home.daft("start", "x", cwd=project)
    kills = f"{hook}: {{jobs: [{{name: kills, run: 'kill -9 $PPID # {{branch}}'}}]}}\n"
    lines = [line for line in config.splitlines(True) if hook not in line]
    (home.root / "project.x" / "daft.yml").write_text("".join([*lines, "  " + kills]))
    home.daft("hooks", "trust", "-f", cwd=home.root / "project.x")

    killed = home.daft("rename", "x", "y", cwd=project)
    assert killed.returncode == -9, killed.stderr
    done = home.daft("go", name, cwd=project)

    assert done.returncode == 0, done.stderr
    assert f"warning: renaming 'x' to 'y' had been interrupted; {text}" in done.stderr
    assert f"daft -C ../project.{name} hooks run worktree-post-create" in done.stderr
    assert "interrupted" not in home.daft("go", name, cwd=project).stderr
    listed = json.loads(home.daft("jobs", "--all", "--format", "json", cwd=project).stdout)
    assert {row["worktree"] for row in listed} == {name}


def test_the_record_of_a_rename_that_died_before_it_followed_is_taken_along(home: Any) -> None:
    project = home.repository("hooks: {worktree-post-create: {jobs: [{name: a, run: 'true'}]}}\n")
    home.git("switch", "-qc", "work", cwd=project)
    assert home.daft("hooks", "run", "worktree-post-create", cwd=project).returncode == 0
    hook = project / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    parent = "read -r _ _ _ parent _ < /proc/$PPID/stat"
    # Once only: afterwards git is somebody else's child.
    once = f'mkdir "{home.root}/once" || exit 0'
    hook.write_text(f'#!/bin/sh\n{once}; {parent}; kill -9 "$parent"; exit 0\n')
    hook.chmod(0o755)

    killed = home.daft("rename", "work", "job", cwd=project)
    (note,) = (project / ".git" / ".daft" / "renaming").iterdir()
    with note.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until git has gone as well
    hook.unlink()
    done = home.daft("go", "job", cwd=project)

    assert killed.returncode == -9, killed.stderr
    assert "renaming 'work' to 'job' had been interrupted; it has its new name" in done.stderr
    assert home.jobs(project)["a"]["worktree"] == "job"


def test_a_set_up_without_consent_is_made_up_for_as_a_whole(home: Any) -> None:
    project = home.repository(CONFIG.replace("sleep 60", "true"), trust=False)
    for name in ("x", "y"):
        home.daft("start", name, cwd=project)
    home.daft("rename", "x", "new-x", cwd=project)
    assert states(home, project)["new-x"] == "skipped-untrusted"
    home.daft("hooks", "trust", "-f", cwd=project)
    moved = home.daft("rename", "y", "new-y", cwd=project)
    assert moved.returncode == 0, moved.stderr
    assert states(home, project)["new-y"] == "skipped-untrusted"
    tree = home.root / "project.new-y"
    assert home.jobs(tree)["up"]["status"] == "completed"
    assert home.jobs(tree)["deps"]["status"] == "skipped"

    done = home.daft("hooks", "replay", cwd=project)

    assert done.returncode == 0, done.stderr
    for name in ("new-x", "new-y"):
        tree = home.root / f"project.{name}"
        assert home.daft("jobs", "wait", cwd=tree).returncode == 0
        rows = json.loads(home.daft("jobs", "--format", "json", cwd=tree).stdout)
        ran = {row["name"] for row in rows if row["status"] == "completed"}
        assert {"up", "deps", "build"} <= ran, name
        assert states(home, project)[name] == "ok"


def test_what_came_along_to_a_worktree_stays_no_loss(home: Any) -> None:
    project = home.repository()
    (project / "daft.yml").write_text("rc: a\n")
    home.daft("start", "x", cwd=project)
    (project / "daft.yml").write_text("rc: b\n")

    assert home.daft("rename", "x", "y", cwd=project).returncode == 0

    removed = home.daft("remove", "y", cwd=project)
    assert removed.returncode == 0, removed.stderr


def test_links_to_shared_files_lead_there_from_the_new_place(home: Any) -> None:
    origin = home.repository("shared: .env\n", name="origin")
    root = home.root / "root"
    done = home.daft("clone", "--layout", "contained", str(origin), "root", cwd=home.root)
    assert done.returncode == 0, done.stderr
    stored = root / ".git" / ".daft" / "shared"
    stored.mkdir(parents=True)
    (stored / ".env").write_text("S=1\n")
    assert home.daft("start", "x", cwd=root / "main").returncode == 0

    done = home.daft("rename", "x", "deep/er/y", cwd=root / "main")

    assert done.returncode == 0, done.stderr
    assert (root / "deep" / "er" / "y" / ".env").read_text() == "S=1\n"
    assert os.readlink(root / "deep" / "er" / "y" / ".env").startswith("../../../.git/")


# --- the remote ---------------------------------------------------------------------------------


@pytest.fixture
def cloned(home: Any) -> Path:
    """A clone with a worktree `x` that is on its remote."""
    home.git("init", "-q", "--bare", "remote.git", cwd=home.root)
    path: Path = home.repository()
    home.git("remote", "add", "origin", str(home.root / "remote.git"), cwd=path)
    home.git("push", "-qu", "origin", "main", cwd=path)
    home.git("remote", "set-head", "origin", "main", cwd=path)
    home.daft("start", "x", cwd=path)
    home.git("push", "-qu", "origin", "x", cwd=home.root / "project.x")
    return path


def on_remote(home: Any) -> list[str]:
    found = home.git("branch", "--format=%(refname:short)", cwd=home.root / "remote.git")
    return list(found.split("\n"))


def test_the_remote_branch_is_renamed_unless_that_is_not_wanted(home: Any, cloned: Path) -> None:
    alone = home.daft("rename", "x", "y", "--no-remote", cwd=cloned)
    assert (alone.returncode, on_remote(home)) == (0, ["main", "x"])
    home.daft("rename", "y", "x", "--no-remote", cwd=cloned)
    planned = home.daft("rename", "x", "y", "-n", cwd=cloned)
    assert "would push it to 'origin' as 'y', and delete 'x' there\n" in planned.stdout

    done = home.daft("rename", "x", "y", cwd=cloned)

    assert done.returncode == 0, done.stderr
    assert "also on 'origin')" in done.stdout
    assert on_remote(home) == ["main", "y"]
    forced = home.daft("rename", "main", "trunk", "-f", cwd=cloned)
    assert forced.returncode == 0, forced.stderr
    assert "the remote is left alone: the default branch of 'origin' keeps its name" in (
        forced.stderr
    )
    assert on_remote(home) == ["main", "y"]


def test_a_remote_that_says_no_leaves_commands_to_type(home: Any, cloned: Path) -> None:
    hook = cloned / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho never >&2\nexit 1\n")
    hook.chmod(0o755)
    tree = home.root / "project.x"
    home.git("commit", "-qm", "news", "--allow-empty", cwd=tree)

    done = home.daft("rename", "x", "y", cwd=cloned)

    assert done.returncode == 1
    assert "error: it is renamed here, but 'y' was not pushed to 'origin': never" in done.stderr
    assert "tip: what is left: git push --set-upstream origin y" in done.stderr
    assert "tip: what is left: git push origin --delete x" in done.stderr
    assert home.git("branch", "--show-current", cwd=home.root / "project.y") == "y"


@pytest.mark.parametrize(
    ("setting", "words", "news", "code"),
    [
        ("auto", (), False, 0),
        ("auto", (), True, 1),
        ("always", (), False, 1),
        ("always", ("--no-verify",), True, 0),
        ("never", (), True, 0),
        ("nonsense", (), False, 0),
    ],
)
def test_gits_hook_is_asked_as_is_set(
    home: Any, cloned: Path, setting: str, words: tuple[str, ...], news: bool, code: int
) -> None:
    hook = cloned / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    home.git("config", "daft.pushVerify", setting, cwd=cloned)
    if news:
        home.git("commit", "-qm", "news", "--allow-empty", cwd=home.root / "project.x")

    done = home.daft("rename", "x", "y", *words, cwd=cloned)

    assert done.returncode == code, done.stderr
    assert ("not auto, always or never" in done.stderr) == (setting == "nonsense")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("x",), 2, "usage:"),
        (("x", "y", "z"), 2, "usage:"),
        (("x", "y", "--no-rem"), 2, "unrecognized"),
        (("nobody", "y"), 1, "branch 'nobody' not found"),
        (("x", "main"), 1, "already exists"),
        (("x", "a b"), 1, "not a valid branch name"),
        (("x", "main/y"), 1, "conflicts with existing branch"),
        (("main", "y"), 1, "it is the default branch"),
        (("x", "--", "-y"), 1, "not a valid branch name"),
    ],
)
def test_what_cannot_be_is_said(
    home: Any, cloned: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    done = home.daft("rename", *words, cwd=cloned)

    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert home.git("branch", "--show-current", cwd=home.root / "project.x") == "x"
