"""Spans of time as options take them."""

from __future__ import annotations

import click

from daft_hooks.domain.quantities import seconds

LONGEST_S = 1000 * 365 * 86400.0
"""As good as for ever, and no calendar or clock fails at it."""


def seconds_of(option: str, text: str) -> float:
    """Return the seconds that `text` says. Raises: UsageError, which names the option."""
    try:
        return min(seconds(text), LONGEST_S)
    except ValueError as error:
        raise click.UsageError(f"{option}: {text!r}: {error}") from error
