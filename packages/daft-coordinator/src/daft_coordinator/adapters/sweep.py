"""Clean-up of every repository below a state directory, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from attrs import evolve, frozen

from daft_store.errors import BadIdentity, StoreError, StoreIO
from daft_store.identity import read_repository_id
from daft_store.places import RepositoryPlaces, known_repositories
from daft_store.shelf import clear_discarded, discard

from ..cleaning import Cleaning, Outcome, Plan
from ..domain.retention import Wishes, may_be_discarded
from ..errors import CoordinatorError
from ..evictor import HeldEvictor, RepositoryEvictor
from ..history import JobHistory
from ..station import LeaderLock, own_leaders
from .clearing import clear_left
from .clock import SystemClock
from .processes import PosixProcessControl
from .sqlite import SqliteJobStore, open_station
from .sqlite_history import SqliteHistory

_ROOM_BYTES = 256 * 1024

LivingWorktrees = Callable[[str], Collection[str] | None]
"""Git common directory -> labels of the worktrees that exist; None: they are not known."""


@frozen(kw_only=True)
class Looked:
    """What a look at one repository found. discard: its whole record is to go.

    error: why nothing could be found. is_unusable: because of the record itself.
    """

    repository: str
    plan: Plan | None = None
    discard: bool = False
    error: str | None = None
    is_unusable: bool = False


@frozen(kw_only=True)
class Cleaned:
    """What was done in one repository. error, is_unusable: as above, why nothing could be."""

    repository: str
    outcome: Outcome | None = None
    discarded: bool = False
    error: str | None = None
    is_unusable: bool = False


class Sweep:
    """Clean-up of repositories below one state directory.

    by_hand: the user asked for it. living: asked for worktrees, by the repository's place.
    places: repository -> git common directory, where that is known better than it is recorded.
    enough: asked between steps; once it is true, no more is begun.
    report: told one line of whatever in a store had to be left out or put right.
    """

    def __init__(
        self,
        state_root: str,
        *,
        by_hand: bool,
        living: LivingWorktrees = lambda common_dir: None,
        places: Mapping[str, str] | None = None,
        enough: Callable[[], bool] = lambda: False,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._root = state_root
        self._by_hand = by_hand
        self._living = living
        self._places = places or {}
        self._enough = enough
        self._report = report

    def repositories(self) -> tuple[str, ...]:
        """Return the ids of all repositories that have a store."""
        return tuple(
            one
            for one in known_repositories(self._root)
            if os.path.exists(RepositoryPlaces(self._root, one).database)
        )

    def look(self, repository: str, wishes: Wishes | None = None) -> Looked:
        """Return what clean-up of one repository would do. Changes nothing."""
        try:
            history = SqliteHistory.read(self._root, repository, report=self._report)
            if history is None:
                return Looked(repository=repository)
            try:
                plan = self._cleaning(repository, history).plan(wishes)
                return Looked(
                    repository=repository,
                    plan=plan,
                    discard=self._is_over(repository, history, plan),
                )
            finally:
                history.close()
        except (StoreError, CoordinatorError, OSError) as error:
            unusable = isinstance(error, StoreError)
            return Looked(repository=repository, error=str(error), is_unusable=unusable)

    def clean(self, repository: str, wishes: Wishes | None = None) -> Cleaned:
        """Clean up one repository. Trouble with it is in the answer; others are not its concern."""
        try:
            with self._opened(repository) as (store, history):
                plan = self._cleaning(repository, history).plan(wishes)
                over = self._is_over(repository, history, plan)
                if not over:
                    station = open_station(self._root, repository)
                    outcome = self._cleaning(repository, history).carry_out(
                        plan, RepositoryEvictor(station, store, history), enough=self._enough
                    )
                    clear_left(self._root, repository)
                    return Cleaned(repository=repository, outcome=outcome)
            return self._discard(repository)
        except StoreIO as error:
            if not _is_full(self._root):
                return Cleaned(repository=repository, error=str(error), is_unusable=True)
            return self._clean_full_disk(repository, wishes)
        except (StoreError, CoordinatorError, OSError) as error:
            unusable = isinstance(error, StoreError)
            return Cleaned(repository=repository, error=str(error), is_unusable=unusable)

    def finish(self) -> int:
        """Delete what was discarded, now or by a pass that died; return the bytes freed.

        Raises: StoreError, OSError.
        """
        return clear_discarded(self._root)

    # --- one repository -----------------------------------------------------------------------

    @contextmanager
    def _opened(self, repository: str) -> Iterator[tuple[SqliteJobStore, SqliteHistory]]:
        store = SqliteJobStore.open(self._root, repository, report=self._report)
        try:
            yield store, store.history()
        finally:
            store.close()

    def _clean_full_disk(self, repository: str, wishes: Wishes | None) -> Cleaned:
        """Clean up where a store cannot even be opened for lack of room: alone with it."""
        no_room = Cleaned(repository=repository, error="the disk is full")
        lock = _alone(RepositoryPlaces(self._root, repository))
        if lock is None:
            return no_room
        try:
            history = SqliteHistory.open(self._root, repository, alone=True)
            try:
                cleaning = self._cleaning(repository, history)
                plan = cleaning.plan(wishes)
                outcome = cleaning.carry_out(plan, HeldEvictor(history), enough=self._enough)
                return Cleaned(repository=repository, outcome=outcome)
            finally:
                history.close()
        except (StoreError, CoordinatorError, OSError) as error:
            return evolve(no_room, error=f"the disk is full: {error}")
        finally:
            lock.release()

    def _cleaning(self, repository: str, history: JobHistory) -> Cleaning:
        place = history.place()
        common_dir = self._places.get(repository, "" if place is None else place.common_dir)
        living: Collection[str] | None = None
        if common_dir:
            gone = _is_gone(common_dir, repository)
            living = () if gone else self._living(common_dir)
        return Cleaning(
            history,
            clock=SystemClock(),
            processes=PosixProcessControl(),
            by_hand=self._by_hand,
            living_worktrees=living,
        )

    def _is_over(self, repository: str, history: JobHistory, plan: Plan) -> bool:
        """True when the repository of a record is gone, and for long enough."""
        place = None if repository in self._places else history.place()
        return place is not None and may_be_discarded(
            plan.snapshot, is_gone=_is_gone(place.common_dir, repository), told_at=place.told_at
        )

    def _discard(self, repository: str) -> Cleaned:
        places = RepositoryPlaces(self._root, repository)
        lock = _alone(places)
        if lock is None:
            return Cleaned(repository=repository)  # somebody works there: it is not over
        try:
            clear_left(self._root, repository)
            discard(places)
        finally:
            lock.release()
        return Cleaned(repository=repository, discarded=True)


def _alone(places: RepositoryPlaces) -> LeaderLock | None:
    """Return the leader's lock, None when anybody leads there, if only one invocation."""
    lock = LeaderLock.try_acquire(places.lock)
    if lock is not None and any(own_leaders(places.lock).values()):
        lock.release()
        return None
    return lock


def _is_full(path: str) -> bool:
    """True when the file system of `path` has no room for what SQLite needs to open a file."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize < _ROOM_BYTES


def _is_gone(common_dir: str, repository: str) -> bool:
    """True when what is at a repository's place, if anything, is another one."""
    try:
        return read_repository_id(common_dir) != repository
    except BadIdentity:
        return False  # it is there, and somebody has to look after it
