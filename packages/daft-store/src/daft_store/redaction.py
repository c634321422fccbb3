"""Keeping secrets off the disk: which variables are not stored, and which lose a part."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

SECRET_NAMES = frozenset(
    {
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PGPASSWORD",
        "MYSQL_PWD",
        "AWS_ACCESS_KEY_ID",
    }
)
SECRET_SUFFIXES = (
    "_TOKEN",
    "_SECRET",
    "_KEY",
    "_PASSWORD",
    "_PASSWD",
    "_PASSPHRASE",
    "_CREDENTIALS",
    "_PAT",
    "_DSN",
    "_AUTH",
)

_PASSWORD = re.compile(r"(://[^\s/?#:@]*):[^\s/?#]+@")
"""`://user:password@`, of which the first group stays."""


def scrub(
    environment: Mapping[str, str],
    *,
    extra: Collection[str] = (),
    keep: Collection[str] = (),
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what may be stored, and the sorted names of what may not.

    Names are compared without case, by `SECRET_NAMES` and `SECRET_SUFFIXES`. A URL in a value
    keeps everything but its password, and the name is then reported as well.
    extra, keep: the user's own additions and exceptions, exact names in any case.
    """
    also = {name.upper() for name in extra}
    spare = {name.upper() for name in keep}
    kept: dict[str, str] = {}
    removed: list[str] = []
    for name, value in environment.items():
        upper = name.upper()
        if upper not in spare and (upper in also or _is_secret(upper)):
            removed.append(name)
            continue
        stripped = _without_password(value)
        if stripped != value and upper not in spare:
            removed.append(name)
        else:
            stripped = value
        kept[name] = stripped
    return kept, tuple(sorted(removed))


def _is_secret(upper_name: str) -> bool:
    return upper_name in SECRET_NAMES or upper_name.endswith(SECRET_SUFFIXES)


def _without_password(value: str) -> str:
    # A value may hold several URLs, and a password any byte that ends no authority.
    return _PASSWORD.sub(r"\1@", value)
