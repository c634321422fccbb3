"""The trust registry in SQLite, in the user's data directory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import apsw

import daft_store
from daft_store import bringup, moments, seeds, trust
from daft_store.errors import StoreCorrupt, StoreError
from daft_store.places import check_only_ours_to_write
from daft_store.rows import SeedRow, SkippedFireRow, TrustRow

from ..domain.replay import SkippedFire
from ..domain.trust import TrustEntry, TrustLevel
from ..errors import RegistryUnavailable

FILE_NAME = "registry.db"


class SqliteTrustRegistry:
    """Opens for the time of one call: trust is asked for once in a command, rarely changed.

    A file that others may write, or that is in a directory they may write, is refused: what is
    in it need not be the user's word.
    """

    def __init__(self, data_root: str) -> None:
        self._path = os.path.join(data_root, FILE_NAME)

    def get(self, common_dir: str) -> TrustEntry | None:
        """Return the entry of a repository, by its canonical git common directory."""
        with self._reading() as db:
            row = None if db is None else trust.get_trust(db, common_dir)
        return None if row is None else _entry_of(row)

    def put(self, common_dir: str, entry: TrustEntry) -> None:
        """Add an entry or replace it."""
        newest = next(reversed(list(entry.approved)), None)
        with self._writing(decides=True) as db:
            trust.put_trust(
                db,
                TrustRow(
                    common_dir=common_dir,
                    level=entry.level.value,
                    granted_at=entry.granted_at,
                    granted_by="user",
                    fingerprint=entry.fingerprint,
                    content_digest=newest,
                    content_json=json.dumps({name: dict(c) for name, c in entry.approved.items()}),
                ),
            )

    def fill_fingerprint(self, common_dir: str, fingerprint: str) -> bool:
        """Add the fingerprint to an entry that has none; False when there is no such entry."""
        with self._writing() as db:
            return trust.fill_fingerprint(db, common_dir, fingerprint)

    def delete(self, common_dir: str) -> bool:
        """Delete an entry; False when there was none."""
        with self._writing(decides=True) as db:
            return trust.delete_trust(db, common_dir)

    def entries(self) -> Mapping[str, TrustEntry]:
        """Return every entry, by common directory."""
        with self._reading() as db:
            rows = [] if db is None else trust.all_trust(db)
        return {row.common_dir: _entry_of(row) for row in rows}

    def patterns(self) -> tuple[tuple[str, TrustLevel], ...]:
        """Return (pattern, level), the first that fits counting."""
        with self._reading() as db:
            found = [] if db is None else trust.trust_patterns(db)
        return tuple((pattern, _level_of(level)) for pattern, level in found)

    def put_pattern(self, pattern: str, level: TrustLevel) -> None:
        """Give a pattern a level, in its place or behind all others."""
        with self._writing(decides=True) as db:
            trust.put_pattern(db, pattern, level.value)

    def delete_pattern(self, pattern: str) -> bool:
        """Delete a pattern; False when there was none."""
        with self._writing(decides=True) as db:
            return trust.delete_pattern(db, pattern)

    def reset(self) -> None:
        """Delete every entry and every pattern."""
        with self._writing(decides=True) as db:
            trust.delete_everything(db)

    def note_skipped(self, common_dir: str, fire: SkippedFire) -> None:
        """Keep a fire that was not allowed, in place of an earlier one of its hook and worktree."""
        with self._writing() as db:
            trust.note_skipped(
                db,
                SkippedFireRow(
                    common_dir=common_dir,
                    hook=fire.hook,
                    worktree_id=fire.worktree_id,
                    worktree=fire.label,
                    worktree_path=fire.path,
                    reason=fire.reason,
                    skipped_at=fire.skipped_at,
                    facts_json=json.dumps(dict(fire.facts)),
                ),
            )

    def skipped(self, common_dir: str) -> tuple[SkippedFire, ...]:
        """Return the fires of a repository that were not allowed, oldest first."""
        with self._reading() as db:
            rows = [] if db is None else trust.skipped_fires(db, common_dir)
        return tuple(_fire_of(row) for row in rows)

    def forget_skipped(
        self, common_dir: str, *, hook: str | None = None, worktree_id: str | None = None
    ) -> bool:
        """Delete such fires; None stands for every hook, or worktree. False: there were none."""
        if not self.skipped(common_dir):
            return False  # the usual case, which must not cost a write
        with self._writing() as db:
            return trust.forget_skipped(db, common_dir, hook=hook, worktree_id=worktree_id)

    def put_seed(self, common_dir: str, branch: str, name: str, content: bytes) -> None:
        """Remember a file of configuration as it came to the worktree of a branch."""
        now = moments.to_text(datetime.now(UTC))
        with self._writing() as db:
            seeds.put_seed(db, SeedRow(common_dir, branch, name, content, now, now))

    def seeds(self, common_dir: str, branch: str) -> Mapping[str, bytes]:
        """Return what came to the worktree of a branch: name of the file -> content."""
        with self._reading() as db:
            rows = [] if db is None else seeds.seeds_of(db, common_dir, branch)
        return {row.filename: row.content for row in rows}

    def move_seeds(self, common_dir: str, branch: str, to: str) -> None:
        """Have what came to the worktree of a branch go by the branch's new name."""
        if self.seeds(common_dir, branch):
            with self._writing() as db:
                seeds.move_seeds(db, common_dir, branch, to)

    def forget_seeds(self, common_dir: str, branch: str) -> bool:
        """Forget what came to the worktree of a branch; False when nothing had."""
        if not self.seeds(common_dir, branch):
            return False  # the usual case, which must not cost a write
        with self._writing() as db:
            return seeds.forget_seeds(db, common_dir, branch)

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection | None]:
        with self._guarded():
            db = bringup.open_reader(self._path, daft_store.REGISTRY)
            try:
                yield db
            finally:
                if db is not None:
                    db.close()

    @contextmanager
    def _writing(self, *, decides: bool = False) -> Iterator[apsw.Connection]:
        """Open for writing. decides: by the user's word; then a damaged file is moved away."""
        with self._guarded():
            try:
                db = bringup.open_writer(self._path, daft_store.REGISTRY, synchronous="FULL")
            except StoreCorrupt as error:
                if not decides:
                    raise
                kept = bringup.set_aside_corrupt(self._path)
                raise RegistryUnavailable(
                    f"{error}; it was moved to {kept}, so nothing is trusted now: decide again"
                ) from error
            try:
                yield db
            finally:
                db.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            check_only_ours_to_write(self._path)
            yield
        except OSError as error:
            raise RegistryUnavailable(f"{self._path}: {error.strerror or error}") from error
        except apsw.Error as error:
            raise RegistryUnavailable(str(bringup.translated(error, self._path))) from error
        except StoreError as error:
            raise RegistryUnavailable(str(error)) from error


def _level_of(text: str) -> TrustLevel:
    try:
        return TrustLevel(text)
    except ValueError:
        return TrustLevel.DENY  # a word of a newer program: never more than nothing


def _fire_of(row: SkippedFireRow) -> SkippedFire:
    try:
        facts = json.loads(row.facts_json)
    except ValueError:
        facts = {}  # damaged: the fire is replayed with what can be found out now
    return SkippedFire(
        hook=row.hook,
        worktree_id=row.worktree_id,
        label=row.worktree,
        path=row.worktree_path,
        reason=row.reason,
        skipped_at=row.skipped_at,
        facts=facts if isinstance(facts, dict) else {},
    )


def _entry_of(row: TrustRow) -> TrustEntry:
    try:
        approved = json.loads(row.content_json or "{}")
    except ValueError:
        approved = {}  # damaged: then nothing was consented to
    return TrustEntry(
        level=_level_of(row.level),
        granted_at=row.granted_at,
        fingerprint=row.fingerprint,
        approved=approved if isinstance(approved, dict) else {},
    )
