"""The one door to a SQLite file: everything that must be true of a connection is made true here.

A writer creates the file (private before SQLite sees it), tightens it, brings it to the present
schema. A reader does none of that: a missing file is no data.
"""

from __future__ import annotations

import os
import time
from typing import Literal

import apsw

from .errors import ForeignFile, SchemaTooNew, StoreBusy, StoreCorrupt, StoreError, StoreIO
from .migrations import APPLICATION_ID, Lineage, apply_pending
from .places import (
    Closed,
    check_private_directory,
    check_private_file,
    private_directory,
    private_file,
)

WRITER_BUSY_MS = 5000
READER_BUSY_MS = 300
SIDE_FILES = ("-wal", "-shm")
_SET_ASIDE = ".corrupt-"

# Run one by one: apsw stops a multi-statement text at the first statement that yields a row.
_WRITER_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    # A move fires triggers, so SQLite wants to be able to undo it alone. It would make a
    # temporary file for that, each time: thirteen times the cost of the move itself.
    "PRAGMA temp_store = MEMORY",
    "PRAGMA wal_autocheckpoint = 1000",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)
# Has effect only before the first table; later it would still wait for every other writer.
_AUTO_VACUUM = "PRAGMA auto_vacuum = INCREMENTAL"
_ALONE = "PRAGMA locking_mode = EXCLUSIVE"
_WAL = "PRAGMA journal_mode = WAL"
_SYNCHRONOUS = {"NORMAL": "PRAGMA synchronous = NORMAL", "FULL": "PRAGMA synchronous = FULL"}


def open_writer(
    path: str,
    lineage: Lineage,
    *,
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
    alone: bool = False,
    closed: Closed | None = None,
) -> apsw.Connection:
    """Open `path` for writing, creating and migrating it as needed.

    synchronous: NORMAL may lose the last commits when the power fails, never consistency;
        FULL loses nothing that was committed.
    alone: keep every other process out while it is open. What they would share is then kept in
        memory, so it can be opened where the disk has no room left.
    closed: told of the directory and the file when they were open to others, which they are not
        any more.
    The connection belongs to one thread.
    Raises: NotOurs, ForeignFile, SchemaTooNew, MigrationMismatch, StoreCorrupt, StoreBusy,
    StoreIO; the file is then as it was.
    """
    try:
        private_directory(os.path.dirname(path), closed=closed)
        private_file(path)
    except OSError as error:
        raise StoreIO(path, error.strerror or str(error)) from error
    db = _connect(path, apsw.SQLITE_OPEN_READWRITE, WRITER_BUSY_MS)
    try:
        if alone:
            _run(db, _ALONE)  # before anything is read: later the shared memory is there
        # Closing a refused file must not move what its own program left in its WAL.
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        check_header(db, path, lineage)
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        # Only now: a file that is refused keeps its mode as well. Till here the directory,
        # which is closed already, keeps others out.
        check_private_file(path, tighten=True, closed=closed)
        if int(db.pragma("user_version")) == 0:
            _run(db, _AUTO_VACUUM)
        _switch_to_wal(db)
        for pragma in (*_WRITER_PRAGMAS, _SYNCHRONOUS[synchronous]):
            _run(db, pragma)
        apply_pending(db, path, lineage)
    except apsw.Error as error:
        db.close()
        raise translated(error, path) from error
    except BaseException:
        db.close()
        raise
    return db


def open_reader(path: str, lineage: Lineage) -> apsw.Connection | None:
    """Open `path` for reading; None when there is no file, or nothing in it yet.

    Creates, migrates and tightens nothing. Raises as `open_writer`.
    """
    from .listing import to_read  # a leader, which only writes, need not carry it

    try:
        check_private_directory(os.path.dirname(path))
        check_private_file(path, tighten=False)
        if os.path.getsize(path) == 0:
            return None
        name, flags = to_read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreIO(path, error.strerror or str(error)) from error
    db = _connect(path, flags, READER_BUSY_MS, name=name)
    try:
        check_header(db, path, lineage)
        if int(db.pragma("user_version")) == 0:
            db.close()
            return None
        for pragma in ("PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON"):
            db.execute(pragma)
    except apsw.Error as error:
        db.close()
        raise translated(error, path) from error
    except BaseException:
        db.close()
        raise
    return db


def check_header(db: apsw.Connection, path: str, lineage: Lineage) -> None:
    """Refuse a file of another program, or of a newer one.

    A file with neither application id nor version nor tables is fresh, whoever created it.
    Raises: ForeignFile, SchemaTooNew.
    """
    # One snapshot for all three: between two looks another process may have made the file.
    db.execute("BEGIN")
    try:
        application = int(db.pragma("application_id"))
        version = int(db.pragma("user_version"))
        tables = db.execute("SELECT count(*) FROM sqlite_schema").get
    finally:
        if not db.get_autocommit():
            db.execute("ROLLBACK")
    if application == 0 and version == 0:
        if tables == 0:
            return
        raise ForeignFile(path, application, APPLICATION_ID)
    if application != APPLICATION_ID:
        raise ForeignFile(path, application & 0xFFFFFFFF, APPLICATION_ID)
    if version > lineage.version:
        raise SchemaTooNew(path, version, lineage.version)


def set_aside_corrupt(path: str) -> str:
    """Move a damaged file and its side files away, never deleting; return the new path.

    The caller makes sure that nobody else has it open (it holds the leader's lock).
    """
    kept = f"{path}{_SET_ASIDE}{time.strftime('%Y%m%dT%H%M%S')}-{os.urandom(2).hex()}"
    os.rename(path, kept)
    for suffix in SIDE_FILES:
        try:
            os.rename(path + suffix, kept + suffix)
        except FileNotFoundError:
            continue
    return kept


def was_set_aside(path: str) -> bool:
    """True when a damaged file of this path was moved away and is still kept."""
    start = os.path.basename(path) + _SET_ASIDE
    try:
        return any(name.startswith(start) for name in os.listdir(os.path.dirname(path)))
    except FileNotFoundError:
        return False


def translated(error: apsw.Error, path: str) -> StoreError:
    """Return what an error of SQLite means for the file at `path`."""
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            return StoreCorrupt(path, str(error))
        case apsw.BusyError() | apsw.LockedError():
            return StoreBusy(path)
        case _:
            return StoreIO(path, str(error))


def _run(db: apsw.Connection, pragma: str) -> None:
    for _ in db.execute(pragma):
        pass  # drained, so that it has really run


def _switch_to_wal(db: apsw.Connection) -> None:
    """Set the journal mode, also when many processes create one store at the same moment.

    Two that switch at once block each other; SQLite then tells one so at once, without the busy
    timeout. A write lock is waited for with it, so getting one means that the other is through.
    Raises: apsw.BusyError after WRITER_BUSY_MS.
    """
    give_up_at = time.monotonic() + WRITER_BUSY_MS / 1000
    while True:
        try:
            return _run(db, _WAL)
        except apsw.BusyError:
            if time.monotonic() > give_up_at:
                raise
        _run(db, "BEGIN IMMEDIATE")
        _run(db, "ROLLBACK")


def _connect(path: str, flags: int, busy_ms: int, *, name: str | None = None) -> apsw.Connection:
    try:
        # Extension loading is off unless asked for; we never ask.
        db = apsw.Connection(name or path, flags=flags | apsw.SQLITE_OPEN_NOMUTEX)
    except apsw.Error as error:
        raise translated(error, path) from error
    # First of all, and without a Python-level handler, which would hold the interpreter.
    db.set_busy_timeout(busy_ms)
    return db
