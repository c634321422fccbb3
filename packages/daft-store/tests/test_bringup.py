from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from daft_store import CATALOG, COORDINATOR, REGISTRY, Lineage, Step, open_reader, open_writer
from daft_store.bringup import set_aside_corrupt
from daft_store.errors import (
    ForeignFile,
    MigrationMismatch,
    NotOurs,
    PermissionsTooOpen,
    SchemaTooNew,
    StoreCorrupt,
    StoreIO,
)
from daft_store.migrations import digest

OPEN = "import sys, daft_store as s; s.open_writer(sys.argv[1], s.COORDINATOR).close()"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs" / "store.db")


def test_a_writer_finds_every_default_in_place(path: str) -> None:
    db = open_writer(path, COORDINATOR)

    assert db.pragma("busy_timeout") == 5000
    assert db.pragma("journal_mode") == "wal"
    assert db.pragma("synchronous") == 1
    assert db.pragma("foreign_keys") == 1
    assert db.pragma("wal_autocheckpoint") == 1000
    assert db.pragma("temp_store") == 2
    assert db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1) == 0
    assert db.pragma("trusted_schema") == 0
    assert db.pragma("cell_size_check") == 1
    assert db.pragma("auto_vacuum") == 2
    assert db.pragma("application_id") == 0x44465059
    assert db.pragma("user_version") == COORDINATOR.version
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    db.close()


def test_a_reader_changes_nothing_and_waits_briefly(path: str) -> None:
    open_writer(path, COORDINATOR).close()
    os.chmod(path, 0o644)
    db = open_reader(path, COORDINATOR)
    assert db is not None

    assert db.pragma("busy_timeout") == 300
    assert db.pragma("trusted_schema") == 0
    assert db.pragma("cell_size_check") == 1
    assert os.stat(path).st_mode & 0o777 == 0o644
    with pytest.raises(apsw.ReadOnlyError):
        db.execute("DELETE FROM jobs")
    db.close()


def test_a_reader_creates_nothing(path: str, tmp_path: Path) -> None:
    assert open_reader(path, COORDINATOR) is None
    assert list(tmp_path.iterdir()) == []


def test_everything_is_private_from_the_first_moment_whatever_the_mask(path: str) -> None:
    code = (
        "import os, sys, daft_store as s; os.umask(0); path = sys.argv[1]\n"
        "db = s.open_writer(path, s.COORDINATOR); folder = os.path.dirname(path)\n"
        "for name in ('', *os.listdir(folder)):\n"
        "    print(name or '.', oct(os.stat(os.path.join(folder, name)).st_mode & 0o777))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=60
    )

    found = dict(line.split() for line in done.stdout.splitlines())
    assert found == {
        ".": "0o700",
        "store.db": "0o600",
        "store.db-wal": "0o600",
        "store.db-shm": "0o600",
    }


def test_no_extension_can_be_loaded(path: str) -> None:
    db = open_writer(path, COORDINATOR)

    with pytest.raises(apsw.SQLError, match="not authorized"):
        db.execute("SELECT load_extension('libm.so.6')")
    db.close()


@pytest.mark.fault("F-08", "zero-bytes")
def test_a_file_of_zero_bytes_is_fresh(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).touch(0o644)

    assert open_reader(path, COORDINATOR) is None
    open_writer(path, COORDINATOR).close()
    assert os.stat(path).st_mode & 0o077 == 0
    reader = open_reader(path, COORDINATOR)
    assert reader is not None
    reader.close()


@pytest.mark.fault("F-09", "it")
@pytest.mark.parametrize("application", [0, 4711, 0x44465401])
def test_another_programs_file_is_refused_and_left_alone(path: str, application: int) -> None:
    os.makedirs(os.path.dirname(path))
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA application_id = {application}")
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = Path(path).read_bytes()

    said = f"application id {application:08x}, ours is 44465059"
    with pytest.raises(ForeignFile, match=f"{said}.*left alone"):
        open_writer(path, COORDINATOR)
    with pytest.raises(ForeignFile, match=said):
        open_reader(path, COORDINATOR)

    assert Path(path).read_bytes() == before


@pytest.mark.fault("F-10", "it")
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


