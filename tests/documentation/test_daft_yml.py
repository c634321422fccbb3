"""The manual of daft.yml has every key, wrong input and odd case, and names tests there are."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_hooks.domain.shape import SHAPES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "daft-yml.md").read_text(encoding="utf-8")
HEADINGS = {
    "top": "The file",
    "hook": "A hook or a task",
    "job": "A job",
    "group": "A group",
    "command": "An entry of `commands`",
    "log": "`log`",
    "env": "`env`",
    "merge": "`merge`",
    "copy": "`copy`",
    "rule": "A rule of a condition",
}

Table = Callable[[str, str], list[list[str]]]
Shown = Callable[[list[str]], None]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_key_is_in_the_manual_with_its_meaning(shape: str, table: Table) -> None:
    rows = table(PAGE, HEADINGS[shape])

    assert [row[0] for row in rows] == [f"`{one.name}`" for one in SHAPES[shape]]
    assert [row[2] for row in rows] == [one.says for one in SHAPES[shape]]


def known_problems() -> dict[str, str]:
    """Return the severity of each row of the tests that show what validate says."""
    found: dict[str, str] = {}
    for name in ("test_validation", "test_inspection"):
        path = ROOT / "packages" / "daft-hooks" / "tests" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= {f"{name}[{row}]": given[0] for row, given in module.ROWS.items()}
    return found


def test_everything_that_validate_says_is_in_the_manual(table: Table) -> None:
    rows = [row for row in table(PAGE, "What validate says") if len(row) == 4]
    shown = {
        f"{found[1]}[{found[2]}]": row[1]
        for row in rows
        if (found := re.fullmatch(r"`(test_\w+)::test_\w+\[([^\]]+)\]`", row[3]))
    }

    assert shown == known_problems()


def test_every_kind_of_wrong_input_is_in_the_manual(table: Table) -> None:
    assert [row[0] for row in table(PAGE, "Wrong input")] == [
        str(number) for number in range(1, 56)
    ]


@pytest.mark.parametrize("heading", [*HEADINGS.values(), "Wrong input"])
def test_every_row_names_tests_that_are_there(
    heading: str, table: Table, shown_by_tests: Shown
) -> None:
    for row in table(PAGE, heading):
        shown_by_tests(row)
