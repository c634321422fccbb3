"""Which names a store knows: worktrees, kinds of hooks, invocations. A Tab key waits for this.

Each answer jumps from one name to the next in an index, so it costs as much as there are names,
however long the history is. Like `listing`, it returns plain tuples and imports apsw alone.
"""

from __future__ import annotations

from .texts import readable

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
               WHERE repo_hash = :repo AND worktree = name)
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
SELECT name FROM known WHERE name IS NOT NULL LIMIT :limit
"""
_STARTING_WITH = """
SELECT invocation_id, worktree FROM invocations
 WHERE repo_hash = :repo AND invocation_id >= :prefix AND invocation_id < :prefix || 'g'
 ORDER BY invocation_id LIMIT :limit
"""
MOST = 1000
"""Nobody picks from a longer list."""


def worktrees(db: apsw.Connection, repository: str) -> list[tuple[str, str]]:
    """Return (label, time of its newest invocation) of recorded worktrees, by label."""
    return list(readable(db.execute(_WORKTREES, {"repo": repository, "limit": MOST}), _drop))


def hook_types(db: apsw.Connection, repository: str) -> list[str]:
    """Return the kinds of hooks that were recorded, by name."""
    rows = db.execute(_HOOKS, {"repo": repository, "limit": MOST})
    return [row[0] for row in readable(rows, _drop)]


def invocations_starting_with(
    db: apsw.Connection, repository: str, prefix: str, *, limit: int = 2
) -> list[tuple[str, str]]:
    """Return (id, worktree) of invocations whose id starts with `prefix`, lower-case hex digits."""
    wanted = {"repo": repository, "prefix": prefix, "limit": limit}
    return list(db.execute(_STARTING_WITH, wanted))


def _drop(_reason: str) -> None:
    """Leave out a name that cannot be read; the listing is where that is told."""
