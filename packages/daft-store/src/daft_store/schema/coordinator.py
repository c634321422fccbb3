"""One repository's jobs. Append steps; never change or renumber a shipped one."""

from __future__ import annotations

from ..migrations import Lineage, Step

_JOBS = """
CREATE TABLE invocations (
    repo_hash TEXT NOT NULL,
    invocation_id TEXT NOT NULL,
    trigger_command TEXT NOT NULL,
    hook_type TEXT NOT NULL,
    worktree TEXT NOT NULL,
    worktree_id TEXT NOT NULL DEFAULT '',
    worktree_path TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    coordinator_id TEXT,
    status TEXT NOT NULL DEFAULT 'completed' CHECK (status <> ''),
    skip_reason TEXT,
    source TEXT NOT NULL DEFAULT 'hook' CHECK (source <> ''),
    pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    job_count INTEGER NOT NULL DEFAULT 0,
    unfinished_count INTEGER NOT NULL DEFAULT 0,
    failed_count INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repo_hash, invocation_id)
);
CREATE INDEX invocations_by_time ON invocations (repo_hash, created_at, invocation_id);
CREATE INDEX invocations_by_worktree
    ON invocations (repo_hash, worktree, created_at, invocation_id);
CREATE INDEX invocations_by_hook
    ON invocations (repo_hash, hook_type, worktree, created_at, invocation_id);

CREATE TABLE jobs (
    job_uid TEXT NOT NULL UNIQUE,
    repo_hash TEXT NOT NULL,
    invocation_id TEXT NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    dir_name TEXT NOT NULL,
    hook_type TEXT NOT NULL,
    worktree TEXT NOT NULL,
    command TEXT NOT NULL DEFAULT '',
    working_dir TEXT NOT NULL DEFAULT '',
    env_json TEXT NOT NULL DEFAULT '{}',
    removed_env_json TEXT NOT NULL DEFAULT '[]',
    spec_json TEXT NOT NULL DEFAULT '{}',
    needs_json TEXT NOT NULL DEFAULT '[]',
    full_needs_json TEXT NOT NULL DEFAULT '[]',
    tags_json TEXT NOT NULL DEFAULT '[]',
    background INTEGER NOT NULL CHECK (background IN (0, 1)),
    declared_background INTEGER NOT NULL DEFAULT 0 CHECK (declared_background IN (0, 1)),
    status TEXT NOT NULL CHECK (status <> ''),
    queued_at TEXT,
    started_at TEXT,
    finished_at TEXT,
    updated_at TEXT NOT NULL,
    duration_ms INTEGER,
    exit_code INTEGER,
    term_signal INTEGER,
    end_reason TEXT,
    end_detail TEXT,
    pid INTEGER,
    pgid INTEGER,
    proc_start TEXT,
    boot_id TEXT,
    coordinator_id TEXT,
    retention_seconds INTEGER,
    max_log_size_bytes INTEGER,
    log_bytes INTEGER NOT NULL DEFAULT 0,
    log_records INTEGER NOT NULL DEFAULT 0,
    log_dropped INTEGER NOT NULL DEFAULT 0,
    retry_of_invocation TEXT,
    retry_of_name TEXT,
    PRIMARY KEY (repo_hash, invocation_id, name),
    FOREIGN KEY (repo_hash, invocation_id) REFERENCES invocations (repo_hash, invocation_id)
);
CREATE INDEX jobs_unfinished ON jobs (repo_hash)
 WHERE status IN ('queued', 'waiting', 'running', 'cancelling');
CREATE INDEX jobs_by_name ON jobs (repo_hash, name, queued_at);

CREATE TRIGGER jobs_counted_in AFTER INSERT ON jobs BEGIN
    UPDATE invocations
       SET job_count = job_count + 1,
           unfinished_count = unfinished_count
               + (NEW.status IN ('queued', 'waiting', 'running', 'cancelling')),
           failed_count = failed_count + (NEW.status IN ('failed', 'crashed'))
     WHERE repo_hash = NEW.repo_hash AND invocation_id = NEW.invocation_id;
END;
CREATE TRIGGER jobs_counted_out AFTER DELETE ON jobs BEGIN
    UPDATE invocations
       SET job_count = job_count - 1,
           unfinished_count = unfinished_count
               - (OLD.status IN ('queued', 'waiting', 'running', 'cancelling')),
           failed_count = failed_count - (OLD.status IN ('failed', 'crashed'))
     WHERE repo_hash = OLD.repo_hash AND invocation_id = OLD.invocation_id;
END;
CREATE TRIGGER jobs_counted_over AFTER UPDATE OF status ON jobs
 WHEN OLD.status IN ('queued', 'waiting', 'running', 'cancelling')
  AND NEW.status NOT IN ('queued', 'waiting', 'running', 'cancelling') BEGIN
    UPDATE invocations
       SET unfinished_count = unfinished_count - 1,
           failed_count = failed_count + (NEW.status IN ('failed', 'crashed'))
     WHERE repo_hash = NEW.repo_hash AND invocation_id = NEW.invocation_id;
END;
CREATE TRIGGER jobs_final_is_final BEFORE UPDATE OF status ON jobs
 WHEN OLD.status NOT IN ('queued', 'waiting', 'running', 'cancelling')
  AND NEW.status <> OLD.status BEGIN
    SELECT RAISE(ABORT, 'a job that has ended does not change its status');
END;

CREATE TABLE coordinators (
    id TEXT NOT NULL PRIMARY KEY,
    repo_hash TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind <> ''),
    pid INTEGER NOT NULL,
    pgid INTEGER NOT NULL,
    proc_start TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    socket_path TEXT,
    program_version TEXT NOT NULL DEFAULT ''
);
CREATE INDEX coordinators_live ON coordinators (repo_hash) WHERE ended_at IS NULL;

CREATE TABLE repo_policy (
    repo_hash TEXT NOT NULL PRIMARY KEY,
    policy_version INTEGER NOT NULL DEFAULT 1,
    max_total_size_bytes INTEGER,
    keep_last INTEGER,
    stale_running_after_seconds INTEGER
);
CREATE TABLE job_durations (
    repo_hash TEXT NOT NULL,
    hook_type TEXT NOT NULL,
    name TEXT NOT NULL,
    runs INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (repo_hash, hook_type, name)
);
"""

