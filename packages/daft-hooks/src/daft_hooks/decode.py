"""From the tree of a file to the configuration, collecting every problem on the way.

Hand-written, because a message must name the place, the way to it, what was found, what is
accepted, and the nearest name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from attrs import define, field

from daft_coordinator.domain import graph
from daft_protocol.errors import BadJobName
from daft_protocol.jobs import BackgroundOutput
from daft_protocol.names import check_job_name

from . import __version__
from .document import Node
from .domain.config import (
    Condition,
    Configuration,
    HookConfig,
    JobConfig,
    LogConfig,
    Rule,
    RuleKind,
)
from .domain.event import PLACEHOLDERS
from .domain.quantities import seconds, size_bytes
from .domain.templates import placeholders
from .errors import BadConfiguration, Mark, Problem
from .hooktypes import HOOK_TYPES, FailMode

T = TypeVar("T")

SYSTEMS = ("linux", "macos", "windows")
MACHINES = ("x86_64", "aarch64")

TOP_KEYS = (
    "hooks", "tasks", "log", "layout", "min_version", "rc", "source_dir", "extends",
)  # fmt: skip
HOOK_KEYS = (
    "jobs", "parallel", "piped", "follow", "background", "fail_mode", "skip", "only",
    "exclude_tags",
)  # fmt: skip
JOB_KEYS = (
    "name", "description", "run", "script", "runner", "args", "root", "env", "needs",
    "background", "background_output", "timeout", "interactive", "tags", "skip", "only", "arch",
    "priority", "fail_text", "log",
)  # fmt: skip
LOG_KEYS = (
    "retention", "max_log_size", "max_total_size", "keep_last", "stale_running_after",
    "sampling_every_nth",
)  # fmt: skip
# Known elsewhere, without effect here: silence would be the worst answer.
NOT_YET = {
    "top": frozenset(
        {"env", "copy", "shared", "merge", "relations", "colors", "no_tty", "output",
         "source_dir_local", "defaults"}
    ),
    "hook": frozenset({"commands", "exclude"}),
    "job": frozenset(
        {"group", "glob", "exclude", "files", "tracks", "retry", "wait_for", "every", "uses",
         "matrix"}
    ),
}  # fmt: skip


@define
class Decoded:
    """A configuration, and everything that is wrong with it."""

    configuration: Configuration
    problems: tuple[Problem, ...]

    def checked(self) -> Configuration:
        """Return the configuration. Raises: BadConfiguration when there is any error."""
        if any(problem.is_error for problem in self.problems):
            raise BadConfiguration(self.problems)
        return self.configuration


def decode(root: Node, *, excerpts: Mapping[str, list[str]] | None = None) -> Decoded:
    """Return the configuration in `root`, with every problem found in it.

    excerpts: file name -> its lines, to show the offending one.
    """
    reader = _Reader(excerpts or {})
    configuration = reader.configuration(root)
    problems = sorted(
        reader.problems, key=lambda one: (one.mark.file, one.mark.line, one.mark.column)
    )
    return Decoded(configuration, tuple(problems))


@define
class _Reader:
    excerpts: Mapping[str, list[str]]
    problems: list[Problem] = field(factory=list)

    # --- the parts of a file ------------------------------------------------------------------

    def configuration(self, root: Node) -> Configuration:
        self._keys(root, "", TOP_KEYS, NOT_YET["top"])
        get = root.items.get
        self._check_version(get("min_version"))
        return Configuration(
            hooks=self._entries(get("hooks"), "hooks"),
            tasks=self._entries(get("tasks"), "tasks"),
            log=self._log(get("log"), "log"),
            layout=self._text(get("layout"), "layout"),
            min_version=self._text(get("min_version"), "min_version"),
            rc=self._text(get("rc"), "rc"),
            source_dir=self._text(get("source_dir"), "source_dir") or ".daft",
        )

    def _check_version(self, node: Node | None) -> None:
        text = self._text(node, "min_version")
        if node is None or text is None:
            return
        try:
            wanted = _version(text)
        except ValueError:
            self._error(node.mark, "min_version", f"{text!r} is no version such as 1.2 or 1.2.3")
            return
        if wanted > _version(__version__):
            self._error(
                node.mark, "min_version", f"requires daft {text}, this is {__version__}; upgrade"
            )

    def _entries(self, node: Node | None, path: str) -> dict[str, HookConfig]:
        found: dict[str, HookConfig] = {}
        for name, entry, mark in self._map(node, path):
            if path == "hooks" and name not in HOOK_TYPES:
                near = _nearest(name, HOOK_TYPES)
                known = ", ".join(HOOK_TYPES)
                self._error(mark, path, f"unknown hook {name!r}{near} (hooks: {known})")
                continue
            found[name] = self._hook(name, entry, mark, f"{path}.{name}")
        return found

    def _hook(self, name: str, node: Node, mark: Mark, path: str) -> HookConfig:
        if node.is_null:
            return HookConfig(name=name, mark=mark)
        if node.kind != "map":
            self._wrong(node, path, "a map with `jobs:`")
            return HookConfig(name=name, mark=mark)
        self._keys(node, path, HOOK_KEYS, NOT_YET["hook"])
        get = node.items.get
        jobs = self._jobs(get("jobs"), f"{path}.jobs")
        hook = HookConfig(
            name=name,
            mark=mark,
            jobs=jobs,
            parallel=self._bool(get("parallel"), f"{path}.parallel"),
            piped=self._bool(get("piped"), f"{path}.piped") or False,
            follow=self._bool(get("follow"), f"{path}.follow") or False,
            background=self._bool(get("background"), f"{path}.background") or False,
            fail_mode=self._choice(
                get("fail_mode"), f"{path}.fail_mode", {mode.value: mode for mode in FailMode}
            ),
            skip=self._condition(get("skip"), f"{path}.skip"),
            only=self._condition(get("only"), f"{path}.only"),
            exclude_tags=self._texts(get("exclude_tags"), f"{path}.exclude_tags")[0],
        )
        set_modes = [
            mode for mode in ("parallel", "piped", "follow") if getattr(hook, mode) is True
        ]
        if len(set_modes) > 1:
            self._error(mark, path, f"{' and '.join(set_modes)} exclude each other; keep one")
        self._check_needs(hook, path)
        if not hook.jobs and path.startswith("hooks."):
            self._warning(mark, path, "has no jobs, so it does nothing")
        return hook

    def _jobs(self, node: Node | None, path: str) -> tuple[JobConfig, ...]:
        if node is None or node.is_null:
            return ()
        if node.kind != "list":
            self._wrong(node, path, "a list of jobs, each beginning with `- name:`")
            return ()
        jobs: list[JobConfig] = []
        seen: dict[str, Mark] = {}
        for position, element in enumerate(node.elements, 1):
            if element.kind != "map":
                self._wrong(element, f"{path}[{position}]", "a job: a map with `run:`")
                continue
            job = self._job(element, position, path)
            if job.name in seen:
                first = seen[job.name]
                self._error(
                    element.mark, path, f"a second job {job.name!r}; the first is at {first}"
                )
                continue
            seen[job.name] = element.mark
            jobs.append(job)
        return tuple(jobs)

    def _job(self, node: Node, position: int, path: str) -> JobConfig:
        get = node.items.get
        own_name = self._text(get("name"), f"{path}[{position}].name")
        name = own_name or f"job-{position}"
        path = f"{path}[{name}]"
        try:
            check_job_name(name)
        except BadJobName as error:
            self._error(get("name", node).mark, path, str(error))
            name = f"job-{position}"
        self._keys(node, path, JOB_KEYS, NOT_YET["job"])
        needs, needs_marks = self._texts(get("needs"), f"{path}.needs")
        timeout, has_timeout = self._timeout(get("timeout"), f"{path}.timeout")
        run = self._run(get("run"), f"{path}.run")
        script = self._text(get("script"), f"{path}.script")
        if run and script is not None:
            self._error(node.keys["script"], path, "`run` and `script` exclude each other")
        # A misspelt `run` is named as such; that nothing is left to run would only distract.
        misspelt = any(difflib.get_close_matches(key, ("run", "script")) for key in node.items)
        if "run" not in node.items and script is None and not misspelt:
            self._error(node.mark, path, "has nothing to run; give it `run:` or `script:`")
        if needs and own_name is None:
            self._error(node.mark, path, "has `needs` and no `name`; name it")
        return JobConfig(
            name=name,
            mark=node.mark,
            is_named=own_name is not None,
            description=self._text(get("description"), f"{path}.description") or "",
            run=run,
            script=script,
            runner=self._text(get("runner"), f"{path}.runner") or "",
            args=self._text(get("args"), f"{path}.args") or "",
            root=self._root(get("root"), f"{path}.root"),
            env=self._env(get("env"), f"{path}.env"),
            needs=needs,
            needs_marks=needs_marks,
            background=self._bool(get("background"), f"{path}.background"),
            background_output=self._choice(
                get("background_output"),
                f"{path}.background_output",
                {one.value: one for one in BackgroundOutput},
            )
            or BackgroundOutput.LOG,
            timeout_s=timeout,
            has_timeout=has_timeout,
            interactive=self._bool(get("interactive"), f"{path}.interactive") or False,
            tags=self._texts(get("tags"), f"{path}.tags")[0],
            skip=self._condition(get("skip"), f"{path}.skip"),
            only=self._condition(get("only"), f"{path}.only"),
            arch=self._arch(get("arch"), f"{path}.arch"),
            priority=self._number(get("priority"), f"{path}.priority") or 0,
            fail_text=self._text(get("fail_text"), f"{path}.fail_text") or "",
            log=self._log(get("log"), f"{path}.log"),
        )

    def _run(self, node: Node | None, path: str) -> dict[str, str]:
        if node is None:
            return {}
        if node.kind == "map":
            found: dict[str, str] = {}
            for system, value, mark in self._map(node, path):
                if system not in SYSTEMS:
                    near = _nearest(system, SYSTEMS)
                    self._error(mark, path, f"unknown system {system!r}{near}")
                    continue
                found[system] = self._command(value, f"{path}.{system}")
            return found
        return {"": self._command(node, path)}

    def _command(self, node: Node, path: str) -> str:
        if node.kind == "list":
            return " && ".join(part for part in self._texts(node, path)[0])
        command = self._text(node, path) or ""
        if not command.strip() and node.kind == "scalar":
            self._error(node.mark, path, "is empty; write the command, or remove the job")
        if "\0" in command:
            self._error(node.mark, path, "holds a NUL character")
        for word in placeholders(command):
            if word not in PLACEHOLDERS and word != "changed_files":
                near = difflib.get_close_matches(word, PLACEHOLDERS, 1)
                if near:
                    self._warning(
                        node.mark, path, f"unknown placeholder {{{word}}}, left as it is; "
                        f"did you mean {{{near[0]}}}?"
                    )  # fmt: skip
        return command

    def _root(self, node: Node | None, path: str) -> str:
        root = self._text(node, path) or "."
        for word in placeholders(root):
            if node is not None and word not in PLACEHOLDERS:
                near = _nearest(word, PLACEHOLDERS)
                self._error(node.mark, path, f"unknown placeholder {{{word}}}{near}")
        return root

    def _env(self, node: Node | None, path: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value, mark in self._map(node, path):
            if not name or "=" in name or "\0" in name:
                self._error(mark, path, f"{name!r} cannot be the name of a variable")
                continue
            text = self._text(value, f"{path}.{name}")
            found[name] = "" if text is None else text
        return found

    def _arch(self, node: Node | None, path: str) -> tuple[str, ...]:
        machines, marks = self._texts(node, path)
        for machine, mark in zip(machines, marks, strict=True):
            if machine not in MACHINES:
                near = _nearest(machine, MACHINES)
                known = ", ".join(MACHINES)
                self._error(mark, path, f"unknown machine {machine!r}{near} (known: {known})")
        return machines

    def _log(self, node: Node | None, path: str) -> LogConfig:
        if node is None or node.is_null:
            return LogConfig()
        if node.kind != "map":
            self._wrong(node, path, f"a map with {', '.join(LOG_KEYS)}")
            return LogConfig()
        self._keys(node, path, LOG_KEYS)
        get = node.items.get
        retention = self._quantity(get("retention"), f"{path}.retention", seconds)
        stale = self._quantity(get("stale_running_after"), f"{path}.stale_running_after", seconds)
        return LogConfig(
            retention_s=None if retention is None else int(retention),
            max_log_size_bytes=self._quantity(
                get("max_log_size"), f"{path}.max_log_size", size_bytes
            ),
            max_total_size_bytes=self._quantity(
                get("max_total_size"), f"{path}.max_total_size", size_bytes
            ),
            keep_last=self._number(get("keep_last"), f"{path}.keep_last"),
            stale_running_after_s=None if stale is None else int(stale),
            sampling_every_nth=self._number(
                get("sampling_every_nth"), f"{path}.sampling_every_nth"
            ),
        )

    # --- conditions ---------------------------------------------------------------------------

    def _condition(self, node: Node | None, path: str) -> Condition | None:
        if node is None or node.is_null:
            return None
        if node.kind == "scalar":
            if isinstance(node.value, bool):
                return Condition(always=node.value)
            if node.text in ("merge", "rebase"):
                self._warning(
                    node.mark, path, f"tests the variable ${node.text}; "
                    f"for the state of the worktree write `[{node.text}]`"
                )  # fmt: skip
            return Condition(by_system={"": (Rule(tests=((RuleKind.ENV, node.text),)),)})
        if node.kind == "list":
            return Condition(by_system={"": self._rules(node, path)})
        if set(node.items) & set(SYSTEMS):
            by_system: dict[str, tuple[Rule, ...]] = {}
            for system, rules, mark in self._map(node, path):
                if system not in SYSTEMS:
                    near = _nearest(system, SYSTEMS)
                    self._error(mark, path, f"unknown system {system!r}{near}")
                elif rules.kind == "list":
                    by_system[system] = self._rules(rules, f"{path}.{system}")
                else:
                    self._wrong(rules, f"{path}.{system}", "a list of rules")
            return Condition(by_system=by_system)
        return Condition(by_system={"": (self._rule(node, path),)})

    def _rules(self, node: Node, path: str) -> tuple[Rule, ...]:
        return tuple(
            self._rule(element, f"{path}[{position}]")
            for position, element in enumerate(node.elements, 1)
        )

    def _rule(self, node: Node, path: str) -> Rule:
        if node.kind == "scalar":
            if node.text not in ("merge", "rebase"):
                self._warning(
                    node.mark, path, f"{node.text!r} is no state (merge, rebase), it never holds"
                )
            return Rule(tests=((RuleKind.STATE, node.text),))
        if node.kind != "map":
            self._wrong(node, path, "merge, rebase, or a map with ref, env or run")
            return Rule(tests=())
        kinds = {"ref": RuleKind.REF, "env": RuleKind.ENV, "run": RuleKind.RUN}
        self._keys(node, path, (*kinds, "desc"), frozenset({"changed"}))
        tests = tuple(
            (kind, text)
            for key, kind in kinds.items()
            if (text := self._text(node.items.get(key), f"{path}.{key}")) is not None
        )
        if not tests:
            self._warning(node.mark, path, "tests nothing")
        return Rule(tests=tests, desc=self._text(node.items.get("desc"), f"{path}.desc") or "")

    # --- needs --------------------------------------------------------------------------------

    def _check_needs(self, hook: HookConfig, path: str) -> None:
        names = [job.name for job in hook.jobs]
        sound = True
        for job in hook.jobs:
            for wanted, mark in zip(job.needs, job.needs_marks, strict=True):
                if wanted not in names:
                    sound = False
                    near = _nearest(wanted, names)
                    self._error(
                        mark,
                        f"{path}.jobs[{job.name}].needs",
                        f"no job is called {wanted!r}{near} (jobs: {', '.join(names)})",
                    )
        cycle = graph.find_cycle(names, {job.name: job.needs for job in hook.jobs})
        if sound and cycle:
            first = next(job for job in hook.jobs if job.name == cycle[0])
            circle = " -> ".join(cycle)
            self._error(
                first.needs_marks[0],
                f"{path}.jobs[{first.name}].needs",
                f"jobs wait for each other: {circle}; remove one of these needs",
            )
        if not sound or cycle:
            return
        background = {
            job.name for job in hook.jobs if (job.background or (
                job.background is None and hook.background))
        }  # fmt: skip
        for job in hook.jobs:
            if job.name in background:
                continue
            for wanted, mark in zip(job.needs, job.needs_marks, strict=True):
                if wanted in background:
                    self._warning(
                        mark,
                        f"{path}.jobs[{job.name}].needs",
                        f"background job {wanted!r} runs in the foreground, as this job needs it",
                    )

    # --- scalars and containers ---------------------------------------------------------------

    def _keys(
        self,
        node: Node,
        path: str,
        known: Collection[str],
        not_yet: Collection[str] = (),
    ) -> None:
        for key, mark in node.keys.items():
            if key in known or key == "<<":
                continue
            if key in not_yet:
                self._error(mark, path, f"{key!r} is not supported by this version of daft")
                continue
            near = _nearest(key, known)
            self._error(mark, path, f"unknown field {key!r}{near}")

    def _map(self, node: Node | None, path: str) -> list[tuple[str, Node, Mark]]:
        if node is None or node.is_null:
            return []
        if node.kind != "map":
            self._wrong(node, path, "a map")
            return []
        return [(key, value, node.keys.get(key, value.mark)) for key, value in node.items.items()]

    def _text(self, node: Node | None, path: str) -> str | None:
        if node is None or node.is_null:
            return None
        if node.kind != "scalar":
            self._wrong(node, path, "a text")
            return None
        return node.text

    def _texts(self, node: Node | None, path: str) -> tuple[tuple[str, ...], tuple[Mark, ...]]:
        if node is None or node.is_null:
            return (), ()
        nodes = [node] if node.kind == "scalar" else node.elements
        if node.kind == "map":
            self._wrong(node, path, "a text or a list of texts")
            return (), ()
        texts: list[str] = []
        marks: list[Mark] = []
        for element in nodes:
            text = self._text(element, path)
            if text is not None:
                texts.append(text)
                marks.append(element.mark)
        return tuple(texts), tuple(marks)

    def _bool(self, node: Node | None, path: str) -> bool | None:
        if node is None or node.is_null:
            return None
        if node.kind == "scalar" and isinstance(node.value, bool):
            return node.value
        self._wrong(node, path, "true or false")
        return None

    def _number(self, node: Node | None, path: str) -> int | None:
        if node is None or node.is_null:
            return None
        if node.kind == "scalar" and not isinstance(node.value, bool):
            digits = node.text.strip()
            if digits.lstrip("-").isdecimal() and len(digits) < 10:
                return int(digits)
        self._wrong(node, path, "a whole number")
        return None

    def _choice(self, node: Node | None, path: str, known: Mapping[str, T]) -> T | None:
        text = self._text(node, path)
        if node is None or text is None:
            return None
        found = known.get(text.lower())
        if found is None:
            near = _nearest(text.lower(), known)
            self._error(node.mark, path, f"{text!r} is none of {', '.join(known)}{near}")
        return found

    def _timeout(self, node: Node | None, path: str) -> tuple[float | None, bool]:
        if node is None or node.is_null:
            return None, False
        if node.kind == "scalar" and node.text.lower() == "none":
            return None, True
        found = self._quantity(node, path, seconds)
        if found == 0:
            self._error(node.mark, path, "must be more than nothing; `none` sets no limit")
            return None, False
        return found, found is not None

    def _quantity(self, node: Node | None, path: str, read: Callable[[str], Any]) -> Any:
        text = self._text(node, path)
        if node is None or text is None:
            return None
        try:
            return read(text)
        except ValueError as error:
            self._error(node.mark, path, f"{text!r}: {error}")
            return None

    def _wrong(self, node: Node, path: str, accepted: str) -> None:
        self._error(node.mark, path, f"expected {accepted}, found {node.describe()}")

    def _error(self, mark: Mark, path: str, message: str) -> None:
        self._note(mark, path, message, is_error=True)

    def _warning(self, mark: Mark, path: str, message: str) -> None:
        self._note(mark, path, message, is_error=False)

    def _note(self, mark: Mark, path: str, message: str, *, is_error: bool) -> None:
        lines = self.excerpts.get(mark.file, [])
        excerpt = lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""
        self.problems.append(
            Problem(mark=mark, message=message, path=path, excerpt=excerpt, is_error=is_error)
        )


def _version(text: str) -> tuple[int, ...]:
    parts = tuple(int(part) for part in text.split("."))
    return parts + (0,) * (3 - len(parts))


def _nearest(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name, list(known), 1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""
