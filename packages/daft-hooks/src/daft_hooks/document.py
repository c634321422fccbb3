"""YAML text to a tree that remembers where everything stood.

The dialect is YAML 1.2's core schema: `yes`, `no`, `on` are texts, and so are dates. Built from
the parser's events without recursion and with limits, so that no file can exhaust us.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import yaml
from attrs import define

from .errors import BadConfiguration, Mark, Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOOLEANS = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

Plain = str | bool | int | float | None


_NO_ITEMS: dict[str, Node] = {}
_NO_KEYS: dict[str, Mark] = {}
_NO_ELEMENTS: list[Node] = []
"""What a node of another kind has; shared, as most nodes are scalars. Nobody adds to them."""


@define(eq=False)
class Node:
    """A map, a list or a scalar.

    text: a scalar as it was written; `value` is what the core schema makes of it.
    items: of a map, in file order; keys have marks of their own. elements: of a list.
    """

    kind: Literal["map", "list", "scalar"]
    mark: Mark
    text: str = ""
    value: Plain = None
    items: dict[str, Node] = _NO_ITEMS
    keys: dict[str, Mark] = _NO_KEYS
    elements: list[Node] = _NO_ELEMENTS

    @property
    def is_null(self) -> bool:
        """True for an absent value: `key:` or `key: ~`."""
        return self.kind == "scalar" and self.value is None

    def describe(self) -> str:
        """Return what it is, for an error message."""
        if self.kind != "scalar":
            return f"a {self.kind}"
        if self.value is None:
            return "nothing"
        kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a text"}
        return f"{kinds[type(self.value)]} ({self.text!r})"

    def to_plain(self) -> object:
        """Return maps, lists and scalars of Python, without positions."""
        if self.kind == "map":
            return {key: node.to_plain() for key, node in self.items.items()}
        if self.kind == "list":
            return [node.to_plain() for node in self.elements]
        return self.value if not isinstance(self.value, float) else self.text


def parse(data: bytes, file: str) -> Node:
    """Return the document in `data`; an empty file is an empty map.

    file: its name, for messages. Raises: BadConfiguration with the place of the first fault.
    """
    text = _decode(data, file)
    builder = _Builder(file, text)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        what = error.problem or "it is no YAML"
        if "\\t" in what or "'\t'" in what or "cannot start any token" in what:
            what += " (indent with blanks, not tabs)"
        raise _fault(file, text, line, column, f"not valid YAML: {what}") from error
    except yaml.YAMLError as error:
        raise _fault(file, text, 1, 1, f"not valid YAML: {error}") from error
    return builder.finish()


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise _fault(file, "", 1, 1, f"the file is larger than {MAX_BYTES} bytes")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _fault(file, "", 1, 1, "the file is UTF-16; save it as UTF-8")
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _fault(file, "", line, 1, "the file is not UTF-8") from error


def _fault(file: str, text: str, line: int, column: int, message: str) -> BadConfiguration:
    lines = text.split("\n")
    excerpt = lines[line - 1] if 0 < line <= len(lines) else ""
    mark = Mark(file=file, line=line, column=column)
    return BadConfiguration((Problem(mark=mark, message=message, excerpt=excerpt),))


class _Builder:
    """Makes nodes of events, with a stack of its own instead of Python's."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._root: Node | None = None
        self._stack: list[tuple[Node, tuple[str, Mark] | None]] = []
        self._anchors: dict[str, Node] = {}
        self._sizes: dict[int, int] = {}
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        # Once for every word of the file: looked up by type, the most frequent first.
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._close()
        elif kind is yaml.SequenceStartEvent:
            self._open(Node("list", self._mark(event), elements=[]), event.anchor)
        elif kind is yaml.MappingStartEvent:
            self._open(Node("map", self._mark(event), items={}, keys={}), event.anchor)
        elif kind is yaml.AliasEvent:
            self._alias(event, self._mark(event))
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                problem = "the file holds several documents; keep one"
                raise self._error(self._mark(event), problem)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        text = event.value
        stack = self._stack
        if stack and not event.anchor and stack[-1][1] is None and stack[-1][0].kind == "map":
            self._key(text, self._mark(event))
            return
        # Only what stands without quotes can be anything but a text.
        value = resolve(text) if event.implicit[0] and not event.style else text
        self._count(1)
        node = Node("scalar", self._mark(event), text, value)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._place(node)

    def finish(self) -> Node:
        root = self._root
        if root is None or root.is_null:
            return Node("map", Mark(self._file, 1, 1))
        if root.kind != "map":
            raise self._error(root.mark, f"the top level must be a map, found {root.describe()}")
        return root

    def _open(self, node: Node, anchor: str | None) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise self._error(node.mark, f"nested deeper than {MAX_DEPTH} levels")
        if self._stack and self._stack[-1][0].kind == "map" and self._stack[-1][1] is None:
            raise self._error(node.mark, "a key must be a text")
        self._count(1, node.mark)
        if anchor:
            self._anchors[anchor] = node
        self._sizes[id(node)] = self._nodes
        self._stack.append((node, None))

    def _close(self) -> None:
        node, _ = self._stack.pop()
        self._sizes[id(node)] = self._nodes - self._sizes[id(node)] + 1
        self._place(node)

    def _alias(self, event: yaml.AliasEvent, mark: Mark) -> None:
        target = self._anchors.get(event.anchor or "")
        if target is None:
            raise self._error(mark, f"no anchor &{event.anchor} above")
        if any(node is target for node, _ in self._stack):
            raise self._error(mark, f"*{event.anchor} would contain itself")
        # An alias counts as all it stands for: a few lines can stand for billions of nodes.
        self._count(self._sizes.get(id(target), 1), mark)
        self._place(target)

    def _place(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        parent, key = self._stack[-1]
        if parent.kind == "list":
            parent.elements.append(node)
            return
        if key is None:
            if node.kind != "scalar":
                raise self._error(node.mark, "a key must be a text")
            self._key(node.text, node.mark)
            return
        name, mark = key
        self._stack[-1] = (parent, None)
        if name == "<<" and node.kind == "map":
            for inherited, value in node.items.items():
                if inherited not in parent.items:
                    parent.items[inherited] = value
            return
        parent.items[name] = node
        parent.keys[name] = mark

    def _key(self, name: str, mark: Mark) -> None:
        parent, _ = self._stack[-1]
        first = parent.keys.get(name)
        if first is not None:
            raise self._error(mark, f"{name!r} stands here a second time, first at {first}")
        self._count(1, mark)
        self._stack[-1] = (parent, (name, mark))

    def _count(self, nodes: int, mark: Mark | None = None) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            where = mark or Mark(self._file, 1, 1)
            raise self._error(where, f"more than {MAX_NODES} values, aliases counted in full")

    def _mark(self, event: Any) -> Mark:
        start = event.start_mark
        return Mark(self._file, start.line + 1, start.column + 1)

    def _error(self, mark: Mark, message: str) -> BadConfiguration:
        return _fault(self._file, self._text, mark.line, mark.column, message)


def resolve(text: str) -> Plain:
    """Return what YAML 1.2's core schema makes of a plain scalar."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INT.fullmatch(text):
        digits = text.lstrip("+-")
        # Python refuses texts of thousands of digits; nobody means a number by those.
        if len(digits) > 18:
            return text
        return int(text, 0) if digits[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
