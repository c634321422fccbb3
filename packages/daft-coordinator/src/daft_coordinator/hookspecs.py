"""What a plugin may supply or watch. Names start with `daft_`; arguments are only ever added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from daft_protocol.jobs import Invocation, Job
    from daft_protocol.records import LogRecord

    from .ports import Clock, JobStore, ProcessControl

PROJECT = "daft"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class CoordinatorHooks:
    """The seams of a coordinator."""

    @hookspec(firstresult=True)
    def daft_open_job_store(self, repository: str) -> JobStore | None:
        """Open the store that keeps the jobs of `repository` (its id).

        Called: once, when a coordinator is made without a store.
        Return: a JobStore, or None to leave the answer to the next plugin.
        Raising: the coordinator is not made; the error reaches the caller.
        Since: 0.1.
        """

    @hookspec(firstresult=True)
    def daft_process_control(self) -> ProcessControl | None:
        """Supply the way processes are started, watched and signalled.

        Called: once, when a coordinator is made.
        Return: a ProcessControl, or None for the next plugin.
        Raising: the coordinator is not made; the error reaches the caller.
        Since: 0.1.
        """

    @hookspec(firstresult=True)
    def daft_clock(self) -> Clock | None:
        """Supply wall time, monotonic time and boot id.

        Called: once, when a coordinator is made.
        Return: a Clock, or None for the next plugin.
        Raising: the coordinator is not made; the error reaches the caller.
        Since: 0.1.
        """

    @hookspec
    def daft_job_changed(self, job: Job) -> None:
        """A job has a new status, and its row is already committed.

        Called: in the coordinator's process, on its thread, once per change.
        Return: ignored. Take at most 100 ms; start a thread of your own for more.
        Raising: reported under the plugin's name; never changes the outcome.
        Since: 0.1.
        """

    @hookspec
    def daft_log_records(self, job: Job, records: Sequence[LogRecord]) -> None:
        """Records were added to the log of `job`, and are already handed to the system.

        Called: in the coordinator's process, on its thread, in the order of their numbers.
        Return: ignored. Take at most 100 ms.
        Raising: reported under the plugin's name; never changes the outcome.
        Since: 0.1.
        """

    @hookspec
    def daft_job_progress(self, job: Job, text: str) -> None:
        """A line of `job` has begun, or was overwritten with `\\r`, and is not finished.

        Called: in the coordinator's process, on its thread, at most ten times a second for a job.
        Return: ignored. Take at most 10 ms.
        Raising: reported under the plugin's name; never changes the outcome.
        Since: 0.1.
        """

    @hookspec
    def daft_invocation_changed(self, invocation: Invocation) -> None:
        """An invocation was recorded, or all its jobs have ended.

        Called: in the coordinator's process, on its thread.
        Return: ignored. Take at most 100 ms.
        Raising: reported under the plugin's name; never changes the outcome.
        Since: 0.1.
        """
