"""What the verbs of `daft hooks` print, and the ways of asking them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
hooks:
  worktree-post-create:
    jobs:
      - {name: deps, run: echo deps, description: get things, tags: [slow]}
      - {name: build, run: echo build, needs: [deps], background: true}
      - {name: warm, run: echo warm, background: true}
      - {name: late, run: echo late, needs: [warm]}
      - {name: mac, run: {macos: echo mac}}
  pre-merge:
    jobs: [{name: t, run: echo t, glob: '**', background: true}]
"""


@pytest.fixture
def project(home: Any) -> Path:
    path: Path = home.repository(CONFIG, trust=False)
    return path


def script(project: Path, name: str, *, executable: bool = True) -> None:
    path = project / ".daft" / "hooks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755 if executable else 0o644)


def test_status_counts_jobs_where_they_will_run(home: Any, project: Path) -> None:
    rows = json.loads(home.daft("hooks", "status", "--format", "json", cwd=project).stdout)

    assert [(row["hook"], row["foreground"], row["background"]) for row in rows] == [
        ("worktree-post-create", 4, 1),
        ("pre-merge", 1, 0),
    ]
    assert {row["allowed"] for row in rows} == {False}


def test_status_tells_how_a_hook_went_last(home: Any, project: Path) -> None:
    def last() -> str:
        shown: str = home.daft("hooks", "status", cwd=project).stdout
        line = next(line for line in shown.split("\n") if "worktree-post-create" in line)
        return line.partition("last: ")[2]

    assert last() == ""
    home.daft("hooks", "run", "worktree-post-create", "--hooks", "foreground", cwd=project)
    assert last() == "ok"
    home.daft("hooks", "run", "worktree-post-create", "--job", "mac", cwd=project)
    assert last() == "skipped"
    (project / "daft.yml").write_text(CONFIG.replace("echo deps", "exit 3"))
    home.daft("hooks", "run", "worktree-post-create", "--job", "deps", cwd=project)
    assert last() == "failed"


@pytest.mark.parametrize(
    ("words", "cwd", "kind", "advice"),
    [
        (["sub"], "project", "sub (subdirectory)", "daft hooks trust sub"),
        (["project"], ".", "project (worktree)", "daft hooks trust project"),
        ([], "project", None, "daft hooks trust"),
    ],
)
def test_status_says_what_was_asked_about(
    home: Any, project: Path, words: list[str], cwd: str, kind: str | None, advice: str
) -> None:
    (project / "sub").mkdir()

    shown = home.daft("hooks", "status", *words, cwd=home.root / cwd).stdout

    assert (f"Path:        {kind}\n" in shown) is (kind is not None)
    assert f"To consent to them: {advice}\n" in shown


def test_status_of_the_root_of_a_bare_layout_speaks_for_a_worktree(
    home: Any, project: Path
) -> None:
    home.git("clone", "-q", "--bare", str(project), str(home.root / "b" / ".git"), cwd=home.root)
    home.git("worktree", "add", "-q", "main", "main", cwd=home.root / "b")

    shown = home.daft("hooks", "status", "b", cwd=home.root)

    assert "Path:        b (repository)" in shown.stdout
    assert "worktree-post-create: 4 foreground, 1 background" in shown.stdout


def test_status_names_files_and_what_is_wrong_with_executables(home: Any, project: Path) -> None:
    (project / "daft.local.yml").write_text("")
    script(project, "worktree-pre-remove")
    script(project, "post-remove")
    script(project, "post-clone", executable=False)

    shown = home.daft("hooks", "status", cwd=project).stdout

    assert "Files:       daft.yml, daft.local.yml (yours alone)\n" in shown
    assert (
        "  worktree-pre-remove: 1 foreground, 0 background\n    .daft/hooks/worktree-pre" in shown
    )
    assert "post-remove: the name is out of date, it is worktree-post-remove now" in shown
    assert "post-clone is not executable and does not run; `chmod +x` it" in shown


def test_status_tells_what_would_count_where_there_are_no_hooks(home: Any) -> None:
    project = home.repository()

    def level() -> str:
        shown: str = home.daft("hooks", "status", cwd=project).stdout
        return shown.split("Trust level: ")[1].split("\n")[0]

    assert level() == "deny (the repository is untrusted)"
    home.git("config", "--global", "daft.hooks.defaultTrust", "allow", cwd=project)
    assert level() == "allow (trusted by default)"
    home.daft("hooks", "deny", "-f", cwd=project)
    assert level() == "deny (the repository is denied)"
    home.daft("hooks", "trust", "-f", cwd=project)
    assert level() == "allow (trusted, while there are no hooks)"


