"""A repository's identity: a UUID in its git directory, the same for all its worktrees."""

from __future__ import annotations

import os
import time
import uuid

from .errors import BadIdentity

FILE_NAME = "daft-id"


def read_repository_id(common_dir: str) -> str | None:
    """Return the id of the repository with this git common directory; None if it has none yet.

    Creates nothing. Raises: BadIdentity for a file that holds something else.
    """
    path = os.path.join(common_dir, FILE_NAME)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(256).strip()
    except FileNotFoundError:
        return None
    if not text:
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise BadIdentity(path) from error


def ensure_repository_id(common_dir: str) -> str:
    """Return the repository's id, making one if there is none.

    Any number of processes may ask at once; all get the same answer. Raises: BadIdentity.
    """
    path = os.path.join(common_dir, FILE_NAME)
    while True:
        known = read_repository_id(common_dir)
        if known is not None:
            return known
        mine = str(_uuid7())
        temporary = f"{path}.{uuid.uuid4().hex[:12]}"
        with open(temporary, "x", encoding="ascii") as file:
            file.write(mine)
        try:
            # A link never replaces: whoever is second reads the first one's id.
            os.link(temporary, path)
        except FileExistsError:
            if _is_blank(path):
                # A crash between creating and writing, by a program that did not link.
                os.replace(temporary, path)
                continue
        finally:
            try:
                os.unlink(temporary)
            except FileNotFoundError:
                pass  # it was moved into place


def _is_blank(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return not file.read(256).strip()
    except FileNotFoundError:
        return False


def _uuid7() -> uuid.UUID:
    """Return a version 7 UUID (RFC 9562): 48 bits of milliseconds, then random ones."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)
