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

# Untracked configuration as it came to a worktree, to tell later what was changed there.
_VISITOR_SEEDS = """
CREATE TABLE visitor_seeds (
    common_dir TEXT NOT NULL,
    branch TEXT NOT NULL,
    filename TEXT NOT NULL CHECK (filename <> ''),
    content BLOB NOT NULL,
    seeded_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (common_dir, branch, filename)
);
"""

LINEAGE = Lineage(
    name="registry",
    steps=(
        Step("trust", _TRUST, "5349c9fed244dff1"),
        Step("skipped_fires", _SKIPPED_FIRES, "094c553234e0a27f"),
        Step("visitor_seeds", _VISITOR_SEEDS, "8c6fa0fb24867f3f"),
    ),
)
SKIPPED_FIRES_SINCE = 2
VISITOR_SEEDS_SINCE = 3
"""A reader changes nothing, so it may meet a file that has not taken this step yet."""
