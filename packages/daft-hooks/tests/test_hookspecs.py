"""A hookspec is a contract: each says the same four things, is in the manual, and is tested."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from daft_coordinator.hookspecs import CoordinatorHooks
from daft_hooks.hookspecs import JobHooks

ROOT = Path(__file__).resolve().parents[3]
SPECS = {
    name: spec
    for owner in (CoordinatorHooks, JobHooks)
    for name, spec in vars(owner).items()
    if not name.startswith("_")
}


@pytest.mark.parametrize("name", SPECS)
def test_it_says_when_it_is_called_what_it_returns_and_what_an_error_does(name: str) -> None:
    text = inspect.getdoc(SPECS[name]) or ""

    assert name.startswith("daft_")
    for line in ("Called: ", "Return: ", "Raising: ", "Since: "):
        assert any(part.startswith(line) for part in text.splitlines()), f"{name} lacks {line!r}"


@pytest.mark.parametrize("name", SPECS)
def test_it_is_in_the_manual_and_has_a_test(name: str) -> None:
    manual = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    tests = [
        path
        for path in ROOT.glob("packages/*/tests/**/*.py")
        if f"def {name}(" in path.read_text(encoding="utf-8")
    ]

    assert f"## `{name}`" in manual
    assert tests, f"no test implements {name}"
