"""Cases that went wrong once, each about what hooks leave behind, or are told."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from typing import Any

import pytest

POST = "hooks: {{worktree-post-create: {{jobs: [{0}]}}}}\n"
RUN = ("hooks", "run", "worktree-post-create")
PASSWORD = "only-for-me"


def test_a_removal_never_writes_configuration_of_another_worktree(home: Any) -> None:
    project = home.repository()
    mine = project / "daft.yml"
    mine.write_text("rc: old\n")
    for name in ("stale", "changed"):
        assert home.daft("start", name, cwd=project).returncode == 0
    (home.root / "project.changed" / "daft.yml").write_text("rc: other\n")
    newer = b"# newer\r\nrc:   new\n"
    mine.write_bytes(newer)

    taken = home.daft("hooks", "consolidate", "stale", cwd=project)
    gone = [home.daft("remove", *words, cwd=project) for words in (["stale"], ["-f", "changed"])]

    assert [one.returncode for one in (taken, *gone)] == [0, 0, 0], gone
    assert "nothing to take over" in taken.stdout
    assert mine.read_bytes() == newer


def test_a_failed_gate_names_its_log(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-pre-create: {jobs: [{name: the gate, run: echo not today; exit 3}]}}\n"
    )

    failed = home.daft("start", "x", cwd=project)
    home.daft("start", "y", cwd=project)
    (line,) = [one for one in failed.stderr.split("\n") if "its log: " in one]
    shown = home.run(*shlex.split(line.split("its log: ")[1]), cwd=project, PATH=_with_daft(home))

    assert failed.returncode == 1
    assert shown.returncode == 0, shown.stderr
    assert "FAILED the gate" in shown.stdout
    assert "worktree: x" in shown.stdout
    assert "not today" in shown.stdout


def _with_daft(home: Any) -> str:
    """Return a PATH on which `daft` is the one that is tested."""
    directory = home.root / "bin"
    directory.mkdir(exist_ok=True)
    program = directory / "daft"
    if not program.exists():
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m daft_cli "$@"\n')
        program.chmod(0o755)
    return f"{directory}:{home.environment['PATH']}"


def test_a_slow_git_holds_up_no_other_decision(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch a}"), trust=False)
    other = home.repository(POST.format("{name: a, run: touch a}"), trust=False, name="other")
    home.git("remote", "add", "origin", "https://example.org/r.git", cwd=project)
    path = _with_daft(home)
    git = shutil.which("git", path=path)
    # While one decision asks git for its remote, another one is made, and must not wait.
    wrapper = home.root / "bin" / "git"
    wrapper.write_text(
        "#!/bin/sh\n"
        'case "$NESTED $*" in " "*" remote get-url "*) export NESTED=1\n'
        f"  (cd {other} && timeout 20 daft hooks trust -f >&2 && touch {home.root}/decided);; esac\n"
        f'exec {git} "$@"\n'
    )
    wrapper.chmod(0o755)

    done = home.daft("hooks", "trust", "-f", cwd=project, PATH=path)
    listed = home.daft("hooks", "list", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "decided").exists(), done.stderr
    assert str(project) in listed.stdout
    assert str(other) in listed.stdout


def test_the_header_of_a_hook_comes_before_what_its_jobs_print(home: Any) -> None:
    project = home.repository(
        POST.format("{name: a, run: echo hello; sleep 0.3, description: says hello}")
    )

    code, shown = home.on_terminal("start", "x", "-v", cwd=project)

    assert code == 0, shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    places = [
        plain.index(text)
        for text in (
            "worktree-post-create · x",
            "a $ echo hello; sleep 0.3  # says hello",
            "a │ hello",
            "✓ a",
            "Created worktree",
        )
    ]
    assert places == sorted(places)


def test_the_environment_of_a_job_goes_before_what_is_given_to_it(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: a, run: 'echo $MAKEFLAGS $DAFT_BRANCH_NAME > told',"
            " env: {MAKEFLAGS: -j1, DAFT_BRANCH_NAME: mine}}"
        )
    )

    done = home.daft("start", "x", cwd=project, MAKEFLAGS="-j8")

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.x" / "told").read_text() == "-j1 mine\n"


TELL = "echo '{repository_url} {default_branch}' $DAFT_REPOSITORY_URL $DAFT_DEFAULT_BRANCH > told"


def test_a_clone_tells_its_hook_where_it_came_from_but_no_password(home: Any) -> None:
    source = home.repository(
        f'hooks: {{post-clone: {{jobs: [{{name: a, run: "{TELL}"}}]}}}}\n',
        trust=False,
        name="source",
    )
    url = f"https://me:{PASSWORD}@example.org/source"
    home.git("config", "--global", f"url.{source}.insteadOf", url, cwd=home.root)

    cloned = home.daft("clone", "--trust-hooks", url, "copy", cwd=home.root)
    unseen = home.daft("clone", url, "other", cwd=home.root)

    assert (cloned.returncode, unseen.returncode) == (0, 0), cloned.stderr + unseen.stderr
    plain = "https://example.org/source main"
    assert (home.root / "copy" / "told").read_text() == f"{plain} {plain}\n"
    assert not (home.root / "other" / "told").exists()
    kept = [path for top in ("state", "data") for path in (home.root / top).rglob("*")]
    assert [str(p) for p in kept if p.is_file() and PASSWORD.encode() in p.read_bytes()] == []


def test_a_post_clone_hook_by_hand_knows_where_the_clone_came_from(home: Any) -> None:
    source = home.repository(
        f'hooks: {{post-clone: {{jobs: [{{name: a, run: "{TELL}"}}]}}}}\n',
        trust=False,
        name="source",
    )
    home.git("clone", "-q", f"file://{source}", "copy", cwd=home.root)

    done = home.daft("hooks", "run", "post-clone", cwd=home.root / "copy")

    assert done.returncode == 0, done.stderr
    told = f"file://{source} main"
    assert (home.root / "copy" / "told").read_text() == f"{told} {told}\n"


@pytest.mark.parametrize("placement", [[], ["--hooks", "foreground"]])
@pytest.mark.parametrize(("ends", "code"), [("true", 0), ("false", 1)])
def test_without_a_background_all_is_done_on_return(
    home: Any, placement: list[str], ends: str, code: int
) -> None:
    project = home.repository(
        POST.format(f"{{name: a, background: true, run: 'sleep 0.3; touch marker; {ends}'}}")
    )
    said = {} if placement else {"DAFT_NO_BACKGROUND_JOBS": "0"}

    done = home.daft("start", "x", *placement, cwd=project, **said)

    assert done.returncode == code, done.stderr
    assert (home.root / "project.x" / "marker").exists()
    assert home.leaders() == []


def test_consent_counts_wherever_in_the_repository_it_was_given(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch a}"), trust=False)
    home.daft("start", "x", "--skip-hooks", "all", cwd=project)
    (home.root / "link").symlink_to(home.root / "project.x")
    inside = home.root / "link" / "deep" / "down"
    inside.mkdir(parents=True)

    trusted = home.daft("hooks", "trust", "-f", cwd=inside, PWD=str(inside))
    done = home.daft("start", "y", cwd=project)
    again = home.daft("start", "z", cwd=home.root / "link")

    assert trusted.returncode == 0, trusted.stderr
    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert (home.root / "project.y" / "a").exists()
    assert (home.root / "project.z" / "a").exists()
    assert len(home.daft("hooks", "list", cwd=project).stdout.splitlines()) == 1


def test_a_script_is_found_in_its_directory_whatever_its_job_stands_in(home: Any) -> None:
    project = home.repository(POST.format("{name: a, script: 'set up.sh', root: sub}"), trust=False)
    for name, text in (("sub/keep", ""), (".daft/set up.sh", "#!/bin/sh\npwd > told\n")):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
        (project / name).chmod(0o755)
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "script", cwd=project)
    home.daft("hooks", "trust", "-f", cwd=project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    sub = home.root / "project.x" / "sub"
    assert (sub / "told").read_text() == f"{sub}\n"


def test_the_gate_of_a_branch_is_that_of_its_commit_with_all_its_files(home: Any) -> None:
    project = home.repository("rc: never\n", trust=False)
    home.git("checkout", "-qb", "configured", cwd=project)
    files = {
        "daft.yml": "extends: more.yml\nhooks: {worktree-pre-create: {jobs: [{name: a, run: echo a >> $HOME/ran}]}}\n",
        "more.yml": "hooks: {worktree-pre-create: {parallel: false, jobs: [{name: b, run: echo b >> $HOME/ran}]}}\n",
        "worktree-pre-create.yml": "jobs: [{name: c, run: echo c >> $HOME/ran}]\n",
        "daft.local.yml": "hooks: {worktree-pre-create: {jobs: [{name: a, run: echo local >> $HOME/ran}]}}\n",
    }
    for name, text in files.items():
        (project / name).write_text(text)
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "configured", cwd=project)
    home.daft("hooks", "trust", "-f", cwd=project)
    home.git("checkout", "-q", "main", cwd=project)
    # Where one stands is another configuration; it says nothing of the gate of that branch.
    (project / "daft.yml").write_text(
        "hooks: {worktree-pre-create: {jobs: [{name: a, run: touch $HOME/wrong}]}}\n"
    )

    done = home.daft("go", "configured", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "ran").read_text().split() == ["local", "b", "c"]
    assert not (home.root / "wrong").exists()


def test_a_file_that_is_extended_and_not_there_stops_what_is_made(home: Any) -> None:
    project = home.repository("extends: [gone.yml]\n", trust=False)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 1
    assert "'gone.yml' does not exist (extended by daft.yml)" in done.stderr
    assert not (home.root / "project.x").exists()


def test_all_that_is_written_is_written_where_it_was_told_to(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch a}"))
    trees = [project, home.root / "state", home.root / "data", home.root / "project.x"]

    for words in (
        ["start", "x"],
        ["list"],
        ["hooks", "status"],
        ["env"],
        ["jobs", "logs", "a"],
        ["go", "x"],
        ["remove", "x"],
        ["jobs", "prune", "--all"],
    ):
        done = home.daft(*words, cwd=project)
        assert "Traceback" not in done.stderr

    elsewhere = {
        os.path.relpath(path, home.root)
        for path in home.root.rglob("*")
        if not any(path.is_relative_to(tree) for tree in trees)
    }
    assert elsewhere == {"gitconfig"}


def test_what_hooks_plan_shows_is_what_hooks_run_does(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: late, run: 'echo {branch} $A', env: {A: '{worktree_path}'}, priority: 2},"
            "{name: early, run: echo 1}, {name: never, run: exit 9, skip: true},"
            "{name: behind, run: echo 2, background: true, needs: [early]},"
            "{name: other, run: {windows: exit 9}}"
        )
    )

    shown = json.loads(home.daft("hooks", "plan", *RUN[2:], "--format", "json", cwd=project).stdout)
    ran = home.daft(*RUN, cwd=project)
    home.daft("jobs", "wait", cwd=project)
    jobs = home.jobs(project)

    assert ran.returncode == 0, ran.stderr
    assert {job["name"] for job in shown["jobs"]} == set(jobs)
    for job in shown["jobs"]:
        row = jobs[job["name"]]
        assert job["command"] == row["command"]
        assert (job["place"] == "skipped") == (row["status"] == "skipped")
        assert (job["place"] == "background") == (row["background"] and job["place"] != "skipped")


WARNING = """
import sys, threading
from daft_cli.presenter import Presenter
from daft_cli.terminal import warn
from daft_protocol.jobs import JobSpec
shown = Presenter()
shown.hook_started("worktree-post-create", "x", 1)
shown.job_started(sys.modules["types"].SimpleNamespace(
    uid="1", name="a", spec=JobSpec(name="a", command="x")))
