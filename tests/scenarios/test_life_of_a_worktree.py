"""Whole stories, with the installed program, real git and real processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest


def is_gone(pid: int) -> bool:
    """True when nothing runs under this number; a zombie nobody has fetched runs no more."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


GRAPH = """
hooks:
  worktree-post-create:
    jobs:
      - {name: ready, run: touch ready}
      - {name: a, run: sleep 0.4, background: true, needs: [ready]}
      - {name: b, run: touch b, background: true, needs: [a]}
      - {name: slow, run: sleep 300, background: true}
      - {name: quick, run: 'true', background: true}
      - {name: c, run: touch c, background: true, needs: [quick]}
"""


def test_the_prompt_returns_when_the_foreground_is_done(home: Any, until: Any) -> None:
    project = home.repository(GRAPH)

    done = home.daft("start", "x", cwd=project)

    tree = project.parent / "project.x"
    assert done.returncode == 0, done.stderr
    assert (tree / "ready").exists()
    assert "running in background" in done.stderr
    assert home.jobs(tree)["slow"]["status"] == "running"
    until(lambda: home.jobs(tree)["c"]["status"] == "completed", "c ends beside its slow sibling")
    until(lambda: home.jobs(tree)["b"]["status"] == "completed", "b ends")
    jobs = home.jobs(tree)
    assert jobs["b"]["started_at"] >= jobs["a"]["finished_at"]
    assert jobs["slow"]["status"] == "running"
    assert jobs["ready"]["background"] is False


@pytest.mark.fault("F-19", "by-us")
def test_a_removal_stops_the_jobs_first(home: Any, until: Any) -> None:
    project = home.repository(
        """
hooks:
  worktree-post-create:
    jobs:
      - {name: slow, run: 'echo $$ > ../pid; sleep 300', background: true}
  worktree-pre-remove:
    jobs: [{name: before, run: 'kill -0 $(cat ../pid) 2>/dev/null && touch ../alive; true'}]
  worktree-post-remove:
    jobs: [{name: after, run: 'pwd > ../after'}]
"""
    )
    home.daft("start", "x", cwd=project)
    until(lambda: (home.root / "pid").exists(), "the job has started")
    pid = int((home.root / "pid").read_text())

    done = home.daft("remove", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert "Deleted x (worktree, local branch)" in done.stdout
    assert not (home.root / "project.x").exists()
    assert is_gone(pid)
    assert not (home.root / "alive").exists()
    assert Path((home.root / "after").read_text().strip()) == project
    assert home.jobs(project, "--worktree", "x")["slow"]["status"] == "cancelled"
    assert home.git("branch", "--list", "x", cwd=project) == ""


def test_two_starts_at_one_moment_share_one_leader(home: Any, until: Any) -> None:
    project = home.repository(
        """
hooks:
  worktree-post-create:
    jobs:
      - {name: count, run: 'echo $DAFT_BRANCH_NAME >> ../../counted', root: ., background: true}
      - {name: hold, run: sleep 300, background: true}
""".replace("../../counted", "../counted")
    )

    home.environment["DAFT_JOBS_WORKERS"] = "16"
    running = [home.start_daft("start", f"x{n}", cwd=project) for n in range(4)]
    ended = [process.communicate(timeout=60) for process in running]

    assert [process.returncode for process in running] == [0, 0, 0, 0], ended
    # The one that lost the race for the lock is on its way out.
    until(lambda: len(home.leaders()) == 1, "one leader is left")
    until(
        lambda: (
            len((home.root / "counted").read_text().split()) >= 4
            if (home.root / "counted").exists()
            else False
        ),
        "every job has run",
    )
    for n in range(4):
        tree = home.root / f"project.x{n}"
        until(lambda tree=tree: home.jobs(tree)["count"]["status"] == "completed", "it ended")
    assert sorted((home.root / "counted").read_text().split()) == ["x0", "x1", "x2", "x3"]
    for n in range(4):
        done = home.daft("jobs", "cancel", "--worktree", f"x{n}", cwd=project)
        assert done.returncode == 0, done.stderr
        log = home.daft("jobs", "logs", f"x{n}:hold", "--follow", cwd=project)
        assert "signaled signal=15" in log.stdout, log.stderr


@pytest.mark.fault("F-04", "it")
def test_after_the_death_of_the_leader_nothing_is_lost_or_left(home: Any, until: Any) -> None:
    project = home.repository(
        """
hooks:
  worktree-post-create:
    jobs:
      - {name: one, run: 'echo $$ > ../one; sleep 300', background: true}
      - {name: two, run: 'echo $$ > ../two; (trap "" TERM; sleep 300) & wait', background: true}
      - {name: after-one, run: touch ../never, background: true, needs: [one]}
      - {name: queued, run: touch ../ran, background: true}
"""
    )
    environment = {"DAFT_JOBS_WORKERS": "2"}
    home.daft("start", "x", cwd=project, **environment)
    tree = home.root / "project.x"
    until(lambda: (home.root / "one").exists() and (home.root / "two").exists(), "both run")
    assert home.jobs(tree)["queued"]["status"] == "queued"
    pids = [int((home.root / name).read_text()) for name in ("one", "two")]
    (leader,) = home.leaders()

    os.kill(leader.pid, signal.SIGKILL)
    leader.wait(10)
    jobs = home.jobs(tree)

    assert not [
        name for name, job in jobs.items() if job["status"] == "running" and name != "queued"
    ]
    assert jobs["one"]["status"] == "crashed"
    assert jobs["two"]["status"] == "crashed"
    assert jobs["after-one"]["status"] in ("queued", "skipped")
    for pid in pids:
        assert is_gone(pid)
    until(lambda: home.jobs(tree)["queued"]["status"] == "completed", "the queued job runs")
    until(lambda: home.jobs(tree)["after-one"]["status"] == "skipped", "the dependent is skipped")
    assert (home.root / "ran").exists()
    assert not (home.root / "never").exists()
    log = home.daft("jobs", "logs", "one", cwd=tree)
    assert "crashed" in log.stdout


def test_a_foreground_job_whose_command_was_killed_is_not_called_running(
    home: Any, until: Any
) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {jobs: [{name: hang, run: 'echo $$ > ../pid; sleep 300'}]}}"
    )
    process = home.start_daft("start", "x", cwd=project)
    until(lambda: (home.root / "pid").exists(), "the job runs")

    process.kill()
    process.communicate(timeout=10)

    job = home.jobs(project, "--worktree", "x")["hang"]
    assert job["status"] == "crashed"
    assert job["end_detail"] == "the program that ran it died; what still ran of it was stopped"
    assert is_gone(int((home.root / "pid").read_text()))


