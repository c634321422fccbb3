"""From what a coordinator tells its plugins to what an observer of fires sees."""

from __future__ import annotations

from collections.abc import Sequence

from daft_coordinator.hookspecs import hookimpl
from daft_protocol.jobs import Job
from daft_protocol.records import LogRecord, RecordKind
from daft_protocol.status import JobStatus

from .ports import FireObserver, OutputLine


class JobWatcher:
    """A plugin for the coordinator that runs the foreground jobs of fires.

    Each job is told of in order: started, its lines and progress, stopping, finished. One that
    was skipped when it was planned is not told of again.
    """

    def __init__(self, observer: FireObserver) -> None:
        self._observer = observer

    @hookimpl
    def daft_job_changed(self, job: Job) -> None:
        """Tell what became of a job."""
        if job.status is JobStatus.RUNNING:
            self._observer.job_started(job)
        elif job.status is JobStatus.CANCELLING:
            self._observer.job_stopping(job)
        elif job.status.is_final and job.spec.skip is None:
            self._observer.job_finished(job)

    @hookimpl
    def daft_log_records(self, job: Job, records: Sequence[LogRecord]) -> None:
        """Tell what a job has written."""
        for record in records:
            if isinstance(record.data, str):
                line = OutputLine(
                    text=_shown(record.data),
                    is_error=record.kind is RecordKind.STDERR,
                    continues=record.cont,
                )
                self._observer.job_line(job, line)

    @hookimpl
    def daft_job_progress(self, job: Job, text: str) -> None:
        """Tell how the unfinished line of a job looks."""
        self._observer.job_progress(job, text)


def _shown(text: str) -> str:
    """Return what a terminal shows of a line: `\\r` goes back to its beginning."""
    return text.rstrip("\r").rpartition("\r")[2]
