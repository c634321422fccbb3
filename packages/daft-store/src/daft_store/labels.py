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
# One statement, so that a key press sees one state of the record and waits once.
_OFFERED = """
WITH RECURSIVE
called AS (
    SELECT invocation_id, worktree FROM invocations
     WHERE repo_hash = :repo AND :prefix <> ''
       AND invocation_id >= :prefix AND invocation_id < :prefix || 'g' LIMIT 2
),
meant AS (
    SELECT invocation_id FROM called
     WHERE (SELECT count(*) FROM called) = 1 AND (:of IS NULL OR worktree = :of)
),
runs AS (
    SELECT invocation_id, trigger_command, created_at, job_count FROM invocations
     WHERE repo_hash = :repo AND worktree = :worktree AND NOT EXISTS (SELECT 1 FROM meant)
     ORDER BY created_at DESC, invocation_id DESC LIMIT :runs
),
opened AS (
    SELECT invocation_id FROM meant
     UNION ALL
    SELECT invocation_id
      FROM (SELECT invocation_id FROM runs ORDER BY created_at DESC, invocation_id DESC LIMIT 1)
),
known(name) AS (
    SELECT min(worktree) FROM invocations WHERE repo_hash = :repo AND :worktrees
     UNION ALL
    SELECT (SELECT min(worktree) FROM invocations
             WHERE repo_hash = :repo AND worktree > known.name)
      FROM known WHERE known.name IS NOT NULL LIMIT :limit
)
SELECT 'job', jobs.name, jobs.invocation_id, jobs.started_at, jobs.position, jobs.status
  FROM opened CROSS JOIN jobs
    ON jobs.repo_hash = :repo AND jobs.invocation_id = opened.invocation_id
 UNION ALL
SELECT 'run', trigger_command, invocation_id, created_at, job_count, NULL FROM runs
 UNION ALL
SELECT 'worktree', name, NULL,
       (SELECT max(created_at) FROM invocations WHERE repo_hash = :repo AND worktree = name),
       (SELECT count(*) FROM (SELECT 1 FROM invocations
                               WHERE repo_hash = :repo AND worktree = name LIMIT :counted)),
       NULL
  FROM known WHERE name IS NOT NULL
"""
_JOBS_OF_NEWEST = """
SELECT runs.invocation_id, runs.hook_type, runs.trigger_command, runs.created_at, jobs.name,
       jobs.status
  FROM (SELECT invocation_id, hook_type, trigger_command, created_at FROM invocations
         WHERE repo_hash = :repo AND worktree = :worktree
         ORDER BY created_at DESC, invocation_id DESC LIMIT :runs) AS runs
 CROSS JOIN jobs ON jobs.repo_hash = :repo AND jobs.invocation_id = runs.invocation_id
 ORDER BY runs.created_at DESC, runs.invocation_id DESC, jobs.position, jobs.name
"""
_JOBS_OF_NEWEST_ANYWHERE = """
SELECT runs.invocation_id, runs.hook_type, runs.trigger_command, runs.created_at, jobs.name,
       jobs.status
  FROM (SELECT invocation_id, hook_type, trigger_command, created_at FROM invocations
         WHERE repo_hash = :repo
         ORDER BY created_at DESC, invocation_id DESC LIMIT :runs) AS runs
 CROSS JOIN jobs ON jobs.repo_hash = :repo AND jobs.invocation_id = runs.invocation_id
 ORDER BY runs.created_at DESC, runs.invocation_id DESC, jobs.position, jobs.name
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


def offered(
    db: apsw.Connection,
    repository: str,
    *,
    worktree: str | None,
    run: str = "",
    of: str | None = None,
    worktrees: bool = False,
    runs: int,
) -> list[tuple[str, str, str | None, str | None, int, str | None]]:
    """Return what may stand next in an address, in one look.

    run: lower-case hex digits. If one run's id starts with them, and it is one of the worktree
    `of` if that is given, its jobs are returned. Otherwise: the `runs` newest runs of `worktree`,
    and the jobs of the newest. worktrees: all recorded worktrees as well.
    Returns: ("job", name, run, start or None, position, status), ("run", trigger, id, time,
    jobs, None) and ("worktree", label, None, time of its newest run, runs up to COUNTED, None),
    each kind in its order.
    """
    asked = {
        **_every_name(repository),
        "prefix": run,
        "of": None if of is None else storable(of),
        "worktree": None if worktree is None else storable(worktree),
        "worktrees": worktrees,
        "runs": runs,
    }
    found = list(readable(db.execute(_OFFERED, asked), _drop))
    jobs = sorted((row for row in found if row[0] == "job"), key=lambda row: (row[4], row[1]))
    newest = sorted((row for row in found if row[0] == "run"), key=_by_time, reverse=True)
    return [*jobs, *newest, *[row for row in found if row[0] == "worktree"]]


def _by_time(run: tuple[str, ...]) -> tuple[str, str]:
    return run[3], run[2]


def jobs_of_newest(
    db: apsw.Connection, repository: str, *, worktree: str | None, runs: int
) -> list[tuple[str, str, str, str, str, str]]:
    """Return (run, its hook, its trigger, its time, job, status), newest run first.

    worktree: whose runs; None: anybody's. runs: of how many.
    """
    asked = {"repo": repository, "runs": runs}
    if worktree is None:
        return list(readable(db.execute(_JOBS_OF_NEWEST_ANYWHERE, asked), _drop))
    asked = {**asked, "worktree": storable(worktree)}
    return list(readable(db.execute(_JOBS_OF_NEWEST, asked), _drop))


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
