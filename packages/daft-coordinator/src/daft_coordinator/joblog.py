"""A job's log on disk: the one place that writes it.

`output.jsonl` takes the first 60 % of the limit. What comes later goes round in two segments
of 20 % each, so that the newest part survives; at the end they are joined on behind one
`truncated` record. A log that stays small is one file from the start.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from daft_protocol.errors import BadRecord
from daft_protocol.records import LogRecord, decode_record, status_line

from .logfiles import (
    FILE_NAME,
    SEGMENT_NAMES,
    first_of,
    last_of,
    last_record,
    read_end,
    whole_lines,
)
from .loglease import hold
from .pump import LineSplitter, encode_lines, encode_pieces

RING_LINES = 200
"""The last lines, kept in memory when sampling, so that a failing job still shows how it ended."""
RING_BYTES = 256 * 1024
"""As much of them is kept in memory, and always the last one."""

_HEAD_SHARE = 0.6
_NOTE_LIMIT_BYTES = 1024 * 1024
_OPEN_FLAGS = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class JobLog:
    """Numbers, samples, caps and writes the records of one job.

    directory: where its files go; None writes nothing and only counts (an embedder without
        files, or a store that gives none).
    Trouble with the disk never reaches the job: what could not be written is counted in
    `dropped`, and the first reason is kept in `trouble`.
    """

    def __init__(
        self,
        directory: str | None,
        *,
        limit_bytes: int,
        keep_every_nth: int = 1,
        first_seq: int = 0,
    ) -> None:
        self._directory = directory
        self._nth = keep_every_nth
        self._ring: deque[str] | None = deque(maxlen=RING_LINES) if keep_every_nth > 1 else None
        self._left_out = False
        self._head_limit = int(limit_bytes * _HEAD_SHARE)
        self._segment_limit = (limit_bytes - self._head_limit) // 2
        self._splitters: dict[str, LineSplitter] = {}  # most jobs write to one pipe, or to none
        self._fd: int | None = None
        self._segment: int | None = None  # index of the segment being written, None: the head
        self._segment_bytes = [0, 0]
        self._segment_records = [0, 0]
        self._truncated_bytes = 0
        self._truncated_records = 0
        self.next_seq = first_seq
        self.bytes_written = 0
        self.records_written = 0
        self.dropped = 0
        self.trouble: str | None = None
        if directory is not None:
            self._open(FILE_NAME)

    def output(self, kind: str, data: bytes, ts: int) -> list[str]:
        """Take bytes of `kind` (`stdout` or `stderr`); return the JSON lines they made.

        ts: Unix milliseconds of the read.
        """
        splitter = self._splitters.get(kind)
        if splitter is None:
            splitter = self._splitters[kind] = LineSplitter()
        lines = splitter.plain_lines(data)
        if lines is not None:
            encoded = encode_lines(lines, first_seq=self.next_seq, ts=ts, kind=kind)
        else:
            pieces = splitter.feed(data)
            encoded = encode_pieces(pieces, first_seq=self.next_seq, ts=ts, kind=kind)
        return self._take(encoded)

    def flush_partial(self, ts: int, kind: str | None = None) -> list[str]:
        """Write unfinished lines as they are, of one kind or both."""
        made: list[str] = []
        for name, splitter in self._splitters.items():
            if kind in (None, name) and splitter.has_pending:
                pieces = splitter.flush()
                made += self._take(encode_pieces(pieces, first_seq=self.next_seq, ts=ts, kind=name))
        return made

    def has_partial(self, kind: str) -> bool:
        """True while `kind` has an unfinished line."""
        return kind in self._splitters and self._splitters[kind].has_pending

    def partial(self, kind: str) -> str:
        """Return how an unfinished line looks on a terminal: what stands after the last `\\r`."""
        return self._splitters[kind].pending_end() if kind in self._splitters else ""

    def status(self, event: str, ts: int, /, **fields: Any) -> str:
        """Write one status record, never sampled away; return the JSON line it made.

        The last one of a log fits under any limit: it tells a later coordinator of the end.
        """
        line = status_line(self.next_seq, ts, {"event": event, **fields})
        self.next_seq += 1
        self._write([line], always=True)
        return line

    def keep_ring(self) -> list[str]:
        """Write the last lines whole when sampling left some out: the job failed, its end matters.

        They get numbers of their own, so that a log is in order, and who follows misses nothing.
        Returns: the JSON lines that were written.
        """
        if not self._ring or not self._left_out:
            return []
        held = list(self._ring)
        self._ring.clear()
        text = f"sampling left lines out; the last {len(held)} of the output, without a gap:"
        note = self.status("note", decode_record(held[-1]).ts, text=text)
        first = self.next_seq
        self.next_seq += len(held)
        lines = [_renumbered(line, seq) for seq, line in enumerate(held, first)]
        self._write(lines)
        return [note, *lines]

    def close(self, *, sync: bool = False) -> None:
        """Join the segments on and let go of the file. Calling it again does nothing.

        sync: wait until the disk has it, so that a power cut does not take it.
        """
        if self._segment is not None:
            self._join_segments()
        if self._fd is not None:
            try:
                if sync:
                    os.fsync(self._fd)
            except OSError as error:
                self._note_trouble(error)
            os.close(self._fd)
            self._fd = None

    def remove(self) -> None:
        """Delete the files: a silent job that succeeded leaves none."""
        self.close()
        if self._directory is None:
            return
        for name in (FILE_NAME, *SEGMENT_NAMES):
            try:
                os.unlink(os.path.join(self._directory, name))
            except FileNotFoundError:
                continue
            except OSError as error:
                self._note_trouble(error)
        self.bytes_written = self.records_written = 0

    def _take(self, encoded: list[str]) -> list[str]:
        """Number, sample and write `encoded`; return what was kept."""
        first = self.next_seq
        self.next_seq += len(encoded)
        if self._ring is not None:
            kept = [line for seq, line in enumerate(encoded, first) if seq % self._nth == 0]
            self._left_out = self._left_out or len(kept) < len(encoded)
            self._ring.extend(encoded)
            while len(self._ring) > 1 and sum(map(len, self._ring)) > RING_BYTES:
                self._ring.popleft()
            encoded = kept
        if encoded:
            self._write(encoded)
        return encoded

    def _write(self, encoded: list[str], *, always: bool = False) -> None:
        if self._fd is None:
            if self._directory is not None:
                self.dropped += len(encoded)
            return
        # Lines are ASCII, so their lengths are their sizes.
        data = "".join(encoded)
        room = self._room()
        while encoded:
            if len(data) <= room:
                self._put(data, len(encoded))
                return
            fitting, count = 0, 0
            for line in encoded:
                if fitting + len(line) > room:
                    break
                fitting += len(line)
                count += 1
            if count:
                self._put(data[:fitting], count)
                data, encoded = data[fitting:], encoded[count:]
            if not self._next_segment():
                self.dropped += len(encoded)
                return
            room = len(data) if always else self._room()
            if encoded and len(encoded[0]) > room:
                # One record larger than a whole segment (a tiny limit): it is lost, and said so.
                self._truncated_records += 1
                self._truncated_bytes += len(encoded[0])
                data, encoded = data[len(encoded[0]) :], encoded[1:]

    def _room(self) -> int:
        if self._segment is None:
            return self._head_limit - self.bytes_written
        return self._segment_limit - self._segment_bytes[self._segment]

    def _put(self, data: str, records: int) -> None:
        assert self._fd is not None
        view = memoryview(data.encode("ascii"))
        size = len(view)
        left = view
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            self._note_trouble(error)
            size = self._keep_whole_records(bytes(view[: size - len(left)]))
            kept = data.count("\n", 0, size)
            self.dropped += records - kept
            records = kept
        if self._segment is None:
            self.bytes_written += size
            self.records_written += records
        else:
            self._segment_bytes[self._segment] += size
            self._segment_records[self._segment] += records

    def _keep_whole_records(self, written: bytes) -> int:
        """Take back the part of a record that still fitted; return how many bytes stay.

        What is written later, when there is room again, would become part of it. Making a file
        shorter needs no room.
        """
        assert self._fd is not None
        whole = written.rfind(b"\n") + 1
        torn = len(written) - whole
        if torn:
            try:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - torn)
            except OSError as error:
                self._note_trouble(error)
        return whole

    def _next_segment(self) -> bool:
        """Go on writing in the other segment, dropping what it held. False: no file any more."""
        index = 0 if self._segment is None else 1 - self._segment
        self._truncated_bytes += self._segment_bytes[index]
        self._truncated_records += self._segment_records[index]
        self._segment_bytes[index] = self._segment_records[index] = 0
        self._segment = index
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._open(SEGMENT_NAMES[index], truncate=True)
        return self._fd is not None

    def take_up(self) -> None:
        """Go on behind what a dead writer left: a torn line ends, segments are joined on."""
        if self._fd is None:
            return
        assert self._directory is not None
        head = read_end(os.path.join(self._directory, FILE_NAME), 1)
        self.bytes_written = os.fstat(self._fd).st_size
        if head and not head.endswith(b"\n"):
            self._put("\n", 0)
        self._join_segments()

    def _join_segments(self) -> None:
        """Append what the segments hold to the head, behind a record of what is missing."""
        assert self._directory is not None
        self._segment = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._open(FILE_NAME)
        if self._fd is None:
            return
        # Numbers decide, not what we remember: a writer may have died while it was doing this.
        joined = last_of(os.path.join(self._directory, FILE_NAME))
        behind = -1 if joined is None else joined.seq
        paths = [os.path.join(self._directory, name) for name in SEGMENT_NAMES]
        firsts = sorted((first.seq, first.ts, path) for path in paths if (first := first_of(path)))
        if firsts and firsts[0][0] > behind + 1 and not _is_gap(joined):
            self._put(self._gap_before(firsts[0][0], firsts[0][1]), 1)
        for first, _, path in firsts:
            for lines in whole_lines(path):
                kept = lines if first > behind else [one for one in lines if _seq(one) > behind]
                self._put(b"".join(kept).decode("ascii", "replace"), len(kept))
        for name in SEGMENT_NAMES:
            try:
                os.unlink(os.path.join(self._directory, name))
            except FileNotFoundError:
                continue

    def _gap_before(self, seq: int, ts: int) -> str:
        data: dict[str, Any] = {"event": "truncated"}
        if self._truncated_records:  # known to the writer alone
            data |= {"bytes": self._truncated_bytes, "records": self._truncated_records}
        return status_line(max(0, seq - 1), ts, data)

    def _open(self, name: str, *, truncate: bool = False) -> None:
        assert self._directory is not None
        flags = _OPEN_FLAGS | (os.O_TRUNC if truncate else 0)
        try:
            self._fd = os.open(os.path.join(self._directory, name), flags, 0o600)
        except OSError as error:
            self._note_trouble(error)
            return
        hold(self._fd)

    def _note_trouble(self, error: OSError) -> None:
        if self.trouble is None:
            self.trouble = f"log not written: {error.strerror or error}"


def leave_note(directory: str | None, text: str, *, ts: int) -> str:
    """Write the only record of a job that never starts, why it does not; return its JSON line."""
    log = JobLog(directory, limit_bytes=_NOTE_LIMIT_BYTES)
    line = log.status("note", ts, text=text)
    log.close()
    return line


def mend(directory: str, *, limit_bytes: int) -> None:
    """Join what a writer left in segments that died at the end of a log. A whole log stays."""
    if any(os.path.exists(os.path.join(directory, name)) for name in SEGMENT_NAMES):
        reopen(directory, limit_bytes=limit_bytes).close()


def reopen(directory: str, *, limit_bytes: int) -> JobLog:
    """Return a log that goes on behind the last record found in `directory`."""
    last = last_record(directory)
    log = JobLog(directory, limit_bytes=limit_bytes, first_seq=0 if last is None else last.seq + 1)
    log.take_up()
    return log


def _renumbered(line: str, seq: int) -> str:
    """Return an encoded output record under another number."""
    return f'{{"seq":{seq}{line[line.index(",") :]}'


def _seq(line: bytes) -> int:
    try:
        return decode_record(line).seq
    except BadRecord:
        return -1


def _is_gap(record: LogRecord | None) -> bool:
    """True for the record that says something is missing here."""
    return (
        record is not None
        and not isinstance(record.data, str)
        and record.data.get("event") == "truncated"
    )
