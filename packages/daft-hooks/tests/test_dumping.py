"""A merged configuration as text: loading it again changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daft_hooks import Loaded, load_from
from daft_hooks.document import Node, parse
from daft_hooks.domain.starters import ECOSYSTEMS, POST_CREATE, detected, snippet, starter
from daft_hooks.dumping import as_json, as_yaml, with_origins
from daft_hooks.errors import Mark
from daft_hooks.hooktypes import HOOK_TYPES


def read(**files: str) -> Loaded:
    found = load_from({name.replace("_", "."): text.encode() for name, text in files.items()}.get)
    assert found is not None
    return found


def same(one: Node, other: Node) -> bool:
    return (
        (one.kind, one.text if one.kind == "scalar" else "", one.value)
        == (other.kind, other.text if other.kind == "scalar" else "", other.value)
        and list(one.items) == list(other.items)
        and all(same(one.items[key], other.items[key]) for key in one.items)
        and len(one.elements) == len(other.elements)
        and all(same(a, b) for a, b in zip(one.elements, other.elements, strict=True))
    )


HARD = """\
# a comment
min_version: 0.1
tasks: {}
hooks:
  worktree-post-create:
    fail_mode: warn
    jobs:
      - {name: "true", run: "yes", env: {A: 017, B: "1.0", C: 1.0, D: ~, E: "", F: "~", G: 0x1F}}
      - name: two
        run: |
          echo "one: # no comment"
            indented
          - 'x'
      - name: three
        run: ">\\ttab \\u00e9 \\x07"
  post-clone:
    jobs: []
"""


def test_what_is_shown_is_what_is_meant() -> None:
    loaded = read(daft_yml=HARD)

    again = parse(as_yaml(loaded.document).encode(), "daft.yml")

    assert same(again, loaded.document)
    plain = json.loads(as_json(loaded.document))
    assert plain["hooks"]["worktree-post-create"]["jobs"][0]["env"]["B"] == "1.0"


def test_what_is_extended_and_laid_over_is_shown_merged() -> None:
    loaded = load_from(
        {
            "daft.yml": b"extends: [m.yml]\nhooks: {post-clone: {jobs: [{name: a, run: x}]}}\n",
            "m.yml": b"hooks: {post-clone: {jobs: [{name: b, run: y}]}}\n",
            "daft.local.yml": b"hooks: {post-clone: {jobs: [{name: a, run: z}]}}\n",
        }.get
    )
    assert loaded is not None
    text = as_yaml(loaded.document)

    again = read(daft_yml=text)
    assert "extends" not in text
    assert [(job.name, job.run[""]) for job in again.configuration.hooks["post-clone"].jobs] == [
        ("a", "z"), ("b", "y"),
    ]  # fmt: skip
    lines = with_origins(loaded.document).splitlines()
    assert any(line.startswith("daft.local.yml:1:") and line.endswith('"z"') for line in lines)
    assert any(
        line.startswith("m.yml:1:") and "hooks.post-clone.jobs[1].run" in line for line in lines
    )


def test_one_hook_alone() -> None:
    loaded = read(daft_yml=HARD)

    assert "worktree" not in as_yaml(loaded.document, hook="post-clone")
    with pytest.raises(KeyError):
        as_yaml(loaded.document, hook="pre-merge")


MARK = Mark(file="f", line=1, column=1)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


def scalar(text: str) -> Node:
    return Node("scalar", MARK, text=text, value=text)


NODES = st.recursive(
    TEXTS.map(scalar),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda elements: Node("list", MARK, elements=elements))
        | st.dictionaries(TEXTS, inner, max_size=3).map(
            lambda items: Node("map", MARK, items=items)
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.dictionaries(TEXTS.filter(lambda key: key != "extends"), NODES, max_size=3))
def test_any_text_survives(items: dict[str, Node]) -> None:
    root = Node("map", MARK, items=items)

    again = parse(as_yaml(root).encode(), "daft.yml")

    assert again.to_plain() == root.to_plain()


# --- starters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ECOSYSTEMS, ids=lambda one: f"{one.name}-{one.markers[0]}")
def test_every_ecosystem_gets_jobs_that_are_valid(tool: Any) -> None:
    files = {tool.markers[0], *tool.also}
    loaded = read(daft_yml=starter([POST_CREATE], files))

    assert [p for p in loaded.decoded.problems if p.is_error] == []
    jobs = loaded.configuration.hooks[POST_CREATE].jobs
    assert [job.run[""] for job in jobs] == [step.run for step in tool.steps]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"package.json", "pnpm-lock.yaml", "package-lock.json"}, ["pnpm"]),
        ({"package.json", "yarn.lock"}, ["yarn"]),
        ({"uv.lock", "pyproject.toml", "Cargo.toml"}, ["uv", "cargo"]),
        ({"README.md"}, []),
    ],
)
def test_one_tool_of_each_family_is_chosen(files: set[str], names: list[str]) -> None:
    assert [one.name for one in detected(files)] == names


def test_a_starter_for_every_hook_is_valid() -> None:
    loaded = read(daft_yml=starter(list(HOOK_TYPES), {"go.mod"}, head="# head"))

    assert loaded.decoded.problems == ()
    assert list(loaded.configuration.hooks) == list(HOOK_TYPES)
    assert "hooks:\n" + snippet("pre-merge", set()) in "hooks:\n" + starter(["pre-merge"], set())
