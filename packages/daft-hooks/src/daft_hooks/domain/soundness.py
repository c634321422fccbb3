"""What is refused before a plan is made: hooks nobody could run, and requests that mean nothing."""

from __future__ import annotations

from daft_coordinator.domain import graph
from daft_coordinator.errors import DependencyCycle, UnknownDependency

from ..errors import BadSelection, UnplannableHook
from .config import HookConfig
from .placing import Placed
from .selection import Narrowing, names_of, tags_of


def check_soundness(hook: HookConfig) -> None:
    """Refuse what decoding has found wrong, and a graph nobody could run."""
    if hook.faults:
        first = hook.faults[0]
        where = f"{first.path}: " if first.path else ""
        raise UnplannableHook(f"{where}{first.message}", first.mark)
    names = [job.name for job in hook.jobs]
    by_name = {job.name: job for job in hook.jobs}
    empty_groups = {group for job in hook.jobs for group in job.groups}
    try:
        graph.check(
            names,
            {job.name: (*job.needs, *job.after) for job in hook.jobs},
            known=empty_groups - set(names),
        )
    except DependencyCycle as error:
        raise UnplannableHook(str(error), by_name[error.cycle[0]].mark) from error
    except UnknownDependency as error:
        job = by_name[error.name]
        raise UnplannableHook(str(error), job.needs_marks[job.needs.index(error.needs)]) from error


def check_narrowing(hook: HookConfig, narrowing: Narrowing) -> None:
    """Refuse a name or tag that no job has. Raises: BadSelection."""
    names, tags = names_of(hook.jobs), sorted(tags_of(hook.jobs))
    for name in sorted(narrowing.jobs - names):
        known = ", ".join(job.name for job in hook.jobs) or "none"
        raise BadSelection(f"no job '{name}' in hook '{hook.name}' (jobs: {known})")
    for tag in sorted(narrowing.tags - set(tags)):
        known = ", ".join(tags) or "none"
        raise BadSelection(f"no job tagged '{tag}' in hook '{hook.name}' (tags: {known})")


def check_takes_arguments(hook: HookConfig, placed: Placed) -> None:
    """Refuse words that no job, several, or the wrong kind of job would get."""
    running = [spec.name for spec in (*placed.foreground, *placed.background)]
    if len(running) != 1:
        names = ", ".join(running) or "none"
        raise BadSelection(
            f"arguments go to one job, and '{hook.name}' would run {len(running)} ({names}); "
            "choose one with `--job`"
        )
    job = next(job for job in hook.jobs if job.name == running[0])
    what = None
    if placed.background:
        what = "runs in the background"
    elif job.script is not None:
        what = "runs a script, which has `args` for that"
    elif not job.takes_arguments:
        what = "is more than one command or line"
    if what is not None:
        raise BadSelection(f"job '{job.name}' of '{hook.name}' takes no arguments: it {what}")
