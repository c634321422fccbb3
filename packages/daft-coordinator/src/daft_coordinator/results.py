"""How a job ended, as told by what lies beside its log, for when its row does not.

`result.json` is there for as long as a row cannot be written; the last record of the log always.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from daft_protocol.status import EndReason, JobStatus

from .domain.lifecycle import Ending, classify
from .logfiles import ending_of, last_record
from .ports import JobChange

FILE_NAME = "result.json"


def write_result(directory: str, change: JobChange) -> None:
    """Keep an end that the store does not take now.

    Raises: OSError when it cannot be written either.
    """
    path = os.path.join(directory, FILE_NAME)
    body = {
        "status": change.to.value,
        "exit_code": change.exit_code,
        "signal": change.term_signal,
        "end_reason": None if change.end_reason is None else change.end_reason.value,
        "end_detail": change.end_detail,
        "duration_ms": change.duration_ms,
    }
    fd = os.open(
        f"{path}.new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        os.write(fd, json.dumps(body).encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(f"{path}.new", path)


def read_result(directory: str) -> Mapping[str, Any] | None:
    """Return what was kept, None when there is nothing or only half of it."""
    try:
        with open(os.path.join(directory, FILE_NAME), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None  # the log's last record decides
    return found if isinstance(found, dict) else None


def remove_result(directory: str) -> None:
    """Forget what was kept: the row has it. Nothing there is as good."""
    try:
        os.unlink(os.path.join(directory, FILE_NAME))
    except OSError:
        return


def told_ending(directory: str) -> Ending | None:
    """Return how the job ended, if a result file or its log tells."""
    kept = read_result(directory)
    if kept is not None and isinstance(kept.get("status"), str):
        return _told(kept) or Ending(status=JobStatus.UNKNOWN, reason=EndReason.EXIT)
    found = ending_of(last_record(directory))
    if found is None:
        return None
    told = _told(found)
    if told is not None or found.get("event") == "crashed":
        return told
    code, number = _number(found.get("exit_code")), _number(found.get("signal"))
    if code is None and number is None:
        return None
    name = "" if number is None else f"signal {number}"
    return classify(exit_code=code, term_signal=number, signal_name=name)


def _told(found: Mapping[str, Any]) -> Ending | None:
    """Return the ending that is spelt out, None when there is none."""
    status = JobStatus.parse(str(found.get("status")))
    if status is JobStatus.UNKNOWN or not status.is_final:
        return None
    detail = found.get("end_detail")
    return Ending(
        status=status,
        reason=EndReason.parse(str(found.get("end_reason"))) or EndReason.EXIT,
        exit_code=_number(found.get("exit_code")),
        term_signal=_number(found.get("signal")),
        detail=detail if isinstance(detail, str) else None,
    )


def _number(value: object) -> int | None:
    return value if type(value) is int else None
