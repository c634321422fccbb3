"""What an observer of fires sees: each job's events in order, whole lines, and its end."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from daft_hooks import FireStatus, fire, load
from daft_hooks.watching import JobWatcher

HEAD = "hooks:\n  worktree-post-create:\n    jobs:\n"


def watched(stage: Any, *jobs: str) -> Any:
    """Fire a hook of these jobs with the stage's observer listening."""
    text = HEAD + "".join(f"      - {job}\n" for job in jobs)
    stage.repository.commit({"daft.yml": text})
    stage.watched_by(JobWatcher(stage.watcher))
    return fire(stage.event(), load(str(stage.repository.path)), stage.firing(None))


def events_of(stage: Any, name: str) -> list[str]:
    return [
        call[0]
        for call in stage.watcher.seen
        if call[0].startswith("job_")
        and getattr(call[-2 if len(call) > 2 else -1], "name", "") == name
    ]


def test_each_job_is_told_of_in_order(stage: Any) -> None:
    outcome = watched(
        stage,
        "{name: a, run: 'echo one; echo two >&2'}",
        "{name: b, run: exit 3, needs: [a]}",
        "{name: c, run: 'true', needs: [b]}",
        "{name: d, run: 'true', skip: true}",
    )

    assert outcome.status is FireStatus.FAILED
    assert events_of(stage, "a") == ["job_started", "job_line", "job_line", "job_finished"]
    assert events_of(stage, "b") == ["job_started", "job_finished"]
    assert events_of(stage, "c") == ["job_finished"]
    assert [job.name for _, job in stage.watcher.told("job_skipped")] == ["d"]
    assert [call[0] for call in stage.watcher.seen if call[0].startswith("hook_")] == [
        "hook_started", "hook_finished",
    ]  # fmt: skip
    assert {(line.text, line.is_error) for _, line in stage.watcher.told("job_line")} == {
        ("one", False), ("two", True),
    }  # fmt: skip


def test_progress_is_told_while_a_line_is_unfinished_and_the_line_as_it_ends(stage: Any) -> None:
    watched(
        stage,
        "{name: a, run: \"printf '10%%\\\\r'; sleep 0.3; printf '20%%\\\\r'; sleep 0.3; echo 'done '\"}",
    )

    shown = [text for _, text in stage.watcher.told("job_progress")]
    assert shown == ["10%", "20%"]
    assert [line.text for _, line in stage.watcher.told("job_line")] == ["done "]


def test_a_line_that_goes_on_says_so(stage: Any) -> None:
    watched(stage, "{name: a, run: 'printf ask; sleep 1.5; echo ed'}")

    lines = [(line.text, line.continues) for _, line in stage.watcher.told("job_line")]
    assert lines == [("ask", False), ("ed", True)]


def test_an_observer_that_breaks_ends_no_job(stage: Any) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("of its own making")

    stage.repository.commit({"daft.yml": HEAD + "      - {name: a, run: 'echo x >> ran'}\n"})
    stage.watched_by(JobWatcher(Broken()))

    outcome = fire(stage.event(), load(str(stage.repository.path)), stage.firing(None))

    assert outcome.status is FireStatus.RAN
    assert stage.ran() == ["x"]


class Interrupts:
    """Sends this process a signal whenever a job has written one of some lines."""

    def __init__(self, **signals: int) -> None:
        self.signals = signals

    def job_line(self, job: Any, line: Any) -> None:
        if line.text in self.signals:
            os.kill(os.getpid(), self.signals[line.text])

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def interrupted(stage: Any, job: str, **signals: int) -> Any:
    stage.repository.commit(
        {
            "daft.yml": f"{HEAD}      - {job}\n      - {{name: z, run: 'echo z >> ran', needs: [a]}}\n"
        }
    )
    stage.watched_by(JobWatcher(Interrupts(**signals)), JobWatcher(stage.watcher))
    return fire(stage.event(), load(str(stage.repository.path)), stage.firing(None))


def test_the_first_interrupt_asks_and_nothing_further_starts(stage: Any) -> None:
    before = signal.getsignal(signal.SIGINT)

    outcome = interrupted(
        stage,
        "{name: a, run: \"trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done\"}",
        ready=signal.SIGINT,
    )

    assert (outcome.status, outcome.exit_code) == (FireStatus.INTERRUPTED, 130)
    said = [line.text for _, line in stage.watcher.told("job_line") if not line.is_error]
    assert said == ["ready", "asked"]
    assert "job_stopping" in events_of(stage, "a")
    assert stage.ran() == []
    assert signal.getsignal(signal.SIGINT) is before
    assert threading.current_thread() is threading.main_thread()


def test_the_second_interrupt_kills(stage: Any) -> None:
    outcome = interrupted(
        stage,
        "{name: a, run: \"trap 'echo deaf' TERM; echo ready; while :; do sleep 0.05; done\"}",
        ready=signal.SIGINT,
        deaf=signal.SIGINT,
    )

    assert outcome.status is FireStatus.INTERRUPTED
    (job, _) = stage.engine.coordinator.jobs(outcome.invocation_id)
    assert job.term_signal == signal.SIGKILL


def test_a_terminal_that_is_closed_stops_the_jobs(stage: Any) -> None:
    outcome = interrupted(stage, "{name: a, run: 'echo ready; exec sleep 60'}", ready=signal.SIGHUP)

    assert outcome.status is FireStatus.INTERRUPTED
