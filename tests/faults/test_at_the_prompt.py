"""What a user sees when the store is damaged, foreign, newer, read-only, full or held."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

CONFIG = """
hooks:
  worktree-post-create:
    jobs:
      - {name: front, run: 'touch front'}
      - {name: back, run: 'touch back', background: true, needs: [front]}
"""


def store_of(home: Any) -> Path:
    (path,) = (home.root / "state" / "jobs").glob("*/coordinator.db")
    return path


def project_with_history(home: Any, until: Any) -> tuple[Path, Path]:
    """Return a project whose jobs have run, and its store; nobody leads any more."""
    project = home.repository(CONFIG)
    assert home.daft("start", "first", cwd=project).returncode == 0
    until(lambda: (home.root / "project.first" / "back").exists(), "the first jobs ran")
    until(lambda: home.leaders() == [], "their leader left")
    return project, store_of(home)


def did_its_work(home: Any, until: Any, branch: str) -> None:
    tree = home.root / f"project.{branch}"
    assert (tree / "front").exists()
    until(lambda: (tree / "back").exists(), "the background job ran")


def warnings(done: Any) -> list[str]:
    return [line for line in done.stderr.splitlines() if "warning" in line or "unrecorded" in line]


def damaged(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"nonsense" * 20)


@pytest.mark.fault("F-08", "reader")
def test_a_listing_tells_of_a_damaged_store_and_repairs_nothing(home: Any, until: Any) -> None:
    project, store = project_with_history(home, until)
    damaged(store)
    before = {path: path.read_bytes() for path in store.parent.glob("coordinator.db*")}

    listed = home.daft("jobs", cwd=project)
    shown = home.daft("jobs", "logs", "back", cwd=home.root / "project.first")

    assert listed.returncode == 4
    assert shown.returncode != 0
    for done in (listed, shown):
        assert f"{store} is damaged" in done.stderr
        assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in store.parent.glob("coordinator.db*")} == before


@pytest.mark.fault("F-08", "hook")
def test_a_hook_does_its_work_over_a_damaged_store_and_warns_once(home: Any, until: Any) -> None:
    project, store = project_with_history(home, until)
    damaged(store)

    done = home.daft("start", "second", cwd=project)

    assert done.returncode == 0, done.stderr
    assert len(warnings(done)) == 1, done.stderr
    assert "damaged" in warnings(done)[0]
    did_its_work(home, until, "second")
    until(lambda: home.leaders() == [], "the leader left")
    assert set(home.jobs(project, "--all")) == {"front", "back"}
    assert len(list(store.parent.glob("coordinator.db.corrupt-*"))) >= 1


def foreign(path: Path) -> None:
    for file in path.parent.glob("coordinator.db*"):
        file.unlink()
    with sqlite3.connect(path) as theirs:
        theirs.execute("PRAGMA application_id = 4711")
        theirs.execute("CREATE TABLE theirs (a)")
    theirs.close()
    path.chmod(0o600)


def newer(path: Path) -> None:
    with sqlite3.connect(path) as ours:
        ours.execute("PRAGMA user_version = 99")
    ours.close()


@pytest.mark.fault("F-09", "it")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(foreign, "00001267", id="foreign"),
        pytest.param(newer, "upgrade", id="newer", marks=pytest.mark.fault("F-10", "it")),
    ],
)
def test_a_store_that_is_not_ours_to_touch_is_left_alone_and_hooks_run(
    home: Any, until: Any, change: Callable[[Path], None], said: str
) -> None:
    project, store = project_with_history(home, until)
    change(store)
    before = store.read_bytes()

    listed = home.daft("jobs", cwd=project)
    done = home.daft("start", "second", cwd=project)

    assert listed.returncode == 4
    assert said in listed.stderr
    assert done.returncode == 0, done.stderr
    assert len(warnings(done)) == 1, done.stderr
    assert said in warnings(done)[0]
    assert (home.root / "project.second" / "front").exists()
    assert (home.root / "project.second" / "back").exists()
    assert store.read_bytes() == before


@pytest.mark.fault("F-11", "mode")
def test_a_record_that_others_could_open_is_closed_and_that_is_said_once(
    home: Any, until: Any
) -> None:
    project, store = project_with_history(home, until)
    state = home.root / "state"
    (lock,) = state.glob("*.lock")
    ours = [state, state / "jobs", store.parent, store, lock, store.parent / "coordinator.log"]
    for path in ours:
        path.chmod(0o755 if path.is_dir() else 0o644)

    listed = home.daft("jobs", cwd=project)
    modes = [path.stat().st_mode & 0o077 for path in ours]
    done = home.daft("start", "second", cwd=project)
    again = home.daft("start", "third", cwd=project)

    assert (listed.returncode, listed.stderr) == (0, "")
    assert all(modes)  # who only looks changes nothing
    assert done.returncode == 0
    said = f"{state} was open to other users (mode 0755) (and 3 more in it); it is closed to them"
    assert [line for line in done.stderr.splitlines() if said in line] == warnings(done)
    assert warnings(again) == []
    assert [path.stat().st_mode & 0o077 for path in ours] == [0] * len(ours)


@pytest.mark.fault("F-11", "link")
@pytest.mark.parametrize("place", ["coordinator-*.lock", "jobs/*/coordinator.log"])
def test_a_link_in_place_of_what_a_leader_needs_is_named_and_hooks_run(
    home: Any, until: Any, place: str
) -> None:
    project, _ = project_with_history(home, until)
    (path,) = (home.root / "state").glob(place)
    path.unlink()
    path.symlink_to(home.root / "elsewhere")

    done = home.daft("start", "second", cwd=project)

    assert done.returncode == 0, done.stderr
    assert len(warnings(done)) == 1, done.stderr
    assert f"{path} is not a regular file; move it away" in warnings(done)[0]
    assert (home.root / "project.second" / "back").exists()
    assert not (home.root / "elsewhere").exists()


@pytest.fixture
def small_disk(home: Any) -> Iterator[Path]:
    """A state directory on a file system of its own, where the machine allows one."""
    place = home.root / "state"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts nothing for us")
    yield place
    for leader in home.leaders():
        leader.kill()
        leader.wait()
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


@pytest.mark.fault("F-07", "store")
@pytest.mark.parametrize("has_history", [True, False])
def test_a_hook_does_its_work_on_a_full_disk(
    home: Any, until: Any, small_disk: Path, has_history: bool
) -> None:
    project = home.repository(CONFIG)
    if has_history:
        assert home.daft("start", "first", cwd=project).returncode == 0
        until(lambda: home.leaders() == [], "their leader left")
    fill(small_disk)

    done = home.daft("start", "second", cwd=project)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert warnings(done), done.stderr
    assert (home.root / "project.second" / "front").exists()
    assert (home.root / "project.second" / "back").exists()


@pytest.mark.fault("F-07", "store")
def test_jobs_whose_leader_meets_a_full_disk_end_and_are_recorded_when_there_is_room(
    home: Any, until: Any, small_disk: Path
) -> None:
    project = home.repository(
        "hooks:\n  worktree-post-create:\n    jobs:\n"
        "      - {name: back, run: 'while ! [ -e go ]; do sleep 0.05; done; exit 9', background: true}\n"
    )
    assert home.daft("start", "x", cwd=project).returncode == 0
    until(lambda: home.jobs(project, "--all")["back"]["status"] == "running", "the job runs")
    fill(small_disk)

    (home.root / "project.x" / "go").touch()
    until(lambda: not processes_of(home, "while ! [ -e go ]"), "the job has ended")
    (small_disk / "filler").unlink()

    until(lambda: home.jobs(project, "--all")["back"]["status"] == "failed", "its end is recorded")
    assert home.jobs(project, "--all")["back"]["exit_code"] == 9


def processes_of(home: Any, text: str) -> list[int]:
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if text in " ".join(process.cmdline()) and process.cwd().startswith(str(home.root)):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_a_read_only_state_directory_stops_no_hook(home: Any, until: Any, small_disk: Path) -> None:
    project = home.repository(CONFIG)
    assert home.daft("start", "first", cwd=project).returncode == 0
    until(lambda: home.leaders() == [], "their leader left")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    listed = home.daft("jobs", "--all", cwd=project)
    shown = home.daft("jobs", "logs", "front", cwd=home.root / "project.first")
    done = home.daft("start", "second", cwd=project)

    assert (listed.returncode, listed.stderr) == (0, "")
    assert "completed" in listed.stdout
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "finished exit_code=0" in shown.stdout
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert warnings(done), done.stderr
    assert (home.root / "project.second" / "front").exists()
    assert (home.root / "project.second" / "back").exists()


class Held:
    """Somebody who holds a store, in a way that lets nobody else write or even read."""

    def __init__(self, path: Path, *, alone: bool) -> None:
        self._db = apsw.Connection(str(path))
        if alone:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        self._db.execute("BEGIN EXCLUSIVE")
        self._db.execute("CREATE TABLE theirs (a)")

    def release(self) -> None:
        self._db.execute("ROLLBACK")
        self._db.close()


@pytest.mark.fault("F-25", "reader")
@pytest.mark.parametrize("alone", [True, False], ids=["for itself", "for writing"])
def test_a_listing_of_a_held_store_answers_or_says_busy(home: Any, until: Any, alone: bool) -> None:
    project, store = project_with_history(home, until)
    held = Held(store, alone=alone)

    done = home.daft("jobs", "--all", cwd=project)

    held.release()
    assert "Traceback" not in done.stderr
    if alone:
        assert done.returncode == 4
        assert "locked" in done.stderr or "in use" in done.stderr
    else:
        assert done.returncode == 0
        assert "front" in done.stdout


@pytest.mark.fault("F-25", "writer")
def test_a_hook_does_its_work_while_the_store_is_held(home: Any, until: Any) -> None:
    project, store = project_with_history(home, until)
    held = Held(store, alone=False)

    done = home.daft("start", "second", cwd=project)

    held.release()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    did_its_work(home, until, "second")


@pytest.mark.fault("F-20", "store")
def test_a_state_directory_deleted_between_two_commands_is_a_fresh_one(
    home: Any, until: Any
) -> None:
    project, _ = project_with_history(home, until)
    shutil.rmtree(home.root / "state")

    assert home.daft("jobs", "--all", cwd=project).returncode == 0
    assert home.daft("start", "second", cwd=project).returncode == 0

    did_its_work(home, until, "second")
    assert set(home.jobs(project, "--all")) == {"front", "back"}
