"""The file under a job store: opened, followed when it is replaced, set aside when damaged."""

from __future__ import annotations

import os
from collections.abc import Callable

import apsw

import daft_store
from daft_store import bringup
from daft_store.errors import StoreCorrupt
from daft_store.places import Closed, RepositoryPlaces, closing

from ..station import LeaderLock, own_leaders


class StoreFile:
    """One open store. `db` may be another connection after any call.

    leads: the caller holds the leader's lock for as long as this lives, so it may set a damaged
        file aside at any moment. Others may do so only when they open it, and only if the lock
        is free: a living leader has it open.
    leads_one: the caller leads one invocation, and may set the file aside at any moment, too, if
        nobody leads the repository then.
    repairs: False for who only looks: a damaged file is then told of and left as it is.
    busy_ms: how long one statement may wait for another process.
    """

    def __init__(
        self,
        places: RepositoryPlaces,
        *,
        report: Callable[[str], None],
        leads: bool = False,
        leads_one: bool = False,
        repairs: bool = True,
        busy_ms: int = bringup.WRITER_BUSY_MS,
    ) -> None:
        self._places = places
        self._report = report
        self._leads = leads
        self._leads_one = leads_one
        self._repairs = repairs
        self._busy_ms = busy_ms
        self.db = self._opened()
        self._identity = _identity_of(places.database)

    def follow(self) -> bool:
        """Open what is at the path now if that is another file than the one that is open.

        A file that was deleted goes on taking rows, which nobody would ever see. Returns: True
        when another file is open now. Raises: StoreError, OSError.
        """
        if _identity_of(self._places.database) == self._identity:
            return False
        self._report(f"{self._places.database} was moved or deleted while in use; opening it anew")
        self._replace(self._opened)
        return True

    def set_aside(self) -> bool:
        """Put a new file in the place of a damaged one, if that is ours to do; True when done.

        Ends that logs tell of are taken in. Raises: StoreError, OSError.
        """
        if self._leads:
            self._replace(lambda: self._made_anew(unfinished=False))
            return True
        if not self._leads_one:
            return False
        lock = LeaderLock.try_acquire(self._places.lock)
        if lock is None:
            return False  # who leads the repository does it, and we follow
        try:
            if _identity_of(self._places.database) != self._identity:
                return False  # somebody was faster; following opens what is there now
            self._replace(lambda: self._made_anew(unfinished=False))
        finally:
            lock.release()
        return True

    def wait_at_most(self, busy_ms: int) -> None:
        """Have no statement wait longer than this for another process from now on."""
        self._busy_ms = busy_ms
        self.db.set_busy_timeout(busy_ms)

    def close(self) -> None:
        """Let go of the file. Calling it again does nothing."""
        self.db.close()

    def _replace(self, opened: Callable[[], apsw.Connection]) -> None:
        self.db.close()
        self.db = opened()
        self._identity = _identity_of(self._places.database)

    def _opened(self) -> apsw.Connection:
        were_open: list[tuple[str, int]] = []

        def closed(path: str, mode: int) -> None:
            were_open.append((path, mode))

        try:
            self._places.make(os.environ, closed=closed)
            return self._open_or_replace(closed)
        finally:
            if were_open:
                self._report(closing(were_open))

    def _open_or_replace(self, closed: Closed) -> apsw.Connection:
        try:
            return self._open(closed)
        except StoreCorrupt:
            if self._leads:
                return self._made_anew(unfinished=True)
            lock = LeaderLock.try_acquire(self._places.lock) if self._repairs else None
            if lock is None:
                raise
        try:
            return self._open(closed)  # somebody may have been faster
        except StoreCorrupt:
            return self._made_anew(unfinished=True)
        finally:
            lock.release()

    def _open(self, closed: Closed | None = None) -> apsw.Connection:
        db = bringup.open_writer(self._places.database, daft_store.COORDINATOR, closed=closed)
        db.set_busy_timeout(self._busy_ms)
        return db

    def _made_anew(self, *, unfinished: bool) -> apsw.Connection:
        """Fill a new store beside the damaged one, then put it in its place.

        A death before the damaged one is moved away leaves all to be done again.
        """
        database = self._places.database
        made = f"{database}.new"
        for suffix in ("", *bringup.SIDE_FILES):
            _unlink(made + suffix)  # of one that died at this
        db = bringup.open_writer(made, daft_store.COORDINATOR)
        count = self._salvage(db, unfinished=unfinished)
        db.close()
        kept = bringup.set_aside_corrupt(database)
        try:
            os.link(made, database)
        except FileExistsError:
            # Somebody found no store between two moments and made one: it has rows already.
            db = self._open()
            count = self._salvage(db, unfinished=unfinished)
            db.close()
        _unlink(made)
        self._report(
            f"the job store was damaged; it was kept as {kept} and a new one was made, "
            f"with the {count} jobs that their logs tell of"
        )
        return self._open()

    def _salvage(self, db: apsw.Connection, *, unfinished: bool) -> int:
        # What such a leader runs is neither lost nor ownerless: it adds the rows again itself.
        apart = [one for one, lives in own_leaders(self._places.lock).items() if lives]
        from . import salvage  # hardly ever needed

        return salvage.take_in(db, self._places, unfinished=unfinished, led_apart=apart)


class SeenFile:
    """A store that is only looked at: never made, brought up to date, closed to others, set aside.

    db: a reader's connection to the file of `places`.
    """

    def __init__(self, places: RepositoryPlaces, db: apsw.Connection) -> None:
        self._places = places
        self.db = db
        self._identity = _identity_of(places.database)

    def follow(self) -> bool:
        """Open what is at the path now if that is another file; True when it is open.

        What was deleted is read to its end. Raises: StoreError.
        """
        there = _identity_of(self._places.database)
        if there is None or there == self._identity:
            return False
        db = bringup.open_reader(self._places.database, daft_store.COORDINATOR)
        if db is None:
            return False
        self.db.close()
        self.db, self._identity = db, there
        return True

    def set_aside(self) -> bool:
        """Leave a damaged file to who may write."""
        return False

    def wait_at_most(self, busy_ms: int) -> None:
        """Have no statement wait longer than this for another process from now on."""
        self.db.set_busy_timeout(busy_ms)

    def close(self) -> None:
        """Let go of the file. Calling it again does nothing."""
        self.db.close()


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _identity_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
