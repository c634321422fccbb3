"""Errors to words and exit codes: the one table, most specific first."""

from __future__ import annotations

import sys

from daft_hooks.errors import BadConfiguration, HooksError

OK = 0
FAILED = 1
USAGE = 2
NO_MATCH = 3
STORE_UNUSABLE = 4
TIMED_OUT = 124
INTERRUPTED = 130


def explain(error: Exception) -> int:
    """Say on standard error what happened and what to do; return the exit code."""
    code, message, tips = _answer(error)
    for line in message.split("\n"):
        sys.stderr.write(f"error: {line}\n")
    for tip in tips:
        sys.stderr.write(f"  tip: {tip}\n")
    return code


def _answer(error: Exception) -> tuple[int, str, tuple[str, ...]]:
    from daft_coordinator.errors import CoordinatorError
    from daft_protocol.errors import ProtocolError
    from daft_store.errors import StoreError
    from daft_worktree.errors import WorktreeError

    match error:
        case Trouble():
            return error.code, str(error), error.tips
        case WorktreeError():
            return FAILED, str(error), error.tips
        case BadConfiguration():
            return FAILED, f"hooks cannot be read: {error}", _excerpt(error)
        case HooksError():
            return FAILED, str(error), ()
        case StoreError():
            return STORE_UNUSABLE, str(error), ()
        case CoordinatorError() | ProtocolError():
            return FAILED, str(error), ()
        case OSError():
            what = error.strerror or str(error)
            where = f"{error.filename}: " if error.filename else ""
            return FAILED, f"{where}{what}", ()
        case _:
            text = f"something unforeseen went wrong: {type(error).__name__}: {error}"
            return FAILED, text, ("run it again with DAFT_DEBUG=1 to see where, and report it",)


def _excerpt(error: BadConfiguration) -> tuple[str, ...]:
    errors = [problem for problem in error.problems if problem.is_error]
    if errors and errors[0].excerpt.strip():
        return (f"the line reads: {errors[0].excerpt.strip()}",)
    return ()


class Trouble(Exception):
    """A failure of a verb itself, with its exit code and what to do."""

    def __init__(self, message: str, *, code: int = FAILED, tips: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.tips = tips
