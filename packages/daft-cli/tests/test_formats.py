"""One list in every form: no value is lost, and none is taken for something else."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from daft_cli import jobs_list
from daft_cli.failures import Trouble
from daft_cli.formats import FORMATS, write_rows
from daft_cli.templates import Template

COLUMNS = ("name", "status", "exit_code", "duration_secs", "background")
ROWS = [
    {"name": "it's \"odd\", [x]: {y}|z", "status": "failed", "exit_code": 3,
     "duration_secs": 1.25, "background": True},
    {"name": "two\nlines\tand a tab", "status": "true", "exit_code": None,
     "duration_secs": 2.0, "background": False},
    {"name": " -5 ", "status": "007", "exit_code": 0, "duration_secs": None, "background": False},
]  # fmt: skip
AS_TEXT = [
    ["" if row[name] is None else str(row[name]).lower() if isinstance(row[name], bool)
     else str(row[name]) for name in COLUMNS]
    for row in ROWS
]  # fmt: skip


def written(form: str, rows: Any = ROWS, **given: Any) -> str:
    out = io.StringIO(newline="")
    write_rows(form, rows, COLUMNS, out=out, **given)
    return out.getvalue()


def read_toon(text: str) -> list[dict[str, Any]]:
    """Read a table by the rules of the notation: quoted or not, split at commas outside quotes."""
    head, *lines = text.removesuffix("\n").split("\n")
    count, _, names = head.removesuffix(":").removeprefix("[").partition("]")
    rows = [
        dict(zip(names[1:-1].split(","), toon_values(line.removeprefix("  ")), strict=True))
        for line in lines
    ]
    assert len(rows) == int(count)
    return rows


def toon_values(line: str) -> list[Any]:
    values: list[Any] = []
    while True:
        if line.startswith('"'):
            end = 1
            while line[end] != '"':
                end += 2 if line[end] == "\\" else 1
            # Its escapes are some of JSON's; other control characters stand for themselves.
            values.append(json.loads(line[: end + 1], strict=False))
            line = line[end + 1 :]
        else:
            word, _, _ = line.partition(",")
            line = line[len(word) :]
            try:
                values.append(json.loads(word, parse_constant=int))
            except ValueError:
                values.append(word)
        if not line:
            return values
        line = line.removeprefix(",")


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_holds_every_value(form: str) -> None:
    text = written(form)

    match form:
        case "json":
            assert json.loads(text) == ROWS
        case "ndjson":
            assert [json.loads(line) for line in text.splitlines()] == ROWS
        case "yaml":
            assert yaml.safe_load(text) == ROWS
        case "toon":
            assert read_toon(text) == ROWS
        case "csv":
            assert list(csv.reader(io.StringIO(text, newline=""))) == [list(COLUMNS), *AS_TEXT]
        case "tsv":
            flat = [
                [" ".join(cell.split("\t")).replace("\n", " ") for cell in row] for row in AS_TEXT
            ]
            assert [line.split("\t") for line in text.splitlines()] == [list(COLUMNS), *flat]
        case "markdown":
            assert text.splitlines()[:2] == [f"| {' | '.join(COLUMNS)} |", "|---|---|---|---|---|"]
            assert len(text.splitlines()) == 2 + len(ROWS)


@pytest.mark.parametrize("form", FORMATS)
def test_no_rows_are_a_document(form: str) -> None:
    empty = {
        "json": "[]\n", "ndjson": "", "yaml": "[]\n", "toon": "[0]:\n",
        "csv": ",".join(COLUMNS) + "\r\n", "tsv": "\t".join(COLUMNS) + "\n",
        "markdown": f"| {' | '.join(COLUMNS)} |\n|---|---|---|---|---|\n",
    }  # fmt: skip

    assert written(form, []) == empty[form]
    assert written("csv", headers=False).startswith('"it')


VALUES = st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9).map(
    lambda one: round(one, 3)
) | st.text(st.characters(exclude_categories=["Cs"]))  # fmt: skip


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, VALUES))))
def test_toon_tells_every_value_from_every_other(rows: list[dict[str, Any]]) -> None:
    if rows:
        assert read_toon(written("toon", rows)) == rows


def test_the_listing_has_all_the_formats_that_lists_have() -> None:
    assert jobs_list.FORMATS == FORMATS


# --- templates --------------------------------------------------------------------------------


def test_a_template_is_over_the_rows_by_either_name() -> None:
    for name in ("items", "data"):
        text = "{% for one in " + name + " %}{{ one.status }}:{{ one['exit_code'] }};{% endfor %}"
        assert Template(text).text(ROWS) == "failed:3;true:None;007:0;\n"
    assert Template("{{ items[0].name | json_encode }}\n").text(ROWS) == (
        json.dumps(ROWS[0]["name"]) + "\n"
    )
    assert Template("{{ items | length }}").text([]) == "0\n"
    assert Template("{% for one in items %}{{ one }}{% endfor %}").text([]) == ""
    assert Template("{{ '<b>' }}").text([]) == "<b>\n"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("ok\n{% for %}", 2, "(line 2 of the template)"),
        ("{{ items | nope }}", 2, "nope"),
        ("\n\n{{ items[0].nope }}", 1, "columns: name, status"),
        ("\n\n{{ items[0].nope }}", 1, "(line 3 of the template)"),
        ("{{ 1 / 0 }}", 1, "division by zero (line 1 of the template)"),
        ("{{ nope }}", 1, "'nope' is undefined"),
        ("{{ ''.__class__.__mro__ }}", 1, "unsafe"),
        ("{{ items.clear() }}", 1, "unsafe"),
        ("{% include '/etc/passwd' %}", 1, "no loader"),
        ("{{ range(10 ** 9) | list }}", 1, "too big"),
    ],
)
def test_a_template_that_fails_says_where_and_reaches_nothing_else(
    text: str, code: int, said: str
) -> None:
    with pytest.raises(Trouble) as caught:
        Template(text).text(ROWS)

    assert caught.value.code == code
    assert said in str(caught.value)
