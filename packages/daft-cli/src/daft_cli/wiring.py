"""The one module that builds adapters and hands them to whoever needs them."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from daft_store.identity import ensure_repository_id, read_repository_id
from daft_store.places import RepositoryPlaces, check_repository_id
from daft_store.roots import state_root

from . import __version__
from .terminal import harmless, warn

if TYPE_CHECKING:  # adapters are loaded by the function that builds one: most verbs use none
    from daft_coordinator.adapters.sqlite import SqliteJobStore
    from daft_coordinator.client import CoordinatorClient, Submission
    from daft_coordinator.coordinator import Coordinator
    from daft_coordinator.domain.policy import DeclaredPolicy
    from daft_coordinator.ports import JobStore
    from daft_coordinator.reactor import Timer
    from daft_coordinator.station import Station
    from daft_protocol.jobs import Invocation, InvocationSpec, Job

FOREGROUND_WORKERS = max(4, os.cpu_count() or 1)
"""Set-up jobs mostly wait for the network; fewer workers than this would waste that time."""


def repair(root: str, repository: str) -> bool:
    """Have a leader bring the record of a repository in line with the world.

    On a terminal it is told what that changed.
    Returns: False when no leader could be had; what is shown then says `stale`.
    """
    from daft_coordinator.adapters.sqlite import SqliteJobStore, open_station
    from daft_coordinator.client import CoordinatorClient
    from daft_coordinator.errors import CoordinatorError
    from daft_store.errors import StoreError

    store = None
    try:
        store = SqliteJobStore.open(root, repository, repairs=False, report=warn)
        with CoordinatorClient(
            open_station(root, repository), store, version=__version__
        ) as client:
            client.hello()
            told = client.reconcile()
    except (StoreError, CoordinatorError, OSError) as error:
        warn(f"the record could not be repaired: {error}")
        return False
    finally:
        if store is not None:
            store.close()
    if told and sys.stderr.isatty():
        sys.stderr.write(f"the record was put right: {harmless(told)}\n")
    return True


class RepositoryJobs:
    """The jobs of one repository, opened when first needed.

    common_dir: its git common directory.
    """

    def __init__(self, common_dir: str) -> None:
        self._common_dir = common_dir
        self._known: str | None = None
        self._root = state_root(os.environ)
        self._store: SqliteJobStore | None = None
        self._seen: SqliteJobStore | None = None

    @classmethod
    def of(cls, repository: str) -> RepositoryJobs:
        """Return the jobs of the repository with this id, wherever it is, or was."""
        made = cls("")
        made._known = check_repository_id(repository)
        return made

    @property
    def common_dir(self) -> str:
        """The repository's git common directory, empty when only its id is known."""
        return self._common_dir

    @property
    def repository(self) -> str | None:
        """The repository's id, None when it has none yet. Creates nothing."""
        return self._known or read_repository_id(self._common_dir)

    def _identity(self) -> str:
        return self._known or ensure_repository_id(self._common_dir)

    @property
    def has_history(self) -> bool:
        """True when there is a store. Creates nothing."""
        known = self.repository
        if known is None:
            return False
        return os.path.exists(RepositoryPlaces(self._root, known).database)

    def store(self, *, repairs: bool = False) -> SqliteJobStore:
        """Open the store, making it if there is none. Raises: StoreError, OSError.

        repairs: for who has something to record; a damaged store is then set aside.
        """
        if self._store is None:
            from daft_coordinator.adapters.sqlite import SqliteJobStore

            self._store = SqliteJobStore.open(
                self._root, self._identity(), repairs=repairs, report=warn
            )
        return self._store

    def seen(self) -> SqliteJobStore | None:
        """Open the store to look at only; None when there is none. Raises: StoreError."""
        if self._seen is None and self.repository is not None:
            from daft_coordinator.adapters.sqlite import SqliteJobStore

            self._seen = SqliteJobStore.read(self._root, self.repository, report=warn)
        return self._seen

    def station(self) -> Station:
        """Return where the leader is met, making the directories. Raises: StoreError."""
        from daft_coordinator.adapters.sqlite import open_station

        return open_station(self._root, self._identity())

    def client(self) -> CoordinatorClient:
        """Return a client that starts a leader when it needs one."""
        from daft_coordinator.client import CoordinatorClient

        store = self.store()  # first: it tells of what was open to others till now
        return CoordinatorClient(
            self.station(), store, own_station=self.own_station(), version=__version__
        )

    def own_station(self) -> Callable[[str], Station] | None:
        """Return where the leader of an invocation is met, None where it gets none of its own."""
        if "DAFT_JOBS_COORDINATOR" not in os.environ:
            return None  # to ask would load more than the rest of a submission
        from daft_coordinator.settings import has_own_leaders

        if not has_own_leaders(os.environ):
            return None
        from daft_coordinator.adapters.sqlite import open_station

        return partial(open_station, self._root, self._identity())

    def repair(self) -> bool:
        """Have the record brought in line with the world; False when nobody could."""
        known = self.repository
        return known is not None and repair(self._root, known)

    def leader_lives(self) -> bool:
        """True when a leader runs now, if only that of one invocation. Creates nothing."""
        from daft_coordinator.station import anybody_leads

        known = self.repository
        return known is not None and anybody_leads(RepositoryPlaces(self._root, known).lock)

    def log_directory(self, job: Job) -> str:
        """Return where a job's log is. Creates nothing."""
        known = self.repository or ""
        places = RepositoryPlaces(self._root, known)
        return places.job_directory(job.invocation_id, job.dir_name, create=False)

    def close(self) -> None:
        """Let go of the store."""
        for store in (self._store, self._seen):
            if store is not None:
                store.close()
        self._store = self._seen = None


