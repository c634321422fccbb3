"""What all tests of the manual need: its tables, and whether the tests it names are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = re.compile(r"`(test_\w+)::(test_\w+)(?:\[[^\]`]*\])?`")


def _table(page: str, heading: str) -> list[list[str]]:
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.fixture(scope="session")
def table() -> Callable[[str, str], list[list[str]]]:
    """Read the cells of the table below a heading of a page, without its two first lines."""
    return _table


@pytest.fixture(scope="session")
def shown_by_tests() -> Callable[[list[str]], None]:
    """Insist that the last cell of a row names tests, and that each of them is there."""
    known = {
        (path.stem, node.name)
        for path in [*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("tests/**/test_*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }

    def check(row: list[str]) -> None:
        named = REFERENCE.findall(row[-1])
        assert named, row
        assert [one for one in named if one not in known] == [], row

    return check
