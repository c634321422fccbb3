"""What holds for every file and every plan."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daft_coordinator.domain.schedule import InvocationFacts, JobFacts, Snapshot, schedule
from daft_hooks import Event, Options, Placement, Plan, load_from, parse_selectors, plan
from daft_hooks.domain import shape
from daft_hooks.domain.conditions import Facts
from daft_hooks.domain.config import HookConfig
from daft_hooks.domain.selection import Narrowing, with_all_they_need
from daft_hooks.domain.showing import as_data, as_mermaid, as_text, in_order
from daft_hooks.dumping import as_yaml
from daft_hooks.errors import BadConfiguration, BadSelection, Mark, UnplannableHook
from daft_protocol.jobs import JobSpec, RunMode
from daft_protocol.status import JobStatus

HOOK = "worktree-post-create"


def an_event(hook: str = HOOK) -> Event:
    return Event(
        hook=hook, command="start", project_root="/p", git_dir="/p/.git", remote="origin",
        source_worktree="/p", worktree_path="/p.x", branch="b", cwd="/p.x", label="b",
    )  # fmt: skip


# --- plans ----------------------------------------------------------------------------------------


@st.composite
def job_texts(draw: st.DrawFn, names: list[str], depth: int = 1) -> str:
    """Return jobs; each needs only those before it, some are groups."""
    count = draw(st.integers(1, 5))
    jobs: list[str] = []
    earlier: list[str] = []
    for number in range(count):
        name = f"{'gh'[depth]}{number}" if depth else f"j{number}"
        needs = draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else []
        parts = [f"name: {name}", f"needs: [{', '.join(needs)}]"]
        parts.append(f"tags: [{draw(st.sampled_from('xyz'))}]")
        if draw(st.booleans()):
            parts.append(f"background: {draw(st.sampled_from(['true', 'false']))}")
        if draw(st.integers(0, 5)) == 0:
            parts.append("skip: true")
        parts.append(f"priority: {draw(st.integers(-1, 1))}")
        if depth and draw(st.integers(0, 3)) == 0:
            mode = draw(st.sampled_from(["", "piped: true, ", "parallel: false, "]))
            inner = draw(job_texts(names, depth - 1))
            parts.append(f"group: {{{mode}jobs: [{inner}]}}")
        else:
            parts.append("run: c")
        jobs.append(f"{{{', '.join(parts)}}}")
        earlier.append(name)
    return ", ".join(jobs)


@st.composite
def hooks(draw: st.DrawFn) -> HookConfig:
    mode = draw(st.sampled_from(["", "parallel: false, ", "piped: true, ", "follow: true, "]))
    background = draw(st.sampled_from(["", "background: true, "]))
    jobs = draw(job_texts([]))
    text = f"hooks: {{{HOOK}: {{{mode}{background}jobs: [{jobs}]}}}}"
    loaded = load_from({"daft.yml": text.encode()}.get)
    assert loaded is not None
    hook = loaded.configuration.hooks[HOOK]
    assert hook.faults == (), text
    return hook


def planned(hook: HookConfig, **options: Any) -> Plan:
    loaded = load_from({"daft.yml": b""}.get)
    assert loaded is not None
    return plan(an_event(), loaded.configuration, hook, Facts(), Options(**options))


def names(specs: tuple[JobSpec, ...]) -> list[str]:
    return [spec.name for spec in specs]


selections = st.sampled_from(["", "tag:x", "g0", "g1", "h0", "tag:y,g0", HOOK])


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    hook=hooks(), selector=selections, placement=st.sampled_from(Placement), narrow=st.booleans()
)
def test_a_plan_keeps_the_rules(
    hook: HookConfig, selector: str, placement: Placement, narrow: bool
) -> None:
    narrowing = Narrowing(tags=frozenset({"x"})) if narrow else Narrowing()
    options = {"selectors": parse_selectors([selector]), "placement": placement}
    try:
        made = planned(hook, narrowing=narrowing, **options)
    except BadSelection:
        assert not any("x" in job.tags for job in hook.jobs)
        return
    if made.skip_reason is not None:
        assert placement is Placement.OFF
        assert not made.runs
        return
    placed = [*names(made.foreground), *names(made.background), *names(made.skipped)]
    declared = [job.name for job in hook.jobs]
    by_name = {job.name: job for job in hook.jobs}

    assert sorted(placed) == sorted(declared), "every job is in exactly one place"
    assert all(spec.skip is not None for spec in made.skipped)
    foreground, background = set(names(made.foreground)), set(names(made.background))
    for part, members in ((made.foreground, foreground), (made.background, background)):
        for spec in part:
            assert {*spec.needs, *spec.after} <= members, "waiting stays inside the part"
    for spec in made.foreground:
        assert not set(spec.full_needs) & background, "no foreground job needs a background job"
    if placement is Placement.FOREGROUND:
        assert not background
    if placement is Placement.AUTO:
        meant = {name for name in foreground if by_name[name].background
                 or (by_name[name].background is None and hook.background)}  # fmt: skip
        rest = [job for job in hook.jobs if job.name in foreground]
        needed = with_all_they_need(rest, foreground - meant) - (foreground - meant)
        assert meant == needed, "only what the foreground needs is promoted"
    ran_anyway = planned(hook, placement=placement)
    assert foreground | background <= {*names(ran_anyway.foreground), *names(ran_anyway.background)}
    for job in hook.jobs:  # what is skipped by request takes along all that needs it
        kinds = {spec.name: spec.skip.kind.value for spec in made.skipped if spec.skip}
        if any(kinds.get(wanted) in ("tag", "not-run") for wanted in job.needs):
            assert job.name in kinds


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(hook=hooks(), fails=st.sets(st.integers(0, 20)))
def test_every_plan_can_be_carried_out_in_its_order(hook: HookConfig, fails: set[int]) -> None:
    made = planned(hook, placement=Placement.FOREGROUND)
    specs = made.foreground
    status = {spec.name: JobStatus.QUEUED for spec in specs}
    started: list[str] = []

    while any(one is JobStatus.QUEUED for one in status.values()):
        facts = [
            JobFacts(uid=s.name, name=s.name, status=status[s.name], needs=s.needs, after=s.after,
                     priority=s.priority, position=place)
            for place, s in enumerate(specs)
        ]  # fmt: skip
        invocation = InvocationFacts(invocation_id="i", jobs=facts, mode=made.mode)
        decision = schedule(Snapshot(invocations=[invocation], workers=0))
        assert decision, f"nothing more starts: {status}"
        for skip in decision.skip:
            status[skip.uid] = JobStatus.SKIPPED
        if made.mode is not RunMode.PARALLEL:
            assert len(decision.start) <= 1
        for name in decision.start:
            spec = next(one for one in specs if one.name == name)
            assert all(status[wanted] is JobStatus.COMPLETED for wanted in spec.needs)
            assert all(status[earlier].is_final for earlier in spec.after)
            started.append(name)
            status[name] = JobStatus.FAILED if len(started) in fails else JobStatus.COMPLETED
        if made.mode is RunMode.PIPED and JobStatus.FAILED in status.values():
            queued = [n for n, s in status.items() if s is JobStatus.QUEUED]
            assert (
                not queued or not decision.start or status[decision.start[-1]] is JobStatus.FAILED
            )
    if made.mode is not RunMode.PARALLEL and JobStatus.FAILED not in status.values():
        assert started == names(in_order(specs)), "one at a time goes as it was printed"


@settings(max_examples=50)
@given(hook=hooks())
def test_every_plan_can_be_shown(hook: HookConfig) -> None:
    made = planned(hook)

    shown = [as_text(made, verbose=True), as_mermaid(made)]
    listed = [job["name"] for job in as_data(made)["jobs"]]

    for spec in (*made.foreground, *made.background, *made.skipped):
        assert spec.name in listed
        assert all(spec.name in text for text in shown)


# --- files nobody has seen before -----------------------------------------------------------------

_STARTS = (
    "subprocess.Popen",
    "os.posix_spawn",
    "os.fork",
    "os.exec",
    "os.system",
    "socket.connect",
)
_watching: list[list[str]] = []


def _audit(name: str, args: tuple[Any, ...]) -> None:
    if _watching and (
        name in _STARTS or (name == "open" and set(str(args[1] or "r")) & set("wax+"))
    ):
        _watching[-1].append(name)


sys.addaudithook(_audit)  # for life; it looks away unless somebody watches


@contextmanager
def nothing_started() -> Iterator[None]:
    """No process, no connection, no file opened to write."""
    seen: list[str] = []
    _watching.append(seen)
    try:
        yield
    finally:
        _watching.remove(seen)
    assert seen == []


WORDS = [
    *sorted({one.name for fields in shape.SHAPES.values() for one in fields}),
    *shape.HOOK_NAMES, *shape.SYSTEMS, "merge", "path", "optional",
]  # fmt: skip
scalars = st.sampled_from(
    ["~", "true", "x", "touch ran", "'{branch}'", "'{changed_files}'", "a", "b", "5s", "-1", "9e99", "0x1F", "'[x'",
     "'**/*'", "99999999999999999999", "!!python/object:os.system", "*a", "&a x", "2024-01-01", "'\\0'", '"\\0"']
)  # fmt: skip
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(WORDS), inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=20,
)
jobs_of_trees = st.lists(
    st.lists(st.tuples(st.sampled_from([one.name for one in shape.JOB]), trees), max_size=5), max_size=3
).map(lambda jobs: "[" + ", ".join("{" + ", ".join(f"{k}: {v}" for k, v in job) + "}" for job in jobs) + "]")  # fmt: skip


def digest(files: dict[str, bytes]) -> None:
    """Do all that reading a file leads to without consent."""
    with nothing_started():
        try:
            loaded = load_from(files.get)
            assert loaded is not None
            for problem in loaded.decoded.problems:
                assert str(problem)
                assert problem.mark.line >= 1
                assert problem.mark.column >= 1
            configuration = loaded.configuration
        except BadConfiguration:
            return
        for hook in configuration.hooks.values():
            try:
                made = plan(an_event(hook.name), configuration, hook, Facts(), Options())
            except UnplannableHook:
                continue
            assert as_text(made, verbose=True)
            as_data(made)
            as_mermaid(made)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees, jobs=jobs_of_trees, key=st.sampled_from(WORDS))
@example(tree="&a [*a]", jobs="[]", key="env")
@example(tree="{<<: {run: x}}", jobs="[{<<: [a], run: x}]", key="log")
def test_any_tree_gets_an_answer_and_starts_nothing(tree: str, jobs: str, key: str) -> None:
    digest({"daft.yml": f"{key}: {tree}\n".encode()})
    digest({"daft.yml": f"hooks: {{{HOOK}: {{{key}: {tree}, jobs: {jobs}}}}}\n".encode()})
    digest({"daft.yml": f"hooks: {{pre-merge: {{jobs: {jobs}}}}}\nextends: a.yml".encode(),
            "a.yml": tree.encode(), "post-clone.yml": tree.encode()})  # fmt: skip


SEED = b"""env: {ports: [A, {B: 4}], values: {U: "{env:A}"}}
log: {retention: 1d, max_log_size: 1MB}
hooks:
  worktree-post-create: &h
    only: [{ref: "a/*", desc: d}, {env: X}]
    jobs:
      - {name: a, run: {linux: [x, y], macos: z}, needs: [b], tags: t, timeout: 5m}
      - {name: b, group: {piped: true, jobs: [{run: x}, {name: c, script: s, runner: sh}]}}
  pre-merge: *h
