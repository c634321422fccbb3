"""Plugins of a coordinator: what they may supply, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daft_coordinator import Coordinator, hookimpl
from daft_coordinator.adapters.clock import SystemClock
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.processes import PosixProcessControl
from daft_protocol.status import JobStatus

Make = Callable[..., Any]


class Supplies:
    """Answers every question, and remembers having been asked."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryJobStore(), SystemClock()
        self.processes = PosixProcessControl()
        self.asked: list[str] = []

    @hookimpl
    def daft_open_job_store(self, repository: str) -> MemoryJobStore:
        self.asked.append(f"store of {repository}")
        return self.store

    @hookimpl
    def daft_process_control(self) -> PosixProcessControl:
        self.asked.append("processes")
        return self.processes

    @hookimpl
    def daft_clock(self) -> SystemClock:
        self.asked.append("clock")
        return self.clock


class Silent:
    """Leaves every answer to the next."""

    @hookimpl
    def daft_open_job_store(self) -> None:
        return None


class Watches:
    """Keeps what it is told of invocations."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @hookimpl
    def daft_invocation_changed(self, invocation: Any) -> None:
        self.told.append(invocation.invocation_id)


class Breaks:
    """Raises whenever it is told something."""

    @hookimpl
    def daft_invocation_changed(self) -> None:
        raise RuntimeError("of its own making")


def test_what_a_plugin_supplies_is_used_and_asked_for_once() -> None:
    plugin = Supplies()

    with Coordinator(repository="r", plugins=[plugin, Silent()]) as coordinator:
        assert coordinator.store is plugin.store
        assert coordinator.clock is plugin.clock
        assert coordinator.processes is plugin.processes
    assert sorted(plugin.asked) == ["clock", "processes", "store of r"]


class Progress:
    """Keeps unfinished lines."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    @hookimpl
    def daft_job_progress(self, text: str) -> None:
        self.shown.append(text)


def test_a_line_is_told_of_while_it_is_written_but_not_too_often(fire: Make, job: Make) -> None:
    watch = Progress()
    command = (
        "printf 'a\\rb\\r'; sleep 0.3; for n in 1 2 3 4 5; do printf $n; done; sleep 0.3; echo"
    )

    with Coordinator(MemoryJobStore(), plugins=[watch]) as coordinator:
        spec = fire(job("a", command))
        coordinator.submit(spec)
        coordinator.wait(spec.invocation_id)

    assert watch.shown[0] == "b"
    assert "12345".startswith(watch.shown[1])
    assert len(watch.shown) <= 4


def test_invocations_are_told_of_at_both_ends_whoever_else_breaks(fire: Make, job: Make) -> None:
    watch, reports = Watches(), []
    plugins = [Breaks(), watch]

    with Coordinator(MemoryJobStore(), plugins=plugins, report=reports.append) as coordinator:
        spec = fire(job("a", "true"))
        coordinator.submit(spec)
        (done,) = coordinator.wait(spec.invocation_id)

    assert done.status is JobStatus.COMPLETED
    assert watch.told == [spec.invocation_id] * 2
    assert all("of its own making" in line for line in reports)
    assert reports
