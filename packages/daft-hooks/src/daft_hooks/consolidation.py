"""Bringing together two copies of a configuration file, as bytes."""

from __future__ import annotations

import yaml
from attrs import frozen

from .document import Node, parse
from .domain.consolidating import consolidate, is_same
from .dumping import as_text
from .errors import BadConfiguration


@frozen(kw_only=True)
class Merged:
    """What became of two copies of a file.

    content: what both say together; ours when there are conflicts. conflicts: paths of keys that
    both changed, each its way. loses_comments: one of the copies has comments, and `content` is
    neither of them as it is written, so it has none.
    """

    content: bytes
    conflicts: tuple[str, ...] = ()
    loses_comments: bool = False


def merge_files(
    ours: bytes, theirs: bytes, *, base: bytes | None, names: tuple[str, str]
) -> Merged:
    """Return what two copies of a file say together, by what both began with.

    base: None when nobody knows it. names: of our copy and of theirs, for messages. Where the
    result says what one copy says, it is that copy, byte for byte.
    Raises: BadConfiguration for what is no YAML.
    """
    if ours == theirs:
        return Merged(content=ours)
    began = _tolerant(base, names[0])
    mine, other = parse(ours, names[0]), parse(theirs, names[1])
    made = consolidate(began, mine, other)
    if made.conflicts or is_same(made.root, mine):
        return Merged(content=ours, conflicts=made.conflicts)
    if is_same(made.root, other):
        return Merged(content=theirs, loses_comments=has_comments(ours) and ours != base)
    text = as_text(made.root).encode("utf-8")
    return Merged(content=text, loses_comments=has_comments(ours) or has_comments(theirs))


def holds_already(ours: bytes, theirs: bytes, *, base: bytes | None, name: str) -> bool:
    """True when `ours` says all that `theirs` would add to it; False for what is no YAML."""
    try:
        made = merge_files(ours, theirs, base=base, names=(name, name))
    except BadConfiguration:
        return False  # a copy nobody can read holds nothing
    return not made.conflicts and made.content == ours


def has_comments(data: bytes) -> bool:
    """True when YAML holds a comment. Raises: BadConfiguration for what is no YAML."""
    parse(data, "")
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    end = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if "#" in text[end : token.start_mark.index]:
            return True
        end = max(end, token.end_mark.index)
    return "#" in text[end:]


def _tolerant(base: bytes | None, name: str) -> Node | None:
    if base is None:
        return None
    try:
        return parse(base, name)
    except BadConfiguration:
        return None  # it was broken when it was brought: then nothing is known of before
