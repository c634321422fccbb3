"""Changing a list in a configuration file, and nothing else in it.

Its items are texts, or maps of texts.

The text is changed where the list stands, so comments, order and layout stay. Several ways to
write the change are tried; one counts only if what it comes to, read again, is what was wanted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import yaml

from .document import Node, parse, resolve
from .errors import BadConfiguration, CannotEdit

_PLAIN = re.compile(r"[A-Za-z0-9._/][A-Za-z0-9._/-]*")
_BOM = b"\xef\xbb\xbf"

Item = str | Mapping[str, str]


def with_texts(data: bytes, key: str, texts: Sequence[Item], *, file: str) -> bytes:
    """Return a file with `texts` added to the end of the list at its key `key`.

    A list that is not there is made. file: the name, for messages.
    Raises: BadConfiguration for what is no YAML; CannotEdit, which says what to write by hand.
    """
    before = _list_at(parse(data, file), key)
    return _edited(data, key, [*before, *texts], file, _Adding(key, texts))


def without_texts(data: bytes, key: str, texts: Collection[Item], *, file: str) -> bytes:
    """Return a file with `texts` taken out of the list at its key `key`; they are as written there.

    A list that loses all of them stays, empty: an overlay may have said something else.
    Raises: as `with_texts`.
    """
    before = _list_at(parse(data, file), key)
    if not any(text in texts for text in before):
        return data
    left = [text for text in before if text not in texts]
    return _edited(data, key, left, file, _Removing(key, texts))


def item_of(node: Node) -> Item:
    """Return an item of a list as it is written; a value within that is no text counts as none."""
    if node.kind == "map":
        return {key: value.text for key, value in node.items.items()}
    return node.text


def _list_at(root: Node, key: str) -> list[Item]:
    node = root.items.get(key)
    if node is None or node.is_null:
        return []
    return [item_of(one) for one in (node.elements if node.kind == "list" else [node])]


def _edited(
    data: bytes, key: str, wanted: list[Item], file: str, ways: _Adding | _Removing
) -> bytes:
    """Return the first way to write it that comes to `wanted`, all else as it was."""
    mark = _BOM if data.startswith(_BOM) else b""
    text = data.removeprefix(_BOM).decode("utf-8")
    rest = _others(parse(data, file), key)
    for candidate in ways.of(text):
        made = mark + candidate.encode("utf-8")
        try:
            root = parse(made, file)
        except BadConfiguration:
            continue
        if _list_at(root, key) == wanted and _others(root, key) == rest:
            return made
    lines = "".join(f"\n  - {_written(one)}" for one in wanted) or " []"
    raise CannotEdit(file, f"{key}:{lines}")


def _others(root: Node, key: str) -> str:
    """Return all that a file says but for one key."""
    return json.dumps({name: one.to_plain() for name, one in root.items.items() if name != key})


class _Text:
    """A file as text with positions. Source of positions: PyYAML's marks."""

    def __init__(self, text: str, key: str) -> None:
        self.text = text
        self.eol = "\r\n" if "\r\n" in text else "\n"
        self.root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        self.key: Any = None
        self.value: Any = None
        for name, value in self.root.value if isinstance(self.root, yaml.MappingNode) else ():
            if name.value == key:
                self.key, self.value = name, value

    def put(self, start: int, end: int, new: str) -> str:
        """Return the text with a part of it replaced."""
        return self.text[:start] + new + self.text[end:]

    def line_end(self, index: int) -> int:
        """Return where the line of a position ends, before its line break."""
        found = self.text.find("\n", index)
        if found < 0:
            return len(self.text)
        return found - 1 if self.text[found - 1 : found] == "\r" else found

    def source(self, node: Any) -> str:
        """Return a value as it is written."""
        return self.text[node.start_mark.index : node.end_mark.index]


