"""One descriptor kept back, so that looking at processes works when no other is left.

Without it, a coordinator that ran out of descriptors could not even see that its jobs have
ended, which is what gives descriptors back.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_kept: list[int] = []


def with_reserve(look: Callable[[], T]) -> T:
    """Return what `look` returns; for want of a descriptor it gets the one that is kept back.

    look: opens something and closes it again before it returns. Raises: as `look`.
    """
    if not _kept:
        _keep()
    try:
        return look()
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE) or not _kept:
            raise
    os.close(_kept.pop())
    try:
        return look()
    finally:
        _keep()


def _keep() -> None:
    try:
        _kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return  # none is left now; the next look tries again
