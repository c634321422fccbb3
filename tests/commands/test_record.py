"""What is recorded of a run, and where: read from the store as any program may read it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

POST = "hooks: {{worktree-post-create: {{jobs: [{0}]}}}}\n"
RUN = ("hooks", "run", "worktree-post-create")
NAMES = (
    "..", ".", "../../../x", "a/b", "a%2Fb", "lint:fast", ".deleting-x", "dup (2)", "ünï ☃", "A",
    "a", "-x", "y" * 255, "ü" * 127,
)  # fmt: skip


def rows(home: Any, select: str) -> list[dict[str, Any]]:
    (path,) = (home.root / "state" / "jobs").glob("*/coordinator.db")
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    found = [dict(row) for row in db.execute(select)]
    db.close()
    return found


def test_a_run_says_what_made_it_and_for_which_worktree(home: Any) -> None:
    project = home.repository(
        "hooks:\n  worktree-post-create:\n    jobs:\n"
        "      - {name: a, run: test -e /nowhere}\n"
        "    fail_mode: warn\n"
        "tasks: {dev: {jobs: [{name: serve, run: ':'}]}}\n"
    )
    home.git("worktree", "add", "-q", "--detach", "../loose", cwd=project)

    home.daft("start", "x", cwd=project)
    home.daft(*RUN, cwd=project)
    home.daft("run", "dev", cwd=home.root / "loose")
    home.daft("jobs", "retry", cwd=project)

    found = rows(home, "SELECT * FROM invocations ORDER BY created_at")
    assert [
        (one["trigger_command"], one["hook_type"], one["source"], one["worktree"]) for one in found
    ] == [
        ("worktree-post-create", "worktree-post-create", "hook", "x"),
        ("hooks run worktree-post-create", "worktree-post-create", "manual", "main"),
        ("run dev", "dev", "task", "loose"),
        ("hooks jobs retry", "worktree-post-create", "retry", "main"),
    ]
    labels = rows(home, "SELECT DISTINCT worktree FROM jobs ORDER BY worktree")
    assert [one["worktree"] for one in labels] == ["loose", "main", "x"]
    assert not list((home.root / "state").rglob("invocation.json"))


def test_a_row_says_what_ran_where_and_for_what(home: Any, until: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: early, run: ':', background: true, tags: [b, a]},"
            "{name: gate, run: ':', needs: [early]},"
            "{name: late, run: 'echo $MY_TOKEN', needs: [gate], background: true,"
            " env: {PLAIN: z, MY_TOKEN: hidden-value}, log: {retention: 3d, max_log_size: 1MB}},"
            "{name: last, run: ':', needs: [late], background: true},"
            "{name: off, run: ':', skip: true}"
        )
    )

    assert home.daft("start", "x", cwd=project).returncode == 0
    tree = home.root / "project.x"
    until(lambda: home.jobs(tree)["last"]["status"] == "completed", "the last job ended")

    jobs = {one["name"]: one for one in rows(home, "SELECT * FROM jobs")}
    early, gate, late, last = (jobs[name] for name in ("early", "gate", "late", "last"))
    # How it ran, not how it was declared; needs as far as they are in the same part.
    assert (early["background"], early["declared_background"]) == (0, 1)
    assert (json.loads(gate["needs_json"]), gate["background"]) == (["early"], 0)
    assert (json.loads(late["needs_json"]), json.loads(late["full_needs_json"])) == ([], ["gate"])
    assert json.loads(last["needs_json"]) == ["late"]
    assert json.loads(early["tags_json"]) == ["b", "a"]
    # What the hook and the job add to the environment, not what was there.
    environment = json.loads(late["env_json"])
    assert environment["PLAIN"] == "z"
    assert environment["DAFT_HOOK"] == "worktree-post-create"
    assert not {"HOME", "PATH", "MY_TOKEN"} & environment.keys()
    assert json.loads(late["removed_env_json"]) == ["MY_TOKEN"]
    assert (late["retention_seconds"], late["max_log_size_bytes"]) == (3 * 86400, 2**20)
    assert (late["command"], late["working_dir"]) == ("echo $MY_TOKEN", str(tree))
    for one in (early, gate, late, last):
        assert one["pid"] == one["pgid"] != 0
        assert re.fullmatch("[0-9]+", one["proc_start"])
        assert one["boot_id"]
        assert (one["exit_code"], one["end_reason"]) == (0, "exit")
        assert re.fullmatch("[0-9a-f]{32}", one["job_uid"])
        for column in ("queued_at", "started_at", "finished_at", "updated_at"):
            assert re.fullmatch(r"\d{4}(-\d\d){2}T(\d\d:){2}\d\d\.\d{6}\+00:00", one[column])
        for column in (name for name in one if name.endswith("_json")):
            compact = json.dumps(json.loads(one[column]), separators=(",", ":"), sort_keys=True)
            assert one[column] == compact, column
    off = jobs["off"]
    assert (off["status"], off["end_reason"], off["pid"]) == ("skipped", "condition", None)
    assert (off["started_at"] is None, off["finished_at"], off["exit_code"]) == (False, None, None)


def test_the_record_follows_the_repository_and_not_its_path(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: ':'}"))
    home.git("worktree", "add", "-q", "../project.x", "-b", "x", cwd=project)
    assert home.daft(*RUN, cwd=project).returncode == 0
    assert set(home.jobs(home.root / "project.x", "--all")) == {"a"}

    moved = home.root / "moved"
    shutil.move(project, moved)
    home.git("clone", "-q", str(moved), str(project), cwd=home.root)

    assert set(home.jobs(moved)) == {"a"}
    assert home.jobs(project) == {}
    assert not (project / ".git" / "daft-id").exists()


def test_every_name_has_a_log_of_its_own_in_the_run_s_directory(home: Any) -> None:
    jobs = ",".join(
        f"{{name: {json.dumps(name)}, run: 'echo {n}'}}" for n, name in enumerate(NAMES)
    )
    project = home.repository(POST.format(jobs))

    done = home.daft(*RUN, cwd=project)

    assert done.returncode == 0, done.stderr
    assert set(home.jobs(project)) == set(NAMES)
    (run,) = {one["invocation_id"] for one in home.jobs(project).values()}
    (folder,) = (home.root / "state" / "jobs").glob(f"*/{run}")
    assert len(list(folder.iterdir())) == len(NAMES)
    assert len(list((home.root / "state").rglob("output.jsonl"))) == len(NAMES)
    for number, name in enumerate(NAMES):
        shown = home.daft("jobs", "logs", "--job", name, cwd=project)
        assert f"\n{number}\n" in shown.stdout, (name, shown.stderr)


def test_a_job_without_a_name_is_called_by_its_place(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: ':'}, {run: ':'}, {run: ':'}"))

    checked = home.daft("hooks", "validate", "--strict", cwd=project)
    listed = home.daft("hooks", "validate", "--format", "json", cwd=project)

    assert (checked.returncode, checked.stdout) == (0, "Configuration is valid.\n")
    assert "daft.yml:1:60: note: " in checked.stderr
    assert "has no name; it is called 'job-2'" in checked.stderr
    assert [one["severity"] for one in json.loads(listed.stdout)] == ["note", "note"]
    assert home.daft(*RUN, cwd=project).returncode == 0
    assert set(home.jobs(project)) == {"a", "job-2", "job-3"}


@pytest.mark.parametrize("variable", ["DAFT_STATE_DIR", "DAFT_DATA_DIR", "DAFT_CONFIG_DIR"])
def test_a_directory_that_is_not_absolute_is_refused_by_name(home: Any, variable: str) -> None:
    project = home.repository(POST.format("{name: a, run: ':'}"))

    done = home.daft("start", "x", cwd=project, **{variable: "here"})

    assert done.returncode == 4
    assert f"error: {variable} is 'here'; it must be an absolute path" in done.stderr
    assert not list(Path(project).glob("here*"))


def test_it_is_told_before_anybody_says_that_there_is_no_history(home: Any) -> None:
    project = home.repository()

    for words in (["jobs"], ["jobs", "logs"], ["jobs", "prune"], ["jobs", "--format", "json"]):
        done = home.daft(*words, cwd=project, DAFT_STATE_DIR="here")
        assert (done.returncode, done.stdout) == (4, ""), words
        assert "DAFT_STATE_DIR is 'here'; it must be an absolute path" in done.stderr


def test_the_state_directory_is_used_as_it_is(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: ':'}"))
    place = home.root / "elsewhere"

    assert home.daft(*RUN, cwd=project, DAFT_STATE_DIR=str(place)).returncode == 0

    identity = (project / ".git" / "daft-id").read_text()
    assert (place / "jobs" / identity / "coordinator.db").is_file()
    assert home.jobs(project) == {}
    # An empty one is none.
    assert home.daft(*RUN, cwd=project, DAFT_STATE_DIR="").returncode == 0
    usual = home.root / ".local" / "state" / "daft"
    assert (usual / "jobs" / identity / "coordinator.db").is_file()


@pytest.mark.parametrize(
    ("mode", "behind"),
    [("piped: true", ("skipped", "dep-failed")), ("parallel: false", ("completed", "exit"))],
)
def test_a_time_limit_in_a_sequence_is_recorded_like_any_other(
    home: Any, mode: str, behind: tuple[str, str]
) -> None:
    project = home.repository(
        f"tasks: {{t: {{{mode}, jobs: [{{name: slow, run: sleep 60, timeout: 100ms}},"
        "{name: next, run: ':'}]}}\n"
    )

    done = home.daft("run", "t", cwd=project)

    assert done.returncode == 124
    jobs = home.jobs(project)
    assert (jobs["slow"]["status"], jobs["slow"]["end_reason"]) == ("failed", "timeout")
    assert (jobs["next"]["status"], jobs["next"]["end_reason"]) == behind


def test_what_ctrl_c_stops_is_cancelled_in_the_record(home: Any, until: Any) -> None:
    project = home.repository(
        "tasks: {t: {jobs: [{name: long, run: 'touch up; sleep 60'}, {name: s, run: ':'}]}}\n"
    )
    running = home.start_daft("run", "t", cwd=project)
    until(lambda: (project / "up").exists(), "the job runs")
    (before,) = rows(home, "SELECT status, pid, exit_code FROM jobs WHERE name = 'long'")

    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)

    assert running.returncode == 130
    assert (before["status"], before["pid"] > 0, before["exit_code"]) == ("running", True, None)
    (row,) = rows(
        home, "SELECT status, end_reason, exit_code, term_signal FROM jobs WHERE name = 'long'"
    )
    # The command ends with 130. The job ended by the signal it was sent, and that is kept.
    assert tuple(row.values()) == ("cancelled", "cancel", None, signal.SIGTERM)


def test_a_job_whose_row_cannot_be_read_is_not_shown_as_an_empty_run(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: ':'}, {name: b, run: ':'}"))
    assert home.daft(*RUN, cwd=project).returncode == 0
    (path,) = (home.root / "state" / "jobs").glob("*/coordinator.db")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE jobs SET spec_json = 'torn' WHERE name = 'a'")
    db.close()

    for verb in ("logs", "wait"):
        done = home.daft("jobs", verb, "a", cwd=project)
        assert (done.returncode, done.stdout) == (1, "")
        assert "what is recorded of job 'a' cannot be read" in done.stderr
        assert done.stderr.count("cannot be read and is left out (job 'a'") == 1
    assert home.daft("jobs", "logs", "b", cwd=project).returncode == 0
