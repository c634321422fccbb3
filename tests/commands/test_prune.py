"""`daft jobs prune`, `pin` and the clean-up nobody asks for, as a user meets them."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from daft_cli import tidying

CONFIG = """\
log: {retention: 1d, keep_last: 1}
hooks:
  worktree-post-create:
    jobs:
      - {name: build, run: "echo building"}
      - {name: check, run: "exit 3"}
"""


def store(home: Any, project: Path | None = None) -> Path:
    """Return the directory of the only repository, or that of one."""
    jobs = home.root / "state" / "jobs"
    if project is not None:
        return Path(jobs / (project / ".git" / "daft-id").read_text().strip())
    [found] = [one for one in jobs.iterdir() if "-" in one.name]
    return Path(found)


def sql(home: Any, text: str, project: Path | None = None) -> list[Any]:
    db = apsw.Connection(str(store(home, project) / "coordinator.db"))
    try:
        return list(db.execute(text))
    finally:
        db.close()


def make_older(home: Any, days: float, project: Path | None = None) -> None:
    """Move everything that was recorded into the past, logs included."""

    def past(column: str) -> str:
        return (
            f"{column} = strftime('%Y-%m-%dT%H:%M:%f', {column}, '-{days * 86400} seconds')"
            " || '000+00:00'"
        )

    sql(home, f"UPDATE invocations SET {past('created_at')}", project)
    for column in ("queued_at", "started_at", "finished_at"):
        sql(home, f"UPDATE jobs SET {past(column)} WHERE {column} IS NOT NULL", project)


@pytest.fixture
def used(home: Any) -> tuple[Any, Path]:
    """A repository with three runs in one worktree, each of a good and a bad job, 30 days old."""
    project = home.repository(CONFIG)
    for _ in range(3):
        done = home.daft("hooks", "run", "worktree-post-create", cwd=project)
        assert done.returncode == 3, done.stderr
    make_older(home, 30)
    return home, project


def prune(home: Any, project: Path, *words: str, **other: str) -> str:
    done = home.daft("jobs", "prune", *words, cwd=project, **other)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def files(home: Any) -> set[str]:
    return {
        str(path.relative_to(home.root))
        for path in (home.root / "state").rglob("*")
        if path.is_file() and "coordinator.db" not in path.name
    }


def test_what_is_announced_is_what_goes_and_the_newest_stay(used: tuple[Any, Path]) -> None:
    home, project = used
    before = files(home)

    announced = prune(home, project, "--dry-run")
    assert files(home) == before
    again = prune(home, project, "-n")
    done = prune(home, project)
    nothing = prune(home, project)

    assert announced == again
    lines = announced.splitlines()
    assert lines[0].startswith("Would remove 4 job(s) across 2 invocation(s) (")
    assert [line.split()[-1] for line in lines[1:]] == ["build", "check"] * 2
    freed = lines[0].split("(")[-1].removesuffix(" would be freed):")
    assert done == f"Removed 4 job(s) ({freed} freed).\n"
    assert nothing == "No old logs to clean.\n"
    assert prune(home, project, "-n") == "No candidates for removal.\n"
    assert len(home.jobs(project, "--all")) == 2
    assert sql(home, "SELECT count(*) FROM jobs") == [(2,)]
    assert len([name for name in files(home) if name.endswith("output.jsonl")]) == 2


def test_candidates_and_results_can_be_read_by_programs(used: tuple[Any, Path]) -> None:
    home, project = used

    rows = list(csv.DictReader(io.StringIO(prune(home, project, "-n", "--format", "csv"))))
    [result] = json.loads(prune(home, project, "--format", "json"))
    empty = prune(home, project, "-n", "--format", "json")

    assert [row["name"] for row in rows] == ["build", "check"] * 2
    assert {row["reason"] for row in rows} == {"retention"}
    assert result["removed_jobs"] == 4
    assert result["removed_invocations"] == 2
    assert result["freed_bytes"] == sum(int(row["size_bytes"]) for row in rows)
    assert empty == "[]\n"


def test_only_failures_of_one_worktree_can_go(used: tuple[Any, Path]) -> None:
    home, project = used

    assert prune(home, project, "--worktree", "other") == "No old logs to clean.\n"
    done = prune(home, project, "--failed", "--worktree", "main", "--keep-last", "0")

    assert done.startswith("Removed 3 job(s) (")
    assert set(home.jobs(project, "--all")) == {"build"}


def test_what_just_ended_stays_whatever_is_asked_for(home: Any) -> None:
    project = home.repository(CONFIG)
    home.daft("hooks", "run", "worktree-post-create", cwd=project)

    done = prune(home, project, "--older-than", "0s", "--keep-last", "0")

    assert done == "No old logs to clean.\n"


def test_a_pinned_run_stays_until_it_is_unpinned(used: tuple[Any, Path]) -> None:
    home, project = used
    address = sql(home, "SELECT invocation_id FROM invocations ORDER BY created_at")[0][0]

    pinned = home.daft("jobs", "pin", address, cwd=project)
    first = prune(home, project, "--keep-last", "0")
    unpinned = home.daft("jobs", "unpin", address, cwd=project)
    second = prune(home, project, "--keep-last", "0")

    assert pinned.stdout == f"The run [{address[:4]}] of main is kept until it is unpinned.\n"
    assert unpinned.stdout == f"The run [{address[:4]}] of main may be cleaned up again.\n"
    assert first.startswith("Removed 4 job(s)")
    assert second.startswith("Removed 2 job(s)")


def test_the_policy_follows_its_file_and_can_be_asked_for(used: tuple[Any, Path]) -> None:
    home, project = used

    def setting(name: str) -> tuple[str, str]:
        rows = json.loads(prune(home, project, "--explain", "--format", "json"))
        [row] = [row for row in rows if row["setting"] == name]
        return row["value"], row["source"]

    assert setting("keep_last") == (1, str(project / "daft.yml"))
    assert setting("max_total_size_bytes") == (500 * 1024 * 1024, "default")

    (project / "daft.yml").write_text(CONFIG.replace(", keep_last: 1", ", max_total_size: 1KB"))
    home.daft("hooks", "run", "worktree-post-create", cwd=project)

    assert setting("keep_last") == (3, "default")
    assert setting("max_total_size_bytes") == (1024, str(project / "daft.yml"))
    assert "max_total_size_bytes" in prune(home, project, "--explain")


def test_a_retry_sets_no_policy(used: tuple[Any, Path]) -> None:
    home, project = used
    before = prune(home, project, "--explain")
    (project / "daft.yml").write_text(CONFIG.replace("keep_last: 1", "keep_last: 9"))
    home.daft("hooks", "trust", "-f", cwd=project)

    retried = home.daft("jobs", "retry", "check", "--wait", cwd=project)

    assert "Retried 1 job(s)" in retried.stdout + retried.stderr
    assert prune(home, project, "--explain") == before


def test_all_repositories_are_cleaned_and_a_broken_one_is_told(used: tuple[Any, Path]) -> None:
    home, project = used
    other = home.repository(CONFIG, name="other")
    home.daft("hooks", "run", "worktree-post-create", cwd=other)
    sql(home, "PRAGMA user_version = 99", other)

    look = home.daft("jobs", "--all", "prune", "-n", cwd=home.root)
    done = home.daft("jobs", "--all", "prune", cwd=home.root)

    assert look.returncode == 1
    assert look.stdout.splitlines()[1].split()[0] == f"{store(home, project).name[:8]}/main"
    assert done.returncode == 1
    assert "Removed 4 job(s) across 2 invocation(s), freed " in done.stdout
    assert "across all repos." in done.stdout
    assert store(home, other).name[:8] in done.stderr
    assert "upgrade daft" in done.stderr


def test_what_cannot_be_read_is_not_called_clean(used: tuple[Any, Path]) -> None:
    home, project = used
    sql(home, "PRAGMA user_version = 99")

    for words in ((), ("--dry-run",)):
        done = home.daft("jobs", "prune", *words, cwd=project)

        assert (done.returncode, done.stdout) == (4, "")
        assert "upgrade daft" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--failed", "--status", "failed"),
        ("--status", "running"),
        ("--older-than", "soon"),
        ("--keep-last", "-1"),
        ("--all", "--worktree", "x"),
    ],
)
def test_words_that_make_no_sense_are_refused(home: Any, words: tuple[str, ...]) -> None:
    done = home.daft("jobs", "prune", *words, cwd=home.root)

    assert done.returncode == 2
    assert "error:" in done.stderr


def test_a_worktree_that_was_removed_keeps_its_runs_for_thirty_days(home: Any) -> None:
    project = home.repository(CONFIG.replace("exit 3", "true"))
    assert home.daft("start", "gone", cwd=project).returncode == 0
    make_older(home, 20)
    removed = home.daft("remove", "--force", "gone", cwd=project)
    assert removed.returncode == 0, removed.stderr

    assert prune(home, project) == "No old logs to clean.\n"
    make_older(home, 11)
    assert prune(home, project).startswith("Removed 2 job(s)")


def test_the_record_of_a_repository_that_is_gone_goes_after_ninety_days(
    used: tuple[Any, Path],
) -> None:
    home, project = used
    keeper = home.repository(CONFIG, name="keeper")
    home.daft("hooks", "run", "worktree-post-create", cwd=keeper)
    identity = store(home, project).name
    project.rename(home.root / "elsewhere")

    young = home.daft("jobs", "--all", "prune", cwd=keeper)
    make_older_place = "UPDATE repositories SET seen_at = '2020-01-01T00:00:00.000000+00:00'"
    sql(home, make_older_place, home.root / "elsewhere")
    make_older(home, 91, home.root / "elsewhere")
    look = home.daft("jobs", "--all", "prune", "-n", cwd=keeper)
    lock = home.root / "state" / f"coordinator-{identity}-01234567.lock"
    with open(lock, "w", encoding="ascii") as led:  # one of its invocations has a leader
        fcntl.flock(led, fcntl.LOCK_EX)
        home.daft("jobs", "--all", "prune", cwd=keeper)
        assert (home.root / "state" / "jobs" / identity).exists()
    done = home.daft("jobs", "--all", "prune", cwd=keeper)

    assert not lock.exists()
    assert young.returncode == 0, young.stderr
    assert f"Would remove the record of {identity}: that repository is gone" in look.stdout
    assert f"Removed the record of {identity}: that repository is gone." in done.stdout
    assert [one.name for one in (home.root / "state" / "jobs").iterdir()] == [
        store(home, keeper).name
    ]


def test_the_record_of_a_repository_that_the_catalog_knows_elsewhere_stays(
    used: tuple[Any, Path],
) -> None:
    home, project = used
    keeper = home.repository(CONFIG, name="keeper")
    home.daft("hooks", "run", "worktree-post-create", cwd=keeper)
    moved = project.rename(home.root / "elsewhere")
    home.daft("list", cwd=moved)
    sql(home, "UPDATE repositories SET seen_at = '2020-01-01T00:00:00.000000+00:00'", moved)
    make_older(home, 91, moved)

    by_hand = home.daft("jobs", "--all", "prune", "-n", cwd=keeper)
    by_itself = home.daft("__clean-logs", cwd=keeper)

    assert "is gone" not in by_hand.stdout
    assert by_itself.returncode == 0
    assert store(home, moved).exists()


def test_without_history_there_is_nothing_to_clean(home: Any) -> None:
    project = home.repository(CONFIG, trust=False)

    assert prune(home, project) == "No old logs to clean.\n"
    assert prune(home, project, "-n") == "No candidates for removal.\n"
    assert home.daft("jobs", "prune", cwd=home.root).returncode == 1
    assert not (home.root / "state" / "jobs").exists()


# --- the one nobody asks for ------------------------------------------------------------------


def record(home: Any) -> Path:
    return Path(home.root / "state" / "log-clean.json")


def command(home: Any, project: Path, **environment: str) -> None:
    """Run a command that cleans up behind the user's back when that is due."""
    done = home.daft("list", cwd=project, **environment)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def tidy(used: tuple[Any, Path]) -> tuple[Any, Path]:
    home, project = used
    del home.environment["DAFT_NO_LOG_CLEAN"]
    return home, project


