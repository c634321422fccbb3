"""Identities made of text: invocation ids, job uids, and job names as directory names."""

from __future__ import annotations

import os

from .errors import BadJobName

INVOCATION_ID_DIGITS = 16
MAX_JOB_NAME_BYTES = 255

# Long enough to stay readable, short enough for every file system once the suffix is on.
_DIRECTORY_LIMIT_BYTES = 100
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._ -")


def new_invocation_id() -> str:
    """Return 16 random hex digits. Neither clock nor pid take part, so prefixes stay short."""
    return os.urandom(INVOCATION_ID_DIGITS // 2).hex()


def new_job_uid() -> str:
    """Return 32 random hex digits: the identity of one job, whatever its name."""
    return os.urandom(16).hex()


def check_job_name(name: str) -> str:
    """Return `name` unchanged if it can be stored, shown and addressed.

    Raises: BadJobName for an empty name, one with control characters, or one longer than
    255 bytes of UTF-8.
    """
    if not name:
        raise BadJobName(name, "is empty")
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in name):
        raise BadJobName(name, "holds a control character")
    if len(name.encode("utf-8", "surrogateescape")) > MAX_JOB_NAME_BYTES:
        raise BadJobName(name, f"is longer than {MAX_JOB_NAME_BYTES} bytes")
    return name


def directory_name(job_name: str) -> str:
    """Return the directory in which the job called `job_name` keeps its log.

    Injective, at most 113 characters, never `.`, `..`, hidden or empty: letters, digits and
    `._ -` stay (but no leading dot), every other byte of the UTF-8 form becomes `%XX`; a long
    name is cut and closed with `~` and 12 hex digits of its SHA-256.
    """
    raw = job_name.encode("utf-8", "surrogateescape")
    parts = [
        chr(byte) if byte in _PLAIN and not (index == 0 and byte == 0x2E) else f"%{byte:02X}"
        for index, byte in enumerate(raw)
    ]
    encoded = "".join(parts)
    if len(encoded) <= _DIRECTORY_LIMIT_BYTES and encoded:
        return encoded
    import hashlib  # rarely needed, and large

    return f"{encoded[:_DIRECTORY_LIMIT_BYTES]}~{hashlib.sha256(raw).hexdigest()[:12]}"
