"""How long the prompt waits: the version, the listing of jobs, a Tab, and ordinary verbs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import measure
from measure import Case, F, Figure, P

STORED = (("400 jobs", 20, 20), ("40 000 jobs", 2000, 20))
GROWN = (("1 000 jobs", 50, 20), ("100 000 jobs", 5000, 20))
"""Label, invocations, jobs in each: a page must cost about the same however much is stored."""
GROWTH_LIMIT = 1.3
RARE = 25
"""Invocations that have failed, and are of another hook: the oldest, and more than a page."""


def run(rounds: int) -> None:
    """Measure and report."""
    scripts = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as home:
        cases = [
            Case("daft --version", [str(scripts / "daft"), "--version"], P, 1.2),
            Case("python -m daft_cli --version", [sys.executable, "-m", "daft_cli", "--version"]),
        ]
        for label, invocations, jobs in STORED:
            root = Path(home) / label.replace(" ", "-")
            environment = seed(root, invocations, jobs)
            cases.append(
                Case(
                    f"daft jobs, {label}",
                    [str(scripts / "daft"), "jobs", "--all"],
                    F,
                    2.5,
                    cwd=str(root / "repo"),
                    environment=environment,
                )
            )
            cases.append(
                Case(
                    f"daft __complete, {label}",
                    [str(scripts / "daft"), "__complete", "hooks-jobs-job", ""],
                    P,
                    1.8,
                    cwd=str(root / "repo"),
                    environment=environment,
                )
            )
        cases += [
            Case(
                f"daft {' '.join(words)}",
                [str(scripts / "daft"), *words],
                P,
                5.0,
                cwd=str(root / "repo"),
                environment=environment,
            )
            for words in (["list", "--help"], ["list"], ["go", "main"], ["jobs", "logs", "job-0"])
        ]
        found = measure.compare(cases, rounds)
        measure.report("startup", cases, found)
        growth(Path(home), rounds)


def growth(home: Path, rounds: int) -> None:
    """Compare what a page costs with few and with many jobs stored."""
    scripts = Path(sys.executable).parent
    asked = {
        "daft jobs": ["jobs", "--all"],
        "daft jobs --failed": ["jobs", "--all", "--failed"],
        "daft jobs --hook": ["jobs", "--all", "--hook", "worktree-pre-remove"],
        "daft __complete": ["__complete", "hooks-jobs-job", ""],
    }
    cases = []
    for label, invocations, jobs in GROWN:
        root = home / f"grown-{invocations}"
        environment = seed(root, invocations, jobs)
        cases += [
            Case(
                f"{name}, {label}",
                [str(scripts / "daft"), *words],
                cwd=str(root / "repo"),
                environment=environment,
            )
            for name, words in asked.items()
        ]
    found = measure.compare(cases, rounds)
    measure.report("growth", cases, found)
    figures = []
    for name in asked:
        few, many = (statistics.median(found[f"{name}, {label}"].wall) for label, _, _ in GROWN)
        ratio = many / few
        figures.append(
            Figure(f"{name}, 100 000 / 1 000 jobs", ratio, "x", "<= 1.3", ratio <= GROWTH_LIMIT)
        )
    measure.report_figures("growth-ratios", figures)


def seed(root: Path, invocations: int, jobs: int) -> dict[str, str]:
    """Make a repository whose store holds that many ended jobs; return the environment for it."""
    from daft_store import COORDINATOR, RepositoryPlaces, ensure_repository_id, open_writer, writing
    from daft_store.ledger import insert_submission
    from daft_store.rows import InvocationRow, JobRow

    repository = root / "repo"
    repository.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", "main", "."], cwd=repository, check=True)
    who = ["-c", "user.name=T", "-c", "user.email=t@localhost"]
    first = ["git", *who, "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(first, cwd=repository, check=True)
    identity = ensure_repository_id(str(repository / ".git"))
    state = root / "state"
    places = RepositoryPlaces(str(state), identity)
    places.make({})
    db = open_writer(places.database, COORDINATOR)
    with writing(db):
        for number in range(invocations):
            at = f"2026-01-{1 + number % 28:02d}T{number % 24:02d}:00:00.000000+00:00"
            uid = f"{number:016x}"
            rare = number < RARE
            hook = "worktree-pre-remove" if rare else "worktree-post-create"
            row = InvocationRow(
                identity, uid, hook, hook, "main", "", "", at, None, "completed", None, "hook"
            )
            # fmt: off
            rows = [
                JobRow(
                    f"{uid}{place:016x}",
                    identity,
                    uid,
                    f"job-{place}",
                    place,
                    f"job-{place}",
                    hook,
                    "main",
                    "make",
                    "/",
                    "{}",
                    "[]",
                    "{}",
                    "[]",
                    "[]",
                    "[]",
                    1,
                    1,
                    "failed" if rare and place == 0 else "completed",
                    at,
                    at,
                    at,
                    at,
                    1234,
                    0,
                    None,
                    "exit",
                    None,
                    1,
                    1,
                    "1",
                    "b",
                    None,
                    None,
                    None,
                    2048,
                    10,
                    0,
                    None,
                    None,
                )
                for place in range(jobs)
            ]
            # fmt: on
            insert_submission(db, row, rows)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()
    # A clean-up in the background would be measured with whatever it competes with.
    chosen = {"DAFT_STATE_DIR": str(state), "LANG": "C.UTF-8", "DAFT_NO_LOG_CLEAN": "1"}
    return {**os.environ, **chosen}
