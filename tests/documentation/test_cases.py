"""The pages of cases name, for each, tests that are there, and leave none out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"

Table = Callable[[str, str], list[list[str]]]
Shown = Callable[[list[str]], None]


def all_rows(page: str, table: Table) -> list[list[str]]:
    return [row for one in re.findall(r"^## (.+)$", page, re.MULTILINE) for row in table(page, one)]


@pytest.mark.parametrize("name", ["hook-cases", "job-cases"])
def test_every_case_names_tests_that_are_there(
    name: str, table: Table, shown_by_tests: Shown
) -> None:
    rows = all_rows((DOCS / f"{name}.md").read_text(encoding="utf-8"), table)

    assert len({row[0] for row in rows}) == len(rows) > 0
    for row in rows:
        shown_by_tests(row)


def test_no_case_a_user_meets_is_left_out(table: Table) -> None:
    page = (DOCS / "hook-cases.md").read_text(encoding="utf-8")

    met = [row[0] for row in table(page, "As a user meets it")]

    assert met == [f"A{number}" for number in range(1, 41)]
