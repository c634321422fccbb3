from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_store import catalog, registering, remotes
from daft_store.catalog import CatalogReader, Entry, Sighting
from daft_store.errors import BadName, ForeignFile, NameTaken
from daft_store.identity import ensure_repository_id
from daft_store.listing import ListingError

URL = "git@example.org:acme/api.git"


def loud(text: str) -> None:
    raise AssertionError(text)


def made(path: Path) -> Sighting:
    """Make what a repository looks like from here: a git directory with an identity."""
    common = path / ".git"
    common.mkdir(parents=True)
    return seen(path, remote_url=None)


def seen(path: Path, remote_url: str | None = URL) -> Sighting:
    common = str(path / ".git")
    return Sighting(ensure_repository_id(common), str(path), common, remote_url)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(tmp_path / "data")


@pytest.fixture
def entries(data: str) -> Callable[[], list[Entry]]:
    def read() -> list[Entry]:
        with CatalogReader(data, skipped=loud) as reader:
            return reader.every()

    return read


def test_a_catalog_that_is_not_there_is_empty_and_stays_so(
    data: str, entries: Callable[[], list[Entry]]
) -> None:
    assert entries() == []
    assert registering.live_places(data) == {}
    assert not os.path.exists(data)


def test_a_repository_is_recorded_as_it_was_seen(data: str, tmp_path: Path) -> None:
    sighting = made(tmp_path / "src" / "api")._replace(remote_url=URL, default_branch="main")

    entry = registering.take_up(data, sighting, report=loud)

    assert entry.name == "api"
    assert entry.path == str(tmp_path / "src" / "api")
    assert entry.remote_url_normalized == "example.org/acme/api"
    assert entry.is_live
    assert catalog.says_the_same(entry, sighting)
    assert os.stat(catalog.catalog_path(data)).st_mode & 0o777 == 0o600


def test_seeing_it_again_writes_nothing(data: str, tmp_path: Path) -> None:
    sighting = made(tmp_path / "api")
    first = registering.take_up(data, sighting, report=loud)

    assert registering.take_up(data, sighting, report=loud) == first


@pytest.mark.parametrize(
    "change",
    [{"remote_url": "https://example.org/x"}, {"default_branch": "trunk"}, {"path": "/elsewhere"}],
    ids=str,
)
def test_what_has_changed_is_noticed(data: str, tmp_path: Path, change: dict[str, str]) -> None:
    sighting = made(tmp_path / "api")
    entry = registering.take_up(data, sighting, report=loud)
    later = sighting._replace(**change)

    assert not catalog.says_the_same(entry, later)
    now = registering.take_up(data, later, report=loud)
    assert catalog.says_the_same(now, later)
    assert now.created_at == entry.created_at


def test_a_default_branch_nobody_looked_for_stays(data: str, tmp_path: Path) -> None:
    sighting = made(tmp_path / "api")
    registering.take_up(data, sighting._replace(default_branch="main"), report=loud)

    assert catalog.says_the_same(registering.take_up(data, sighting, report=loud), sighting)
    moved = registering.take_up(data, sighting._replace(remote_url=URL), report=loud)
    assert moved.default_branch == "main"


def test_the_second_of_a_name_gets_a_number(data: str, tmp_path: Path) -> None:
    names = [
        registering.take_up(data, made(tmp_path / owner / "api"), report=loud).name
        for owner in ("a", "b", "c")
    ]

    assert names == ["api", "api-2", "api-3"]


def test_a_name_the_user_gives_must_be_free(data: str, tmp_path: Path) -> None:
    registering.take_up(data, made(tmp_path / "api"), report=loud)
    other = made(tmp_path / "web")

    with pytest.raises(NameTaken, match=str(tmp_path / "api")):
        registering.take_up(data, other, name="api", report=loud)
    assert registering.take_up(data, other, name="front", report=loud).name == "front"
    assert registering.take_up(data, other, report=loud).name == "front"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a..b", "-x", "a b", "a/b", "ü", "x" * 101, "a\n",
             "01234567-89ab-7def-8123-456789abcdef"],
)  # fmt: skip
def test_a_name_that_could_mean_something_else_is_refused(
    data: str, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadName):
        registering.take_up(data, made(tmp_path / "api"), name=name, report=loud)