others = [threading.Thread(target=warn, args=(f"number {n}",)) for n in range(20)]
for one in others: one.start()
for one in others: one.join()
shown.hook_finished("worktree-post-create", True)
"""


def test_warnings_from_anywhere_stand_on_lines_of_their_own(home: Any) -> None:
    code, shown = home.program_on_terminal(sys.executable, "-c", WARNING)

    assert code == 0, shown
    # What is drawn is wiped before a line is printed, and drawn again below it.
    lines = [line.split("\x1b[2K")[-1].strip("\r") for line in shown.split("\n")]
    assert {f"warning: number {n}" for n in range(20)} <= set(lines), shown


def on_screen(text: str) -> list[str]:
    """Return the lines a terminal shows in the end: what is drawn over or wiped is gone."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("A"):
            row -= int(part[2:-1] or 1)
            assert row >= 0, "drawn above the beginning"
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


def test_an_interrupted_hook_leaves_a_whole_screen(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: one, run: 'echo ready; sleep 300'},"
            "{name: two, run: 'sleep 300'},"
            "{name: ask, run: read x, interactive: true, needs: [one]},"
            "{name: after, run: sleep 300, needs: [two]}"
        )
    )
    daft = shlex.join([sys.executable, "-m", "daft_cli", "start", "x"])

    _, shown = home.program_on_terminal(
        *("sh", "-c", f"trap : INT; {daft}; echo code $?; stty -a"),
        cwd=project,
        typed=(("ready", "typed blindly\n\x03"),),
    )

    screen = on_screen(shown)
    assert screen[0] == "worktree-post-create · x · 4 jobs"
    ended = screen.index("interrupted: worktree-post-create was stopped")
    assert {re.sub(r" \d+(ms|\.\ds)", "", line) for line in screen[1:ended]} == {
        "stopping the jobs; Ctrl+C again kills them",
        "— one (cancelled)",
        "— two (cancelled)",
        "— ask (cancelled before it started)",
        "— after (cancelled before it started)",
    }
    assert screen[ended + 1].startswith("error: the worktree is kept at")
    assert any(
        line.startswith("  tip: to finish it:") and line.endswith("hooks run worktree-post-create")
        for line in screen[ended:]
    )
    assert "code 130" in screen
    assert " echo " in shown.split("code 130")[1], "the terminal shows again what is typed"


