"""A merged configuration as text again, in the order its files have it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import yaml

from .document import Node, resolve

_WIDTH = 2**20  # never fold a command


def as_yaml(root: Node, *, hook: str | None = None) -> str:
    """Return `root` as YAML which, loaded, is the same configuration.

    hook: only this one. `extends` is left out: what it named is merged in already.
    Raises: KeyError when there is no such hook.
    """
    return as_text(chosen(root, hook))


def as_text(root: Node) -> str:
    """Return a whole file as YAML which, read, says the same."""
    events = [
        yaml.StreamStartEvent(),
        yaml.DocumentStartEvent(explicit=False),
        *_events(root),
        yaml.DocumentEndEvent(explicit=False),
        yaml.StreamEndEvent(),
    ]
    text: str = yaml.emit(events, allow_unicode=True, width=_WIDTH)
    return text


def as_json(root: Node, *, hook: str | None = None) -> str:
    """Return `root` as JSON, the values as YAML 1.2 means them. Raises: as `as_yaml`."""
    return json.dumps(chosen(root, hook).to_plain(), indent=2, ensure_ascii=False) + "\n"


def with_origins(root: Node, *, hook: str | None = None) -> str:
    """Return one line for each value: where it stands, its path, and what it is.

    Raises: as `as_yaml`.
    """
    return "".join(f"{line}\n" for line in _origins(chosen(root, hook), ""))


def chosen(root: Node, hook: str | None) -> Node:
    """Return what is shown of `root`. Raises: KeyError when there is no such hook."""
    items = {key: node for key, node in root.items.items() if key != "extends"}
    if hook is not None:
        hooks = items["hooks"]
        only = Node("map", hooks.mark, items={hook: hooks.items[hook]}, keys=hooks.keys)
        items = {"hooks": only}
    return Node("map", root.mark, items=items, keys=root.keys)


def _events(node: Node) -> Iterator[yaml.Event]:
    if node.kind == "map":
        yield yaml.MappingStartEvent(None, None, True, flow_style=not node.items)
        for key, value in node.items.items():
            yield _text(key)
            yield from _events(value)
        yield yaml.MappingEndEvent()
    elif node.kind == "list":
        yield yaml.SequenceStartEvent(None, None, True, flow_style=not node.elements)
        for element in node.elements:
            yield from _events(element)
        yield yaml.SequenceEndEvent()
    elif isinstance(node.value, str):
        yield _text(node.value)
    else:
        # As it was written: `017` and `1.0` may be meant as texts by whoever reads them.
        yield yaml.ScalarEvent(None, None, (True, True), node.text or "null")


def _text(text: str) -> yaml.ScalarEvent:
    style = None
    if not text.replace("\n", "").isprintable():
        style = '"'  # with escapes: other breaks and controls do not survive bare
    elif "\n" in text:
        style = "|"
    elif not isinstance(resolve(text), str):
        style = '"'  # bare, it would be a number, a boolean or nothing
    return yaml.ScalarEvent(None, None, (True, True), text, style=style)


def _origins(node: Node, path: str) -> Iterator[str]:
    if node.kind == "map" and node.items:
        for key, value in node.items.items():
            yield from _origins(value, f"{path}.{key}" if path else key)
    elif node.kind == "list" and node.elements:
        for place, element in enumerate(node.elements):
            yield from _origins(element, f"{path}[{place}]")
    else:
        shown = json.dumps(node.to_plain(), ensure_ascii=False)
        yield f"{node.mark}\t{path}\t{shown}"
