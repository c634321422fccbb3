"""What a coordinator needs from outside. Calls are synchronous and take microseconds.

Each port has a conformance suite in `daft_coordinator.testing`; an adapter that passes it can
take the place of ours.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Protocol

from attrs import field, frozen
from attrs.validators import ge

from daft_protocol.evolving import evolved
from daft_protocol.jobs import Invocation, Job, ProcessIdentity
from daft_protocol.status import EndReason, JobStatus

from .domain.lease import Lease


@frozen(kw_only=True)
class Owner:
    """A process that answers for jobs.

    kind: "leader" of a repository, "own-leader" of one invocation, a "command" running its own
        foreground, or "embedded".
    """

    id: str
    kind: str
    process: ProcessIdentity
    socket_path: str | None = None
    version: str = ""


LEADER = "leader"
OWN_LEADER = "own-leader"
LEADING = (LEADER, OWN_LEADER)
"""The kinds of owners that other processes hand jobs over to, and that are met at a socket."""


@frozen(kw_only=True)
class JobChange:
    """One guarded change of a job's row. Fields left at None keep what the row has.

    allowed: statuses the row may have before; in any other the change is refused.
    only_of: the owner it must have before, or the change is refused; None: whoever has it.
    set_owner: give the row to `owner`, which may be None for "nobody".
    """

    job_uid: str
    allowed: Collection[JobStatus]
    to: JobStatus
    at: datetime
    only_of: str | None = None
    set_owner: bool = False
    owner: str | None = None
    process: ProcessIdentity | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    exit_code: int | None = None
    term_signal: int | None = None
    end_reason: EndReason | None = None
    end_detail: str | None = None
    log_bytes: int | None = None
    log_records: int | None = None
    log_dropped: int | None = None


_CHANGED_FIELDS = (
    "process",
    "started_at",
    "finished_at",
    "duration_ms",
    "exit_code",
    "term_signal",
    "end_reason",
    "end_detail",
    "log_bytes",
    "log_records",
    "log_dropped",
)
_changed_fields = attrgetter(*_CHANGED_FIELDS)


def changed(job: Job, change: JobChange) -> Job:
    """Return `job` as it is once `change` has been made."""
    given = {
        name: value
        for name, value in zip(_CHANGED_FIELDS, _changed_fields(change), strict=True)
        if value is not None
    }
    if change.set_owner:
        given["owner"] = change.owner
    return evolved(job, status=change.to, updated_at=change.at, **given)


@frozen(kw_only=True)
class JobQuery:
    """Which jobs to read; None does not narrow.

    limit: most jobs of one page, at least 1.
    after: position of the last job of the page before, as `JobStore.find_jobs` returned it; a
        text that is no such position begins at the start.
    """

    invocation_id: str | None = None
    worktree: str | None = None
    name: str | None = None
    statuses: Collection[JobStatus] | None = None
    limit: int = field(default=500, validator=ge(1))
    after: str | None = None


class JobStore(Protocol):
    """Keeps invocations and jobs. Every method is one transaction.

    A method that cannot reach its storage raises `StoreUnavailable` and has changed nothing.
    """

    def record(
        self, invocation: Invocation | None, jobs: Sequence[Job], *, lease: str | None = None
    ) -> tuple[Job, ...]:
        """Add an invocation (None: it exists) and its jobs; return the jobs as they are stored.

        Values that must not be kept are left out of the stored `spec.env`; their names are in
        `removed_env` of what is returned.
        Raises: RecordConflict when the invocation, a job's uid or a job's name within its
        invocation is recorded already, or when the invocation is not; then nothing was recorded.
        Raises: WorktreeLeased when a job that is not final is for a worktree with a lease other
        than `lease`; then nothing was recorded.
        """

    def apply(self, changes: Sequence[JobChange]) -> tuple[bool, ...]:
        """Make each change whose guard holds, all in one transaction; False: it was refused.

        A job in a final status is never changed, whatever `allowed` says. A job that becomes
        completed adds its `duration_ms` to the durations.
        """

    def apply_together(self, changes: Sequence[JobChange]) -> bool:
        """Make all of the changes, as `apply` does, or none where the guard of one does not hold.

        Returns: whether they were made.
        """

    def claim(
        self, invocation_id: str, owner: str, *, dead: Collection[str] = ()
    ) -> tuple[Job, ...]:
        """Give the queued background jobs of an invocation to `owner`; return all its jobs.

        Where there was any to give, the invocation goes to `owner` with them.
        What another leader has that did not retire is left to it, unless it is among the `dead`.
        """

    def job(self, uid: str) -> Job | None:
        """Return one job, or None when it is not recorded."""

    def jobs_of(self, invocation_id: str) -> tuple[Job, ...]:
        """Return the jobs of an invocation in the order they were declared."""

    def find_jobs(self, query: JobQuery) -> tuple[tuple[Job, ...], str | None]:
        """Return one page of jobs, oldest first, and the `after` of the next page if any."""

    def unfinished(self) -> tuple[Job, ...]:
        """Return every job that is not final, in the order they were recorded."""

    def invocation(self, invocation_id: str) -> Invocation | None:
        """Return one invocation, or None when it is not recorded."""

    def recent_invocations(self, *, limit: int = 200) -> tuple[Invocation, ...]:
        """Return the newest invocations, newest first."""

    def durations(self) -> Mapping[tuple[str, str], float]:
        """Return (hook type, job name) -> seconds that job usually takes."""

    def register(self, owner: Owner) -> None:
        """Make `owner` known, before any row names it."""

    def retire(self, owner_id: str) -> None:
        """Note that an owner has ended in good order."""

    def owners(self) -> tuple[Owner, ...]:
        """Return every owner that did not retire."""

    def take_lease(self, lease: Lease) -> Lease | None:
        """Keep the lease unless its worktree has one; return the one that is in the way, or None.

        Whether the holder of another lease still lives is not looked at.
        """

    def drop_lease(self, lease_id: str) -> None:
        """Forget a lease; a lease that is not there changes nothing."""

    def relabel(self, worktree: str, to: str, *, old_path: str, path: str) -> int:
        """Move every invocation from one label to another, whole, those that have ended too.

        old_path, path: where the worktree was, and is now. An invocation that was there, and a
        working directory there or below, moves along.
        Returns how many invocations that were.
        """

    def log_directory(self, job: Job) -> str | None:
        """Return the directory for the job's log, created; None when logs are not kept."""

    def close(self) -> None:
        """Let go of the storage. Calling it again does nothing."""