def test_who_interrupts_a_clone_gets_no_further_worktree(home: Any) -> None:
    source = home.repository(
        POST.format("{name: a, run: 'echo ready; test $DAFT_BRANCH_NAME != b || sleep 300'}"),
        trust=False,
        name="source",
    )
    for name in ("b", "c"):
        home.git("branch", name, cwd=source)

    code, shown = home.on_terminal(
        *("clone", "--trust-hooks", "-b", "main", "-b", "b", "-b", "c", str(source), "copy"),
        cwd=home.root,
        typed=(("worktree-post-create · b", ""), ("ready", "\x03")),
    )

    assert code == 130, shown
    assert (home.root / "copy.b").exists()
    assert not (home.root / "copy.c").exists()
    assert "to finish it: daft -C" in shown


def test_conditions_know_what_is_derived_for_the_worktree(home: Any) -> None:
    project = home.repository(
        "env: {salt: s, ports: [WEB], values: {NAME: '{worktree_slug}'}}\n"
        + POST.format(
            "{name: a, run: 'echo $WEB $NAME > job', skip: [{run: 'echo $WEB $NAME > asked; false'}]}"
        )
    )

    done = home.daft("start", "x", cwd=project)

    tree = home.root / "project.x"
    assert done.returncode == 0, done.stderr
    assert (tree / "asked").read_text() == (tree / "job").read_text()
    assert (tree / "asked").read_text().split()[1] == "project-x"


