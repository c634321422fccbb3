"""Cases that once went wrong in programs like this."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

POST = "hooks: {{worktree-post-create: {{jobs: [{0}]}}}}\n"
RUN = ("hooks", "run", "worktree-post-create")


def test_a_gate_is_recorded_in_the_foreground_with_what_it_needed(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: early, run: touch early, background: true},"
            "{name: late, run: test -e early, needs: [early]}"
        )
    )

    done = home.daft("start", "x", cwd=project)
    jobs = home.jobs(home.root / "project.x")

    assert done.returncode == 0, done.stderr
    assert {(one["status"], one["background"]) for one in jobs.values()} == {("completed", False)}


def test_what_needs_a_failed_job_is_a_row_that_never_started(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: bad, run: exit 3},"
            "{name: behind, run: touch never, needs: [bad], background: true}"
        )
    )

    done = home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"

    assert done.returncode == 1
    assert home.jobs(tree)["behind"]["status"] == "skipped"
    assert "bad" in home.daft("jobs", "logs", "behind", cwd=tree).stdout
    assert not (tree / "never").exists()
    assert "running in background" not in done.stderr


def test_a_job_left_out_is_a_row_whose_log_says_why(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: off, run: touch never, skip: true}, {name: no, run: touch never, only: false},"
            "{name: far, run: touch never, arch: ARCH}".replace(
                "ARCH", "aarch64" if _machine() == "x86_64" else "x86_64"
            )
        )
    )

    done = home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"

    assert done.returncode == 0, done.stderr
    assert {one["status"] for one in home.jobs(tree).values()} == {"skipped"}
    for name, reason in (("off", "skip: true"), ("no", "only: false"), ("far", "arch")):
        log = home.daft("jobs", "logs", name, cwd=tree)
        assert reason in log.stdout, (name, log)
    assert not (tree / "never").exists()


def _machine() -> str:
    return subprocess.run(
        ["uname", "-m"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_hook_without_jobs_is_in_the_record(home: Any) -> None:
    project = home.repository(POST.format(""))

    done = home.daft("start", "x", cwd=project)
    listed = home.daft("jobs", "--all", cwd=project)
    rows = home.daft("jobs", "--all", "--format", "json", cwd=project)

    assert done.returncode == 0, done.stderr
    assert "│    (no jobs declared)\n" in listed.stdout
    assert rows.stdout == "[]\n"


@pytest.mark.parametrize(
    ("setting", "word", "code"),
    [
        (None, "abort", 1),
        ("warn", "abort", 0),
        ("abort", "warn", 1),
        (None, "warn", 0),
        (None, "WARN", 0),
    ],
)
def test_the_users_word_on_failures_goes_before_the_files(
    home: Any, setting: str | None, word: str, code: int
) -> None:
    project = home.repository(
        f"hooks: {{worktree-post-create: {{fail_mode: {word}, jobs: [{{name: a, run: exit 1}}]}}}}\n"
    )
    if setting:
        home.git("config", "daft.hooks.worktreePostCreate.failMode", setting, cwd=project)

    done = home.daft("start", "x", "-x", "touch told", cwd=project)

    assert done.returncode == code, done.stderr
    assert (home.root / "project.x").is_dir()
    assert (home.root / "project.x" / "told").exists() is (code == 0)


def test_who_leaves_a_hook_out_is_not_asked_to_trust_it(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch a}"), trust=False)

    done = home.daft("start", "x", "--skip-hooks", "all", cwd=project)
    later = home.daft("hooks", "replay", "--list", "--format", "json", cwd=project)

    assert done.returncode == 0
    assert "Untrusted" not in done.stderr
    assert later.stdout.strip() == "[]"


def test_a_hook_may_be_left_out_by_its_name_alone(home: Any) -> None:
    project = home.repository(
        "hooks:\n  worktree-pre-create: {jobs: [{name: a, run: touch $HOME/before}]}\n"
        "  worktree-post-create: {jobs: [{name: b, run: touch $HOME/after}]}\n"
    )

    done = home.daft("start", "--skip-hooks", "worktree-post-create", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "before").exists()
    assert not (home.root / "after").exists()
    assert "matches no" not in done.stderr


def test_consent_given_twice_changes_nothing_and_asks_nothing(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch a}"))

    again = home.daft("hooks", "trust", cwd=project)

    assert again.returncode == 0
    assert "already" in again.stdout + again.stderr


def test_hooks_are_off_where_the_repository_says_so(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch a}"))
    home.git("config", "daft.hooks.enabled", "false", cwd=project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert not (home.root / "project.x" / "a").exists()


def test_a_job_cannot_move_the_shell_of_who_started_it(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: 'echo \"<$DAFT_CD_FILE>\" > told'}"))
    redirect = home.root / "cd"
    redirect.touch()

    done = home.daft("start", "x", cwd=project, DAFT_CD_FILE=str(redirect))

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.x" / "told").read_text() == "<>\n"
    assert str(home.root / "project.x") in redirect.read_text()


def test_jobs_are_not_told_of_the_git_that_runs_around_daft(home: Any) -> None:
    project = home.repository(
        POST.format("{name: a, run: 'git rev-parse --show-toplevel > told; env > $HOME/seen'}")
    )
    other = home.repository(name="other")

    done = home.daft(
        "start", "x", cwd=project, GIT_DIR=f"{other}/.git", GIT_INDEX_FILE=f"{other}/.git/index"
    )

    assert done.returncode == 0, done.stderr
    tree = home.root / "project.x"
    assert (tree / "told").read_text().strip() == str(tree)
    seen = (home.root / "seen").read_text().splitlines()
    assert [line for line in seen if line.startswith("GIT_") and str(other) in line] == []
    assert not (home.root / "other.x").exists()


def test_jobs_in_order_stay_here_when_the_background_is_asked_for(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {parallel: false, jobs: ["
        "{name: a, run: echo a >> told}, {name: b, run: echo b >> told}]}}\n"
    )

    done = home.daft("start", "x", "--hooks", "background", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.x" / "told").read_text() == "a\nb\n"
    assert "foreground" in done.stderr


@pytest.mark.parametrize("words", [["--hooks", "off"], ["--skip-hooks", "worktree-post-create"]])
def test_a_script_hook_is_left_out_like_any_other(home: Any, words: list[str]) -> None:
    project = home.repository()
    script = project / ".daft" / "hooks" / "worktree-post-create"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\ntouch ran\n")
    script.chmod(0o755)
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "script", cwd=project)
    home.daft("hooks", "trust", "-f", cwd=project)

    done = home.daft("start", "x", *words, cwd=project)
    control = home.daft("start", "y", cwd=project)

    assert (done.returncode, control.returncode) == (0, 0), done.stderr + control.stderr
    assert not (home.root / "project.x" / "ran").exists()
    assert (home.root / "project.y" / "ran").exists()


def test_two_jobs_without_a_name_both_run_once(home: Any) -> None:
    project = home.repository(POST.format("{run: echo a >> a}, {run: echo b >> b}"))

    done = home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"

    assert done.returncode == 0, done.stderr
    assert ((tree / "a").read_text(), (tree / "b").read_text()) == ("a\n", "b\n")
    assert [one["status"] for one in home.jobs(tree).values()] == ["completed", "completed"]


def test_every_line_of_a_command_has_the_shell_file_behind_it(home: Any) -> None:
    project = home.repository(
        "rc: my env.sh\n" + POST.format('{name: a, run: "say one\\nsay two"}'),
        trust=False,
    )
    (project / "my env.sh").write_text('say() { echo "said $1"; }\n')

    done = home.daft(*RUN, cwd=project)

    assert done.returncode == 0, done.stderr
    assert "said one" in done.stderr
    assert "said two" in done.stderr


def test_output_that_is_no_text_costs_nothing(home: Any) -> None:
    project = home.repository(
        POST.format(
            '{name: a, run: \'printf "\\\\377\\n"; head -c 1048576 /dev/zero | tr "\\\\0" x; echo; echo the end\'}'
        )
    )

    done = home.daft("start", "x", cwd=project)
    log = home.daft("jobs", "logs", "a", cwd=home.root / "project.x")

    assert done.returncode == 0, done.stderr
    lines = log.stdout.splitlines()
    assert home.jobs(home.root / "project.x")["a"]["status"] == "completed"
    assert lines.count(r"\xff") == 1  # shown harmless, kept as it was
    assert sum(len(line) for line in lines if set(line) == {"x"}) == 1048576
    assert lines.index(r"\xff") < lines.index("the end")


def test_a_time_limit_ends_all_that_a_job_started(home: Any, until: Any) -> None:
    project = home.repository(
        POST.format("{name: a, run: 'sleep 300 & echo $! > $HOME/pid; sleep 300', timeout: 1s}")
    )

    done = home.daft("start", "x", cwd=project)
    row = home.jobs(home.root / "project.x")["a"]

    assert done.returncode == 1
    assert row["status"] == "failed"
    pid = int((home.root / "pid").read_text())
    until(lambda: not _lives(pid), "the second process is gone")


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_job_that_asks_gets_no_answer_and_goes_on(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {skip: [{run: 'cat > $HOME/read; false'}],"
        " jobs: [{name: a, run: 'cat > told; echo done >> told'}]}}\n"
    )

    done = home.daft("start", "x", cwd=project, stdin="not for the job")

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.x" / "told").read_text() == "done\n"
    assert (home.root / "read").read_text() == ""


def test_words_that_look_like_booleans_stay_words(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: a, skip: yes, run: 'echo \"$PORT $FLAG\" > told', env: {PORT: 8080, FLAG: yes}},"
            "{name: b, run: touch b}"
        )
    )

    ran = home.daft("start", "x", cwd=project)
    left_out = home.daft("start", "y", cwd=project, yes="1")

    assert (ran.returncode, left_out.returncode) == (0, 0), ran.stderr + left_out.stderr
    assert (home.root / "project.x" / "told").read_text() == "8080 yes\n"
    assert not (home.root / "project.y" / "told").exists()
    assert (home.root / "project.y" / "b").exists()


def test_a_piped_hook_stops_at_the_first_failure_whatever_needs_what(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {piped: true, jobs: [{name: a, run: exit 1},"
        "{name: b, run: touch never}, {name: c, run: touch never, needs: [b]}]}}\n"
    )

    done = home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"
    jobs = home.jobs(tree)

    assert done.returncode == 1
    assert {name: one["status"] for name, one in jobs.items()} == {
        "a": "failed",
        "b": "skipped",
        "c": "skipped",
    }
    assert not (tree / "never").exists()


def test_a_repository_with_another_remote_is_another(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch a}"), trust=False)
    home.git("remote", "add", "origin", "https://example.org/one.git", cwd=project)
    home.daft("hooks", "trust", "-f", cwd=project)
    home.git("remote", "set-url", "origin", "https://example.org/two.git", cwd=project)

    changed = home.daft("start", "x", "--local", cwd=project)
    home.daft("hooks", "trust", "-f", cwd=project)
    repaired = home.daft("start", "y", "--local", cwd=project)

    assert (changed.returncode, repaired.returncode) == (0, 0), changed.stderr + repaired.stderr
    assert not (home.root / "project.x" / "a").exists()
    assert (home.root / "project.y" / "a").exists()


def test_one_job_by_hand_names_what_it_was_not_given(home: Any) -> None:
    project = home.repository(
        POST.format("{name: a, run: touch a}, {name: b, run: touch b, needs: [a]}"), trust=False
    )

    done = home.daft(*RUN, "--job", "b", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (project / "b").exists()
    assert not (project / "a").exists()
    assert "although needed: a (" in done.stderr


def test_a_script_hook_runs_where_paths_have_blanks(home: Any) -> None:
    project = home.repository(name="my project")
    script = project / ".daft" / "hooks" / "worktree-post-create"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\ntouch ran\n")
    script.chmod(0o755)
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "script", cwd=project)
    home.daft("hooks", "trust", "-f", cwd=project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "my project.x" / "ran").exists()


def test_a_job_that_ends_with_the_code_of_an_interrupt_has_failed(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: exit 130}"))

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 1
    assert home.jobs(home.root / "project.x")["a"]["status"] == "failed"
    assert "nterrupted" not in done.stderr


def test_an_operation_of_a_linked_worktree_is_noticed_there_alone(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: echo ran, skip: [rebase]}"))
    home.daft("start", "x", "--skip-hooks", "all", cwd=project)
    tree = home.root / "project.x"
    for place, text in ((project, "one"), (tree, "two")):
        (place / "file").write_text(text)
        home.git("add", "-A", cwd=place)
        home.git("commit", "-qm", text, cwd=place)
    assert home.run("git", "rebase", "-q", "main", cwd=tree).returncode != 0

    paused = home.daft(*RUN, "-v", cwd=tree)
    elsewhere = home.daft(*RUN, "-v", cwd=project)

    assert "a │ ran" not in paused.stderr
    assert "rebase" in paused.stderr
    assert "a │ ran" in elsewhere.stderr


def test_jobs_of_a_worktree_without_a_branch_are_found_and_stopped(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: sleep 300, background: true}"))
    home.git("worktree", "add", "-q", "--detach", "../loose", cwd=project)
    tree = home.root / "loose"

    done = home.daft(*RUN, cwd=tree)
    assert done.returncode == 0, done.stderr
    named = home.jobs(project, "--worktree", "loose")
    removed = home.daft("remove", "-f", str(tree), cwd=project)

    assert list(named) == ["a"]
    assert removed.returncode == 0, removed.stderr
    assert home.jobs(project, "--worktree", "loose")["a"]["status"] == "cancelled"


@pytest.mark.parametrize(("mode", "code"), [("abort", 1), ("warn", 0)])
def test_a_gate_counts_for_every_branch_of_a_clone(home: Any, mode: str, code: int) -> None:
    source = home.repository(
        f"hooks: {{worktree-pre-create: {{fail_mode: {mode}, jobs: ["
        "{name: gate, run: 'test $DAFT_BRANCH_NAME != b'}]}}\n",
        trust=False,
        name="source",
    )
    home.git("branch", "b", cwd=source)
    home.git("branch", "c", cwd=source)

    done = home.daft(
        *("clone", "--trust-hooks", "-b", "main", "-b", "b", "-b", "c", str(source), "copy"),
        cwd=home.root,
    )

    assert done.returncode == code, done.stderr
    assert (home.root / "copy.b").exists() is (code == 0)
    assert (home.root / "copy.c").exists()


def test_a_condition_on_the_branch_means_the_branch_that_is_to_be(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-pre-create: {jobs: ["
        "{name: new, run: touch $HOME/new, only: [{ref: x}]},"
        "{name: old, run: touch $HOME/old, only: [{ref: main}]}]}}\n"
    )

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "new").exists()
    assert not (home.root / "old").exists()


def test_commands_run_in_the_order_they_are_written_in(home: Any) -> None:
    names = ["zeta", "alpha", "mid", "beta"]
    entries = ", ".join(f"{name}: {{run: echo {name} >> told}}" for name in names)
    project = home.repository(
        f"hooks: {{worktree-post-create: {{parallel: false, commands: {{{entries}}}}}}}\n"
    )

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.x" / "told").read_text().split() == names


def test_the_untrusted_are_told_once_on_standard_error_alone(home: Any) -> None:
    source = home.repository(
        "hooks:\n  worktree-post-create: {jobs: [{run: touch $HOME/evil}]}\n"
        "  worktree-pre-create: {jobs: [{run: touch $HOME/evil}]}\n"
        "  post-clone: {jobs: [{run: touch $HOME/evil}]}\n",
        trust=False,
        name="source",
    )
    home.git("branch", "b", cwd=source)

    done = home.daft("clone", "-b", "main", "-b", "b", str(source), "copy", cwd=home.root)

    assert done.returncode == 0, done.stderr
    assert "rust" not in done.stdout
    assert done.stderr.count("Untrusted repo") == 1
    assert "post-clone, worktree-pre-create, worktree-post-create" in done.stderr
    assert not (home.root / "evil").exists()


def test_a_clone_to_the_place_of_a_trusted_repository_is_not_trusted(home: Any) -> None:
    source = home.repository(POST.format("{name: a, run: touch $HOME/a}"), trust=False)
    words = ("clone", str(source), "copy")
    home.daft("clone", "--trust-hooks", str(source), "copy", cwd=home.root)
    assert (home.root / "a").exists()
    (home.root / "a").unlink()
    (home.root / "copy").rename(home.root / "elsewhere")

    again = home.daft(*words, cwd=home.root)
    started = home.daft("start", "x", cwd=home.root / "copy")

    assert (again.returncode, started.returncode) == (0, 0), again.stderr + started.stderr
    assert not (home.root / "a").exists()


def test_a_job_that_wants_the_terminal_stays_in_the_foreground(home: Any) -> None:
    project = home.repository(
        POST.format("{name: a, run: touch a, interactive: true, background: true}")
    )

    code, shown = home.on_terminal("start", "x", cwd=project)

    assert code == 0, shown
    assert home.jobs(home.root / "project.x")["a"]["background"] is False
