"""The words of a hand-over, and the codes of errors; `messages` has all words.

Making a class of values takes as long as loading a small module, and whoever is born to run a job
needs no others at first.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

WIRE_VERSION = 1

# Error codes. A reader must treat one it does not know as INTERNAL.
JOB_NOT_FOUND = "JOB_NOT_FOUND"
NO_MATCH = "NO_MATCH"
KILL_FAILED = "KILL_FAILED"
SCHEMA_MISMATCH = "SCHEMA_MISMATCH"
INTERNAL = "INTERNAL"
UNKNOWN_REQUEST = "UNKNOWN_REQUEST"
BAD_PAYLOAD = "BAD_PAYLOAD"
AMBIGUOUS = "AMBIGUOUS"
TOO_LARGE = "TOO_LARGE"
SHUTTING_DOWN = "SHUTTING_DOWN"
FORBIDDEN = "FORBIDDEN"
BUSY = "BUSY"
NOT_LEADER = "NOT_LEADER"
CANNOT_RETRY = "CANNOT_RETRY"
NEWER_SPEC = "NEWER_SPEC"
OVERRUN = "OVERRUN"


@frozen(kw_only=True)
class Submit:
    """An invocation whose rows are committed wants to run.

    environment: the submitter's whole environment; None keeps the coordinator's own.
    secrets: job name -> variables of that job which were not stored. Neither is ever written
        to disk.
    umask: file mode mask of the submitter, for its jobs; None: 0o022.
    spec_version: of the jobs, see `jobs.SPEC_VERSION`; refused with NEWER_SPEC when the
        coordinator is older than that.
    """

    invocation_id: str
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    secrets: Mapping[str, Mapping[str, str]] = field(factory=dict, repr=False)
    umask: int | None = None
    spec_version: int = 1


@frozen(kw_only=True)
class Accepted:
    """Answer to `Submit` and `Retry`.

    invocation_id: of what runs. position: jobs queued before this invocation.
    """

    invocation_id: str
    position: int = 0


@frozen(kw_only=True)
class Error:
    """The request was not carried out."""

    code: str
    message: str
