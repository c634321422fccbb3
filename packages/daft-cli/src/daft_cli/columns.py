"""The option `--columns`: which columns a list has, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

import click


def chosen_columns(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the names in `text`, which stand between commas. Raises: UsageError."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in known or names.count(name) > 1:
            raise click.UsageError(f"column '{name}' is unknown or named twice: {', '.join(known)}")
    return names
