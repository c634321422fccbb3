"""The files of a job's log, and what their ends tell without reading all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from daft_protocol.errors import BadRecord
from daft_protocol.records import LogRecord, decode_record

FILE_NAME = "output.jsonl"
SEGMENT_NAMES = ("output.tail-0.jsonl", "output.tail-1.jsonl")
READ_BYTES = 256 * 1024

_LINES_BYTES = 32 * 1024


def first_record(directory: str) -> LogRecord | None:
    """Return the first record of a log, None when there is none that can be read."""
    try:
        return first_of(os.path.join(directory, FILE_NAME))
    except OSError:
        return None  # no such file, or not readable: then it tells nothing


def first_of(path: str) -> LogRecord | None:
    """Return the first record of a file that is whole, None without one, or without a file.

    Raises: OSError.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        # More than the longest line twice: one torn by a full disk, and the record behind it.
        start = os.pread(fd, READ_BYTES, 0)
    finally:
        os.close(fd)
    for line in start.split(b"\n"):
        try:
            return decode_record(line)
        except BadRecord:
            continue
    return None


def last_record(directory: str) -> LogRecord | None:
    """Return the record with the highest number, None when there is no log or it is empty."""
    newest: LogRecord | None = None
    for name in (FILE_NAME, *SEGMENT_NAMES):
        try:
            record = last_of(os.path.join(directory, name))
        except OSError:
            continue  # no such file, or not readable: then it tells nothing
        if record is not None and (newest is None or record.seq > newest.seq):
            newest = record
    return newest


def last_of(path: str) -> LogRecord | None:
    """Return the last record of a file that is whole, None without one. Raises: OSError."""
    # Two of the longest lines fit into the last size: a torn line and the record before it.
    for size in (4096, 128 * 1024, 1024 * 1024):
        for line in reversed(read_end(path, size).split(b"\n")):
            try:
                return decode_record(line)
            except BadRecord:
                continue
    return None


def read_end(path: str, size: int) -> bytes:
    """Return the last bytes of a file, `size` of them or all. Raises: OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        whole = os.fstat(fd).st_size
        return os.pread(fd, size, max(0, whole - size))
    finally:
        os.close(fd)


def whole_lines(path: str) -> Iterator[list[bytes]]:
    """Yield the lines of a segment that end, a piece of the file at a time."""
    torn = b""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        while data := os.read(fd, _LINES_BYTES):
            *lines, torn = (torn + data).split(b"\n")
            yield [line + b"\n" for line in lines]
    finally:
        os.close(fd)


def ending_of(record: LogRecord | None) -> Mapping[str, Any] | None:
    """Return the data of a final record, None for any other."""
    if record is None or not record.is_final or isinstance(record.data, str):
        return None
    return record.data