def test_an_untrusted_repository_runs_nothing(home: Any) -> None:
    source = home.repository(
        "hooks: {worktree-post-create: {jobs: [{name: evil, run: touch ../../evil}]},"
        " post-clone: {jobs: [{name: evil2, run: touch ../../evil}]}}",
        trust=False,
        name="source",
    )

    cloned = home.daft("clone", str(source), "copy", cwd=home.root)
    started = home.daft("start", "x", cwd=home.root / "copy")

    assert cloned.returncode == 0
    assert started.returncode == 0
    # The remedies are commands that work where one stands.
    for done, tree in ((cloned, "copy"), (started, "../copy.x")):
        assert done.stderr.count("Untrusted repo") == 1
        assert f"daft -C {tree} hooks trust" in done.stderr
        assert f"daft -C {tree} hooks replay" in done.stderr
    assert not list(home.root.rglob("evil"))


def test_a_change_of_what_would_run_lapses_consent(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {jobs: [{name: a, run: ./setup.sh}]}}", trust=False
    )
    script = project / "setup.sh"
    script.write_text("#!/bin/sh\necho fine\n")
    script.chmod(0o755)
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "script", cwd=project)
    home.daft("hooks", "trust", "-f", cwd=project)
    assert "✓ a" in home.daft("start", "x", cwd=project).stderr

    script.write_text("#!/bin/sh\ntouch ../tampered\n")
    home.git("commit", "-qam", "tampered", cwd=project)
    done = home.daft("start", "y", cwd=project)

    assert "changed since trust was given" in done.stderr
    assert not (home.root / "tampered").exists()
    home.daft("hooks", "trust", "-f", cwd=project)
    home.daft("-C", "../project.y", "hooks", "run", "worktree-post-create", cwd=project)
    assert (home.root / "tampered").exists()


def test_secrets_reach_the_job_and_never_the_disk(home: Any, until: Any) -> None:
    project = home.repository(
        """
hooks:
  worktree-post-create:
    jobs:
      - name: use
        run: test "$API_TOKEN" = s3cr3t-value && test "$FROM_SHELL" = yes
        env: {API_TOKEN: s3cr3t-value}
        background: true
"""
    )
    (project / "daft.yml").unlink()  # the only file that may hold the value
    home.git("checkout", "-q", "daft.yml", cwd=project)

    home.daft("start", "x", cwd=project, FROM_SHELL="yes")

    tree = home.root / "project.x"
    until(lambda: home.jobs(tree)["use"]["status"] != "queued", "it started")
    until(lambda: home.jobs(tree)["use"]["status"] != "running", "it ended")
    assert home.jobs(tree)["use"]["status"] == "completed"
    for path in (home.root / "state").rglob("*"):
        if path.is_file() and path.name != "output.jsonl":
            content = path.read_bytes().replace(b'test "$API_TOKEN" = s3cr3t-value', b"")
            assert b"s3cr3t-value" not in content, path


def test_the_state_is_private(home: Any) -> None:
    project = home.repository(GRAPH)
    home.daft("start", "x", cwd=project)

    for path in (home.root / "state", *(home.root / "state").rglob("*")):
        mode = path.lstat().st_mode & 0o077
        assert mode == 0, f"{path} {mode:o}"


def test_background_jobs_run_inline_when_asked(home: Any) -> None:
    project = home.repository(GRAPH.replace("sleep 300", "sleep 0"))

    done = home.daft("start", "x", cwd=project, DAFT_NO_BACKGROUND_JOBS="")

    assert done.returncode == 0
    assert (home.root / "project.x" / "b").exists()
    assert (home.root / "project.x" / "c").exists()
    assert {job["background"] for job in home.jobs(home.root / "project.x").values()} == {False}
    assert home.leaders() == []


def test_a_store_that_cannot_be_used_does_not_stop_the_hook(home: Any) -> None:
    project = home.repository(GRAPH.replace("sleep 300", "sleep 0"))
    (home.root / "state").mkdir(exist_ok=True)
    (home.root / "elsewhere").mkdir()
    for path in (home.root / "state").iterdir():
        if path.name == "jobs":
            path.rename(home.root / "elsewhere" / "jobs")
    (home.root / "state" / "jobs").symlink_to(home.root / "elsewhere")

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert "unrecorded" in done.stderr
    assert (home.root / "project.x" / "ready").exists()
    assert (home.root / "project.x" / "b").exists()
