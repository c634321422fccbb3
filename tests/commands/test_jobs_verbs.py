"""`daft jobs` and its verbs: what is listed, how it looks, and what an address means beside options."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
hooks:
  worktree-post-create:
    jobs:
      - {name: good, run: "echo fine; echo odd >&2"}
      - {name: bad, run: "echo one; echo two; echo three; echo four; exit 3", needs: [good]}
      - {name: after, run: "true", background: true, needs: [bad]}
  post-clone:
    jobs:
      - {name: other, run: "true", background: true}
"""


@pytest.fixture
def recorded(home: Any) -> tuple[Any, Path]:
    """A repository with failed runs of two worktrees, and a good one of another hook."""
    project = home.repository(CONFIG)
    for name in ("x", "y"):
        assert home.daft("start", name, cwd=project).returncode == 1
    assert home.daft("hooks", "run", "post-clone", cwd=home.root / "project.x").returncode == 0
    assert home.daft("jobs", "wait", "--all", cwd=project).returncode == 0
    return home, project


def runs(home: Any, cwd: Path, *words: str) -> list[str]:
    """Return `worktree:hook` of the runs that are listed, in their order."""
    done = home.daft("jobs", *words, "--format", "ndjson", cwd=cwd)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    named = {row["invocation_id"]: f"{row['worktree']}:{row['hook_type']}" for row in rows}
    return list(named.values())


# --- the listing ------------------------------------------------------------------------------


def test_filters_hold_together_and_the_newest_are_chosen_behind_them(
    recorded: tuple[Any, Path],
) -> None:
    home, project = recorded
    x_made, y_made, x_cloned = "x:worktree-post-create", "y:worktree-post-create", "x:post-clone"

    assert runs(home, project, "--all") == [x_made, y_made, x_cloned]
    assert runs(home, home.root / "project.x") == [x_made, x_cloned]
    assert runs(home, project, "--worktree", "x", "--failed") == [x_made]
    assert runs(home, project, "--all", "--last", "--failed") == [y_made]
    assert runs(home, project, "--all", "--last", "0") == [x_cloned]
    assert runs(home, project, "--all", "--last", "2", "--status", "completed") == [
        y_made,
        x_cloned,
    ]
    assert runs(home, project, "--all", "--status", "skipped") == [x_made, y_made]
    assert runs(home, project, "--hook", "post-clone", "--failed") == []
    assert runs(home, project, "--hook", "anything") == []
    for status in ("queued", "running", "cancelling", "cancelled", "crashed"):
        assert runs(home, project, "--all", "--status", status) == []


def test_a_listing_is_a_line_per_run_and_a_table_of_its_jobs(recorded: tuple[Any, Path]) -> None:
    home, project = recorded
    listed = home.daft("jobs", "--all", cwd=home.root / "project.x").stdout.splitlines()
    elsewhere = home.daft("jobs", "--repo", "project", cwd=home.root).stdout

    assert listed[0] == "> x"
    assert listed[1] == "│"
    assert listed[2].startswith("● ")
    assert " ago · worktree-post-create [" in listed[2]
    table = [line for line in listed if line.startswith(("│   →", "│   ↪"))]
    assert [line.split()[1:4] for line in table[:3]] == [
        ["→", "good", "✓"],
        ["→", "bad", "✗"],
        ["↪", "after", "—"],
    ]
    assert "✗ failed (exit code 3)" in table[1]
    assert "skipped (dependency failed: bad failed)" in table[2]
    assert len({line.find(line.split()[3]) for line in table}) == 1, "columns of all runs agree"
    assert [line for line in listed if "│     bad │" in line][:3] == [
        "│     bad │ two",
        "│     bad │ three",
        "│     bad │ four",
    ]
    assert listed.count("╰─╴") == 2
    assert "  y" in listed
    assert not [line for line in elsewhere.splitlines() if line.startswith(">")]
    assert not [line for line in listed if "good │" in line]
    code, shown = home.on_terminal("jobs", "--last", cwd=home.root / "project.x", TERM="xterm")
    assert code == 0
    assert "\x1b[2m│\x1b[0m" in shown
    assert "\x1b[2m╰─╴\x1b[0m" in shown
    plain = home.on_terminal("jobs", "--last", cwd=project, NO_COLOR="1")[1]
    assert "\x1b" not in plain


