"""What can be wrong with a configuration, a request, or a repository's consent."""

from __future__ import annotations

import enum
from typing import NamedTuple

from attrs import frozen


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Severity(enum.Enum):
    """What follows from a problem. All of them are told by `daft hooks validate`."""

    FATAL = "fatal"  # the file cannot be used
    FAULT = "fault"  # the hook it is in fails when it fires; the others run
    ERROR = "error"  # told whenever the file is read; what is wrong counts as absent
    WARNING = "warning"  # told whenever the file is read: it does not do what it seems to
    HINT = "hint"  # worth a thought
    NOTE = "note"  # how it is understood; nothing is wrong


@frozen(kw_only=True)
class Problem:
    """One thing that is wrong, and where.

    path: the way to it, such as `hooks.post-clone.jobs[build].needs`.
    excerpt: the offending line.
    """

    mark: Mark
    message: str
    path: str = ""
    excerpt: str = ""
    severity: Severity = Severity.FATAL

    @property
    def is_error(self) -> bool:
        """True when `daft hooks validate` fails for it; otherwise it only warns."""
        return self.severity not in (Severity.WARNING, Severity.HINT, Severity.NOTE)

    @property
    def is_warning(self) -> bool:
        """True when `daft hooks validate --strict` fails for it as well."""
        return self.severity in (Severity.WARNING, Severity.HINT)

    @property
    def is_told_when_read(self) -> bool:
        """True when every command that reads the file should say so."""
        return self.severity in (Severity.ERROR, Severity.WARNING)

    def __str__(self) -> str:
        where = f" {self.path}:" if self.path else ""
        return f"{self.mark}:{where} {self.message}"


class HooksError(Exception):
    """Base of everything `daft_hooks` raises on purpose."""


class BadConfiguration(HooksError):
    """`daft.yml` cannot be used.

    problems: everything found, errors and warnings. first: what makes the file unusable.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        errors = [problem for problem in problems if problem.severity is Severity.FATAL]
        self.first = errors[0] if errors else None
        first = str(errors[0]) if errors else "no error"
        more = f" (and {len(errors) - 1} more; see `daft hooks validate`)" if errors[1:] else ""
        super().__init__(f"{first}{more}")


class UnreadableConfiguration(HooksError):
    """The file is there and cannot be read."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


class CannotEdit(HooksError):
    """A configuration file is written in a way that we cannot change. Nothing was written."""

    def __init__(self, file: str, lines: str) -> None:
        self.lines = lines
        self.tips = (f"write it there yourself: {' '.join(lines.split())}",)
        super().__init__(f"{file} cannot be changed without changing how it is written")


class UnplannableHook(HooksError):
    """The jobs of a hook cannot be turned into a plan. Nothing was started or recorded."""

    def __init__(self, message: str, mark: Mark | None = None) -> None:
        self.mark = mark
        super().__init__(f"{mark}: {message}" if mark is not None else message)


class UnknownHook(HooksError):
    """No hook of that name exists, or none is configured."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


class BadSelection(HooksError):
    """The request selects jobs that do not exist, or contradicts itself."""


class RegistryUnavailable(HooksError):
    """The trust registry cannot be read or written. Nothing is trusted meanwhile."""
