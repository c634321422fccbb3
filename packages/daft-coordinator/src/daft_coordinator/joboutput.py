"""What a running job writes: out of its pipes, into its log, and to whoever follows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

from daft_protocol.jobs import Job
from daft_protocol.records import decode_record

from .joblog import JobLog
from .outlet import Outlet
from .ports import Clock
from .pump import QUIET_S, READ_BYTES
from .reactor import READ, Reactor, Timer

PROGRESS_S = 0.1
"""At most so often is a line told of that is not finished."""


class JobOutput:
    """The pipes of one job and its log.

    pipes: "stdout" and "stderr" -> descriptor, which is closed here. ended: called when a pipe
    has been closed at its other end. troubled: called with a failure of ours. note: takes a
    sentence for the end of the log.
    """

    is_muted = False
    """True once a failure of ours ends the job: it can still write, and what it writes is lost."""

    def __init__(
        self,
        job: Job,
        pipes: Mapping[str, int],
        log: JobLog,
        *,
        reactor: Reactor,
        clock: Clock,
        outlet: Outlet,
        ended: Callable[[], object],
        troubled: Callable[[Exception], None],
        note: Callable[[str], None],
    ) -> None:
        self.job = job
        self.log = log
        self._pipes = dict(pipes)
        self._reactor = reactor
        self._clock = clock
        self._outlet = outlet
        self._ended = ended
        self._troubled = troubled
        self._note = note
        self._quiet: dict[str, Timer] = {}
        self._progress_due = clock.monotonic()

    @property
    def is_open(self) -> bool:
        """True while somebody may still write."""
        return bool(self._pipes)

    def watch(self) -> None:
        """Begin to read whenever there is something."""
        for kind, fd in self._pipes.items():
            self._reactor.watch(fd, READ, self._stdout if kind == "stdout" else self._stderr)

    def take_all(self) -> None:
        """Read what the pipes hold now."""
        for kind in list(self._pipes):
            while kind in self._pipes and self._read(kind):
                pass

    def close(self) -> None:
        """Let go of the pipes, whoever still holds their other ends."""
        for timer in self._quiet.values():
            timer.cancel()
        for kind in list(self._pipes):
            self._close(kind)

    def flush(self) -> None:
        """Write unfinished lines as they are."""
        self._show(self.log.flush_partial(self._now_ms()))

    def keep_ring(self) -> None:
        """Write the last lines that sampling left out."""
        self._show(self.log.keep_ring())

    def status(self, event: str, /, **fields: object) -> None:
        """Write a status record."""
        self._show([self.log.status(event, self._now_ms(), **fields)])

    def _stdout(self, _events: int) -> None:
        self._ready("stdout")

    def _stderr(self, _events: int) -> None:
        self._ready("stderr")

    def _ready(self, kind: str) -> None:
        try:
            self._read(kind)
        except Exception as error:
            self._troubled(error)

    def _read(self, kind: str) -> bool:
        """Read once from a pipe. True when there may be more at once."""
        try:
            data = os.read(self._pipes[kind], READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._note(f"{kind} could not be read: {error.strerror}")
            data = b""
        if not data:
            self._close(kind)
            self._ended()
            return False
        timer = self._quiet.pop(kind, None)
        if timer is not None:
            timer.cancel()
        if self.is_muted:
            return True
        self._show(self.log.output(kind, data, self._now_ms()))
        if self.log.has_partial(kind):
            self._tell_progress(kind)
            self._quiet[kind] = self._reactor.call_after(QUIET_S, partial(self._fell_quiet, kind))
        return True

    def _tell_progress(self, kind: str) -> None:
        now = self._clock.monotonic()
        if self._outlet.wants_progress and now >= self._progress_due:
            self._progress_due = now + PROGRESS_S
            self._outlet.job_progressed(self.job, self.log.partial(kind))

    def _fell_quiet(self, kind: str) -> None:
        try:
            self._show(self.log.flush_partial(self._now_ms(), kind))
        except Exception as error:
            self._troubled(error)

    def _close(self, kind: str) -> None:
        fd = self._pipes.pop(kind)
        self._reactor.unwatch(fd)
        os.close(fd)

    def _show(self, encoded: list[str]) -> None:
        if not encoded:
            return
        self._outlet.job_wrote(self.job)
        if self._outlet.wants_records:
            self._outlet.job_logged(self.job, [decode_record(line) for line in encoded])

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)
