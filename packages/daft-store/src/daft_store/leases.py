"""Leases: worktrees that take no further jobs but their holder's. And moving labels."""

from __future__ import annotations

import apsw
from attrs import asdict

from .rows import LeaseRow
from .transactions import writing

INSERT = """
INSERT INTO worktree_leases VALUES (
    :repo_hash, :worktree, :lease_id, :purpose, :pid, :pgid, :proc_start, :boot_id, :taken_at,
    :expires_at)
"""
IN_THE_WAY = """
SELECT repo_hash, worktree, lease_id, purpose, pid, pgid, proc_start, boot_id, taken_at, expires_at
  FROM worktree_leases
 WHERE repo_hash = :repo AND worktree = :worktree AND lease_id IS NOT :mine
"""
DELETE = "DELETE FROM worktree_leases WHERE repo_hash = :repo AND lease_id = :id"

# An invocation goes as a whole, its ended jobs too: one listed under two labels tells less.
RELABEL_JOBS = """
UPDATE jobs SET worktree = :to
 WHERE repo_hash = :repo AND invocation_id IN (
       SELECT invocation_id FROM invocations
        WHERE repo_hash = :repo AND worktree = :worktree AND unfinished_count > 0)
"""
RELABEL_INVOCATIONS = """
UPDATE invocations SET worktree = :to, worktree_path = :path
 WHERE repo_hash = :repo AND worktree = :worktree AND unfinished_count > 0
"""


def take(db: apsw.Connection, row: LeaseRow) -> LeaseRow | None:
    """Add a lease unless its worktree has one; return the one that is in the way, or None."""
    with writing(db):
        found = in_the_way(db, row.repo_hash, row.worktree)
        if found is None:
            db.execute(INSERT, asdict(row))
        return found


def in_the_way(
    db: apsw.Connection, repo: str, worktree: str, *, mine: str | None = None
) -> LeaseRow | None:
    """Return the lease of a worktree unless it is `mine`."""
    row = db.execute(IN_THE_WAY, {"repo": repo, "worktree": worktree, "mine": mine}).fetchone()
    return None if row is None else LeaseRow(*row)


def drop(db: apsw.Connection, repo: str, lease_id: str) -> None:
    """Delete a lease."""
    with writing(db):
        db.execute(DELETE, {"repo": repo, "id": lease_id})


def relabel(db: apsw.Connection, repo: str, worktree: str, to: str, path: str) -> int:
    """Give the invocations with unfinished jobs of a worktree another label; return how many."""
    with writing(db):
        given = {"repo": repo, "worktree": worktree, "to": to}
        db.execute(RELABEL_JOBS, given)
        db.execute(RELABEL_INVOCATIONS, {**given, "path": path})
        return db.changes()
