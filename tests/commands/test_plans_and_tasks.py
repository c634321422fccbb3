"""`daft hooks plan`, `schema`, `validate`, `run --dry-run` and `daft run`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONFIGURATION = """
env: {salt: myapp, ports: [WEB_PORT]}
tasks:
  run: {jobs: [{run: "echo default"}]}
  dev: {jobs: [{description: serve it, run: 'echo port $WEB_PORT; echo oh >&2; exit 7'}]}
  words: {jobs: [{run: "printf '<%s>'"}]}
  block: {jobs: [{run: "printf '<%s>'\\n"}]}
  lines: {jobs: [{run: "echo one\\necho two"}]}
  list: {jobs: [{run: [echo one, echo two]}]}
  script: {jobs: [{script: s, runner: sh}]}
  behind: {jobs: [{run: echo x, background: true}]}
  killed: {jobs: [{run: 'kill -9 $$'}]}
  many: {jobs: [{name: a, run: echo one}, {name: b, run: "exit 3", needs: [a]}, {name: c, run: echo three, needs: [b]}]}
hooks:
  worktree-post-create:
    jobs:
      - {name: install, run: echo install, tags: [slow], description: get things}
      - {name: checks, needs: [install], group: {parallel: false, jobs: [{name: lint, run: "exit 3"}, {name: test, run: echo test}]}}
      - {name: build, run: 'echo "build $WEB_PORT"', needs: [install], background: true}
      - {name: ci, run: echo ci, only: {env: NO_SUCH}}
  pre-merge:
    jobs: [{name: docs, run: 'echo {changed_files}', glob: docs/**}]
"""


@pytest.fixture
def project(home: Any) -> Path:
    made: Path = home.repository(CONFIGURATION)
    (made / ".daft").mkdir()
    (made / ".daft" / "s").write_text("echo script")
    return made


def plan_of(home: Any, project: Path, *words: str) -> dict[str, Any]:
    done = home.daft("hooks", "plan", *words, "--format", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_plan_says_what_runs_where_and_why_the_rest_does_not(home: Any, project: Path) -> None:
    text = home.daft("hooks", "plan", "worktree-post-create", cwd=project).stdout
    data = plan_of(home, project, "worktree-post-create")
    chart = home.daft("hooks", "plan", "worktree-post-create", "--format", "mermaid", cwd=project)

    assert text.split("\n") == [
        "worktree-post-create (parallel)",
        "foreground:",
        "  1. install: echo install",
        "  2. checks/lint (needs install): exit 3",
        "  3. checks/test (needs install; after checks/lint): echo test",
        "background:",
        '  4. build (needs install): echo "build $WEB_PORT"',
        "skipped:",
        "  - ci: only: env $NO_SUCH is not set",
        "",
    ]
    assert [(job["name"], job["place"]) for job in data["jobs"]] == [
        ("install", "foreground"),
        ("checks/lint", "foreground"),
        ("checks/test", "foreground"),
        ("build", "background"),
        ("ci", "skipped"),
    ]
    assert data["jobs"][0]["origin"].startswith("daft.yml:")
    assert data["jobs"][4]["skip_kind"] == "condition"
    assert chart.stdout.startswith("flowchart LR\n")
    assert "j0 --> j1" in chart.stdout
    assert "j1 -.-> j2" in chart.stdout


def test_a_dry_run_is_the_plan_and_runs_nothing(home: Any, project: Path) -> None:
    words = ("worktree-post-create", "--tag", "slow", "--hooks", "background")

    plan = home.daft("hooks", "plan", *words, cwd=project)
    dry = home.daft("hooks", "run", *words, "--dry-run", cwd=project)

    assert plan.stdout == dry.stdout
    assert "background:\n  1. install" in plan.stdout
    assert "- checks/lint: not selected" in plan.stdout
    assert json.loads(home.daft("jobs", "--format", "json", cwd=project).stdout) == []


def test_looking_at_a_plan_runs_nothing_of_a_repository_nobody_trusts(home: Any) -> None:
    project = home.repository(
        "hooks: {post-clone: {skip: [{run: touch ran}], jobs: [{run: x}]}}", trust=False
    )

    plan = home.daft("hooks", "plan", "post-clone", cwd=project)
    home.daft("hooks", "run", "post-clone", "--dry-run", cwd=project)

    assert plan.returncode == 0
    assert "`touch ran` was not run: nobody has consented" in plan.stderr
    assert not (project / "ran").exists()


def test_a_merge_can_be_planned_by_hand(home: Any, project: Path) -> None:
    home.git("switch", "-q", "-c", "topic", cwd=project)
    (project / "docs").mkdir()
    (project / "docs" / "a b").write_text("x")
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "docs", cwd=project)
    home.git("switch", "-q", "main", cwd=project)

    known = plan_of(home, project, "pre-merge", "--source", "topic")
    unknown = home.daft("hooks", "plan", "pre-merge", cwd=project)
    wrong = home.daft("hooks", "plan", "pre-merge", "--source", "zz", cwd=project)

    assert known["jobs"][0]["command"] == "echo 'docs/a b'"
    assert known["jobs"][0]["env"]["DAFT_MERGE_SOURCES"] == "topic"
    assert unknown.returncode == 1
    assert "need a changed-file source" in unknown.stderr
    assert wrong.returncode == 1
    assert "'zz' is no commit" in wrong.stderr


def test_a_task_of_one_job_is_as_if_its_command_had_been_typed(home: Any, project: Path) -> None:
    done = home.daft("run", "dev", cwd=project)

    assert (done.returncode, done.stdout, done.stderr) == (7, "port 24816\n", "oh\n")
    assert home.daft("run", cwd=project).stdout == "default\n"
    assert home.daft("run", "killed", cwd=project).returncode == 137


def test_words_behind_a_task_are_its_own(home: Any, project: Path) -> None:
    assert home.daft("run", "words", "a b", "$x", "--help", "-h", cwd=project).stdout == (
        "<a b><$x><--help><-h>"
    )
    assert home.daft("run", "block", "x", cwd=project).stdout == "<x>"
    assert home.daft("run", "no-task", "x", cwd=project).stdout == "default no-task x\n"
    assert home.daft("run", "--", "dev", cwd=project).stdout == "default dev\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["many", "x"], "would run 3 (a, b, c); choose one with `--job`"),
        (["lines", "x"], "more than one command or line"),
        (["list", "x"], "more than one command or line"),
        (["script", "x"], "runs a script"),
        (["behind", "x"], "runs in the background"),
        (["--job", "zz", "many"], "no job 'zz' in task 'many' (jobs: a, b, c)"),
    ],
)
def test_a_task_that_cannot_take_words_says_so(
    home: Any, project: Path, words: list[str], said: str
) -> None:
    done = home.daft("run", *words, cwd=project)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_several_jobs_are_shown_and_the_first_failure_counts(home: Any, project: Path) -> None:
    done = home.daft("run", "many", cwd=project)
    one = home.daft("run", "--job", "c", "many", "!", cwd=project)
    all_of_it = home.daft("run", "--job", "b", "--with-needs", "many", cwd=project)
    jobs = json.loads(home.daft("jobs", "--all", "--format", "json", cwd=project).stdout)

    assert done.returncode == 3
    assert done.stdout == ""
    assert "Finished with failures in" in done.stderr
    assert "c (dependency failed: b failed)" in done.stderr
    assert (one.returncode, one.stdout) == (0, "three !\n")
    assert all_of_it.returncode == 3
    assert jobs != []


def test_tasks_are_listed(home: Any, project: Path) -> None:
    plain = home.daft("run", "--list", cwd=project).stdout
    rows = json.loads(home.daft("run", "--list", "--format", "json", cwd=project).stdout)

    assert "  dev (1 job): serve it\n  words (1 job)\n" in plain
    assert rows[1] == {"task": "dev", "job_name": "job-1", "description": "serve it", "tags": ""}
    assert "many" in plan_of(home, project, "many")["hook"]


@pytest.mark.parametrize(
    ("configuration", "words", "said"),
    [
        ("hooks: {}", [], "no tasks defined"),
        ("tasks: {dev: {jobs: [{run: x}]}}", [], "no 'run' task defined"),
        ("tasks: {dev: {jobs: [{run: x}]}}", ["zz"], "unknown task: 'zz'"),
        ("tasks: {dev: {commands: {a: {run: x}}}}", ["dev"], "tasks take `jobs`"),
    ],
)
def test_a_task_that_is_not_there(
    home: Any, configuration: str, words: list[str], said: str
) -> None:
    done = home.daft("run", *words, cwd=home.repository(configuration))

    assert done.returncode == 1
    assert said in done.stderr


def test_a_task_runs_without_consent_and_says_so(home: Any) -> None:
    project = home.repository("tasks: {dev: {jobs: [{run: echo x}]}}", trust=False)

    done = home.daft("run", "dev", cwd=project)

    assert done.stdout == "x\n"
    assert "running because you said so" in done.stderr
    assert home.daft("run", "--list", cwd=project).stdout.startswith("Available tasks:")


def test_the_list_of_hooks_has_a_section_for_each(home: Any, project: Path) -> None:
    data = json.loads(home.daft("hooks", "run", "--format", "json", cwd=project).stdout)
    lines = home.daft(
        "hooks",
        "run",
        "--template",
        "{% for one in items %}{{ one.hook }} {{ one.job_name }} {{ one.tags }}\n{% endfor %}",
        cwd=project,
    )

    assert data["worktree-post-create"][0] == {
        "job_name": "install", "description": "get things", "tags": "slow",
    }  # fmt: skip
    assert lines.stdout.split("\n")[0] == "worktree-post-create install slow"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--format", "tsv"], 1, "does not support tsv"),
        (["--format", "bogus"], 2, "invalid choice"),
        (["--format", "json", "--template", "x"], 2, "not allowed with"),
        (["--template", "{{ items[0].zz }}"], 1, "no attribute 'zz'; columns: hook, job_name"),
        (["../x"], 1, "Unknown hook type: '../x'"),
        (["post-clone"], 1, "is not defined in daft.yml. Configured: worktree-post-create"),
        (["worktree-post-create", "--job", "zz"], 1, "no job 'zz'"),
        (["worktree-post-create", "--tag", "zz"], 1, "(tags: slow)"),
        (["worktree-post-create", "--hooks", "never"], 2, "invalid choice"),
        (["worktree-post-create", "--source", "x"], 2, "are for pre-merge and post-merge"),
    ],
)
def test_wrong_words_are_told(
    home: Any, project: Path, words: list[str], code: int, said: str
) -> None:
    done = home.daft("hooks", "run", *words, cwd=project)

    assert done.returncode == code
    assert said in done.stderr


def test_a_problem_is_shown_with_its_line_and_a_mark_below_it(home: Any) -> None:
    long = "x" * 200
    project = home.repository(
        "hooks:\n  post-clone:\n    jobs:\n      - {name: a, run: x, neds: [b]}\n"
        f"      - {{name: b, run: '{long}', background: 3}}\n",
        trust=False,
    )

    done = home.daft("hooks", "validate", cwd=project)
    rows = json.loads(home.daft("hooks", "validate", "--format", "json", cwd=project).stdout)

    lines = done.stderr.split("\n")
    assert lines[0].startswith("daft.yml:4:27: warning: hooks.post-clone.jobs[a]: unknown field")
    assert lines[1].index("neds") == lines[2].index("^")
    assert "expected true or false, found a number ('3')" in lines[3]
    assert lines[4][lines[5].index("^")] == "3", "the mark stands below the place in a cut line"
    assert len(lines[4]) < 110
    assert done.returncode == 1
    assert [(row["severity"], row["line"]) for row in rows] == [("warning", 4), ("error", 5)]


def test_validate_reads_any_file(home: Any, project: Path) -> None:
    given = home.daft("hooks", "validate", "-", cwd=project, stdin="layot: x\n")
    missing = home.daft("hooks", "validate", "nowhere.yml", cwd=project)

    assert given.returncode == 0
    assert "<stdin>:1:1: warning: unknown field 'layot'" in given.stderr
    assert home.daft("hooks", "validate", "-", "--strict", cwd=project, stdin="layot: x\n").returncode == 1  # fmt: skip
    assert missing.returncode == 1
    assert "nowhere.yml" in missing.stderr


def test_validate_looks_around_in_the_worktree(home: Any) -> None:
    project = home.repository(
        "hooks:\n  post-clone:\n    jobs:\n      - {name: a, script: s}\n", trust=False
    )
    (project / "daft.yaml").write_text("")
    (project / "pre-merge.yml").write_text("jbos: []\n")

    around = home.daft("hooks", "validate", cwd=project)
    strict = home.daft("hooks", "validate", "--strict", cwd=project)
    alone = home.daft("hooks", "validate", "pre-merge.yml", cwd=project)

    assert [line for line in around.stderr.split("\n") if line.startswith("daft.y")] == [
        "daft.yaml:1:1: warning: this file is not read, as daft.yml is",
        (
            "daft.yml:4:9: warning: hooks.post-clone.jobs[a]: its script must be executable, "
            "as there is no `runner`"
        ),
        (
            "daft.yml:4:9: warning: hooks.post-clone.jobs[a]: .daft/s does not exist; create it, "
            "or correct `script`"
        ),
    ]
    assert "          - {name: a, script: s}\n            ^" in around.stderr
    assert "Configuration is valid. (5 warning(s))" in around.stdout
    assert (around.returncode, strict.returncode) == (0, 1)
    assert "hooks.pre-merge: unknown field 'jbos', ignored; did you mean 'jobs'?" in alone.stderr
    assert "daft.yaml" not in alone.stderr


def test_validate_where_nothing_is_configured(home: Any) -> None:
    project = home.repository()

    plain = home.daft("hooks", "validate", cwd=project)
    rows = home.daft("hooks", "validate", "--format", "json", cwd=project)
    (project / "daft.local.yml").write_text("")
    stray = home.daft("hooks", "validate", cwd=project)

    assert (plain.returncode, plain.stdout, plain.stderr) == (0, "No daft.yml found.\n", "")
    assert (rows.returncode, json.loads(rows.stdout)) == (0, [])
    assert (stray.returncode, stray.stdout) == (0, "No daft.yml found.\n")
    assert "daft.local.yml:1:1: warning: this file is not read" in stray.stderr


def test_the_schema_is_printed_and_written_for_editors(home: Any, project: Path) -> None:
    printed = home.daft("hooks", "schema", cwd=project)
    written = home.daft("hooks", "schema", "--write", cwd=project)

    assert "worktree-post-create" in json.loads(printed.stdout)["properties"]["hooks"]["anyOf"][0]["properties"]  # fmt: skip
    assert (project / ".daft" / "daft.schema.json").read_text() == printed.stdout
    assert "# yaml-language-server: $schema=.daft/daft.schema.json" in written.stdout
    (project / ".daft" / "daft.schema.json").unlink()
    (project / ".daft" / "daft.schema.json").symlink_to(home.root / "elsewhere")
    refused = home.daft("hooks", "schema", "--write", cwd=project)
    assert refused.returncode == 1
    assert not (home.root / "elsewhere").exists()


def test_jobs_of_a_group_run_by_its_mode(home: Any, project: Path) -> None:
    done = home.daft("hooks", "run", "worktree-post-create", cwd=project)
    rows = json.loads(home.daft("jobs", "--all", "--format", "json", cwd=project).stdout)

    assert done.returncode == 3
    status = {row["name"]: row["status"] for row in rows}
    assert status["checks/lint"] == "failed"
    assert status["checks/test"] == "completed", "an order goes on after a failure"
