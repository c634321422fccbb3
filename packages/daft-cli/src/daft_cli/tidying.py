"""Automatic clean-up of job logs: whether one is due, and starting it behind the user's back.

Every verb passes by here when it has done its work, so nothing is imported that is not needed,
and a verb that finds a fresh stamp has asked for the state of one file.
"""

from __future__ import annotations

import os
import sys
import time

from daft_cli.whereabouts import state_directory

RECORD_NAME = "log-clean.json"
LOCK_NAME = "log-clean.lock"
INTERVAL_S = 24 * 3600.0
# Any value counts, even an empty one: the promise of older scripts.
_SWITCHES = ("DAFT_NO_LOG_CLEAN", "DAFT_IS_COORDINATOR", "DAFT_TESTING")
_CI = (
    "CI", "GITHUB_ACTIONS", "JENKINS_URL", "TRAVIS", "CIRCLECI", "GITLAB_CI", "BUILDKITE",
    "TF_BUILD",
)  # fmt: skip
# What would make the interpreter load code from the worktree it was started in.
_STRIPPED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "VIRTUAL_ENV")


def start_if_due() -> None:
    """Start a clean-up in a process of its own if the last one is a day old. Never waits."""
    if is_allowed() and is_due():
        _start()


def is_allowed() -> bool:
    """False in continuous integration, under a coordinator, and where the user said no.

    Also where the directory to clean up cannot be meant: only a verb that needs it complains.
    """
    place = os.environ.get("DAFT_STATE_DIR", "")
    if place and not os.path.isabs(place):
        return False
    return not is_integration() and not any(name in os.environ for name in _SWITCHES)


def is_integration() -> bool:
    """True where nobody comes back to what is kept: in continuous integration."""
    return any(name in os.environ for name in _CI)


def is_due(now: float | None = None) -> bool:
    """True when there are logs, and their last clean-up is a day old or dated in the future."""
    root = state_directory()
    try:
        stamp = os.stat(os.path.join(root, RECORD_NAME)).st_mtime
    except FileNotFoundError:
        return os.path.isdir(os.path.join(root, "jobs"))
    except OSError:
        return False  # the state directory cannot be looked into; clean-up could not either
    return not 0 <= (time.time() if now is None else now) - stamp < INTERVAL_S


def last_pass() -> str:
    """Return a line about the last automatic clean-up, empty when there was none."""
    try:
        with open(os.path.join(state_directory(), RECORD_NAME), encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError):
        return ""  # none yet, or nothing that could be read
    import json

    from daft_cli.terminal import age, size

    try:
        record = json.loads(text)
        summary = record["last_summary"]
        jobs, freed = int(summary["removed_jobs"]), int(summary["freed_bytes"])
        passed = age(time.time() - float(record["cleaned_at_s"]))
    except (ValueError, TypeError, KeyError):
        return ""  # somebody else's words
    return f"Last clean-up {passed} ago: {jobs} job log(s) removed, {size(freed)} freed\n"


def _start() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in _STRIPPED}
    # Whatever it runs starts no chores of its own.
    environment["DAFT_IS_COORDINATOR"] = "1"
    words = [sys.executable, "-P", "-m", "daft_cli", "__clean-logs", "--automatic"]
    try:
        os.posix_spawn(
            sys.executable,
            words,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,
        )
    except OSError:
        pass  # out of processes: the next command tries again, and nothing is lost meanwhile
