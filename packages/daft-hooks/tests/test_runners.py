"""Jobs that a plugin supplies: asked for when they run, run like any other job."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daft_coordinator import Selection
from daft_coordinator.hookspecs import hookimpl
from daft_hooks import FireStatus, JobRunner, RunnerSpec, fire, load
from daft_hooks.plugins import JobPlugins
from daft_protocol.records import RecordKind
from daft_protocol.status import EndReason, JobStatus

WORK = """
import os, sys, time

def greet(who="nobody", times="1"):
    with open("ran", "a") as file:
        file.write(f"{who}:{times}:{os.environ['DAFT_BRANCH_NAME']}:{os.environ.get('COLOUR')}\\n")
    print("from the function")

def fails():
    return 7

def raises():
    raise ValueError("as it happens")

def hangs():
    print("hanging", flush=True)
    time.sleep(60)
"""


class Plugin:
    """Supplies every name that `functions` knows."""

    def __init__(self, **functions: Any) -> None:
        self.functions = functions
        self.asked: list[RunnerSpec] = []

    @hookimpl
    def daft_job_runner(self, spec: RunnerSpec) -> JobRunner | None:
        self.asked.append(spec)
        found = self.functions.get(spec.uses)
        if isinstance(found, Exception):
            raise found
        return JobRunner(function=found) if isinstance(found, str) else found


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the module `work` importable for the processes of jobs."""
    (tmp_path / "work.py").write_text(WORK)
    return str(tmp_path)


def run(stage: Any, job: str, *plugins: object, at: str, more: str = "") -> Any:
    stage.repository.commit(
        {"daft.yml": f"hooks: {{worktree-post-create: {{jobs: [{{name: a, {job}}}{more}]}}}}\n"}
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": at}
    firing = stage.firing(None, plugins=plugins, environment=environment)
    return fire(stage.event(), load(str(stage.repository.path)), firing)


def job_of(stage: Any, outcome: Any) -> Any:
    return stage.engine.coordinator.jobs(outcome.invocation_id)[0]


def test_a_function_does_the_job_with_its_arguments_where_jobs_run(stage: Any, work: str) -> None:
    plugin = Plugin(greet="work:greet")

    outcome = run(
        stage,
        'uses: greet, with: {who: "it\'s {branch}", times: 2}, env: {COLOUR: red}',
        plugin,
        at=work,
    )

    assert outcome.status is FireStatus.RAN
    assert (stage.repository.path / "ran").read_text() == "it's main:2:main:red\n"
    assert [spec.given for spec in plugin.asked] == [{"who": "it's main", "times": "2"}]
    assert (plugin.asked[0].hook, plugin.asked[0].job) == ("worktree-post-create", "a")


def test_what_it_returns_is_the_exit_code(stage: Any, work: str) -> None:
    outcome = run(stage, "uses: x", Plugin(x="work:fails"), at=work)

    assert (outcome.status, outcome.exit_code) == (FireStatus.FAILED, 7)


@pytest.mark.parametrize(
    ("function", "code"), [("work:raises", 1), ("work:nothing", 127), ("nowhere:x", 127)]
)
def test_what_cannot_be_called_or_raises_is_a_failed_job(
    stage: Any, work: str, function: str, code: int
) -> None:
    outcome = run(stage, "uses: x", Plugin(x=function), at=work)

    assert (outcome.status, outcome.exit_code) == (FireStatus.FAILED, code)


def test_it_is_ended_when_its_time_is_up(stage: Any, work: str) -> None:
    outcome = run(stage, "uses: x, timeout: 2s", Plugin(x="work:hangs"), at=work)

    job = job_of(stage, outcome)
    assert (job.status, job.end_reason) == (JobStatus.FAILED, EndReason.TIMEOUT)
    assert outcome.exit_code == 124


def test_its_output_is_logged_and_it_is_cancelled_like_any_job(stage: Any, work: str) -> None:
    class Cancels:
        def __init__(self) -> None:
            self.lines: list[Any] = []

        @hookimpl
        def daft_log_records(self, job: Any, records: Any) -> None:
            self.lines += [r.data for r in records if r.kind is RecordKind.STDOUT]
            if "hanging" in self.lines:
                stage.engine.coordinator.cancel(Selection(job_uids=frozenset({job.uid})))

    watch = Cancels()
    stage.watched_by(watch)
    job = job_of(stage, run(stage, "uses: x", Plugin(x="work:hangs"), at=work))

    assert job.status is JobStatus.CANCELLED
    assert watch.lines == ["hanging"]


def test_nobody_is_asked_for_a_job_that_does_not_run(stage: Any, work: str) -> None:
    plugin = Plugin()

    outcome = run(stage, "uses: x, skip: true", plugin, at=work, more=", {name: b, run: ':'}")

    assert outcome.status is FireStatus.RAN
    assert plugin.asked == []


def test_the_first_answer_counts(stage: Any, work: str) -> None:
    first, silent, last = Plugin(x="work:fails"), Plugin(), Plugin(x="work:greet")

    assert run(stage, "uses: x", last, silent, first, at=work).exit_code == 7
    assert last.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "no plugin supplies that; install the package"),
        (ValueError("broken"), "Plugin failed: ValueError: broken"),
        ("no colon", "is no JobRunner with a `module:function`"),
        (3, "answered 3"),
    ],
)
def test_a_runner_nobody_supplies_fails_the_hook_before_anything_runs(
    stage: Any, work: str, answer: Any, said: str
) -> None:
    class Named(Plugin):
        pass

    plugin = Named(x=answer)
    stage_plugins = [plugin]
    outcome = run(stage, "uses: x", *stage_plugins, at=work, more=", {name: b, run: touch ran}")

    assert outcome.status is FireStatus.FAILED
    assert "job 'a' of worktree-post-create uses 'x'" in outcome.reason
    assert said.replace("Plugin failed", "failed") in outcome.reason
    assert stage.ran() == []


def test_plugins_of_installed_packages_are_found_and_broken_ones_named(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(
        "from daft_coordinator.hookspecs import hookimpl\n"
        "from daft_hooks import JobRunner\n"
        "@hookimpl\n"
        "def daft_job_runner(spec):\n"
        "    return JobRunner(function='good:work') if spec.uses == 'good' else None\n"
    )
    (tmp_path / "bad.py").write_text("raise RuntimeError('no')\n")
    info = tmp_path / "example-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[daft]\ngood = good\nbad = bad\n")
    code = (
        "from daft_hooks import RunnerSpec\n"
        "from daft_hooks.plugins import JobPlugins\n"
        "plugins = JobPlugins()\n"
        "print(plugins.runner_for(RunnerSpec(uses='good')).function)\n"
        "try: plugins.runner_for(RunnerSpec(uses='other'))\n"
        "except Exception as error: print(error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines()[0] == "good:work", done.stderr
    assert "not usable: bad: RuntimeError: no" in done.stdout


def test_another_hooks_plugin_need_not_take_the_argument() -> None:
    class Plain:
        @hookimpl
        def daft_job_runner(self) -> JobRunner:
            return JobRunner(function="m:f", arguments={"n": 1})

    found = JobPlugins([Plain()]).runner_for(RunnerSpec(uses="x"))

    assert found.arguments == {"n": 1}
