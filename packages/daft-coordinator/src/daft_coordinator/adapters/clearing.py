"""What is left of leaders that single invocations had of their own: locks, sockets."""

from __future__ import annotations

import os

from daft_store.places import RepositoryPlaces, is_badge

from ..station import LeaderLock, own_leaders


def clear_left(state_root: str, repository: str) -> None:
    """Delete the lock and socket files of such leaders that have died.

    Whoever holds a lock is left alone, and nobody takes one over while its file is deleted.
    Raises: OSError.
    """
    places = RepositoryPlaces(state_root, repository)
    for badge, is_alive in own_leaders(places.lock).items():
        if is_alive or not is_badge(badge):
            continue
        path = places.own_lock(badge)
        lock = LeaderLock.try_acquire(path)
        if lock is None:
            continue  # one for another invocation of nearly the same name has begun just now
        try:
            os.unlink(places.socket(os.environ, badge))
        except FileNotFoundError:
            pass  # it died before it listened, or after it had ceased to
        finally:
            lock.remove(path)
