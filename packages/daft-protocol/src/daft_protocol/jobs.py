"""Jobs and invocations as values: what was asked for, and what became of it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen
from attrs.validators import ge, optional

from .names import check_job_name
from .status import EndReason, InvocationStatus, JobStatus, SkipKind, Source

MIB = 1024 * 1024
SPEC_VERSION = 2
"""Of what a job may ask for; `JobSpec.version` tells what one does. It grows when a job may ask for
what an older coordinator would not notice: that must not run it as if it had not been asked for."""
DEFAULT_TIMEOUT_S = 300.0
DEFAULT_RETENTION_S = 7 * 24 * 3600
DEFAULT_LOG_LIMIT_BYTES = 10 * MIB
_STORABLE = 2**63


class BackgroundOutput(enum.Enum):
    """What happens to the log of a background job that succeeded."""

    LOG = "log"
    SILENT = "silent"  # removed after success, and only then


class RunMode(enum.Enum):
    """How the jobs of one invocation may overlap, beyond what `needs` says."""

    PARALLEL = "parallel"
    ORDERED = "ordered"  # one at a time; a failure does not stop the others
    PIPED = "piped"  # one at a time; the first failure skips all that have not started


def _storable(least: int) -> Callable[[object, Any, int], None]:
    """Accept whole numbers from `least` on that every store can hold: below 2**63."""

    def check(_: object, attribute: Any, value: int) -> None:
        if not least <= value < _STORABLE:
            raise ValueError(f"{attribute.name} must be from {least} to 2**63 - 1, not {value}")

    return check


@frozen(kw_only=True)
class LogPolicy:
    """How much of a job's output is kept, and for how long.

    retention_s: seconds after the end of the job before clean-up may remove it.
    limit_bytes: size of the log beyond which its middle is dropped.
    keep_every_nth: keep each n-th output record; 1 keeps all.
    """

    retention_s: int = field(default=DEFAULT_RETENTION_S, validator=_storable(0))
    limit_bytes: int = field(default=DEFAULT_LOG_LIMIT_BYTES, validator=_storable(1))
    keep_every_nth: int = field(default=1, validator=_storable(1))


@frozen(kw_only=True)
class Skip:
    """Why a job is recorded as skipped instead of being started."""

    kind: SkipKind
    reason: str


def _positive_or_none(_: object, attribute: Any, value: float | None) -> None:
    if value is not None and value <= 0:
        raise ValueError(f"{attribute.name} must be more than 0, not {value}")


def _checked_name(name: str) -> str:
    return check_job_name(name)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)


def _specs(specs: Iterable[JobSpec]) -> tuple[JobSpec, ...]:
    return tuple(specs)


@frozen(kw_only=True)
class JobSpec:
    """One job with everything resolved; running it needs no further configuration.

    command: text for `sh -c`.
    working_dir: absolute path.
    env: variables laid over the environment of the submitter; values that look like secrets
        are kept in memory and never stored.
    needs: names of jobs of the same submission that must be `completed` first.
    after: names of jobs of the same submission that must have ended first, however they ended.
    full_needs: `needs` before foreground and background were cut apart, for a faithful retry.
    timeout_s: seconds of running time, None for no limit.
    grace_s: seconds from the polite request to end until it is killed; None: as the
        coordinator does it.
    priority: lower starts first among jobs that are ready and equally urgent.
    skip: set when the job is only recorded, not run.
    seals: absolute path -> SHA-256 in hex of files it executes; it is started only while each
        of them holds just that.
    """

    name: str = field(converter=_checked_name)
    command: str = ""
    working_dir: str = "/"
    env: Mapping[str, str] = field(factory=dict)
    needs: tuple[str, ...] = field(default=(), converter=_names)
    full_needs: tuple[str, ...] = field(default=(), converter=_names)
    after: tuple[str, ...] = field(default=(), converter=_names)
    background: bool = False
    declared_background: bool = False
    background_output: BackgroundOutput = BackgroundOutput.LOG
    description: str = ""
    fail_text: str = ""
    interactive: bool = False
    tags: tuple[str, ...] = field(default=(), converter=_names)
    timeout_s: float | None = field(default=DEFAULT_TIMEOUT_S, validator=_positive_or_none)
    grace_s: float | None = field(default=None, validator=optional(ge(0)))
    priority: int = 0
    log: LogPolicy = field(factory=LogPolicy)
    skip: Skip | None = None
    seals: Mapping[str, str] = field(factory=dict)

    @property
    def version(self) -> int:
        """The oldest SPEC_VERSION that knows all this job asks for."""
        return 1 if self.grace_s is None else 2


@frozen(kw_only=True)
class InvocationSpec:
    """One hook fire, task run or retry, as it is handed to a coordinator.

    invocation_id: 16 hex digits, see `names.new_invocation_id`.
    worktree: the label under which its jobs are listed and cancelled: the branch, or the
        directory name of a worktree without one.
    worktree_path: absolute path; survives a rename of the branch better than the label.
    max_parallel: upper bound of jobs of this invocation at one time; None: the coordinator's.
    skip_reason: set when the whole fire was skipped.
    retry_of: the invocation whose jobs of the same names are run again.
    """

    invocation_id: str
    hook_type: str
    trigger_command: str
    worktree: str
    worktree_id: str = ""
    worktree_path: str = ""
    source: Source = Source.HOOK
    mode: RunMode = RunMode.PARALLEL
    max_parallel: int | None = field(default=None, validator=optional(ge(1)))
    jobs: tuple[JobSpec, ...] = field(default=(), converter=_specs)
    skip_reason: str | None = None
    retry_of: str | None = None


@frozen(kw_only=True)
class ProcessIdentity:
    """A process that cannot be mistaken for a later one with the same number.

    start: when the kernel started it, in a form only compared for equality and order.
    boot_id: the boot it belongs to; identities of different boots never match.
    """

    pid: int
    pgid: int
    start: str
    boot_id: str

    @property
    def leads_group(self) -> bool:
        """False for a process in the group of who started it: the rest of that is not its own."""
        return self.pid == self.pgid


@frozen(kw_only=True)
class Invocation:
    """A recorded invocation."""

    invocation_id: str
    hook_type: str
    trigger_command: str
    worktree: str
    worktree_id: str
    worktree_path: str
    source: Source
    created_at: datetime
    status: InvocationStatus = InvocationStatus.COMPLETED
    skip_reason: str | None = None
    coordinator_id: str | None = None


@frozen(kw_only=True)
class BootMoment:
    """A moment as the machine itself counts: setting its clock does not touch it.

    boot_id: of which start of the machine; moments of two starts cannot be compared.
    since_boot_s: seconds since that start, sleep included.
    """

    boot_id: str
    since_boot_s: float


@frozen(kw_only=True)
class Job:
    """A recorded job: its specification and what is known of its life.

    spec.env holds only what may be stored; `removed_env` names what was left out.
    mode, max_parallel: of its invocation.
    duration_ms: measured on the monotonic clock.
    owner: id of the coordinator that answers for it, None while nobody does.
    spec_version: what a coordinator has to understand to run it.
    queued_boot: the same moment as `queued_at`; None where it was not kept.
    """

    uid: str
    invocation_id: str
    hook_type: str
    worktree: str
    position: int
    spec: JobSpec
    status: JobStatus
    updated_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    exit_code: int | None = None
    term_signal: int | None = None
    end_reason: EndReason | None = None
    end_detail: str | None = None
    process: ProcessIdentity | None = None
    owner: str | None = None
    dir_name: str = ""
    mode: RunMode = RunMode.PARALLEL
    max_parallel: int | None = None
    removed_env: tuple[str, ...] = ()
    log_bytes: int = 0
    log_records: int = 0
    log_dropped: int = 0
    retry_of: tuple[str, str] | None = None
    spec_version: int = 1
    queued_boot: BootMoment | None = None

    @property
    def name(self) -> str:
        """The name from `daft.yml`, verbatim."""
        return self.spec.name

    @property
    def needs(self) -> tuple[str, ...]:
        """Names in the same submission that must be completed first."""
        return self.spec.needs

    @property
    def shell_exit_code(self) -> int | None:
        """The exit code as a shell would say it: 128 + n for a death by signal n."""
        if self.term_signal is not None:
            return 128 + self.term_signal
        return self.exit_code
