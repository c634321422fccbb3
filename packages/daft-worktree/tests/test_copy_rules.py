"""What holds of every decision on a copy, whatever was seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daft_worktree.copying.domain import (
    Decision,
    Found,
    Kind,
    Rules,
    Standing,
    Verdict,
    decide,
    is_linked,
    tiers,
    without_nested,
)
from daft_worktree.worktrees import Worktree

words = st.none() | st.just("why")
found = st.builds(
    Found,
    path=st.just("p"),
    kind=st.sampled_from(Kind),
    obstacle=words,
    holds=words,
    leaves=st.booleans(),
    standing=st.sampled_from(Standing),
    mark=st.sampled_from(["", "p", "p/x"]),
    target_obstacle=words,
    is_there=st.booleans(),
    target_leaves=st.booleans(),
    target_holds=words,
    is_ignored_there=st.booleans(),
)
CHANGES = (Verdict.COPY, Verdict.REPLACE)


@given(found, st.booleans())
def test_only_what_git_ignores_on_both_sides_and_stays_inside_is_copied(
    seen: Found, force: bool
) -> None:
    made = decide(seen, force=force)

    if made.verdict in CHANGES:
        assert seen.standing is Standing.IGNORED
        assert seen.is_ignored_there
        assert seen.kind is not Kind.OTHER
        assert not any((seen.leaves, seen.target_leaves, seen.obstacle, seen.target_obstacle))
        assert not any((seen.holds, seen.target_holds))
    assert bool(made.reason) == (made.verdict not in CHANGES)


@given(found)
def test_only_force_replaces_and_only_what_is_there(seen: Found) -> None:
    assert decide(seen, force=False).verdict is not Verdict.REPLACE
    assert (decide(seen, force=True).verdict is Verdict.REPLACE) <= seen.is_there
    assert decide(seen, force=True).verdict is not Verdict.PRESENT


paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)


@given(st.dictionaries(paths, st.sampled_from(Verdict)))
def test_each_path_is_decided_once_or_comes_with_another(verdicts: dict[str, Verdict]) -> None:
    kept = without_nested(Decision(path, verdict) for path, verdict in verdicts.items())

    copied = [one.path for one in kept if one.verdict in CHANGES]
    assert {one.path: one.verdict for one in kept}.items() <= verdicts.items()
    assert not any(one.startswith(f"{other}/") for one in copied for other in copied)
    for path in verdicts.keys() - {one.path for one in kept}:
        assert any(path.startswith(f"{other}/") for other in copied)


@given(paths, st.sets(paths))
def test_what_is_in_a_linked_directory_is_linked(path: str, linked: set[str]) -> None:
    expected = any(f"{path}/".startswith(f"{one}/") for one in linked)

    assert is_linked(path, linked) == expected


trees = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("12"), st.booleans()),
    unique_by=lambda tree: tree[0],
)


@given(trees, st.sampled_from("abcd"), st.none() | st.sampled_from("abcd"))
def test_no_source_is_gone_or_the_target_and_none_comes_twice(
    given_trees: list[tuple[str, str, bool]], base: str, current: str | None
) -> None:
    target = Worktree(path="/target", head="1", branch="target")
    live = [
        Worktree(path=f"/{name}", head=head, branch=name, missing=missing)
        for name, head, missing in given_trees
    ]

    ordered = tiers(
        [*live, target], target, base=base, current=None if current is None else f"/{current}"
    )

    listed = [one.path for tier in ordered for one in tier]
    assert len(set(listed)) == len(listed)
    assert "/target" not in listed
    assert not any(one.missing for tier in ordered for one in tier)
    if f"/{base}" in [one.path for one in live if not one.missing]:
        assert listed[0] == f"/{base}"


def test_a_size_goes_before_the_wish_to_copy_nothing() -> None:
    assert Rules(()).byte_limit is None
    assert Rules((), copies_bytes=False).byte_limit == 0
    assert Rules((), copies_bytes=False, max_size_bytes=5).byte_limit == 5
    assert Rules((), max_size_bytes=5).byte_limit == 5
