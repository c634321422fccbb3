"""Which repositories a user works in. Append steps; never change a shipped one."""

from __future__ import annotations

from ..migrations import Lineage, Step

_REPOS = """
CREATE TABLE catalog_repos (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL CHECK (name <> ''),
    path TEXT NOT NULL CHECK (path <> ''),
    git_common_dir TEXT NOT NULL CHECK (git_common_dir <> ''),
    remote_url TEXT,
    remote_url_normalized TEXT,
    default_branch TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    removed_at TEXT
);
CREATE UNIQUE INDEX catalog_live_name ON catalog_repos (name) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX catalog_live_path ON catalog_repos (path) WHERE removed_at IS NULL;
CREATE INDEX catalog_by_remote ON catalog_repos (remote_url_normalized);
CREATE INDEX catalog_by_common_dir ON catalog_repos (git_common_dir);
"""

LINEAGE = Lineage(name="catalog", steps=(Step("catalog_repos", _REPOS, "c5d62ce1327e65a5"),))
