from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from daft_store import (
    RepositoryPlaces,
    config_root,
    data_root,
    ensure_repository_id,
    read_repository_id,
    scrub,
    state_root,
)
from daft_store.errors import BadDirectoryVariable, BadIdentity, NotOurs, PathOutsideState, StoreIO
from daft_store.moments import from_text, to_text
from daft_store.places import (
    check_private_directory,
    check_private_file,
    known_repositories,
    private_file,
)

REPO = "00000000-0000-7000-8000-000000000000"


def test_directories_follow_the_variables() -> None:
    assert state_root({"DAFT_STATE_DIR": "/s"}) == "/s"
    assert state_root({"HOME": "/h"}) == "/h/.local/state/daft"
    assert state_root({"HOME": "/h", "XDG_STATE_HOME": "/x", "DAFT_STATE_DIR": ""}) == "/x/daft"
    assert state_root({"HOME": "/h", "XDG_STATE_HOME": "relative"}) == "/h/.local/state/daft"
    assert data_root({"DAFT_DATA_DIR": "/d"}) == "/d"
    assert data_root({"HOME": "/h", "XDG_DATA_HOME": "/x"}) == "/x/daft"
    assert config_root({"DAFT_CONFIG_DIR": "/c"}) == "/c"
    assert config_root({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == "/x/daft"


@pytest.mark.parametrize(
    ("variable", "root"),
    [
        ("DAFT_STATE_DIR", state_root),
        ("DAFT_DATA_DIR", data_root),
        ("DAFT_CONFIG_DIR", config_root),
    ],
)
def test_a_directory_variable_that_is_not_absolute_is_named(
    variable: str, root: Callable[[Mapping[str, str]], str]
) -> None:
    with pytest.raises(BadDirectoryVariable, match=f"{variable} is 'here'; it must be an absolute"):
        root({variable: "here", "HOME": "/h"})


@pytest.mark.parametrize("bad", ["..", "x", "", "../" + REPO, REPO.upper() + "0"])
def test_an_id_that_is_none_leads_nowhere(bad: str) -> None:
    with pytest.raises(PathOutsideState):
        RepositoryPlaces("/s", bad)


def test_only_what_is_called_by_an_id_is_taken_for_a_repository(tmp_path: Path) -> None:
    for name in (REPO, "4f1d2e", "notes", REPO.upper() + "0", f".{REPO}"):
        (tmp_path / "jobs" / name).mkdir(parents=True)

    assert known_repositories(str(tmp_path)) == (REPO,)
    assert known_repositories(str(tmp_path / "nothing")) == ()


def test_what_belongs_to_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = RepositoryPlaces(str(tmp_path / "state"), REPO)
    places.make({})
    private_file(places.database)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)

    for look in (
        lambda: places.make({}),
        lambda: check_private_directory(places.directory),
        lambda: check_private_file(places.database, tighten=True),
        lambda: places.job_directory("0" * 16, "a", create=False),
    ):
        with pytest.raises(NotOurs, match="belongs to another user"):
            look()


@pytest.mark.parametrize(
    ("invocation", "name"),
    [
        ("../../../../etc", "a"),
        ("0" * 16, ".."),
        ("0" * 16, "a/b"),
        ("0" * 16, ""),
        ("0" * 15, "a"),
    ],
)
def test_a_name_that_is_none_leads_nowhere(tmp_path: Path, invocation: str, name: str) -> None:
    places = RepositoryPlaces(str(tmp_path), REPO)

    with pytest.raises(PathOutsideState):
        places.job_directory(invocation, name, create=True)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("F-11", "link")
def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    places = RepositoryPlaces(str(tmp_path / "state"), REPO)
    places.make({})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.symlink(elsewhere, os.path.join(places.directory, "0" * 16))

    with pytest.raises(NotOurs):
        places.job_directory("0" * 16, "job", create=True)

    assert list(elsewhere.iterdir()) == []


@pytest.mark.fault("F-11", "link")
def test_a_planted_link_is_not_read_through(tmp_path: Path) -> None:
    places = RepositoryPlaces(str(tmp_path / "state"), REPO)
    assert places.job_directory("0" * 16, "job", create=False)
    assert list(tmp_path.iterdir()) == []
    places.job_directory("0" * 16, "job", create=True)
    os.symlink(tmp_path, os.path.join(places.directory, "0" * 16, "link"))

    with pytest.raises(NotOurs, match="not a directory"):
        places.job_directory("0" * 16, "link", create=False)


def test_a_long_state_directory_gets_a_short_socket(tmp_path: Path) -> None:
    deep = str(tmp_path / ("d" * 120))
    places = RepositoryPlaces(deep, REPO)

    assert len(places.socket({"XDG_RUNTIME_DIR": "/run/user/1"})) < 100
    assert len(places.socket({})) < 100
    other = RepositoryPlaces(deep + "x", REPO)
    assert places.socket({}) != other.socket({})


def test_a_leader_of_one_invocation_has_names_of_its_own(tmp_path: Path) -> None:
    places = RepositoryPlaces("/s", REPO)
    first, second = "0123456789abcdef", "1123456789abcdef"

    assert places.socket({}, first) == f"/s/coordinator-{REPO}-01234567.sock"
    assert places.own_lock(first) == f"/s/coordinator-{REPO}-01234567.lock"
    assert places.socket({}, first) != places.socket({}, second)
    deep = RepositoryPlaces(str(tmp_path / ("d" * 120)), REPO)
    assert len({deep.socket({}), deep.socket({}, first), deep.socket({}, second)}) == 3
    for name in ("../../etc/x", "0123", "ABCDEF0123456789"):
        with pytest.raises(PathOutsideState):
            places.own_lock(name)


def test_the_short_place_is_made_where_only_the_longer_socket_needs_it() -> None:
    """The name of an invocation's leader may be too long where the repository's is not."""
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as top:
        root = f"{top}/{'d' * (44 - len(top))}"
        places = RepositoryPlaces(root, REPO)
        short = places.socket({}, "0" * 16)
        assert places.socket({}).startswith(root)
        assert not short.startswith(root)

        places.make({})

        assert os.stat(os.path.dirname(short)).st_mode & 0o077 == 0


def test_many_processes_agree_on_one_identity(tmp_path: Path) -> None:
    code = "import sys, daft_store as s; print(s.ensure_repository_id(sys.argv[1]))"

    def one(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout.strip()

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(one, range(32)))

    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["daft-id"]


def test_processes_that_find_a_blank_identity_agree_on_one(tmp_path: Path) -> None:
    code = """
import os, sys
from daft_store import ensure_repository_id
for number in range(40):
    place = f"{sys.argv[1]}/{number}"
    os.mkdir(place)
    open(f"{place}/daft-id", "w").close()
    ready, go = os.pipe()
    answers, answer = os.pipe()
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(ready, 1)  # ends when the parent lets go: all start at once
            os.write(answer, ensure_repository_id(place).encode())
            os._exit(0)
        children.append(child)
    for end in (go, ready, answer):
        os.close(end)
    for child in children:
        os.waitpid(child, 0)
    with open(answers) as file:
        text = file.read()
    found = {text[start : start + 36] for start in range(0, len(text), 36)}
    assert len(text) == 8 * 36 and len(found) == 1, (number, found)
    assert os.listdir(place) == ["daft-id"]
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr


def test_whoever_is_late_to_a_blank_identity_takes_the_one_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "daft-id"
    path.touch()
    lock = fcntl.flock

    def locked_after_somebody_else(file: IO[bytes], how: int) -> None:
        (tmp_path / "theirs").write_text(REPO)
        os.replace(tmp_path / "theirs", path)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", locked_after_somebody_else)

    assert ensure_repository_id(str(tmp_path)) == REPO
    assert path.read_text() == REPO


def test_an_identity_that_cannot_be_made_is_an_error_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreIO, match="No such file"):
        ensure_repository_id(str(tmp_path / "nowhere"))
    (tmp_path / "daft-id").mkdir()
    with pytest.raises(StoreIO, match="daft-id"):
        read_repository_id(str(tmp_path))


def test_reading_an_identity_creates_none(tmp_path: Path) -> None:
    assert read_repository_id(str(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_an_identity_is_a_uuid_of_version_seven_in_canonical_form(tmp_path: Path) -> None:
    made = ensure_repository_id(str(tmp_path))

    assert (tmp_path / "daft-id").read_bytes() == made.encode()
    assert str(uuid.UUID(made)) == made
    assert uuid.UUID(made).version == 7
    assert uuid.UUID(made).variant == uuid.RFC_4122


@pytest.mark.parametrize("written", ["{0}", " {0}\n", "{{{0}}}", "urn:uuid:{0}"])
def test_any_spelling_of_an_identity_is_read(tmp_path: Path, written: str) -> None:
    (tmp_path / "daft-id").write_text(written.format(REPO.upper()))

    assert read_repository_id(str(tmp_path)) == REPO
    assert ensure_repository_id(str(tmp_path)) == REPO


def test_a_blank_identity_is_a_crashed_write_and_garbage_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "daft-id").write_text("  \n")
    made = ensure_repository_id(str(tmp_path))
    assert read_repository_id(str(tmp_path)) == made

    (tmp_path / "daft-id").write_text("garbage")
    with pytest.raises(BadIdentity, match="orphans"):
        ensure_repository_id(str(tmp_path))
    assert (tmp_path / "daft-id").read_text() == "garbage"


def test_secrets_stay_off_the_disk() -> None:
    kept, removed = scrub(
        {
            "API_TOKEN": "x", "db_password": "x", "PGPASSWORD": "x", "MY_PAT": "x", "PATH": "/bin",
            "TOKEN_OF_X": "fine", "URL": "https://me:secret@host/p", "HOMEPAGE": "https://host/a@b",
            "MINE": "x", "DEPLOY_KEY": "fine",
        },
        extra=["mine"],
        keep=["DEPLOY_KEY"],
    )  # fmt: skip

    assert kept == {
        "PATH": "/bin",
        "TOKEN_OF_X": "fine",
        "URL": "https://me@host/p",
        "HOMEPAGE": "https://host/a@b",
        "DEPLOY_KEY": "fine",
    }
    assert removed == ("API_TOKEN", "MINE", "MY_PAT", "PGPASSWORD", "URL", "db_password")


@pytest.mark.parametrize(
    "name",
    [
        "GH_TOKEN", "my_secret", "Deploy_Key", "DB_PASSWORD", "X_PASSWD", "X_PASSPHRASE",
        "G_CREDENTIALS", "G_PAT", "SENTRY_DSN", "NPM_AUTH", "TOKEN", "secret", "PASSWORD",
        "PASSWD", "PGPASSWORD", "MYSQL_PWD", "AWS_ACCESS_KEY_ID",
    ],
)  # fmt: skip
def test_what_is_called_like_a_secret_is_not_stored(name: str) -> None:
    assert scrub({name: "x"}) == ({}, (name,))


@pytest.mark.parametrize("name", ["X_TOKENISH", "TOKENS", "KEY", "KEYS_OF_X", "PATH", "PAT"])
def test_what_is_called_otherwise_is(name: str) -> None:
    assert scrub({name: "x"}) == ({name: "x"}, ())


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("http://a:b@one,http://c:d@two/x?y#z", "http://a@one,http://c@two/x?y#z"),
        ("redis://:pass@host", "redis://@host"),
        ("postgres://me:p@ss@host:5432/db?", "postgres://me@host:5432/db?"),
        ("see https://me:x@host and ssh://git@host:22/p", "see https://me@host and ssh://git@host:22/p"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
    ],
)  # fmt: skip
def test_of_urls_only_the_passwords_are_left_out(value: str, stored: str) -> None:
    kept, removed = scrub({"V": value})

    assert kept == {"V": stored}
    assert removed == (() if value == stored else ("V",))


def test_texts_of_time_sort_as_times() -> None:
    early, late = from_text("2026-01-01T00:00:00Z"), from_text("2026-01-01T02:00:00.5+01:00")

    assert to_text(early) < to_text(late)
    assert to_text(late) == "2026-01-01T01:00:00.500000+00:00"
    with pytest.raises(ValueError, match="zone"):
        from_text("2026-01-01T00:00:00")
    with pytest.raises(ValueError, match="zone"):
        to_text(early.replace(tzinfo=None))
