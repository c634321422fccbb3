"""A repository's identity: a UUID in its git directory, the same for all its worktrees."""

from __future__ import annotations

import fcntl
import os
import time
import uuid

from .errors import BadIdentity, StoreIO

FILE_NAME = "daft-id"


def read_repository_id(common_dir: str) -> str | None:
    """Return the id of the repository with this git common directory; None if it has none yet.

    Creates nothing. Raises: BadIdentity for a file that holds something else; StoreIO.
    """
    path = os.path.join(common_dir, FILE_NAME)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(256).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreIO(path, error.strerror or str(error)) from error
    if not text:
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise BadIdentity(path) from error


def ensure_repository_id(common_dir: str) -> str:
    """Return the repository's id, making one if there is none.

    Any number of processes may ask at once; all get the same answer.
    Raises: BadIdentity, StoreIO.
    """
    path = os.path.join(common_dir, FILE_NAME)
    while True:
        known = read_repository_id(common_dir)
        if known is not None:
            return known
        try:
            _offer(path, str(_uuid7()))
        except OSError as error:
            raise StoreIO(path, error.strerror or str(error)) from error


def _offer(path: str, identity: str) -> None:
    """Put `identity` at `path` unless somebody else's is there already."""
    temporary = f"{path}.{uuid.uuid4().hex[:12]}"
    with open(temporary, "x", encoding="ascii") as file:
        file.write(identity)
        # The whole history hangs on these bytes: a power failure must not leave a blank file.
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link never replaces: whoever is second reads the first one's id.
        os.link(temporary, path)
    except FileExistsError:
        _replace_if_blank(path, temporary)
    finally:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass  # it was moved into place


def _replace_if_blank(path: str, temporary: str) -> None:
    """Move `temporary` to `path` if that is blank: a crash between creating and writing.

    Of several who see the blank file, one may act. The lock is on the blank file itself, so
    whoever gets it later finds another file in its place and leaves that alone.
    """
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            in_place = os.path.samestat(os.fstat(file.fileno()), os.stat(path))
            if in_place and not file.read(256).strip():
                os.replace(temporary, path)
    except FileNotFoundError:
        return  # removed meanwhile: the caller looks again


def _uuid7() -> uuid.UUID:
    """Return a version 7 UUID (RFC 9562): 48 bits of milliseconds, then random ones."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)
