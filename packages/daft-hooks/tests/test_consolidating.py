"""Two changed copies of a configuration are brought together, or say where they disagree."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from daft_hooks.consolidation import has_comments, holds_already, merge_files
from daft_hooks.errors import BadConfiguration

BASE = (
    "rc: a\nlog: {retention: 1d, keep_last: 2}\n"
    "hooks: {post-clone: {parallel: true, jobs: [{name: a, run: one}, {name: b, run: two}]}}\n"
)


def merged(ours: str, theirs: str, base: str | None = BASE) -> Any:
    made = merge_files(
        ours.encode(),
        theirs.encode(),
        base=None if base is None else base.encode(),
        names=("f", "f"),
    )
    return yaml.safe_load(made.content), made.conflicts


def test_what_only_one_side_changed_is_taken_from_it() -> None:
    ours = BASE.replace("rc: a", "rc: b").replace("retention: 1d", "retention: 9d")
    theirs = BASE.replace("keep_last: 2", "keep_last: 5").replace("run: two", "run: three")

    said, conflicts = merged(ours, theirs)

    assert conflicts == ()
    assert said["rc"] == "b"
    assert said["log"] == {"retention": "9d", "keep_last": 5}
    assert [job["run"] for job in said["hooks"]["post-clone"]["jobs"]] == ["one", "three"]


def test_jobs_and_hooks_come_and_go() -> None:
    ours = BASE.replace("{name: b, run: two}", "{name: c, run: new}")
    theirs = BASE.replace("}]}}", "}, {name: d, run: d}, {run: unnamed}]}, post-merge: {}}")

    said, conflicts = merged(ours, theirs)

    assert conflicts == ()
    jobs = said["hooks"]["post-clone"]["jobs"]
    assert [job.get("name", "") for job in jobs] == ["a", "c", "d", ""]
    assert "post-merge" in said["hooks"]


@pytest.mark.parametrize(
    ("ours", "theirs", "path"),
    [
        (("rc: a", "rc: b"), ("rc: a", "rc: c"), "rc"),
        (("1d", "2d"), ("1d", "3d"), "log.retention"),
        (("parallel: true", "parallel: false"), ("parallel: true", "piped: true"),
         "hooks.post-clone.parallel"),
        (("run: two", "run: x"), ("run: two", "run: y"), "hooks.post-clone.jobs[b]"),
        (("run: two", "run: x"), (", {name: b, run: two}", ""), "hooks.post-clone.jobs[b]"),
        ((", {name: b, run: two}", ""), ("run: two", "run: x"), "hooks.post-clone.jobs[b]"),
        (("run: two", "run: x"), ("{name: a, run: one}, {name: b, run: two}",
         "{name: b, run: two}, {name: a, run: one}"), "hooks.post-clone.jobs (their order)"),
    ],
)  # fmt: skip
def test_what_both_changed_is_named_and_nothing_is_changed(
    ours: tuple[str, str], theirs: tuple[str, str], path: str
) -> None:
    mine = BASE.replace(*ours)

    made = merge_files(
        mine.encode(), BASE.replace(*theirs).encode(), base=BASE.encode(), names=("f", "f")
    )

    assert made.conflicts == (path,)
    assert made.content == mine.encode()


def test_without_a_beginning_whatever_differs_is_a_conflict() -> None:
    said, conflicts = merged("rc: a\n", "rc: b\nlayout: x\n", base=None)

    assert conflicts == ("rc",)
    assert said == {"rc": "a"}
    assert merged("rc: a\n", "layout: x\n", base=None) == ({"rc": "a", "layout": "x"}, ())


def test_extends_is_kept_as_it_is_written() -> None:
    said, _ = merged("rc: b\nextends: [x.yml]\n", "rc: a\nlayout: y\n", base="rc: a\n")

    assert said == {"rc": "b", "extends": ["x.yml"], "layout": "y"}


def test_a_copy_that_says_it_all_is_taken_byte_for_byte() -> None:
    theirs = b"# why\nrc:    b\n"

    made = merge_files(b"rc: a\n", theirs, base=b"rc: a\n", names=("f", "f"))

    assert made.content == theirs
    assert not made.loses_comments


def test_comments_that_would_be_lost_are_told() -> None:
    made = merge_files(b"rc: a # x\n", b"rc: a\nlayout: y\n", base=b"", names=("f", "f"))
    both = merge_files(b"rc: b # x\n", b"rc: a\nlayout: y\n", base=b"rc: a\n", names=("f", "f"))

    assert both.loses_comments
    assert made.conflicts == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: b # c\n", True),
        ("# c\na: b\n", True),
        ("a: b\n# c\n", True),
        ("a: b#c\n", False),
        ("a: 'b # c'\n", False),
        ("a: |\n  # c\n", False),
        ("a: é # c\n", True),
    ],
)
def test_comments_are_told_from_text(text: str, found: bool) -> None:
    assert has_comments(text.encode()) == found


def test_a_copy_that_cannot_be_read_holds_nothing() -> None:
    assert not holds_already(b"hooks: [}\n", b"rc: a\n", base=None, name="f")
    with pytest.raises(BadConfiguration):
        merge_files(b"hooks: [}\n", b"rc: a\n", base=None, names=("f", "f"))
    assert holds_already(b"rc: b\n", b"rc: b\n", base=b"a: [}", name="f")


VALUES = st.sampled_from(["1", "2", "x"])
JOBS = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES).map(
    lambda jobs: [{"name": name, "run": run} for name, run in jobs.items()]
)
ENTRIES = st.dictionaries(st.sampled_from(["jobs"]), JOBS) | st.fixed_dictionaries({"rc": VALUES})
FILES = st.fixed_dictionaries(
    {},
    optional={
        "rc": VALUES,
        "log": st.dictionaries(st.sampled_from(["retention", "keep_last"]), VALUES),
        "hooks": st.dictionaries(st.sampled_from(["post-clone", "pre-merge"]), ENTRIES),
    },
).map(lambda plain: yaml.safe_dump(plain))


@given(FILES, FILES)
def test_a_side_that_changed_nothing_changes_nothing(base: str, changed: str) -> None:
    assert merged(changed, base, base) == (yaml.safe_load(changed), ())
    assert merged(base, changed, base) == (yaml.safe_load(changed), ())
    assert merged(changed, changed, base) == (yaml.safe_load(changed), ())


@given(FILES, FILES, FILES)
def test_both_orders_find_the_same_conflicts(base: str, one: str, other: str) -> None:
    _, forth = merged(one, other, base)
    _, back = merged(other, one, base)

    assert sorted(forth) == sorted(back)


@given(FILES, FILES, FILES)
def test_a_result_holds_what_was_brought_in(base: str, ours: str, theirs: str) -> None:
    made = merge_files(ours.encode(), theirs.encode(), base=base.encode(), names=("f", "f"))

    if not made.conflicts:
        assert holds_already(made.content, theirs.encode(), base=base.encode(), name="f")
