"""The JSON Schema says what decoding says, for every key there is."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daft_hooks import load_from
from daft_hooks.domain import shape
from daft_hooks.domain.shape import SHAPES, Field
from daft_hooks.errors import BadConfiguration, Problem, Severity
from daft_hooks.schema import MODELINE, as_text, json_schema

# In the workspace's test group; an environment that is older than it runs the rest.
jsonschema: Any = pytest.importorskip("jsonschema")
VALIDATOR = jsonschema.Draft7Validator(json_schema())
JOBS = [{"run": "x"}]

VALID: dict[type, list[Any]] = {
    shape.Text: ["x", 1, 1.5, True, None],
    shape.Texts: ["x", 1, ["x", 2], [], None],
    shape.Globs: ["**/x", ["a", "{b,c}"], None],
    shape.Flag: [True, False, None],
    shape.Number: [1, None],
    shape.Choice: [None],
    shape.Quantity: [None],
    shape.FlagOr: [True, False, "auto", None],
    shape.Command: ["x", 1, ["x", "y"], {"linux": "x", "macos": ["y", "z"]}],
    shape.Conditions: [
        True, "CI", ["merge", {"ref": "a/*"}], {"env": "A", "desc": "d"}, None,
        {"linux": ["rebase", {"run": "x", "timeout": "5s"}], "macos": {"changed": ["x"]}},
    ],
    shape.Variables: [{"A": "x", "b": 1, "C": None}, {}, None],
    shape.Part: [None],
    shape.Parts: [JOBS, [], None, [{"script": "s", "runner": "sh"}, {"group": {"jobs": JOBS}}]],
    shape.Paths: [None, [], [{"path": "x", "optional": True}], {"path": "x", "optional": True}],
    shape.Relations: ["x", ["x", {"url": "y", "name": "n", "kind": None}], [], None],
    shape.Copies: ["x", ["x", "**/y", 1], [], None, {"paths": ["x"], "max_size": "1GB"}],
    shape.Ports: [["A", {"B": 3}, "C"], "A", [], None],
}  # fmt: skip
WRONG: dict[type, list[Any]] = {
    shape.Text: [["x"], {"a": 1}],
    shape.Texts: [{"a": 1}, [["x"]]],
    shape.Globs: [{"a": 1}, [["x"]]],
    shape.Flag: ["yes", 1, [], {"a": 1}],
    shape.Number: ["x", 1.5, True, [1]],
    shape.Choice: ["nonsense", 3, {"a": 1}],
    shape.Quantity: ["soon", "10XB", [1], {"a": 1}],
    shape.FlagOr: ["perhaps", 1, [True]],
    shape.Command: [{"linus": "x"}, {"linux": {"a": 1}}, [["x"]]],
    shape.Conditions: [
        [["merge"]], {"linux": ["merge"], "plan9": []}, [{"env": ["A"]}], {"macos": [[]]},
    ],
    shape.Variables: ["x", ["x"], {"A": ["x"]}, {"a=b": "x"}],
    shape.Part: ["x", ["x"], 3],
    shape.Parts: ["x", {"a": 1}, ["x"], [["x"]]],
    shape.Paths: [{"a": 1}, [["x"]], [{"file": "x"}], [{"path": "x", "optional": "yes"}]],
    shape.Relations: [{"url": "x"}, [["x"]], [{"name": "x"}], [{"url": "x", "colour": "red"}]],
    shape.Copies: [{}, {"path": "x"}, [["x"]], {"paths": "x", "fallback": "link"}],
    shape.Ports: ["lower", ["A", {"B": -1}], [{"A": 1, "B": 2}], {"A": 1}, [["A"]]],
}  # fmt: skip


def document(name: str, key: str, value: Any) -> dict[str, Any]:
    """Return the smallest document in which one key of a shape has a value."""

    def hook(entry: dict[str, Any]) -> dict[str, Any]:
        return {"hooks": {"pre-merge": entry}}

    match name:
        case "top":
            return {key: value}
        case "hook":
            return hook({"jobs": JOBS, key: value})
        case "job":
            works = ("run", "script", "uses", "group")
            work = {} if key in works and value is not None else {"run": "x"}
            return hook({"jobs": [{"name": "a", **work, key: value}]})
        case "group":
            return hook({"jobs": [{"group": {"jobs": JOBS, key: value}}]})
        case "command":
            work = {} if key in ("run", "script") and value is not None else {"run": "x"}
            return hook({"commands": {"a": {**work, key: value}}})
        case "copy":
            return {name: {"paths": "x", key: value}}
        case "rule":
            return hook({"jobs": JOBS, "skip": [{"env": "A", key: value}]})
        case _:
            return {name: {key: value}}


def values(table: dict[type, list[Any]], field: Field) -> list[Any]:
    found = list(table[type(field.kind)])
    match field.kind:
        case shape.Choice(words=words, many=many) if table is VALID:
            found += [*words, *([list(words)] if many else [])]
        case shape.Quantity(unit="duration") if table is VALID:
            found += ["90s", "1h30m"]
        case shape.Quantity(unit="size") if table is VALID:
            found += ["10MB", 500, "2 GiB"]
        case shape.Number(least=least) if table is WRONG and least is not None:
            found += [least - 1]
        case shape.Part(named=True) if field.name == "tasks":
            found += [{"dev": {"jobs": JOBS}}] if table is VALID else [{"a b": {"jobs": JOBS}}]
        case shape.Part(named=True) if field.name == "hooks":
            found += [{"post-clone": {"jobs": JOBS}}] if table is VALID else [{"post-clon": {}}]
    if field.name == "min_version":
        return ["0.1", 0.1, None] if table is VALID else ["nine", "1.2.3.4"]
    if field.name == "values":
        return [{"URL": "x"}, None] if table is VALID else [{"url": "x"}, ["x"]]
    if field.name == "range":
        return ["20000-32767", None] if table is VALID else [["x"]]
    return found


FIELDS = [(name, field) for name, fields in SHAPES.items() for field in fields if field.effect]


def problems(text: str) -> tuple[Problem, ...]:
    try:
        loaded = load_from({"daft.yml": text.encode()}.get)
    except BadConfiguration as error:
        return error.problems
    assert loaded is not None
    return loaded.decoded.problems


def complaints(text: str) -> list[str]:
    return [
        str(one)
        for one in problems(text)
        if one.severity in (Severity.FATAL, Severity.ERROR)
        or any(words in one.message for words in ("unknown field", "is no version"))
    ]


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[f"{n}.{f.name}" for n, f in FIELDS])
def test_the_schema_and_the_program_agree_on_every_key(name: str, field: Field) -> None:
    for value in values(VALID, field):
        made = document(name, field.name, value)
        assert complaints(json.dumps(made)) == []
        assert [error.message for error in VALIDATOR.iter_errors(made)] == [], made
    for value in values(WRONG, field):
        made = document(name, field.name, value)
        assert complaints(json.dumps(made)) != [], made
        assert not VALIDATOR.is_valid(made), made


@pytest.mark.parametrize("name", SHAPES)
def test_an_unknown_key_is_told_by_both(name: str) -> None:
    made = document(name, "nonsense", 1)

    assert "unknown field 'nonsense'" in "".join(complaints(json.dumps(made)))
    assert not VALIDATOR.is_valid(made)
    assert VALIDATOR.is_valid(document(name, "x-anchor", {"a": 1}))


KEYS = [*sorted({field.name for fields in SHAPES.values() for field in fields}), "pre-merge", "a"]
anything = st.recursive(
    st.sampled_from([None, True, 1, "x", "merge", "5s", "auto", "1MB", "A", "branch"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    top=st.sampled_from([one.name for one in shape.TOP if one.name != "extends"]), value=anything
)
def test_what_the_schema_accepts_the_program_takes(top: str, value: Any) -> None:
    made = {top: value}
    found = [
        str(one)
        for one in problems(json.dumps(made))
        if one.message.startswith(("expected ", "unknown field", "unknown system"))
        or " is none of " in one.message
    ]

    assert not found or not VALIDATOR.is_valid(made), found


def test_the_file_that_is_shipped_is_up_to_date() -> None:
    shipped = resources.files("daft_hooks").joinpath("daft.schema.json").read_text("utf-8")

    assert shipped == as_text()
    jsonschema.Draft7Validator.check_schema(json.loads(shipped))


def test_the_modeline_is_a_comment_that_names_a_file() -> None:
    assert MODELINE.startswith("# yaml-language-server: $schema=")
    assert problems(f"{MODELINE}\nlayout: contained\n") == ()
