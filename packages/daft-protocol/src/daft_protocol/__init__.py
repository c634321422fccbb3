"""The words daft processes say to each other: job states, log records, requests, answers.

Names load on first use, so that a program which needs one of them pays for one of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .address import JobAddress, readings
    from .codec import decode_request, decode_response, encode_request, encode_response
    from .errors import ProtocolError
    from .frames import MAX_FRAME_BYTES, FrameDecoder, encode_frame
    from .jobs import (
        BackgroundOutput,
        Invocation,
        InvocationSpec,
        Job,
        JobSpec,
        LogPolicy,
        ProcessIdentity,
        RunMode,
        Skip,
    )
    from .names import check_job_name, directory_name, new_invocation_id, new_job_uid
    from .records import LogRecord, RecordKind, decode_record, encode_record
    from .status import EndReason, InvocationStatus, JobStatus, SkipKind, Source

__version__ = "0.1.0"

_MODULE_OF = {
    "BackgroundOutput": "jobs",
    "EndReason": "status",
    "FrameDecoder": "frames",
    "Invocation": "jobs",
    "InvocationSpec": "jobs",
    "InvocationStatus": "status",
    "Job": "jobs",
    "JobAddress": "address",
    "JobSpec": "jobs",
    "JobStatus": "status",
    "LogPolicy": "jobs",
    "LogRecord": "records",
    "MAX_FRAME_BYTES": "frames",
    "ProcessIdentity": "jobs",
    "ProtocolError": "errors",
    "RecordKind": "records",
    "RunMode": "jobs",
    "Skip": "jobs",
    "SkipKind": "status",
    "Source": "status",
    "check_job_name": "names",
    "decode_record": "records",
    "decode_request": "codec",
    "decode_response": "codec",
    "directory_name": "names",
    "encode_frame": "frames",
    "encode_record": "records",
    "encode_request": "codec",
    "encode_response": "codec",
    "new_invocation_id": "names",
    "new_job_uid": "names",
    "readings": "address",
}

__all__ = [
    "MAX_FRAME_BYTES",
    "BackgroundOutput",
    "EndReason",
    "FrameDecoder",
    "Invocation",
    "InvocationSpec",
    "InvocationStatus",
    "Job",
    "JobAddress",
    "JobSpec",
    "JobStatus",
    "LogPolicy",
    "LogRecord",
    "ProcessIdentity",
    "ProtocolError",
    "RecordKind",
    "RunMode",
    "Skip",
    "SkipKind",
    "Source",
    "check_job_name",
    "decode_record",
    "decode_request",
    "decode_response",
    "directory_name",
    "encode_frame",
    "encode_record",
    "encode_request",
    "encode_response",
    "new_invocation_id",
    "new_job_uid",
    "readings",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{module}", __name__), name)
