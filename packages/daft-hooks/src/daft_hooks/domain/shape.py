"""What `daft.yml` may hold, as one table: decoding, the JSON Schema and the manual read it."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from daft_protocol.jobs import BackgroundOutput

from ..hooktypes import HOOK_TYPES, FailMode

SYSTEMS = ("linux", "macos", "windows")
MACHINES = ("x86_64", "aarch64")
STATES = ("merge", "rebase")


@frozen
class Text:
    """Any scalar, as it was written."""


@frozen
class Texts:
    """A list of texts; one alone may stand without a list."""


@frozen
class Globs:
    """`Texts` that are patterns for paths."""


@frozen
class Flag:
    """True or false."""


@frozen
class Number:
    """A whole number, `least` or more."""

    least: int | None = None


@frozen
class Choice:
    """One of some words, in any case; with `many` also a list of them.

    exact: as it is written only: for what guards something, and must not be guessed.
    """

    words: tuple[str, ...]
    many: bool = False
    exact: bool = False


@frozen
class Quantity:
    """A duration or a size; `none` in words where `or_none`."""

    unit: Literal["duration", "size"]
    or_none: bool = False


@frozen
class FlagOr:
    """True, false, or a word."""

    word: str


@frozen
class Command:
    """A shell command, a list of commands, or either per operating system."""


@frozen
class Conditions:
    """What `skip` and `only` take."""


@frozen
class Variables:
    """A map of texts."""


@frozen
class Part:
    """A map with fields of its own, see `SHAPES`; with `named`, a map of name to such maps."""

    shape: str
    named: bool = False


@frozen
class Parts:
    """A list of maps of one shape."""

    shape: str


@frozen
class Paths:
    """What `extends` takes: paths, or maps with `path` and `optional`."""


@frozen
class Relations:
    """What `relations` takes: URLs, or maps with `url`, `name` and `kind`."""


@frozen
class Copies:
    """What `copy` takes: paths, or a map of the shape `copy`."""


@frozen
class Ports:
    """A list of variable names, each alone or with its offset."""


Kind = (
    Text | Texts | Globs | Flag | Number | Choice | Quantity | FlagOr | Command | Conditions
    | Variables | Part | Parts | Paths | Relations | Copies | Ports
)  # fmt: skip


@frozen
class Field:
    """One key.

    says: what it means, for editors and the manual. effect: False for none. consented: False
    for what decides nothing that would run, so that consent to what runs does not cover it.
    """

    name: str
    kind: Kind
    says: str
    effect: bool = True
    consented: bool = True


TOP = (
    Field("hooks", Part("hook", named=True), "What runs at each lifecycle event, by its name."),
    Field("tasks", Part("hook", named=True), "What `daft run <task>` runs, by name."),
    Field("env", Part("env"), "Ports and values that every worktree derives for itself."),
    Field("log", Part("log"), "How long output is kept, and how much of it."),
    Field("merge", Part("merge"), "What `daft merge` keeps to.", consented=False),
    Field(
        "copy",
        Copies(),
        "Ignored files that a new worktree gets from one that has them.",
        consented=False,
    ),
    Field("extends", Paths(), "Further files laid over this one, in order."),
    Field("rc", Text(), "A shell file read before every job."),
    Field("source_dir", Text(), "Where `script` is looked for; `.daft` if not set."),
    Field(
        "source_dir_local",
        Text(),
        "Where `script` is looked for first; `.daft-local` if not set.",
    ),
    Field("min_version", Text(), "The oldest daft that can read this file, such as 0.1.0."),
    Field("layout", Text(), "Where worktrees are put."),
    Field(
        "shared",
        Texts(),
        "Files that git ignores and all worktrees have in common, such as .env.",
        consented=False,
    ),
    Field(
        "relations",
        Relations(),
        "Repositories that belong to this one: URLs, or maps with `url`, `name` and `kind`.",
        consented=False,
    ),
    Field("colors", Flag(), "Has no effect.", effect=False),
    Field("no_tty", Flag(), "Has no effect.", effect=False),
    Field("output", Texts(), "Has no effect.", effect=False),
)

_CONDITIONS = (
    Field("skip", Conditions(), "Do not run when this holds."),
    Field("only", Conditions(), "Run only when this holds."),
)

HOOK = (
    Field("jobs", Parts("job"), "The work."),
    Field("parallel", Flag(), "Jobs run at one time; false: one at a time, in order."),
    Field("piped", Flag(), "One at a time, in order; the first failure skips the rest."),
    Field("follow", Flag(), "The same as `parallel: false`."),
    Field("background", Flag(), "Whether jobs that do not say so run on after the command."),
    Field("timeout", Quantity("duration", or_none=True), "For jobs that set none of their own."),
    Field(
        "fail_mode",
        Choice(tuple(mode.value for mode in FailMode)),
        "What a failure does to the command: stop it, or only warn.",
    ),
    *_CONDITIONS,
    Field("exclude_tags", Texts(), "Jobs with any of these tags do not run."),
    Field("exclude", Globs(), "Files that no job of this hook looks at."),
    Field("log", Part("log"), "For the jobs of this hook, over the `log` of the file."),
    Field("max_parallel", Number(1), "How many jobs run at one time."),
    Field("disabled", Flag(), "True takes the hook away, as if it were not there."),
    Field("commands", Part("command", named=True), "Jobs by name; write `jobs` instead."),
)

_RUNS = (
    Field("run", Command(), "The shell command; a list is joined with `&&`."),
    Field("script", Text(), "A file in `source_dir` to run instead of a command."),
    Field("runner", Text(), "What runs the script, such as `bash -eu`."),
)

JOB = (
    Field("name", Text(), "Its name, by which it is needed, selected, replaced and listed."),
    Field("description", Text(), "What it does, for people."),
    *_RUNS,
    Field("args", Text(), "Put behind the script as it is."),
    Field("uses", Text(), "What a plugin supplies to run instead of a command, by its name."),
    Field("with", Variables(), "What it is told; values may hold placeholders."),
    Field("root", Text(), "The directory it runs in, from the worktree."),
    Field("env", Variables(), "Variables of its own; values may hold placeholders."),
    Field("needs", Texts(), "Jobs of this hook that must have completed first."),
    Field("background", Flag(), "Run on after the command has returned."),
    Field(
        "background_output",
        Choice(tuple(one.value for one in BackgroundOutput)),
        "Whether the log of a background job is kept after a success.",
    ),
    Field("timeout", Quantity("duration", or_none=True), "How long it may take."),
    Field(
        "cancel_grace_period",
        Quantity("duration"),
        "From the request to end until it is killed; 5 s if not set.",
    ),
    Field(
        "interactive",
        FlagOr("auto"),
        "It gets the terminal; `auto`: only where there is one.",
    ),
    Field("tags", Texts(), "Words to select it by."),
    *_CONDITIONS,
    Field("glob", Globs(), "Run only when a changed file fits."),
    Field("exclude", Globs(), "Changed files that do not count."),
    Field("files", Text(), "A command that lists the changed files, one a line."),
    Field("arch", Choice(MACHINES, many=True), "The processors it runs on."),
    Field("priority", Number(), "Among jobs that are ready, the lower goes first."),
    Field(
        "tracks",
        Choice(("path", "branch"), many=True),
        "What must have changed for it to run when a worktree is moved.",
    ),
    Field("fail_text", Text(), "A line to show after a failure."),
    Field("log", Part("log"), "For this job, over the `log` of its hook and of the file."),
    Field("group", Part("group"), "Jobs that others need, skip and select as one."),
    Field("disabled", Flag(), "True takes the job away, as if it were not there."),
)

GROUP = (
    Field("jobs", Parts("job"), "The work."),
    Field("parallel", Flag(), "Jobs run at one time; false: one at a time, in order."),
    Field("piped", Flag(), "One at a time, in order; the first failure skips the rest."),
)

ON_A_GROUP = frozenset(
    {"name", "description", "group", "needs", "skip", "only", "tags", "env", "root", "background",
     "log", "priority", "disabled"}
)  # fmt: skip
"""The keys of a job that mean something when it is a group."""

COMMAND = (
    *_RUNS,
    Field("tags", Texts(), "Words to select it by."),
    Field("skip", Conditions(), "Do not run when this holds."),
    Field("env", Variables(), "Variables of its own; values may hold placeholders."),
)

LOG = (
    Field("retention", Quantity("duration"), "How long a job's output is kept."),
    Field("max_log_size", Quantity("size"), "How much of one job's output is kept."),
    Field("max_total_size", Quantity("size"), "How much is kept for the whole repository."),
    Field("keep_last", Number(0), "How many runs of each worktree are always kept."),
    Field("stale_running_after", Quantity("duration"), "When a job nobody owns counts as dead."),
    Field("sampling_every_nth", Number(0), "Keep each n-th record of the output; 0 and 1: all."),
)

ENV = (
    Field("salt", Text(), "Derives the same in every clone that has the same salt."),
    Field("scheme", Number(1), "The version of the derivation; 1."),
    Field("range", Text(), "The ports to use, such as 20000-32767."),
    Field("block_size", Number(1), "How many ports each worktree has."),
    Field("ports", Ports(), "Names of variables; each is the next port, or has an offset."),
    Field("values", Variables(), "Variables made of placeholders."),
    Field("write", Text(), "Where `daft env --write` writes, from the worktree."),
)

MERGE = (
    Field(
        "ff",
        Choice(("only",), exact=True),
        "The target only moves forward to a source as it is; nothing is made anew.",
    ),
    Field(
        "source_worktree",
        Choice(("clean",), exact=True),
        "The worktrees of the sources hold just what is committed.",
    ),
)

COPY = (
    Field("paths", Globs(), "What is copied: files and directories, from the worktree."),
    Field(
        "fallback",
        Choice(("copy", "skip")),
        "What happens where the file system cannot share what two files hold.",
    ),
    Field("max_size", Quantity("size"), "The most of one path that is copied byte by byte."),
)

RULE = (
    Field("ref", Text(), "The branch fits this pattern."),
    Field("env", Text(), "The variable is set, and neither 0 nor false."),
    Field("run", Text(), "The command succeeds."),
    Field("changed", Globs(), "A changed file fits."),
    Field("desc", Text(), "The reason to show."),
    Field("timeout", Quantity("duration"), "How long `run` may take; 10 s if not set."),
)

SHAPES: dict[str, tuple[Field, ...]] = {
    "top": TOP,
    "hook": HOOK,
    "job": JOB,
    "group": GROUP,
    "command": COMMAND,
    "log": LOG,
    "env": ENV,
    "merge": MERGE,
    "copy": COPY,
    "rule": RULE,
}

STRICT = frozenset({"merge"})
"""Shapes in which an unknown key makes the file unusable: it may be the guard somebody wants."""

REFUSED = {
    "top": ("defaults",),
    "job": ("retry", "wait_for", "every", "matrix"),
}
"""Keys others know and this version does not: what they ask for would silently not happen."""

HOOK_NAMES = tuple(HOOK_TYPES)