class Engine:
    """Runs the jobs of fires: the foreground here, the background under the leader.

    Without a store it warns once, keeps the record in memory and runs everything here.
    pulse: called every `pulse_s` seconds as long as it waits for jobs; None: nothing is.
    """

    def __init__(
        self,
        jobs: RepositoryJobs,
        plugins: Iterable[object],
        *,
        pulse: Callable[[], None] | None = None,
        pulse_s: float = 1.0,
    ) -> None:
        self._jobs = jobs
        self._plugins = tuple(plugins)
        self._pulse = pulse
        self._pulse_s = pulse_s
        self._store: JobStore | None = None
        self._sqlite: SqliteJobStore | None = None
        self._coordinator: Coordinator | None = None
        self._client: CoordinatorClient | None = None
        self._errors: dict[str, deque[str]] = {}

    def submit(
        self, invocation: InvocationSpec, *, environment: Mapping[str, str]
    ) -> tuple[Job, ...]:
        """Record an invocation and its foreground jobs, and begin to run them here."""
        from daft_coordinator.errors import StoreUnavailable

        try:
            return self._here().submit(invocation, environment=environment)
        except StoreUnavailable as error:
            self._do_without_store(error)
            return self._here().submit(invocation, environment=environment)

    def wait(self, invocation_id: str) -> tuple[Job, ...]:
        """Return when the jobs submitted here are final; Ctrl+C cancels them, twice kills."""
        coordinator = self._here()
        with self._pulsing(coordinator):
            return coordinator.wait(invocation_id, on_interrupt=True)

    @contextmanager
    def _pulsing(self, coordinator: Coordinator) -> Iterator[None]:
        """Have the pulse called between events of the coordinator, on the same thread."""
        pulse = self._pulse
        if pulse is None:
            yield
            return
        reactor, pulse_s = coordinator.reactor, self._pulse_s
        timers: list[Timer] = []

        def beat() -> None:
            pulse()
            timers[:] = [reactor.call_after(pulse_s, beat)]

        timers.append(reactor.call_after(pulse_s, beat))
        try:
            yield
        finally:
            timers[0].cancel()

    def submit_background(
        self, invocation: InvocationSpec, *, environment: Mapping[str, str]
    ) -> Submission:
        """Record further jobs and hand them to the repository's leader."""
        from daft_coordinator.adapters.clock import SystemClock
        from daft_coordinator.errors import CoordinatorUnavailable, StoreUnavailable
        from daft_coordinator.submission import record
        from daft_store.errors import StoreError

        self._open_store()
        if self._sqlite is not None:
            try:
                return self._hand_over(self._sqlite, invocation, environment)
            except (StoreUnavailable, StoreError) as error:
                self._do_without_store(error)
        record(self._open_store(), invocation, owner=None, clock=SystemClock())
        raise CoordinatorUnavailable("jobs cannot be recorded", is_told=True)

    def _hand_over(
        self, store: JobStore, invocation: InvocationSpec, environment: Mapping[str, str]
    ) -> Submission:
        if self._client is None:
            from daft_coordinator.client import CoordinatorClient

            self._client = CoordinatorClient(
                self._jobs.station(),
                store,
                own_station=self._jobs.own_station(),
                version=__version__,
            )
        made = self._client.submit(invocation, environment=environment, confirm=False)
        if made.waits_for is not None:
            warn(made.waits_for)
        return made

    def take_over(self, invocation_id: str, *, environment: Mapping[str, str]) -> tuple[Job, ...]:
        """Run queued background jobs of an invocation here instead."""
        return self._here().take_over(invocation_id, environment=environment)

    def skipped_fire(self, invocation: InvocationSpec) -> None:
        """Record a fire that was skipped whole."""
        self._note(lambda store: store.record_skipped_fire(_skipped(invocation)))

    def fire_allowed(self, hook: str, worktree: str) -> None:
        """Forget earlier skipped fires of this hook and worktree."""
        self._note(lambda store: store.clear_skipped_fires(hook, worktree))

    def declare_retention(self, declared: DeclaredPolicy) -> None:
        """Take over what the configuration says of how much is kept. Trouble is no failure."""
        self._open_store()
        if self._sqlite is None:
            return
        from daft_coordinator.errors import StoreUnavailable

        history = self._sqlite.history()
        try:
            history.declare(declared)
            if self._jobs.common_dir:
                history.describe(self._jobs.common_dir)
        except StoreUnavailable as error:
            # The next fire says the same again; the jobs are what this one is for.
            warn(f"what is to be kept of old runs is not recorded: {error}")

    def error_tail(self, job: Job, lines: int) -> tuple[str, ...]:
        """Return the last lines a job wrote to its standard error, or output if none."""
        from daft_coordinator.errors import StoreUnavailable
        from daft_coordinator.logreader import read_log
        from daft_protocol.records import RecordKind

        try:
            directory = self._open_store().log_directory(job)
        except StoreUnavailable:
            return ()
        if directory is None:
            return ()
        by_kind: dict[RecordKind, deque[str]] = {
            RecordKind.STDERR: deque(maxlen=lines),
            RecordKind.STDOUT: deque(maxlen=lines),
        }
        for found in read_log(directory):
            if isinstance(found.data, str) and found.kind in by_kind:
                by_kind[found.kind].append(found.data)
        return tuple(by_kind[RecordKind.STDERR] or by_kind[RecordKind.STDOUT])

    def close(self) -> None:
        """Let go of everything."""
        from daft_coordinator.errors import StoreUnavailable

        try:
            if self._client is not None:
                self._client.close()
        except StoreUnavailable:
            pass  # its row stays until the next leader sees that we are gone
        if self._coordinator is not None:
            self._coordinator.close()

    def _note(self, note: Callable[[SqliteJobStore], None]) -> None:
        """Write something to the store, if there is one that takes it."""
        from daft_coordinator.errors import StoreUnavailable

        self._open_store()
        if self._sqlite is None:
            return
        try:
            note(self._sqlite)
        except StoreUnavailable as error:
            self._do_without_store(error)

    def _do_without_store(self, error: Exception) -> None:
        """Go on without a record: a hook's work matters more."""
        from daft_coordinator.adapters.memory import MemoryJobStore

        warn(f"jobs run unrecorded, and all in the foreground: {error}")
        if self._coordinator is not None:
            self._coordinator.close()
        self._coordinator = None
        self._sqlite = None
        self._store = MemoryJobStore()

    def _here(self) -> Coordinator:
        if self._coordinator is None:
            from daft_coordinator.coordinator import Coordinator

            self._coordinator = Coordinator(
                self._open_store(),
                kind="command",
                workers=FOREGROUND_WORKERS,
                plugins=self._plugins,
                version=__version__,
                report=warn,
            )
        return self._coordinator

    def _open_store(self) -> JobStore:
        from daft_store.errors import StoreError

        if self._store is None:
            try:
                self._store = self._sqlite = self._jobs.store(repairs=True)
            except (StoreError, OSError) as error:
                self._do_without_store(error)
        assert self._store is not None
        return self._store


def _skipped(invocation: InvocationSpec) -> Invocation:
    from daft_coordinator.adapters.clock import SystemClock
    from daft_protocol.jobs import Invocation
    from daft_protocol.status import InvocationStatus

    return Invocation(
        invocation_id=invocation.invocation_id,
        hook_type=invocation.hook_type,
        trigger_command=invocation.trigger_command,
        worktree=invocation.worktree,
        worktree_id=invocation.worktree_id,
        worktree_path=invocation.worktree_path,
        source=invocation.source,
        created_at=SystemClock().now(),
        status=InvocationStatus.SKIPPED,
        skip_reason=invocation.skip_reason,
    )
