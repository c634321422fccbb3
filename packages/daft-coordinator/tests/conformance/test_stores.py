"""Our own job stores keep what the port promises."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_coordinator.ports import JobStore
from daft_coordinator.testing import JobStoreSuite


class TestMemoryJobStore(JobStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> JobStore:
        return MemoryJobStore(str(tmp_path / "logs"))


class TestMemoryJobStoreWithoutLogs(JobStoreSuite):
    @pytest.fixture
    def store(self) -> JobStore:
        return MemoryJobStore()


class TestSqliteJobStore(JobStoreSuite):
    @pytest.fixture
    def place(self, tmp_path: Path) -> tuple[str, str]:
        return str(tmp_path / "state"), str(uuid.uuid4())

    @pytest.fixture
    def store(self, place: tuple[str, str]) -> Iterator[JobStore]:
        made = SqliteJobStore.open(*place)
        yield made
        made.close()

    @pytest.fixture
    def reopen(self, place: tuple[str, str]) -> Callable[[], JobStore]:
        return lambda: SqliteJobStore.open(*place)

    @pytest.fixture
    def cut_off(self, store: SqliteJobStore) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def refusing() -> Iterator[None]:
            store._db.execute("PRAGMA query_only = 1")
            yield
            store._db.execute("PRAGMA query_only = 0")

        return refusing
