"""Patterns for paths and refs."""

from __future__ import annotations

import functools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daft_hooks.domain.globs import BadGlob, path_glob, ref_matches


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.rs", "lib.rs", True),
        ("*.rs", "src/lib.rs", False),
        ("**/*.rs", "lib.rs", True),
        ("**/*.rs", "src/a/lib.rs", True),
        ("src/**/*.rs", "src/lib.rs", True),
        ("docs/**", "docs", False),
        ("docs/**", "docs/a/b", True),
        ("**", "a/b", True),
        ("a**b", "axxb", True),
        ("a**b", "a/b", False),
        ("a/**/b", "a/x/y/b", True),
        ("Cargo.{toml,lock}", "Cargo.lock", True),
        ("{a,b/{c,d}}", "b/d", True),
        ("*.RS", "lib.rs", False),
        ("src/**", "./src/x", True),
        ("./src/**", "src/x", True),
        ("[!a]x", "bx", True),
        ("[!a]x", "/x", False),
        ("[a-c]", "b", True),
        ("[]]", "]", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("?", "/", False),
        ("*", ".hidden", True),
        ("src/café.rs", "src/café.rs", True),
        ("line\n*", "line\nbreak", True),
    ],
)
def test_a_pattern_takes_the_whole_path(pattern: str, path: str, fits: bool) -> None:
    assert path_glob(pattern).matches(path) is fits


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("src/[unclosed", "`[` is not closed"),
        ("{a,b", "`{` is not closed"),
        ("a}", "closes nothing"),
        ("a\\", "last backslash"),
        ("{a,b}" * 20, "more than 256"),
        ("[z-a]", "is no pattern"),
        ("a\0", "NUL"),
    ],
)
def test_a_bad_pattern_is_named(pattern: str, said: str) -> None:
    with pytest.raises(BadGlob, match=re.escape(said)):
        path_glob(pattern)


@pytest.mark.parametrize(
    ("pattern", "ref", "fits"),
    [
        ("main", "main", True),
        ("release/*", "release/1/2", True),
        ("a*a", "a", False),
        ("{feat,fix}/*", "fix/a", True),
        ("v[0-9]?", "v12", True),
        ("main", "maintenance", False),
    ],
)
def test_a_star_crosses_slashes_in_a_ref(pattern: str, ref: str, fits: bool) -> None:
    assert ref_matches(pattern, ref) is fits


def slowly(pattern: list[str], path: list[str]) -> bool:
    """The dialect as it is explained, by trying everything."""

    @functools.cache
    def fits(p: int, s: int) -> bool:
        if p == len(pattern):
            return s == len(path)
        if pattern[p] == "**":
            if p == len(pattern) - 1:
                return s < len(path)
            return any(fits(p + 1, later) for later in range(s, len(path) + 1))
        return s < len(path) and within(pattern[p], path[s]) and fits(p + 1, s + 1)

    def within(part: str, text: str) -> bool:
        if not part:
            return not text
        if part[0] == "*":
            return any(within(part[1:], text[n:]) for n in range(len(text) + 1))
        return bool(text) and part[0] in ("?", text[0]) and within(part[1:], text[1:])

    return fits(0, 0)


segments = st.one_of(st.just("**"), st.text(alphabet="ab*?", min_size=1, max_size=5))


@settings(max_examples=500)
@given(
    pattern=st.lists(segments, min_size=1, max_size=4),
    path=st.lists(st.text(alphabet="ab", min_size=1, max_size=4), min_size=1, max_size=5),
)
def test_the_fast_way_agrees_with_the_slow_one(pattern: list[str], path: list[str]) -> None:
    # `**` beside other characters is one star twice.
    plain = [part if part == "**" else re.sub(r"\*+", "*", part) for part in pattern]

    assert path_glob("/".join(pattern)).matches("/".join(path)) == slowly(plain, path)


def test_no_pattern_takes_for_ever() -> None:
    """The number of steps is bounded; a pattern that explodes would never come back."""
    assert not path_glob("*a" * 60 + "b").matches("a" * 3000)
    assert not path_glob("**/a/" * 40 + "b").matches("a/" * 600)
