"""Rows in Token-Oriented Object Notation: JSON's values, the names of columns said once.

Source: the TOON specification, "Arrays of Objects - Tabular Form", "Quoting Rules", "Escaping".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_QUOTED = re.compile(
    r"""[:"\\\[\]{},\n\r\t]|^\s|\s\Z|^-|^(?:true|false|null)\Z|^\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\Z"""
)
"""Text that would be read as something else without quotes."""
_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return `rows` as a document. columns: names of letters, digits and `_`, in their order."""
    if not rows:
        return "[0]:\n"
    lines = [f"[{len(rows)}]{{{','.join(columns)}}}:"]
    lines += ["  " + ",".join(_value(row[name]) for name in columns) for row in rows]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value).removesuffix(".0") if math.isfinite(value) else "null"
    text = str(value)
    if text and not _QUOTED.search(text):
        return text
    for char, escape in _ESCAPES:
        text = text.replace(char, escape)
    return f'"{text}"'