def test_a_job_that_runs_has_the_size_its_log_has_by_now(home: Any, until: Any) -> None:
    project = home.repository(
        "hooks:\n  worktree-post-create:\n    jobs:\n"
        "      - {name: a, run: 'echo hello; sleep 300', background: true}\n"
    )
    home.daft("hooks", "run", "worktree-post-create", cwd=project)
    logs = home.root / "state" / "jobs"
    until(
        lambda: (
            [b"hello" in path.read_bytes() for path in logs.glob("*/*/a/output.jsonl")] == [True]
        ),
        "it has printed what it prints",
    )

    row = home.jobs(project)["a"]
    (log,) = logs.glob("*/*/a/output.jsonl")
    line = next(
        line for line in home.daft("jobs", cwd=project).stdout.splitlines() if " a " in line
    )

    assert (row["status"], row["size_bytes"]) == ("running", log.stat().st_size)
    assert line.endswith(" B")
    assert "..." in line


def test_rows_have_the_same_fields_in_every_form(recorded: tuple[Any, Path]) -> None:
    home, project = recorded
    fields = [
        "invocation_id", "invocation_short", "worktree", "hook_type", "trigger_command",
        "invocation_created_at", "name", "status", "background", "started_at", "finished_at",
        "duration_secs", "exit_code", "command", "size_bytes",
    ]  # fmt: skip

    def listed(*words: str) -> Any:
        return home.daft("jobs", "--all", *words, cwd=project)

    rows = json.loads(listed("--format", "json").stdout)
    assert [name for name in rows[0] if name in fields] == fields
    lines = listed("--format", "ndjson").stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    headed = listed("--format", "tsv").stdout.splitlines()
    assert headed[0].split("\t") == list(rows[0])
    assert listed("--format", "tsv", "--no-headers").stdout.splitlines() == headed[1:]
    for form in ("csv", "yaml", "toon", "markdown"):
        assert all(row["job_uid"] in listed("--format", form).stdout for row in rows)
    warned = listed("--format", "json", "--no-headers")
    assert json.loads(warned.stdout) == rows
    assert warned.stderr.startswith("warning: --no-headers")
    first = listed("--template", "{{ items[0].name | json_encode }} {{ data | length }}")
    assert first.stdout == f'"good" {len(rows)}\n'
    assert listed("--template", "{{ items[0].nope }}").returncode == 1


def test_nothing_to_list_is_a_sentence_for_people_and_a_document_for_programs(home: Any) -> None:
    project = home.repository()
    empty = {"json": "[]\n", "ndjson": "", "yaml": "[]\n", "toon": "[0]:\n"}

    people = home.daft("jobs", cwd=project)
    assert (people.returncode, people.stdout) == (0, "No background job history found.\n")
    for form, document in empty.items():
        done = home.daft("jobs", "--format", form, cwd=project)
        assert (done.returncode, done.stdout) == (0, document)
        assert done.stderr == "No background job history found.\n"
    for form in ("csv", "tsv", "markdown"):
        assert "invocation_id" in home.daft("jobs", "--format", form, cwd=project).stdout


# --- addresses beside options -----------------------------------------------------------------


def test_options_stand_before_the_verb_as_well_as_behind_it(recorded: tuple[Any, Path]) -> None:
    home, project = recorded

    before = home.daft("jobs", "--worktree", "x", "logs", "bad", cwd=project)
    behind = home.daft("jobs", "logs", "bad", "--worktree", "x", cwd=project)

    assert before.returncode == 0, before.stderr
    assert "worktree: x\n" in before.stdout
    assert before.stdout.partition("--- output")[2] == behind.stdout.partition("--- output")[2]


