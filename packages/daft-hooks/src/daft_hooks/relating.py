"""Taking `relations:` out of the tree of a file: the repositories that belong to this one."""

from __future__ import annotations

from .document import Node
from .domain.config import Relation
from .errors import Severity
from .reading import Reader, nearest

_KEYS = ("url", "name", "kind")


def read_relations(reader: Reader, node: Node | None, path: str) -> tuple[Relation, ...]:
    """Return the relations in the order of declaration, each URL once.

    What names no repository is told, and left out: nothing that runs depends on it.
    """
    if node is None:
        return ()
    if node.kind == "map":
        reader.wrong(node, path, "a list of URLs, or of maps with `url`, `name` and `kind`")
        return ()
    found: dict[str, Relation] = {}
    for element in [node] if node.kind == "scalar" else node.elements:
        relation = _relation(reader, element, path)
        if relation is None:
            continue
        if relation.url in found:
            told = f"{relation.url!r} stands here a second time"
            reader.note(element.mark, path, told, Severity.WARNING)
        found.setdefault(relation.url, relation)
    return tuple(found.values())


def _relation(reader: Reader, node: Node, path: str) -> Relation | None:
    given = {"url": node} if node.kind != "map" else {}
    for key, value, mark in reader.entries(node, path) if node.kind == "map" else []:
        if key in _KEYS:
            given[key] = value
        else:
            near = nearest(key, _KEYS)
            reader.note(mark, path, f"unknown field {key!r}, ignored{near}", Severity.WARNING)
    texts = {key: reader.text(value, f"{path}.{key}") or "" for key, value in given.items()}
    url = texts.get("url", "")
    if not url or not url.isprintable() or url.startswith("-"):
        told = f"{url!r} names no repository; `url` is what `git clone` takes"
        reader.note(node.mark, path, told, Severity.ERROR)
        return None
    return Relation(**{**texts, "url": url})
