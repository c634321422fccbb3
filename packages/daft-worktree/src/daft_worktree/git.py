"""The one place that runs git: always told where, never confused by its surroundings."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping

from .errors import GitFailed, GitMissing

# Set by whoever called us, a git hook for example, these point at another repository.
SCRUBBED = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    # They change what a path after `--` means.
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
)
_RETRIES = 5
_FIRST_PAUSE_S = 0.05
_LEAVE_S = 5.0

observer: Callable[[tuple[str, ...]], None] | None = None
"""Called with the arguments of every git that is started; for tests and verbose output."""


class Output:
    """What a git said: `code`, `out` without its last newline, `err`."""

    __slots__ = ("code", "err", "out")

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def ok(self) -> bool:
        """True for exit code 0."""
        return self.code == 0


def environment() -> dict[str, str]:
    """Return the environment git gets."""
    env = {name: value for name, value in os.environ.items() if name not in SCRUBBED}
    env["LC_ALL"] = "C"
    return env


def run(
    directory: str,
    *args: str,
    doing: str = "",
    stdin: str | None = None,
    network: bool = False,
    timeout_s: float | None = None,
    extra_env: Mapping[str, str] | None = None,
) -> str:
    """Run git in `directory` and return what it printed.

    doing: what it is for, in the error. network: it may ask for credentials, on a terminal.
    Raises: GitFailed with git's own words; GitMissing.
    """
    found = attempt(
        directory,
        *args,
        stdin=stdin,
        network=network,
        timeout_s=timeout_s,
        extra_env=extra_env,
    )
    if not found.ok:
        raise GitFailed(doing or f"git {args[0]}", found.err or found.out, found.code)
    return found.out


def attempt(
    directory: str,
    *args: str,
    stdin: str | None = None,
    network: bool = False,
    timeout_s: float | None = None,
    extra_env: Mapping[str, str] | None = None,
    inherited: tuple[int, ...] = (),
    named: bool = True,
) -> Output:
    """Run git in `directory` and return how it went; only a missing git raises.

    A lock file that another git holds for a moment is waited out, a few times.
    inherited: descriptors that git, and what it starts, keep open. named: False when `directory`
    is where we stand, and not a repository we know of.
    """
    pause = _FIRST_PAUSE_S
    for _ in range(1 + _RETRIES):
        found = _once(directory, args, stdin, network, timeout_s, extra_env, inherited, named)
        if found.ok or not _is_contention(found.err):
            return found
        # Nothing tells when another process's lock file goes away; the jitter, the clock's last
        # digits, keeps several waiters from meeting again.
        time.sleep(pause * (0.5 + time.monotonic_ns() % 1000 / 1000))
        pause *= 2
    return found


def _once(
    directory: str,
    args: tuple[str, ...],
    stdin: str | None,
    network: bool,
    timeout_s: float | None,
    extra_env: Mapping[str, str] | None,
    inherited: tuple[int, ...],
    named: bool,
) -> Output:
    if observer is not None:
        observer(args)
    env = environment()
    if extra_env:
        env.update(extra_env)
    ask = network and os.isatty(0)
    if not ask:
        env["GIT_TERMINAL_PROMPT"] = "0"
    try:
        process = subprocess.Popen(
            ["git", "-C", directory, *(_permission(directory) if named else ()), *args],
            env=env,
            stdin=subprocess.PIPE if stdin is not None else None if ask else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=inherited,
            # With a limit, in a group of its own: see below.
            start_new_session=timeout_s is not None,
        )
    except FileNotFoundError as error:
        raise GitMissing from error
    data = None if stdin is None else stdin.encode("utf-8", "surrogateescape")
    with process:
        try:
            out, err = process.communicate(data, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            # What git has started, ssh for one, holds its pipes; all of it goes, or reading on
            # would last as long as that lives.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return Output(124, "", f"no answer within {timeout_s:g} s")
        except BaseException:
            _end(process)
            raise
    said = err.decode("utf-8", "replace").strip()
    return Output(
        process.returncode, out.decode("utf-8", "surrogateescape").removesuffix("\n"), said
    )


def _permission(directory: str) -> tuple[str, ...]:
    # Users may forbid bare repositories that git merely comes across (safe.bareRepository). A git
    # directory we name is none of those.
    if os.path.isfile(os.path.join(directory, "HEAD")) and os.path.isdir(
        os.path.join(directory, "objects")
    ):
        return ("-c", "safe.bareRepository=all")
    return ()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a git nobody waits for any more; it is given the time to take back what is half made."""
    process.terminate()
    try:
        process.communicate(timeout=_LEAVE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _is_contention(stderr: str) -> bool:
    # "Unable to create '….lock': File exists", "could not lock config file …: File exists"
    if "File exists" in stderr and (".lock'" in stderr or "could not lock config" in stderr):
        return True
    # Another git is adding or removing a worktree, and its record is half there:
    # "failed to read worktrees/…/commondir: Success"
    return "failed to read" in stderr and "/commondir" in stderr


def fields(text: str) -> list[str]:
    """Return the NUL-separated fields of `text`, without the empty one behind the last NUL."""
    return text.removesuffix("\0").split("\0") if text else []
