"""Placeholders in configuration texts: one pass from left to right, values never read again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{([a-z_]+)(\|q)?\}")


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with every known `{name}` replaced; an unknown one stays as it is written.

    `{name|q}` is replaced by the value quoted for the shell.
    """

    def value_of(found: re.Match[str]) -> str:
        value = values.get(found[1])
        if value is None:
            return found[0]
        return shlex.quote(value) if found[2] else value

    return _PLACEHOLDER.sub(value_of, text)


def placeholders(text: str) -> list[str]:
    """Return the names in braces, in order."""
    return [name for name, _ in _PLACEHOLDER.findall(text)]


def bare_placeholders(text: str) -> list[str]:
    """Return the names in braces that are not quoted for the shell, in order."""
    return [name for name, quoted in _PLACEHOLDER.findall(text) if not quoted]
