"""What scripted processes do: a job's life told in advance, in seconds of virtual time."""

from __future__ import annotations

import math
from typing import Literal

from attrs import field, frozen
from attrs.validators import ge

NEVER = math.inf
"""Seconds until something that does not happen by itself."""


@frozen
class Says:
    """Some output, `after_s` seconds from the start."""

    data: bytes
    after_s: float = field(default=0.0, validator=ge(0))
    kind: Literal["stdout", "stderr"] = "stdout"


@frozen(kw_only=True)
class Script:
    """The life of a process from the opening of its gate.

    lasts_s: seconds until it ends by itself; `NEVER` for one that has to be stopped.
    exit_code: what it then exits with.
    says: its output. A full pipe holds it up, as it would a real one.
    stops_after_s: seconds until it stops itself (SIGSTOP), until somebody continues it.
    ignores_term: nothing but SIGKILL ends it early.
    term_takes_s: seconds it goes on after SIGTERM.
    term_exit_code: exits with this on SIGTERM; None: is killed by the signal.
    ignores_kill: not even SIGKILL ends it: a process that hangs in the kernel.
    children: processes it leaves behind.
    refused: it cannot be started, for this reason.
    """

    lasts_s: float = field(default=0.0, validator=ge(0))
    exit_code: int = 0
    says: tuple[Says, ...] = ()
    stops_after_s: float | None = None
    ignores_term: bool = False
    term_takes_s: float = field(default=0.0, validator=ge(0))
    term_exit_code: int | None = None
    ignores_kill: bool = False
    children: tuple[Child, ...] = ()
    refused: str | None = None


@frozen(kw_only=True)
class Child:
    """A process that a scripted one starts.

    after_s: seconds from the start of its parent.
    leaves_group: it makes a group of its own (`setsid`).
    forks_twice: its parent is gone at once, so that nobody can tell whose child it was.
    hides_mark: it cleared its environment, and with it the job's mark.
    disowns: it declares itself no job's, as a leader does that is started inside of one.
    holds_pipes: it keeps its parent's standard output and error open.
    """

    script: Script = field(factory=lambda: Script(lasts_s=NEVER))
    after_s: float = field(default=0.0, validator=ge(0))
    leaves_group: bool = False
    forks_twice: bool = False
    hides_mark: bool = False
    disowns: bool = False
    holds_pipes: bool = True
