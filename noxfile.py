"""Every task of the workspace: tests, lint, types, build, bench, demo."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

ROOT = Path(__file__).parent
# In the order of their dependencies.
DISTRIBUTIONS = (
    "daft-protocol",
    "daft-store",
    "daft-coordinator",
    "daft-hooks",
    "daft-worktree",
    "daft-cli",
)
WHEELS = ROOT / ".nox" / "wheels"

nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
nox.needs_version = ">=2025.2.9"


def install_group(session: nox.Session, *groups: str) -> None:
    """Install dependency groups of `pyproject.toml`, where each is listed once."""
    session.install(*nox.project.dependency_groups(PROJECT, *groups))


PROJECT = nox.project.load_toml("pyproject.toml")


def install_wheels(session: nox.Session) -> None:
    """Build every distribution and install the wheels: what users get, not the checkout."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    WHEELS.mkdir(parents=True)
    session.install("hatchling>=1.27")
    for name in DISTRIBUTIONS:
        with session.chdir(ROOT / "packages" / name):
            session.run(
                "python", "-m", "hatchling", "build", "-t", "wheel", "-d", str(WHEELS), silent=True
            )
    wheels = sorted(str(path) for path in WHEELS.glob("*.whl"))
    session.install("--force-reinstall", "--no-deps", *wheels)
    # A second time, quickly, for the dependencies from outside.
    session.install(*wheels)
    # Environments may ask for no byte code; a user's install has it.
    session.run("python", "-m", "compileall", "-q", str(site_packages(session)), silent=True)


def site_packages(session: nox.Session) -> Path:
    """Return where the session's packages are."""
    found = session.run(
        "python", "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", silent=True
    )
    assert isinstance(found, str)
    return Path(found.strip())


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test against the installed wheels; arguments are passed on to pytest."""
    install_wheels(session)
    install_group(session, "test")
    session.run(
        "pytest",
        "-n",
        "2",
        *session.posargs,
        env={"DAFT_WHEELS": str(WHEELS), "PYTHONDONTWRITEBYTECODE": ""},
    )


@nox.session
def faults(session: nox.Session) -> None:
    """Meet every fault of the table at full size, and write `docs/faults.md`."""
    install_wheels(session)
    install_group(session, "test")
    session.run(
        "pytest",
        "-n",
        "2",
        "-m",
        "fault",
        "--fault-table=docs/faults.md",
        *session.posargs,
        env={"DAFT_WHEELS": str(WHEELS), "DAFT_FAULTS": "full", "PYTHONDONTWRITEBYTECODE": ""},
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Check rules, formatting and spelling."""
    install_group(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell", "packages", "tests", "docs", "README.md", "CHANGELOG.md")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of all packages, strictly."""
    install_wheels(session)
    install_group(session, "types")
    session.run("mypy", *(f"packages/{name}/src" for name in DISTRIBUTIONS))


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel of every distribution into `dist/`, and check them."""
    install_group(session, "build")
    out = ROOT / "dist"
    shutil.rmtree(out, ignore_errors=True)
    for name in DISTRIBUTIONS:
        session.run(
            "python", "-m", "build", "--no-isolation", "--outdir", str(out), f"packages/{name}",
            silent=True,
        )  # fmt: skip
    session.run("twine", "check", "--strict", *(str(path) for path in sorted(out.iterdir())))


@nox.session
def crash(session: nox.Session) -> None:
    """Kill a coordinator and its client every time they pass a crash point: a nightly sweep."""
    install_wheels(session)
    session.run("python", "tests/crash/sweep.py", "--every-time", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, print, and write `benchmarks/results/`; it asserts nothing."""
    install_wheels(session)
    session.run(
        "python", "benchmarks/run.py", *session.posargs, env={"PYTHONDONTWRITEBYTECODE": ""}
    )


@nox.session
def demo(session: nox.Session) -> None:
    """Show the main job on this very repository, in a throw-away home."""
    install_wheels(session)
    session.run("python", "demo/run.py", *session.posargs, env={"PYTHONDONTWRITEBYTECODE": ""})
