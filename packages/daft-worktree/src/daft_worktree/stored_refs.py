"""Reading references from their files, where that is simple; git is asked where it is not.

Source: gitrepository-layout(5), git-pack-refs(1).
"""

from __future__ import annotations

import os

_HEX = frozenset("0123456789abcdef")


class NotPlain(Exception):
    """What is stored is no plain object id; only git can tell what it means."""


class StoredRefs:
    """The references of a repository that keeps them in files."""

    def __init__(self, common_dir: str) -> None:
        self._common_dir = common_dir
        self._packed: dict[str, str] | None = None

    def resolve(self, ref: str) -> str | None:
        """Return the object id that a full `ref` holds, None when it does not exist.

        Raises: NotPlain.
        """
        loose = self._loose(ref)
        if loose is not None:
            return loose
        if self._packed is not None and ref in self._packed:
            return self._packed[ref]
        # Only now: git writes the packed file before it deletes the loose one.
        self._packed = self._read_packed()
        return self._packed.get(ref)

    def _loose(self, ref: str) -> str | None:
        try:
            with open(os.path.join(self._common_dir, *ref.split("/")), encoding="ascii") as file:
                text = file.read(256).rstrip("\n")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise NotPlain(ref) from error
        if not is_object_id(text):
            raise NotPlain(ref)
        return text

    def _read_packed(self) -> dict[str, str]:
        found: dict[str, str] = {}
        try:
            with open(
                os.path.join(self._common_dir, "packed-refs"),
                encoding="utf-8",
                errors="surrogateescape",
                newline="\n",
            ) as file:
                for line in file:
                    oid, _, ref = line.rstrip("\n").partition(" ")
                    # Others are the header and what annotated tags point to.
                    if is_object_id(oid):
                        found[ref] = oid
        except FileNotFoundError:
            return found
        except OSError as error:
            raise NotPlain("packed-refs") from error
        return found


def is_object_id(text: str) -> bool:
    """True for an object id in full, SHA-1 or SHA-256."""
    return len(text) in (40, 64) and set(text) <= _HEX
