"""Editing a list of a configuration file leaves all else as it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_hooks.document import parse
from daft_hooks.editing import with_texts, without_texts
from daft_hooks.errors import BadConfiguration, CannotEdit


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "shared:\n  - .env\n"),
        ("# ours\n", "# ours\nshared:\n  - .env\n"),
        ("rc: a # why", "rc: a # why\nshared:\n  - .env\n"),
        ("rc: a\r\n", "rc: a\r\nshared:\r\n  - .env\r\n"),
        ("\ufeffrc: a\n", "\ufeffrc: a\nshared:\n  - .env\n"),
        ("  rc: a\n", "  rc: a\n  shared:\n    - .env\n"),
        ("---\nrc: a\n...\n", "---\nrc: a\nshared:\n  - .env\n...\n"),
        ("{rc: a}\n", "{rc: a, shared: [.env]}\n"),
        ("{rc: a,}\n", "{rc: a,shared: [.env]}\n"),
        ("{}\n", "{shared: [.env]}\n"),
        ("shared:\nrc: a\n", "shared: [.env]\nrc: a\n"),
        ("shared: # none\nrc: a\n", "shared: [.env] # none\nrc: a\n"),
        ("shared: ~ # none\n", "shared: [.env] # none\n"),
        ("shared: 'a b' # one\n", "shared: ['a b', .env] # one\n"),
        ("shared: [] # none\nrc: a\n", "shared: [.env] # none\nrc: a\n"),
        ("shared: [a, 'b'] # two\n", "shared: [a, 'b', .env] # two\n"),
        ("shared: [\n  a, # one\n  b\n]\n", "shared: [\n  a, # one\n  b, .env\n]\n"),
        (
            "shared: # ours\n  - a # one\n\n  # then\n  - 'b' # two\n\n# hooks\nrc: a\n",
            "shared: # ours\n  - a # one\n\n  # then\n  - 'b' # two\n  - .env\n\n# hooks\nrc: a\n",
        ),
        ("shared:\n- a\nrc: a\n", "shared:\n- a\n- .env\nrc: a\n"),
        ("shared:\r\n    - a", "shared:\r\n    - a\r\n    - .env"),
        ("shared: &s [a]\n", "shared: &s [a, .env]\n"),
    ],
)  # fmt: skip
def test_an_addition_keeps_comments_and_layout(before: str, after: str) -> None:
    assert with_texts(before.encode(), "shared", [".env"], file="daft.yml").decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("shared: [.env, a] # two\n", "shared: [a] # two\n"),
        ("shared: [a, '.env']\n", "shared: [a]\n"),
        ("shared: .env # one\nrc: a\n", "shared: [] # one\nrc: a\n"),
        ("shared:\n  - a # one\n  - .env # two\n  # three\n  - b\n", "shared:\n  - a # one\n  # three\n  - b\n"),
        ("shared: # ours\n  # the one\n  - .env\nrc: a\n", "shared: [] # ours\n  # the one\nrc: a\n"),
        ("shared:\r\n  - a\r\n  - .env", "shared:\r\n  - a\r\n"),
        ("rc: a\n", "rc: a\n"),
        ("shared: [a]\n", "shared: [a]\n"),
    ],
)  # fmt: skip
def test_a_removal_keeps_comments_and_layout(before: str, after: str) -> None:
    assert without_texts(before.encode(), "shared", [".env"], file="daft.yml").decode() == after


@pytest.mark.parametrize(
    "text", ["x-s: &s [a]\nshared: *s\n", "shared: {a: b}\n", "shared: >-\n  a\n"]
)
def test_what_cannot_be_edited_says_what_to_write(text: str) -> None:
    with pytest.raises(CannotEdit, match=r"daft\.yml cannot be changed") as told:
        with_texts(text.encode(), "shared", [".env"], file="daft.yml")

    assert ".env" in told.value.tips[0]


def test_what_is_no_yaml_is_told() -> None:
    with pytest.raises(BadConfiguration):
        with_texts(b"a: [\n", "shared", [".env"], file="daft.yml")


paths = st.lists(
    st.one_of(st.sampled_from([".env", "a b", "no", "1", "~", "- x", "a#b", "a: b"]), st.text(
        st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=8
    )),
    min_size=1, max_size=4, unique=True,
)  # fmt: skip


@given(
    before=st.sampled_from(["", "rc: a\n", "shared: [x]\n", "shared:\n- x\n", "shared: x"]),
    texts=paths,
)
def test_what_was_added_can_be_taken_away_again(before: str, texts: list[str]) -> None:
    added = with_texts(before.encode(), "shared", texts, file="daft.yml")
    gone = without_texts(added, "shared", [*texts], file="daft.yml")

    had = ["x"] if "x" in before and "x" not in texts else []
    assert parse(added, "f").items["shared"].to_plain() == (["x"] if "x" in before else []) + texts
    assert parse(gone, "f").items["shared"].to_plain() == had


MAP = {"url": "git@h:a/b.git", "name": "a b"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'relations:\n  - {url: "git@h:a/b.git", name: "a b"}\n'),
        (
            "relations: # ours\n  - url: x # one\n    name: y\n\n# next\nrc: a\n",
            (
                "relations: # ours\n  - url: x # one\n    name: y\n"
                '  - {url: "git@h:a/b.git", name: "a b"}\n\n# next\nrc: a\n'
            ),
        ),
        ("relations: [x]\n", 'relations: [x, {url: "git@h:a/b.git", name: "a b"}]\n'),
    ],
)
def test_a_map_is_added_as_a_text_is(before: str, after: str) -> None:
    assert with_texts(before.encode(), "relations", [MAP], file="daft.yml").decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "relations:\n  - url: git@h:a/b.git # one\n    name: a b\n  - url: y\n    name: z\n",
            "relations:\n  - url: y\n    name: z\n",
        ),
        (
            "relations:\n  - y # why\n  - {url: 'git@h:a/b.git', name: a b}\n# end\n",
            "relations:\n  - y # why\n# end\n",
        ),
        ("relations: [{url: 'git@h:a/b.git', name: a b}, x] # two\n", "relations: [x] # two\n"),
    ],
)
def test_a_map_is_taken_out_whole(before: str, after: str) -> None:
    assert without_texts(before.encode(), "relations", [MAP], file="daft.yml").decode() == after
