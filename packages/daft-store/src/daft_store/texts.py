"""Text that SQLite cannot hold, and rows whose text is none.

Names from the system may hold bytes that are not UTF-8; Python carries them as lone surrogates.
A store that was damaged, or written by another hand, may hold bytes that are not UTF-8 either.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time: a shell prompt waits for this module
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    import apsw


def storable(text: str) -> str:
    """Return `text`, with whatever cannot be stored written as `\\udcXX`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def readable(
    cursor: Iterable[tuple[Any, ...]] | apsw.Cursor, skipped: Callable[[str], None]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `cursor`; one whose text is not UTF-8 is left out and told.

    skipped: called with the reason, for each row left out.
    """
    rows = iter(cursor)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            skipped(f"its text is not UTF-8: {error.object!r}")
            continue
        yield row
