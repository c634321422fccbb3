"""What is asked of the world before a plan is complete, and when nothing may be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daft_hooks import Event, FireStatus, Firing, Options, fire, parse_selectors
from daft_hooks.domain.config import Configuration
from daft_hooks.domain.planning import Placement
from daft_hooks.probes import gather


class Silent:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def no_engine() -> Any:
    raise AssertionError("nothing was to be recorded or run")


def event_in(path: Path, **facts: Any) -> Event:
    usual: dict[str, Any] = {
        "hook": "worktree-post-create",
        "command": "start",
        "project_root": str(path),
        "git_dir": str(path / ".git"),
        "remote": "origin",
        "source_worktree": str(path),
        "worktree_path": str(path),
        "branch": "main",
        "cwd": str(path),
        "label": "main",
    }
    return Event(**{**usual, **facts})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist; create it"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_text("echo\n"), "is not executable; `chmod +x` it"),
    ],
)
def test_a_script_that_cannot_run_fails_the_hook_before_anything_runs(
    repository: Any, make: Any, said: str
) -> None:
    text = "hooks: {worktree-post-create: {jobs: [{name: a, run: x}, {name: b, script: s}]}}\n"
    loaded = repository.configured({"daft.yml": text, ".daft/keep": ""})
    make(repository.path / ".daft" / "s")

    outcome = fire(
        event_in(repository.path), loaded, Firing(engine=no_engine, observer=Silent())
    )  # fmt: skip

    assert outcome.status is FireStatus.FAILED
    assert said in outcome.reason
    assert "job 'b'" in outcome.reason
    assert "daft.yml:1:" in outcome.reason


@pytest.mark.parametrize(
    "options",
    [
        Options(placement=Placement.OFF),
        Options(selectors=parse_selectors(["all"])),
    ],
)
def test_conditions_of_a_hook_nobody_wants_run_nothing(stage: Any, options: Options) -> None:
    text = "hooks: {worktree-post-create: {skip: [{run: touch ran}], jobs: [{run: x}]}}\n"
    loaded = stage.repository.configured({"daft.yml": text})

    outcome = fire(stage.event(), loaded, stage.firing(None, options=options))

    assert outcome.status is FireStatus.SKIPPED
    assert not (stage.repository.path / "ran").exists()


def test_commands_of_conditions_see_their_own_repository(repository: Any) -> None:
    facts = gather(
        event_in(repository.path),
        Configuration(),
        {"PATH": "/usr/bin:/bin", "GIT_DIR": "/elsewhere"},
        warn=Silent().notice,
    )

    assert facts.succeeded[('test -z "$GIT_DIR"', 10.0)]


def test_a_condition_that_takes_too_long_or_cannot_start_does_not_hold(repository: Any) -> None:
    watcher = Silent()
    event = event_in(repository.path)
    nowhere = event_in(repository.path, cwd=str(repository.path / "nowhere"))

    slow = gather(event, Configuration(), {"PATH": "/usr/bin:/bin"}, warn=watcher.notice)
    lost = gather(nowhere, Configuration(), {"PATH": "/usr/bin:/bin"}, warn=watcher.notice)

    assert slow.succeeded[("sleep 60", 0.05)] is False
    assert lost.succeeded[("true", 1.0)] is False
    assert "`sleep 60` took over 0.05 s; it does not hold" in watcher.notices[0]
    assert "`true` could not be run" in watcher.notices[1]
