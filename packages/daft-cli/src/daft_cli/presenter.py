"""Showing foreground jobs as they run: live on a terminal, whole lines in a pipe.

It observes fires and decides nothing. Everything goes to standard error; results belong to
standard output.
"""

from __future__ import annotations

import os
import sys
import termios
import time
from collections import deque
from typing import Any

from attrs import define

from daft_hooks.ports import OutputLine
from daft_hooks.settings import OutputSettings
from daft_protocol.jobs import Job, JobSpec
from daft_protocol.status import JobStatus

from .terminal import duration, harmless, has_colour, paint

_MARKS = {
    JobStatus.COMPLETED: ("✓", "green"),
    JobStatus.FAILED: ("✗", "red"),
    JobStatus.CRASHED: ("✗", "red"),
    JobStatus.CANCELLED: ("—", "dim"),
    JobStatus.SKIPPED: ("—", "dim"),
}
_PULSE_S = 0.1
_DUMB = ("", "dumb", "unknown")
_UNDRAWN = frozenset({"DAFT_NO_LIVE", "DAFT_TESTING"})
"""Variables that ask for plain lines on a terminal, too; any value counts."""


@define
class _Running:
    """A job that runs, and what was last seen of it."""

    job: Job
    since: float
    tail: deque[str]
    last: str = ""
    is_stopping: bool = False


