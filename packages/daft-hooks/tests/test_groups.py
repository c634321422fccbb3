"""Groups: one node outside, a graph of its own inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_hooks import load_from
from daft_hooks.domain.config import HookConfig
from daft_hooks.errors import BadConfiguration


def hook_of(jobs: str) -> HookConfig:
    text = f"hooks:\n  worktree-post-create:\n    jobs: [{jobs}]\n"
    loaded = load_from({"daft.yml": text.encode()}.get)
    assert loaded is not None
    return loaded.configuration.hooks["worktree-post-create"]


def needs(hook: HookConfig) -> dict[str, tuple[str, ...]]:
    return {job.name: job.needs for job in hook.jobs}


def test_who_needs_a_group_needs_all_in_it_and_what_it_needs_they_need() -> None:
    hook = hook_of(
        "{name: first, run: x}, "
        "{name: checks, needs: [first], group: {jobs: [{name: lint, run: l}, {name: test, run: t, needs: [lint]}]}}, "
        "{name: last, run: x, needs: [checks]}"
    )

    assert needs(hook) == {
        "first": (),
        "checks/lint": ("first",),
        "checks/test": ("checks/lint", "first"),
        "last": ("checks/lint", "checks/test"),
    }
    assert hook.faults == ()


def test_a_sibling_goes_before_an_outer_job_of_the_same_name() -> None:
    hook = hook_of(
        "{name: a, run: x}, {name: b, run: x}, "
        "{name: g, group: {jobs: [{name: a, run: y}, {name: c, run: z, needs: [a, b]}]}}"
    )

    assert needs(hook)["g/c"] == ("g/a", "b")


def test_a_group_says_what_its_jobs_do_not_say_themselves() -> None:
    hook = hook_of(
        "{name: g, background: true, root: sub, env: {A: outer, B: outer}, tags: [t], skip: [{env: X}],"
        " log: {retention: 1d}, group: {jobs: ["
        " {name: a, run: x, background: false, root: deep, env: {B: inner}, tags: [u], log: {retention: 2d}},"
        " {name: b, run: x}]}}"
    )
    a, b = hook.jobs

    assert (a.background, b.background) == (False, True)
    assert (a.root, b.root) == ("sub/deep", "sub")
    assert a.env == {"A": "outer", "B": "inner"}
    assert a.tags == ("t", "u")
    assert (a.log.retention_s, b.log.retention_s) == (172800, 86400)
    assert a.groups == ("g",)
    assert len(a.outer) == 1


def test_the_mode_of_a_group_orders_its_jobs_only() -> None:
    piped = hook_of(
        "{name: g, group: {piped: true, jobs: [{name: a, run: x}, {name: b, run: x}, {name: c, run: x}]}}, {name: z, run: x}"
    )
    ordered = hook_of(
        "{name: g, group: {parallel: false, jobs: [{name: a, run: x, needs: [b]}, {name: b, run: x}]}}"
    )

    assert needs(piped) == {"g/a": (), "g/b": ("g/a",), "g/c": ("g/a", "g/b"), "z": ()}
    assert [(job.name, job.needs, job.after) for job in ordered.jobs] == [
        ("g/a", ("g/b",), ()),
        ("g/b", (), ()),
    ]


def test_an_ordered_group_goes_on_after_a_failure() -> None:
    hook = hook_of(
        "{name: g, group: {parallel: false, jobs: [{name: a, run: x}, {name: inner, group: {jobs: [{name: b, run: x}]}}, {name: c, run: x}]}}"
    )

    assert {job.name: job.after for job in hook.jobs} == {
        "g/a": (),
        "g/inner/b": ("g/a",),
        "g/c": ("g/a", "g/inner/b"),
    }


def test_groups_nest_eight_deep_and_no_deeper() -> None:
    def nested(depth: int) -> str:
        if depth == 0:
            return "{name: j, run: x}"
        return f"{{name: g, group: {{jobs: [{nested(depth - 1)}]}}}}"

    assert [job.name for job in hook_of(nested(8)).jobs] == ["g/" * 8 + "j"]
    with pytest.raises(BadConfiguration, match="nested deeper than 8"):
        hook_of(nested(9))


def test_a_group_that_needs_itself_waits_for_ever_and_is_told() -> None:
    hook = hook_of("{name: g, group: {jobs: [{name: a, run: x, needs: [g]}]}}")

    assert "g/a -> g/a" in hook.faults[0].message


def test_what_means_nothing_on_a_group_is_told() -> None:
    text = (
        "hooks: {post-clone: {jobs: [{name: g, timeout: 5s, group: {jobs: [{name: a, run: x}]}}]}}"
    )
    loaded = load_from({"daft.yml": text.encode()}.get)
    assert loaded is not None

    (problem,) = loaded.decoded.problems
    assert "'timeout' has no effect on a group" in problem.message
    assert not problem.is_error


@given(depth=st.integers(0, 4), width=st.integers(1, 3))
def test_every_job_in_a_group_is_there_once_under_a_name_of_its_own(depth: int, width: int) -> None:
    def level(left: int) -> str:
        jobs = [f"{{name: j{n}, run: x}}" for n in range(width)]
        if left:
            jobs.append(f"{{name: g, group: {{jobs: [{level(left - 1)}]}}}}")
        return ", ".join(jobs)

    names = [job.name for job in hook_of(level(depth)).jobs]

    assert len(names) == len(set(names)) == width * (depth + 1)
