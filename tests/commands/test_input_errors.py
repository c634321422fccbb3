"""Wrong input, each kind once, as a user meets it; `docs/daft-yml.md` lists what covers which."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

POST = "hooks: {{worktree-post-create: {{jobs: [{0}]}}}}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["hooks", "validate"],
        ["hooks", "dump"],
        ["hooks", "status"],
        ["hooks", "run", "post-clone"],
        ["hooks", "plan", "post-clone"],
        ["run"],
        ["run", "--list"],
        ["start", "x"],
    ],
)
def test_a_broken_file_is_told_by_whoever_reads_it(home: Any, words: list[str]) -> None:
    project = home.repository("hooks: [}\n", trust=False)

    done = home.daft(*words, cwd=project)

    assert done.returncode == 1
    assert "daft.yml:1:9" in done.stderr
    assert "not valid YAML" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["hooks:\n", "hooks: ~\ntasks: ~\n", "hooks: {post-clone: }\n"])
def test_what_says_nothing_is_a_warning(home: Any, text: str) -> None:
    project = home.repository(text, trust=False)

    checked = home.daft("hooks", "validate", cwd=project)

    assert checked.returncode == 0
    assert "warning: " in checked.stderr
    assert home.daft("start", "x", cwd=project).returncode == 0


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("retention: soon", "'soon': a duration is a number with"),
        ("max_log_size: 10XB", "'10XB': a size is a number with"),
    ],
)
def test_a_malformed_quantity_is_told_and_the_default_counts(
    home: Any, log: str, said: str
) -> None:
    project = home.repository(f"log: {{{log}}}\n{POST.format('{name: a, run: touch ran}')}")

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0
    assert said in done.stderr
    assert "the default counts instead" in done.stderr
    assert (home.root / "project.x" / "ran").exists()
    assert home.daft("hooks", "validate", cwd=project).returncode == 1


def test_a_shell_file_that_is_missing_fails_the_hook(home: Any) -> None:
    project = home.repository("rc: env.sh\n" + POST.format("{name: a, run: 'echo $FROM_RC'}"))

    missing = home.daft("start", "x", cwd=project)
    (project / "env.sh").write_text("FROM_RC=read\n")
    found = home.daft("hooks", "run", "worktree-post-create", cwd=project)

    assert missing.returncode == 1
    assert f"{home.root}/project.x/env.sh, which is no file" in missing.stderr
    assert "a │ read" in found.stderr


@pytest.mark.parametrize(
    ("job", "code", "said"),
    [
        ("{name: a, script: s, runner: no-such-runner}", 125, "no-such-runner"),
        ("{name: a, run: no-such-program}", 125, "no-such-program"),
        ("{name: a, run: exit 125}", 125, "exit code 125"),
        ("{name: a, run: exit 200}", 125, "exit code 200"),
        ("{name: a, run: 'kill -TERM $$'}", 143, "a"),
        ("{name: a, run: sleep 60, timeout: 100ms}", 124, "timeout"),
    ],
)
def test_the_code_says_how_a_job_failed(home: Any, job: str, code: int, said: str) -> None:
    project = home.repository(POST.format(job), trust=False)
    (project / ".daft").mkdir(exist_ok=True)
    (project / ".daft" / "s").write_text("")

    done = home.daft("hooks", "run", "worktree-post-create", cwd=project)

    assert done.returncode == code
    assert said in done.stderr
    assert "job 'a'" in done.stderr


def test_a_directory_that_goes_away_fails_the_job_that_wanted_it(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: make, run: mkdir sub}, {name: gone, run: rmdir sub, needs: [make]},"
            "{name: late, run: echo never, root: sub, needs: [gone]}"
        ),
        trust=False,
    )

    done = home.daft("hooks", "run", "worktree-post-create", cwd=project)

    assert done.returncode not in (0, 2)
    assert "job 'late'" in done.stderr
    assert f"{project}/sub" in done.stderr


@pytest.mark.parametrize(
    "branch", ["it's", "a;touch${IFS}evil", "$(touch${IFS}evil)", "café", "-x'\"&|"]
)
def test_no_branch_becomes_code(home: Any, branch: str) -> None:
    project: Path = home.repository(
        POST.format("{name: a, run: 'printf %s {branch|q} > \"$OUT\"; printf \"\\n%s\" \"$DAFT_BRANCH_NAME\" >> \"$OUT\"'}"),
        trust=False,
    )  # fmt: skip
    home.git("update-ref", f"refs/heads/{branch}", "HEAD", cwd=project)
    home.git("symbolic-ref", "HEAD", f"refs/heads/{branch}", cwd=project)
    out = home.root / "out"

    done = home.daft("hooks", "run", "worktree-post-create", cwd=project, OUT=str(out))

    assert done.returncode == 0, done.stderr
    assert out.read_text() == f"{branch}\n{branch}"
    assert not list(home.root.rglob("evil"))


def test_odd_paths_reach_the_job_byte_for_byte(home: Any) -> None:
    project: Path = home.repository(
        POST.format("{name: a, run: 'printf %s \"$PWD\" > out'}"), trust=False
    )
    odd = os.path.join(os.fsencode(home.root), b"it's \xff\n here")
    os.rename(os.fsencode(project), odd)

    done = home.daft("hooks", "run", "worktree-post-create", cwd=odd)

    assert done.returncode == 0, done.stderr
    with open(os.path.join(odd, b"out"), "rb") as file:
        assert file.read() == odd


def test_an_interrupted_hook_names_what_it_stopped(home: Any, until: Any) -> None:
    project: Path = home.repository(
        POST.format("{name: long, run: 'touch started; sleep 60'}, {name: short, run: echo x}"),
        trust=False,
    )
    running = home.start_daft("hooks", "run", "worktree-post-create", cwd=project)
    until(lambda: (project / "started").exists(), "the job runs")

    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)

    assert running.returncode == 130
    assert re.search(r"— long \S+ \(cancelled\)", errors)
    assert "✓ short" in errors


def test_the_line_that_is_shown_is_the_one_that_stops_everything(home: Any) -> None:
    project = home.repository(
        "hooks:\n  post-clone:\n    jobs:\n      - {name: a, needs: [zz], run: x}\n"
        '      - {name: b, run: x, tags: {a: "\x7f"}}\n'.replace("\x7f", "\\e[31m"),
        trust=False,
    )

    done = home.daft("start", "x", cwd=project)

    assert "daft.yml:5:33: hooks.post-clone.jobs[b].tags: expected a text" in done.stderr
    assert "tip: the line reads: - {name: b, run: x, tags:" in done.stderr
