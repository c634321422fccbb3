"""Which files make up a configuration, and laying them over each other.

The main file first, then what it extends, then a file per hook, then what the local overlay
extends, then the overlay itself: what comes later overrides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from attrs import define, field, frozen

from .document import Node, parse
from .domain.merging import merge, merge_entry, name_of
from .domain.shape import HOOK_NAMES
from .errors import Mark, Problem, Severity

MAIN_NAMES = (
    "daft.yml",
    "daft.yaml",
    ".daft.yml",
    ".daft.yaml",
    ".config/daft.yml",
    ".config/daft.yaml",
)
MAX_EXTENDS = 16
MAX_INCLUDED = 100
"""How often files may be extended altogether: two lines in each of sixteen files mean 65 000."""

ReadFile = Callable[[str], bytes | None]
"""Returns the bytes of a path relative to the worktree, None when there is no such file."""


@frozen(kw_only=True)
class Sources:
    """The files of a configuration.

    root: all of them, merged. files: names read, the main one first. lines: name -> its lines.
    """

    root: Node
    files: tuple[str, ...]
    lines: dict[str, list[str]]
    problems: tuple[Problem, ...]


def read_sources(read: ReadFile) -> Sources | None:
    """Return the configuration that `read` finds, None when there is no main file.

    Raises: BadConfiguration for text that is no YAML.
    """
    reading = _Reading(read)
    main = next((name for name in MAIN_NAMES if reading.has(name)), None)
    if main is None:
        return None
    root = reading.parse(main)
    for node in _extended(reading, root, main, (main,)):
        root = merge(root, node)
    for hook, node in _per_hook(reading, main):
        _tell_replaced(reading, root, hook, node)
        root = _with_hook(root, hook, node)
    overlay = _overlay(reading, main)
    if overlay is not None:
        last = reading.parse(overlay)
        for node in _extended(reading, last, overlay, (overlay,)):
            root = merge(root, node)
        root = merge(root, last)
    return Sources(
        root=root,
        files=tuple(reading.found),
        lines={
            name: data.decode("utf-8", "replace").split("\n")
            for name, data in reading.found.items()
        },
        problems=tuple(reading.problems),
    )


@define
class _Reading:
    """Files read so far, by name."""

    read: ReadFile
    found: dict[str, bytes] = field(factory=dict)
    problems: list[Problem] = field(factory=list)
    included: int = 0

    def has(self, name: str) -> bool:
        if name not in self.found:
            data = self.read(name)
            if data is None:
                return False
            self.found[name] = data
        return True

    def parse(self, name: str) -> Node:
        return parse(self.found[name], name)

    def note(
        self, mark: Mark, path: str, message: str, severity: Severity = Severity.FATAL
    ) -> None:
        lines = self.found[mark.file].decode("utf-8", "replace").split("\n")
        excerpt = lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""
        self.problems.append(
            Problem(mark=mark, message=message, path=path, excerpt=excerpt, severity=severity)
        )


def _overlay(reading: _Reading, main: str) -> str | None:
    """Return the name of the local overlay; the old spelling counts where there is no other."""
    stem, ending = os.path.splitext(main)
    name, old = f"{stem}.local{ending}", f"{stem}-local{ending}"
    if reading.has(name):
        return name
    if not reading.has(old):
        return None
    message = f"the name is out of date; rename the file to {os.path.basename(name)}"
    reading.note(Mark(old, 1, 1), "", message, Severity.WARNING)
    return old


def _per_hook(reading: _Reading, main: str) -> Iterator[tuple[str, Node]]:
    """Yield (hook, content) of every file that holds one hook."""
    directory = ".config/daft/" if main.startswith(".config/") else ""
    for hook in HOOK_NAMES:
        name = next(
            (n for e in ("yml", "yaml") if reading.has(n := f"{directory}{hook}.{e}")), None
        )
        if name is not None:
            yield hook, reading.parse(name)


def as_hook(hook: str, entry: Node) -> Node:
    """Return the configuration that a file per hook makes up alone."""
    return _with_hook(Node("map", entry.mark), hook, entry)


def _with_hook(root: Node, hook: str, entry: Node) -> Node:
    """Return the configuration with one hook laid over it."""
    hooks = root.items.get("hooks")
    if hooks is None or hooks.kind != "map":
        if hooks is not None and not hooks.is_null:
            return root  # no map: that is told when it is decoded, and nothing else of it
        hooks = Node("map", entry.mark)
    known = hooks.items.get(hook)
    entries = {**hooks.items, hook: entry if known is None else merge_entry(known, entry)}
    keys = {**hooks.keys, hook: hooks.keys.get(hook, entry.mark)}
    merged = Node("map", hooks.mark, items=entries, keys=keys)
    return Node(
        "map",
        root.mark,
        items={**root.items, "hooks": merged},
        keys={**root.keys, "hooks": root.keys.get("hooks", hooks.mark)},
    )


def _tell_replaced(reading: _Reading, root: Node, hook: str, entry: Node) -> None:
    """Say which jobs of a file per hook take the place of jobs written elsewhere."""
    known = _elements(root, "hooks", hook, "jobs")
    places = {name: job.mark for job in known if (name := name_of(job))}
    for job in _elements(entry, "jobs"):
        name = name_of(job)
        if name in places:
            message = f"takes the place of the job of that name at {places[name]}"
            reading.note(job.mark, f"hooks.{hook}.jobs[{name}]", message, Severity.HINT)


def _elements(node: Node, *keys: str) -> list[Node]:
    """Return the elements of the list that `keys` lead to, none when there is no such list."""
    for key in keys:
        found = node.items.get(key)
        if found is None:
            return []
        node = found
    return node.elements


def _extended(reading: _Reading, root: Node, file: str, seen: tuple[str, ...]) -> Iterator[Node]:
    """Yield what `root` extends, in order, each behind what it extends itself."""
    node = root.items.get("extends")
    if node is None or node.is_null:
        return
    for entry in node.elements if node.kind == "list" else [node]:
        named = _path_of(reading, entry)
        if named is None:
            continue
        path, optional = named
        name = os.path.normpath(os.path.join(os.path.dirname(file), path))
        problem = None
        if name.startswith("../") or name == ".." or os.path.isabs(name):
            problem = f"{path!r} leads out of the repository"
        elif name in seen:
            problem = f"{' -> '.join((*seen, name))} goes round in a circle"
        elif len(seen) > MAX_EXTENDS:
            problem = f"{name!r} is more than {MAX_EXTENDS} files away from {seen[0]}"
        elif reading.included > MAX_INCLUDED:
            return  # told already
        elif reading.included == MAX_INCLUDED:
            reading.included += 1
            problem = f"more than {MAX_INCLUDED} files are extended, some of them often"
        elif reading.has(name):
            reading.included += 1
            extended = reading.parse(name)
            yield from _extended(reading, extended, name, (*seen, name))
            yield extended
        elif not optional:
            problem = f"{name!r} does not exist (extended by {file})"
        if problem is not None:
            reading.note(entry.mark, "extends", problem)


def _path_of(reading: _Reading, entry: Node) -> tuple[str, bool] | None:
    """Return the path an entry of `extends` names, and whether the file may be missing.

    None for what names none; that is noted.
    """
    optional = False
    if entry.kind == "map" and "path" in entry.items and entry.items.keys() <= {"path", "optional"}:
        flag = entry.items.get("optional")
        if flag is not None and not isinstance(flag.value, bool):
            message = f"expected true or false, found {flag.describe()}"
            reading.note(flag.mark, "extends", message)
            return None
        optional = flag is not None and flag.value is True
        entry = entry.items["path"]
    if entry.kind != "scalar" or not entry.text or "\0" in entry.text:
        message = f"expected a path, or a map with path and optional, found {entry.describe()}"
        reading.note(entry.mark, "extends", message)
        return None
    return entry.text, optional
