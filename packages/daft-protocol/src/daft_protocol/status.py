"""The states a job can be in, and why it left them."""

from __future__ import annotations

import enum


class JobStatus(enum.Enum):
    """Where a job is in its life; serialised in lower case, in JSON and SQL alike."""

    QUEUED = "queued"  # accepted, not started
    RUNNING = "running"  # its process exists and is recorded
    CANCELLING = "cancelling"  # a stop was asked for, the end is not confirmed
    COMPLETED = "completed"  # exit code 0
    FAILED = "failed"  # any other exit, a signal, a time-out, or it could not be started
    CANCELLED = "cancelled"  # stopped on request
    SKIPPED = "skipped"  # never started, on purpose
    CRASHED = "crashed"  # its owner vanished
    UNKNOWN = "unknown"  # text of a newer program; final, and no success

    # Members are compared by identity; hashing their names instead is slower, in Python.
    __hash__ = object.__hash__

    @classmethod
    def parse(cls, text: str) -> JobStatus:
        """Return the status named `text`; `UNKNOWN` for what a newer program may write."""
        return _BY_TEXT.get(text, cls.UNKNOWN)

    @property
    def is_final(self) -> bool:
        """True when a job in this state never changes again."""
        return self not in UNFINISHED

    @property
    def is_success(self) -> bool:
        """True only for `COMPLETED`: dependents of any other final state do not start."""
        return self is JobStatus.COMPLETED


_BY_TEXT = {status.value: status for status in JobStatus}

UNFINISHED = frozenset({JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.CANCELLING})
"""The states that still need an owner."""

HAS_PROCESS = frozenset({JobStatus.RUNNING, JobStatus.CANCELLING})
"""The states in which a process may exist."""


class EndReason(enum.Enum):
    """Why a job ended the way its status says."""

    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    CANCEL = "cancel"
    DEP_FAILED = "dep-failed"
    SPAWN_FAILED = "spawn-failed"
    CONDITION = "condition"
    CRASH = "crash"
    STALE = "stale"
    EVICTED = "evicted"

    @classmethod
    def parse(cls, text: str | None) -> EndReason | None:
        """Return the reason named `text`, or None when there is none or it is not known here."""
        try:
            return cls(text) if text else None
        except ValueError:
            return None


class InvocationStatus(enum.Enum):
    """Whether a hook fire ran at all. How its jobs went is told by the jobs."""

    COMPLETED = "completed"  # it fired; the name is the wire's
    SKIPPED = "skipped"  # the whole fire was skipped; `skip_reason` says why
    UNKNOWN = "unknown"  # text of a newer program

    @classmethod
    def parse(cls, text: str) -> InvocationStatus:
        """Return the status named `text`; `UNKNOWN` for what a newer program may write."""
        try:
            return cls(text)
        except ValueError:
            return cls.UNKNOWN


class Source(enum.Enum):
    """What made an invocation."""

    HOOK = "hook"
    MANUAL = "manual"
    TASK = "task"
    RETRY = "retry"
    UNKNOWN = "unknown"  # text of a newer program

    @classmethod
    def parse(cls, text: str) -> Source:
        """Return the source named `text`; `UNKNOWN` for what a newer program may write."""
        try:
            return cls(text)
        except ValueError:
            return cls.UNKNOWN


class SkipKind(enum.Enum):
    """The machine word beside the reason a person reads for a skipped job."""

    CONDITION = "condition"
    PLATFORM = "platform"
    ARCH = "arch"
    TAG = "tag"
    NOT_RUN = "not-run"
    GLOB = "glob"
    EXCLUDED = "excluded"
    UNSELECTED = "unselected"
    UNTRACKED = "untracked"
    CANCELLED = "cancelled"
    DEP_FAILED = "dep-failed"
    CONFIG_ERROR = "config-error"
