"""What is printed of a plan is what runs."""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from daft_hooks import Options, Plan, fire, load_from, plan
from daft_hooks.domain.conditions import Facts
from daft_hooks.domain.event import Event
from daft_hooks.domain.showing import as_data, as_mermaid, as_text, in_order
from daft_hooks.preparing import prepare
from daft_protocol.jobs import JobSpec, RunMode

CONFIGURATION = """
env: {ports: [WEB]}
hooks:
  worktree-post-create:
    piped: true
    jobs:
      - {name: late, run: 'echo {branch|q} $WEB', priority: 5, env: {A: '{worktree_path}'}}
      - {name: early, run: echo early, timeout: 5s, tags: [t]}
      - {name: ci, run: echo ci, only: {env: NO_SUCH}}
      - {name: need, run: echo need, needs: [late], root: .}
"""


def test_what_runs_is_what_was_printed(stage: Any) -> None:
    stage.repository.commit({"daft.yml": CONFIGURATION})
    loaded = stage.repository.seen()
    event: Event = stage.event()
    configured = loaded.configuration.hooks[event.hook]
    firing = stage.firing(None)

    printed = as_data(
        prepare(event, loaded.configuration, configured, Options(), firing.environment, warn=print)
    )
    outcome = fire(event, loaded, firing)

    jobs = stage.engine.coordinator.store.jobs_of(outcome.invocation_id)
    ran = {job.name: job for job in jobs}
    assert outcome.ok
    assert {job["name"] for job in printed["jobs"]} == set(ran)
    for job in printed["jobs"]:
        spec = ran[job["name"]].spec
        assert job["command"] == spec.command
        assert job["working_dir"] == spec.working_dir
        assert job["env"] == dict(spec.env)
        assert job["timeout_s"] == spec.timeout_s
        assert job["needs"] == list(spec.full_needs)
        assert (job["place"] == "skipped") == (spec.skip is not None)
    started = sorted(
        (j for j in jobs if j.started_at and not j.spec.skip), key=lambda j: j.started_at
    )
    order = [job["name"] for job in printed["jobs"] if job["place"] != "skipped"]
    assert [job.name for job in started] == order == ["early", "late", "need"]


def a_plan(*jobs: tuple[str, tuple[str, ...], int], mode: RunMode = RunMode.PARALLEL) -> Plan:
    specs = tuple(
        JobSpec(name=name, command="x", needs=needs, full_needs=needs, priority=priority)
        for name, needs, priority in jobs
    )
    return Plan(hook="post-clone", mode=mode, foreground=specs)


def test_jobs_are_listed_as_they_would_start() -> None:
    made = a_plan(("c", ("a",), 0), ("b", (), 1), ("a", (), 2))

    assert [spec.name for spec in in_order(made.foreground)] == ["b", "a", "c"]


def test_a_whole_fire_that_is_skipped_says_why() -> None:
    made = Plan(hook="post-clone", skip_reason='env "CI" <is> set')

    assert as_text(made) == 'post-clone: skipped: env "CI" <is> set\n'
    assert as_data(made)["skip_reason"] == 'env "CI" <is> set'
    assert "#34;CI#34; #60;is#62; set" in as_mermaid(made)


def test_nothing_and_notices_are_said() -> None:
    made = evolve(a_plan(), notices=("promoted",), unmatched=("zz",), max_parallel=2)

    assert as_text(made).split("\n") == [
        "post-clone (parallel, at most 2 at a time)",
        "nothing runs",
        "note: promoted",
        "note: 'zz' matches no job",
        "",
    ]


def test_an_order_is_drawn() -> None:
    chart = as_mermaid(a_plan(("a", (), 0), ("b", (), 0), ("c", ("b",), 0), mode=RunMode.ORDERED))

    assert "  j1 --> j2" in chart
    assert "  j0 -.-> j1" in chart
    assert "  j1 -.-> j2" not in chart


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_no_name_breaks_a_picture_or_the_data(name: str) -> None:
    text = json.dumps(
        {"hooks": {"post-clone": {"jobs": [{"name": name, "run": "x"}]}}}, ensure_ascii=False
    )
    loaded = load_from({"daft.yml": text.encode("utf-8", "surrogatepass")}.get)
    assert loaded is not None
    configuration = loaded.decoded.configuration
    event = Event(
        hook="post-clone", command="clone", project_root="/p", git_dir="/p/.git", remote="origin",
        source_worktree="/p", worktree_path="/p", branch="b", cwd="/p", label="b",
    )  # fmt: skip

    made = plan(event, configuration, configuration.hooks["post-clone"], Facts(), Options())

    assert re.fullmatch(r'    j0\["[^"<>]*"\]', as_mermaid(made).split("\n")[2])
    assert json.loads(json.dumps(as_data(made)))["jobs"][0]["place"] == "foreground"
