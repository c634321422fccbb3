"""Groups of jobs, taken apart: what is left are single jobs that carry what their group said.

The job `test` of the group `checks` is called `checks/test`. Who needs the group needs all in it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from ..errors import Mark
from .config import Condition, GroupConfig, JobConfig, LogConfig

MAX_DEPTH = 8


@frozen(kw_only=True)
class _Around:
    """What the groups around a job say of it."""

    prefix: str = ""
    groups: tuple[str, ...] = ()
    outer: tuple[tuple[Condition | None, Condition | None], ...] = ()
    needs: tuple[str, ...] = ()
    needs_marks: tuple[Mark, ...] = ()
    after: tuple[str, ...] = ()
    env: Mapping[str, str] = field(factory=dict)
    root: str = "."
    tags: tuple[str, ...] = ()
    background: bool | None = None
    log: LogConfig = field(factory=LogConfig)


def flatten(jobs: Sequence[JobConfig]) -> tuple[JobConfig, ...]:
    """Return `jobs` with the jobs of each group in its place, nested groups too.

    Names in `needs` mean siblings first, then jobs of the groups around, then the hook's. A group
    says for all its jobs: `needs`, `skip`, `only`, `tags`, and, unless they say otherwise
    themselves, `env`, `background`, `log`; their `root` is below the group's. A piped group
    makes each job need all before it, `parallel: false` only wait for their end.
    """
    if all(job.group is None for job in jobs):
        return tuple(jobs)
    flat: list[JobConfig] = []
    members: dict[str, tuple[str, ...]] = {}
    _collect(jobs, None, _Around(), {}, flat, members)
    return tuple(_expanded(job, members) for job in flat)


def _collect(
    jobs: Sequence[JobConfig],
    group: GroupConfig | None,
    around: _Around,
    scope: Mapping[str, str],
    flat: list[JobConfig],
    members: dict[str, tuple[str, ...]],
) -> tuple[str, ...]:
    """Add the single jobs of one level to `flat`; return their names."""
    scope = {**scope, **{job.name: around.prefix + job.name for job in jobs}}
    earlier = _earlier(jobs, group)
    leaves: list[str] = []
    for job in jobs:
        name = around.prefix + job.name
        needs = [scope.get(wanted, wanted) for wanted in job.needs]
        marks = list(job.needs_marks)
        after = list(around.after)
        before = [around.prefix + one for one in earlier[job.name]]
        if group is not None and group.piped:
            needs += before
            marks += [job.mark] * len(before)
        else:
            after += before
        inside = evolve(
            around,
            needs=(*needs, *around.needs),
            needs_marks=(*marks, *around.needs_marks),
            after=tuple(after),
            env={**around.env, **job.env},
            root=posixpath.normpath(posixpath.join(around.root, job.root)),
            tags=tuple(dict.fromkeys((*around.tags, *job.tags))),
            background=around.background if job.background is None else job.background,
            log=job.log.over(around.log),
        )
        if job.group is None:
            flat.append(_placed(job, name, inside))
            leaves.append(name)
            continue
        inside = evolve(
            inside,
            prefix=f"{name}/",
            groups=(*around.groups, name),
            outer=(*around.outer, (job.skip, job.only)),
        )
        inner = [evolve(one, priority=one.priority + job.priority) for one in job.group.jobs]
        members[name] = _collect(inner, job.group, inside, scope, flat, members)
        leaves += members[name]
    return tuple(leaves)


def _placed(job: JobConfig, name: str, around: _Around) -> JobConfig:
    return evolve(
        job,
        name=name,
        needs=around.needs,
        needs_marks=around.needs_marks,
        after=around.after,
        env=around.env,
        root=around.root,
        tags=around.tags,
        background=around.background,
        log=around.log,
        groups=around.groups,
        outer=around.outer,
    )


def _earlier(jobs: Sequence[JobConfig], group: GroupConfig | None) -> dict[str, tuple[str, ...]]:
    """Return for each job of a group the siblings that its mode puts before it.

    All of them, not only the last: one that is skipped must not break the chain.
    """
    if group is None or (group.parallel and not group.piped):
        return {job.name: () for job in jobs}
    waiting = sorted(jobs, key=lambda job: job.priority)
    names = {job.name for job in jobs}
    order: list[str] = []
    while waiting:
        # What the jobs say of each other comes first; a circle is somebody else's to report.
        ready = next(
            (job for job in waiting if not (set(job.needs) & names) - set(order)), waiting[0]
        )
        waiting.remove(ready)
        order.append(ready.name)
    return {name: tuple(order[:place]) for place, name in enumerate(order)}


def _expanded(job: JobConfig, members: Mapping[str, tuple[str, ...]]) -> JobConfig:
    """Return the job with its needs of groups turned into needs of their jobs."""
    needs: dict[str, Mark] = {}
    for wanted, mark in zip(job.needs, job.needs_marks, strict=True):
        for name in members.get(wanted, (wanted,)):
            needs.setdefault(name, mark)
    after = dict.fromkeys(name for wanted in job.after for name in members.get(wanted, (wanted,)))
    return evolve(
        job,
        needs=tuple(needs),
        needs_marks=tuple(needs.values()),
        after=tuple(name for name in after if name not in needs),
    )
