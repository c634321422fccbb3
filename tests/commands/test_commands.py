"""Each verb once or twice, as a user types it, with real git in a throw-away home."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

POST = "hooks: {{worktree-post-create: {{jobs: [{0}]}}}}\n"


def snapshot(home: Any, project: Path) -> tuple[str, set[str]]:
    refs = home.git("for-each-ref", cwd=project)
    trees = {p.name for p in home.root.iterdir() if p.is_dir()}
    return refs, trees


# --- clone, init, start, go, list ------------------------------------------------------------


@pytest.mark.parametrize("layout", ["sibling", "contained"])
def test_a_clone_runs_its_hooks_in_order_when_told_to_trust(
    home: Any, layout: str, until: Any
) -> None:
    source = home.repository(
        f"layout: {layout}\nhooks:\n"
        "  post-clone: {jobs: [{name: c, run: 'echo post-clone $DAFT_DEFAULT_BRANCH >> \"$OUT\"'}]}\n"
        "  worktree-post-create: {jobs: [{name: p, run: 'echo post-create $PWD >> \"$OUT\"'},"
        " {name: b, run: 'echo background >> \"$OUT\"', background: true, needs: [p]}]}\n",
        trust=False,
        name="source",
    )
    out = home.root / "out"

    done = home.daft("clone", "--trust-hooks", str(source), "copy", cwd=home.root, OUT=str(out))

    tree = home.root / "copy" / ("main" if layout == "contained" else "")
    assert done.returncode == 0, done.stderr
    assert f"Cloned into '{tree.relative_to(home.root)}'" in done.stdout
    assert out.read_text().split("\n")[:2] == ["post-clone main", f"post-create {tree}"]
    until(lambda: "background" in out.read_text(), "the background job ends")
    assert home.git("branch", "--format=%(refname:short)", cwd=tree) == "main"
    assert home.git("rev-parse", "--abbrev-ref", "@{upstream}", cwd=tree) == "origin/main"


def test_a_clone_of_several_branches(home: Any) -> None:
    source = home.repository(trust=False, name="source")
    home.git("branch", "b", cwd=source)

    done = home.daft(
        "clone", "-b", "main", "-b", "b", "-b", "zz", str(source), "copy", cwd=home.root
    )
    nothing = home.daft("clone", "-b", "zz", str(source), "other", cwd=home.root)

    assert done.returncode == 1
    assert "branch 'zz' not found on remote" in done.stderr
    assert (home.root / "copy.b").exists()
    assert nothing.returncode == 1
    assert "not found on remote" in nothing.stderr
    assert not (home.root / "other").exists()


def test_init_makes_the_shape_of_the_layout(home: Any) -> None:
    done = home.daft("init", "fresh", "--layout", "contained", "-b", "trunk", cwd=home.root)

    assert done.returncode == 0, done.stderr
    assert "Initialized repository 'fresh' in 'fresh/trunk'" in done.stdout
    rows = json.loads(
        home.daft("list", "--format", "json", cwd=home.root / "fresh" / "trunk").stdout
    )
    assert [(row["name"], row["is_current"]) for row in rows] == [("trunk", True)]
    assert home.daft("init", "fresh", cwd=home.root).returncode == 1
    assert home.daft("init", "a/b", cwd=home.root).returncode == 1


def test_going_there_and_back_tells_the_shell(home: Any) -> None:
    project = home.repository()
    file = home.root / "cd"
    file.touch()

    def to() -> str:
        return file.read_text()

    started = home.daft("start", "x", cwd=project, DAFT_CD_FILE=str(file))
    assert started.stdout == "Created worktree 'x' from 'main'\n"
    assert to() == str(home.root / "project.x")
    back = home.daft("go", "-", cwd=home.root / "project.x", DAFT_CD_FILE=str(file))
    assert "Switched to existing worktree 'main'" in back.stdout
    assert to() == str(project)
    file.write_text("")
    home.daft(
        "go",
        "x",
        "--no-cd",
        "-x",
        'touch here; test -z "$DAFT_CD_FILE"',
        cwd=project,
        DAFT_CD_FILE=str(file),
    )
    assert to() == ""
    assert (home.root / "project.x" / "here").exists()
    failed = home.daft("go", "x", "-x", "exit 7", cwd=project)
    assert failed.returncode == 1
    assert "exited with status 7" in failed.stderr


def test_what_is_typed_is_meant_for_the_command_that_runs(home: Any) -> None:
    project = home.repository()

    lived = home.daft("start", "x", "-x", "kill -INT $PPID; touch lived", cwd=project)
    stopped = home.daft("start", "y", "-x", "kill -INT $$", "-x", "touch ran", cwd=project)

    assert lived.returncode == 0, lived.stderr
    assert (home.root / "project.x" / "lived").exists()
    assert stopped.returncode == 130
    assert not (home.root / "project.y" / "ran").exists()


def test_uncommitted_changes_are_carried_along(home: Any) -> None:
    project = home.repository()
    (project / "new").write_text("new")

    done = home.daft("start", "x", cwd=project)

    assert "carrying 1 changed file along" in done.stderr
    assert (home.root / "project.x" / "new").exists()
    assert not (project / "new").exists()


def test_the_list_tells_what_is_where(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: exit 1}"))
    home.daft("start", "x", cwd=project)
    (home.root / "project.x" / "dirt").write_text("x")

    rows = {
        r["name"]: r for r in json.loads(home.daft("list", "--format", "json", cwd=project).stdout)
    }
    text = home.daft("list", cwd=project)

    home.git("commit", "-q", "--allow-empty", "-m", "a \x1b[31mred subject", cwd=project)
    driven = home.daft("list", cwd=project)

    assert rows["x"]["setup_state"] == "failed"
    assert "a \\x1b[31mred subject" in driven.stdout, "a commit does not drive the terminal"
    assert rows["x"]["untracked"] == 1
    assert rows["main"]["is_current"]
    assert rows["main"]["is_default_branch"]
    assert ">✦" in text.stdout
    assert "failed" in text.stdout
    go = home.daft("go", "x", cwd=project)
    assert "the setup of 'x' is failed" in go.stderr


def test_a_failing_gate_creates_nothing(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-pre-create: {jobs: [{name: gate, run: 'echo closed >&2; exit 9'}]}}\n"
    )
    (project / "mine").write_text("mine")
    before = snapshot(home, project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 1
    assert "job 'gate' exit code 9" in done.stderr
    assert "closed" in done.stderr
    refs, trees = snapshot(home, project)
    assert (refs, trees - {"state"}) == before
    assert (project / "mine").exists()


def test_a_failing_set_up_keeps_the_worktree_and_says_how_to_go_on(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: exit 4, fail_text: look here}"))
    file = home.root / "cd"

    done = home.daft("start", "x", "-x", "touch ran", cwd=project, DAFT_CD_FILE=str(file))

    assert done.returncode == 1
    assert "kept at" in done.stderr
    assert "-x was skipped" in done.stderr
    assert "look here" in done.stderr
    assert "hooks run worktree-post-create" in done.stderr
    assert "daft remove -f x" in done.stderr
    assert not file.exists()
    assert not (home.root / "project.x" / "ran").exists()
    home.git("config", "daft.hooks.worktreePostCreate.failMode", "warn", cwd=project)
    warned = home.daft("start", "y", cwd=project)
    assert warned.returncode == 0
    assert "continuing anyway" in warned.stderr


def test_a_pre_remove_hook_may_keep_the_worktree(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-pre-remove: {fail_mode: abort, jobs: [{name: no, run: exit 1}]}}\n"
    )
    home.daft("start", "x", cwd=project)

    kept = home.daft("remove", "x", cwd=project)
    home.git("config", "daft.hooks.worktreePreRemove.failMode", "warn", cwd=project)
    gone = home.daft("remove", "x", cwd=project)

    assert kept.returncode == 1
    assert "pre-remove hook failed" in kept.stderr
    assert gone.returncode == 0
    assert "continuing anyway" in gone.stderr
    assert not (home.root / "project.x").exists()


# --- bad input changes nothing ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["start", "taken"], 1, "already exists"),
        (["start", "old"], 1, "branch 'old' already exists"),
        (["start", "old/x"], 1, "conflicts with existing branch"),
        (["start", "a b"], 1, "not a valid branch name"),
        (["start", "x", "nowhere"], 1, "does not resolve"),
        (["start", "x", "--at", "sub"], 1, "inside the worktree"),
        (["go", "nowhere"], 1, "not found"),
        (["go", "-"], 1, "No previous worktree"),
        (["go", "--at", "../e", "nowhere"], 1, "--at requires --start"),
        (["remove", "nowhere"], 1, "branch not found"),
        (["remove", "main"], 1, "cannot delete 'main'"),
        (["remove", "--local", "--remote", "old"], 2, "not allowed with"),
        (["clone", "/nowhere/at/all", "copy"], 1, "does not exist"),
        (["clone", "--layout", "sibbling", ".", "copy"], 1, "unknown layout"),
        (["clone", "--trust-hooks", "--hooks", "off", ".", "copy"], 1, "cannot be combined"),
        (["hooks", "run", "nonsense"], 1, "Unknown hook type"),
        (["hooks", "run", "post-clone"], 1, "is not defined"),
        (["hooks", "run", "worktree-post-create", "--job", "zz"], 1, "no job 'zz'"),
        (["hooks", "trust", "/nowhere"], 1, "does not exist"),
        (["jobs", "logs", "nowhere"], 1, "no job"),
        (["jobs", "cancel", "--all", "--tag", "x"], 2, "not allowed with"),
        (["list", "--columns", "zz"], 2, "unknown"),
    ],
)
def test_bad_input_gets_one_clear_sentence(
    home: Any, words: list[str], code: int, said: str
) -> None:
    project = home.repository(POST.format("{name: a, run: 'true'}"))
    home.git("branch", "old", cwd=project)
    (home.root / "project.taken").mkdir()
    (home.root / "project.taken" / "file").touch()
    before = snapshot(home, project)

    done = home.daft(*words, cwd=project)

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(home, project) == before


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("hooks: [}", "not valid YAML"),
        (POST.format("{name: a, run: [{}]}"), "expected a text, found a map"),
        (POST.format("{name: a, run: x, background: yes}"), "expected true or false"),
        ("hooks: {worktree-post-create: {fail_mode: abrot}}", "none of abort, warn"),
        ("hooks: {worktree-post-create: {}, worktree-post-create: {}}", "a second time, first at"),
        ("extends: nowhere.yml", "'nowhere.yml' does not exist (extended by daft.yml)"),
        ("min_version: '99.1'", "requires daft 99.1, this is"),
        ("x: '" + "y" * 1_100_000 + "'", "larger than"),
    ],
)
def test_a_broken_configuration_stops_creation_and_not_removal(
    home: Any, config: str, said: str
) -> None:
    project = home.repository()
    home.daft("start", "x", cwd=project)
    (project / "daft.yml").write_text(config)
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "broken", cwd=project)
    (home.root / "project.x" / "daft.yml").write_text(config)
    before = snapshot(home, project)

    started = home.daft("start", "y", cwd=project)
    checked = home.daft("hooks", "validate", cwd=project)

    assert started.returncode == 1
    assert said in started.stderr
    assert "daft.yml:1:" in started.stderr
    assert snapshot(home, project) == before
    assert checked.returncode == 1
    assert said in checked.stderr
    removed = home.daft("remove", "-f", "x", cwd=project)
    assert removed.returncode == 0, removed.stderr
    assert "warning" in removed.stderr


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ("{name: a, run: x, needs: [b]}, {name: b, run: x, needs: [a]}", "a -> b -> a"),
        ("{name: a, run: x, needs: [zz]}", "no job is called 'zz'"),
        ("{name: a, run: x, glob: y}", "add `files:`"),
        ("{name: a, rum: x}", "has nothing to run"),
        ("{name: a, run: ''}", "is empty; write the command"),
        ("{name: a, run: x, root: no/where}", "project.y/no/where does not exist; correct `root`"),
        ("{name: a, run: x, root: daft.yml}", "project.y/daft.yml is no directory"),
        ("{name: a, run: x, root: '{merge_source_path}'}", "holds {merge_source_path}"),
        ("{name: a, run: x, files: ls, glob: '[y'}", "`[` is not closed"),
        ("{name: a, run: x, files: 'echo oh >&2; exit 3'}", "failed with exit code 3: oh"),
    ],
)
def test_a_hook_that_cannot_run_fails_and_leaves_the_others_alone(
    home: Any, jobs: str, said: str
) -> None:
    gate = "worktree-pre-create: {jobs: [{run: 'echo gate >> \"$OUT\"'}]}"
    project = home.repository(f"hooks: {{{gate}, worktree-post-create: {{jobs: [{jobs}]}}}}\n")
    out = home.root / "out"

    started = home.daft("start", "y", cwd=project, OUT=str(out))
    checked = home.daft("hooks", "validate", cwd=project)

    assert started.returncode == 1
    assert said in started.stderr
    assert out.read_text() == "gate\n"
    assert (home.root / "project.y").is_dir(), "what was made is kept"
    # Whether files and directories are there is for the moment of the fire to find out.
    if said not in ONLY_WHEN_FIRED:
        assert checked.returncode == 1
        assert said in checked.stderr


ONLY_WHEN_FIRED = (
    "project.y/no/where does not exist; correct `root`",
    "project.y/daft.yml is no directory",
    "holds {merge_source_path}",
    "failed with exit code 3: oh",
)


def test_an_unknown_name_is_told_and_stops_nothing(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-pst-create: {jobs: [{run: x}]}}\nlayot: contained\n"
    )

    started = home.daft("start", "y", cwd=project)
    checked = home.daft("hooks", "validate", cwd=project)

    assert started.returncode == 0, started.stderr
    assert "did you mean 'worktree-post-create'" in started.stderr
    assert "did you mean 'layout'" in started.stderr
    assert checked.returncode == 1
    assert "1 error(s), 1 warning(s)" in checked.stderr


def test_git_that_fails_is_quoted(home: Any) -> None:
    project = home.repository()
    hook = project / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" = prepared ] || exit 0\necho git says no >&2\nexit 1\n')
    hook.chmod(0o755)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 1
    assert "git says no" in done.stderr
    assert not (home.root / "project.x").exists()


def test_no_git_at_all(home: Any) -> None:
    project = home.repository()

    done = home.daft("list", cwd=project, PATH="/nowhere")

    assert done.returncode == 1
    assert "git 2.31 or newer" in done.stderr


# --- hooks ------------------------------------------------------------------------------------


def test_consent_is_asked_for_and_can_be_refused(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: 'true'}"), trust=False)

    asked = home.daft("hooks", "trust", cwd=project, stdin="n\n")
    assert asked.returncode == 1
    assert "Aborted" in asked.stderr
    assert "worktree-post-create/a: true" in asked.stdout
    assert home.daft("hooks", "trust", cwd=project, stdin="y\n").returncode == 0
    assert "nothing to do" in home.daft("hooks", "trust", cwd=project).stdout
    assert "allow" in home.daft("hooks", "status", cwd=project).stdout
    assert home.daft("hooks", "deny", "-f", cwd=project).returncode == 0
    status = home.daft("hooks", "status", cwd=project).stdout
    assert "deny (the repository is denied)" in status
    assert "✓ a" not in home.daft("start", "x", cwd=project).stderr


def test_a_hook_runs_by_hand_and_its_job_gives_the_code(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: a, run: touch ran}, {name: b, run: exit 7, needs: [a]}, {name: c, run: 'kill -9 $$'}"
        ),
        trust=False,
    )

    assert (
        home.daft("hooks", "run", "worktree-post-create", "--job", "a", cwd=project).returncode == 0
    )
    assert (project / "ran").exists()
    alone = home.daft("hooks", "run", "worktree-post-create", "--job", "b", cwd=project)
    assert alone.returncode == 7
    assert "although needed: a" in alone.stderr
    assert (
        home.daft("hooks", "run", "worktree-post-create", "--job", "c", cwd=project).returncode
        == 137
    )
    assert "Available hooks" in home.daft("hooks", "run", cwd=project).stdout
    plan = home.daft("hooks", "run", "worktree-post-create", "--dry-run", cwd=project)
    assert "b (needs a): exit 7" in plan.stdout


def test_what_an_untrusted_repository_skipped_can_be_replayed(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch ran}"), trust=False)
    home.daft("start", "x", cwd=project)
    assert "skipped-untrusted" in home.daft("list", cwd=project).stdout

    trusted = home.daft("hooks", "trust", "-f", cwd=project)
    assert f"daft -C {home.root}/project.x hooks run worktree-post-create" in trusted.stdout
    home.daft("-C", "../project.x", "hooks", "run", "worktree-post-create", cwd=project)

    rows = {
        r["name"]: r for r in json.loads(home.daft("list", "--format", "json", cwd=project).stdout)
    }
    assert rows["x"]["setup_state"] == "ok"
    assert (home.root / "project.x" / "ran").exists()


def test_skip_hooks_leaves_out_and_warns_of_what_it_does_not_find(home: Any) -> None:
    project = home.repository(
        POST.format("{name: a, run: touch a}, {name: b, run: touch b, needs: [a]}")
    )

    done = home.daft("start", "x", "--skip-hooks", "b,zz", cwd=project)
    none = home.daft("start", "y", "--skip-hooks", "all", cwd=project)

    assert (home.root / "project.x" / "a").exists()
    assert not (home.root / "project.x" / "b").exists()
    assert "'zz' matches no hook or job" in done.stderr
    assert none.returncode == 0
    assert not (home.root / "project.y" / "a").exists()


# --- jobs -------------------------------------------------------------------------------------


@pytest.mark.fault("F-17", "terminal")
def test_logs_follow_cancel_and_wait(home: Any, until: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: talk, run: 'echo one; sleep 0.2; echo two; printf \"\\\\033[2J\"', background: true},"
            "{name: hang, run: sleep 300, background: true}, {name: bad, run: exit 3, background: true}"
        )
    )
    home.environment["DAFT_JOBS_WORKERS"] = "4"
    home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"

    followed = home.daft("jobs", "logs", "-f", "talk", cwd=tree)
    assert "one\ntwo\n" in followed.stdout
    assert "\x1b" not in followed.stdout
    assert home.daft("jobs", "wait", "bad", cwd=tree).returncode == 1
    assert home.daft("jobs", "wait", "talk", cwd=tree).returncode == 0
    slow = home.daft("jobs", "wait", "hang", "--timeout", "100ms", cwd=tree)
    assert slow.returncode == 124
    dry = home.daft("jobs", "cancel", "hang", "--dry-run", cwd=tree)
    assert "would cancel" in dry.stdout
    cancelled = home.daft("jobs", "cancel", "hang", cwd=tree)
    assert cancelled.returncode == 0, cancelled.stderr
    assert "cancelled" in cancelled.stdout
    assert home.daft("jobs", "cancel", "hang", cwd=tree).returncode == 3
    raw = home.daft("jobs", "logs", "talk", "--raw", cwd=tree)
    assert raw.stdout.startswith("one\ntwo\n\x1b[2J")
    assert home.daft("jobs", "logs", "bad", "--exit-code", cwd=tree).returncode == 3
    last = home.daft("jobs", "logs", "talk", "--tail", "2", "--stdout", cwd=tree).stdout
    shown = last.partition("--- output ---\n")[2].split("\n")
    assert shown[:2] == ["two", "\\x1b[2J"]
    wrong = home.daft("jobs", "logs", "--since", "soon", "talk", cwd=tree)
    assert wrong.returncode == 2


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can start processes of two users",
)
def test_a_job_that_runs_as_another_user_is_told_with_what_stops_it(home: Any, until: Any) -> None:
    job = "{name: rooted, run: 'exec setpriv --reuid 65534 --clear-groups sleep 60',"
    project = home.repository(POST.format(job + " background: true}"))
    without_rights = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]
    daft = [*without_rights, sys.executable, "-m", "daft_cli"]
    assert home.run(*daft, "start", "x", cwd=project).returncode == 0
    tree = home.root / "project.x"
    until(lambda: "setpriv" not in shown_by_ps(home, tree), "the job is another user's")

    refused = home.run(*daft, "jobs", "cancel", "rooted", cwd=tree)

    assert refused.returncode == 1
    assert "rooted was not stopped: it runs as another user" in refused.stderr
    stops_it = refused.stderr.partition("`sudo ")[2].partition("`")[0]
    assert home.run(*stops_it.split(), cwd=tree).returncode == 0
    until(lambda: home.jobs(tree)["rooted"]["status"] == "cancelled", "its end is recorded")


def shown_by_ps(home: Any, tree: Path) -> str:
    """Return the command that the running job of a worktree is by now."""
    pid = next(
        line.partition("pid=")[2].split()[0]
        for line in home.daft("jobs", "logs", "rooted", cwd=tree).stdout.splitlines()
        if "pid=" in line
    )
    return psutil.Process(int(pid)).cmdline()[0]


@pytest.mark.parametrize("written", ["  {0}\n\n", "{{{0}}}", "urn:uuid:{0}"])
def test_an_identity_means_the_same_repository_however_it_is_written(
    home: Any, written: str
) -> None:
    project = home.repository("hooks:\n  post-clone:\n    jobs:\n      - {name: a, run: ':'}\n")
    assert home.daft("hooks", "run", "post-clone", cwd=project).returncode == 0
    identity = project / ".git" / "daft-id"
    identity.write_text(written.format(identity.read_text().upper()))

    assert set(home.jobs(project)) == {"a"}
    assert home.daft("jobs", "logs", "a", cwd=project).returncode == 0


@pytest.mark.parametrize("written", ["junk", "../elsewhere", "{0}\njunk"])
def test_an_identity_that_is_none_is_told_and_leads_nowhere(home: Any, written: str) -> None:
    project = home.repository("hooks:\n  post-clone:\n    jobs:\n      - {name: a, run: ':'}\n")
    assert home.daft("hooks", "run", "post-clone", cwd=project).returncode == 0
    identity = project / ".git" / "daft-id"
    record = home.root / "state" / "jobs" / identity.read_text()
    shutil.copytree(record, home.root / "state" / "elsewhere")
    identity.write_text(written.format(identity.read_text()))

    for words in (["jobs"], ["jobs", "logs", "a"], ["jobs", "prune"], ["jobs", "--repo", "."]):
        done = home.daft(*words, cwd=project)
        assert done.returncode == 4, words
        assert f"{identity} does not hold a repository id; deleting it makes" in done.stderr
        assert done.stdout == ""
    assert home.daft("__complete", "hooks-jobs-job", "", cwd=project).stdout == ""
    hook = home.daft("hooks", "run", "post-clone", cwd=project)
    assert hook.returncode == 0
    assert "jobs run unrecorded" in hook.stderr
    assert identity.read_text() == written.format(record.name)


def test_a_blank_identity_is_no_history_till_a_hook_makes_one(home: Any) -> None:
    project = home.repository("hooks:\n  post-clone:\n    jobs:\n      - {name: a, run: ':'}\n")
    identity = project / ".git" / "daft-id"
    identity.write_text(" \n")

    assert "No background job history" in home.daft("jobs", cwd=project).stdout
    assert identity.read_text() == " \n"
    assert home.daft("hooks", "run", "post-clone", cwd=project).returncode == 0
    assert set(home.jobs(project)) == {"a"}


def test_a_hook_run_is_shown_followed_and_waited_for_as_a_whole(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: first, run: 'echo f; sleep 0.3; echo g', background: true},"
            "{name: second, run: 'sleep 0.1; echo s; exit 4', background: true},"
            "{name: third, run: 'echo t', background: true, needs: [second]}"
        )
    )
    home.environment["DAFT_JOBS_WORKERS"] = "4"
    home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"

    followed = home.daft("jobs", "logs", "-f", "--exit-code", cwd=tree)
    waited = home.daft("jobs", "wait", "--hook", "worktree-post-create", cwd=project)
    (row,) = json.loads(home.daft("jobs", "wait", "first", "--format", "json", cwd=tree).stdout)
    run = row["invocation_id"]
    whole = home.daft("jobs", "logs", run[:6], cwd=project).stdout

    assert followed.returncode == 4
    lines = followed.stdout.split("\n")
    assert [line for line in lines if line.startswith("first  │")][1:3] == [
        "first  │ f",
        "first  │ g",
    ]
    assert "second │ s" in lines
    assert any("third  │ [status] note dependency failed" in line for line in lines)
    assert waited.stderr == "Nothing to wait for.\n"
    assert (row["status"], row["address"]) == ("completed", f"x@{run[:8]}/first")
    assert whole.startswith(f"worktree-post-create [{run[:4]}]\n")
    assert "══ COMPLETED first" in whole
    assert "══ FAILED second" in whole
    assert home.daft("jobs", "wait", "--inv", run, cwd=project).returncode == 1
    assert home.daft("jobs", "logs", "second", "--exit-code", cwd=tree).returncode == 4


def test_an_address_is_a_name_a_run_its_full_form_or_the_last_shown(home: Any) -> None:
    project = home.repository(
        POST.format("{name: db, run: 'echo $DAFT_BRANCH_NAME'}, {name: 'a:b', run: echo colon}")
    )
    for name in ("x", "y"):
        home.daft("start", name, cwd=project)
    rows = home.jobs(project, "--worktree", "x")
    run = rows["db"]["invocation_id"]

    def printed(*words: str, tree: str = "project.x") -> str:
        done = home.daft("jobs", "logs", "--raw", *words, cwd=home.root / tree)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert printed("db") == "x", "a job that looks like hex digits is a job"
    assert printed("db", tree="project.y") == "y"
    assert printed("x:db", tree="project.y") == "x"
    assert printed(f"x@{run[:8]}/db", tree="project.y") == "x"
    assert printed("-", tree="project.y") == "x"
    assert printed("a:b") == "colon"
    assert printed(f"{run[:5].upper()}:a:b", tree="project.y") == "colon"
    assert printed("--inv", run, "--job", "db", tree="project.y") == "x"
    assert printed(tree="project.y") == "y\ncolon"
    lost = home.daft("jobs", "logs", f"{run[:6]}:nope", cwd=project)
    assert lost.returncode == 1
    assert "has other jobs (db, a:b)" in lost.stderr
    identity = (project / ".git" / "daft-id").read_text()
    shutil.rmtree(project)
    gone = home.daft("jobs", "--repo", identity[:8], "logs", "x:db", "--raw", cwd=home.root)
    assert gone.stdout == "x\n"
    lines = "{% for job in items %}{{ job.worktree }}/{{ job.name }}\n{% endfor %}"
    listed = home.daft("jobs", "--repo", identity, "--template", lines, cwd=home.root)
    assert listed.stdout == "x/db\nx/a:b\ny/db\ny/a:b\n"


def test_every_address_that_completion_offers_means_something(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: db, run: echo one}, {name: 'a:b', run: 'echo two; exit 1'},"
            "{name: 1f2b, run: echo three}"
        )
    )
    for name in ("feat/x", "y"):
        home.daft("start", name, cwd=project)
    tree = home.root / "project.y"

    def offered(context: str, word: str = "") -> list[list[str]]:
        done = home.daft("__complete", context, word, cwd=tree)
        assert (done.returncode, done.stderr) == (0, "")
        return [line.split("\t") for line in done.stdout.splitlines()]

    first = offered("hooks-jobs-job")
    assert [kind for kind, *_ in first] == ["JOB"] * 3 + ["INV", "WT"]
    assert first[-1][1] == "feat/x:"
    words = ["", "feat/x:", "y:", f"{first[3][1]}:", f"y:{first[3][1]}:"]
    for kind, address, _ in [one for word in words for one in offered("hooks-jobs-job", word)]:
        if kind != "WT":
            done = home.daft("jobs", "logs", "--raw", address, cwd=tree)
            assert done.returncode == 0, (address, done.stderr)
            assert done.stdout.count("\n") == (1 if kind == "JOB" else 3), address
    # A run's id may begin like that as well.
    assert [one[1] for one in offered("hooks-jobs-job", "d") if one[0] == "JOB"] == ["db"]
    assert [one[0] for one in offered("hooks-jobs-retry")] == [
        "worktree-post-create",
        first[3][1],
        "a:b",
    ]
    assert [one[0] for one in offered("hooks-jobs-worktree", "f")] == ["feat/x"]
    assert [one[0] for one in offered("hooks-jobs-retry-worktree")] == ["feat/x", "y"]
    assert [one[0] for one in offered("hooks-jobs-hook-filter")] == ["worktree-post-create"]


def test_cancel_takes_only_what_fits_everything_that_was_said(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: hang, run: sleep 300, background: true, tags: [slow]},"
            "{name: other, run: sleep 300, background: true}"
        )
    )
    home.environment["DAFT_JOBS_WORKERS"] = "8"
    for name in ("x", "y"):
        home.daft("start", name, cwd=project)

    def states() -> dict[str, str]:
        done = home.daft("jobs", "--all", "--format", "json", cwd=project)
        return {
            f"{row['worktree']}/{row['name']}": row["status"] for row in json.loads(done.stdout)
        }

    def cancel(*words: str) -> Any:
        return home.daft("jobs", "cancel", *words, cwd=home.root / "project.x")

    run = home.jobs(project, "--worktree", "y")["hang"]["invocation_id"]
    assert cancel("other", "--tag", "slow").returncode == 3
    assert cancel("--tag", "slow", "--older-than", "1h").returncode == 3
    assert cancel("--tag", "slow", "--older-than", "1h", "--quiet-if-none").returncode == 0
    assert cancel("hang", "--inv", run).returncode == 0
    assert states()["y/hang"] == "cancelled"
    assert states()["x/hang"] != "cancelled"
    assert states()["y/other"] != "cancelled"
    (row,) = json.loads(cancel("x:hang", "--kill", "--format", "json").stdout)
    assert (row["name"], row["status"], row["worktree"]) == ("hang", "cancelled", "x")
    dry = cancel("--all", "--dry-run", "--format", "ndjson").stdout
    assert [json.loads(line)["name"] for line in dry.splitlines()] == ["other", "other"]
    assert cancel("--all").returncode == 0
    assert set(states().values()) == {"cancelled"}


def test_an_interrupted_viewer_leaves_the_job_alone(home: Any, until: Any) -> None:
    project = home.repository(
        POST.format("{name: a, run: 'echo hello; sleep 300', background: true}")
    )
    home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"

    viewer = home.start_daft("jobs", "logs", "-f", "a", cwd=tree)
    assert viewer.stdout.readline().startswith("[status] started")
    assert viewer.stdout.readline() == "hello\n"
    viewer.send_signal(signal.SIGINT)

    assert viewer.wait(30) == 130
    assert viewer.stderr.read() == "interrupted\n"
    viewer.stdout.close()
    viewer.stderr.close()
    assert home.jobs(tree)["a"]["status"] == "running"


def test_the_listing_filters(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: 'true'}"))
    for name in ("x", "y", "z"):
        home.daft("start", name, cwd=project)

    def shown(*words: str) -> list[str]:
        done = home.daft("jobs", "--format", "json", *words, cwd=project)
        return [row["worktree"] for row in json.loads(done.stdout)]

    assert shown("--all") == ["x", "y", "z"]
    assert shown() == ["x", "y", "z"], "this worktree has none, so the repository's are shown"
    assert shown("--worktree", "y") == ["y"]
    assert shown("--all", "--last") == ["z"]
    assert shown("--all", "--last", "2") == ["y", "z"]
    assert "only the newest 2 runs" in home.daft("jobs", "--limit", "2", cwd=project).stderr
    assert home.daft("jobs", "--limit", "3", cwd=project).stderr == ""
    assert shown("--failed") == []
    assert shown("--hook", "post-clone") == []
    assert home.daft("hooks", "jobs", "ls", cwd=project).stdout.count("✓ completed") == 3


def test_reading_creates_nothing(home: Any) -> None:
    project = home.repository()
    before = sorted(str(path) for path in home.root.rglob("*"))

    for words in (
        ["jobs"],
        ["jobs", "--format", "json"],
        ["jobs", "logs", "x"],
        ["hooks", "status"],
    ):
        home.daft(*words, cwd=project)

    assert sorted(str(path) for path in home.root.rglob("*")) == before


@pytest.mark.fault("F-10", "it")
def test_a_newer_store_is_refused_with_its_own_code(home: Any) -> None:
    import apsw

    project = home.repository(POST.format("{name: a, run: 'true'}"))
    home.daft("start", "x", cwd=project)
    (path,) = (home.root / "state" / "jobs").glob("*/coordinator.db")
    db = apsw.Connection(str(path))
    db.pragma("user_version", 99)
    db.close()

    listed = home.daft("jobs", cwd=project)
    started = home.daft("start", "y", cwd=project)

    assert listed.returncode == 4
    assert "upgrade daft" in listed.stderr
    assert started.returncode == 0
    assert "unrecorded" in started.stderr


# --- the shell --------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_shell_ends_up_where_daft_says(home: Any, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    project = home.repository()
    bin_dir = home.root / "bin"
    bin_dir.mkdir()
    daft = bin_dir / "daft"
    daft.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m daft_cli "$@"\n')
    daft.chmod(0o755)
    script = (
        'set -eu; eval "$(daft shell-init ' + shell + ')"; daft start "x" >/dev/null 2>&1; pwd;'
        " daft go - >/dev/null; pwd; daft go x >/dev/null; daft remove x >/dev/null; pwd;"
        " daft start nonsense..name 2>/dev/null || echo failed $?"
    )

    done = home.run(shell, "-c", script, cwd=project, PATH=f"{bin_dir}:{os.environ['PATH']}")

    assert done.stdout.split("\n") == [
        str(home.root / "project.x"), str(project), str(project), "failed 1", "",
    ], done.stderr  # fmt: skip


def test_progress_is_live_on_a_terminal(home: Any) -> None:
    project = home.repository(POST.format("{name: speak, run: 'echo hello; sleep 0.5; echo bye'}"))
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "daft_cli", "start", "x"],
        cwd=project,
        env={**home.environment, "TERM": "xterm", "COLUMNS": "100"},
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    seen = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(parent)

    assert process.wait(30) == 0
    text = seen.decode()
    assert "hello" in text
    assert "✓" in text
    assert "\x1b[" in text