# What clean-up needs to remember. `repo_policy` keeps the values; here stands who set them.
_RETENTION = """
CREATE TABLE policy_sources (
    repo_hash TEXT NOT NULL,
    field TEXT NOT NULL CHECK (field <> ''),
    source TEXT NOT NULL,
    PRIMARY KEY (repo_hash, field)
);
CREATE TABLE repositories (
    repo_hash TEXT NOT NULL PRIMARY KEY,
    common_dir TEXT NOT NULL,
    seen_at TEXT NOT NULL
);
CREATE TABLE tombstones (
    repo_hash TEXT NOT NULL,
    invocation_id TEXT NOT NULL,
    dir_name TEXT NOT NULL DEFAULT '',
    buried_at TEXT NOT NULL,
    PRIMARY KEY (repo_hash, invocation_id, dir_name)
);
CREATE TABLE evictions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    repo_hash TEXT NOT NULL,
    at TEXT NOT NULL,
    reason TEXT NOT NULL,
    invocations INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    stale INTEGER NOT NULL DEFAULT 0,
    trouble_json TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX evictions_by_repository ON evictions (repo_hash, number);
CREATE TABLE retention_clock (
    repo_hash TEXT NOT NULL PRIMARY KEY,
    boot_id TEXT NOT NULL,
    since_boot_ms INTEGER NOT NULL,
    wall_at TEXT NOT NULL,
    trust TEXT NOT NULL CHECK (trust <> ''),
    doubted_since_ms INTEGER
);
"""