def test_one_that_is_gone_gives_its_name_and_place_to_the_next(
    data: str, tmp_path: Path, entries: Callable[[], list[Entry]]
) -> None:
    old = made(tmp_path / "api")
    registering.take_up(data, old, report=loud)
    shutil.rmtree(tmp_path / "api")

    new = registering.take_up(data, made(tmp_path / "api"), report=loud)

    assert new.name == "api"
    assert [(one.uuid, one.is_live) for one in entries()] == [(new.uuid, True), (old.uuid, False)]


def test_one_that_was_moved_keeps_its_name(data: str, tmp_path: Path) -> None:
    registering.take_up(data, made(tmp_path / "api"), name="mine", report=loud)
    (tmp_path / "api").rename(tmp_path / "moved")

    entry = registering.take_up(data, seen(tmp_path / "moved", None), report=loud)

    assert (entry.name, entry.path) == ("mine", str(tmp_path / "moved"))


def test_a_copy_does_not_take_the_place_of_the_original(data: str, tmp_path: Path) -> None:
    original = registering.take_up(data, made(tmp_path / "api"), report=loud)
    shutil.copytree(tmp_path / "api", tmp_path / "copy")

    assert registering.take_up(data, seen(tmp_path / "copy", None), report=loud) == original


def test_two_git_directories_in_one_directory_are_two(data: str, tmp_path: Path) -> None:
    one = made(tmp_path / "api")
    registering.take_up(data, one, report=loud)
    hidden = tmp_path / "api" / ".bare"
    hidden.mkdir()
    other = Sighting(ensure_repository_id(str(hidden)), one.path, str(hidden), None)

    entry = registering.take_up(data, other, report=loud)

    assert (entry.name, entry.path) == ("api-2", str(hidden))
    assert catalog.says_the_same(entry, other)


def test_one_that_was_taken_out_is_found_by_name_until_it_is_back(
    data: str, tmp_path: Path, entries: Callable[[], list[Entry]]
) -> None:
    sighting = made(tmp_path / "api")
    registering.take_up(data, sighting, report=loud)

    assert registering.take_out(data, sighting.uuid, report=loud)
    assert not registering.take_out(data, sighting.uuid, report=loud)
    assert [one.is_live for one in catalog.meant(entries(), "api")] == [False]
    assert catalog.at(entries(), sighting.path) is not None
    assert registering.take_up(data, sighting, report=loud).is_live


def test_a_word_means_a_name_before_an_identity(
    data: str, tmp_path: Path, entries: Callable[[], list[Entry]]
) -> None:
    first = registering.take_up(data, made(tmp_path / "a"), report=loud)
    named = registering.take_up(data, made(tmp_path / "b"), name=first.uuid[:8], report=loud)

    assert catalog.meant(entries(), first.uuid[:8]) == [named]
    assert catalog.meant(entries(), first.uuid) == [first]
    assert len(catalog.meant(entries(), first.uuid[:4].upper())) == 2
    assert catalog.meant(entries(), first.uuid[:3]) == []


def test_only_those_that_are_where_they_should_be_count_as_there(data: str, tmp_path: Path) -> None:
    here = registering.take_up(data, made(tmp_path / "here"), report=loud)
    registering.take_up(data, made(tmp_path / "gone"), report=loud)
    out = registering.take_up(data, made(tmp_path / "out"), report=loud)
    registering.take_out(data, out.uuid, report=loud)
    shutil.rmtree(tmp_path / "gone")

    assert registering.live_places(data) == {here.uuid: here.git_common_dir}


def test_a_damaged_catalog_is_kept_aside_and_begun_anew(data: str, tmp_path: Path) -> None:
    sighting = made(tmp_path / "api")
    registering.take_up(data, sighting, report=loud)
    path = Path(catalog.catalog_path(data))
    path.write_bytes(b"no database at all" * 300)
    told: list[str] = []

    with pytest.raises(ListingError) as caught:
        CatalogReader(data, skipped=loud)
    entry = registering.take_up(data, sighting, report=told.append)

    assert caught.value.code == "damaged"
    assert entry.name == "api"
    assert len(told) == 1
    assert "renamed to" in told[0]
    kept = [one for one in path.parent.iterdir() if ".corrupt-" in one.name]
    assert b"no database at all" in kept[0].read_bytes()


