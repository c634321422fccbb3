"""Coordinators: who answers for which jobs, or did."""

from __future__ import annotations

import apsw
from attrs import asdict

from .rows import CoordinatorRow
from .transactions import writing

INSERT = """
INSERT INTO coordinators (
    id, repo_hash, kind, pid, pgid, proc_start, boot_id, started_at, ended_at, socket_path,
    program_version)
VALUES (
    :id, :repo_hash, :kind, :pid, :pgid, :proc_start, :boot_id, :started_at, :ended_at,
    :socket_path, :program_version)
"""
END = "UPDATE coordinators SET ended_at = :at WHERE id = :id AND ended_at IS NULL"
# An owner nobody names any more tells nothing; without this, every command would leave a row.
FORGET = """
DELETE FROM coordinators
 WHERE id = :id AND NOT EXISTS (
       SELECT 1 FROM jobs WHERE jobs.coordinator_id = coordinators.id
          AND status IN ('queued', 'waiting', 'running', 'cancelling'))
"""
LIVE = """
SELECT id, repo_hash, kind, pid, pgid, proc_start, boot_id, started_at, ended_at, socket_path,
       program_version
  FROM coordinators WHERE repo_hash = ? AND ended_at IS NULL
"""


def register(db: apsw.Connection, row: CoordinatorRow) -> None:
    """Make an owner known, before any job names it."""
    with writing(db):
        db.execute(INSERT, asdict(row))


def retire(db: apsw.Connection, owner_id: str, at: str) -> None:
    """Note that an owner has ended in good order; forget it if no unfinished job names it."""
    with writing(db):
        db.execute(END, {"id": owner_id, "at": at})
        db.execute(FORGET, {"id": owner_id})


def live(db: apsw.Connection, repo: str) -> list[CoordinatorRow]:
    """Return the owners that did not retire; whether they live, the process table tells."""
    return [CoordinatorRow(*row) for row in db.execute(LIVE, (repo,))]
