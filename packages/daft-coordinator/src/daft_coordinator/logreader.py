"""Reading a job's log, also while it is being written."""

from __future__ import annotations

import os
from collections.abc import Iterator

from daft_protocol.errors import BadRecord
from daft_protocol.records import LogRecord, decode_record

from .logfiles import FILE_NAME, READ_BYTES, SEGMENT_NAMES, read_all
from .loglease import hold


class LogCursor:
    """Reads a job's log from the start and goes on where it stopped, while it is being written.

    Holds no memory but a partial line. A log that was truncated in the middle shows as a jump
    in the numbers; a line that is no record is skipped and counted in `bad_lines`.
    """

    def __init__(self, directory: str, *, since_seq: int = 0) -> None:
        self._directory = directory
        self._since = since_seq
        self._head: int | None = None
        self._segments: dict[str, tuple[int, int]] = {}  # name -> (descriptor, inode size read)
        self._partial = b""
        self._head_until = -1  # the highest number in the head so far
        self._given_until = -1  # the highest number that came out of a segment
        self.bad_lines = 0

    @property
    def has_found(self) -> bool:
        """True once there was a log to read, which may be gone by now."""
        return self._head is not None

    def read(self, limit_bytes: int = READ_BYTES) -> list[LogRecord]:
        """Return the next records, about `limit_bytes` of them; [] when there are none yet."""
        if self._head is None:
            try:
                self._head = os.open(
                    os.path.join(self._directory, FILE_NAME),
                    os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW,
                )
            except FileNotFoundError:
                return []
            hold(self._head)
        while True:
            data = os.read(self._head, limit_bytes)
            if not data:
                return self._from_segments()
            *lines, self._partial = (self._partial + data).split(b"\n")
            if records := self._decode(lines, behind=self._given_until):
                self._head_until = max(self._head_until, *(record.seq for record in records))
                return records

    def close(self) -> None:
        """Let go of the file. Calling it again does nothing."""
        if self._head is not None:
            os.close(self._head)
            self._head = None

    def _from_segments(self) -> list[LogRecord]:
        """Return what a log over its limit holds beyond its head, oldest first."""
        found: list[LogRecord] = []
        for name in SEGMENT_NAMES:
            path = os.path.join(self._directory, name)
            try:
                if os.path.getsize(path) == self._seen_size(name):
                    continue
                data = read_all(path)
            except FileNotFoundError:
                continue
            self._segments[name] = (0, len(data))
            # A writer that died while it joined them has left the same records in both.
            behind = max(self._head_until, self._given_until)
            found += self._decode(data.split(b"\n")[:-1], behind=behind)
        found.sort(key=lambda record: record.seq)
        if found:
            self._given_until = found[-1].seq
        return found

    def _seen_size(self, name: str) -> int:
        return self._segments.get(name, (0, -1))[1]

    def _decode(self, lines: list[bytes], *, behind: int) -> list[LogRecord]:
        records: list[LogRecord] = []
        for line in lines:
            if not line:
                continue
            try:
                record = decode_record(line)
            except BadRecord:
                self.bad_lines += 1
                continue
            # What came out of a segment comes a second time once that is joined to the head.
            if record.seq > behind and record.seq >= self._since:
                records.append(record)
        return records


def read_log(directory: str, *, since_seq: int = 0) -> Iterator[LogRecord]:
    """Yield every record of a log as it is now."""
    cursor = LogCursor(directory, since_seq=since_seq)
    try:
        while records := cursor.read():
            yield from records
    finally:
        cursor.close()