def test_a_change_nobody_is_asked_about_is_printed(home: Any, project: Path) -> None:
    told = [
        home.daft("hooks", *words, cwd=project).stdout
        for words in (["trust", "-f"], ["prompt", "-f"], ["deny", "-f"], ["trust", "-f", "."])
    ]

    assert ["Trust: " + text.partition("Trust: ")[2].split("\n")[0] for text in told] == [
        "Trust: deny -> allow",
        "Trust: allow -> prompt",
        "Trust: prompt -> deny",
        "Trust: deny -> allow",
    ]


def test_denying_what_nobody_decided_about_asks_for_just_that(home: Any, project: Path) -> None:
    done = home.daft("hooks", "deny", cwd=project, stdin="y\n")

    assert "Trust: deny explicitly? [y/N]" in done.stderr
    assert "Denied." in done.stdout
    assert "already at deny" in home.daft("hooks", "deny", cwd=project).stdout


def test_the_list_says_what_it_leaves_out(home: Any, project: Path) -> None:
    home.daft("hooks", "deny", "-f", cwd=project)

    shown = home.daft("hooks", "list", cwd=project)

    assert shown.stdout == "Nothing is trusted, and 1 denied; to see it: daft hooks list --all\n"


def test_the_list_names_a_default_that_is_more_than_no(home: Any, project: Path) -> None:
    home.git("config", "--global", "daft.hooks.defaultTrust", "prompt", cwd=project)

    shown = home.daft("hooks", "list", cwd=home.root)

    assert shown.stdout == "prompt  every other repository (daft.hooks.defaultTrust)\n"


def test_a_long_list_goes_through_a_pager_on_a_terminal(home: Any) -> None:
    for number in range(21):
        home.daft("hooks", "trust", "--pattern", f"/x/{number}", "-f", cwd=home.root)
    pager = {"PAGER": "sed s/^/paged:/"}

    _, shown = home.on_terminal("hooks", "list", cwd=home.root, **pager)
    piped = home.daft("hooks", "list", cwd=home.root, **pager)

    assert shown.count("paged:allow") == 21
    assert "paged:" not in piped.stdout


def test_what_is_merged_is_shown_in_colour_on_a_terminal(home: Any, project: Path) -> None:
    plain = home.daft("hooks", "dump", cwd=project)
    code, shown = home.on_terminal("hooks", "show", cwd=project)
    _, without = home.on_terminal("hooks", "show", cwd=project, NO_COLOR="1")

    assert home.daft("hooks", "show", cwd=project).stdout == plain.stdout
    assert "\x1b[" not in plain.stdout
    assert code == 0
    assert "\x1b[" in shown
    assert without == plain.stdout


def test_what_drives_a_terminal_is_not_shown_to_it(home: Any, project: Path) -> None:
    (project / "daft.yml").write_text('rc: "a\\u009b31mb"\n')

    _, shown = home.on_terminal("hooks", "dump", cwd=project)

    assert "\x9b" not in shown


@pytest.mark.parametrize(
    "words", [("start", "new"), ("hooks", "trust", "-f"), ("run",), ("hooks", "status"), ("jobs",)]
)
def test_no_error_about_a_file_lets_it_drive_the_terminal(
    home: Any, project: Path, words: tuple[str, ...]
) -> None:
    (project / "daft.yml").write_text(
        'hooks: {worktree-post-create: {jobs: [{name: "a\\u001b[31mb", run: ":"}]}}\n'
        '"key\\u001b[31m": 1\n'
    )

    done = home.daft(*words, cwd=project)

    assert "\x1b" not in done.stderr + done.stdout


def test_a_merge_hook_without_a_merge_says_how_to_name_one(home: Any, project: Path) -> None:
    for words in (["run", "pre-merge"], ["run", "pre-merge", "--dry-run"], ["plan", "pre-merge"]):
        done = home.daft("hooks", *words, cwd=project)

        assert done.returncode == 1
        assert "tip: to say what is merged: --source <branch>" in done.stderr


def test_why_a_chosen_job_does_not_run_goes_before_that_others_were_not(
    home: Any, project: Path
) -> None:
    done = home.daft("hooks", "run", "worktree-post-create", "--job", "mac", cwd=project)

    assert done.returncode == 0
    assert "Skipped: every job is skipped: no command for linux (and 1 other reason)" in done.stdout


def test_a_plan_tells_tags_when_asked_for_more(home: Any, project: Path) -> None:
    done = home.daft("hooks", "run", "worktree-post-create", "--dry-run", "-v", cwd=project)

    assert "       get things\n       tagged slow\n       in " in done.stdout


