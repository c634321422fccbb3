"""The page of settings has every setting and variable of hooks, and names tests there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
FOR_USERS = re.compile(
    r"DAFT_(?:NO_\w+|\w+_NO_\w+|TESTING|DEBUG|IS_COORDINATOR|HOOKS_MODE|\w+_DIR)"
)
OF_AN_EVENT = {"DAFT_GIT_DIR"}

Table = Callable[[str, str], list[list[str]]]
Shown = Callable[[list[str]], None]


@cache
def texts_in_code() -> frozenset[str]:
    """Return every text that stands in the code of a package, parts of f-strings too."""
    found: set[str] = set()
    for path in ROOT.glob("packages/*/src/**/*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
    return frozenset(found)


def test_every_setting_is_on_the_page(table: Table) -> None:
    named = {text for text in texts_in_code() if re.fullmatch(r"daft\.hooks\.[\w.]+\w", text)}
    named |= {f"daft.hooks.<hook>.{name}" for name in ("enabled", "failMode")}

    assert {row[0].strip("`") for row in table(PAGE, "Settings")} == named


def test_every_variable_for_users_is_on_the_page(table: Table) -> None:
    named = {text for text in texts_in_code() if FOR_USERS.fullmatch(text)} - OF_AN_EVENT

    assert {row[0].strip("`") for row in table(PAGE, "Variables")} == named | {"CI"}


@pytest.mark.parametrize("heading", ["Settings", "Variables"])
def test_every_row_names_tests_that_are_there(
    heading: str, table: Table, shown_by_tests: Shown
) -> None:
    for row in table(PAGE, heading):
        shown_by_tests(row)
