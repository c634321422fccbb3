"""Requests and responses, as values. `codec` turns them into frames.

Version 1 only grows: fields are added with defaults, unknown fields are ignored, and a name is
never given another meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from .departures import Departure
from .handing import (
    AMBIGUOUS as AMBIGUOUS,
)
from .handing import (
    BAD_PAYLOAD as BAD_PAYLOAD,
)
from .handing import (
    BUSY as BUSY,
)
from .handing import (
    CANNOT_RETRY as CANNOT_RETRY,
)
from .handing import (
    FORBIDDEN as FORBIDDEN,
)
from .handing import (
    INTERNAL as INTERNAL,
)
from .handing import (
    JOB_NOT_FOUND as JOB_NOT_FOUND,
)
from .handing import (
    KILL_FAILED as KILL_FAILED,
)
from .handing import (
    NEWER_SPEC as NEWER_SPEC,
)
from .handing import (
    NO_MATCH as NO_MATCH,
)
from .handing import (
    NOT_LEADER as NOT_LEADER,
)
from .handing import (
    OVERRUN as OVERRUN,
)
from .handing import (
    SCHEMA_MISMATCH as SCHEMA_MISMATCH,
)
from .handing import (
    SHUTTING_DOWN as SHUTTING_DOWN,
)
from .handing import (
    TOO_LARGE as TOO_LARGE,
)
from .handing import (
    UNKNOWN_REQUEST as UNKNOWN_REQUEST,
)
from .handing import (
    WIRE_VERSION as WIRE_VERSION,
)
from .handing import (
    Accepted as Accepted,
)
from .handing import (
    Error as Error,
)
from .handing import (
    Submit as Submit,
)

# --- requests ---------------------------------------------------------------------------------


@frozen(kw_only=True)
class Hello:
    """First words of a client: who it is and what it understands."""

    client_version: str = ""
    capabilities: tuple[str, ...] = ()


@frozen(kw_only=True)
class Retry:
    """Run jobs of a recorded invocation again, all under the coordinator: `Accepted`.

    jobs: only these names; None: all that did not end well and what was skipped because of it.
    skipped: also what its own condition skipped.
    working_dir: where all of them run; None: where each ran before.
    exclusive: refuse while another invocation runs such a job for the same worktree.
    as_invocation: id of the new invocation; asking again with the same id changes nothing.
    environment, secrets, umask: as for `Submit`; variables that were never stored are looked for
        in `secrets`, then in `environment`.
    """

    invocation_id: str
    jobs: tuple[str, ...] | None = None
    skipped: bool = False
    working_dir: str | None = None
    exclusive: bool = False
    as_invocation: str | None = None
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    secrets: Mapping[str, Mapping[str, str]] = field(factory=dict, repr=False)
    umask: int | None = None


@frozen(kw_only=True)
class ListJobs:
    """Ask for jobs, oldest first.

    limit: entries per page; None is the server's page size.
    cursor: the `cursor` of the page before.
    A request that says nothing at all is one of plain version 1, which knows no pages: where one
    page does not hold all, it gets what has not ended, and of the rest the newest.
    """

    worktree: str | None = None
    statuses: tuple[str, ...] | None = None
    invocation_id: str | None = None
    limit: int | None = None
    cursor: str | None = None


@frozen(kw_only=True)
class CancelJob:
    """Stop every unfinished job of this name; kept for programs that speak plain version 1."""

    name: str


@frozen(kw_only=True)
class CancelAll:
    """Stop everything unfinished in the repository."""

    wait: bool = False
    kill: bool = False
    grace_ms: int | None = None


@frozen(kw_only=True)
class CancelMatching:
    """Stop the unfinished jobs that fit every predicate given; at least one is required.

    older_than_secs: at least this long since the start.
    kill: SIGKILL at once instead of SIGTERM, grace, SIGKILL. signal: name of the first signal
        instead of SIGTERM. grace_ms: until SIGKILL; None: as the coordinator does it.
    wait: answer only when all are final or cannot be stopped.
    strict: answer with an `Error`: NO_MATCH when nothing unfinished fits, KILL_FAILED when
        nothing of it may be signalled.
    """

    hook: str | None = None
    worktree: str | None = None
    tag: str | None = None
    invocation_prefix: str | None = None
    older_than_secs: float | None = None
    job_name: str | None = None
    job_uids: tuple[str, ...] | None = None
    kill: bool = False
    grace_ms: int | None = None
    wait: bool = False
    signal: str | None = None
    strict: bool = False

    @property
    def has_predicate(self) -> bool:
        """True when something narrows the choice."""
        parts = (self.hook, self.worktree, self.tag, self.invocation_prefix, self.job_name)
        return (
            any(part is not None for part in parts)
            or self.older_than_secs is not None
            or self.job_uids is not None
        )


@frozen(kw_only=True)
class TailTarget:
    """The job of a `TailLogs` as plain version 1 names it."""

    job_name: str = ""
    worktree: str | None = None
    invocation_prefix: str | None = None


@frozen(kw_only=True)
class TailLogs:
    """Stream the records of one job: `StreamFrame` each, then `StreamEnd`.

    job_uid: exact; wins over `job`.
    since_seq: leave out records with a smaller number. from_end: leave out all there are now.
    kinds: only records of these kinds; None: of all.
    follow: go on until the job has ended.
    waiter: as for `Wait`.
    heartbeat_ms: send a `Heartbeat` this often while following, at most once a second.
    A reader that takes nothing for some seconds gets an `Error` OVERRUN instead of the rest.
    """

    job: TailTarget | None = None
    job_uid: str | None = None
    follow: bool = False
    since_seq: int | None = None
    from_end: bool = False
    kinds: tuple[str, ...] | None = None
    heartbeat_ms: int | None = None
    waiter: str | None = None


@frozen(kw_only=True)
class Wait:
    """Answer when the jobs named are final: `Jobs`; or with what there is when time is up.

    job_uids, invocation_ids: at least one of them; an invocation stands for all its jobs.
    waiter: the job on whose behalf this is asked. It gives its worker back while it waits, and is
        not kept waiting for itself or for what needs it.
    """

    job_uids: tuple[str, ...] = ()
    invocation_ids: tuple[str, ...] = ()
    timeout_ms: int | None = None
    waiter: str | None = None


@frozen(kw_only=True)
class Reconcile:
    """Compare the record with the world now, and repair it."""


@frozen(kw_only=True)
class Evict:
    """Delete rows that clean-up has chosen; the sender deletes the files."""

    departures: tuple[Departure, ...]


@frozen(kw_only=True)
class Shutdown:
    """Stop all jobs, record their ends, and leave."""


# --- responses --------------------------------------------------------------------------------


@frozen(kw_only=True)
class Welcome:
    """Answer to `Hello`: a leader that has reconciled and takes work."""

    server_version: str = ""
    capabilities: tuple[str, ...] = ()
    pid: int = 0
    repo_id: str = ""


@frozen(kw_only=True)
class JobEntry:
    """One job of a `Jobs` answer. The first six fields are plain version 1."""

    name: str
    hook_type: str
    worktree: str
    status: str
    elapsed_secs: float | None = None
    exit_code: int | None = None
    job_uid: str = ""
    invocation_id: str = ""
    tags: tuple[str, ...] = ()
    started_at: str | None = None
    finished_at: str | None = None
    background: bool = True
    end_reason: str | None = None
    end_detail: str | None = None
    term_signal: int | None = None


@frozen(kw_only=True)
class Jobs:
    """A page of jobs. On the wire the payload is the plain array version 1 knows.

    cursor: set when there is more; it travels beside the payload.
    """

    jobs: tuple[JobEntry, ...] = ()
    cursor: str | None = None


@frozen(kw_only=True)
class Ack:
    """Done; `message` is for people."""

    message: str = ""


@frozen(kw_only=True)
class CancelResult:
    """What a cancel did to one job.

    outcome: "signalled", "dequeued", "already finished", "survived", "refused" when the system
        does not let the coordinator signal it, or "not found" for a `job_uids` that is not
        recorded.
    status: the job's status when the answer was written.
    """

    job_uid: str
    name: str
    outcome: str
    status: str
    invocation_id: str = ""
    worktree: str = ""

    @property
    def has_survived(self) -> bool:
        """True when it runs on although it was to be stopped."""
        return self.outcome in ("survived", "refused")


@frozen(kw_only=True)
class Cancelled:
    """Answer to a cancel; `count` and `names`, of what was stopped, are plain version 1."""

    count: int
    names: tuple[str, ...] = ()
    results: tuple[CancelResult, ...] = ()


@frozen(kw_only=True)
class Evicted:
    """Answer to `Evict`, in its order; False: it is not as it was any more, and was left alone."""

    done: tuple[bool, ...]


@frozen(kw_only=True)
class StreamFrame:
    """One log record of a tail, as decoded JSON."""

    record: Mapping[str, Any]


@frozen(kw_only=True)
class Heartbeat:
    """Nothing was logged, and the stream lives. Sent only to who asked for it."""


@frozen(kw_only=True)
class StreamEnd:
    """The last frame of a tail."""


Request = (
    Hello
    | Submit
    | Retry
    | ListJobs
    | CancelJob
    | CancelAll
    | CancelMatching
    | TailLogs
    | Wait
    | Reconcile
    | Evict
    | Shutdown
)
Response = (
    Welcome
    | Accepted
    | Jobs
    | Ack
    | Cancelled
    | Evicted
    | Error
    | StreamFrame
    | Heartbeat
    | StreamEnd
)