def test_the_file_of_another_program_is_left_alone(data: str, tmp_path: Path) -> None:
    path = Path(catalog.catalog_path(data))
    path.parent.mkdir(parents=True)
    db = sqlite3.connect(path)
    db.execute("PRAGMA application_id = 1145459713")
    db.execute("CREATE TABLE catalog_repos (x)")
    db.commit()
    db.close()
    before = path.read_bytes()

    with pytest.raises(ForeignFile):
        registering.take_up(data, made(tmp_path / "api"), report=loud)
    with pytest.raises(ListingError):
        CatalogReader(data, skipped=loud)
    assert path.read_bytes() == before


REGISTER = """
import sys
from daft_store import registering
from daft_store.catalog import Sighting
from daft_store.identity import ensure_repository_id
data, path = sys.argv[1:]
common = path + "/.git"
seen = Sighting(ensure_repository_id(common), path, common, None)
registering.take_up(data, seen, report=print)
"""


def test_many_who_register_at_once_all_get_a_name_of_their_own(
    data: str, tmp_path: Path, entries: Callable[[], list[Entry]]
) -> None:
    paths = [tmp_path / str(number) / "api" for number in range(8)]
    for path in paths:
        (path / ".git").mkdir(parents=True)

    running = [
        subprocess.Popen([sys.executable, "-c", REGISTER, data, str(path)]) for path in paths * 2
    ]

    assert [process.wait(60) for process in running] == [0] * 16
    assert sorted(one.name for one in entries()) == ["api", *(f"api-{n}" for n in range(2, 9))]
    assert {one.path for one in entries()} == {str(path) for path in paths}


def test_a_path_that_is_no_text_is_recorded_all_the_same(data: str, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    sighting = made(path)

    entry = registering.take_up(data, sighting, report=loud)

    assert catalog.says_the_same(entry, sighting)
    assert entry.name


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("git@example.org:acme/api.git", "example.org/acme/api"),
        ("ssh://git@Example.org/acme/api", "example.org/acme/api"),
        ("ssh://git@example.org:22/acme/api.git/", "example.org/acme/api"),
        ("https://user:secret@example.org/acme/api.git", "example.org/acme/api"),
        ("https://example.org:443/acme/api?x=1", "example.org/acme/api"),
        ("https://example.org:8443/acme/api", "example.org:8443/acme/api"),
        ("file:///srv/api.git", "/srv/api"),
        ("/srv/api/.git", "/srv/api"),
        ("../api/", "../api"),
        ("./a:b", "./a:b"),
    ],
)
def test_one_repository_has_one_normalized_url(url: str, same: str) -> None:
    assert remotes.normalized(url) == same
    assert remotes.normalized(remotes.without_secrets(url)) == same


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://x-token:abc@example.org/a.git", "https://example.org/a.git"),
        ("https://abc@example.org/a?private_token=q#f", "https://example.org/a"),
        ("ssh://git:pw@example.org:2222/a", "ssh://git@example.org:2222/a"),
        ("ssh://git@example.org/a", "ssh://git@example.org/a"),
        ("git@example.org:a", "git@example.org:a"),
        ("/srv/a@b:c", "/srv/a@b:c"),
    ],
)
def test_a_url_is_kept_without_what_may_be_secret(url: str, safe: str) -> None:
    assert remotes.without_secrets(url) == safe


@pytest.mark.parametrize(
    ("url", "path", "name"),
    [
        (URL, "/x/clone", "api"),
        (None, "/x/my project", "my-project"),
        (None, "/x/foo.git", "foo"),
        ("https://example.org/", "/x/here", "example.org"),
        ("git@example.org:a/..", "/x/here", "here"),
        (None, "/x/ü", "repository"),
        (None, "/", "repository"),
    ],
)
def test_a_name_is_made_of_the_remote_or_of_the_directory(
    url: str | None, path: str, name: str
) -> None:
    assert registering.fitting_name(url, path) == name
