"""Changing the catalog: taking up what is worked in, naming it, taking it out.

The catalog is told by whoever works in a repository, so it heals by itself: what has moved is
found where it is now, what is gone gives up its name, and a damaged file is put aside.
"""

from __future__ import annotations

import fcntl
import os
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import apsw

from .bringup import open_reader, open_writer, set_aside_corrupt, translated
from .catalog import EVERY, OF_UUID, Entry, Sighting, catalog_path, says_the_same
from .errors import BadIdentity, BadName, NameTaken, StoreCorrupt, StoreIO
from .identity import read_repository_id
from .moments import to_text
from .places import private_file
from .remotes import last_part, normalized
from .schema.catalog import LINEAGE
from .texts import storable
from .transactions import writing

PUT = """
INSERT INTO catalog_repos (
    uuid, name, path, git_common_dir, remote_url, remote_url_normalized, default_branch,
    created_at, updated_at, removed_at)
VALUES (
    :uuid, :name, :path, :git_common_dir, :remote_url, :remote_url_normalized, :default_branch,
    :now, :now, NULL)
    ON CONFLICT (uuid) DO UPDATE
   SET name = excluded.name, path = excluded.path, git_common_dir = excluded.git_common_dir,
       remote_url = excluded.remote_url, remote_url_normalized = excluded.remote_url_normalized,
       default_branch = COALESCE(excluded.default_branch, default_branch),
       updated_at = excluded.updated_at, removed_at = NULL
"""
TAKE_OUT = """
UPDATE catalog_repos SET removed_at = :now, updated_at = :now
 WHERE uuid = :uuid AND removed_at IS NULL
"""
_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,99}")
_FALLBACK = "repository"

T = TypeVar("T")


def take_up(
    data_root: str,
    seen: Sighting,
    *,
    name: str | None = None,
    fetched_from: str | None = None,
    report: Callable[[str], None],
) -> Entry:
    """Record a repository that was seen, as far as it says something new; return its entry.

    A copy of one that is still where it was has its identity as well, and changes nothing: the
    entry returned is then of another `git_common_dir`.
    name: what the user wants to call it; without, it keeps its name or gets one. fetched_from:
    what git makes of the remote's URL. report: told one line when a damaged catalog was put aside.
    Raises: BadName, NameTaken (nothing was changed); StoreError.
    """
    if name is not None:
        check_name(name)

    def change(db: apsw.Connection) -> Entry:
        known = _of_uuid(db, seen.uuid)
        if known is not None and name in (None, known.name) and says_the_same(known, seen):
            return known  # somebody was faster
        if known is not None and known.is_live and is_elsewhere(known, seen):
            return known
        _register(db, seen, known, name, fetched_from)
        entry = _of_uuid(db, seen.uuid)
        assert entry is not None
        return entry

    return _changed(data_root, change, report)


def take_out(data_root: str, identity: str, *, report: Callable[[str], None]) -> bool:
    """Mark a repository as removed; False when it was not in the catalog. Raises: StoreError."""

    def change(db: apsw.Connection) -> bool:
        db.execute(TAKE_OUT, {"uuid": identity, "now": _now()})
        return db.changes() == 1

    return _changed(data_root, change, report)


def mend(data_root: str, *, report: Callable[[str], None]) -> None:
    """Put a damaged catalog aside and begin it anew; a good one stays. Raises: StoreError."""
    _changed(data_root, _every, report)


def live_places(data_root: str) -> Mapping[str, str]:
    """Return identity -> git directory of live repositories that are where they are recorded.

    Raises: StoreError.
    """
    db = open_reader(catalog_path(data_root), LINEAGE)
    if db is None:
        return {}
    try:
        entries = [Entry(*row) for row in db.execute(EVERY)]
    except apsw.Error as error:
        raise translated(error, catalog_path(data_root)) from error
    finally:
        db.close()
    return {one.uuid: one.git_common_dir for one in entries if one.is_live and is_there(one)}


def is_there(entry: Entry) -> bool:
    """True when the repository still is where the catalog has it; also when that cannot be told."""
    try:
        return read_repository_id(entry.git_common_dir) == entry.uuid
    except (BadIdentity, StoreIO):
        return True  # something is there, and somebody has to look after it


