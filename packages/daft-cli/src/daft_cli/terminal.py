"""What may reach a terminal, and how it looks there."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # the listing of jobs imports this module and must not pay for typing
    from collections.abc import Sequence
    from typing import TextIO

_STYLES = {
    "green": "32",
    "red": "31",
    "yellow": "33",
    "blue": "34",
    "dim": "2",
    "bold": "1",
}


_NARROW = dict.fromkeys(map(ord, "→↪✓✗⟳—·…●│✦⇡⇣"), " ")
"""Signs of our own, which need no looking up."""


def has_colour(stream: TextIO) -> bool:
    """True when `stream` is a terminal and the user does not forbid colour."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, style: str, *, on: bool) -> str:
    """Return `text` in `style` when colour is on."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if on else text


def harmless(text: str) -> str:
    """Return `text` without anything that could drive a terminal; tabs stay.

    What a job prints is data of somebody else's making: escape sequences could rewrite the
    screen, the title or the clipboard.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char == "\t" or (char >= " " and not "\x7f" <= char <= "\x9f")
        else f"\\x{ord(char):02x}"
        for char in text
    )


def harmless_lines(text: str) -> str:
    """Return `text` as `harmless` does, with its newlines."""
    return "\n".join(map(harmless, text.split("\n")))


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    found = _WIDTHS.get(text)
    if found is None:
        found = _WIDTHS[text] = _measured(text)
    return found


_WIDTHS: dict[str, int] = {}
"""Of texts in more than ASCII: a listing has few, and each of them often."""


def _measured(text: str) -> int:
    if text.translate(_NARROW).isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(1 + (east_asian_width(char) in "WF") for char in text if not combining(char))


def padded(text: str, columns: int) -> str:
    """Return `text` with blanks behind it, so that it takes as many columns."""
    if text.isascii():
        return text.ljust(columns)
    return text + " " * (columns - width(text))


def in_columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return each row as a line; its parts stand below those of the others."""
    widths = [max(map(width, column)) for column in zip(*rows)]  # noqa: B905
    return ["  ".join(map(padded, row, widths)).rstrip() for row in rows]


def show_path(path: str) -> str:
    """Return `path` relative to the current directory when that is shorter."""
    try:
        relative = os.path.relpath(path)
    except OSError:
        return path  # the current directory is gone
    return relative if len(relative) < len(path) else path


def warn(text: str) -> None:
    """Print a warning on standard error."""
    sys.stderr.write(f"warning: {harmless_lines(text)}\n")


_TOLD: set[str] = set()


def warn_once(text: str) -> None:
    """Print a warning that this process has not printed yet."""
    if text not in _TOLD:
        _TOLD.add(text)
        warn(text)


def duration(seconds: float) -> str:
    """Return a span for people: `36ms`, `12s`, `1m32s`, `1h5m`, `2d3h`."""
    if seconds < 1:
        return f"{max(0, int(seconds * 1000))}ms"
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def age(seconds: float) -> str:
    """Return how long ago: `5s`, `3m`, `2h`, `6d`, `3w`, `5mo`, `1y`."""
    whole = max(0, int(seconds))
    for limit, unit, step in (
        (60, "s", 1),
        (3600, "m", 60),
        (86400, "h", 3600),
        (7 * 86400, "d", 86400),
        (30 * 86400, "w", 7 * 86400),
        (365 * 86400, "mo", 30 * 86400),
    ):
        if whole < limit:
            return f"{whole // step}{unit}"
    return f"{whole // (365 * 86400)}y"


def size(count: float) -> str:
    """Return bytes for people: `500 B`, `1.5 KB`, `2.0 GB`; by powers of 1024."""
    if count < 1024:
        return f"{int(count)} B"
    for unit in ("KB", "MB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} GB"
