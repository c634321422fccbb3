"""Our own histories keep what the port promises."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_coordinator.history import JobHistory
from daft_coordinator.testing import JobHistorySuite


class TestMemoryHistory(JobHistorySuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> MemoryJobStore:
        return MemoryJobStore(str(tmp_path / "logs"))

    @pytest.fixture
    def history(self, store: MemoryJobStore) -> JobHistory:
        return store.history()


class TestMemoryHistoryWithoutLogs(JobHistorySuite):
    @pytest.fixture
    def store(self) -> MemoryJobStore:
        return MemoryJobStore()

    @pytest.fixture
    def history(self, store: MemoryJobStore) -> JobHistory:
        return store.history()


class TestSqliteHistory(JobHistorySuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SqliteJobStore]:
        made = SqliteJobStore.open(str(tmp_path / "state"), str(uuid.uuid4()))
        yield made
        made.close()

    @pytest.fixture
    def history(self, store: SqliteJobStore) -> JobHistory:
        return store.history()

    @pytest.fixture
    def cut_off(self, store: SqliteJobStore) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def refusing() -> Iterator[None]:
            store._db.execute("PRAGMA query_only = 1")
            yield
            store._db.execute("PRAGMA query_only = 0")

        return refusing