@pytest.mark.fault("F-11", "link")
def test_a_link_in_place_of_the_file_is_not_followed(path: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    os.makedirs(os.path.dirname(path))
    os.symlink(target, path)

    with pytest.raises(NotOurs):
        open_writer(path, COORDINATOR)

    assert target.read_text() == "mine"


@pytest.mark.fault("F-11", "mode")
def test_what_is_too_open_is_tightened(path: str) -> None:
    open_writer(path, COORDINATOR).close()
    os.chmod(path, 0o666)
    os.chmod(os.path.dirname(path), 0o755)

    told: list[tuple[str, int]] = []

    for _ in range(2):
        open_writer(path, COORDINATOR, closed=lambda *place: told.append(place)).close()

    assert os.stat(path).st_mode & 0o077 == 0
    assert os.stat(os.path.dirname(path)).st_mode & 0o077 == 0
    assert told == [(os.path.dirname(path), 0o755), (path, 0o666)]


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


def test_a_step_that_fails_says_what_sqlite_said_and_changes_nothing(path: str) -> None:
    """A store that another build has left a table in, without a note of it."""
    sizes = Step("sizes", "CREATE TABLE other (a); CREATE TABLE sizes (bytes)")
    db = open_writer(path, COORDINATOR)
    db.execute("CREATE TABLE sizes (theirs)")
    db.close()

    with pytest.raises(StoreIO, match=r"store\.db: .*table sizes already exists"):
        open_writer(path, Lineage(name="c", steps=(*COORDINATOR.steps, sizes)))

    db = open_writer(path, COORDINATOR)
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'other'").get == 0
    db.close()


def test_processes_that_upgrade_one_store_at_once_all_succeed(path: str) -> None:
    os.makedirs(os.path.dirname(path), 0o700)
    old = sqlite3.connect(path)
    old.executescript((Path(__file__).parent / "compat" / "coordinator-1.sql").read_text())
    old.close()
    code = (
        "import sys, daft_store as s; sys.stdin.readline()\n"
        "s.open_writer(sys.argv[1], s.COORDINATOR).close()"
    )
    words = [sys.executable, "-c", code, path]
    together = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(6)
    ]

    for one in together:
        assert one.stdin is not None
        one.stdin.write(b"\n")
        one.stdin.flush()
    ends = [(one.communicate(timeout=60)[1], one.returncode) for one in together]

    assert ends == [(b"", 0)] * 6
    db = open_writer(path, COORDINATOR)
    taken = db.execute("SELECT version FROM schema_migrations ORDER BY version").fetchall()
    assert [version for (version,) in taken] == list(range(1, COORDINATOR.version + 1))
    assert db.pragma("user_version") == COORDINATOR.version
    db.close()


def test_an_edited_step_is_named(path: str) -> None:
    open_writer(path, Lineage(name="t", steps=(Step("one", "CREATE TABLE a (x)"),))).close()

    with pytest.raises(MigrationMismatch, match="step 1"):
        open_writer(path, Lineage(name="t", steps=(Step("uno", "CREATE TABLE a (y)"),)))


def test_the_two_kinds_of_file_do_not_mix(path: str) -> None:
    open_writer(path, REGISTRY).close()

    with pytest.raises(MigrationMismatch):
        open_writer(path, COORDINATOR)


DIE_AT = """
import os, signal, sys, apsw, daft_store
from daft_store import Lineage, Step
count = 0
def die(cursor, sql, bindings):
    global count
    count += 1
    if count > int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return True
apsw.connection_hooks.append(lambda db: setattr(db, "exec_trace", die))
daft_store.open_writer(sys.argv[1], LINEAGE).close()
"""
GROWN = Lineage(name="t", steps=(Step("one", "CREATE TABLE a (x)"), Step("two", "CREATE TABLE b (x); INSERT INTO b VALUES (1)")))  # fmt: skip


def dies_at(path: str, lineage: str, statement: int) -> bool:
    """Open a store in a process that kills itself before a statement; False: it got through."""
    code = DIE_AT.replace("LINEAGE", lineage)
    done = subprocess.run([sys.executable, "-c", code, path, str(statement)], timeout=60)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


@pytest.mark.fault("F-05", "creation")
@pytest.mark.slow
def test_a_death_at_any_statement_of_creation_leaves_a_file_that_opens(tmp_path: Path) -> None:
    statement = 0
    while dies_at(path := str(tmp_path / f"{statement}" / "s.db"), "daft_store.COORDINATOR", statement):  # fmt: skip
        reader = open_reader(path, COORDINATOR)
        if reader is not None:
            assert reader.pragma("user_version") == COORDINATOR.version
            reader.close()
        db = open_writer(path, COORDINATOR)
        assert db.execute("SELECT count(*) FROM jobs").get == 0
        assert db.execute("SELECT count(*) FROM schema_migrations").get == COORDINATOR.version
        assert db.pragma("integrity_check") == "ok"
        db.close()
        statement += 1

    assert statement > 20  # it did die, many times, also in the middle of the one transaction


