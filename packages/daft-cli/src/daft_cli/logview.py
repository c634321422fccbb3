"""Which records of a log are shown, and how they look."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from attrs import frozen

from daft_protocol.jobs import Invocation, Job
from daft_protocol.records import LogRecord, RecordKind
from daft_protocol.status import JobStatus

from .outcomes import why_ended
from .terminal import age, duration, harmless

# Bytes that were no UTF-8 are kept as `\xNN`; only they are, so those below 0x80 are plain text.
_ODD_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")

# What of an event is for people; the rest is there for repairs, and in the other formats.
_SHOWN = {
    "started": ("pid",),
    "finished": ("exit_code",),
    "signaled": ("signal",),
    "crashed": ("message",),
    "truncated": ("bytes", "records"),
    "timeout": ("after_secs",),
}


@frozen(kw_only=True)
class LogView:
    """What somebody wants to see of a log; None and False leave nothing out.

    since_seq: first record number. after_ms: Unix milliseconds of the oldest record.
    head, tail: only so many records at the start, at the end, of what is left.
    raw: what the job printed, byte for byte as far as it was kept, and nothing else.
    form: `json` or `ndjson`, records as they are stored.
    """

    kind: RecordKind | None = None
    since_seq: int = 0
    after_ms: int | None = None
    head: int | None = None
    tail: int | None = None
    numbers: bool = False
    times: bool = False
    raw: bool = False
    form: str | None = None

    def shows(self, record: LogRecord) -> bool:
        """True when `record` is to be shown, `head` and `tail` aside."""
        if self.raw and record.kind is RecordKind.STATUS:
            return False
        if self.kind is not None and record.kind is not self.kind:
            return False
        if self.after_ms is not None and record.ts < self.after_ms:
            return False
        return record.seq >= self.since_seq

    def of(self, records: Iterable[LogRecord]) -> Iterator[LogRecord]:
        """Yield what is to be shown of a log that has ended, or as it is now."""
        shown: Iterator[LogRecord] = filter(self.shows, records)
        if self.head is not None:
            shown = islice(shown, self.head)
        return shown if self.tail is None else iter(deque(shown, self.tail))

    def text(self, records: Iterable[LogRecord], name: str = "") -> Iterator[bytes]:
        """Yield `records` as bytes; parts of one long line are put together again.

        name: of the job, when logs of several are shown.
        """
        before: LogRecord | None = None
        for record in records:
            goes_on = before is not None and record.cont and record.kind is before.kind
            joined = goes_on and self.form is None
            if before is not None and not joined:
                yield b"\n"
            yield self._encoded(record, name, joined=joined)
            before = record
        if before is not None:
            yield b"\n"

    def line(self, record: LogRecord, name: str = "") -> bytes:
        """Return one record as a line, for whoever cannot wait for the next part of it."""
        return self._encoded(record, name, joined=False) + b"\n"

    def _encoded(self, record: LogRecord, name: str, *, joined: bool) -> bytes:
        if self.form is not None:
            known = {"job": name.rstrip()} if name else {}
            return json.dumps(known | record.as_json(), separators=(",", ":")).encode()
        if self.raw:
            data = str(record.data).encode("utf-8", "surrogateescape")
            return data if record.enc is None else _ODD_BYTE.sub(_odd_byte, data)
        start = "" if joined else self._marks(record)
        if name and not joined:
            start += f"{harmless(name)} │ "
        return (start + _words(record)).encode("utf-8", "backslashreplace")

    def _marks(self, record: LogRecord) -> str:
        seq = f"{record.seq:6d}\t" if self.numbers else ""
        if not self.times:
            return seq
        try:
            moment = datetime.fromtimestamp(record.ts / 1000)
        except (ValueError, OverflowError, OSError):
            return f"{seq}{record.ts}  "  # no moment of any calendar
        return f"{seq}{moment:%Y-%m-%d %H:%M:%S}.{record.ts % 1000:03d}  "


def _odd_byte(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 16)])


def _words(record: LogRecord) -> str:
    if isinstance(record.data, str):
        return harmless(record.data)
    if record.event == "note":
        return f"[status] note {harmless(str(record.data.get('text', '')))}"
    shown = _SHOWN.get(str(record.event))
    parts = [
        f"{key}={'?' if value is None else value}"
        for key, value in record.data.items()
        if key != "event" and (shown is None or key in shown)
    ]
    return harmless(" ".join(["[status]", str(record.event), *parts]))


# --- headings ---------------------------------------------------------------------------------


def heading(job: Job, invocation: Invocation | None) -> str:
    """Return what is known of a job, above its output."""
    lines = [f"{job.status.value.upper()} {harmless(job.name)} [{job.invocation_id[:4]}]"]
    lines.append(f"worktree: {harmless(job.worktree)}")
    if invocation is not None:
        lines.append(f"trigger:  {harmless(invocation.trigger_command)}")
    if job.started_at is not None and job.status is not JobStatus.SKIPPED:
        lines.append(f"started:  {_when(job.started_at)}")
    if job.duration_ms is not None:
        lines.append(f"duration: {duration(job.duration_ms / 1000)}")
    if why := why_ended(job):
        lines.append(f"ended:    {why}")
    if job.spec.command:
        lines.append(f"command:  {harmless(' '.join(job.spec.command.split()))}")
    return "\n".join([*lines, "", "--- output ---", ""])


def run_heading(invocation: Invocation, count: int) -> str:
    """Return what is known of a hook run, above the logs of its jobs."""
    lines = [
        f"{harmless(invocation.trigger_command)} [{invocation.invocation_id[:4]}]",
        f"worktree: {harmless(invocation.worktree)}",
        f"started:  {_when(invocation.created_at)}",
        f"jobs:     {count}",
    ]
    return "\n".join([*lines, "", ""])


def section(job: Job) -> str:
    """Return the line above the output of one of several jobs."""
    took = "" if job.duration_ms is None else f" ({duration(job.duration_ms / 1000)})"
    why = why_ended(job)
    ending = f": {why}" if why else ""
    return f"══ {job.status.value.upper()} {harmless(job.name)}{took}{ending}\n"


def _when(moment: datetime) -> str:
    ago = age(max(0.0, time.time() - moment.timestamp()))
    return f"{ago} ago ({moment.astimezone():%Y-%m-%d %H:%M:%S})"
