"""The configuration as values: what `daft.yml` says, decoded and checked."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import asdict, evolve, field, frozen

from daft_protocol.jobs import BackgroundOutput

from ..errors import Mark, Problem
from ..hooktypes import FailMode


class RuleKind(enum.Enum):
    """What a condition's rule looks at."""

    STATE = "state"
    REF = "ref"
    ENV = "env"
    RUN = "run"
    CHANGED = "changed"


@frozen(kw_only=True)
class Rule:
    """One rule: `tests` are (kind, argument), in the order they are tried. `desc`: for people.

    The argument of `changed` holds its patterns one a line. timeout_s: for `run`.
    """

    tests: tuple[tuple[RuleKind, str], ...]
    desc: str = ""
    timeout_s: float | None = None


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

    def over(self, general: LogConfig) -> LogConfig:
        """Return this with what it leaves open taken from `general`."""
        own = asdict(self)
        return evolve(general, **{name: value for name, value in own.items() if value is not None})


class Interactive(enum.Enum):
    """Whether a job gets the terminal."""

    NO = "no"
    YES = "yes"
    AUTO = "auto"  # where there is one


@frozen(kw_only=True)
class GroupConfig:
    """Jobs that stand for one: how they follow each other."""

    jobs: tuple[JobConfig, ...] = ()
    parallel: bool = True
    piped: bool = False


@frozen(kw_only=True)
class JobConfig:
    """One entry under `jobs:`.

    run: command per operating system; the key "" holds one for every system.
    uses, arguments: what a plugin supplies to run instead, and its `with`.
    takes_arguments: `run` is one line, so words can be put behind it.
    timeout_s: None for no limit; only meaningful with `has_timeout`.
    grace_s: from the request to end until it is killed; None: as the coordinator does it.
    group: set before `grouping.flatten`, which leaves jobs only; then `groups` holds the names
    of the groups around a job, and `outer` their (skip, only), both outermost first.
    after: jobs that must have ended first, however they ended.
    """

    name: str
    mark: Mark
    is_named: bool = True
    description: str = ""
    run: Mapping[str, str] = field(factory=dict)
    takes_arguments: bool = True
    script: str | None = None
    runner: str = ""
    args: str = ""
    uses: str | None = None
    arguments: Mapping[str, str] = field(factory=dict)
    root: str = "."
    env: Mapping[str, str] = field(factory=dict)
    needs: tuple[str, ...] = ()
    needs_marks: tuple[Mark, ...] = ()
    after: tuple[str, ...] = ()
    background: bool | None = None
    background_output: BackgroundOutput = BackgroundOutput.LOG
    timeout_s: float | None = None
    has_timeout: bool = False
    grace_s: float | None = None
    interactive: Interactive = Interactive.NO
    tags: tuple[str, ...] = ()
    skip: Condition | None = None
    only: Condition | None = None
    glob: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    files: str | None = None
    arch: tuple[str, ...] = ()
    priority: int = 0
    tracks: tuple[str, ...] = ()
    fail_text: str = ""
    log: LogConfig = field(factory=LogConfig)
    group: GroupConfig | None = None
    groups: tuple[str, ...] = ()
    outer: tuple[tuple[Condition | None, Condition | None], ...] = ()


@frozen(kw_only=True)
class HookConfig:
    """One hook or task.

    timeout_s: for jobs that set none; None for no limit; only meaningful with `has_timeout`.
    faults: why it cannot run as it is written; it fails when it fires, other hooks do not.
    """

    name: str
    mark: Mark
    jobs: tuple[JobConfig, ...] = ()
    parallel: bool | None = None
    piped: bool = False
    follow: bool = False
    background: bool = False
    timeout_s: float | None = None
    has_timeout: bool = False
    fail_mode: FailMode | None = None
    skip: Condition | None = None
    only: Condition | None = None
    exclude_tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    log: LogConfig = field(factory=LogConfig)
    max_parallel: int | None = None
    faults: tuple[Problem, ...] = ()


@frozen(kw_only=True)
class EnvConfig:
    """`env:`: what each worktree derives for itself.

    salt: None for the name of the project's directory. first_port, last_port: both belong.
    offsets: variable -> place in the block, in the order of declaration. values: templates.
    write: the file that gets them all when asked for, relative to the worktree.
    """

    salt: str | None = None
    scheme: int = 1
    first_port: int = 20000
    last_port: int = 32767
    block_size: int = 16
    offsets: Mapping[str, int] = field(factory=dict)
    values: Mapping[str, str] = field(factory=dict)
    write: str | None = None


@frozen(kw_only=True)
class MergeConfig:
    """`merge:`: what merges keep to.

    ff_only: the target only moves forward to a source as it is. clean_source: the worktrees of
    the sources hold just what is committed.
    """

    ff_only: bool = False
    clean_source: bool = False


@frozen(kw_only=True)
class Relation:
    """A repository that belongs to this one. name, kind: for people; "" where nothing is said."""

    url: str
    name: str = ""
    kind: str = ""


@frozen(kw_only=True)
class CopyConfig:
    """`copy:`: what a new worktree gets from one that has it already.

    paths: relative to the worktree, without `.` and `..`, wildcards as in `globs`.
    copies_bytes: False to leave out what cannot be shared by the file system.
    max_size_bytes: of one path, when it is copied byte by byte; None sets no limit. Where it
    is set, `copies_bytes` is of no matter: up to it bytes are copied, beyond it nothing is.
    """

    paths: tuple[str, ...] = ()
    copies_bytes: bool = True
    max_size_bytes: int | None = None


@frozen(kw_only=True)
class Configuration:
    """Everything a repository's configuration says.

    shared: files that worktrees have in common, each a path from the top of a worktree.
    """

    hooks: Mapping[str, HookConfig] = field(factory=dict)
    tasks: Mapping[str, HookConfig] = field(factory=dict)
    env: EnvConfig | None = None
    copy: CopyConfig = field(factory=CopyConfig)
    log: LogConfig = field(factory=LogConfig)
    merge: MergeConfig = field(factory=MergeConfig)
    layout: str | None = None
    min_version: str | None = None
    rc: str | None = None
    source_dir: str = ".daft"
    source_dir_local: str = ".daft-local"
    shared: tuple[str, ...] = ()
    relations: tuple[Relation, ...] = ()