class _Adding:
    def __init__(self, key: str, texts: Sequence[Item]) -> None:
        self._key = key
        self._new = [_written(text) for text in texts]

    def of(self, text: str) -> Iterator[str]:
        """Yield ways to write it."""
        at = _Text(text, self._key)
        if at.value is None:
            yield from self._new_key(at)
        elif isinstance(at.value, yaml.ScalarNode):
            yield from self._scalar(at)
        elif isinstance(at.value, yaml.SequenceNode) and at.value.flow_style:
            yield from self._flow(at)
        elif isinstance(at.value, yaml.SequenceNode):
            yield from self._block(at)

    def _new_key(self, at: _Text) -> Iterator[str]:
        if at.root is not None and at.root.flow_style:
            end = at.root.end_mark.index - 1
            entry = f"{self._key}: [{', '.join(self._new)}]"
            yield at.put(end, end, f", {entry}")
            yield at.put(end, end, entry)
            return
        indent = " " * (0 if at.root is None else at.root.start_mark.column)
        lines = [f"{indent}{self._key}:", *(f"{indent}  - {one}" for one in self._new)]
        entry = "".join(f"{line}{at.eol}" for line in lines)
        gap = "" if not at.text or at.text.endswith("\n") else at.eol
        yield at.text + gap + entry
        if at.root is not None:  # there is a mark of the document's end behind it
            end = at.root.end_mark.index
            yield at.put(end, end, entry)

    def _scalar(self, at: _Text) -> Iterator[str]:
        start, end = at.value.start_mark.index, at.value.end_mark.index
        old = at.source(at.value)
        is_null = not at.value.style and resolve(at.value.value) is None
        items = ", ".join(self._new if is_null else [old, *self._new])
        yield at.put(start, end, f"[{items}]")
        yield at.put(start, end, f" [{items}]")

    def _flow(self, at: _Text) -> Iterator[str]:
        items = ", ".join(self._new)
        if at.value.value:
            end = at.value.value[-1].end_mark.index
            yield at.put(end, end, f", {items}")
        else:
            start = at.value.start_mark.index + 1
            yield at.put(start, start, items)

    def _block(self, at: _Text) -> Iterator[str]:
        indent = " " * at.value.start_mark.column
        end = at.line_end(_end(at.value.value[-1]))
        lines = "".join(f"{at.eol}{indent}- {one}" for one in self._new)
        yield at.put(end, end, lines)


class _Removing:
    def __init__(self, key: str, texts: Collection[Item]) -> None:
        self._key = key
        self._gone = texts

    def of(self, text: str) -> Iterator[str]:
        """Yield ways to write it."""
        at = _Text(text, self._key)
        if isinstance(at.value, yaml.ScalarNode):
            yield at.put(at.value.start_mark.index, at.value.end_mark.index, "[]")
        elif isinstance(at.value, yaml.SequenceNode):
            left = [one for one in at.value.value if _value(one) not in self._gone]
            if not at.value.flow_style:
                yield self._lines(at, bool(left))
            else:
                items = ", ".join(at.source(one) for one in left)
                yield at.put(at.value.start_mark.index, at.value.end_mark.index, f"[{items}]")

    def _lines(self, at: _Text, any_left: bool) -> str:
        """Return the text without the lines of what goes, with the remarks on them."""
        text = at.text
        for one in reversed(at.value.value):
            if _value(one) in self._gone:
                start = text.rfind("\n", 0, one.start_mark.index) + 1
                end = text.find("\n", _end(one)) + 1
                text = text[:start] + text[end or len(text) :]
        if any_left:
            return text
        colon = text.index(":", at.key.end_mark.index) + 1
        return f"{text[:colon]} []{text[colon:]}"


def _value(node: Any) -> Item:
    """Return what `item_of` does, of a node of PyYAML."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: value.value for key, value in node.value}
    return str(node.value)


def _end(node: Any) -> int:
    """Return where a value ends; a block's own mark is where the next one begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _written(text: Item) -> str:
    """Return an item as YAML, with quotes where it needs them."""
    if not isinstance(text, str):
        return f"{{{', '.join(f'{key}: {_written(value)}' for key, value in text.items())}}}"
    if _PLAIN.fullmatch(text) and isinstance(resolve(text), str):
        return text
    return json.dumps(text, ensure_ascii=False)
