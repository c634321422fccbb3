"""Asking the world what a plan wants to know, and not before it does."""

from __future__ import annotations

import os
import platform
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from daft_coordinator.environment import REMOVED
from daft_coordinator.pins import why_changed
from daft_protocol.jobs import JobSpec

from .domain.changes import Listing
from .domain.conditions import EVENTS_OWN, Command, Facts
from .domain.event import Event, Merge, environment_of
from .domain.runners import RunnerSpec, command_line
from .errors import Mark, UnplannableHook

if TYPE_CHECKING:
    from .plugins import JobPlugins

LISTING_TIMEOUT_S = 60.0
MAX_LISTING_BYTES = 16 * 1024 * 1024
_ERROR_CHARS = 500
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
    environment: Mapping[str, str],
    *,
    warn: Callable[[str], None],
    may_run: bool = True,
    plugins: Iterable[object] | None = None,
    pinned: Mapping[str, str] | None = None,
) -> Facts:
    """Return the facts a plan may ask about.

    environment: the process's. Commands of `run:` rules and of `files:` are run when the plan
    asks for their answers, one after another, before any job. A condition that cannot start or
    takes too long counts as failed, with a warning. may_run: False runs none of them; a
    condition counts as failed then, with a warning. plugins: who supplies `uses:` jobs; None:
    the installed packages, loaded only when a job asks. pinned: path -> SHA-256 of files that
    commands may execute; none is run once one of these has changed.
    """
    full = {**environment, **environment_of(event)}
    # As for jobs: a git hook that called us must not point their git at its own repository.
    for_commands = {name: value for name, value in full.items() if name not in REMOVED}

    def check(command: str) -> None:
        # One command may have taken its time, or changed what the next one executes.
        changed = why_changed(pinned or {})
        if changed is not None:
            raise UnplannableHook(f"`{command}` was not run: {changed}")

    def succeeded(command: Command) -> bool:
        if may_run:
            check(command[0])
            return _succeeds(*command, event.cwd, for_commands, warn)
        warn(f"condition `{command[0]}` was not run: nobody has consented to these hooks")
        return False

    def listing(source: str) -> Listing:
        if source == EVENTS_OWN:
            if event.merge is None:
                raise KeyError(source)
            return _changed_by(event.merge, event.git_dir, for_commands)
        if may_run:
            check(source)
            return _listed(source, event.cwd, for_commands)
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


def check_scripts(hook: str, scripts: Iterable[tuple[JobSpec, str, bool, Mark]]) -> None:
    """Look at the files jobs are about to execute: (job, path, whether something runs it, mark).

    Raises: UnplannableHook for the first that is missing or cannot be executed as it is.
    """
    for job, path, has_runner, mark in scripts:
        where = f"job '{job.name}' of {hook}: {path}"
        if not os.path.exists(path):
            raise UnplannableHook(f"{where} does not exist; create it, or correct `script`", mark)
        if os.path.isdir(path):
            raise UnplannableHook(f"{where} is a directory; name a file in it", mark)
        if not has_runner and not os.access(path, os.X_OK):
            raise UnplannableHook(
                f"{where} is not executable; `chmod +x` it, or say `runner: sh`", mark
            )


def check_rc(hook: str, path: str | None) -> None:
    """Look at the shell file all jobs read. Raises: UnplannableHook when it is missing."""
    if path is not None and not os.path.isfile(path):
        raise UnplannableHook(f"{hook}: `rc` names {path}, which is no file; create or remove it")


def check_directories(hook: str, specs: Iterable[JobSpec], marks: Mapping[str, Mark]) -> None:
    """Look at the directories jobs are about to run in.

    One that waits for another job is left alone: that may be what makes its directory.
    Raises: UnplannableHook for the first that is missing.
    """
    for job in specs:
        if job.needs or job.after or os.path.isdir(job.working_dir):
            continue
        what = "is no directory" if os.path.exists(job.working_dir) else "does not exist"
        raise UnplannableHook(
            f"job '{job.name}' of {hook}: {job.working_dir} {what}; correct `root`",
            marks.get(job.name),
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


def _succeeds(
    command: str,
    limit_s: float,
    cwd: str,
    environment: Mapping[str, str],
    warn: Callable[[str], None],
) -> bool:
    try:
        process = _start(command, cwd, environment, subprocess.DEVNULL)
    except (OSError, ValueError) as error:
        warn(f"condition `{command}` could not be run ({error}); it does not hold")
        return False
    try:
        return process.wait(limit_s) == 0
    except subprocess.TimeoutExpired:
        warn(f"condition `{command}` took over {limit_s:g} s; it does not hold")
        return False
    finally:
        _end(process)


def _listed(command: str, cwd: str, environment: Mapping[str, str]) -> Listing:
    """Return the paths a command prints, one a line."""
    try:
        process = _start(command, cwd, environment, subprocess.PIPE)
    except (OSError, ValueError) as error:
        return Listing(error=f"files: `{command}` could not be run: {error}")
    try:
        output, errors = _output_of(process)
        code = process.wait(LISTING_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Listing(error=f"files: `{command}` took over {LISTING_TIMEOUT_S:g} s")
    except OverflowError:
        return Listing(error=f"files: `{command}` printed more than {MAX_LISTING_BYTES} bytes")
    finally:
        _end(process)
    if code != 0:
        said = errors.decode("utf-8", "replace").strip()[-_ERROR_CHARS:]
        return Listing(error=f"files: `{command}` failed with exit code {code}: {said}")
    lines = (os.fsdecode(line).strip() for line in output.split(b"\n"))
    return Listing(files=tuple(line.removeprefix("./") for line in lines if line))


def _output_of(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Return what a command prints, within limits. Raises: TimeoutExpired, OverflowError."""
    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    read: dict[int, bytearray] = {stream.fileno(): bytearray() for stream in streams}
    until = time.monotonic() + LISTING_TIMEOUT_S
    with selectors.DefaultSelector() as selector:
        for descriptor in read:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(process.args, LISTING_TIMEOUT_S)
            for key, _ in ready:
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fd)
                read[key.fd] += chunk
                if len(read[key.fd]) > MAX_LISTING_BYTES:
                    raise OverflowError
    output, errors = (bytes(read[stream.fileno()]) for stream in streams)
    return output, errors


def _changed_by(merge: Merge, git_dir: str, environment: Mapping[str, str]) -> Listing:
    """Return what the sources of a merge change in its target, sorted."""
    target = merge.target_sha or merge.target_branch
    files: set[str] = set()
    for source in merge.sources:
        span = f"{target}...{source.sha or source.name}"
        command = [
            "git", f"--git-dir={git_dir}", "diff", "--no-ext-diff", "--no-renames",
            "--name-only", "-z", span, "--",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command,
                env={**environment, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            return Listing(error=f"git could not be run: {error}")
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()
            return Listing(error=f"the files changed by {source.name} are not known: {said}")
        files |= {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
    return Listing(files=tuple(sorted(files)))


def _start(
    command: str, cwd: str, environment: Mapping[str, str], output: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        process_group=0,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a command behind."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
