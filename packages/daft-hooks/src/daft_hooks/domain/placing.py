"""Which jobs of a fire run in the foreground, and which go on behind the command's back."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from attrs import frozen

from daft_coordinator.domain import phases
from daft_protocol.jobs import JobSpec, RunMode

from ..hooktypes import HOOK_TYPES
from .config import HookConfig, Interactive


class Placement(enum.Enum):
    """Where the jobs of a fire run (`--hooks`)."""

    AUTO = "auto"
    FOREGROUND = "foreground"
    BACKGROUND = "background"
    OFF = "off"


@frozen(kw_only=True)
class Placed:
    """The jobs that run, cut in two, and lines that say what was not done as declared."""

    foreground: tuple[JobSpec, ...] = ()
    background: tuple[JobSpec, ...] = ()
    notices: tuple[str, ...] = ()


def mode_of(hook: HookConfig) -> RunMode:
    """Return how the jobs of a hook may overlap; the strictest word counts."""
    if hook.piped:
        return RunMode.PIPED
    if hook.follow or hook.parallel is False:
        return RunMode.ORDERED
    return RunMode.PARALLEL


def goes_on_behind(hook: HookConfig) -> frozenset[str]:
    """Return the jobs that run on after the command has returned, if none of them is skipped."""
    kind = HOOK_TYPES.get(hook.name)
    if kind is not None and kind.precedes_work:
        return frozenset()
    behind = {
        job.name
        for job in hook.jobs
        if (hook.background if job.background is None else job.background)
        and job.interactive is Interactive.NO
    }
    by_name = {job.name: job for job in hook.jobs}
    waiting = [name for name in by_name if name not in behind]
    while waiting:
        for wanted in by_name[waiting.pop()].needs:
            if wanted in behind:
                behind.remove(wanted)
                waiting.append(wanted)
    return frozenset(behind)


def place(hook: HookConfig, running: Sequence[JobSpec], placement: Placement) -> Placed:
    """Cut the jobs that run in two; no foreground job needs one of the background."""
    wanted, notices = _meant_for_background(hook, running, placement)
    for name, needer in phases.promoted(running, wanted).items():
        notices.append(f"job '{name}' promoted to foreground (needed by '{needer}')")
    foreground, background = phases.cut(running, wanted)
    return Placed(foreground=foreground, background=background, notices=tuple(notices))


def _meant_for_background(
    hook: HookConfig, running: Sequence[JobSpec], placement: Placement
) -> tuple[set[str], list[str]]:
    """Return the jobs meant for the background, before promotion, and what to say of it."""
    notices: list[str] = []
    if placement is Placement.FOREGROUND:
        return set(), notices
    wanted = {spec.name for spec in running if spec.declared_background}
    kind = HOOK_TYPES.get(hook.name)
    if kind is not None and kind.precedes_work:
        if wanted or (running and placement is Placement.BACKGROUND):
            notices.append(f"{hook.name} must finish first: its jobs run in the foreground")
        return set(), notices
    if placement is Placement.BACKGROUND:
        if mode_of(hook) is not RunMode.PARALLEL:
            which = "only jobs with `background` leave" if wanted else "its jobs run in"
            notices.append(f"{hook.name} declares an order: {which} the foreground")
        else:
            wanted = {spec.name for spec in running}
    attached = {spec.name for spec in running if spec.interactive and spec.name in wanted}
    notices.extend(
        f"job '{name}' promoted to foreground (it is interactive)" for name in sorted(attached)
    )
    return wanted - attached, notices
