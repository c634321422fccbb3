"""What a user allowed which repository to run, and what was not run for want of that.

Kept apart from any repository's own files.
"""

from __future__ import annotations

import apsw
from attrs import asdict

from .rows import SkippedFireRow, TrustRow
from .schema.registry import SKIPPED_FIRES_SINCE
from .transactions import writing

GET = """
SELECT common_dir, level, granted_at, granted_by, fingerprint, content_digest, content_json
  FROM trust WHERE common_dir = ?
"""
PUT = """
INSERT INTO trust (
    common_dir, level, granted_at, granted_by, fingerprint, content_digest, content_json)
VALUES (
    :common_dir, :level, :granted_at, :granted_by, :fingerprint, :content_digest, :content_json)
    ON CONFLICT (common_dir) DO UPDATE
   SET level = excluded.level, granted_at = excluded.granted_at,
       granted_by = excluded.granted_by, fingerprint = excluded.fingerprint,
       content_digest = excluded.content_digest, content_json = excluded.content_json
"""
FILL_FINGERPRINT = """
UPDATE trust SET fingerprint = :fingerprint WHERE common_dir = :common_dir AND fingerprint IS NULL
"""
DELETE = "DELETE FROM trust WHERE common_dir = ?"
ALL = """
SELECT common_dir, level, granted_at, granted_by, fingerprint, content_digest, content_json
  FROM trust ORDER BY common_dir
"""
PATTERNS = "SELECT pattern, level FROM trust_patterns ORDER BY position"
CHANGE_PATTERN = "UPDATE trust_patterns SET level = :level WHERE pattern = :pattern"
ADD_PATTERN = """
INSERT INTO trust_patterns (position, pattern, level)
SELECT COALESCE(MAX(position), 0) + 1, :pattern, :level FROM trust_patterns
"""
DELETE_PATTERN = "DELETE FROM trust_patterns WHERE pattern = ?"
DELETE_ALL = "DELETE FROM trust"
DELETE_ALL_PATTERNS = "DELETE FROM trust_patterns"
NOTE_SKIPPED = """
INSERT INTO skipped_fires (
    common_dir, hook, worktree_id, worktree, worktree_path, reason, skipped_at, facts_json)
VALUES (
    :common_dir, :hook, :worktree_id, :worktree, :worktree_path, :reason, :skipped_at, :facts_json)
    ON CONFLICT (common_dir, hook, worktree_id) DO UPDATE
   SET worktree = excluded.worktree, worktree_path = excluded.worktree_path,
       reason = excluded.reason, skipped_at = excluded.skipped_at,
       facts_json = excluded.facts_json
"""
SKIPPED = """
SELECT common_dir, hook, worktree_id, worktree, worktree_path, reason, skipped_at, facts_json
  FROM skipped_fires WHERE common_dir = ? ORDER BY skipped_at, hook
"""
FORGET_SKIPPED = """
DELETE FROM skipped_fires WHERE common_dir = :common_dir
   AND (:hook IS NULL OR hook = :hook)
   AND (:worktree_id IS NULL OR worktree_id = :worktree_id)
"""


def get_trust(db: apsw.Connection, common_dir: str) -> TrustRow | None:
    """Return the entry of the repository with this canonical git common directory."""
    row = db.execute(GET, (common_dir,)).fetchone()
    return None if row is None else TrustRow(*row)


def put_trust(db: apsw.Connection, row: TrustRow) -> None:
    """Add an entry or replace it."""
    with writing(db):
        db.execute(PUT, asdict(row))


def fill_fingerprint(db: apsw.Connection, common_dir: str, fingerprint: str) -> bool:
    """Add the fingerprint to an entry that has none; False when there is no such entry."""
    with writing(db):
        db.execute(FILL_FINGERPRINT, {"common_dir": common_dir, "fingerprint": fingerprint})
        return db.changes() == 1


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


def put_pattern(db: apsw.Connection, pattern: str, level: str) -> None:
    """Give `pattern` a level: in its place if it is known, else behind all others."""
    with writing(db):
        db.execute(CHANGE_PATTERN, {"pattern": pattern, "level": level})
        if db.changes() == 0:
            db.execute(ADD_PATTERN, {"pattern": pattern, "level": level})


def delete_pattern(db: apsw.Connection, pattern: str) -> bool:
    """Delete a pattern; False when there was none."""
    with writing(db):
        db.execute(DELETE_PATTERN, (pattern,))
        return db.changes() > 0


def delete_everything(db: apsw.Connection) -> None:
    """Delete every entry and every pattern, and nothing else."""
    with writing(db):
        db.execute(DELETE_ALL)
        db.execute(DELETE_ALL_PATTERNS)


def note_skipped(db: apsw.Connection, row: SkippedFireRow) -> None:
    """Add a skipped fire in place of an earlier one of the same hook and worktree."""
    with writing(db):
        db.execute(NOTE_SKIPPED, asdict(row))


def skipped_fires(db: apsw.Connection, common_dir: str) -> list[SkippedFireRow]:
    """Return the skipped fires of a repository, oldest first."""
    if int(db.pragma("user_version")) < SKIPPED_FIRES_SINCE:
        return []
    return [SkippedFireRow(*row) for row in db.execute(SKIPPED, (common_dir,))]


def forget_skipped(
    db: apsw.Connection, common_dir: str, *, hook: str | None, worktree_id: str | None
) -> bool:
    """Delete skipped fires of a repository; None stands for all. False when there were none."""
    with writing(db):
        wanted = {"common_dir": common_dir, "hook": hook, "worktree_id": worktree_id}
        db.execute(FORGET_SKIPPED, wanted)
        return db.changes() > 0
