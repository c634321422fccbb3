"""Placeholders in configuration texts: one pass from left to right, values never read again."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with every known `{name}` replaced; an unknown one stays as it is written."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def placeholders(text: str) -> list[str]:
    """Return the names in braces, in order."""
    return _PLACEHOLDER.findall(text)
