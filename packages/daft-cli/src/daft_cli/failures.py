"""Errors to words and exit codes: the one table, most specific first."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # an error of a package that was never loaded cannot have happened
    from daft_hooks.errors import BadConfiguration

OK = 0
FAILED = 1
USAGE = 2
NO_MATCH = 3
STORE_UNUSABLE = 4
TIMED_OUT = 124
INTERRUPTED = 130


def explain(error: Exception) -> int:
    """Say on standard error what happened and what to do; return the exit code."""
    from daft_cli.terminal import harmless

    code, message, tips = _answer(error)
    # Much of it quotes files, names and output of somebody else's making.
    for line in message.split("\n"):
        sys.stderr.write(f"error: {harmless(line)}\n")
    for tip in tips:
        sys.stderr.write(f"  tip: {harmless(tip)}\n")
    return code


_FAMILIES = {
    "daft_worktree.errors": FAILED,
    "daft_hooks.errors": FAILED,
    "daft_store.errors": STORE_UNUSABLE,
    "daft_coordinator.errors": FAILED,
    "daft_protocol.errors": FAILED,
}
"""Where a package keeps its errors -> exit code."""


def _answer(error: Exception) -> tuple[int, str, tuple[str, ...]]:
    if isinstance(error, Trouble):
        return error.code, str(error), error.tips
    homes = [cls.__module__ for cls in type(error).__mro__ if cls.__module__ in _FAMILIES]
    if "daft_hooks.errors" in homes:
        from daft_hooks.errors import BadConfiguration

        if isinstance(error, BadConfiguration):
            return FAILED, f"hooks cannot be read: {error}", _excerpt(error)
    if homes:
        return _FAMILIES[homes[0]], str(error), tuple(getattr(error, "tips", ()))
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename else ""
        return FAILED, f"{where}{what}", ()
    text = f"something unforeseen went wrong: {type(error).__name__}: {error}"
    return FAILED, text, ("run it again with DAFT_DEBUG=1 to see where, and report it",)


def _excerpt(error: BadConfiguration) -> tuple[str, ...]:
    line = "" if error.first is None else error.first.excerpt.strip()
    if not line:
        return ()
    return (f"the line reads: {line if len(line) <= 120 else line[:117] + '...'}",)


class Trouble(Exception):
    """A failure of a verb itself, with its exit code and what to do."""

    def __init__(self, message: str, *, code: int = FAILED, tips: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.tips = tips
