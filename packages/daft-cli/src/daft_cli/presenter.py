"""Showing foreground jobs as they run: live on a terminal, whole lines in a pipe.

It watches twice: as a plugin of the coordinator (jobs and their output) and as the observer of
fires. It decides nothing. Everything goes to standard error; results belong to standard output.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from daft_coordinator.hookspecs import hookimpl
from daft_protocol.jobs import Job, JobSpec
from daft_protocol.records import LogRecord, RecordKind
from daft_protocol.status import JobStatus

from .terminal import duration, harmless, has_colour, paint

_MARKS = {
    JobStatus.COMPLETED: ("✓", "green"),
    JobStatus.FAILED: ("✗", "red"),
    JobStatus.CRASHED: ("✗", "red"),
    JobStatus.CANCELLED: ("—", "dim"),
    JobStatus.SKIPPED: ("—", "dim"),
}
_TAIL_LINES = 6


class Presenter:
    """Shows fires and their foreground jobs on standard error.

    quiet: only what went wrong. verbose: also what was skipped, and each command.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._colour = has_colour(sys.stderr)
        self._is_live = not quiet and sys.stderr.isatty() and "DAFT_NO_LIVE" not in os.environ
        self._live: Any = None
        self._running: dict[str, tuple[Job, float, str]] = {}
        self._tails: dict[str, list[str]] = {}
        self._skipped = 0

    # --- fires --------------------------------------------------------------------------------

    def hook_started(self, hook: str, worktree: str, jobs: int) -> None:
        """Jobs of a hook are about to run in the foreground."""
        if not self._quiet:
            count = "1 job" if jobs == 1 else f"{jobs} jobs"
            self._print(
                paint(f"{hook} · {worktree or 'no branch'} · {count}", "bold", on=self._colour)
            )
        if self._is_live:
            self._start_live()

    def notice(self, text: str) -> None:
        """One line for the user."""
        if not self._quiet or text.startswith("warning:"):
            self._print(harmless(text))

    def job_skipped(self, hook: str, job: JobSpec) -> None:
        """A job will not run."""
        self._skipped += 1
        if self._verbose and job.skip is not None:
            line = f"— {harmless(job.name)} skipped: {harmless(job.skip.reason)}"
            self._print(paint(line, "dim", on=self._colour))

    def background_submitted(self, hook: str, names: tuple[str, ...]) -> None:
        """Jobs go on in the background."""
        if self._quiet:
            return
        count = "1 job" if len(names) == 1 else f"{len(names)} jobs"
        listed = ", ".join(harmless(name) for name in names)
        self._print(f"⟳ {count} running in background: {listed} (see `daft jobs`)")

    def hook_finished(self, hook: str, ok: bool) -> None:
        """The foreground part of a hook has ended."""
        self._stop_live()
        self._running.clear()
        if self._skipped and not self._verbose and not self._quiet:
            count = "1 job" if self._skipped == 1 else f"{self._skipped} jobs"
            self._print(paint(f"— {count} skipped (-v shows which)", "dim", on=self._colour))
        self._skipped = 0

    # --- jobs ---------------------------------------------------------------------------------

    @hookimpl
    def daft_job_changed(self, job: Job) -> None:
        """Follow a job's status."""
        if job.status is JobStatus.RUNNING:
            self._running[job.uid] = (job, time.monotonic(), "")
            if job.spec.interactive:
                self._stop_live()
            if self._verbose:
                self._print(paint(f"$ {harmless(job.spec.command)}", "dim", on=self._colour))
        elif job.status.is_final and job.uid in self._running:
            del self._running[job.uid]
            self._print_end(job)
        elif job.status is JobStatus.SKIPPED and job.spec.skip is None:
            self._print_end(job)
        self._refresh()

    @hookimpl
    def daft_log_records(self, job: Job, records: Sequence[LogRecord]) -> None:
        """Show a job's output: the last line live, or every line in a pipe."""
        for record in records:
            if record.kind is RecordKind.STATUS or not isinstance(record.data, str):
                continue
            text = harmless(record.data.rsplit("\r", 1)[-1])
            if self._is_live:
                self._remember(job, text)
            elif not self._quiet:
                self._print(f"{harmless(job.name)} │ {text}")
        self._refresh()

    # --- drawing ------------------------------------------------------------------------------

    def _remember(self, job: Job, text: str) -> None:
        tail = self._tails.setdefault(job.uid, [])
        tail.append(text)
        del tail[:-_TAIL_LINES]
        if job.uid in self._running:
            known, started, _ = self._running[job.uid]
            self._running[job.uid] = (known, started, text)

    def _print_end(self, job: Job) -> None:
        mark, style = _MARKS.get(job.status, ("✗", "red"))
        failed = job.status in (JobStatus.FAILED, JobStatus.CRASHED)
        if self._quiet and not failed:
            return
        name = harmless(job.name)
        took = "" if job.duration_ms is None else f" {duration(job.duration_ms / 1000)}"
        why = f" ({harmless(job.end_detail)})" if job.end_detail else ""
        if self._is_live and failed:
            for line in self._tails.get(job.uid, []):
                self._print(paint(f"  {name} │ {line}", "dim", on=self._colour))
        self._print(f"{paint(mark, style, on=self._colour)} {name}{took}{why}")
        if failed and job.spec.fail_text:
            self._print(f"  {harmless(job.spec.fail_text)}")

    def _print(self, line: str) -> None:
        if self._live is not None:
            from rich.text import Text

            self._live.console.print(Text.from_ansi(line), soft_wrap=True)
            return
        # One write per line: what several jobs print never mixes inside one.
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def _start_live(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=Console(stderr=True, highlight=False),
            get_renderable=self._drawing,
            refresh_per_second=10,
            transient=True,
        )
        self._live.start()

    def _stop_live(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.refresh()

    def _drawing(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
        now = time.monotonic()
        frame = frames[int(now * 10) % len(frames)]
        table = Table.grid(padding=(0, 1), expand=True)
        for _ in range(3):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for job, started, last in list(self._running.values()):
            table.add_row(
                Text(frame, style="yellow"),
                Text(job.name),
                Text(duration(now - started), style="dim"),
                Text(last, style="dim"),
            )
        return table
