"""Every Python block of a package's page runs; a page that lies fails here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("packages/*/README.md")), *sorted(ROOT.glob("docs/*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{page.parent.name}-{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
]


def test_every_package_page_has_an_example() -> None:
    without = [
        page.parent.name
        for page in ROOT.glob("packages/*/README.md")
        if not BLOCK.search(page.read_text(encoding="utf-8"))
    ]

    assert without == []


def command_for(block: str, folder: Path) -> list[str]:
    """Return how to run an example: one that names a test file is for pytest."""
    named = re.match(r"# (test_\w+\.py)\n", block)
    if named is None:
        return [sys.executable, "-W", "error", "-c", block]
    (folder / named[1]).write_text(block, encoding="utf-8")
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"--rootdir={folder}", named[1]]


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_runs(block: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command_for(block, tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_configuration_of_the_readme_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert example is not None
    (tmp_path / "daft.yml").write_text(example[1], encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "daft_cli", "hooks", "validate", "--strict", "daft.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "valid" in done.stdout


def test_the_commands_of_the_readme_are_those_of_ci() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = re.search(r"# all tests\n(.*)\n", readme)
    assert command is not None

    for part in command[1].split(" && "):
        assert part in ci


def test_the_options_the_manual_speaks_of_exist() -> None:
    from daft_cli import jobs_list

    help_of = ROOT / "packages" / "daft-cli" / "src" / "daft_cli" / "help"
    known = jobs_list.HELP + "".join(page.read_text() for page in help_of.glob("jobs.*.txt"))
    page = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")

    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page))

    assert len(said) > 20
    assert said - {"--help"} <= set(re.findall(r"--[a-z][a-z-]+", known))
