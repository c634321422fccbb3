"""Leases: worktrees that take no further jobs but their holder's. And records that move along."""

from __future__ import annotations

from collections.abc import Callable

import apsw
from attrs import asdict

from .rows import LeaseRow
from .transactions import writing

INSERT = """
INSERT INTO worktree_leases (
    repo_hash, worktree, lease_id, purpose, pid, pgid, proc_start, boot_id, taken_at, expires_at)
VALUES (
    :repo_hash, :worktree, :lease_id, :purpose, :pid, :pgid, :proc_start, :boot_id, :taken_at,
    :expires_at)
"""
IN_THE_WAY = """
SELECT repo_hash, worktree, lease_id, purpose, pid, pgid, proc_start, boot_id, taken_at, expires_at
  FROM worktree_leases
 WHERE repo_hash = :repo AND worktree = :worktree AND lease_id IS NOT :mine
"""
DELETE = "DELETE FROM worktree_leases WHERE repo_hash = :repo AND lease_id = :id"

# All of them: what a listing, a set-up's state and a retry tell of a worktree is its history.
PLACES = """
SELECT jobs.job_uid, jobs.working_dir, jobs.spec_json
  FROM invocations JOIN jobs USING (repo_hash, invocation_id)
 WHERE invocations.repo_hash = :repo AND invocations.worktree = :worktree
   AND (jobs.working_dir = :old_path
        OR substr(jobs.working_dir, 1, length(:old_path) + 1) = :old_path || '/')
"""
PLACE = "UPDATE jobs SET working_dir = ?, spec_json = ? WHERE job_uid = ?"
RELABEL_JOBS = """
UPDATE jobs SET worktree = :to
 WHERE repo_hash = :repo AND invocation_id IN (
       SELECT invocation_id FROM invocations WHERE repo_hash = :repo AND worktree = :worktree)
"""
RELABEL_INVOCATIONS = """
UPDATE invocations
   SET worktree = :to,
       worktree_path = CASE worktree_path WHEN :old_path THEN :path ELSE worktree_path END
 WHERE repo_hash = :repo AND worktree = :worktree
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


def relabel(
    db: apsw.Connection,
    repo: str,
    worktree: str,
    to: str,
    *,
    old_path: str,
    path: str,
    place: Callable[[str, str], tuple[str, str]],
) -> int:
    """Give the invocations of a worktree another label and place; return how many.

    place: (working directory, specification) of a job in or below `old_path` -> both as they are
    from now on.
    """
    given = {"repo": repo, "worktree": worktree, "to": to, "old_path": old_path, "path": path}
    with writing(db):
        for uid, *told in db.execute(PLACES, given).fetchall():
            db.execute(PLACE, (*place(*map(str, told)), uid))
        db.execute(RELABEL_JOBS, given)
        db.execute(RELABEL_INVOCATIONS, given)
        return db.changes()
