"""What a user decided about repositories. Append steps; never change a shipped one."""

from __future__ import annotations

from ..migrations import Lineage, Step

_TRUST = """
CREATE TABLE trust (
    common_dir TEXT NOT NULL PRIMARY KEY,
    level TEXT NOT NULL CHECK (level <> ''),
    granted_at TEXT NOT NULL,
    granted_by TEXT NOT NULL DEFAULT 'user',
    fingerprint TEXT,
    content_digest TEXT,
    content_json TEXT
);
CREATE TABLE trust_patterns (
    position INTEGER NOT NULL PRIMARY KEY,
    pattern TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level <> ''),
    comment TEXT
);
"""

# Hooks that were not run for want of consent, with what is needed to run them later.
_SKIPPED_FIRES = """
CREATE TABLE skipped_fires (
    common_dir TEXT NOT NULL,
    hook TEXT NOT NULL CHECK (hook <> ''),
    worktree_id TEXT NOT NULL,
    worktree TEXT NOT NULL,
    worktree_path TEXT NOT NULL,
    reason TEXT NOT NULL,
    skipped_at TEXT NOT NULL,
    facts_json TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (common_dir, hook, worktree_id)
);
"""

LINEAGE = Lineage(
    name="registry",
    steps=(
        Step("trust", _TRUST, "5349c9fed244dff1"),
        Step("skipped_fires", _SKIPPED_FIRES, "094c553234e0a27f"),
    ),
)
SKIPPED_FIRES_SINCE = 2
"""A reader changes nothing, so it may meet a file that has not taken this step yet."""