class Presenter:
    """Shows fires and their foreground jobs on standard error.

    quiet: of jobs only what went wrong. is_mute: no notices either, but warnings.
    verbose: also what was skipped, each command, and on a terminal every line as well.
    is_live: what runs is drawn, and drawn again with each `pulse`. Nobody else moves it: a thread
    of its own would write between two lines that belong together.
    """

    pulse_s = _PULSE_S
    """How often `pulse` is to be called while jobs run."""

    def __init__(
        self,
        *,
        quiet: bool = False,
        verbose: bool = False,
        is_mute: bool = False,
        output: OutputSettings | None = None,
    ) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._is_mute = is_mute
        self._output = OutputSettings() if output is None else output
        self._colour = has_colour(sys.stderr)
        self.is_live = (
            not quiet
            and sys.stderr.isatty()
            and os.environ.get("TERM", "") not in _DUMB
            and not _UNDRAWN & os.environ.keys()
        )
        self._live: Any = None
        self._printed: list[str] = []  # above what is drawn, with the next drawing
        self._left = 0
        self._is_drawing = False  # a hook is on; an interactive job only interrupts the drawing
        self._running: dict[str, _Running] = {}
        self._skipped = 0
        self._is_stopping = False
        self._echo: list[Any] | None = None

    # --- fires --------------------------------------------------------------------------------

    def hook_started(self, hook: str, worktree: str, jobs: int) -> None:
        """Jobs of a hook are about to run in the foreground."""
        if not self._quiet:
            count = "1 job" if jobs == 1 else f"{jobs} jobs"
            where = harmless(worktree) or "no branch"
            self._print(paint(f"{harmless(hook)} · {where} · {count}", "bold", on=self._colour))
        self._left = jobs
        if self.is_live:
            self._is_drawing = True
            self._start_live()

    def notice(self, text: str) -> None:
        """One line for the user."""
        if not self._is_mute or text.startswith("warning:"):
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
        self._is_drawing = self._is_stopping = False
        self._stop_live()
        self._running.clear()
        if self._skipped and not self._verbose and not self._quiet:
            count = "1 job" if self._skipped == 1 else f"{self._skipped} jobs"
            self._print(paint(f"— {count} skipped (-v shows which)", "dim", on=self._colour))
        self._skipped = 0

    def close(self) -> None:
        """Leave the terminal as it was found, however it came to the end."""
        self._is_drawing = False
        self._stop_live()

    # --- jobs ---------------------------------------------------------------------------------

    def job_started(self, job: Job) -> None:
        """A job runs."""
        if job.spec.interactive:
            self._stop_live()  # the terminal is the job's
        tail: deque[str] = deque(maxlen=self._output.tail_lines)
        self._running[job.uid] = _Running(job, time.monotonic(), tail)
        if self._verbose:
            command = harmless(" ".join(job.spec.command.split()))
            about = f"  # {harmless(job.spec.description)}" if job.spec.description else ""
            line = f"{harmless(job.name)} $ {command}{about}"
            self._print(paint(line, "dim", on=self._colour))
        self.pulse()

    def job_line(self, job: Job, line: OutputLine) -> None:
        """A job has written a line: the last one live, every one in a pipe."""
        text = harmless(line.text)
        running = self._running.get(job.uid)
        if running is not None:
            running.last = text
            running.tail.append(text)
        if not self._quiet and (self._verbose or not self.is_live):
            bar = "┆" if line.continues else "│"
            self._print(f"{harmless(job.name)} {bar} {text}")

    def job_progress(self, job: Job, text: str) -> None:
        """The line a job is writing looks like this now."""
        running = self._running.get(job.uid)
        if running is not None:
            running.last = harmless(text)

    def job_stopping(self, job: Job) -> None:
        """A job was told to end."""
        if not self._is_stopping and not self._quiet:
            self._print("stopping the jobs; Ctrl+C again kills them")
        self._is_stopping = True
        running = self._running.get(job.uid)
        if running is not None:
            running.is_stopping = True
        self.pulse()

    def job_finished(self, job: Job) -> None:
        """A job has ended, or will not run as what it needs has failed."""
        running = self._running.pop(job.uid, None)
        self._left -= 1
        self._print_end(job, running.tail if running is not None else ())
        if self._is_drawing and self._live is None:
            self._start_live()  # the terminal was the job's until now
        self.pulse()

    # --- drawing ------------------------------------------------------------------------------

    def _print_end(self, job: Job, tail: deque[str] | tuple[str, ...]) -> None:
        mark, style = _MARKS.get(job.status, ("✗", "red"))
        failed = job.status in (JobStatus.FAILED, JobStatus.CRASHED)
        if self._quiet and not failed:
            return
        name = harmless(job.name)
        took = "" if job.duration_ms is None else f" {duration(job.duration_ms / 1000)}"
        why = f" ({harmless(job.end_detail)})" if job.end_detail else ""
        if self.is_live and failed and not self._verbose:
            for line in tail:
                self._print(paint(f"  {name} │ {line}", "dim", on=self._colour))
        self._print(f"{paint(mark, style, on=self._colour)} {name}{took}{why}")
        if failed and job.spec.fail_text:
            self._print(f"  {harmless(job.spec.fail_text)}")

    def _print(self, line: str) -> None:
        if self._live is not None:
            self._printed.append(line)
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
            auto_refresh=False,
            transient=True,
        )
        self._hide_typing()
        self._live.start()

    def _stop_live(self) -> None:
        if self._live is not None:
            self.pulse()  # what is not printed yet
            live, self._live = self._live, None
            live.stop()
            if self._echo is not None:
                termios.tcsetattr(sys.stderr.fileno(), termios.TCSADRAIN, self._echo)

    def _hide_typing(self) -> None:
        """Keep the terminal from showing what is typed, which would move what is drawn.

        It is not lost: whoever reads the terminal next gets it.
        """
        try:
            self._echo = termios.tcgetattr(sys.stderr.fileno())
            quiet = termios.tcgetattr(sys.stderr.fileno())
            quiet[3] &= ~(termios.ECHO | termios.ECHONL)
            termios.tcsetattr(sys.stderr.fileno(), termios.TCSADRAIN, quiet)
        except (termios.error, AttributeError, OSError):
            self._echo = None  # no such terminal, or no such setting: then it is only less tidy

    def pulse(self) -> None:
        """Print and draw what has changed. Does nothing while nothing is drawn."""
        if self._live is None:
            return
        self._live.refresh()
        if self._printed:
            from rich.text import Text

            lines, self._printed = self._printed, []
            self._live.console.print(Text.from_ansi("\n".join(lines)), soft_wrap=True)

    def _timer(self, ran_s: float) -> str:
        """Return how long a job runs; what is over in a moment is not worth a clock."""
        return duration(ran_s) if ran_s >= self._output.timer_delay_s else ""

    def _drawing(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
        now = time.monotonic()
        frame = frames[int(now / _PULSE_S) % len(frames)]
        table = Table.grid(padding=(0, 1), expand=True)
        for _ in range(3):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for one in list(self._running.values()):
            table.add_row(
                Text(frame, style="red" if one.is_stopping else "yellow"),
                Text(harmless(one.job.name)),
                Text(self._timer(now - one.since), style="dim"),
                Text("stopping" if one.is_stopping else one.last, style="dim"),
            )
        waiting = self._left - len(self._running)
        if waiting > 0:
            table.add_row("", Text(f"{waiting} waiting", style="dim"))
        return table
