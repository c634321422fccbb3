"""Telling, once and on a terminal, of background jobs that have failed since one last looked.

A job in the background has nobody to tell when it fails. The next verb in its repository does.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from typing import Any

_SHOWN = 3
_DEPTH = "DAFT_HOOK_DEPTH"
_QUIET = ("-q", "--quiet")


def tell(words: list[str]) -> None:
    """Name the background jobs of this repository that failed and were not named yet.

    words: of the command; one that is to be quiet leaves it to the next. Says nothing where
    nobody reads: in a pipe, in a job.
    """
    if not sys.stderr.isatty() or os.environ.get(_DEPTH) or any(one in _QUIET for one in words):
        return
    try:
        _tell()
    except Exception as error:
        # The verb has done its work, and whoever asks for jobs is told what is wrong with the
        # record; here the next verb tries again.
        if os.environ.get("DAFT_DEBUG") == "1":
            sys.stderr.write(f"warning: failed background jobs are not told: {error}\n")


def _tell() -> None:
    from daft_cli.whereabouts import find_repository, identity_of, state_directory

    here = find_repository(os.getcwd())
    repository = identity_of(here[0]) if here is not None else ""
    if not repository:
        return
    from daft_store import listing

    root = state_directory()
    db = listing.open_jobs(root, repository)
    if db is None:
        return
    failed = listing.failed_in_background(db, repository)
    db.close()
    note = f"{root}/told-{repository}"
    told = _told(note)
    fresh = [row for row in failed if row[0] not in told]
    if not fresh:
        return
    # Before it is said: two commands at one moment may both say it, but none for ever.
    _remember(note, [row[0] for row in failed])
    for row in fresh[:_SHOWN]:
        _say(row)
    if len(fresh) > _SHOWN:
        sys.stderr.write(f"  and {len(fresh) - _SHOWN} more: daft jobs --all --failed\n")


def _say(row: tuple[Any, ...]) -> None:
    import shlex

    from daft_cli.terminal import harmless, has_colour, paint

    _, name, worktree, invocation, detail = row
    why = f" ({harmless(detail)})" if detail else ""
    address = shlex.quote(harmless(f"{worktree}@{invocation[:8]}/{name}"))
    mark = paint("✗", "red", on=has_colour(sys.stderr))
    sys.stderr.write(
        f"{mark} background job '{harmless(name)}' of '{harmless(worktree)}' failed{why}: "
        f"daft jobs logs {address}\n"
    )


def _told(path: str) -> frozenset[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return frozenset(file.read().split())
    except FileNotFoundError:
        return frozenset()


def _remember(path: str, uids: list[str]) -> None:
    beside = f"{path}.{os.getpid()}"
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join(uids) + "\n")
    os.replace(beside, path)
