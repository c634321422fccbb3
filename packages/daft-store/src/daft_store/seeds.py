"""Configuration that git does not track, as it was when it came to a worktree.

Beside it one can tell whether it was changed there since, and what.
"""

from __future__ import annotations

import apsw
from attrs import asdict

from .rows import SeedRow
from .schema.registry import VISITOR_SEEDS_SINCE
from .transactions import writing

PUT = """
INSERT INTO visitor_seeds (common_dir, branch, filename, content, seeded_at, updated_at)
VALUES (
    :common_dir, :branch, :filename, :content, :seeded_at, :updated_at)
    ON CONFLICT (common_dir, branch, filename) DO UPDATE
   SET content = excluded.content, updated_at = excluded.updated_at
"""
OF_BRANCH = """
SELECT common_dir, branch, filename, content, seeded_at, updated_at
  FROM visitor_seeds WHERE common_dir = ? AND branch = ? ORDER BY filename
"""
MOVE = "UPDATE OR REPLACE visitor_seeds SET branch = ? WHERE common_dir = ? AND branch = ?"
FORGET = "DELETE FROM visitor_seeds WHERE common_dir = ? AND branch = ?"


def put_seed(db: apsw.Connection, row: SeedRow) -> None:
    """Add a seed, or replace the content of the one there is; `seeded_at` stays."""
    with writing(db):
        db.execute(PUT, asdict(row))


def seeds_of(db: apsw.Connection, common_dir: str, branch: str) -> list[SeedRow]:
    """Return what came to the worktree of a branch, by name."""
    if int(db.pragma("user_version")) < VISITOR_SEEDS_SINCE:
        return []
    return [SeedRow(*row) for row in db.execute(OF_BRANCH, (common_dir, branch))]


def move_seeds(db: apsw.Connection, common_dir: str, branch: str, to: str) -> None:
    """Have what is known of a branch go by another name."""
    with writing(db):
        db.execute(MOVE, (to, common_dir, branch))


def forget_seeds(db: apsw.Connection, common_dir: str, branch: str) -> bool:
    """Delete what is known of a branch; False when there was nothing."""
    with writing(db):
        db.execute(FORGET, (common_dir, branch))
        return db.changes() > 0
