"""Which files make up a configuration, and laying them over each other.

The main file first, then what it extends, then a file per hook, then the local overlay: what
comes later overrides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from attrs import define, field, frozen

from .document import Node, parse
from .domain.merging import merge, merge_entry
from .domain.shape import HOOK_NAMES
from .errors import BadConfiguration, Mark, Problem, Severity

MAIN_NAMES = (
    "daft.yml",
    "daft.yaml",
    ".daft.yml",
    ".daft.yaml",
    ".config/daft.yml",
    ".config/daft.yaml",
)
MAX_EXTENDS = 16

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

    Raises: BadConfiguration for text that is no YAML, and for `extends` that leads nowhere.
    """
    reading = _Reading(read)
    main = next((name for name in MAIN_NAMES if reading.has(name)), None)
    if main is None:
        return None
    root = reading.parse(main)
    for node in _extended(reading, root, main, (main,)):
        root = merge(root, node)
    for hook, node in _per_hook(reading, main):
        root = _with_hook(root, hook, node)
    overlay = _overlay(reading, main)
    if overlay is not None:
        root = merge(root, reading.parse(overlay))
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

    def has(self, name: str) -> bool:
        if name not in self.found:
            data = self.read(name)
            if data is None:
                return False
            self.found[name] = data
        return True

    def parse(self, name: str) -> Node:
        return parse(self.found[name], name)

    def warn(self, file: str, message: str) -> None:
        mark = Mark(file=file, line=1, column=1)
        self.problems.append(Problem(mark=mark, message=message, severity=Severity.WARNING))


def _overlay(reading: _Reading, main: str) -> str | None:
    """Return the name of the local overlay; the old spelling counts where there is no other."""
    stem, ending = os.path.splitext(main)
    name, old = f"{stem}.local{ending}", f"{stem}-local{ending}"
    if reading.has(name):
        return name
    if not reading.has(old):
        return None
    reading.warn(old, f"the name is out of date; rename the file to {os.path.basename(name)}")
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


def _extended(reading: _Reading, root: Node, file: str, seen: tuple[str, ...]) -> Iterator[Node]:
    """Yield what `root` extends, in order, each behind what it extends itself."""
    node = root.items.get("extends")
    if node is None or node.is_null:
        return
    for entry in node.elements if node.kind == "list" else [node]:
        path, optional = _path_of(entry)
        name = os.path.normpath(os.path.join(os.path.dirname(file), path))
        if name.startswith("../") or name == ".." or os.path.isabs(name):
            raise _problem(entry, f"{path!r} leads out of the repository")
        if name in seen:
            raise _problem(entry, f"{' -> '.join((*seen, name))} goes round in a circle")
        if len(seen) > MAX_EXTENDS:
            raise _problem(entry, f"{name!r} is more than {MAX_EXTENDS} files away from {seen[0]}")
        if not reading.has(name):
            if optional:
                continue
            raise _problem(entry, f"{name!r} does not exist (extended by {file})")
        extended = reading.parse(name)
        yield from _extended(reading, extended, name, (*seen, name))
        yield extended


def _path_of(entry: Node) -> tuple[str, bool]:
    """Return the path an entry of `extends` names, and whether the file may be missing."""
    optional = False
    if entry.kind == "map" and "path" in entry.items and entry.items.keys() <= {"path", "optional"}:
        flag = entry.items.get("optional")
        if flag is not None and not isinstance(flag.value, bool):
            raise _problem(flag, f"expected true or false, found {flag.describe()}")
        optional = flag is not None and flag.value is True
        entry = entry.items["path"]
    if entry.kind != "scalar" or not entry.text or "\0" in entry.text:
        raise _problem(
            entry, f"expected a path, or a map with path and optional, found {entry.describe()}"
        )
    return entry.text, optional


def _problem(node: Node, message: str) -> BadConfiguration:
    return BadConfiguration((Problem(mark=node.mark, message=message, path="extends"),))