@frozen(kw_only=True)
class Spawned:
    """A process that waits behind its gate.

    gate: write a line to let it run; closing it instead ends it without running anything.
    stdout, stderr: read ends, non-blocking; None for a job that has the terminal.
    exit_fd: readable once the process has ended; None where the system has no such thing.
    """

    identity: ProcessIdentity
    gate: int
    stdout: int | None
    stderr: int | None
    exit_fd: int | None


@frozen(kw_only=True)
class ExitStatus:
    """How a process ended: an exit code, or the signal that killed it."""

    code: int | None
    signal: int | None


class Delivery(enum.Enum):
    """What became of a signal. True when it was delivered to somebody."""

    SENT = "sent"
    GONE = "gone"  # there is nobody it is for, any more
    REFUSED = "refused"  # the system does not let us: whoever it is for runs as another user

    def __bool__(self) -> bool:
        return self is Delivery.SENT


JOB_MARK = "DAFT_JOB_ID"
"""Every job carries its uid in this variable; a process that left group and parent still has it."""


class ProcessControl(Protocol):
    """Starts, watches and signals processes. The only way this package touches one."""

    def spawn(
        self,
        command: str,
        *,
        working_dir: str,
        environment: Mapping[str, str],
        terminal: bool = False,
        umask: int | None = None,
    ) -> Spawned:
        """Start `sh -c command` behind a gate, in a process group of its own.

        terminal: share the caller's terminal and process group, and capture nothing.
        umask: for the job; None inherits.
        Raises: SpawnFailed; then nothing is left behind.
        """

    def reap(self, identity: ProcessIdentity) -> ExitStatus | None:
        """Return how our child ended and forget it, or None while it lives. Never blocks."""

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Return the identity of a living process, or None when there is none (or a zombie)."""

    def is_alive(self, who: ProcessIdentity) -> bool | None:
        """True or False when certain; None when the system will not say (count that as alive)."""

    def group_members(self, who: ProcessIdentity) -> tuple[ProcessIdentity, ...]:
        """Return the living members of the group of `who` that started no earlier than it.

        None of a group that `who` shares with others and does not lead.
        """

    def family(self, who: ProcessIdentity, job_uid: str) -> tuple[ProcessIdentity, ...]:
        """Return group members, descendants and whoever carries `JOB_MARK`, living ones.

        Of a group that `who` does not lead only `who`.

        A process with an empty `JOB_MARK` belongs to no job, and nor does what descends from it.

        Slower than `group_members`: it reads every process of this user.
        """

    def watch(self, who: ProcessIdentity) -> int | None:
        """Return a descriptor that is readable once `who` is gone; None where there is no such."""

    def signal_group(self, who: ProcessIdentity, signal: int) -> Delivery:
        """Signal the group of `who` if it still is that group, of one it does not lead only `who`.

        A group of which some may be signalled and others not counts as signalled.
        """

    def signal(self, who: ProcessIdentity, signal: int) -> Delivery:
        """Signal one process after checking that it still is `who`."""


class Clock(Protocol):
    """Time, as the coordinator sees it."""

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC. For people; it may jump."""

    def monotonic(self) -> float:
        """Return seconds that only grow. For durations and deadlines."""

    def since_boot(self) -> float:
        """Return seconds since the machine started, those it slept through included."""

    def boot_id(self) -> str:
        """Return a text that is the same until the machine starts again."""
