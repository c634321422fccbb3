"""What the coordinator refuses, and what it could not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daft_protocol.facts import FactualError

if TYPE_CHECKING:
    from .domain.lease import Lease


class CoordinatorError(FactualError):
    """Base of everything `daft_coordinator` raises on purpose."""


class DuplicateJob(CoordinatorError):
    """Two jobs of one invocation share a name. Nothing was recorded."""

    name: str

    def __str__(self) -> str:
        return f"two jobs are called {self.name!r}; give each job of a hook its own name"


class UnknownDependency(CoordinatorError):
    """A job needs a name that no job of its invocation has. Nothing was recorded."""

    name: str
    needs: str
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        listed = ", ".join(self.known) or "none"
        return f"job {self.name!r} needs {self.needs!r}, which does not exist (jobs: {listed})"


class DependencyCycle(CoordinatorError):
    """Jobs wait for each other. Nothing was recorded.

    cycle: names along the circle, the first one again at the end.
    """

    cycle: tuple[str, ...]

    def __str__(self) -> str:
        return f"jobs wait for each other: {' -> '.join(self.cycle)}; remove one of these needs"


class CoordinatorUnavailable(CoordinatorError):
    """No leader answers and none could be started. Committed rows stay `queued`.

    is_told: whoever looks on has been told of it already.
    """

    reason: str
    is_told: bool = False

    def __str__(self) -> str:
        return f"the coordinator cannot be reached: {self.reason}"


class LeaderTooOld(CoordinatorError):
    """The leader is of an older version, and does not know what some job wants."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class RequestRefused(CoordinatorError):
    """The leader answered with an error.

    unheard: it refused whoever calls, before it had taken any request.
    """

    code: str
    message: str
    unheard: bool = False

    def __str__(self) -> str:
        return self.message


class PeerNotOurs(CoordinatorError):
    """The other end of the socket belongs to another user. Nothing was sent."""

    uid: int
    expected: int

    def __str__(self) -> str:
        return f"the coordinator's socket is served by uid {self.uid}, not by {self.expected}"


class JobNotFound(CoordinatorError):
    """No recorded job fits the address.

    candidates: what exists nearby, as full addresses.
    """

    address: str
    reason: str
    candidates: tuple[str, ...] = ()

    def __str__(self) -> str:
        nearby = f" ({', '.join(self.candidates)})" if self.candidates else ""
        return f"no job {self.address!r}: {self.reason}{nearby}"


class AmbiguousAddress(CoordinatorError):
    """Several recorded jobs fit the address equally well."""

    address: str
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.address!r} could be any of: {', '.join(self.candidates)}"


class StoreUnavailable(CoordinatorError):
    """The job store did not take a change. The caller keeps it and tries again."""

    reason: str

    def __str__(self) -> str:
        return f"the job store cannot be written: {self.reason}"


class NestedTooDeep(CoordinatorError):
    """A job inside of jobs wanted to run more jobs. Nothing was recorded."""

    depth: int
    limit: int

    def __str__(self) -> str:
        return (
            f"this runs inside of {self.depth} jobs already, and {self.limit} is the limit; "
            "does a hook fire itself?"
        )


class RecordConflict(CoordinatorError):
    """What was to be added to a job store is there already, or what it belongs to is not.

    Nothing was recorded.
    """

    invocation_id: str
    reason: str

    def __str__(self) -> str:
        return f"invocation {self.invocation_id} cannot be recorded: {self.reason}"


class StoreFull(StoreUnavailable):
    """The disk has no room for a change. Nothing was changed."""

    def __str__(self) -> str:
        return f"the job store cannot grow: {self.reason}"


class SpawnFailed(CoordinatorError):
    """A process could not be started. `code` is what a shell would exit with.

    is_shortage: the system had none to give, so that it may well work a little later.
    """

    reason: str
    code: int = 126
    is_shortage: bool = False

    def __str__(self) -> str:
        return self.reason


class StillRunning(CoordinatorError):
    """Jobs of the invocation have not ended, so it cannot be retried. Nothing was recorded."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        listed = ", ".join(self.names)
        return f"Cannot retry: {len(self.names)} job(s) still running ({listed})"


class NotRetryable(CoordinatorError):
    """A job was named that did not fail, or that the invocation does not have.

    status: how it ended; None when there is no such job.
    """

    name: str
    status: str | None

    def __str__(self) -> str:
        why = "there is no such job in it" if self.status is None else f"it is {self.status}"
        return f"No failed job named '{self.name}' in that invocation: {why}"


class NothingRecorded(CoordinatorError):
    """There is no command to run for some jobs. Nothing was recorded.

    is_current: it was looked for in today's configuration.
    """

    names: tuple[str, ...]
    is_current: bool = False

    def __str__(self) -> str:
        listed = ", ".join(self.names)
        if self.is_current:
            return f"not in today's configuration: {listed}; retry what was recorded instead"
        return f"no command was recorded for: {listed}"


class MissingValues(CoordinatorError):
    """Variables of a job were never stored, and nobody knows them now. Nothing was recorded."""

    job: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        listed = ", ".join(self.names)
        return (
            f"job '{self.job}' needs {listed}, which is never stored; "
            "set it in the environment and retry"
        )


class DirectoryGone(CoordinatorError):
    """Jobs ran in a directory that is no longer there. Nothing was recorded."""

    path: str
    jobs: tuple[str, ...]

    def __str__(self) -> str:
        listed = ", ".join(self.jobs)
        return f"working directory {self.path} no longer exists (of {listed})"


class AlreadyRunning(CoordinatorError):
    """Jobs of these names run for the same worktree now, and the caller wanted to be alone."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"already running for this worktree: {', '.join(self.names)}"


class NoSuchRun(CoordinatorError):
    """Nothing recorded fits what was asked to be retried."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class WorktreeLeased(CoordinatorError):
    """Somebody removes or moves the worktree now. Nothing was recorded."""

    lease: Lease

    def __str__(self) -> str:
        return (
            f"worktree '{self.lease.worktree}' is {self.lease.purpose} "
            f"(by process {self.lease.process.pid}); try again when that is done"
        )


class JobsSurvived(CoordinatorError):
    """Jobs of a worktree could not be stopped, so it is not free to be removed."""

    worktree: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"still running in '{self.worktree}': {', '.join(self.names)}"
