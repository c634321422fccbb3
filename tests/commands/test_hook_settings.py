"""What git's configuration and variables change about hooks, as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

CONFIG = "hooks: {worktree-post-create: {jobs: [{name: a, run: %s}]}}\n"
RUNS = CONFIG % "echo one >> ran"


def set_globally(home: Any, key: str, value: str) -> None:
    home.git("config", "--global", f"daft.hooks.{key}", value, cwd=home.root)


def has_run(home: Any, branch: str) -> bool:
    return bool((home.root / f"project.{branch}" / "ran").exists())


def test_a_default_of_allow_runs_what_nobody_decided_about_whatever_it_is(home: Any) -> None:
    project = home.repository(RUNS, trust=False)
    set_globally(home, "defaultTrust", "allow")

    first = home.daft("start", "x", cwd=project)
    (project / "daft.yml").write_text(RUNS.replace("one", "other"))
    home.git("commit", "-qam", "other", cwd=project)
    home.daft("start", "y", cwd=project)
    status = home.daft("hooks", "status", cwd=project).stdout

    assert "Untrusted" not in first.stderr
    assert (home.root / "project.x" / "ran").read_text() == "one\n"
    assert (home.root / "project.y" / "ran").read_text() == "other\n"
    assert "allow (trusted by default)" in status
    assert "Hooks run, whatever they run." in status


def test_a_decision_goes_before_the_default(home: Any) -> None:
    project = home.repository(RUNS, trust=False)
    set_globally(home, "defaultTrust", "allow")
    trusted = home.daft("hooks", "trust", cwd=project, stdin="y\n")
    (project / "daft.yml").write_text(RUNS.replace("one", "other"))
    home.git("commit", "-qam", "other", cwd=project)

    changed = home.daft("start", "x", cwd=project)
    home.daft("hooks", "deny", "-f", cwd=project)
    denied = home.daft("start", "y", cwd=project)

    assert "allow as it is now?" in trusted.stderr
    assert "has changed since trust was given" in changed.stderr
    assert "is denied" in denied.stderr
    assert not has_run(home, "x")
    assert not has_run(home, "y")


def test_a_default_of_prompt_asks_on_a_terminal_and_nobody_else(home: Any) -> None:
    project = home.repository(RUNS, trust=False)
    set_globally(home, "defaultTrust", "prompt")

    silent = home.daft("start", "x", cwd=project)
    _, shown = home.on_terminal("start", "y", cwd=project, typed=(("good:", "y\n"),))
    in_ci, _ = home.on_terminal("start", "z", cwd=project, CI="1")

    assert "consent is to be asked for each time" in silent.stderr
    assert "wants to run" in shown
    assert [has_run(home, name) for name in "xyz"] == [False, True, False]
    assert in_ci == 0


@pytest.mark.parametrize("where", ["repository", "worktree", "command"])
def test_a_repository_never_raises_its_own_trust(home: Any, where: str) -> None:
    project = home.repository(RUNS, trust=False)
    more = {}
    if where == "repository":
        home.git("config", "daft.hooks.defaultTrust", "allow", cwd=project)
    elif where == "worktree":
        home.git("config", "extensions.worktreeConfig", "true", cwd=project)
        home.git("config", "--worktree", "daft.hooks.defaultTrust", "allow", cwd=project)
    else:
        more = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "daft.hooks.defaultTrust",
            "GIT_CONFIG_VALUE_0": "allow",
        }

    done = home.daft("start", "x", cwd=project, **more)

    assert done.returncode == 0
    assert "Untrusted repo" in done.stderr
    assert not has_run(home, "x")
    told = 0 if where == "command" else 1  # git's own variables for that never reach daft's git
    assert done.stderr.count("counts in the global configuration only") == told


@pytest.mark.parametrize(
    "condition", ["hasconfig:remote.*.url:https://mine.example/**", "onbranch:main"]
)
def test_what_a_repository_says_of_itself_raises_no_trust(home: Any, condition: str) -> None:
    project = home.repository(RUNS, trust=False)
    home.git("remote", "add", "origin", "https://mine.example/x", cwd=project)
    more = home.root / "more"
    home.git("config", "--file", str(more), "daft.hooks.defaultTrust", "allow", cwd=home.root)
    home.git("config", "--global", f"includeIf.{condition}.path", str(more), cwd=home.root)
    assert home.git("config", "daft.hooks.defaultTrust", cwd=project) == "allow"

    done = home.daft("start", "x", "--no-carry", cwd=project)
    home.git("config", "--global", "include.path", str(more), cwd=home.root)
    home.daft("start", "y", "--no-carry", cwd=project)

    assert "Untrusted repo" in done.stderr
    assert not has_run(home, "x")
    assert has_run(home, "y")


def test_a_word_that_is_no_level_is_told_once_and_denies(home: Any) -> None:
    project = home.repository(RUNS, trust=False)
    set_globally(home, "defaultTrust", "alow")

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0
    assert done.stderr.count("git config daft.hooks.defaultTrust is 'alow', not deny") == 1
    assert not has_run(home, "x")


def script(directory: Path, text: str) -> None:
    directory.mkdir(parents=True)
    (directory / "worktree-post-create").write_text(f"#!/bin/sh\n{text}\n")
    (directory / "worktree-post-create").chmod(0o755)


def test_a_repository_does_not_pass_its_files_off_as_the_users(home: Any) -> None:
    project = home.repository()
    script(home.root / "mine", "echo mine >> ran")
    script(project / "evil", "echo evil >> ran")
    home.git("config", "daft.hooks.userDirectory", str(project / "evil"), cwd=project)

    refused = home.daft("start", "x", cwd=project)
    home.git("config", "--unset", "daft.hooks.userDirectory", cwd=project)
    set_globally(home, "userDirectory", "~/mine")
    home.daft("start", "y", cwd=project)

    assert refused.stderr.count("userDirectory counts in the global configuration only") == 1
    assert not has_run(home, "x")
    assert (home.root / "project.y" / "ran").read_text() == "mine\n"


def test_the_users_own_hooks_are_where_the_configuration_directory_is(home: Any) -> None:
    project = home.repository()
    script(home.root / "conf" / "hooks", "echo own >> ran")

    home.daft("start", "x", cwd=project, DAFT_CONFIG_DIR=str(home.root / "conf"))
    wrong = home.daft("start", "y", cwd=project, DAFT_CONFIG_DIR="conf")

    assert (home.root / "project.x" / "ran").read_text() == "own\n"
    assert "DAFT_CONFIG_DIR" in wrong.stderr
    assert wrong.returncode == 4


def test_hooks_are_switched_off_all_of_them_or_one(home: Any) -> None:
    project = home.repository(RUNS)
    home.git("config", "daft.hooks.worktreePostCreate.enabled", "false", cwd=project)
    one = home.daft("start", "x", cwd=project)
    home.git("config", "--unset", "daft.hooks.worktreePostCreate.enabled", cwd=project)
    home.git("config", "daft.hooks.enabled", "false", cwd=project)
    every = home.daft("hooks", "run", "worktree-post-create", cwd=project)

    assert (one.returncode, every.returncode) == (0, 0)
    assert "disabled" in every.stdout
    assert not has_run(home, "x")
    assert not (project / "ran").exists()


def test_a_fail_mode_and_a_time_limit_are_settings(home: Any) -> None:
    project = home.repository(CONFIG % "sleep 60")
    set_globally(home, "timeout", "300ms")
    set_globally(home, "worktreePostCreate.failMode", "warn")

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0
    assert "warning: worktree-post-create hook failed: job 'a'" in done.stderr
    assert home.jobs(project, "--all")["a"]["status"] == "failed"


@pytest.mark.parametrize(
    ("settings", "words", "shows"),
    [
        ({}, (), True),
        ({"quiet": "true"}, (), False),
        ({"quiet": "true"}, ("-v",), True),
        ({"quiet": "true", "verbose": "true"}, (), False),
        ({"verbose": "true"}, ("-q",), False),
    ],
)
def test_jobs_are_shown_as_the_user_likes(
    home: Any, settings: dict[str, str], words: tuple[str, ...], shows: bool
) -> None:
    project = home.repository(CONFIG % "echo hello")
    for key, value in settings.items():
        set_globally(home, f"output.{key}", value)

    done = home.daft("hooks", "run", "worktree-post-create", *words, cwd=project)

    assert done.returncode == 0
    assert ("hello" in done.stderr) is shows


def test_a_quiet_hook_still_says_what_failed(home: Any) -> None:
    project = home.repository(CONFIG % "'echo reason; exit 3'")
    set_globally(home, "output.quiet", "true")

    done = home.daft("hooks", "run", "worktree-post-create", cwd=project)

    assert done.returncode == 3
    assert "reason" in done.stderr


def test_a_verbose_hook_shows_its_commands(home: Any) -> None:
    project = home.repository(CONFIG % "echo hello")
    set_globally(home, "output.verbose", "true")

    done = home.daft("hooks", "run", "worktree-post-create", cwd=project)

    assert "$ echo hello" in done.stderr


def test_as_much_of_a_failure_stays_on_a_terminal_as_is_set(home: Any) -> None:
    project = home.repository(CONFIG % "'seq 101 120; exit 3'")
    set_globally(home, "output.tailLines", "2")

    _, shown = home.on_terminal("hooks", "run", "worktree-post-create", cwd=project)

    assert [number for number in range(101, 121) if f"a │ {number}" in shown] == [119, 120]


@pytest.mark.parametrize(("delay", "runs"), [("0", True), ("1h", False)])
def test_a_clock_runs_beside_a_job_from_when_it_is_set(home: Any, delay: str, runs: bool) -> None:
    project = home.repository(CONFIG % "'echo hello; until [ -e go ]; do sleep 0.05; done'")
    set_globally(home, "output.timerDelay", delay)

    code, shown = home.on_terminal(
        "hooks", "run", "worktree-post-create", cwd=project, typed=(("hello", "\x03"),)
    )

    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert code == 130
    assert bool(re.search(r"[\u2800-\u28ff] a +[0-9.]+m?s +hello", plain)) is runs


@pytest.mark.parametrize("variable", ["DAFT_TESTING", "DAFT_NO_LIVE"])
def test_nothing_is_drawn_where_nobody_wants_it(home: Any, variable: str) -> None:
    project = home.repository(CONFIG % "echo hello")

    code, shown = home.on_terminal(
        "hooks", "run", "worktree-post-create", cwd=project, **{variable: ""}
    )

    assert code == 0
    assert "a │ hello\n" in shown
    assert "\x1b[?25l" not in shown, "the cursor was hidden, to draw"


def test_hints_are_left_out_where_nobody_wants_them(home: Any) -> None:
    project = home.repository(RUNS, trust=False)

    with_hints = home.daft("start", "x", cwd=project)
    without = home.daft("start", "y", cwd=project, DAFT_NO_HINTS="")

    assert "daft -C ../project.x hooks trust" in with_hints.stderr
    assert without.stderr == "Untrusted repo — 1 hook not run: worktree-post-create\n"


@pytest.mark.parametrize("how", ["setting", "variable", "nonsense", "not"])
def test_decisions_about_what_is_gone_are_forgotten_unless_that_is_not_wanted(
    home: Any, how: str
) -> None:
    project = home.repository(RUNS)
    home.daft("hooks", "run", "worktree-post-create", cwd=project)
    project.rename(home.root / "elsewhere")
    more = {"DAFT_NO_TRUST_PRUNE": ""} if how == "variable" else {}
    if how in ("setting", "nonsense"):
        set_globally(home, "trustPrune", "off" if how == "setting" else "perhaps")

    assert home.daft("__clean-logs", cwd=home.root, **more).returncode == 0

    listed = json.loads(home.daft("hooks", "list", "--format", "json", cwd=home.root).stdout)
    assert [row["repo_path"] for row in listed] == (
        [str(project)] if how in ("setting", "variable") else []
    )


def test_decisions_are_kept_in_the_data_directory(home: Any) -> None:
    project = home.repository(RUNS)
    other = {"DAFT_DATA_DIR": str(home.root / "other")}

    there = home.daft("hooks", "status", "-s", cwd=project)
    elsewhere = home.daft("hooks", "status", "-s", cwd=project, **other)
    wrong = home.daft("hooks", "status", "-s", cwd=project, DAFT_DATA_DIR="other")

    assert "(allow (trusted))" in there.stdout
    assert "(deny (the repository is untrusted))" in elsewhere.stdout
    assert "DAFT_DATA_DIR is 'other'; it must be an absolute path" in wrong.stderr


def test_what_was_removed_is_deleted_at_once_where_that_is_wanted(home: Any) -> None:
    project = home.repository(RUNS)
    home.daft("start", "x", cwd=project)

    done = home.daft("remove", "-f", "x", cwd=project, DAFT_NO_TRASH_REAP="")

    assert done.returncode == 0
    assert list((project / ".git" / ".daft" / "trash").iterdir()) == []


def test_status_tells_of_a_setting_that_is_none(home: Any) -> None:
    project = home.repository(RUNS)
    home.git("config", "daft.hooks.defualtTrust", "allow", cwd=project)

    status = home.daft("hooks", "status", cwd=project)

    assert "daft.hooks.defualttrust is no setting; did you mean daft.hooks.defaultTrust?" in (
        status.stderr
    )
    assert home.daft("hooks", "validate", cwd=project).stderr == ""
