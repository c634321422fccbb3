"""Durations and sizes as people write them."""

from __future__ import annotations

import re

_DURATION_PART = re.compile(r"(\d+)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"\s*(\d+)\s*([KMG]i?B|B|)\s*", re.IGNORECASE)
_POWERS = {"": 0, "b": 0, "kb": 1, "kib": 1, "mb": 2, "mib": 2, "gb": 3, "gib": 3}
_LIMIT = 2**62


def seconds(text: str) -> float:
    """Return the seconds in `30s`, `5m`, `1h30m`, `7d`, … Raises: ValueError for another text."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError("a duration is a number with ms, s, m, h, d or w, such as 90s or 1h30m")
    total = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if total > _LIMIT:
        raise ValueError("the duration is too long")
    return float(total)


def size_bytes(text: str) -> int:
    """Return the bytes in `500`, `10KB`, `2 GiB`, …, by powers of 1024. Raises: ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("a size is a number with B, KB, MB or GB, such as 10MB")
    total = int(found[1]) * 1024 ** _POWERS[found[2].lower()]
    if total > _LIMIT:
        raise ValueError("the size is too large")
    return int(total)