def is_elsewhere(known: Entry, seen: Sighting) -> bool:
    """True when an identity was seen that another directory, which still is there, has as well."""
    return known.git_common_dir != storable(seen.git_common_dir) and is_there(known)


def check_name(name: str) -> None:
    """Refuse what cannot name a repository. Raises: BadName."""
    if not _NAME.fullmatch(name) or ".." in name or name == ".":
        raise BadName(
            name, "letters, digits, dots, dashes and underscores, no dash first, no two dots"
        )
    try:
        uuid.UUID(name)
    except ValueError:
        return
    raise BadName(name, "an identity is not a name")


def fitting_name(remote_url: str | None, path: str) -> str:
    """Return what a repository would be called: by its remote, else by its directory."""
    own = os.path.basename(path).removesuffix(".git") or os.path.basename(os.path.dirname(path))
    for text in ("" if remote_url is None else last_part(remote_url), own):
        name = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", text)).lstrip("-")[:100]
        try:
            check_name(name)
        except BadName:
            continue
        return name
    return _FALLBACK


# --- one transaction -----------------------------------------------------------------------------


def _register(
    db: apsw.Connection,
    seen: Sighting,
    known: Entry | None,
    name: str | None,
    fetched_from: str | None,
) -> None:
    others = [one for one in _every(db) if one.is_live and one.uuid != seen.uuid]
    path, common = storable(seen.path), storable(seen.git_common_dir)
    at_path = [one for one in others if path == one.path or common == one.git_common_dir]
    if not all(_gives_way(db, one) for one in at_path):
        path = common  # two git directories in one directory
    holders = {one.name: one for one in others}
    if name is None:
        wanted = known.name if known is not None else fitting_name(seen.remote_url, seen.path)
        name = _free(db, wanted, holders)
    elif name in holders and not _gives_way(db, holders[name]):
        raise NameTaken(name, holders[name].path)
    url = seen.remote_url
    asked = fetched_from or url
    db.execute(
        PUT,
        {
            "uuid": seen.uuid,
            "name": name,
            "path": path,
            "git_common_dir": common,
            "remote_url": None if url is None else storable(url),
            "remote_url_normalized": None if asked is None else storable(normalized(asked)),
            "default_branch": seen.default_branch,
            "now": _now(),
        },
    )


def _free(db: apsw.Connection, wanted: str, holders: Mapping[str, Entry]) -> str:
    name, number = wanted, 1
    while name in holders and not _gives_way(db, holders[name]):
        number += 1
        name = f"{wanted}-{number}"
    return name


def _gives_way(db: apsw.Connection, other: Entry) -> bool:
    """Take out a repository that is gone, and needs its name no more; False when it is there."""
    if is_there(other):
        return False
    db.execute(TAKE_OUT, {"uuid": other.uuid, "now": _now()})
    return True


def _of_uuid(db: apsw.Connection, identity: str) -> Entry | None:
    row = db.execute(OF_UUID, (identity,)).fetchone()
    return None if row is None else Entry(*row)


def _every(db: apsw.Connection) -> list[Entry]:
    return [Entry(*row) for row in db.execute(EVERY)]


def _now() -> str:
    return to_text(datetime.now(UTC))


# --- the file ------------------------------------------------------------------------------------


def _changed(
    data_root: str, change: Callable[[apsw.Connection], T], report: Callable[[str], None]
) -> T:
    """Run `change` as one transaction on the catalog, on a new one if it is damaged."""
    path = catalog_path(data_root)
    try:
        return _attempt(path, change)
    except StoreCorrupt as error:
        kept = _put_aside(path)
        if kept is not None:
            report(f"{path} is damaged ({error.reason}) and was renamed to {kept}")
        return _attempt(path, change)


def _attempt(path: str, change: Callable[[apsw.Connection], T]) -> T:
    db = open_writer(path, LINEAGE)
    try:
        with writing(db):
            return change(db)
    except apsw.Error as error:
        raise translated(error, path) from error
    finally:
        db.close()


def _put_aside(path: str) -> str | None:
    """Move a damaged catalog away, keeping it; None when somebody else just has."""
    lock = f"{path}.lock"
    private_file(lock)
    with open(lock, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            _attempt(path, _every)
        except StoreCorrupt:
            return set_aside_corrupt(path)
        return None
