"""`daft __clean-logs`: the automatic clean-up itself, in a process of its own.

Nobody looks at it, so what it did and what went wrong is in its record.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from daft_coordinator.adapters.sweep import Cleaned, Sweep
from daft_hooks import consent
from daft_hooks.adapters.registry import SqliteTrustRegistry
from daft_hooks.errors import RegistryUnavailable
from daft_hooks.settings import hook_settings
from daft_store import registering
from daft_store.errors import StoreError
from daft_store.roots import data_root, state_root
from daft_worktree.errors import GitFailed, WorktreeError
from daft_worktree.settings import read_settings
from daft_worktree.worktrees import list_worktrees

from ..place import remote_url_at
from ..tidying import INTERVAL_S, LOCK_NAME, RECORD_NAME, is_due, is_integration

TIME_LIMIT_S = 600.0
_LAST_RESORT_S = 660
"""A file system that hangs asks no questions; after this the kernel ends us."""
_PASSES_KEPT = 50
_AGAIN_S = 3600.0
_NICE = 19


@click.command(name="__clean-logs", hidden=True)
@click.option("--automatic", is_flag=True, help="Do nothing unless it is due, and nothing in CI.")
def command(automatic: bool) -> int:
    """Clean up the logs of all repositories, unless somebody does already."""
    root = state_root(os.environ)
    if not os.path.isdir(os.path.join(root, "jobs")) or (automatic and is_integration()):
        return 0
    os.chdir("/")  # hold no directory of the place we were started in
    os.nice(_NICE)
    signal.alarm(_LAST_RESORT_S)
    with _alone(os.path.join(root, LOCK_NAME)) as mine:
        # Somebody may have been faster, between the look at the stamp and here.
        if mine and not (automatic and not is_due()):
            _prune_trust()
            _clean(root)
    return 0


def _prune_trust() -> None:
    """Forget consent to repositories that are gone; a "no" is kept, the path may come back."""
    if "DAFT_NO_TRUST_PRUNE" in os.environ:
        return
    # Nobody reads what this process says, and whoever next asks for consent is told the same.
    with contextlib.suppress(RegistryUnavailable, GitFailed):
        given = read_settings("/")
        if not hook_settings(given.values, own=given.own).prunes_trust:
            return
        registry = SqliteTrustRegistry(data_root(os.environ))
        consent.prune(registry, os.path.isdir, keep_refusals=True)
        consent.note_remotes(registry, remote_url_at)


@contextlib.contextmanager
def _alone(path: str) -> Iterator[bool]:
    """Give whether the lock at `path` is ours, for as long as the body runs."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(fd)


def _clean(root: str) -> None:
    deadline = time.monotonic() + TIME_LIMIT_S
    cleaned: list[Cleaned] = []
    errors: list[str] = []
    sweep = Sweep(
        root,
        by_hand=False,
        living=living_labels,
        places=places_of_living(errors.append),
        enough=lambda: time.monotonic() > deadline,
        report=errors.append,
    )
    freed = 0
    try:
        for repository in sweep.repositories():
            if time.monotonic() > deadline:
                errors.append("it took too long; the next pass goes on")
                break
            cleaned.append(sweep.clean(repository))
        freed = sweep.finish()
    except Exception as error:
        errors.append(f"{type(error).__name__}: {error}")
        raise
    finally:
        # Also when it failed: without a record every command would start it again.
        _record(root, cleaned, errors, freed)


def places_of_living(report: Callable[[str], None]) -> Mapping[str, str]:
    """Return where repositories are that the catalog knows better than the record of their jobs.

    A repository that was moved is not gone. Without the catalog the record alone counts.
    """
    try:
        return registering.live_places(data_root(os.environ))
    except StoreError as error:
        report(f"the catalog of repositories cannot be read: {error}")
        return {}


def living_labels(common_dir: str) -> Collection[str] | None:
    """Return the labels of a repository's worktrees that exist; None when git does not tell."""
    try:
        worktrees = list_worktrees(common_dir)
    except (WorktreeError, OSError):
        return None  # then all count as living, and nothing of theirs goes too early
    return frozenset(one.label for one in worktrees if os.path.isdir(one.path))


def _record(root: str, cleaned: list[Cleaned], errors: list[str], freed: int) -> None:
    """Write what was done, whole or not at all, in place of the record before."""
    now = datetime.now(UTC)
    outcomes = [one.outcome for one in cleaned if one.outcome is not None]
    errors += [f"{one.repository}: {one.error}" for one in cleaned if one.error is not None]
    for one in cleaned:
        if one.outcome is not None:
            errors += [f"{one.repository}: {line}" for line in one.outcome.trouble]
    summary = {
        "removed_invocations": sum(one.invocations for one in outcomes),
        "removed_jobs": sum(one.jobs for one in outcomes),
        "removed_repositories": sum(one.discarded for one in cleaned),
        "freed_bytes": freed + sum(one.bytes for one in outcomes),
        "stale_running_marked": sum(one.stale for one in outcomes),
        "reason": "auto",
    }
    path = os.path.join(root, RECORD_NAME)
    history = [{"at": now.isoformat(), **summary, "errors": errors}, *_earlier(path)]
    record = {
        "version": 1,
        "cleaned_at": now.isoformat(),
        "cleaned_at_s": now.timestamp(),
        "last_summary": summary,
        "errors": errors,
        "history": history[:_PASSES_KEPT],
    }
    temporary = f"{path}.new"  # ours alone, as the lock is; one that died left it half written
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.flush()
        if any(one.held_back or not one.is_complete for one in outcomes):
            # Nothing may go before the clock has shown for an hour that it can be believed, and
            # what was begun is to be finished: not in a day, but in an hour.
            again = now.timestamp() - INTERVAL_S + _AGAIN_S
            os.utime(fd, (again, again))
    os.replace(temporary, path)


def _earlier(path: str) -> list[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as file:
            history = json.load(file)["history"]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # the first pass, or a record that nobody can read
    return history if isinstance(history, list) else []
