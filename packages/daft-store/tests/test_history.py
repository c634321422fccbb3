"""Rows and files that clean-up takes away, and what it remembers."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from daft_store import COORDINATOR, RepositoryPlaces, history, ledger, open_writer, policies
from daft_store.errors import NotOurs, PathOutsideState
from daft_store.history import EvictionRow, PassRow
from daft_store.places import known_repositories
from daft_store.rows import InvocationRow, JobRow
from daft_store.shelf import LogShelf, clear_discarded, discard

AT = "2026-01-01T00:00:00.000000+00:00"
REPO = "00000000-0000-7000-8000-000000000000"
ID = f"{1:016x}"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "d" / "store.db")


@pytest.fixture
def db(path: str) -> Any:
    connection = open_writer(path, COORDINATOR)
    yield connection
    connection.close()


def a_job(name: str, invocation: str = ID, status: str = "completed") -> JobRow:
    return JobRow(
        f"{invocation}-{name}", REPO, invocation, name, 0, name, "post-clone", "main", "c", "/",
        "{}", "[]", "{}", "[]", "[]", "[]", 1, 1, status, AT, None, None, AT, None, None, None,
        None, None, None, None, None, None, None, None, None, 0, 0, 0, None, None,
    )  # fmt: skip


def record(db: apsw.Connection, *jobs: JobRow, invocation: str = ID) -> None:
    row = InvocationRow(
        REPO, invocation, "t", "post-clone", "main", "", "", AT, None, "completed", None, "hook"
    )
    ledger.insert_submission(db, row, jobs)


def tombstones(db: apsw.Connection) -> list[tuple[str, str]]:
    return list(db.execute(history.TOMBSTONES, (REPO,)))


def test_a_whole_invocation_leaves_one_tombstone(db: apsw.Connection) -> None:
    record(db, a_job("a"), a_job("b"))

    assert history.evict(db, REPO, [EvictionRow(ID, 2, None)], AT) == [True]

    assert ledger.get_invocation(db, REPO, ID) is None
    assert ledger.jobs_of_invocation(db, REPO, ID) == []
    assert tombstones(db) == [(ID, "")]


def test_one_job_leaves_its_own_and_the_others_stay(db: apsw.Connection) -> None:
    record(db, a_job("a"), a_job("b"))

    assert history.evict(db, REPO, [EvictionRow(ID, 2, (f"{ID}-a",))], AT) == [True]

    assert [job.name for job in ledger.jobs_of_invocation(db, REPO, ID)] == ["b"]
    found = ledger.get_invocation(db, REPO, ID)
    assert found is not None
    assert found.job_count == 1
    assert tombstones(db) == [(ID, "a")]


@pytest.mark.parametrize(
    "change",
    [
        lambda db: ledger.insert_submission(db, None, [a_job("later", status="queued")]),
        lambda db: ledger.insert_submission(db, None, [a_job("later")]),
        lambda db: history.pin(db, REPO, ID, pinned=True),
    ],
    ids=["begun again", "more jobs", "pinned"],
)
@pytest.mark.parametrize("uids", [None, (f"{ID}-a",)])
def test_an_invocation_that_changed_meanwhile_is_left_alone(
    db: apsw.Connection, change: Callable[[apsw.Connection], object], uids: Any
) -> None:
    record(db, a_job("a"))
    change(db)
    before = ledger.jobs_of_invocation(db, REPO, ID)

    assert history.evict(db, REPO, [EvictionRow(ID, 1, uids)], AT) == [False]

    after = ledger.jobs_of_invocation(db, REPO, ID)
    assert [job.name for job in after] == [job.name for job in before]
    assert tombstones(db) == []


def test_the_history_of_passes_keeps_the_last_fifty(db: apsw.Connection) -> None:
    for number in range(history.PASSES_KEPT + 5):
        history.add_pass(db, PassRow(REPO, AT, "auto", 0, number, 0, 0, "[]"))
    history.add_pass(db, PassRow("other", AT, "auto", 0, 0, 0, 0, "[]"))

    kept = history.passes(db, REPO)
    assert [one.jobs for one in kept] == list(range(54, 4, -1))


def test_two_processes_that_merge_policies_at_once_lose_nothing(path: str) -> None:
    """Read, merge and write are one transaction: no field is lost between them."""
    names = policies.POLICY_FIELDS
    errors: list[BaseException] = []

    def set_field(field: str) -> None:
        try:
            db = open_writer(path, COORDINATOR)
            for value in range(40):
                policies.merge_policy(
                    db, REPO, lambda known, value=value: {**known, field: (value, "f")}
                )
            db.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=set_field, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    db = open_writer(path, COORDINATOR)
    assert policies.policy(db, REPO) == dict.fromkeys(names, (39, "f"))
    db.close()


def test_a_policy_that_stays_as_it_is_is_not_written(db: apsw.Connection) -> None:
    policies.merge_policy(db, REPO, lambda _: {"keep_last": (5, "f")})
    before = db.total_changes()

    policies.merge_policy(db, REPO, lambda known: known)
    history.describe_repository(db, REPO, "/r/.git", AT)
    written = db.total_changes()
    history.describe_repository(db, REPO, "/r/.git", AT)

    assert written == before + 1
    assert db.total_changes() == written
    assert history.repository_place(db, REPO) == ("/r/.git", AT)


def test_the_file_shrinks_after_much_was_deleted(db: apsw.Connection, path: str) -> None:
    with_command = [a_job(f"{number}") for number in range(40)]
    record(db, *with_command)
    db.execute("UPDATE jobs SET command = ?", ("x" * 100_000,))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    large = os.path.getsize(path)

    history.evict(db, REPO, [EvictionRow(ID, 40, None)], AT)
    history.shrink(db)

    assert os.path.getsize(path) < large / 4
    assert os.path.getsize(f"{path}-wal") == 0


# --- files ------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path) -> RepositoryPlaces:
    found = RepositoryPlaces(str(tmp_path / "state"), REPO)
    found.make(os.environ)
    return found


def a_log(places: RepositoryPlaces, invocation: str, name: str, size: int) -> Path:
    folder = Path(places.job_directory(invocation, name, create=True))
    (folder / "output.jsonl").write_bytes(b"x" * size)
    return folder


def test_everything_is_measured_and_foreign_names_are_not_looked_at(
    places: RepositoryPlaces,
) -> None:
    a_log(places, ID, "a", 10)
    a_log(places, ID, "b", 20)
    (Path(places.directory) / ID / "invocation.json").write_bytes(b"1234")
    a_log(places, ID[:-1] + "2", "c", 1)
    (Path(places.directory) / "notes").mkdir()
    (Path(places.directory) / ("f" * 16)).symlink_to("/")

    found = {one.invocation_id: one for one in LogShelf(places).survey()}

    assert {one: shelved.bytes for one, shelved in found.items()} == {ID: 34, ID[:-1] + "2": 1}
    assert {name: job.bytes for name, job in found[ID].jobs.items()} == {"a": 10, "b": 20}


def test_what_is_set_aside_is_found_again_and_deleted(places: RepositoryPlaces) -> None:
    shelf = LogShelf(places)
    a_log(places, ID, "a", 10)
    a_log(places, ID, "b", 20)

    one = shelf.set_aside(ID, "a")
    rest = shelf.set_aside(ID, "")

    assert one is not None
    assert rest is not None
    assert sorted(shelf.leftovers()) == sorted([one, rest])
    assert list(shelf.survey()) == []
    assert shelf.clear(one) == 10
    assert shelf.clear(rest) == 20
    assert shelf.clear(rest) == 0
    assert shelf.leftovers() == ()
    assert shelf.set_aside(ID, "") is None
    assert shelf.set_aside(ID, "a") is None


def test_links_go_and_what_they_point_to_stays(places: RepositoryPlaces, tmp_path: Path) -> None:
    shelf = LogShelf(places)
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "precious").write_text("x")
    folder = a_log(places, ID, "a", 10)
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "deep" / "precious")
    os.link(outside / "deep" / "precious", folder / "second name")
    (folder.parent / "job").symlink_to(outside)

    aside = shelf.set_aside(ID, "job")
    assert aside is not None
    shelf.clear(aside)
    whole = shelf.set_aside(ID, "")
    assert whole is not None
    shelf.clear(whole)

    assert (outside / "deep" / "precious").read_text() == "x"
    assert shelf.leftovers() == ()


@pytest.mark.parametrize("name", ["../..", "..", "", "x", f"{ID}/../..", "deadbeef"])
def test_no_name_leads_out_of_the_shelf(places: RepositoryPlaces, name: str) -> None:
    shelf = LogShelf(places)

    with pytest.raises(PathOutsideState):
        shelf.set_aside(name, "")
    with pytest.raises(PathOutsideState):
        shelf.clear(name)
    with pytest.raises(PathOutsideState):
        shelf.clear(f".deleting-{name}/../..")
    if name:
        for bad in ("..", ".", "a/b", "../x", ".deleting-x"):
            with pytest.raises(PathOutsideState):
                shelf.set_aside(ID, bad)


def test_a_shelf_behind_a_link_is_refused(places: RepositoryPlaces, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    os.rename(places.directory, elsewhere)
    os.symlink(elsewhere, places.directory)
    shelf = LogShelf(places)

    for ask in (lambda: list(shelf.survey()), shelf.leftovers, lambda: shelf.set_aside(ID, "")):
        with pytest.raises(NotOurs):
            ask()


def test_without_a_directory_there_is_nothing(tmp_path: Path) -> None:
    shelf = LogShelf(RepositoryPlaces(str(tmp_path / "none"), REPO))

    assert list(shelf.survey()) == []
    assert shelf.leftovers() == ()
    assert shelf.set_aside(ID, "") is None
    assert not shelf.is_in_use(ID, "a")
    assert not (tmp_path / "none").exists()


def test_a_log_is_in_use_while_somebody_holds_a_shared_lock(places: RepositoryPlaces) -> None:
    shelf = LogShelf(places)
    folder = a_log(places, ID, "a", 10)
    a_log(places, ID, "b", 10)
    (folder / "second").touch()
    os.mkfifo(folder / "pipe")
    assert not shelf.is_in_use(ID, "a")

    for name in ("output.jsonl", "second"):
        with open(folder / name, "rb") as reader:
            fcntl.flock(reader, fcntl.LOCK_SH)
            assert shelf.is_in_use(ID, "a")
            assert shelf.is_in_use(ID, "")
            assert not shelf.is_in_use(ID, "b")

    assert not shelf.is_in_use(ID, "a")
    assert not shelf.is_in_use(ID, "none")
    assert not shelf.is_in_use("f" * 16, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may delete anything")
def test_what_cannot_be_deleted_is_left_and_everything_else_goes(
    places: RepositoryPlaces,
) -> None:
    shelf = LogShelf(places)
    folder = a_log(places, ID, "a", 10)
    a_log(places, ID, "b", 10)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    aside = shelf.set_aside(ID, "")
    assert aside is not None

    with pytest.raises(PermissionError):
        shelf.clear(aside)

    assert os.listdir(Path(places.directory) / aside) == ["a"]
    (Path(places.directory) / aside / "a").chmod(0o700)
    assert shelf.clear(aside) == 10


def test_the_trouble_of_a_pass_is_kept_as_text(db: apsw.Connection) -> None:
    row = PassRow(REPO, AT, "manual", 1, 2, 3, 4, json.dumps(["x"]))
    history.add_pass(db, row)

    [found] = history.passes(db, REPO)
    assert json.loads(found.trouble_json) == ["x"]


def test_a_whole_repository_goes_in_two_steps(tmp_path: Path) -> None:
    root = str(tmp_path / "state")
    places = [RepositoryPlaces(root, f"0000000{number}{REPO[8:]}") for number in (1, 2)]
    for place in places:
        place.make(os.environ)
        a_log(place, ID, "a", 10)
    (tmp_path / "state" / "jobs" / "not an id").mkdir()

    discard(places[0])

    assert known_repositories(root) == (places[1].repository,)
    assert clear_discarded(root) == 10
    assert clear_discarded(root) == 0
    assert sorted(os.listdir(tmp_path / "state" / "jobs")) == [places[1].repository, "not an id"]
    assert known_repositories(str(tmp_path / "none")) == ()
    assert clear_discarded(str(tmp_path / "none")) == 0