def test_a_removal_without_a_branch_names_the_commit(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-pre-remove: {jobs: [{name: a, run: 'echo \"$DAFT_COMMIT,$DAFT_BRANCH_NAME\" >> $HOME/told'}]}}\n"
    )
    oid = home.git("rev-parse", "HEAD", cwd=project)
    home.git("worktree", "add", "-q", "--detach", "../loose", cwd=project)
    home.git("worktree", "add", "-q", "-b", "x", "../x", cwd=project)

    done = [home.daft("remove", "-f", name, cwd=project) for name in ("../loose", "x")]

    assert [one.returncode for one in done] == [0, 0], done
    assert (home.root / "told").read_text() == f"{oid},\n,x\n"


def test_a_worktree_that_is_gone_already_is_cleaned_up_after(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-remove: {jobs: [{name: a, run: 'echo $DAFT_BRANCH_NAME >> $HOME/told'}]}}\n"
    )
    home.daft("start", "x", cwd=project)
    shutil.rmtree(home.root / "project.x")

    done = home.daft("remove", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "told").read_text() == "x\n"


def test_who_interrupts_a_removal_loses_nothing_further(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-pre-remove: {jobs: [{name: a, run: 'echo ready; sleep 300'}]}}\n"
    )
    for name in ("x", "y"):
        home.daft("start", name, cwd=project)

    code, shown = home.on_terminal("remove", "x", "y", cwd=project, typed=(("ready", "\x03"),))

    assert code == 130, shown
    assert "it was kept: its worktree-pre-remove hook was interrupted" in shown
    assert (home.root / "project.x").exists()
    assert (home.root / "project.y").exists()