def test_a_cancel_never_takes_what_only_half_of_its_words_mean(home: Any) -> None:
    project = home.repository(
        "hooks:\n  worktree-post-create:\n    jobs:\n"
        "      - {name: cafe, run: sleep 300, background: true}\n"
        "      - {name: slow, run: sleep 300, background: true}\n"
    )
    for name in ("x", "y"):
        home.daft("start", name, cwd=project)
    rows = home.jobs(project, "--worktree", "y")
    run = rows["slow"]["invocation_id"]

    for words in (
        ["x:slow", "--worktree", "y"],
        ["slow", "--job", "cafe"],
        ["x:cafe", "--inv", run],
        ["beef", "--inv", run],
    ):
        done = home.daft("jobs", "cancel", *words, cwd=project)
        assert done.returncode == 1, (words, done.stdout)
        assert "error: no job" in done.stderr
    said = home.daft("jobs", "cancel", "x:slow", "--worktree", "y", cwd=project).stderr
    assert "it means x@" in said
    assert "and the options beside it another" in said
    whole = home.daft("jobs", "cancel", "--inv", run, "--dry-run", cwd=project).stdout
    one = home.daft("jobs", "cancel", "cafe", "--inv", run, cwd=project)

    assert sorted(line.split()[2] for line in whole.splitlines()) == [
        f"y@{run[:8]}/cafe",
        f"y@{run[:8]}/slow",
    ]
    assert one.returncode == 0, one.stderr
    assert one.stdout.splitlines()[-1] == "Cancelled 1 job(s): cafe"
    assert one.stdout.startswith(f"cafe  cancelled  y@{run[:8]}/cafe\n") or (
        one.stdout.startswith("cafe  cancelled (cancelled before it started)")
    )
    states = [
        (row["worktree"], row["name"])
        for row in json.loads(home.daft("jobs", "--format", "json", cwd=project).stdout)
        if row["status"] == "cancelled"
    ]
    assert states == [("y", "cafe")]


def test_where_nothing_was_ever_recorded_nothing_matches(home: Any) -> None:
    project = home.repository()

    def code(*words: str) -> int:
        return int(home.daft("jobs", *words, cwd=project).returncode)

    assert code("cancel", "--all") == 3
    assert code("cancel", "--tag", "slow", "--quiet-if-none") == 0
    assert code("cancel", "build") == 1
    assert code("wait") == 0
    assert code("wait", "--hook", "post-clone") == 0
    assert code("wait", "build") == 1
    rows = home.daft("jobs", "cancel", "--all", "--format", "json", cwd=project)
    assert (rows.returncode, rows.stdout) == (3, "[]\n")


# --- where jobs run ---------------------------------------------------------------------------


def test_where_hooks_run_can_be_said_by_a_variable(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {jobs: [{name: a, run: touch a, background: true}]}}\n"
    )

    def started(name: str, mode: str, *words: str) -> tuple[int, bool]:
        done = home.daft("start", name, *words, cwd=project, DAFT_HOOKS_MODE=mode)
        return done.returncode, (home.root / f"project.{name}" / "a").exists()

    assert started("here", "foreground") == (0, True)
    assert started("none", "off") == (0, False)
    assert started("said", "off", "--hooks", "foreground") == (0, True)
    assert started("wrong", "sometimes") == (2, False)
    assert home.jobs(project, "--all")["a"]["background"] is False


# --- logs -------------------------------------------------------------------------------------


def test_a_log_has_a_heading_and_only_what_was_asked_for(recorded: tuple[Any, Path]) -> None:
    home, project = recorded

    def logs(*words: str) -> list[str]:
        done = home.daft("jobs", "logs", *words, cwd=project)
        assert done.returncode == 0, done.stderr
        return list(done.stdout.splitlines())

    run = home.jobs(project, "--worktree", "x", "--failed")["bad"]["invocation_id"]
    whole = logs("x:bad")
    (log,) = (home.root / "state").glob(f"jobs/*/{run}/bad/output.jsonl")

    assert whole[0] == f"FAILED bad [{run[:4]}]"
    assert [line.partition(":")[0] for line in whole[1:7]] == [
        "worktree", "trigger", "started", "duration", "ended", "command",
    ]  # fmt: skip
    assert " ago (" in whole[3]
    assert whole[7:9] == ["", "--- output ---"]
    assert whole[9].startswith("[status] started pid=")
    assert whole[-2:] == ["[status] finished exit_code=3", f"Full log: {log}"]
    body = logs("x:bad", "--stdout", "--seq")[9:-1]
    assert [line.split("\t")[1] for line in body] == ["one", "two", "three", "four"]
    assert all(len(line.split("\t")[0]) == 6 for line in body)
    seq = int(body[2].split("\t")[0])
    assert logs("x:bad", "--stdout", "--since-seq", str(seq))[9:-1] == ["three", "four"]
    assert logs("x:good", "--stderr")[8:-1] == ["odd"]
    assert len(logs("x:bad", "--status")[9:-1]) == 2
    assert logs("x:bad", "--since", "1h", "--stdout")[9] == "one"
    assert "(no output)" in logs("x:good", "--stdout", "--since-seq", "1000")
    skipped = logs("x:after")
    assert skipped[0].startswith("SKIPPED after [")
    assert any("dependency failed: bad failed" in line for line in skipped)
    assert len([line for line in logs(run) if line.startswith("══ ")]) == 3
    by_start, by_id, by_option = logs(run[:6]), logs(run), logs("--inv", run)
    assert by_start[3:] == by_id[3:] == by_option[3:], "all but how long ago it was"


