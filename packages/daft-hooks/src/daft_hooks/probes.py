"""Asking the world what a plan wants to know, and not before it does."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from daft_coordinator.environment import REMOVED
from daft_coordinator.seals import why_changed

from . import inquiries
from .domain.changes import Listing
from .domain.conditions import EVENTS_OWN, Command, Facts
from .domain.config import Configuration
from .domain.event import Event, environment_of
from .domain.runners import RunnerSpec, command_line
from .domain.specs import given_environment
from .errors import UnplannableHook

if TYPE_CHECKING:
    from .plugins import JobPlugins

_SYSTEMS = {"darwin": "macos", "win32": "windows"}

K = TypeVar("K")
V = TypeVar("V")


class Answers(Mapping[K, V]):
    """A mapping that finds out what it is asked for, once.

    find: raises KeyError for what has no answer. What nobody asks for is never found out.
    """

    def __init__(self, find: Callable[[K], V]) -> None:
        self._find = find
        self._known: dict[K, V] = {}

    def __getitem__(self, key: K) -> V:
        if key not in self._known:
            self._known[key] = self._find(key)
        return self._known[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def gather(
    event: Event,
    configuration: Configuration,
    environment: Mapping[str, str],
    *,
    warn: Callable[[str], None],
    may_run: bool = True,
    plugins: Iterable[object] | None = None,
    seals: Mapping[str, str] | None = None,
) -> Facts:
    """Return the facts a plan may ask about.

    environment: the process's. configuration: for the variables it derives. Commands of `run:`
    rules and of `files:` are run when the plan asks for their answers, one after another, before
    any job. A condition that cannot start or takes too long counts as failed, with a warning.
    may_run: False runs none of them; a condition counts as failed then, with a warning. plugins:
    who supplies `uses:` jobs; None: the installed packages, loaded only when a job asks. seals:
    path -> SHA-256 of files that commands may execute; none is run once one of these has changed.
    """
    full = {**environment, **environment_of(event)}
    given = given_environment(event, configuration, environment)
    # As for jobs: a git hook that called us must not point their git at its own repository.
    for_commands = {n: v for n, v in {**environment, **given}.items() if n not in REMOVED}

    def check(command: str) -> None:
        # One command may have taken its time, or changed what the next one executes.
        changed = why_changed(seals or {})
        if changed is not None:
            raise UnplannableHook(f"`{command}` was not run: {changed}")

    def succeeded(command: Command) -> bool:
        if may_run:
            check(command[0])
            return inquiries.succeeds(*command, event.cwd, for_commands, warn)
        warn(f"condition `{command[0]}` was not run: nobody has consented to these hooks")
        return False

    def listing(source: str) -> Listing:
        if source == EVENTS_OWN:
            if event.merge is None:
                raise KeyError(source)
            return inquiries.changed_by(event.merge, event.git_dir, for_commands)
        if may_run:
            check(source)
            return inquiries.listed(source, event.cwd, for_commands)
        return Listing(error=f"`{source}` was not run: nobody has consented to these hooks")

    asked: list[JobPlugins] = []

    def runner(spec: RunnerSpec) -> str:
        if not asked:
            from .plugins import JobPlugins  # only a job that asks pays for them

            asked.append(JobPlugins(plugins))
        return command_line(sys.executable, asked[0].runner_for(spec), spec)

    machine = platform.machine().lower()
    return Facts(
        environment=full,
        branch=event.branch,
        states=_states(event.cwd),
        succeeded=Answers(succeeded),
        listings=Answers(listing),
        runners=Answers(runner),
        present=Answers(os.path.exists),
        has_terminal=_has_terminal(),
        system=_SYSTEMS.get(sys.platform, "linux"),
        machine={"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine),
    )


def _has_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


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
