"""The configuration as values: what `daft.yml` says, decoded and checked."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import field, frozen

from daft_protocol.jobs import BackgroundOutput

from ..errors import Mark
from ..hooktypes import FailMode


class RuleKind(enum.Enum):
    """What a condition's rule looks at."""

    STATE = "state"
    REF = "ref"
    ENV = "env"
    RUN = "run"


@frozen(kw_only=True)
class Rule:
    """One rule: `tests` are (kind, argument), in the order they are tried. `desc`: for people."""

    tests: tuple[tuple[RuleKind, str], ...]
    desc: str = ""


@frozen(kw_only=True)
class Condition:
    """A `skip` or `only`.

    always: for a plain boolean. by_system: rules per operating system; the key "" holds rules
    for every system.
    """

    always: bool | None = None
    by_system: Mapping[str, tuple[Rule, ...]] = field(factory=dict)


@frozen(kw_only=True)
class LogConfig:
    """A `log:` block; None leaves it to the level above."""

    retention_s: int | None = None
    max_log_size_bytes: int | None = None
    max_total_size_bytes: int | None = None
    keep_last: int | None = None
    stale_running_after_s: int | None = None
    sampling_every_nth: int | None = None


@frozen(kw_only=True)
class JobConfig:
    """One entry under `jobs:`.

    run: command per operating system; the key "" holds one for every system.
    timeout_s: None for no limit; only meaningful with `has_timeout`.
    """

    name: str
    mark: Mark
    is_named: bool = True
    description: str = ""
    run: Mapping[str, str] = field(factory=dict)
    script: str | None = None
    runner: str = ""
    args: str = ""
    root: str = "."
    env: Mapping[str, str] = field(factory=dict)
    needs: tuple[str, ...] = ()
    needs_marks: tuple[Mark, ...] = ()
    background: bool | None = None
    background_output: BackgroundOutput = BackgroundOutput.LOG
    timeout_s: float | None = None
    has_timeout: bool = False
    interactive: bool = False
    tags: tuple[str, ...] = ()
    skip: Condition | None = None
    only: Condition | None = None
    arch: tuple[str, ...] = ()
    priority: int = 0
    fail_text: str = ""
    log: LogConfig = field(factory=LogConfig)


@frozen(kw_only=True)
class HookConfig:
    """One hook or task."""

    name: str
    mark: Mark
    jobs: tuple[JobConfig, ...] = ()
    parallel: bool | None = None
    piped: bool = False
    follow: bool = False
    background: bool = False
    fail_mode: FailMode | None = None
    skip: Condition | None = None
    only: Condition | None = None
    exclude_tags: tuple[str, ...] = ()


@frozen(kw_only=True)
class Configuration:
    """Everything a repository's configuration says to daft-hooks."""

    hooks: Mapping[str, HookConfig] = field(factory=dict)
    tasks: Mapping[str, HookConfig] = field(factory=dict)
    log: LogConfig = field(factory=LogConfig)
    layout: str | None = None
    min_version: str | None = None
    rc: str | None = None
    source_dir: str = ".daft"
