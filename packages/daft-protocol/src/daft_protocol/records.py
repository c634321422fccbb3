"""Log records: one compact JSON object per line of a job's `output.jsonl`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from . import jsontext
from .errors import BadRecord


class RecordKind(enum.Enum):
    """Where a record came from."""

    STDOUT = "stdout"
    STDERR = "stderr"
    STATUS = "status"


FINAL_EVENTS = frozenset({"finished", "signaled", "crashed"})
"""Status events after which a log has no more records."""


@frozen(kw_only=True)
class LogRecord:
    """One line of output, or one thing that happened to the job.

    seq: counts every line of the job from 0, kept or not, so that gaps show.
    ts: Unix milliseconds of the wall clock.
    data: the text without its newline; for `STATUS` an object with an `event`.
    cont: True when this continues the line of the record before (lines are cut at 64 KiB).
    enc: "bytes" when the output was not UTF-8 and the odd bytes are written as `\\xNN`.
    """

    seq: int
    ts: int
    kind: RecordKind
    data: str | Mapping[str, Any]
    cont: bool = False
    enc: str | None = None

    @property
    def event(self) -> str | None:
        """The event of a status record, None for output."""
        return None if isinstance(self.data, str) else self.data.get("event")

    @property
    def is_final(self) -> bool:
        """True when no record of the job can follow."""
        return self.event in FINAL_EVENTS

    def as_json(self) -> dict[str, Any]:
        """Return the object that is written, with absent parts left out."""
        obj: dict[str, Any] = {"seq": self.seq, "ts": self.ts, "kind": self.kind.value}
        obj["data"] = self.data if isinstance(self.data, str) else dict(self.data)
        if self.cont:
            obj["cont"] = True
        if self.enc is not None:
            obj["enc"] = self.enc
        return obj


def encode_record(record: LogRecord) -> bytes:
    """Return `record` as one line of compact ASCII JSON, newline included."""
    return jsontext.dump(record.as_json()) + b"\n"


def status_line(seq: int, ts: int, data: Mapping[str, Any]) -> str:
    """Return the line of a status record, newline included. data: an object with an `event`."""
    return f'{{"seq":{seq},"ts":{ts},"kind":"status","data":{jsontext.text(data)}}}\n'


def record_from_json(obj: object) -> LogRecord:
    """Return the record that `obj` (decoded JSON) stands for; unknown keys are ignored.

    Raises: BadRecord.
    """
    if not isinstance(obj, dict):
        raise BadRecord("it is no JSON object")
    try:
        kind = RecordKind(obj["kind"])
        data = obj["data"]
        seq, ts = obj["seq"], obj["ts"]
    except (KeyError, ValueError) as error:
        raise BadRecord(f"missing or unknown {error}") from error
    fits = isinstance(data, Mapping if kind is RecordKind.STATUS else str)
    # The form of the first daft: a skip reason as plain output is still read.
    if not fits or type(seq) is not int or type(ts) is not int or seq < 0:
        raise BadRecord(f"a field has the wrong type in record {seq!r}")
    return LogRecord(
        seq=seq, ts=ts, kind=kind, data=data, cont=bool(obj.get("cont")), enc=obj.get("enc")
    )


def decode_record(line: bytes | str) -> LogRecord:
    """Return the record in one line of a log, with or without its newline.

    Raises: BadRecord; readers skip such a line, count it, and go on.
    """
    try:
        obj = jsontext.parse(line)
    except ValueError as error:
        raise BadRecord("it is no JSON") from error
    return record_from_json(obj)
