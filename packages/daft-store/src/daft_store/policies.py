"""What repositories keep: the values that apply, and the files that set them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import apsw

from .history import has_tables
from .transactions import writing

POLICY = """
SELECT max_total_size_bytes, keep_last, stale_running_after_seconds
  FROM repo_policy WHERE repo_hash = ?
"""
SOURCES = "SELECT field, source FROM policy_sources WHERE repo_hash = ?"
SET_POLICY = """
INSERT INTO repo_policy (
    repo_hash, max_total_size_bytes, keep_last, stale_running_after_seconds)
VALUES (:repo, :max_total_size_bytes, :keep_last, :stale_running_after_seconds)
    ON CONFLICT (repo_hash) DO UPDATE
   SET max_total_size_bytes = excluded.max_total_size_bytes,
       keep_last = excluded.keep_last,
       stale_running_after_seconds = excluded.stale_running_after_seconds
"""
CLEAR_SOURCES = "DELETE FROM policy_sources WHERE repo_hash = ?"
SET_SOURCE = "INSERT INTO policy_sources (repo_hash, field, source) VALUES (?, ?, ?)"
POLICY_FIELDS = ("max_total_size_bytes", "keep_last", "stale_running_after_seconds")

PolicyFields = Mapping[str, tuple[int, str]]
"""Field of POLICY_FIELDS -> (value, the file that set it); one that is missing is not set."""


def policy(db: apsw.Connection, repo: str) -> PolicyFields:
    """Return the fields of the repository's policy that are set, and which file set each."""
    row = db.execute(POLICY, (repo,)).fetchone()
    if row is None:
        return {}
    sources = dict(db.execute(SOURCES, (repo,))) if has_tables(db) else {}
    return {
        field: (value, sources.get(field, ""))
        for field, value in zip(POLICY_FIELDS, row, strict=True)
        if value is not None
    }


def merge_policy(
    db: apsw.Connection, repo: str, merge: Callable[[PolicyFields], PolicyFields]
) -> None:
    """Replace the policy by what `merge` makes of it, in one immediate transaction.

    Nothing is written when it stays as it is, which is the usual case: then no lock is taken.
    """
    known = policy(db, repo)
    if merge(known) == known:
        return
    with writing(db):
        merged = merge(policy(db, repo))
        values = {field: merged[field][0] if field in merged else None for field in POLICY_FIELDS}
        db.execute(SET_POLICY, {"repo": repo, **values})
        db.execute(CLEAR_SOURCES, (repo,))
        for field, (_, source) in merged.items():
            db.execute(SET_SOURCE, (repo, field, source))
