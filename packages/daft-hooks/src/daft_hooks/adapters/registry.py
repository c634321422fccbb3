"""The trust registry in SQLite, in the user's data directory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import apsw

import daft_store
from daft_store import bringup, trust
from daft_store.errors import StoreError
from daft_store.rows import TrustRow

from ..domain.trust import TrustEntry, TrustLevel
from ..errors import RegistryUnavailable

FILE_NAME = "registry.db"


class SqliteTrustRegistry:
    """Opens for the time of one call: trust is asked for once in a command, rarely changed."""

    def __init__(self, data_root: str) -> None:
        self._path = os.path.join(data_root, FILE_NAME)

    def get(self, common_dir: str) -> TrustEntry | None:
        """Return the entry of a repository, by its canonical git common directory."""
        with self._reading() as db:
            row = None if db is None else trust.get_trust(db, common_dir)
        return None if row is None else _entry_of(row)

    def put(self, common_dir: str, entry: TrustEntry) -> None:
        """Add an entry or replace it."""
        newest = next(reversed(list(entry.approved)), None)
        with self._writing() as db:
            trust.put_trust(
                db,
                TrustRow(
                    common_dir=common_dir,
                    level=entry.level.value,
                    granted_at=entry.granted_at,
                    granted_by="user",
                    fingerprint=entry.fingerprint,
                    content_digest=newest,
                    content_json=json.dumps({name: dict(c) for name, c in entry.approved.items()}),
                ),
            )

    def delete(self, common_dir: str) -> bool:
        """Delete an entry; False when there was none."""
        with self._writing() as db:
            return trust.delete_trust(db, common_dir)

    def entries(self) -> Mapping[str, TrustEntry]:
        """Return every entry, by common directory."""
        with self._reading() as db:
            rows = [] if db is None else trust.all_trust(db)
        return {row.common_dir: _entry_of(row) for row in rows}

    def patterns(self) -> tuple[tuple[str, TrustLevel], ...]:
        """Return (pattern, level), the first that fits counting."""
        with self._reading() as db:
            found = [] if db is None else trust.trust_patterns(db)
        return tuple((pattern, _level_of(level)) for pattern, level in found)

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection | None]:
        with self._guarded():
            db = bringup.open_reader(self._path, daft_store.REGISTRY)
            try:
                yield db
            finally:
                if db is not None:
                    db.close()

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        with self._guarded():
            db = bringup.open_writer(self._path, daft_store.REGISTRY, synchronous="FULL")
            try:
                yield db
            finally:
                db.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise RegistryUnavailable(str(bringup.translated(error, self._path))) from error
        except StoreError as error:
            raise RegistryUnavailable(str(error)) from error


def _level_of(text: str) -> TrustLevel:
    try:
        return TrustLevel(text)
    except ValueError:
        return TrustLevel.DENY  # a word of a newer program: never more than nothing


def _entry_of(row: TrustRow) -> TrustEntry:
    try:
        approved = json.loads(row.content_json or "{}")
    except ValueError:
        approved = {}  # damaged: then nothing was consented to
    return TrustEntry(
        level=_level_of(row.level),
        granted_at=row.granted_at,
        fingerprint=row.fingerprint,
        approved=approved if isinstance(approved, dict) else {},
    )
