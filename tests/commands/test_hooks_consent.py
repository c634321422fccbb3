"""Consent as a user meets it: told, asked, remembered, taken back, made up for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
hooks:
  worktree-post-create:
    jobs:
      - {name: a, run: 'echo "$DAFT_IS_NEW_BRANCH $DAFT_BASE_BRANCH" >> ran; sh setup.sh'}
"""


@pytest.fixture
def project(home: Any) -> Path:
    path: Path = home.repository(CONFIG, trust=False)
    (path / "setup.sh").write_text("echo set up >> ran\n")
    home.git("add", "-A", cwd=path)
    home.git("commit", "-qm", "second", cwd=path)
    return path


def change(home: Any, project: Path, text: str) -> None:
    """Change the script, as a pull would."""
    (project / "setup.sh").write_text(text)
    home.git("commit", "-qam", "more", cwd=project)


def test_what_was_skipped_is_announced_listed_and_made_up_for(home: Any, project: Path) -> None:
    first = home.daft("start", "x", cwd=project)
    home.daft("start", "y", cwd=project)
    assert "Untrusted repo — 1 hook not run: worktree-post-create" in first.stderr
    assert "daft -C ../project.x hooks trust" in first.stderr
    assert "daft -C ../project.x hooks replay" in first.stderr

    early = home.daft("hooks", "replay", cwd=project)
    assert early.returncode == 1
    assert "Untrusted" in early.stderr
    listed = home.daft("hooks", "replay", "--list", "--format", "json", cwd=project)
    assert [row["worktree"] for row in json.loads(listed.stdout)] == ["x", "y"]

    trusted = home.daft("hooks", "trust", "-f", cwd=project)
    assert f"daft -C {home.root}/project.x hooks run worktree-post-create" in trusted.stdout
    home.git("worktree", "remove", "-f", str(home.root / "project.y"), cwd=project)
    assert home.daft("hooks", "replay", cwd=project).returncode == 0

    assert (home.root / "project.x" / "ran").read_text() == "true main\nset up\n"
    assert "Nothing was skipped" in home.daft("hooks", "replay", cwd=project).stdout


def test_a_pull_that_changes_a_script_lapses_consent_and_shows_what(
    home: Any, project: Path
) -> None:
    home.daft("hooks", "trust", "-f", cwd=project)
    change(home, project, "echo evil >> ran\n")

    started = home.daft("start", "x", cwd=project)
    status = home.daft("hooks", "status", cwd=project)
    again = home.daft("hooks", "trust", "-f", cwd=project)

    assert not (home.root / "project.x" / "ran").exists()
    for text in (started.stderr, status.stdout, again.stdout):
        assert "changed file setup.sh" in text
    assert "Trust level: deny (what the hooks would run has changed" in status.stdout
    assert home.daft("start", "z", cwd=project).returncode == 0
    assert "evil" in (home.root / "project.z" / "ran").read_text()


def test_the_question_is_answered_on_a_terminal(home: Any, project: Path) -> None:
    assert home.daft("hooks", "prompt", "-f", cwd=project).returncode == 0
    assert "already at prompt" in home.daft("hooks", "prompt", cwd=project).stdout

    silent = home.daft("start", "w", cwd=project)
    code, shown = home.on_terminal("start", "x", cwd=project, typed=(("good:", "n\n"),))
    assert (code, "Untrusted repo" in shown) == (0, True)
    _, shown = home.on_terminal("start", "y", cwd=project, typed=(("good:", "a\n"),))
    assert "a: echo" in shown
    in_ci, _ = home.on_terminal("start", "z", cwd=project, CI="1")

    assert "consent is to be asked for" in silent.stderr
    ran = {name for name in "wxyz" if (home.root / f"project.{name}" / "ran").exists()}
    assert ran == {"y", "z"}  # `a` has made it trusted
    assert in_ci == 0


def test_what_disguises_itself_is_spelled_out(home: Any) -> None:
    name = "a\u202eb"
    config = CONFIG.replace("name: a", f'name: "{name}"').replace(
        "sh setup.sh", "echo \u200b\u2028"
    )
    project = home.repository(config, trust=False)

    shown = home.daft("hooks", "trust", "-f", cwd=project).stdout

    assert "a\\u202eb" in shown
    assert "echo \\u200b" in shown
    assert "\u202e" not in shown


