"""Jobs that a plugin supplies: what a job asks for, and what it gets."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class RunnerSpec:
    """What a job says of the runner it wants.

    uses: the runner's name. arguments: its `with:` as (name, text), placeholders filled in.
    hook, job: who asks.
    """

    uses: str
    arguments: tuple[tuple[str, str], ...] = ()
    hook: str = ""
    job: str = ""

    @property
    def given(self) -> dict[str, str]:
        """The arguments by name."""
        return dict(self.arguments)


@frozen(kw_only=True)
class JobRunner:
    """A Python function that does a job, in a process of its own.

    function: where it is, `package.module:name`. It is called with the arguments by name, in the
        job's directory and environment. What it returns is the exit code; None is 0.
    arguments: what it is called with instead of what the job says; values as JSON has them.
    """

    function: str
    arguments: Mapping[str, object] | None = field(default=None)


def command_line(python: str, runner: JobRunner, spec: RunnerSpec) -> str:
    """Return the shell command that calls `runner`; `python` is the interpreter that has it."""
    arguments = spec.given if runner.arguments is None else dict(runner.arguments)
    words = [python, "-P", "-m", "daft_hooks.call", runner.function]
    if arguments:
        words.append(json.dumps(arguments, ensure_ascii=False, sort_keys=True))
    return shlex.join(words)
