"""The manual of daft.yml has every key, wrong input and odd case, and names tests there are."""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

from daft_hooks.domain.shape import SHAPES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "daft-yml.md").read_text(encoding="utf-8")
CASES = (ROOT / "docs" / "hook-cases.md").read_text(encoding="utf-8")
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
REFERENCE = re.compile(r"`(test_\w+)::(test_\w+)(?:\[[^\]`]*\])?`")


def rows(heading: str, page: str = PAGE) -> list[list[str]]:
    """Return the cells of the table below a heading, without its two first lines."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@cache
def known_tests() -> frozenset[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for path in [*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("tests/**/test_*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {
            (path.stem, node.name) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
        }
    return frozenset(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_key_is_in_the_manual_with_its_meaning(shape: str) -> None:
    table = rows(HEADINGS[shape])

    assert [row[0] for row in table] == [f"`{one.name}`" for one in SHAPES[shape]]
    assert [row[2] for row in table] == [one.says for one in SHAPES[shape]]


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


def test_everything_that_validate_says_is_in_the_manual() -> None:
    table = [row for row in rows("What validate says") if len(row) == 4]
    shown = {
        f"{found[1]}[{found[2]}]": row[1]
        for row in table
        if (found := re.fullmatch(r"`(test_\w+)::test_\w+\[([^\]]+)\]`", row[3]))
    }

    assert shown == known_problems()


def test_every_kind_of_wrong_input_is_in_the_manual() -> None:
    assert [row[0] for row in rows("Wrong input")] == [str(number) for number in range(1, 56)]


@pytest.mark.parametrize("heading", [*HEADINGS.values(), "Wrong input"])
def test_every_row_names_tests_that_are_there(heading: str) -> None:
    for row in rows(heading):
        named = REFERENCE.findall(row[-1])
        assert named, row
        assert [one for one in named if one not in known_tests()] == []


def test_every_case_names_tests_that_are_there() -> None:
    headings = re.findall(r"^## (.+)$", CASES, re.MULTILINE)
    table = [row for heading in headings for row in rows(heading, CASES)]

    assert len({row[0] for row in table}) == len(table) > 0
    for row in table:
        named = REFERENCE.findall(row[-1])
        assert named, row
        assert [one for one in named if one not in known_tests()] == []


def test_no_case_a_user_meets_is_left_out() -> None:
    met = [row[0] for row in rows("As a user meets it", CASES)]

    assert met == [f"A{number}" for number in range(1, 41)]
