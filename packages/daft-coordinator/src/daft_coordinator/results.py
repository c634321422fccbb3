"""How a job ended, kept beside its log for as long as its row cannot be written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

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
