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

LINEAGE = Lineage(name="registry", steps=(Step("trust", _TRUST),))