def test_a_command_starts_a_clean_up_once_a_day(
    tidy: tuple[Any, Path], until: Callable[..., None]
) -> None:
    home, project = tidy

    command(home, project)
    until(lambda: record(home).exists(), "a clean-up leaves its record")
    first = json.loads(record(home).read_text())
    # Nothing is known of the clock yet, so nothing goes, and it is due again in an hour.
    assert first["last_summary"]["removed_jobs"] == 0
    assert 22.9 * 3600 < time.time() - record(home).stat().st_mtime < 23.1 * 3600
    assert sql(home, "SELECT trust FROM retention_clock") == [("unknown",)]

    # As if that had been an hour ago.
    sql(home, "UPDATE retention_clock SET doubted_since_ms = doubted_since_ms - 3600000")
    os.utime(record(home), (0, 0))
    command(home, project)
    until(lambda: record(home).stat().st_mtime > 1e9, "the second clean-up leaves its record")
    second = json.loads(record(home).read_text())

    assert second["last_summary"] == {
        "removed_invocations": 2,
        "removed_jobs": 4,
        "removed_repositories": 0,
        "freed_bytes": second["last_summary"]["freed_bytes"],
        "stale_running_marked": 0,
        "reason": "auto",
    }
    assert len(second["history"]) == 2
    assert abs(record(home).stat().st_mtime - time.time()) < 3600
    stamp = record(home).stat().st_mtime_ns
    command(home, project)
    listing = home.daft("jobs", "--all", cwd=project)
    assert "4 job log(s) removed" in listing.stdout.splitlines()[-1]
    assert record(home).stat().st_mtime_ns == stamp


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory with logs in it, of this process, with nothing that forbids clean-up."""
    for name in (*tidying._CI, *tidying._SWITCHES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAFT_STATE_DIR", str(tmp_path))
    (tmp_path / "jobs").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "variable",
    [
        "CI",
        "GITHUB_ACTIONS",
        "JENKINS_URL",
        "TRAVIS",
        "CIRCLECI",
        "GITLAB_CI",
        "BUILDKITE",
        "TF_BUILD",
        "DAFT_NO_LOG_CLEAN",
        "DAFT_IS_COORDINATOR",
        "DAFT_TESTING",
    ],
)
def test_none_is_started_where_it_is_not_wanted(
    place: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tidying.is_allowed()
    assert tidying.is_due()

    monkeypatch.setenv(variable, "")
    assert not tidying.is_allowed()


def test_none_is_started_for_a_directory_that_cannot_be_meant(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFT_STATE_DIR", "relative")

    assert not tidying.is_allowed()


@pytest.mark.parametrize(("age_s", "due"), [(0, False), (86000, False), (86500, True), (-60, True)])
def test_it_is_due_a_day_after_the_last_and_when_that_lies_in_the_future(
    place: Path, age_s: float, due: bool
) -> None:
    stamp = place / "log-clean.json"
    stamp.write_text("not read for this")

    assert tidying.is_due(stamp.stat().st_mtime + age_s) is due


def test_without_logs_none_is_due(place: Path) -> None:
    (place / "jobs").rmdir()

    assert not tidying.is_due()


def test_a_fresh_stamp_costs_a_command_one_look(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "log-clean.json").touch()
    looked: list[str] = []
    look = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path, **given: looked.append(path) or look(path, **given)
    )
    monkeypatch.setattr(os, "posix_spawn", lambda *_, **__: pytest.fail("it was started"))

    tidying.start_if_due()

    assert looked == [str(place / "log-clean.json")]


@pytest.mark.parametrize(
    ("words", "starts"),
    [
        ("list", True),
        ("jobs prune", True),
        ("jobs", False),
        ("jobs --all", False),
        ("--version", False),
        ("env PORT", False),
        ("shell-init bash", False),
        ("completions bash", False),
        ("run __task", False),
        ("__complete run", False),
        ("__clean-logs", False),
        ("__dirs", False),
    ],
)
def test_commands_start_it_and_what_programs_ask_does_not(
    words: str, starts: bool, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daft_cli import announcing, complete, front, hidden, jobs_list, launch

    started: list[str] = []
    monkeypatch.setattr(tidying, "_start", lambda: started.append(words))
    monkeypatch.setattr(launch, "launch", lambda *_: 0)
    monkeypatch.setattr(announcing, "tell", lambda _: None)
    for module, name in ((complete, "run"), (jobs_list, "run"), (hidden, "directories")):
        monkeypatch.setattr(module, name, lambda *_: 0)

    assert front._dispatch(words.split()) == 0

    assert started == [words] * starts


def test_one_that_runs_by_itself_does_nothing_in_integration(tidy: tuple[Any, Path]) -> None:
    home, project = tidy

    for words in (("--automatic",), ()):
        assert not record(home).exists()
        assert home.daft("__clean-logs", *words, cwd=project, CI="").returncode == 0

    assert record(home).exists(), "asked for by hand, it runs everywhere"


def test_it_runs_out_of_the_way_and_not_for_ever(tidy: tuple[Any, Path]) -> None:
    home, project = tidy
    code = (
        "import os, signal\n"
        "from daft_cli.commands import clean_logs\n"
        "clean_logs._clean = lambda _: print(os.nice(0), os.getcwd(), signal.alarm(0))\n"
        "clean_logs.command([], standalone_mode=False)\n"
    )

    done = home.run(sys.executable, "-c", code, cwd=project)

    nice, place, left_s = done.stdout.split()
    assert (nice, place) == ("19", "/")
    assert 600 < int(left_s) <= 660


def test_a_second_one_leaves_at_once(tidy: tuple[Any, Path]) -> None:
    home, project = tidy
    with open(home.root / "state" / "log-clean.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = home.daft("__clean-logs", cwd=project)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not record(home).exists()


def test_a_repository_that_fails_does_not_stop_the_others_and_is_in_the_record(
    used: tuple[Any, Path],
) -> None:
    home, project = used
    broken = home.repository(CONFIG, name="other")
    run = ("hooks", "run", "worktree-post-create")
    home.daft(*run, cwd=broken)
    sql(home, "PRAGMA user_version = 99", broken)
    done = home.daft("__clean-logs", cwd=project)

    found = json.loads(record(home).read_text())
    assert done.returncode == 0
    assert any(store(home, broken).name in line for line in found["errors"])
    assert sql(home, "SELECT count(*) FROM evictions", project) == [(1,)]


def test_what_fails_altogether_is_in_the_record_too(home: Any) -> None:
    jobs = home.root / "state" / "jobs"
    jobs.mkdir(parents=True)
    jobs.chmod(0o700)
    jobs.parent.chmod(0o700)
    (jobs / ".deleting-x").symlink_to("/")
    (home.root / "elsewhere").mkdir(mode=0o700)
    jobs.rename(home.root / "moved")
    jobs.symlink_to(home.root / "moved")

    done = home.daft("__clean-logs", cwd=home.root)

    assert done.returncode != 0
    [error] = json.loads(record(home).read_text())["errors"]
    assert "is not a directory" in error


def test_a_record_nobody_can_read_is_replaced(tidy: tuple[Any, Path]) -> None:
    home, project = tidy
    record(home).write_text("{")

    assert "Last clean-up" not in home.daft("jobs", "--all", cwd=project).stdout
    assert home.daft("__clean-logs", cwd=project).returncode == 0

    assert len(json.loads(record(home).read_text())["history"]) == 1
    assert "Last clean-up" in home.daft("jobs", "--all", cwd=project).stdout


def test_the_record_tells_of_the_last_fifty(tidy: tuple[Any, Path]) -> None:
    home, project = tidy
    earlier = [{"at": f"{number}", "removed_jobs": number} for number in range(60)]
    record(home).write_text(json.dumps({"version": 1, "history": earlier}))

    home.daft("__clean-logs", cwd=project)

    found = json.loads(record(home).read_text())
    assert (found["version"], len(found["history"])) == (1, 50)
    assert found["history"][1:] == earlier[:49]
    assert {"removed_invocations", "removed_jobs", "freed_bytes", "reason"} <= set(
        found["last_summary"]
    )


HOLDS_THE_LOCK = """
import fcntl, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_a_clean_up_that_is_killed_leaves_the_lock_to_the_next(tidy: tuple[Any, Path]) -> None:
    home, project = tidy
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDS_THE_LOCK,
            str(home.root / "state" / "log-clean.lock"),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    home.daft("__clean-logs", cwd=project)
    assert not record(home).exists()

    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    home.daft("__clean-logs", cwd=project)

    assert record(home).exists()
    assert datetime.now(UTC) - datetime.fromisoformat(
        json.loads(record(home).read_text())["cleaned_at"]
    ) < timedelta(minutes=1)
