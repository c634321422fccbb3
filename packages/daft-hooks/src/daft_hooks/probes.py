"""Asking the world what conditions want to know."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping

from daft_coordinator.environment import REMOVED

from .domain.conditions import Facts, commands
from .domain.config import HookConfig, JobConfig
from .domain.event import Event, environment_of
from .errors import UnplannableHook

CONDITION_TIMEOUT_S = 10.0
_SYSTEMS = {"darwin": "macos", "win32": "windows"}


def gather(
    event: Event,
    hook: HookConfig,
    environment: Mapping[str, str],
    *,
    warn: Callable[[str], None],
) -> Facts:
    """Return the facts the conditions of `hook` may ask about.

    environment: the process's. Commands of `run:` rules are run here, one after another, before
    any job; one that cannot start or takes longer than 10 s counts as failed, with a warning.
    """
    system = _SYSTEMS.get(sys.platform, "linux")
    full = {**environment, **environment_of(event)}
    # As for jobs: a git hook that called us must not point their git at its own repository.
    for_commands = {name: value for name, value in full.items() if name not in REMOVED}
    machine = platform.machine().lower()
    return Facts(
        environment=full,
        branch=event.branch,
        states=_states(event.cwd),
        succeeded={
            command: _succeeds(command, event.cwd, for_commands, warn)
            for command in commands(hook, system)
        },
        system=system,
        machine={"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine),
    )


def check_scripts(hook: str, scripts: Iterable[tuple[JobConfig, str]]) -> None:
    """Look at the files that jobs are about to execute: (job, path of its script).

    Raises: UnplannableHook for the first that is missing or cannot be executed as it is.
    """
    for job, path in scripts:
        where = f"job '{job.name}' of {hook}: {path}"
        if not os.path.exists(path):
            raise UnplannableHook(
                f"{where} does not exist; create it, or correct `script`", job.mark
            )
        if os.path.isdir(path):
            raise UnplannableHook(f"{where} is a directory; name a file in it", job.mark)
        if not job.runner and not os.access(path, os.X_OK):
            raise UnplannableHook(
                f"{where} is not executable; `chmod +x` it, or say `runner: sh`", job.mark
            )


def _states(worktree: str) -> frozenset[str]:
    """Return the operations paused in a worktree; each is looked for on its own."""
    private = os.path.join(worktree, ".git")
    try:
        with open(private, encoding="utf-8", errors="surrogateescape") as file:
            private = os.path.join(worktree, file.readline().strip().removeprefix("gitdir: "))
    except OSError:
        pass  # a directory: the main working tree
    found = set()
    if os.path.exists(os.path.join(private, "MERGE_HEAD")):
        found.add("merge")
    if any(os.path.isdir(os.path.join(private, d)) for d in ("rebase-merge", "rebase-apply")):
        found.add("rebase")
    return frozenset(found)


def _succeeds(
    command: str, cwd: str, environment: Mapping[str, str], warn: Callable[[str], None]
) -> bool:
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        warn(f"condition `{command}` could not be run ({error}); it does not hold")
        return False
    try:
        return process.wait(CONDITION_TIMEOUT_S) == 0
    except subprocess.TimeoutExpired:
        warn(f"condition `{command}` took over {CONDITION_TIMEOUT_S:g} s; it does not hold")
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