def test_decisions_are_listed_changed_and_forgotten(home: Any, project: Path) -> None:
    other = home.repository(CONFIG, trust=False, name="other")

    def level(path: Path) -> str:
        text: str = home.daft("hooks", "status", "-s", cwd=path).stdout
        return text.rstrip().partition(": worktree-post-create ")[2]

    assert "not decided" in home.daft("hooks", "list", cwd=project).stdout
    home.daft("hooks", "trust", "--pattern", f"{home.root}/*", "-f", cwd=project)
    assert level(project) == f"(allow (trusted by pattern {home.root}/*))"
    home.daft("hooks", "deny", "-f", str(other), cwd=project)
    assert level(other) == "(deny (the repository is denied))"
    home.daft("hooks", "prompt", "-f", cwd=project)
    assert level(project) == "(prompt (consent is to be asked for each time))"

    listed = home.daft("hooks", "list", "--format", "json", cwd=project)
    assert [row["trust_level"] for row in json.loads(listed.stdout)] == ["prompt"]
    everything = home.daft("hooks", "trust", "list", "--all", cwd=project).stdout
    assert all(text in everything for text in ("deny", str(other), f"{home.root}/*"))

    assert "No explicit" not in home.daft("hooks", "reset", "-f", cwd=project).stdout
    assert "No explicit" in home.daft("hooks", "reset", "-f", cwd=project).stdout
    assert level(project).startswith("(allow")
    assert home.daft("hooks", "trust", "reset", "all", "-f", cwd=project).returncode == 0
    assert level(other) == "(deny (the repository is untrusted))"
    assert home.daft("hooks", "reset", "--pattern", "/nowhere", cwd=project).returncode == 1


def test_entries_of_repositories_that_are_gone_are_pruned(home: Any, project: Path) -> None:
    home.daft("hooks", "trust", "-f", cwd=project)
    project.rename(home.root / "elsewhere")

    assert "(gone)" in home.daft("hooks", "list", cwd=home.root).stdout
    assert str(project) in home.daft("hooks", "trust", "prune", cwd=home.root).stdout
    assert "No stale" in home.daft("hooks", "trust", "prune", cwd=home.root).stdout


def test_a_registry_others_may_write_is_named_and_trusts_nobody(home: Any, project: Path) -> None:
    home.daft("hooks", "trust", "-f", cwd=project)
    (home.root / "data").chmod(0o770)

    started = home.daft("start", "x", cwd=project)
    trusted = home.daft("hooks", "trust", "-f", cwd=project)

    assert started.returncode == 0
    assert "chmod go-w" in started.stderr
    assert not (home.root / "project.x" / "ran").exists()
    assert trusted.returncode == 1
    assert "written by other users" in trusted.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["stauts"], 2, "did you mean status?"),
        (["trust", "nowhere"], 1, "nowhere does not exist"),
        (["trust", "--pattern", "x/*", "-f"], 1, "is not absolute"),
        (["trust", "--pattern", "/x/*", "."], 1, "-f"),
        (["deny", "--pattern", "/x/*", "/y"], 2, "not allowed with a path"),
        (["replay", "--format", "json"], 2, "only allowed with --list"),
        (["reset"], 0, ""),
    ],
)
def test_wrong_words_are_answered(
    home: Any, project: Path, words: list[str], code: int, said: str
) -> None:
    done = home.daft("hooks", *words, cwd=project)

    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_changed_while_its_background_job_waits_never_runs(home: Any, until: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {background: true, jobs: ["
        "{name: first, run: 'until [ -e go ]; do sleep 0.05; done'},"
        "{name: second, run: sh setup.sh, needs: [first]}]}}\n",
        trust=False,
    )
    (project / "setup.sh").write_text("echo good >> ran\n")
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "script", cwd=project)
    home.daft("hooks", "trust", "-f", cwd=project)
    assert home.daft("start", "x", cwd=project).returncode == 0
    tree = home.root / "project.x"
    until(lambda: home.jobs(project)["first"]["status"] == "running", "the first job runs")

    (tree / "setup.sh").write_text("echo evil >> ran\n")
    (tree / "go").touch()
    home.daft("jobs", "wait", cwd=tree)

    assert home.jobs(project)["second"]["status"] == "failed"
    logged = home.daft("jobs", "logs", "second", cwd=tree)
    assert "setup.sh has changed since the hook was allowed to run" in logged.stdout + logged.stderr
    assert not (tree / "ran").exists()
