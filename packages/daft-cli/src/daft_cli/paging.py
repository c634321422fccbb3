"""Long output for people: through their pager on a terminal, as it is elsewhere."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def paged(*, enabled: bool) -> Iterator[IO[bytes]]:
    """Give a place to write: a pager on a terminal, standard output otherwise."""
    words = os.environ.get("PAGER", "less -FRX").split() or ["cat"]
    process = None
    if enabled and sys.stdout.isatty():
        # No such pager: plain output is as good.
        with contextlib.suppress(OSError):
            process = subprocess.Popen(words, stdin=subprocess.PIPE)
    if process is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        return
    assert process.stdin is not None
    # Ctrl+C is the pager's: who leaves it ends this. Without us it would be left with a terminal
    # that the shell has as well.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield process.stdin
    except BrokenPipeError:
        pass  # the reader has left the pager
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
        signal.signal(signal.SIGINT, before)
