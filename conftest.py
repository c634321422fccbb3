"""The fault table: which test shows what, and how it went.

`@pytest.mark.fault("F-07", "log")` says that a test shows one case of one fault. The catalogue
is `tests/faults/catalogue.toml`; `--fault-table PATH` writes the table of a run.
"""

from __future__ import annotations

import ast
import os
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent
CATALOGUE = ROOT / "tests" / "faults" / "catalogue.toml"
SHOWN = "fault"
HEADER = """\
# Faults survived
What happens to daft, what comes of it, and the test that shows it. Made by `nox -s faults`; do
not edit.

| Fault | Case | Outcome | Test | Passed |
|---|---|---|---|---|
"""

Rows = dict[tuple[str, str], tuple[str, str, str]]


def catalogue() -> Rows:
    """Return (id, case) -> fault, case in words, outcome; in the order of the file."""
    found: Rows = {}
    for number, entry in tomllib.loads(CATALOGUE.read_text()).items():
        for case, (words, outcome) in entry["cases"].items():
            found[number, case] = (entry["fault"], words, outcome)
    return found


def table(results: dict[tuple[str, str], dict[str, bool]]) -> str:
    """Return the page. results: (id, case) -> test -> passed."""
    lines: list[str] = []
    for (number, case), (fault, words, outcome) in catalogue().items():
        tests = results.get((number, case), {})
        shown = "<br>".join(f"`{test}`" for test in sorted(tests)) or "—"
        passed = "yes" if tests and all(tests.values()) else "no"
        lines.append(f"| {number} {fault} | {words} | {outcome} | {shown} | {passed} |\n")
    return HEADER + "".join(lines)


def marked_tests() -> Iterator[tuple[str, str, str]]:
    """Yield (id, case, test) of every marker in the tests, read without running them."""
    for path in sorted(
        [*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("tests/**/test_*.py")]
    ):
        module = ast.parse(path.read_text())
        constants = {
            target.id: statement
            for statement in module.body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        for function in ast.walk(module):
            if isinstance(function, ast.FunctionDef):
                for number, case in _marks(function.decorator_list, constants):
                    yield number, case, f"{path.relative_to(ROOT)}::{function.name}"


def _marks(decorators: list[ast.expr], constants: dict[str, ast.Assign]) -> Iterator[list[str]]:
    """Yield what the markers in some decorators say, those of named parameters included."""
    parts = [part for decorator in decorators for part in ast.walk(decorator)]
    named = [constants[part.id] for part in parts if getattr(part, "id", None) in constants]
    for part in (*parts, *(inner for one in named for inner in ast.walk(one))):
        if isinstance(part, ast.Call) and ast.unparse(part.func) == "pytest.mark.fault":
            yield [ast.literal_eval(argument) for argument in part.args]


@pytest.fixture(scope="session")
def fault_scale() -> int:
    """How large a sweep to make: 1 with the tests, 10 in the session of its own."""
    return 10 if os.environ.get("DAFT_FAULTS") == "full" else 1


# --- collecting a run -------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", metavar="PATH", help="write the fault table of this run")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(id, case): shows that a fault has its outcome")
    target = config.getoption("--fault-table")
    # Under xdist only the controller hears of every test.
    if target and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(Path(target)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = catalogue()
    for item in items:
        for mark in item.iter_markers(SHOWN):
            if len(mark.args) != 2 or mark.kwargs or mark.args not in known:
                raise pytest.UsageError(f"{item.nodeid}: no fault {mark.args} in {CATALOGUE.name}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    for mark in item.iter_markers(SHOWN):
        report.user_properties.append((SHOWN, list(mark.args)))


class _Recorder:
    """Notes what became of marked tests, and writes the table at the end."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._results: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return  # set-up and tear-down count only when they fail
        test = report.nodeid.partition("[")[0]
        for name, value in report.user_properties:
            if name == SHOWN:
                number, case = value
                before = self._results[number, case].get(test, True)
                self._results[number, case][test] = before and report.passed

    def pytest_sessionfinish(self) -> None:
        self._target.write_text(table(self._results))
