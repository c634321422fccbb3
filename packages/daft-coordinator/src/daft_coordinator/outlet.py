"""Who is told of what happens to a running job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from daft_protocol.jobs import Job
from daft_protocol.records import LogRecord

if TYPE_CHECKING:
    from .domain.lifecycle import Ending
    from .runner import JobRun


class Outlet(Protocol):
    """Who wants to know what happens to a running job."""

    def job_logged(self, job: Job, records: Sequence[LogRecord]) -> None:
        """Records were written."""

    def job_wrote(self, job: Job) -> None:
        """Something was added to the job's log."""

    def job_ended(self, run: JobRun, ending: Ending) -> None:
        """The process group is gone and the log is complete but for its last record."""

    def job_troubled(self, job: Job, error: Exception) -> None:
        """Something of ours failed over this job; the job is being stopped for it."""

    def job_progressed(self, job: Job, text: str) -> None:
        """A line has begun, or changed, and is not finished."""

    @property
    def wants_progress(self) -> bool:
        """True when `job_progressed` is worth calling."""

    @property
    def wants_records(self) -> bool:
        """True when `job_logged` is worth decoding the records for."""
