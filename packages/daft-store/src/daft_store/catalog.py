"""The catalog: the repositories a user works in, by name, also when they are gone.

Asked on the way to a shell prompt, so reading loads apsw and nothing else of weight.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from . import listing
from .texts import readable, storable

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from collections.abc import Callable, Iterable

SCHEMA_VERSION = 1
LEAST_DIGITS = 4
OF_UUID = """
SELECT uuid, name, path, git_common_dir, remote_url, remote_url_normalized, default_branch,
       created_at, updated_at, removed_at
  FROM catalog_repos WHERE uuid = ?
"""
EVERY = """
SELECT uuid, name, path, git_common_dir, remote_url, remote_url_normalized, default_branch,
       created_at, updated_at, removed_at
  FROM catalog_repos ORDER BY name, removed_at IS NOT NULL, removed_at DESC, uuid
"""


class Entry(NamedTuple):
    """One repository.

    uuid: its identity. path: its project root. remote_url: without secrets. Times are RFC 3339.
    removed_at: None as long as it is in use.
    """

    uuid: str
    name: str
    path: str
    git_common_dir: str
    remote_url: str | None
    remote_url_normalized: str | None
    default_branch: str | None
    created_at: str
    updated_at: str
    removed_at: str | None

    @property
    def is_live(self) -> bool:
        """True when it was not taken out of the catalog."""
        return self.removed_at is None


class Sighting(NamedTuple):
    """A repository as it was just seen. default_branch: None when nobody has looked."""

    uuid: str
    path: str
    git_common_dir: str
    remote_url: str | None
    default_branch: str | None = None


def catalog_path(data_root: str) -> str:
    """Return where the catalog is in a data directory."""
    return os.path.join(data_root, "catalog", "catalog.db")


class CatalogReader:
    """The catalog as it is, open for reading until `close`. A missing one is empty.

    skipped: called with the reason for each row that cannot be read and is left out.
    Raises: ListingError, here and from every question.
    """

    def __init__(self, data_root: str, *, skipped: Callable[[str], None]) -> None:
        self._path = catalog_path(data_root)
        self._skipped = skipped
        self._db = listing.open_listing(self._path, schema_version=SCHEMA_VERSION)

    def __enter__(self) -> CatalogReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()

    def of_uuid(self, uuid: str) -> Entry | None:
        """Return the repository of this identity."""
        return next(iter(self._rows(OF_UUID, (uuid,))), None)

    def every(self) -> list[Entry]:
        """Return all by name; of one name the live one first, then the last removed."""
        return self._rows(EVERY, ())

    def _rows(self, statement: str, values: tuple[str, ...]) -> list[Entry]:
        if self._db is None:
            return []
        try:
            rows = readable(self._db.execute(statement, values), self._skipped)
            return [Entry(*row) for row in rows]
        except Exception as error:
            if type(error).__module__ != "apsw":
                raise
            raise listing.trouble(self._path, error) from error


def says_the_same(known: Entry, seen: Sighting) -> bool:
    """True when an entry needs no change for what was seen."""
    return (
        known.is_live
        and known.git_common_dir == storable(seen.git_common_dir)
        # Where two repositories share a root, one of them goes by its git directory.
        and known.path in (storable(seen.path), known.git_common_dir)
        and known.remote_url == (None if seen.remote_url is None else storable(seen.remote_url))
        and seen.default_branch in (None, known.default_branch)
    )


def meant(entries: Iterable[Entry], word: str) -> list[Entry]:
    """Return what `word` means: a name, or the start of an identity (4 digits or more).

    A live repository of that name counts before the last removed one, and a name before an
    identity. Only the start of an identity can mean several.
    """
    known = list(entries)
    named = [one for one in known if one.name == storable(word)]
    if named:
        return [max(named, key=_newest)]
    start = word.lower()
    if len(start) < LEAST_DIGITS:
        return []
    return [one for one in known if one.uuid.startswith(start)]


def at(entries: Iterable[Entry], path: str) -> Entry | None:
    """Return the one whose root or git directory `path` (canonical) is, a live one first."""
    place = storable(path)
    found = [one for one in entries if place in (one.path, one.git_common_dir)]
    return max(found, key=_newest, default=None)


def _newest(entry: Entry) -> tuple[bool, str]:
    return (entry.is_live, entry.removed_at or "")
