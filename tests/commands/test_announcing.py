"""A background job that failed is told of at the next command on a terminal, once."""

from __future__ import annotations

from typing import Any

POST = "hooks: {{worktree-post-create: {{jobs: [{0}]}}}}\n"
TOLD = "background job 'bad' of 'x' failed (exit code 3): daft jobs logs x@"


def failed(home: Any, until: Any, jobs: str) -> Any:
    """Return a repository in which background jobs of the worktree x have ended."""
    project = home.repository(POST.format(jobs))
    assert home.daft("start", "x", cwd=project).returncode == 0
    until(
        lambda: all(
            row["status"] in ("failed", "completed")
            for row in home.jobs(home.root / "project.x").values()
        ),
        "the jobs have ended",
    )
    return project


def test_a_failure_is_told_once_on_a_terminal(home: Any, until: Any) -> None:
    project = failed(
        home,
        until,
        "{name: bad, run: exit 3, background: true}, {name: good, run: 'true', background: true}",
    )

    piped = home.daft("list", cwd=project)
    code, first = home.on_terminal("list", cwd=project)
    _, again = home.on_terminal("list", cwd=project)

    assert code == 0
    assert "background job" not in piped.stderr
    assert first.count(TOLD) == 1
    assert "good" not in first
    assert "background job" not in again


def test_a_quiet_command_leaves_it_to_the_next(home: Any, until: Any) -> None:
    project = failed(home, until, "{name: bad, run: exit 3, background: true}")

    _, quiet = home.on_terminal("go", "x", "-q", cwd=project)
    _, loud = home.on_terminal("go", "x", cwd=project)

    assert "background job" not in quiet
    assert TOLD in loud


def test_what_is_to_fail_in_silence_does(home: Any, until: Any) -> None:
    project = failed(
        home, until, "{name: bad, run: exit 3, background: true, background_output: silent}"
    )

    _, shown = home.on_terminal("list", cwd=project)

    assert "background job" not in shown


def test_many_failures_are_counted(home: Any, until: Any) -> None:
    jobs = ", ".join(f"{{name: bad{n}, run: exit 3, background: true}}" for n in range(5))
    project = failed(home, until, jobs)

    _, shown = home.on_terminal("list", cwd=project)

    assert shown.count("background job 'bad") == 3
    assert "and 2 more: daft jobs --all --failed" in shown
