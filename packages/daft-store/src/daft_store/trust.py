"""What a user allowed which repository to run. Kept apart from any repository's own files."""

from __future__ import annotations

import apsw
from attrs import asdict

from .rows import TrustRow
from .transactions import writing

GET = """
SELECT common_dir, level, granted_at, granted_by, fingerprint, content_digest, content_json
  FROM trust WHERE common_dir = ?
"""
PUT = """
INSERT INTO trust VALUES (
    :common_dir, :level, :granted_at, :granted_by, :fingerprint, :content_digest, :content_json)
    ON CONFLICT (common_dir) DO UPDATE
   SET level = excluded.level, granted_at = excluded.granted_at,
       granted_by = excluded.granted_by, fingerprint = excluded.fingerprint,
       content_digest = excluded.content_digest, content_json = excluded.content_json
"""
DELETE = "DELETE FROM trust WHERE common_dir = ?"
ALL = """
SELECT common_dir, level, granted_at, granted_by, fingerprint, content_digest, content_json
  FROM trust ORDER BY common_dir
"""
PATTERNS = "SELECT pattern, level FROM trust_patterns ORDER BY position"


def get_trust(db: apsw.Connection, common_dir: str) -> TrustRow | None:
    """Return the entry of the repository with this canonical git common directory."""
    row = db.execute(GET, (common_dir,)).fetchone()
    return None if row is None else TrustRow(*row)


def put_trust(db: apsw.Connection, row: TrustRow) -> None:
    """Add an entry or replace it."""
    with writing(db):
        db.execute(PUT, asdict(row))


def delete_trust(db: apsw.Connection, common_dir: str) -> bool:
    """Delete an entry; False when there was none."""
    with writing(db):
        db.execute(DELETE, (common_dir,))
        return db.changes() == 1


def all_trust(db: apsw.Connection) -> list[TrustRow]:
    """Return every entry, by path."""
    return [TrustRow(*row) for row in db.execute(ALL)]


def trust_patterns(db: apsw.Connection) -> list[tuple[str, str]]:
    """Return (pattern, level), the first that matches counting."""
    return [(pattern, level) for pattern, level in db.execute(PATTERNS)]
