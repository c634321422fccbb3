from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from daft_store import COORDINATOR, REGISTRY, Lineage, Step, open_reader, open_writer
from daft_store.bringup import set_aside_corrupt
from daft_store.errors import (
    ForeignFile,
    MigrationMismatch,
    NotOurs,
    SchemaTooNew,
    StoreCorrupt,
)

OPEN = "import sys, daft_store as s; s.open_writer(sys.argv[1], s.COORDINATOR).close()"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs" / "store.db")


def test_a_writer_finds_every_default_in_place(path: str) -> None:
    db = open_writer(path, COORDINATOR)

    assert db.pragma("journal_mode") == "wal"
    assert db.pragma("synchronous") == 1
    assert db.pragma("foreign_keys") == 1
    assert db.pragma("wal_autocheckpoint") == 1000
    assert db.pragma("trusted_schema") == 0
    assert db.pragma("cell_size_check") == 1
    assert db.pragma("auto_vacuum") == 2
    assert db.pragma("application_id") == 0x44465059
    assert db.pragma("user_version") == COORDINATOR.version
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    db.close()


def test_a_reader_creates_nothing(path: str, tmp_path: Path) -> None:
    assert open_reader(path, COORDINATOR) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_zero_bytes_is_fresh(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).touch(0o644)

    assert open_reader(path, COORDINATOR) is None
    open_writer(path, COORDINATOR).close()
    assert os.stat(path).st_mode & 0o077 == 0
    reader = open_reader(path, COORDINATOR)
    assert reader is not None
    reader.close()


def test_another_programs_file_is_refused_and_left_alone(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = Path(path).read_bytes()

    with pytest.raises(ForeignFile, match="left alone"):
        open_writer(path, COORDINATOR)
    with pytest.raises(ForeignFile):
        open_reader(path, COORDINATOR)

    assert Path(path).read_bytes() == before


def test_a_newer_file_is_refused_and_not_changed(path: str) -> None:
    db = open_writer(path, COORDINATOR)
    db.pragma("user_version", 99)
    db.close()

    with pytest.raises(SchemaTooNew, match="upgrade daft"):
        open_writer(path, COORDINATOR)


def test_a_damaged_file_is_told_and_can_be_set_aside(path: str) -> None:
    open_writer(path, COORDINATOR).close()
    Path(path).write_bytes(b"not a database at all, not at all" * 200)

    with pytest.raises(StoreCorrupt):
        open_writer(path, COORDINATOR)

    kept = set_aside_corrupt(path)
    assert Path(kept).read_bytes().startswith(b"not a database")
    open_writer(path, COORDINATOR).close()


def test_a_link_in_place_of_the_file_is_not_followed(path: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    os.makedirs(os.path.dirname(path))
    os.symlink(target, path)

    with pytest.raises(NotOurs):
        open_writer(path, COORDINATOR)

    assert target.read_text() == "mine"


def test_what_is_too_open_is_tightened(path: str) -> None:
    open_writer(path, COORDINATOR).close()
    os.chmod(path, 0o666)
    os.chmod(os.path.dirname(path), 0o755)

    open_writer(path, COORDINATOR).close()

    assert os.stat(path).st_mode & 0o077 == 0
    assert os.stat(os.path.dirname(path)).st_mode & 0o077 == 0


def test_sixteen_processes_may_create_one_store(path: str) -> None:
    def one(_: int) -> int:
        return subprocess.run(
            [sys.executable, "-c", OPEN, path], timeout=60, check=False
        ).returncode

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(16))) == {0}


def test_pending_steps_are_taken_all_or_none(path: str) -> None:
    first = Lineage(name="t", steps=(Step("one", "CREATE TABLE a (x)"),))
    broken = Lineage(
        name="t", steps=(*first.steps, Step("two", "CREATE TABLE b (x); CREATE TABLE a (x)"))
    )
    open_writer(path, first).close()

    with pytest.raises(Exception, match="already exists"):
        open_writer(path, broken)

    db = open_writer(path, first)
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'b'").get == 0
    db.close()


def test_an_edited_step_is_named(path: str) -> None:
    open_writer(path, Lineage(name="t", steps=(Step("one", "CREATE TABLE a (x)"),))).close()

    with pytest.raises(MigrationMismatch, match="step 1"):
        open_writer(path, Lineage(name="t", steps=(Step("uno", "CREATE TABLE a (y)"),)))


def test_the_two_kinds_of_file_do_not_mix(path: str) -> None:
    open_writer(path, REGISTRY).close()

    with pytest.raises(MigrationMismatch):
        open_writer(path, COORDINATOR)


@pytest.mark.parametrize("statement", range(12))
def test_a_death_during_creation_leaves_a_file_that_opens(path: str, statement: int) -> None:
    code = f"""
import os, signal, sys, apsw, daft_store
count = 0
def die(cursor, sql, bindings):
    global count
    count += 1
    if count > {statement}:
        os.kill(os.getpid(), signal.SIGKILL)
    return True
apsw.connection_hooks.append(lambda db: setattr(db, "exec_trace", die))
daft_store.open_writer(sys.argv[1], daft_store.COORDINATOR)
"""
    subprocess.run([sys.executable, "-c", code, path], timeout=60, check=False)

    db = open_writer(path, COORDINATOR)

    assert db.execute("SELECT count(*) FROM jobs").get == 0
    assert db.pragma("integrity_check") == "ok"
    db.close()


def test_the_listing_loads_nothing_of_weight() -> None:
    code = "import sys; from daft_store import listing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    banned = {"attrs", "attr", "json", "re", "pathlib", "typing", "enum", "datetime", "dataclasses"}
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert not (set(done.stdout.split()) - set(bare.stdout.split())) & banned


def test_apsw_is_as_new_as_we_need() -> None:
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 40, 0)
