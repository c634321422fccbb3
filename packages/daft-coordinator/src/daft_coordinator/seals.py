"""Files a job may only run as they were when somebody agreed to them."""

from __future__ import annotations

import os
from collections.abc import Mapping

_READ_BYTES = 256 * 1024


def why_changed(seals: Mapping[str, str]) -> str | None:
    """Return what is wrong with the first file that is not as sealed, None when all are.

    seals: path -> SHA-256 of its content in hex, see `JobSpec.seals`.
    """
    if not seals:
        return None
    import hashlib  # large, and most jobs have no such files

    for path, expected in seals.items():
        try:
            if not os.path.isfile(path):
                return f"{path} is gone, or no file any more, since the hook was allowed to run"
            with open(path, "rb", buffering=0) as file:
                total = hashlib.sha256()
                while data := file.read(_READ_BYTES):
                    total.update(data)
        except OSError as error:
            return f"{path} cannot be checked: {error.strerror}"
        if total.hexdigest() != expected:
            return f"{path} has changed since the hook was allowed to run"
    return None