def test_a_log_goes_through_the_pager_on_a_terminal_alone(recorded: tuple[Any, Path]) -> None:
    home, project = recorded
    pager = {"PAGER": "sed s/^/paged:/"}

    shown = home.on_terminal("jobs", "logs", "x:bad", cwd=project, **pager)[1]
    followed = home.on_terminal("jobs", "logs", "-f", "x:bad", cwd=project, **pager)[1]
    missing = home.on_terminal("jobs", "logs", "x:bad", cwd=project, PAGER="no-such-pager")[1]

    assert "paged:one\n" in shown
    assert "paged:" not in home.daft("jobs", "logs", "x:bad", cwd=project, **pager).stdout
    assert "paged:" not in followed
    assert "--- output ---" not in followed, "no heading"
    assert "\none\n" in missing


# It takes the signal whenever that comes: a shell may begin to read just behind it, and sit there.
PAGER = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print(sys.stdin.read(), "ready", flush=True)
signal.sigwait([signal.SIGINT])
print("caught", flush=True)
open("/dev/tty").readline()
print("left")
"""


def test_an_interrupt_is_for_the_pager_alone(recorded: tuple[Any, Path]) -> None:
    home, project = recorded
    pager = home.root / "pager"
    (home.root / "pager.py").write_text(PAGER)
    pager.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{home.root}/pager.py"\n')
    pager.chmod(0o755)

    code, shown = home.on_terminal(
        *("jobs", "logs", "x:bad"),
        cwd=project,
        typed=(("ready", "\x03"), ("caught", "\n")),
        PAGER=str(pager),
    )

    assert code == 0, shown
    assert shown.rstrip().endswith("left")
    assert "interrupted" not in shown


def test_a_log_that_is_damaged_or_gone_is_shown_as_far_as_it_is_there(
    recorded: tuple[Any, Path],
) -> None:
    home, project = recorded
    (log,) = (home.root / "state").glob("jobs/*/*/other/output.jsonl")
    lines = log.read_bytes().splitlines(keepends=True)

    log.write_bytes(lines[0] + b'{"seq":1,"ts":\n' + b"".join(lines[1:]) + lines[-1][:20])
    torn = home.daft("jobs", "logs", "other", cwd=home.root / "project.x")
    log.unlink()
    followed = home.daft("jobs", "logs", "-f", "other", cwd=home.root / "project.x")
    gone = home.daft("jobs", "logs", "other", cwd=project)

    assert torn.returncode == 0, torn.stderr
    assert "[status] finished exit_code=0" in torn.stdout
    assert "warning: 1 line(s) in the log of other are no records" in torn.stderr
    assert (followed.returncode, followed.stdout) == (0, "")
    assert (gone.returncode, "(no output)" in gone.stdout) == (0, True)


def test_what_has_a_log_and_no_row_is_no_job(recorded: tuple[Any, Path]) -> None:
    home, project = recorded
    (log,) = (home.root / "state").glob("jobs/*/*/other/output.jsonl")
    stray = log.parent.parent / "stray"
    stray.mkdir()
    (stray / log.name).write_bytes(log.read_bytes())

    done = home.daft("jobs", "logs", "stray", cwd=project)

    assert (done.returncode, "no job 'stray'" in done.stderr) == (1, True)


# --- words behind Tab -------------------------------------------------------------------------


def test_what_tab_shows_stands_in_columns_with_counts(recorded: tuple[Any, Path]) -> None:
    home, _ = recorded

    def offered(context: str, word: str = "") -> list[list[str]]:
        done = home.daft("__complete", context, word, cwd=home.root / "project.x")
        assert (done.returncode, done.stderr) == (0, "")
        return [line.split("\t") for line in done.stdout.splitlines()]

    jobs = offered("hooks-jobs-job")
    shown = [text for kind, _, text in jobs if kind == "INV"]
    (worktree,) = [text for kind, _, text in jobs if kind == "WT"]

    assert [text.split("  ")[0] for text in shown] == [
        "hooks run post-clone",
        "worktree-post-create",
    ]
    assert [" ".join(text.split()[-2:]) for text in shown] == ["1 job", "3 jobs"]
    assert len({text.find(" ago") for text in shown}) == 1
    assert worktree.startswith("y  1 run  ")
    kinds = {name: rest for name, *rest in offered("hooks-jobs-hook-filter")}
    assert kinds == {
        "post-clone": ["hook", "1 invocation"],
        "worktree-post-create": ["hook", "2 invocations"],
    }
    assert offered("hooks-jobs-retry")[0] == ["worktree-post-create", "1 failed across 1"]
    assert offered("hooks-jobs-job", "x:y:z:w") == []
    assert offered("no-such-context") == []


# --- what a record outlives -------------------------------------------------------------------


def test_what_removal_hooks_did_is_listed_after_the_worktree_is_gone(home: Any) -> None:
    job = "{jobs: [{name: a, run: echo bye}]}"
    project = home.repository(
        f"hooks: {{worktree-pre-remove: {job}, worktree-post-remove: {job}}}\n"
    )
    home.daft("start", "x", cwd=project)

    removed = home.daft("remove", "-f", "x", cwd=project)

    assert removed.returncode == 0, removed.stderr
    assert runs(home, project, "--worktree", "x") == [
        "x:worktree-pre-remove",
        "x:worktree-post-remove",
    ]
    assert home.daft("jobs", "logs", "x:a", "--raw", cwd=project).stdout == "bye\n"


def test_a_repository_that_is_cloned_again_has_no_history(home: Any) -> None:
    source = home.repository(
        "hooks: {post-clone: {jobs: [{name: a, run: exit 1}]}}\n", trust=False, name="source"
    )
    words = ("clone", "--trust-hooks", str(source), "copy")
    home.daft(*words, cwd=home.root)
    copy = home.root / "copy"
    assert runs(home, copy, "--all") == ["main:post-clone"]
    shutil.rmtree(copy)

    home.git("clone", "-q", str(source), "copy", cwd=home.root)
    again = home.daft("jobs", "--all", cwd=copy)

    assert (again.returncode, again.stdout) == (0, "No background job history found.\n")


def test_a_run_that_was_skipped_for_want_of_consent_says_so(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {jobs: [{name: a, run: ':'}]}}\n", trust=False
    )
    home.daft("start", "x", cwd=project)

    before = home.daft("jobs", "--all", cwd=project).stdout
    home.daft("hooks", "trust", "-f", cwd=home.root / "project.x")
    home.daft("hooks", "run", "worktree-post-create", cwd=home.root / "project.x")
    after = home.daft("jobs", "--all", cwd=project).stdout

    assert "│   (skipped: " in before
    assert "(skipped: " not in after
    assert "✓ completed" in after


@pytest.mark.parametrize(
    "words", [("remove", "-f", "x"), ("remove", "-f", "{tree}"), ("merge", "x", "-r")]
)
def test_whatever_takes_a_worktree_away_stops_its_jobs_and_no_other(
    home: Any, words: tuple[str, ...]
) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {jobs: [{name: a, run: sleep 300, background: true}]}}\n"
    )
    for name in ("x", "y"):
        home.daft("start", name, cwd=project)
    tree = home.root / "project.x"
    (tree / "new").touch()
    home.git("add", "-A", cwd=tree)
    home.git("commit", "-qm", "new", cwd=tree)

    done = home.daft(*(word.format(tree=tree) for word in words), cwd=project)

    assert done.returncode == 0, done.stderr
    assert not tree.exists()
    assert home.jobs(project, "--worktree", "x")["a"]["status"] == "cancelled"
    assert home.jobs(project, "--worktree", "y")["a"]["status"] in ("queued", "running")
