"""The JSON Schema of `daft.yml`, made from the table that decoding reads.

Editors complete and check by it. What it accepts, decoding accepts; a word in capitals, which
decoding also takes, it does not offer.
"""

from __future__ import annotations

import json
from typing import Any, assert_never

from .domain import shape
from .domain.config import RuleKind
from .domain.shape import Field, Kind

FILE_NAME = "daft.schema.json"
MODELINE = f"# yaml-language-server: $schema=.daft/{FILE_NAME}"
"""The first line of a `daft.yml` whose schema was written by `daft hooks schema --write`."""

_DIALECT = "http://json-schema.org/draft-07/schema#"
_DURATION = r"^\s*([0-9]+(ms|s|m|h|d|w))+\s*$"
_SIZE = r"^\s*[0-9]+\s*([KkMmGg][Ii]?[Bb]|[Bb])?\s*$"
_VERSION = r"^[0-9]{1,9}(\.[0-9]{1,9}){0,2}$"
_VARIABLE = r"^[A-Z_][A-Z0-9_]*$"
_TASK = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_SCALAR = ["string", "number", "boolean"]

_WORKS = {"job": ("run", "script", "uses", "group", "disabled"), "command": ("run", "script")}
"""What an entry is nothing without: one of these."""

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Return the schema, as maps and lists."""
    definitions = {name: _object(name) for name in shape.SHAPES if name != "top"}
    definitions["condition"] = _condition()
    return {
        "$schema": _DIALECT,
        "title": "daft.yml",
        "description": "What daft does when a worktree is made, moved, merged or removed.",
        **_object("top"),
        "definitions": definitions,
    }


def as_text() -> str:
    """Return the schema as the text of the file that is shipped."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _object(name: str) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": {
            one.name: {"description": one.says, **_of_field(one)} for one in shape.SHAPES[name]
        },
        # Places for anchors, as other programs have them.
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }
    if name in _WORKS:
        found["anyOf"] = [{"required": [work]} for work in _WORKS[name]]
    if name == "copy":
        found["required"] = ["paths"]
    if name == "job":
        found["dependencies"] = {"needs": ["name"]}
    if name == "rule":
        found["anyOf"] = [{"required": [kind.value]} for kind in RuleKind if kind.value != "state"]
    return found


def _of_field(field: Field) -> Schema:
    if field.name == "hooks":
        entry = _or_nothing({"$ref": "#/definitions/hook"})
        known = dict.fromkeys(shape.HOOK_NAMES, entry)
        return _or_nothing({"type": "object", "properties": known, "additionalProperties": False})
    if field.name == "tasks":
        entry = _or_nothing({"$ref": "#/definitions/hook"})
        return _or_nothing(
            {
                "type": "object",
                "patternProperties": {_TASK: entry},
                "additionalProperties": False,
            }
        )
    if field.name == "values":
        return _map_of_texts(_VARIABLE)
    if field.name == "min_version":
        return {"type": ["string", "number", "null"], "pattern": _VERSION, "minimum": 0}
    return _of_kind(field.kind)


def _of_kind(kind: Kind) -> Schema:
    match kind:
        case shape.Text():
            return {"type": [*_SCALAR, "null"]}
        case shape.Texts() | shape.Globs():
            return {"type": [*_SCALAR, "array", "null"], "items": {"type": _SCALAR}}
        case shape.Flag():
            return {"type": ["boolean", "null"]}
        case shape.Number(least=least):
            number: Schema = {"type": ["integer", "null"]}
            return number if least is None else {**number, "minimum": least}
        case shape.Choice(words=words, many=many):
            one: Schema = {"enum": [*words, None]}
            return {"anyOf": [one, _list({"enum": list(words)})]} if many else one
        case shape.Quantity(unit=unit, or_none=or_none):
            return _quantity(unit, or_none)
        case shape.FlagOr(word=word):
            return {"enum": [True, False, word, None]}
        case shape.Command():
            return _command()
        case shape.Conditions():
            return {"$ref": "#/definitions/condition"}
        case shape.Variables():
            return _map_of_texts("^[^=]+$")
        case shape.Part(shape=name, named=named):
            reference: Schema = {"$ref": f"#/definitions/{name}"}
            if named:
                reference = {"type": "object", "additionalProperties": reference}
            return _or_nothing(reference)
        case shape.Parts(shape=name):
            return _or_nothing(_list({"$ref": f"#/definitions/{name}"}))
        case shape.Paths():
            return _paths()
        case shape.Relations():
            return _relations()
        case shape.Copies():
            return _copies()
        case shape.Ports():
            return _ports()
        case _:
            assert_never(kind)


def _map_of_texts(names: str) -> Schema:
    return _or_nothing(
        {
            "type": "object",
            "propertyNames": {"pattern": names},
            "additionalProperties": {"type": [*_SCALAR, "null"]},
        }
    )


def _quantity(unit: str, or_none: bool) -> Schema:
    pattern = _DURATION if unit == "duration" else _SIZE
    if or_none:
        pattern = f"^none$|{pattern}"
    if unit == "duration":
        return {"type": ["string", "null"], "pattern": pattern}
    return {"type": ["string", "integer", "null"], "pattern": pattern, "minimum": 0}


def _command() -> Schema:
    text_or_texts: Schema = {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": ["number", "boolean"]},
            {"type": "array", "items": {"type": _SCALAR}, "minItems": 1},
        ]
    }
    by_system = {
        "type": "object",
        "properties": dict.fromkeys(shape.SYSTEMS, text_or_texts),
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {"anyOf": [*text_or_texts["anyOf"], by_system]}


def _condition() -> Schema:
    rule: Schema = {"$ref": "#/definitions/rule"}
    rules = _list({"anyOf": [{"enum": list(shape.STATES)}, rule]})
    by_system = {
        "type": "object",
        "properties": {
            system: {"anyOf": [rules, rule, {"enum": list(shape.STATES)}, {"type": "null"}]}
            for system in shape.SYSTEMS
        },
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {
        "description": "True or false, a variable, a rule, a list of rules, or rules by system.",
        "anyOf": [{"type": [*_SCALAR, "null"]}, rules, rule, by_system],
    }


def _relations() -> Schema:
    texts = {key: {"type": [*_SCALAR, "null"]} for key in ("name", "kind")}
    relation = {
        "type": "object",
        "properties": {"url": {"type": _SCALAR}, **texts},
        "required": ["url"],
        "additionalProperties": False,
    }
    return {
        "anyOf": [
            {"type": [*_SCALAR, "null"]},
            _list({"anyOf": [{"type": _SCALAR}, relation]}),
        ]
    }


def _paths() -> Schema:
    path: Schema = {"type": "string", "minLength": 1}
    entry = {
        "type": "object",
        "properties": {"path": path, "optional": {"type": "boolean"}},
        "required": ["path"],
        "additionalProperties": False,
    }
    return {"anyOf": [path, entry, {"type": "null"}, _list({"anyOf": [path, entry]})]}


def _copies() -> Schema:
    paths = _of_kind(shape.Globs())
    return {"anyOf": [paths, {"$ref": "#/definitions/copy"}]}


def _ports() -> Schema:
    name: Schema = {"type": "string", "pattern": _VARIABLE}
    with_offset = {
        "type": "object",
        "propertyNames": {"pattern": _VARIABLE},
        "additionalProperties": {"type": ["integer", "null"], "minimum": 0},
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [name, {"type": "null"}, _list({"anyOf": [name, with_offset]})]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_nothing(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
