"""How long the prompt waits: the version, the listing of jobs, a Tab, and ordinary verbs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import measure
from measure import Case, F, P

STORED = (("400 jobs", 20, 20), ("40 000 jobs", 2000, 20))


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
            row = InvocationRow(
                identity, uid, "worktree-post-create", "worktree-post-create", "main", "", "", at,
                None, "completed", None, "hook",
            )  # fmt: skip
            # fmt: off
            rows = [
                JobRow(
                    f"{uid}{place:016x}",
                    identity,
                    uid,
                    f"job-{place}",
                    place,
                    f"job-{place}",
                    "worktree-post-create",
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
                    "completed",
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
