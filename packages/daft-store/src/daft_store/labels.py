"""Which names a store knows: worktrees, kinds of hooks, invocations, jobs. A Tab key waits for it.

Each answer jumps from one name to the next in an index, so it costs as much as there are names,
however long the history is. Like `listing`, it returns plain tuples and imports apsw alone.
"""

from __future__ import annotations

from .texts import readable, storable

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    import apsw

_WORKTREES = """
WITH RECURSIVE known(name) AS (
    SELECT min(worktree) FROM invocations WHERE repo_hash = :repo
    UNION ALL
    SELECT (SELECT min(worktree) FROM invocations
             WHERE repo_hash = :repo AND worktree > known.name)
      FROM known WHERE known.name IS NOT NULL
)
SELECT name, (SELECT max(created_at) FROM invocations
               WHERE repo_hash = :repo AND worktree = name),
       (SELECT count(*) FROM (SELECT 1 FROM invocations
                               WHERE repo_hash = :repo AND worktree = name LIMIT :counted))
  FROM known WHERE name IS NOT NULL LIMIT :limit
"""
_HOOKS = """
WITH RECURSIVE known(name) AS (
    SELECT min(hook_type) FROM invocations WHERE repo_hash = :repo
    UNION ALL
    SELECT (SELECT min(hook_type) FROM invocations
             WHERE repo_hash = :repo AND hook_type > known.name)
      FROM known WHERE known.name IS NOT NULL
)
SELECT name, (SELECT count(*) FROM (SELECT 1 FROM invocations
                                     WHERE repo_hash = :repo AND hook_type = name LIMIT :counted))
  FROM known WHERE name IS NOT NULL LIMIT :limit
"""
_STARTING_WITH = """
SELECT invocation_id, worktree FROM invocations
 WHERE repo_hash = :repo AND invocation_id >= :prefix AND invocation_id < :prefix || 'g'
 ORDER BY invocation_id LIMIT :limit
"""
# Newest first. The columns of both are KNOWN_COLUMNS. The cross join keeps the order of the two
# tables: the other way round every run would be held against every job of the name.
_NAMED = """
SELECT jobs.job_uid, jobs.name, jobs.invocation_id, i.worktree, i.created_at
  FROM jobs INDEXED BY jobs_by_name
 CROSS JOIN invocations AS i
    ON i.repo_hash = jobs.repo_hash AND i.invocation_id = jobs.invocation_id
 WHERE jobs.repo_hash = :repo AND jobs.name = :name
   AND (:worktree IS NULL OR i.worktree = :worktree)
 ORDER BY i.created_at DESC, jobs.invocation_id DESC LIMIT :limit
"""
_OF_RUNS = """
SELECT jobs.job_uid, jobs.name, jobs.invocation_id, i.worktree, i.created_at
  FROM json_each(:ids) AS wanted
 CROSS JOIN invocations AS i ON i.repo_hash = :repo AND i.invocation_id = wanted.value
 CROSS JOIN jobs ON jobs.repo_hash = :repo AND jobs.invocation_id = wanted.value
 ORDER BY i.created_at DESC, jobs.invocation_id DESC, jobs.position, jobs.name
"""
KNOWN_COLUMNS = ("job_uid", "name", "invocation_id", "worktree", "created_at")
MOST = 1000
"""Nobody picks from a longer list."""
COUNTED = 100
"""Counting goes no further: a Tab key must not take longer for a long history."""


def worktrees(db: apsw.Connection, repository: str) -> list[tuple[str, str, int]]:
    """Return (label, time of its newest invocation, invocations) of recorded worktrees, by label.

    They are counted up to COUNTED.
    """
    return list(readable(db.execute(_WORKTREES, _every_name(repository)), _drop))


def hook_types(db: apsw.Connection, repository: str) -> list[tuple[str, int]]:
    """Return (name, invocations) of the kinds of hooks that were recorded; counted as above."""
    return list(readable(db.execute(_HOOKS, _every_name(repository)), _drop))


def _every_name(repository: str) -> dict[str, str | int]:
    return {"repo": repository, "limit": MOST, "counted": COUNTED}


def invocations_starting_with(
    db: apsw.Connection, repository: str, prefix: str, *, limit: int = 2
) -> list[tuple[str, str]]:
    """Return (id, worktree) of invocations whose id starts with `prefix`, lower-case hex digits."""
    wanted = {"repo": repository, "prefix": prefix, "limit": limit}
    return list(db.execute(_STARTING_WITH, wanted))


def jobs_named(
    db: apsw.Connection,
    repository: str,
    name: str,
    *,
    worktree: str | None = None,
    limit: int = 100,
) -> list[tuple[str, str, str, str, str]]:
    """Return the newest jobs of a name as tuples of KNOWN_COLUMNS; of one worktree, or of all."""
    wanted = {
        "repo": repository,
        "name": storable(name),
        "worktree": None if worktree is None else storable(worktree),
        "limit": limit,
    }
    return list(readable(db.execute(_NAMED, wanted), _drop))


def jobs_of_runs(
    db: apsw.Connection, repository: str, invocation_ids: list[str]
) -> list[tuple[str, str, str, str, str]]:
    """Return the jobs of some invocations as tuples of KNOWN_COLUMNS, newest invocation first."""
    # Ids are hex digits, so the JSON needs no escaping.
    ids = "[" + ",".join(['"' + one + '"' for one in invocation_ids]) + "]"
    return list(readable(db.execute(_OF_RUNS, {"repo": repository, "ids": ids}), _drop))


def _drop(_reason: str) -> None:
    """Leave out a name that cannot be read; the listing is where that is told."""
