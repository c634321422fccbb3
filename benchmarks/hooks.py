"""How much reading and planning costs: a file of 200 jobs that use what there is to use."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import measure
from measure import Figure

JOBS = 200


def run(rounds: int) -> None:
    """Measure and report."""
    from daft_hooks import Event, Options, load_from, plan
    from daft_hooks.domain.conditions import Facts

    text = configuration(JOBS).encode()
    hook = "worktree-post-create"
    event = Event(
        hook=hook, command="start", project_root="/p", git_dir="/p/.git", remote="origin",
        source_worktree="/p", worktree_path="/p.x", branch="x", cwd="/p.x", label="x",
    )  # fmt: skip
    loaded = load_from({"daft.yml": text}.get)
    assert loaded is not None
    assert loaded.decoded.problems == ()
    known = loaded.configuration

    def load() -> None:
        load_from({"daft.yml": text}.get)

    def make_plan() -> None:
        plan(event, known, known.hooks[hook], Facts(), Options())

    def both() -> None:
        load()
        make_plan()

    total = cpu_ms(both, rounds)
    figures = [
        Figure(f"load {JOBS} jobs", cpu_ms(load, rounds), "ms cpu"),
        Figure(f"plan {JOBS} jobs", cpu_ms(make_plan, rounds), "ms cpu"),
        Figure(f"load and plan {JOBS} jobs", total, "ms cpu", "<= 50", total <= 50),
        Figure("its size", len(text) / 1024, "KiB"),
    ]
    measure.report_figures("hooks", figures)


def cpu_ms(call: Callable[[], None], rounds: int) -> float:
    """Return the median of the processor time of a call."""
    took: list[float] = []
    for _ in range(max(5, rounds)):
        began = time.process_time()
        call()
        took.append((time.process_time() - began) * 1000)
    return statistics.median(took)


def configuration(jobs: int) -> str:
    """Return a file whose jobs have names, needs, tags, conditions and variables."""
    lines = ["env: {ports: [WEB_PORT, API_PORT]}", "hooks:", "  worktree-post-create:", "    jobs:"]
    for number in range(jobs):
        needs = ", ".join(f"job-{earlier}" for earlier in range(max(0, number - 3), number, 2))
        lines += [
            f"      - name: job-{number}",
            f"        description: makes number {number}",
            f'        run: echo "$DAFT_BRANCH_NAME" && make target-{number}',
            f"        needs: [{needs}]",
            f"        tags: [group-{number % 5}, all]",
            f'        env: {{WHERE: "{{worktree_path}}", NUMBER: "{number}"}}',
            "        skip: [{env: NO_SUCH_VARIABLE}, merge]",
            "        log: {retention: 2d}",
            "        timeout: 90s",
        ]
    return "\n".join(lines) + "\n"