@pytest.mark.parametrize(
    "words", [["hooks", "trust", "prune"], ["hooks", "prune"], ["__clean-logs"]]
)
def test_a_remote_that_comes_later_is_noted_and_another_one_is_another_repository(
    home: Any, project: Path, words: list[str]
) -> None:
    home.daft("hooks", "trust", "-f", cwd=project)
    home.daft("hooks", "run", "worktree-post-create", "--job", "deps", cwd=project)

    def remote() -> Any:
        listed = home.daft("hooks", "list", "--format", "json", cwd=project).stdout
        return json.loads(listed)[0]["remote_fingerprint"]

    home.daft(*words, cwd=project)
    assert remote() is None
    home.git("remote", "add", "origin", "https://me:secret@host.example/a.git", cwd=project)
    first, again = (home.daft(*words, cwd=project).stdout for _ in range(2))
    assert remote() == "https://host.example/a"
    home.git("remote", "set-url", "origin", "https://host.example/b.git", cwd=project)

    status = home.daft("hooks", "status", cwd=project).stdout

    assert "Trust level: deny (the remote was https://host.example/a when" in status
    if words[0] == "hooks":
        assert "Noted the remote of 1 entry that had none." in first
        assert again == "No stale entries found.\n"


def test_a_hook_run_by_hand_is_the_one_in_the_worktree_committed_or_not(
    home: Any, project: Path
) -> None:
    edited = "hooks: {worktree-pre-create: {jobs: [{name: a, run: echo edited}]}}\n"
    (project / "daft.yml").write_text(edited)

    done = home.daft("hooks", "run", "worktree-pre-create", cwd=project)

    assert done.returncode == 0
    assert "a │ edited" in done.stderr


def test_several_jobs_can_be_named(home: Any, project: Path) -> None:
    words = ("run", "worktree-post-create", "--job", "deps", "--job", "warm")

    done = home.daft("hooks", *words, "--hooks", "foreground", cwd=project)

    assert {name: job["status"] for name, job in home.jobs(project).items()} == {
        "deps": "completed", "warm": "completed",
        "build": "skipped", "late": "skipped", "mac": "skipped",
    }  # fmt: skip
    assert done.returncode == 0


@pytest.mark.parametrize(
    "words",
    [["run"], ["run", "pre-merge"], ["plan", "pre-merge"], ["install"], ["migrate"],
     ["schema", "--write"]],
)  # fmt: skip
def test_what_needs_a_worktree_says_so_at_the_root_of_a_bare_layout(
    home: Any, project: Path, words: list[str]
) -> None:
    home.git("clone", "-q", "--bare", str(project), str(home.root / "b" / ".git"), cwd=home.root)
    home.git("worktree", "add", "-q", "main", "main", cwd=home.root / "b")

    done = home.daft("hooks", *words, cwd=home.root / "b")

    assert done.returncode == 1
    assert "Not in a Git worktree" in done.stderr


def test_a_renaming_that_is_in_the_way_is_told_and_nothing_is_lost(
    home: Any, project: Path
) -> None:
    script(project, "post-create")
    script(project, "worktree-post-create")
    script(project, "pre-remove")

    shown = home.daft("hooks", "migrate", "--dry-run", cwd=project)
    done = home.daft("hooks", "migrate", cwd=project)

    assert (shown.returncode, done.returncode) == (1, 1)
    assert "1 to rename, 1 in the way" in shown.stdout
    assert "renamed .daft/hooks/pre-remove -> .daft/hooks/worktree-pre-remove" in done.stdout
    assert "post-create is kept, .daft/hooks/worktree-post-create is there already" in done.stderr
    assert sorted(path.name for path in (project / ".daft" / "hooks").iterdir()) == [
        "post-create", "worktree-post-create", "worktree-pre-remove",
    ]  # fmt: skip


def test_repositories_are_listed_by_their_paths(home: Any, project: Path) -> None:
    for name in ("b", "a"):
        path = home.repository(CONFIG, trust=False, name=name)
        home.daft("hooks", "trust", "-f", cwd=path)

    listed = home.daft("hooks", "list", "--format", "json", cwd=project).stdout

    assert [row["repo_path"] for row in json.loads(listed)] == [
        str(home.root / "a"),
        str(home.root / "b"),
    ]


def test_an_overlay_that_git_does_not_ignore_is_told_with_what_to_do(
    home: Any, project: Path
) -> None:
    first = home.daft("hooks", "install", "--local", cwd=project).stdout
    (project / "daft.local.yml").unlink()
    home.run("sh", "-c", first.split("yours alone: ")[1], cwd=project)
    second = home.daft("hooks", "install", "--local", cwd=project).stdout

    assert "Git does not ignore it yet" in first
    assert "Git does not ignore it yet" not in second
    assert "daft.local.yml" not in home.git("status", "--porcelain", cwd=project)