# One per worktree: whoever removes or moves it is alone with it meanwhile.
_LEASES = """
CREATE TABLE worktree_leases (
    repo_hash TEXT NOT NULL,
    worktree TEXT NOT NULL,
    lease_id TEXT NOT NULL UNIQUE,
    purpose TEXT NOT NULL,
    pid INTEGER NOT NULL,
    pgid INTEGER NOT NULL,
    proc_start TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    taken_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (repo_hash, worktree)
);
"""

# Pages of a long history: by hook, and by a way of ending that few jobs have.
_PAGES = """
CREATE INDEX invocations_by_hook_time
    ON invocations (repo_hash, hook_type, created_at, invocation_id);
CREATE INDEX jobs_ended_otherwise ON jobs (repo_hash, status, invocation_id)
 WHERE status NOT IN ('queued', 'waiting', 'running', 'cancelling', 'completed');
"""

# `IN` with a list builds a table of it each time it is asked, and every change of a status asks
# all of these: plain comparisons halve what a change costs. They say what they said before.
_PLAIN = """
DROP INDEX jobs_unfinished;
CREATE INDEX jobs_unfinished ON jobs (repo_hash)
 WHERE status = 'queued' OR status = 'waiting' OR status = 'running' OR status = 'cancelling';
DROP INDEX jobs_ended_otherwise;
CREATE INDEX jobs_ended_otherwise ON jobs (repo_hash, status, invocation_id)
 WHERE status <> 'queued' AND status <> 'waiting' AND status <> 'running'
   AND status <> 'cancelling' AND status <> 'completed';

DROP TRIGGER jobs_counted_in;
CREATE TRIGGER jobs_counted_in AFTER INSERT ON jobs BEGIN
    UPDATE invocations
       SET job_count = job_count + 1,
           unfinished_count = unfinished_count
               + (NEW.status = 'queued' OR NEW.status = 'waiting' OR NEW.status = 'running'
                  OR NEW.status = 'cancelling'),
           failed_count = failed_count + (NEW.status = 'failed' OR NEW.status = 'crashed')
     WHERE repo_hash = NEW.repo_hash AND invocation_id = NEW.invocation_id;
END;
DROP TRIGGER jobs_counted_over;
CREATE TRIGGER jobs_counted_over AFTER UPDATE OF status ON jobs
 WHEN (OLD.status = 'queued' OR OLD.status = 'waiting' OR OLD.status = 'running'
       OR OLD.status = 'cancelling')
  AND NEW.status <> 'queued' AND NEW.status <> 'waiting' AND NEW.status <> 'running'
  AND NEW.status <> 'cancelling' BEGIN
    UPDATE invocations
       SET unfinished_count = unfinished_count - 1,
           failed_count = failed_count + (NEW.status = 'failed' OR NEW.status = 'crashed')
     WHERE repo_hash = NEW.repo_hash AND invocation_id = NEW.invocation_id;
END;
DROP TRIGGER jobs_final_is_final;
CREATE TRIGGER jobs_final_is_final BEFORE UPDATE OF status ON jobs
 WHEN OLD.status <> 'queued' AND OLD.status <> 'waiting' AND OLD.status <> 'running'
  AND OLD.status <> 'cancelling' AND NEW.status <> OLD.status BEGIN
    SELECT RAISE(ABORT, 'a job that has ended does not change its status');
END;
"""

LINEAGE = Lineage(
    name="coordinator",
    steps=(
        Step("jobs", _JOBS, "95da625f610cb7cb"),
        Step("retention", _RETENTION, "ce2633e3873b77b0"),
        Step("leases", _LEASES, "76d872334b53b3f0"),
        Step("pages", _PAGES, "561106dd25d8dbee"),
        Step("plain", _PLAIN, "ea555adfc7bfc3cc"),
    ),
)
