"""What is wrong between the parts of a hook: needs, circles, modes, places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import evolve

from daft_coordinator.domain import graph

from .document import Node
from .domain.changes import is_file_aware
from .domain.config import Condition, HookConfig, Interactive, JobConfig, RuleKind
from .errors import Severity
from .hooktypes import HOOK_TYPES
from .reading import Reader, nearest


def check_hook(
    reader: Reader, hook: HookConfig, node: Node, path: str, first_problem: int
) -> HookConfig:
    """Return the hook with the faults found in it, those noted since `first_problem` included."""
    modes = [mode for mode in ("parallel", "piped", "follow") if getattr(hook, mode) is True]
    if len(modes) > 1:
        message = f"{' and '.join(modes)} exclude each other; keep one"
        reader.note(hook.mark, path, message, Severity.ERROR)
    if not hook.jobs:
        hides = path.startswith("hooks.") and HOOK_TYPES.get(hook.name) is not None
        also = f"; nor does an executable .daft/hooks/{hook.name} run" if hides else ""
        message = f"has no jobs, so it does nothing{also}"
        reader.note(hook.mark, path, message, Severity.WARNING)
    if node.kind == "map" and {"jobs", "commands"} <= node.items.keys():
        message = "`commands` is the old form of `jobs`; move them there"
        reader.note(node.keys["commands"], path, message, Severity.WARNING)
    _check_needs(reader, hook, path)
    _check_places(reader, hook, path)
    _check_files(reader, hook, path)
    _check_priorities(reader, hook, path)
    faults = [one for one in reader.problems[first_problem:] if one.severity is Severity.FAULT]
    return evolve(hook, faults=tuple(faults))


def check_task(reader: Reader, task: HookConfig, node: Node, path: str) -> HookConfig:
    """Return the task with the faults that hooks may have and tasks may not."""
    first_problem = len(reader.problems)
    if task.name in HOOK_TYPES:
        message = f"{task.name!r} is also the name of a hook"
        reader.note(task.mark, path, message, Severity.HINT)
    if node.kind == "map" and "commands" in node.items:
        message = "tasks take `jobs`, not `commands`"
        reader.note(node.keys["commands"], path, message, Severity.FAULT)
    if task.fail_mode is not None:
        message = "'fail_mode' has no effect on a task"
        reader.note(node.keys["fail_mode"], path, message, Severity.WARNING)
    faults = reader.problems[first_problem:]
    own = [one for one in faults if one.severity is Severity.FAULT]
    return evolve(task, faults=(*task.faults, *own))


def _check_needs(reader: Reader, hook: HookConfig, path: str) -> None:
    names = [job.name for job in hook.jobs]
    known = set(names)
    # A group without jobs is nothing to wait for, and no mistake of whoever needs it.
    known |= {group for job in hook.jobs for group in job.groups}
    sound = True
    for job in hook.jobs:
        for wanted, mark in zip(job.needs, job.needs_marks, strict=True):
            if wanted in known:
                continue
            sound = False
            near = nearest(wanted, names)
            message = f"no job is called {wanted!r}{near} (jobs: {', '.join(names)})"
            reader.note(mark, f"{path}.jobs[{job.name}].needs", message, Severity.FAULT)
    if not sound:
        return
    by_name = {job.name: job for job in hook.jobs}
    cycle = graph.find_cycle(names, {job.name: (*job.needs, *job.after) for job in hook.jobs})
    if cycle:
        first = by_name[cycle[0]]
        message = f"jobs wait for each other: {' -> '.join(cycle)}; remove one of these needs"
        mark = first.needs_marks[0] if first.needs_marks else first.mark
        reader.note(mark, f"{path}.jobs[{first.name}].needs", message, Severity.FAULT)
        return
    _check_promotion(reader, hook, by_name, path)


def _check_promotion(
    reader: Reader, hook: HookConfig, by_name: Mapping[str, JobConfig], path: str
) -> None:
    """Say which background jobs run in the foreground, because one there needs them."""
    waiting = [job for job in hook.jobs if not _is_background(hook, job)]
    seen: set[str] = set()
    while waiting:
        job = waiting.pop()
        for wanted, mark in zip(job.needs, job.needs_marks, strict=True):
            if wanted in seen or not _is_background(hook, by_name[wanted]):
                continue
            seen.add(wanted)
            waiting.append(by_name[wanted])
            message = f"background job {wanted!r} runs in the foreground, as this job needs it"
            reader.note(mark, f"{path}.jobs[{job.name}].needs", message, Severity.HINT)


def _is_background(hook: HookConfig, job: JobConfig) -> bool:
    return hook.background if job.background is None else job.background


def _check_places(reader: Reader, hook: HookConfig, path: str) -> None:
    kind = HOOK_TYPES.get(hook.name) if path.startswith("hooks.") else None
    for job in hook.jobs:
        hints: list[str] = []
        background = _is_background(hook, job)
        interactive = job.interactive is not Interactive.NO
        if background and kind is not None and kind.precedes_work:
            hints.append(f"runs in the foreground, as {hook.name} must finish first")
        if background and interactive:
            hints.append("is interactive, so it runs in the foreground")
        if job.background_output.value != "log" and not background:
            hints.append("'background_output' has no effect on a foreground job")
        if interactive and job.has_timeout and job.timeout_s is not None:
            hints.append("is interactive, so its 'timeout' does not count")
        if job.script is not None and not job.runner:
            hints.append("its script must be executable, as there is no `runner`")
        for hint in hints:
            reader.note(job.mark, f"{path}.jobs[{job.name}]", hint, Severity.HINT)


def _check_files(reader: Reader, hook: HookConfig, path: str) -> None:
    """Only merges know which files have changed; elsewhere a job must bring a list."""
    if path.startswith("hooks.") and hook.name in ("pre-merge", "post-merge"):
        return
    why = "asks for changed files, which only merges know"
    if any(_asks_for_changes(one) for one in (hook.skip, hook.only)):
        reader.note(hook.mark, path, f"{why}; use `run`", Severity.FAULT)
    for job in hook.jobs:
        where = f"{path}.jobs[{job.name}]"
        if any(_asks_for_changes(one) for one in _conditions(job)):
            reader.note(
                job.mark, where, f"`changed` {why}; use `glob` with `files`", Severity.FAULT
            )
        if job.files is None and is_file_aware(job):
            reader.note(job.mark, where, f"{why}; add `files:`, a command", Severity.FAULT)


def _check_priorities(reader: Reader, hook: HookConfig, path: str) -> None:
    """Priorities compare the jobs of a hook; where all are the same they say nothing."""
    if not hook.jobs or len({job.priority for job in hook.jobs}) > 1 or not hook.jobs[0].priority:
        return
    first = hook.jobs[0]
    why = "as this is the only job" if len(hook.jobs) == 1 else "as all jobs have the same"
    message = f"'priority' has no effect, {why}"
    reader.note(first.mark, f"{path}.jobs[{first.name}]", message, Severity.HINT)


def _conditions(job: JobConfig) -> Iterator[Condition | None]:
    yield from (job.skip, job.only)
    for pair in job.outer:
        yield from pair


def _asks_for_changes(condition: Condition | None) -> bool:
    return condition is not None and any(
        kind is RuleKind.CHANGED
        for rules in condition.by_system.values()
        for rule in rules
        for kind, _ in rule.tests
    )
