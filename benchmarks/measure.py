"""Timing whole commands fairly: in turns, by the system's own accounting, as ratios.

F is `python -I -S -c pass`, P is `python -c pass` of the same environment; both take their turn
among the commands in every round, so a machine that changes speed changes all of them.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
F, P = "F: python -I -S -c pass", "P: python -c pass"


@dataclass
class Case:
    """One command to time. `budget` is a ratio to F or P, told by `against`."""

    name: str
    argv: Sequence[str]
    against: str = P
    budget: float | None = None
    cwd: str | None = None
    environment: Mapping[str, str] | None = None


@dataclass
class Samples:
    """What was measured of one command: seconds and bytes."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)


@dataclass
class Figure:
    """A number that is no command's time, with what it is held against."""

    name: str
    value: float
    unit: str
    budget: str = ""
    holds: bool | None = None


def run_once(case: Case, samples: Samples) -> None:
    """Run one command and add what it took."""
    devnull = os.open(os.devnull, os.O_RDWR)
    environment = dict(os.environ if case.environment is None else case.environment)
    here = os.getcwd()
    if case.cwd is not None:
        os.chdir(case.cwd)
    began = time.perf_counter()
    pid = os.posix_spawnp(
        case.argv[0],
        list(case.argv),
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, devnull, fd) for fd in (0, 1, 2)],
    )
    _, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - began
    os.chdir(here)
    os.close(devnull)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{case.name}: {' '.join(case.argv)} failed")
    samples.wall.append(took)
    samples.cpu.append(usage.ru_utime + usage.ru_stime)
    samples.peak.append(usage.ru_maxrss * 1024)


def compare(cases: Sequence[Case], rounds: int) -> dict[str, Samples]:
    """Time all cases in turns, F and P among them; the first round is not counted."""
    yardsticks = [
        Case(F, [sys.executable, "-I", "-S", "-c", "pass"]),
        Case(P, [sys.executable, "-c", "pass"]),
    ]
    everything = [*yardsticks, *cases]
    found = {case.name: Samples() for case in everything}
    for round_number in range(rounds + 1):
        for case in everything:
            run_once(case, found[case.name] if round_number else Samples())
    return found


def report(name: str, cases: Sequence[Case], found: Mapping[str, Samples]) -> None:
    """Print a table of medians and ratios, and write it to `results/<name>.json`."""
    median = {key: statistics.median(value.wall) for key, value in found.items()}
    print(f"\n{name}: {len(found[F].wall)} rounds in turns, medians")
    print(f"  {'':34} {'ms':>8} {'min ms':>8} {'x F':>6} {'x P':>6}  budget")
    by_name = {case.name: case for case in cases}
    rows = []
    for key, samples in found.items():
        case = by_name.get(key)
        to_f, to_p = median[key] / median[F], median[key] / median[P]
        verdict, holds = "", None
        if case is not None and case.budget is not None:
            ratio = to_f if case.against == F else to_p
            holds = ratio <= case.budget
            verdict = f"<= {case.budget:g} x {case.against[0]}  {'ok' if holds else 'OVER'}"
        low = min(samples.wall)
        times = f"{median[key] * 1e3:8.1f} {low * 1e3:8.1f}"
        print(f"  {key:34} {times} {to_f:6.2f} {to_p:6.2f}  {verdict}")
        rows.append(
            {
                "name": key,
                "median_s": median[key],
                "min_s": low,
                "cpu_median_s": statistics.median(samples.cpu),
                "peak_bytes": max(samples.peak),
                "ratio_to_F": to_f,
                "ratio_to_P": to_p,
                "budget": case.budget if case else None,
                "budget_against": case.against[0] if case and case.budget else None,
                "within_budget": holds,
            }
        )
    write(name, {"rows": rows})


def report_figures(name: str, figures: Sequence[Figure]) -> None:
    """Print figures, and write them to `results/<name>.json`."""
    print(f"\n{name}")
    for one in figures:
        mark = "" if one.holds is None else ("  ok" if one.holds else "  OVER")
        print(f"  {one.name:44} {one.value:12.2f} {one.unit:8} {one.budget}{mark}")
    write(name, {"figures": [vars(one) for one in figures]})


def write(name: str, content: dict[str, object]) -> None:
    """Write a result with the facts of the machine it was taken on."""
    import apsw

    RESULTS.mkdir(exist_ok=True)
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "sqlite": apsw.sqlite_lib_version(),
        "git": git.stdout.strip().removeprefix("git version "),
    }
    text = json.dumps({"name": name, "machine": facts, **content}, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