"""


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cuts=st.lists(
        st.tuples(st.integers(0, len(SEED)), st.integers(0, 12), st.binary(max_size=6)), max_size=4
    )
)
def test_any_damage_to_a_file_gets_an_answer(cuts: list[tuple[int, int, bytes]]) -> None:
    data = SEED
    for start, length, put in cuts:
        data = data[:start] + put + data[start + length :]
    digest({"daft.yml": data})


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    digest({"daft.yml": data})


def test_the_watch_notices_a_process() -> None:
    import subprocess

    seen = False
    try:
        with nothing_started():
            subprocess.run(["true"], check=True)
    except AssertionError:
        seen = True
    assert seen


# --- what is dumped -------------------------------------------------------------------------------


def without_marks(value: Any) -> Any:
    """Return a configuration as plain data, without the places it was read from."""
    if isinstance(value, Mark):
        return None
    if attrs.has(type(value)):
        return {
            one.name: without_marks(getattr(value, one.name)) for one in attrs.fields(type(value))
        }
    if isinstance(value, dict):
        return {key: without_marks(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [without_marks(item) for item in value]
    return value


@st.composite
def files(draw: st.DrawFn) -> dict[str, bytes]:
    """Return a main file, what it extends, a file of a hook and an overlay."""
    parts = [f"hooks: {{{HOOK}: {{jobs: [{draw(job_texts([]))}]}}}}", "extends: more.yml"]
    if draw(st.booleans()):
        parts.append("env: {ports: [A, {B: 4}], values: {U: 'x{env:A}'}}")
    if draw(st.booleans()):
        parts.append("log: {retention: 1d, max_log_size: 10MB}")
    overlay = (
        f"hooks: {{{HOOK}: {{skip: [{{env: X, desc: 'a: b'}}], jobs: [{draw(job_texts([]))}]}}}}"
    )
    hook = "jobs: [{name: q, run: \"a\\nb: 'c' # d\\n\", env: {N: 017, Y: yes, E: ''}}]"
    return {
        "daft.yml": "\n".join(parts).encode(),
        "more.yml": b"layout: nested\nmin_version: 0.1\n",
        "post-clone.yml": hook.encode(),
        "daft.local.yml": overlay.encode(),
    }


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(found=files())
def test_what_is_dumped_is_the_same_configuration(found: dict[str, bytes]) -> None:
    loaded = load_from(found.get)
    assert loaded is not None

    dumped = as_yaml(loaded.document)
    again = load_from({"daft.yml": dumped.encode()}.get)

    assert again is not None
    assert without_marks(again.decoded.configuration) == without_marks(loaded.decoded.configuration)
    assert as_yaml(again.document) == dumped