def test_an_interrupt_stops_the_verb_also_behind_a_failure_that_would_not(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-pre-remove: {fail_mode: warn, jobs: ["
        "{name: bad, run: touch $HOME/over; exit 3},"
        "{name: slow, run: until test -e $HOME/over; do sleep 0.05; done; echo ready; sleep 300}]}}\n"
    )
    home.daft("start", "x", cwd=project)

    code, shown = home.on_terminal("remove", "x", cwd=project, typed=(("ready", "\x03"),))

    assert code == 130, shown
    assert "continuing anyway" not in shown
    assert (home.root / "project.x").exists()


def test_a_worktree_without_a_branch_is_on_head_for_conditions(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {jobs: ["
        "{name: here, only: [{ref: HEAD}], run: echo ran},"
        "{name: elsewhere, only: [{ref: main}], run: echo no}]}}\n"
    )
    tree = home.root / "tree"
    home.git("worktree", "add", "-q", "--detach", str(tree), cwd=project)

    done = home.daft(*RUN, cwd=tree)
    on_a_branch = home.daft(*RUN, "--dry-run", cwd=project)

    assert done.returncode == 0, done.stderr
    assert "ran" in done.stderr
    assert "ref does not match 'main'" in home.daft(*RUN, "--dry-run", cwd=tree).stdout
    assert "ref does not match 'HEAD'" in on_a_branch.stdout


def test_the_notice_spells_commands_as_the_program_was_called(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch a}"), trust=False)
    bin_ = os.path.dirname(sys.executable)

    plain = home.daft("start", "x", cwd=project)
    by_git = home.run(
        "git", "daft", "start", "y", cwd=project, PATH=f"{bin_}:{home.environment['PATH']}"
    )

    assert by_git.returncode == 0, by_git.stderr
    assert " daft -C " in plain.stderr
    assert "git daft" not in plain.stderr
    assert "git daft -C " in by_git.stderr
    assert ": daft " not in by_git.stderr


def test_the_list_of_hooks_comes_without_the_words_around_it(home: Any) -> None:
    project = home.repository(POST.format("{name: a, run: touch a}"))

    done = home.daft("hooks", "run", "--no-headers", cwd=project)

    assert (done.returncode, done.stdout) == (0, "worktree-post-create (1 job)\n")
