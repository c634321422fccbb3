"""Bringing a file to the form this program knows, all steps or none."""

from __future__ import annotations

from datetime import UTC, datetime

import apsw
from attrs import frozen

from .errors import MigrationMismatch, SchemaTooNew
from .moments import to_text

APPLICATION_ID = 0x44465059
"""Ours, in the header of every file we make."""

_STEPS_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TEXT NOT NULL
)
"""
_NOTE_STEP = """
INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)
"""


@frozen
class Step:
    """One change of schema. `name` says what it brings; `sql` may hold several statements.

    shipped_as: its digest, written down when it was released; None works it out.
    """

    name: str
    sql: str
    shipped_as: str | None = None

    @property
    def checksum(self) -> str:
        """A digest of the step, to notice one that was edited after it shipped."""
        return self.shipped_as or digest(self.sql)


def digest(sql: str) -> str:
    """Return the digest by which a step is known: 16 hex digits of its SHA-256."""
    # Not above: the cryptography behind it is several MiB that every leader would carry.
    import hashlib

    return hashlib.sha256(sql.encode()).hexdigest()[:16]


@frozen(kw_only=True)
class Lineage:
    """The steps of one kind of file, in order; the version is how many were taken."""

    name: str
    steps: tuple[Step, ...]

    @property
    def version(self) -> int:
        """The version this program writes."""
        return len(self.steps)


def apply_pending(db: apsw.Connection, path: str, lineage: Lineage) -> int:
    """Take every step the file lacks, in one transaction; return how many that were.

    Two processes may do so at once: the second finds nothing left to do.
    Raises: SchemaTooNew, MigrationMismatch; then nothing was changed.
    """
    version = int(db.pragma("user_version"))
    if version > lineage.version:
        raise SchemaTooNew(path, version, lineage.version)
    if version == lineage.version:
        check_steps(db, path, lineage, version)
        return 0
    db.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: somebody may have been faster.
        version = int(db.pragma("user_version"))
        if version > lineage.version:
            raise SchemaTooNew(path, version, lineage.version)
        db.execute(_STEPS_TABLE)
        check_steps(db, path, lineage, version)
        now = to_text(datetime.now(UTC))
        for number, step in enumerate(lineage.steps[version:], version + 1):
            for _ in db.execute(step.sql):
                pass  # a statement that yields rows would stop the ones behind it
            db.execute(
                _NOTE_STEP,
                (number, step.name, step.checksum, now),
            )
        db.pragma("application_id", APPLICATION_ID)
        db.pragma("user_version", lineage.version)
        db.execute("COMMIT")
    except BaseException:
        if not db.get_autocommit():
            db.execute("ROLLBACK")
        raise
    return lineage.version - version


def check_steps(db: apsw.Connection, path: str, lineage: Lineage, version: int) -> None:
    """Refuse a file whose steps are not ours. Raises: MigrationMismatch."""
    if version == 0:
        return
    rows = db.execute("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
    taken = {number: (name, checksum) for number, name, checksum in rows}
    for number, step in enumerate(lineage.steps[:version], 1):
        name, checksum = taken.pop(number, ("missing", ""))
        if (name, checksum) != (step.name, step.checksum):
            raise MigrationMismatch(path, number, name, step.name)
    for number, (name, _) in taken.items():
        raise MigrationMismatch(path, number, name, "not taken yet")
