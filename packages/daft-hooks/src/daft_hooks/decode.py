"""From the tree of a file to the configuration, collecting every problem on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import define

from . import __version__
from .checking import check_hook, check_task
from .copies import read_copy
from .declarations import read_env
from .document import Node
from .domain import grouping
from .domain.config import Configuration, HookConfig, JobConfig, MergeConfig
from .domain.shape import HOOK_NAMES
from .entries import read_commands, read_jobs, read_log
from .errors import BadConfiguration, Mark, Problem, Severity
from .hooktypes import FailMode
from .reading import Reader, nearest
from .relating import read_relations
from .rules import read_condition
from .together import read_shared

_TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@define
class Decoded:
    """A configuration, and everything that is wrong with it."""

    configuration: Configuration
    problems: tuple[Problem, ...]

    def checked(self) -> Configuration:
        """Return the configuration. Raises: BadConfiguration when it cannot be used."""
        if any(problem.severity is Severity.FATAL for problem in self.problems):
            raise BadConfiguration(self.problems)
        return self.configuration


def decode(
    root: Node,
    *,
    excerpts: Mapping[str, list[str]] | None = None,
    known: tuple[Problem, ...] = (),
) -> Decoded:
    """Return the configuration in `root`, with every problem found in it.

    excerpts: file name -> its lines, to show the offending one. known: problems found before.
    """
    reader = Reader(excerpts or {}, list(known))
    configuration = _configuration(reader, root)
    problems = sorted(
        reader.problems, key=lambda one: (one.mark.file, one.mark.line, one.mark.column)
    )
    return Decoded(configuration, tuple(problems))


def _configuration(reader: Reader, root: Node) -> Configuration:
    given = reader.fields(root, "", "top")
    for key in ("hooks", "tasks"):
        if key in root.items and root.items[key].is_null:
            mark = root.keys.get(key, root.mark)
            reader.note(mark, key, "says nothing", Severity.HINT)
    usual = Configuration()
    _check_version(reader, given.get("min_version"))
    env = read_env(reader, given.get("env"), "env")
    return Configuration(
        hooks=_hooks(reader, given.get("hooks")),
        tasks=_tasks(reader, given.get("tasks")),
        env=env,
        copy=read_copy(reader, given.get("copy"), "copy"),
        log=read_log(reader, given.get("log"), "log"),
        merge=_merge(reader, given.get("merge")),
        layout=reader.text(given.get("layout"), "layout"),
        min_version=reader.text(given.get("min_version"), "min_version"),
        rc=reader.text(given.get("rc"), "rc"),
        source_dir=reader.text(given.get("source_dir"), "source_dir") or usual.source_dir,
        source_dir_local=reader.text(given.get("source_dir_local"), "source_dir_local")
        or usual.source_dir_local,
        shared=read_shared(reader, given.get("shared"), "shared", env),
        relations=read_relations(reader, given.get("relations"), "relations"),
    )


def _merge(reader: Reader, node: Node | None) -> MergeConfig:
    if node is None:
        return MergeConfig()
    if node.kind != "map":
        reader.wrong(node, "merge", "a map with `ff` or `source_worktree`")
        return MergeConfig()
    given = reader.fields(node, "merge", "merge")
    return MergeConfig(
        ff_only=reader.exactly(given.get("ff"), "merge.ff", "only"),
        clean_source=reader.exactly(given.get("source_worktree"), "merge.source_worktree", "clean"),
    )


def _check_version(reader: Reader, node: Node | None) -> None:
    text = reader.text(node, "min_version")
    if node is None or text is None:
        return
    wanted = _version(text)
    if wanted is None:
        message = f"{text!r} is no version such as 1.2 or 1.2.3, so every daft takes the file"
        reader.note(node.mark, "min_version", message, Severity.WARNING)
    elif wanted > (_version(__version__) or ()):
        message = f"requires daft {text}, this is {__version__}; upgrade"
        reader.note(node.mark, "min_version", message)


def _version(text: str) -> tuple[int, ...] | None:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}", text, re.ASCII):
        return None
    parts = tuple(int(part) for part in text.split("."))
    return parts + (0,) * (3 - len(parts))


def _hooks(reader: Reader, node: Node | None) -> dict[str, HookConfig]:
    found: dict[str, HookConfig] = {}
    for name, entry, mark in reader.entries(node, "hooks"):
        if name not in HOOK_NAMES:
            known = ", ".join(HOOK_NAMES)
            message = f"unknown hook {name!r}, it never fires{nearest(name, HOOK_NAMES)}"
            reader.note(mark, "hooks", f"{message} (hooks: {known})", Severity.ERROR)
            continue
        hook = _hook(reader, name, entry, mark, f"hooks.{name}")
        if hook is not None:
            found[name] = hook
    return found


def _tasks(reader: Reader, node: Node | None) -> dict[str, HookConfig]:
    found: dict[str, HookConfig] = {}
    for name, entry, mark in reader.entries(node, "tasks"):
        if not _TASK_NAME.fullmatch(name):
            message = (
                f"{name!r} cannot be the name of a task: "
                "letters, digits, `.`, `_` and `-`, at most 64, the first a letter or a digit"
            )
            reader.note(mark, "tasks", message)
            continue
        task = _hook(reader, name, entry, mark, f"tasks.{name}")
        if task is not None:
            found[name] = check_task(reader, task, entry, f"tasks.{name}")
    return found


def _hook(reader: Reader, name: str, node: Node, mark: Mark, path: str) -> HookConfig | None:
    """Return a hook or task, None when it is disabled."""
    if node.is_null:
        return check_hook(reader, HookConfig(name=name, mark=mark), node, path, 0)
    if node.kind != "map":
        reader.wrong(node, path, "a map with `jobs:`")
        return HookConfig(name=name, mark=mark)
    first_problem = len(reader.problems)
    given = reader.fields(node, path, "hook")
    get = given.get
    if reader.flag(get("disabled"), f"{path}.disabled"):
        return None
    jobs = read_jobs(reader, get("jobs"), f"{path}.jobs")
    jobs += read_commands(reader, get("commands"), f"{path}.commands")
    fail_mode = reader.choice(
        get("fail_mode"), f"{path}.fail_mode", tuple(mode.value for mode in FailMode)
    )
    timeout, has_timeout = reader.timeout(get("timeout"), f"{path}.timeout")
    hook = HookConfig(
        name=name,
        mark=mark,
        jobs=_unique(reader, grouping.flatten(jobs), path),
        parallel=reader.flag(get("parallel"), f"{path}.parallel"),
        piped=reader.flag(get("piped"), f"{path}.piped") or False,
        follow=reader.flag(get("follow"), f"{path}.follow") or False,
        background=reader.flag(get("background"), f"{path}.background") or False,
        timeout_s=timeout,
        has_timeout=has_timeout,
        fail_mode=None if fail_mode is None else FailMode(fail_mode),
        skip=read_condition(reader, get("skip"), f"{path}.skip"),
        only=read_condition(reader, get("only"), f"{path}.only"),
        exclude_tags=reader.texts(get("exclude_tags"), f"{path}.exclude_tags")[0],
        exclude=reader.globs(get("exclude"), f"{path}.exclude"),
        log=read_log(reader, get("log"), f"{path}.log"),
        max_parallel=reader.number(get("max_parallel"), f"{path}.max_parallel", 1),
    )
    return check_hook(reader, hook, node, path, first_problem)


def _unique(reader: Reader, jobs: tuple[JobConfig, ...], path: str) -> tuple[JobConfig, ...]:
    """Drop jobs whose names, with those of their groups, are taken; each is noted."""
    seen: dict[str, JobConfig] = {}
    for job in jobs:
        if job.name in seen:
            message = f"a second job {job.name!r}; the first is at {seen[job.name].mark}"
            reader.note(job.mark, path, message)
        else:
            seen[job.name] = job
    return tuple(seen.values())