@pytest.mark.fault("F-05", "migration")
@pytest.mark.slow
def test_a_death_at_any_statement_of_a_migration_leaves_it_taken_or_not(tmp_path: Path) -> None:
    first = Lineage(name="t", steps=GROWN.steps[:1])
    statement = 0
    while True:
        path = str(tmp_path / f"{statement}" / "s.db")
        db = open_writer(path, first)
        db.execute("INSERT INTO a VALUES (7)")
        db.close()
        code = "Lineage(name='t', steps=(Step('one', %r), Step('two', %r)))"
        if not dies_at(path, code % tuple(step.sql for step in GROWN.steps), statement):
            break
        db = open_writer(path, GROWN)
        assert db.execute("SELECT x FROM a").fetchall() == [(7,)]
        assert db.execute("SELECT x FROM b").fetchall() == [(1,)]
        db.close()
        statement += 1

    assert statement > 15


@pytest.mark.parametrize("application", [0, 0x44465401])
def test_a_refused_file_keeps_its_mode_and_its_journal(path: str, application: int) -> None:
    os.makedirs(os.path.dirname(path), 0o700)
    code = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute(f"PRAGMA application_id = {sys.argv[2]}")
db.execute("CREATE TABLE theirs (x)")
os._exit(0)  # as if it ran on: its last commits are in the WAL only
"""
    subprocess.run([sys.executable, "-c", code, path, str(application)], check=True, timeout=60)
    os.chmod(path, 0o644)
    before = [Path(path + suffix).read_bytes() for suffix in ("", "-wal")]

    for _ in range(2):
        with pytest.raises(ForeignFile, match=f"{application:08x}"):
            open_writer(path, COORDINATOR)

    assert [Path(path + suffix).read_bytes() for suffix in ("", "-wal")] == before
    assert os.stat(path).st_mode & 0o777 == 0o644


def test_opening_a_store_again_neither_waits_for_a_writer_nor_drops_its_locks(path: str) -> None:
    held = open_writer(path, COORDINATOR)
    held.execute("BEGIN IMMEDIATE")
    held.execute("INSERT INTO repo_policy (repo_hash) VALUES ('mine')")
    open_writer(path, COORDINATOR).close()
    code = """
import sys, apsw
db = apsw.Connection(sys.argv[1])
try:
    db.execute("BEGIN IMMEDIATE")
except apsw.BusyError:
    print("locked")
"""

    other = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)

    assert other.stdout == "locked\n", other.stderr
    held.execute("COMMIT")
    assert held.execute("SELECT count(*) FROM repo_policy").get == 1
    held.close()


def test_processes_that_meet_at_a_fresh_store_do_not_take_it_for_a_foreign_one(
    tmp_path: Path,
) -> None:
    code = """
import os, sys
from daft_store import COORDINATOR, open_writer
for number in range(20):
    ready, go = os.pipe()
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(ready, 1)  # ends when the parent lets go: all start at once
            try:
                open_writer(f"{sys.argv[1]}/{number}/s.db", COORDINATOR).close()
            except BaseException as error:
                print(error, file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        children.append(child)
    os.close(go)
    os.close(ready)
    for child in children:
        if os.waitpid(child, 0)[1]:
            sys.exit(1)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


@pytest.mark.fault("F-11", "mode")
def test_what_cannot_be_closed_to_others_is_refused(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_writer(path, COORDINATOR).close()
    os.chmod(path, 0o644)
    # A file system that takes the request and keeps the mode.
    monkeypatch.setattr(os, "chmod", lambda *_: None)

    with pytest.raises(PermissionsTooOpen, match="0644"):
        open_writer(path, COORDINATOR)


def test_a_step_taken_by_another_build_is_named(path: str) -> None:
    db = open_writer(path, COORDINATOR)
    following = COORDINATOR.version + 1
    db.execute("INSERT INTO schema_migrations VALUES (?, 'sizes', 'x', 'now')", (following,))
    db.close()

    with pytest.raises(MigrationMismatch, match=f"step {following} is 'sizes'"):
        open_writer(path, COORDINATOR)


@pytest.mark.fault("F-11", "link")
def test_a_reader_follows_no_link_to_a_directory(path: str, tmp_path: Path) -> None:
    open_writer(path, COORDINATOR).close()
    link = tmp_path / "link"
    os.symlink(os.path.dirname(path), link)

    with pytest.raises(NotOurs):
        open_reader(str(link / "store.db"), COORDINATOR)


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


@pytest.mark.parametrize(
    "lineage", [CATALOG, COORDINATOR, REGISTRY], ids=lambda lineage: lineage.name
)
def test_no_step_has_been_edited_since_its_digest_was_written_down(lineage: Lineage) -> None:
    assert [step.shipped_as for step in lineage.steps] == [
        digest(step.sql) for step in lineage.steps
    ]
