"""Running what conditions and `files:` name, and asking git, within limits of time and size."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping

from .domain.changes import Listing
from .domain.event import Merge

LISTING_TIMEOUT_S = 60.0
MAX_LISTING_BYTES = 16 * 1024 * 1024
_ERROR_CHARS = 500


def succeeds(
    command: str,
    limit_s: float,
    cwd: str,
    environment: Mapping[str, str],
    warn: Callable[[str], None],
) -> bool:
    """Return whether a condition's command exits with 0; if it cannot, that is told."""
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


def listed(command: str, cwd: str, environment: Mapping[str, str]) -> Listing:
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


def changed_by(merge: Merge, git_dir: str, environment: Mapping[str, str]) -> Listing:
    """Return what the sources of a merge change in its target, sorted."""
    target = merge.target_sha or merge.target_branch
    files: set[str] = set()
    for source in merge.sources:
        span = f"{target}...{source.sha or source.name}"
        command = [
            "git", f"--git-dir={git_dir}", "diff", "--no-ext-diff", "--no-renames",
            "--name-only", "-z", "--end-of-options", span, "--",
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
    """Leave nothing behind of a command that was given up."""
    # Not asked whether it lives: that would give its number away, and leave its children.
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
