"""Instants as text: one fixed form, so that the order of texts is the order of times."""

from __future__ import annotations

from datetime import UTC, datetime


def to_text(moment: datetime) -> str:
    """Return an aware instant as `2026-01-02T03:04:05.000006+00:00`.

    Raises: ValueError for one without zone, which would be taken for local time.
    """
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise ValueError(f"{moment} has no time zone")
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")


def from_text(text: str) -> datetime:
    """Return the instant in any RFC 3339 text, `Z` included, in UTC.

    Raises: ValueError for anything else, a time without zone included.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
