"""Reading a job's log, also while it is being written."""

from __future__ import annotations

import os
from collections.abc import Iterator

from daft_protocol.errors import BadRecord
from daft_protocol.records import LogRecord, decode_record

from .logfiles import FILE_NAME, READ_BYTES, SEGMENT_NAMES
from .loglease import hold

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_START_BYTES = 32


class LogCursor:
    """Reads a job's log from the start and goes on where it stopped, while it is being written.

    Holds no memory but a partial line. A log that was truncated in the middle shows as a jump
    in the numbers; a line that is no record is skipped and counted in `bad_lines`.
    """

    def __init__(self, directory: str, *, since_seq: int = 0) -> None:
        self._directory = directory
        self._since = since_seq
        self._head: int | None = None
        self._segments = [_Segment(os.path.join(directory, name)) for name in SEGMENT_NAMES]
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
                self._head = os.open(os.path.join(self._directory, FILE_NAME), _OPEN_FLAGS)
            except FileNotFoundError:
                return []
            hold(self._head)
        while True:
            data = os.read(self._head, limit_bytes)
            if not data:
                return self._from_segments(limit_bytes)
            *lines, self._partial = (self._partial + data).split(b"\n")
            if records := self._decode(lines, behind=self._given_until):
                self._head_until = max(self._head_until, *(record.seq for record in records))
                return records

    def close(self) -> None:
        """Let go of the file. Calling it again does nothing."""
        if self._head is not None:
            os.close(self._head)
            self._head = None

    def _from_segments(self, limit_bytes: int) -> list[LogRecord]:
        """Return what a log over its limit holds beyond its head, oldest first."""
        found = [one for one in self._segments if one.is_there()]
        for segment in sorted(found, key=lambda one: one.first_seq):
            while lines := segment.read(limit_bytes):
                # A writer that died while it joined them has left the same records in both.
                behind = max(self._head_until, self._given_until)
                if records := self._decode(lines, behind=behind):
                    self._given_until = records[-1].seq
                    return records
        return []

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


class _Segment:
    """One of the two files behind a head, which their writer begins anew in turn.

    It is read on from where reading stopped: who follows must not read it again for each line.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._start = b""  # how it begins; other numbers come with other content
        self._offset = 0

    @property
    def first_seq(self) -> int:
        """The number it begins with, -1 when that cannot be told."""
        number = self._start.removeprefix(b'{"seq":').partition(b",")[0]
        return int(number) if number.isdigit() else -1

    def is_there(self) -> bool:
        """Look how it begins now; False when there is nothing of it."""
        try:
            fd = os.open(self._path, _OPEN_FLAGS)
        except FileNotFoundError:
            return False
        try:
            start = os.pread(fd, _START_BYTES, 0)
        finally:
            os.close(fd)
        if not self._start or not start.startswith(self._start):
            self._offset = 0
        self._start = start
        return bool(start)

    def read(self, limit_bytes: int) -> list[bytes]:
        """Return whole lines that were not read yet; [] for none, or when it is begun anew."""
        try:
            fd = os.open(self._path, _OPEN_FLAGS)
        except FileNotFoundError:
            return []
        try:
            data = os.pread(fd, limit_bytes, self._offset)
            while b"\n" not in data and len(data) == limit_bytes:
                limit_bytes *= 2
                data = os.pread(fd, limit_bytes, self._offset)
            if not os.pread(fd, _START_BYTES, 0).startswith(self._start):
                return []
        finally:
            os.close(fd)
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        return data[:whole].split(b"\n")[:-1]


def read_log(directory: str, *, since_seq: int = 0) -> Iterator[LogRecord]:
    """Yield every record of a log as it is now."""
    cursor = LogCursor(directory, since_seq=since_seq)
    try:
        while records := cursor.read():
            yield from records
    finally:
        cursor.close()
