"""Hooks in a host of its own: one coordinator, driven by the host."""

from __future__ import annotations

from typing import Any

import pytest

from daft_coordinator import Coordinator
from daft_coordinator.adapters.sqlite import SqliteJobStore
from daft_hooks import Event, FireStatus, Options, Placement, fire, load
from daft_hooks.domain.event import Merge
from daft_hooks.embedding import CoordinatorEngine
from daft_hooks.ports import FireObserver
from daft_hooks.watching import JobWatcher
from daft_protocol.status import InvocationStatus, JobStatus

TEXT = """\
log: {keep_last: 3}
hooks:
  worktree-post-create:
    jobs:
      - {name: first, run: 'echo said >&2; echo first >> ran'}
      - {name: later, run: 'echo later:$TOKEN >> ran', background: true, env: {TOKEN: secret}}
      - {name: bad, run: 'echo why >&2; exit 3', tags: [bad]}
"""


class Shows(FireObserver):
    """Overrides one method; the others do nothing."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def job_line(self, job: Any, line: Any) -> None:
        self.lines.append(line.text)


def test_the_background_goes_on_with_the_hosts_turns(stage: Any, tmp_path: Any) -> None:
    stage.repository.commit({"daft.yml": TEXT.replace("exit 3", "exit 0")})
    shows = Shows()
    store = SqliteJobStore.open(str(tmp_path / "state"), "00000000-0000-4000-8000-000000000001")
    with Coordinator(store, plugins=[JobWatcher(shows)]) as coordinator:
        engine = CoordinatorEngine(coordinator)
        firing = stage.firing(None, engine=lambda: engine, observer=shows)

        outcome = fire(stage.event(), load(str(stage.repository.path)), firing)

        assert outcome.status is FireStatus.RAN
        assert outcome.background == ("later",)
        while not coordinator.is_idle:
            coordinator.reactor.wait()
        statuses = {job.name: job.status for job in coordinator.jobs(outcome.invocation_id)}
    store.close()
    assert statuses["later"] is JobStatus.COMPLETED
    assert sorted(stage.ran()) == ["first", "later:secret"]
    assert "said" in shows.lines
    assert [declared.keep_last for declared in engine.declared] == [3]


def test_a_failure_comes_with_its_last_words(stage: Any, tmp_path: Any) -> None:
    stage.repository.commit({"daft.yml": TEXT})
    store = SqliteJobStore.open(str(tmp_path / "state"), "00000000-0000-4000-8000-000000000001")
    with Coordinator(store) as coordinator:
        engine = CoordinatorEngine(coordinator)
        firing = stage.firing(None, engine=lambda: engine)

        outcome = fire(stage.event(), load(str(stage.repository.path)), firing)
    store.close()

    assert (outcome.job, outcome.exit_code) == ("bad", 3)
    assert outcome.error_lines == ("why",)


@pytest.mark.parametrize(
    ("facts", "in_background"),
    [({}, ("a", "b")), ({"is_ephemeral": True}, ("b",)), ({"removes_sources": True}, ("b",))],
)
def test_what_a_merge_takes_away_is_not_left_to_jobs_that_did_not_ask_for_it(
    stage: Any, facts: dict[str, bool], in_background: tuple[str, ...]
) -> None:
    stage.repository.commit(
        {"daft.yml": "hooks: {post-merge: {jobs: [{name: a, run: 'true'}, "
         "{name: b, run: 'true', background: true}]}}\n"}
    )  # fmt: skip
    merge = Merge(
        sources=(), target_branch="main", target_path=None, target_sha="", mode="merge", **facts
    )
    event: Event = stage.event("post-merge", merge=merge)
    with Coordinator() as coordinator:
        engine = CoordinatorEngine(coordinator)
        firing = stage.firing(
            None, engine=lambda: engine, options=Options(placement=Placement.BACKGROUND)
        )
        outcome = fire(event, load(str(stage.repository.path)), firing)
        while not coordinator.is_idle:
            coordinator.reactor.wait()

    assert outcome.background == in_background


def test_a_fire_that_is_skipped_whole_is_in_the_record(stage: Any) -> None:
    stage.repository.commit({"daft.yml": "hooks: {post-clone: {skip: true, jobs: [{run: x}]}}\n"})
    event: Event = stage.event("post-clone")
    with Coordinator() as coordinator:
        engine = CoordinatorEngine(coordinator)
        fire(event, load(str(stage.repository.path)), stage.firing(None, engine=lambda: engine))

        (invocation,) = coordinator.store.recent_invocations()

    assert invocation.status is InvocationStatus.SKIPPED
    assert invocation.skip_reason == "skip: true"


def test_without_a_leader_the_background_runs_here_and_that_is_said(stage: Any) -> None:
    stage.repository.commit({"daft.yml": TEXT.replace("exit 3", "exit 0")})

    outcome = fire(stage.event(), load(str(stage.repository.path)), stage.firing(None))

    assert outcome.status is FireStatus.RAN
    assert outcome.background == ()
    assert sorted(stage.ran()) == ["first", "later:secret"]
    ((said,),) = [one for one in stage.watcher.told("notice") if "background" in one[0]]
    assert said == (
        "warning: the coordinator cannot be reached: there is no leader here; "
        "background jobs run in the foreground"
    )


def test_jobs_are_recorded_in_the_order_they_are_written_in(stage: Any) -> None:
    jobs = "{name: a, run: ':'}, {name: b, run: ':', skip: true}, {name: c, run: ':'}"
    text = (
        f"hooks: {{worktree-post-create: {{jobs: [{jobs}, {{name: d, run: ':', skip: true}}]}}}}\n"
    )
    stage.repository.commit({"daft.yml": text})

    outcome = fire(stage.event(), load(str(stage.repository.path)), stage.firing(None))

    recorded = stage.engine.coordinator.jobs(outcome.invocation_id)
    assert [job.name for job in recorded] == ["a", "b", "c", "d"]
