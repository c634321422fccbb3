"""Each distribution installs alone, into an empty environment, and its page's example runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = [
    "daft-protocol", "daft-store", "daft-coordinator", "daft-hooks", "daft-worktree", "daft-cli",
]  # fmt: skip
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of all distributions: those of the run, or fresh ones."""
    built = os.environ.get("DAFT_WHEELS")
    if built and len(list(Path(built).glob("*.whl"))) == len(DISTRIBUTIONS):
        return Path(built)
    pytest.importorskip("hatchling", reason="without nox the wheels are built here")
    out = tmp_path_factory.mktemp("wheels")
    for name in DISTRIBUTIONS:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
            cwd=ROOT / "packages" / name,
            check=True,
            capture_output=True,
        )
    return out


def wheel_of(wheels: Path, name: str) -> Path:
    return next(wheels.glob(f"{name.replace('-', '_')}-*.whl"))


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_installs_alone_and_its_example_runs(
    name: str, wheels: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "env"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    readme = (ROOT / "packages" / name / "README.md").read_text(encoding="utf-8")
    example = BLOCK.search(readme)
    assert example is not None

    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--find-links", wheels, wheel_of(wheels, name)],
        check=True,
        capture_output=True,
        timeout=170,
    )
    done = subprocess.run(
        [python, "-c", example[1]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_wheel_says_what_it_is(name: str, wheels: Path) -> None:
    package = name.replace("-", "_")
    with zipfile.ZipFile(wheel_of(wheels, name)) as archive:
        names = archive.namelist()
        info = next(one for one in names if one.endswith(".dist-info/METADATA"))
        metadata = archive.read(info).decode()
    source = (ROOT / "packages" / name / "src" / package / "__init__.py").read_text()
    version = re.search(r'__version__ = "(.+)"', source)
    assert version is not None

    assert f"Version: {version[1]}" in metadata
    assert "License-Expression: MIT" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert f"# {name}" in metadata
    assert f"{package}/py.typed" in names
    assert any(one.endswith("licenses/LICENSE") for one in names)


def test_the_help_of_the_verbs_is_in_the_wheel(wheels: Path) -> None:
    written = (ROOT / "packages" / "daft-cli" / "src" / "daft_cli" / "help").glob("*.txt")

    with zipfile.ZipFile(wheel_of(wheels, "daft-cli")) as wheel:
        names = set(wheel.namelist())

    assert {f"daft_cli/help/{page.name}" for page in written} <= names
    assert "daft_cli/help/start.txt" in names
