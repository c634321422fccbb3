"""Taking `env:` out of the tree of a file: ports and values that worktrees derive."""

from __future__ import annotations

import posixpath
import re

from .document import Node
from .domain.config import EnvConfig
from .domain.deriving import PLACEHOLDERS, blocks, templates_of
from .errors import Mark, Severity
from .reading import Reader, nearest

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_RANGE = re.compile(r"\s*(\d{1,9})\s*-\s*(\d{1,9})\s*")
LAST_PORT = 65535


def read_env(reader: Reader, node: Node | None, path: str) -> EnvConfig | None:
    """Return what `env:` declares, None when there is none.

    What breaks a rule is told, and left out: hooks run without it.
    """
    if node is None:
        return None
    if node.is_null:
        return EnvConfig()
    if node.kind != "map":
        reader.wrong(node, path, "a map with ports and values")
        return None
    given = reader.fields(node, path, "env")
    usual = EnvConfig()
    scheme = reader.number(given.get("scheme"), f"{path}.scheme", 1)
    if scheme not in (None, 1):
        message = f"only 1 is known, found {scheme}"
        reader.note(given["scheme"].mark, f"{path}.scheme", message, Severity.ERROR)
    first, last = _range(reader, given.get("range"), f"{path}.range") or (
        usual.first_port,
        usual.last_port,
    )
    size = reader.number(given.get("block_size"), f"{path}.block_size", 1) or usual.block_size
    names: dict[str, Mark] = {}
    offsets = _ports(reader, given.get("ports"), f"{path}.ports", size, names)
    values = _values(reader, given.get("values"), f"{path}.values", offsets, names)
    env = EnvConfig(
        salt=reader.text(given.get("salt"), f"{path}.salt"),
        first_port=first,
        last_port=last,
        block_size=size,
        offsets=offsets,
        values=values,
        write=_write(reader, given.get("write"), f"{path}.write"),
    )
    if blocks(env) < 2:
        where = given.get("range", given.get("block_size", node))
        message = f"{first}-{last} is too small for two blocks of {size} ports in its lower half"
        reader.note(where.mark, path, message, Severity.ERROR)
        return EnvConfig()
    return env


def _write(reader: Reader, node: Node | None, path: str) -> str | None:
    text = reader.text(node, path)
    if node is None or text is None:
        return None
    if not is_inside(text):
        message = f"{text!r} is no path inside of the worktree"
        reader.note(node.mark, path, message, Severity.ERROR)
        return None
    return text


def is_inside(path: str) -> bool:
    """True for a relative path that does not lead out of where it begins."""
    whole = posixpath.normpath(path)
    return path != "" and not posixpath.isabs(path) and whole.split("/")[0] not in ("..", ".")


def parse_range(text: str) -> tuple[int, int] | None:
    """Return the first and the last port of `20000-32767`, None for what is no such range."""
    found = _RANGE.fullmatch(text)
    first, last = (int(found[1]), int(found[2])) if found is not None else (0, 0)
    return (first, last) if 1 <= first <= last <= LAST_PORT else None


def _range(reader: Reader, node: Node | None, path: str) -> tuple[int, int] | None:
    text = reader.text(node, path)
    if node is None or text is None:
        return None
    found = parse_range(text)
    if found is None:
        message = f"{text!r} is no range of ports such as 20000-32767 (1 to {LAST_PORT})"
        reader.note(node.mark, path, message, Severity.ERROR)
    return found


def _ports(
    reader: Reader, node: Node | None, path: str, size: int, names: dict[str, Mark]
) -> dict[str, int]:
    if node is None:
        return {}
    if node.kind == "map":
        reader.wrong(node, path, "a list of names, each `NAME` or `NAME: offset`")
        return {}
    offsets: dict[str, int] = {}
    previous = -1
    for element in [node] if node.kind == "scalar" else node.elements:
        entries = reader.entries(element, path) if element.kind == "map" else []
        if element.kind == "scalar":
            name, mark, offset = element.text, element.mark, previous + 1
        elif len(entries) == 1:
            name, value, mark = entries[0]
            given = reader.number(value, f"{path}.{name}", 0)
            offset = previous + 1 if given is None else given
        else:
            reader.wrong(element, path, "`NAME` or `NAME: offset`")
            continue
        previous = offset
        if not _is_free(reader, name, mark, path, names):
            continue
        taken = next((other for other, one in offsets.items() if one == offset), None)
        if taken is not None:
            message = f"{name} has the offset {offset}, which {taken} has already"
            reader.note(mark, path, message, Severity.ERROR)
        elif offset >= size:
            message = f"{name} has the offset {offset}, and a block only {size} ports (block_size)"
            reader.note(mark, path, message, Severity.ERROR)
        else:
            offsets[name] = offset
    return offsets


def _values(
    reader: Reader,
    node: Node | None,
    path: str,
    offsets: dict[str, int],
    names: dict[str, Mark],
) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value, mark in reader.entries(node, path):
        text = reader.text(value, f"{path}.{name}") or ""
        if not _is_free(reader, name, mark, path, names):
            continue
        problem = next(filter(None, (_unknown(word, offsets) for word in templates_of(text))), None)
        if problem is not None:
            reader.note(value.mark, f"{path}.{name}", problem, Severity.ERROR)
        else:
            values[name] = text
    return dict(sorted(values.items()))


def _unknown(word: str, offsets: dict[str, int]) -> str | None:
    """Return what is wrong with a placeholder, None when it is known."""
    if word.startswith("env:"):
        port = word[4:]
        if port in offsets:
            return None
        return f"{{{word}}} is no port declared here{nearest(port, offsets)}"
    if word in PLACEHOLDERS:
        return None
    known = ", ".join(PLACEHOLDERS)
    near = nearest(word, PLACEHOLDERS)
    return f"unknown placeholder {{{word}}}{near} (known: {known}, env:<port>)"


def _is_free(reader: Reader, name: str, mark: Mark, path: str, names: dict[str, Mark]) -> bool:
    """True for a name that may be declared; otherwise the problem is noted."""
    problem = None
    if not _NAME.fullmatch(name):
        problem = f"{name!r} is no name such as WEB_PORT: capitals, digits and _"
    elif name.startswith("DAFT_"):
        problem = f"{name}: names that begin with DAFT_ are taken"
    elif name in names:
        problem = f"{name} is declared a second time, first at {names[name]}"
    names.setdefault(name, mark)
    if problem is not None:
        reader.note(mark, path, problem, Severity.ERROR)
    return problem is None
