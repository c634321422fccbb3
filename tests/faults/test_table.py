"""The fault table has every fault, and every test it names."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"


@pytest.fixture(scope="module")
def faults() -> Any:
    """The code that makes the table."""
    spec = importlib.util.spec_from_file_location("fault_table", ROOT / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def test_the_catalogue_has_every_fault(faults: Any) -> None:
    numbers = {number for number, _ in faults.catalogue()}

    assert numbers == {f"F-{n:02}" for n in range(1, 36)}


def test_every_marker_means_a_row_of_the_catalogue(faults: Any) -> None:
    known = faults.catalogue()

    unknown = [found for found in faults.marked_tests() if found[:2] not in known]

    assert unknown == []


def test_the_page_names_tests_that_are_there(faults: Any) -> None:
    """`nox -s faults` makes the page; one that is out of date is found here."""
    there: dict[tuple[str, str], set[str]] = {key: set() for key in faults.catalogue()}
    for number, case, test in faults.marked_tests():
        there[number, case].add(test)
    rows = [cells(line) for line in PAGE.read_text().splitlines() if line.startswith("| F-")]

    assert [row[0].split()[0] for row in rows] == [number for number, _ in faults.catalogue()]
    for key, row in zip(faults.catalogue(), rows, strict=True):
        named = set(re.findall(r"`([^`]+::[^`]+)`", row[3]))
        assert {test for test in named if not is_in_a_marked_class(test, key)} <= there[key], key


def is_in_a_marked_class(test: str, key: tuple[str, str]) -> bool:
    """Whole classes, state machines for example, are marked with an assignment."""
    path, _, inside = test.partition("::")
    name = inside.partition("::")[0]
    if not name.startswith("Test") or not (ROOT / path).exists():
        return False
    text = (ROOT / path).read_text()
    return name in text and f'pytest.mark.fault("{key[0]}", "{key[1]}")' in text


def test_no_fault_is_without_a_test_that_passed() -> None:
    rows = [cells(line) for line in PAGE.read_text().splitlines() if line.startswith("| F-")]

    assert [row[:2] for row in rows if "::" not in row[3] or row[4] != "yes"] == []


def test_a_row_without_a_passing_test_is_not_called_passed(faults: Any) -> None:
    key = ("F-07", "log")
    number = list(faults.catalogue()).index(key)

    pages = [
        faults.table(results).splitlines()[faults.HEADER.count("\n") + number]
        for results in ({}, {key: {"t::a": True, "t::b": False}}, {key: {"t::a": True}})
    ]

    assert [cells(page)[4] for page in pages] == ["no", "no", "yes"]
