from __future__ import annotations

import subprocess
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daft_worktree.errors import BadBranchName, BranchConflict, CaseConflict
from daft_worktree.names import check_branch_name, check_no_conflict, similar

TRICKY = st.text(
    st.sampled_from(
        list("ab/.-@{}~^:?*[\\ \t\n\x7fLlock_HEADrefs;&$'\"ü\u0301\u200b\u2028é日\udcff")
    ),
    max_size=12,
)


def git_takes(name: str) -> bool:
    found = subprocess.run(
        ["git", "check-ref-format", f"refs/heads/{name}".encode("utf-8", "surrogateescape")],
        check=False,
    )
    return found.returncode == 0


@settings(max_examples=150, deadline=None)
@given(TRICKY)
def test_git_takes_every_name_that_is_taken(name: str) -> None:
    try:
        check_branch_name(name)
    except BadBranchName:
        return
    assert git_takes(name)


@settings(max_examples=150, deadline=None)
@given(TRICKY)
def test_a_refused_name_is_bad_for_git_or_deceives(name: str) -> None:
    try:
        check_branch_name(name)
    except BadBranchName:
        deceives = (
            name.startswith(("-", "refs/"))
            or name in ("HEAD", "@")
            or any(unicodedata.category(char) in ("Cf", "Zl", "Zp") for char in name)
        )
        assert deceives or not name or not git_takes(name)


@pytest.mark.parametrize(
    ("name", "other"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a"), ("a", "a/b/c")]
)
def test_a_branch_cannot_be_the_directory_of_another(name: str, other: str) -> None:
    with pytest.raises(BranchConflict, match=other):
        check_no_conflict(name, ["ab", "a-b", other])


def test_names_that_only_begin_alike_do_not_meet() -> None:
    check_no_conflict("a", ["ab", "a-b", "b/a"])
    check_no_conflict("A", ["a", "a/b"])


@pytest.mark.parametrize(
    ("name", "other", "error"),
    [
        ("Feature", "feature", CaseConflict),
        ("a/X", "A/x", CaseConflict),
        ("Feature/x", "feature", BranchConflict),
        ("feature", "Feature/x", BranchConflict),
        ("STRASSE", "straße", CaseConflict),
        (unicodedata.normalize("NFD", "ü"), "ü", CaseConflict),
    ],
)
def test_names_meet_where_letters_have_no_case(
    name: str, other: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_no_conflict(name, [other], ignore_case=True)


def test_the_same_name_is_no_conflict_with_itself() -> None:
    check_no_conflict("a", ["a"], ignore_case=True)


def test_what_was_meant_is_guessed() -> None:
    assert similar("mein", ["feature", "main", "old"]) == ("main",)
    assert similar("zzz", ["main"]) == ()
