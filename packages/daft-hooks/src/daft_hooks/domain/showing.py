"""A plan for people, for programs, and as a picture. What these say is what a fire does."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from daft_coordinator.domain import graph
from daft_protocol.jobs import JobSpec, RunMode

from .planning import Plan


def in_order(specs: tuple[JobSpec, ...]) -> tuple[JobSpec, ...]:
    """Return jobs as they would start if they ran one at a time."""
    places = {spec.name: place for place, spec in enumerate(specs)}
    waits = {spec.name: (*spec.needs, *spec.after) for spec in specs}
    missing = {name: sum(one in places for one in wanted) for name, wanted in waits.items()}
    users = graph.dependents(list(places), waits)
    ready = [(spec.priority, place) for place, spec in enumerate(specs) if not missing[spec.name]]
    heapq.heapify(ready)
    ordered: list[JobSpec] = []
    while ready:
        spec = specs[heapq.heappop(ready)[1]]
        ordered.append(spec)
        for user in users.get(spec.name, ()):
            missing[user] -= 1
            if not missing[user]:
                place = places[user]
                heapq.heappush(ready, (specs[place].priority, place))
    return tuple(ordered)


def as_text(plan: Plan, *, verbose: bool = False) -> str:
    """Return lines for people, the last one ended too. verbose: also where and how each runs."""
    return "".join(f"{line}\n" for line in _lines(plan, verbose))


def _lines(plan: Plan, verbose: bool) -> Iterator[str]:
    if plan.skip_reason is not None:
        yield f"{plan.hook}: skipped: {plan.skip_reason}"
        return
    at_most = "" if plan.max_parallel is None else f", at most {plan.max_parallel} at a time"
    yield f"{plan.hook} ({plan.mode.value}{at_most})"
    number = 0
    for title, specs in (("foreground", plan.foreground), ("background", plan.background)):
        if specs:
            yield f"{title}:"
        for spec in in_order(specs):
            number += 1
            yield f"  {number}. {spec.name}{_waits(spec)}: {_one_line(spec.command)}"
            if verbose:
                yield from _details(plan, spec)
    if plan.skipped:
        yield "skipped:"
    for spec in plan.skipped:
        yield f"  - {spec.name}: {'' if spec.skip is None else spec.skip.reason}"
    if not plan.runs:
        yield "nothing runs"
    for notice in plan.notices:
        yield f"note: {notice}"
    for selector in plan.unmatched:
        yield f"note: '{selector}' matches no job"


def _waits(spec: JobSpec) -> str:
    parts = []
    if spec.full_needs:
        parts.append(f"needs {', '.join(spec.full_needs)}")
    if spec.after:
        parts.append(f"after {', '.join(spec.after)}")
    return f" ({'; '.join(parts)})" if parts else ""


def _details(plan: Plan, spec: JobSpec) -> Iterator[str]:
    limit = "no time limit" if spec.timeout_s is None else f"{spec.timeout_s:g} s at most"
    origin = plan.origins.get(spec.name)
    written = "" if origin is None else f", written at {origin}"
    if spec.description:
        yield f"       {_one_line(spec.description)}"
    if spec.tags:
        yield f"       tagged {', '.join(spec.tags)}"
    yield f"       in {spec.working_dir}, {limit}{written}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def as_data(plan: Plan) -> dict[str, Any]:
    """Return maps, lists and scalars: `jobs` in the order of execution, then the skipped ones."""
    jobs = [
        *(_row(plan, spec, "foreground") for spec in in_order(plan.foreground)),
        *(_row(plan, spec, "background") for spec in in_order(plan.background)),
        *(_row(plan, spec, "skipped") for spec in plan.skipped),
    ]
    return {
        "hook": plan.hook,
        "mode": plan.mode.value,
        "max_parallel": plan.max_parallel,
        "skip_reason": plan.skip_reason,
        "jobs": jobs,
        "notices": list(plan.notices),
        "unmatched": list(plan.unmatched),
    }


def _row(plan: Plan, spec: JobSpec, place: str) -> dict[str, Any]:
    origin = plan.origins.get(spec.name)
    return {
        "name": spec.name,
        "place": place,
        "command": spec.command,
        "working_dir": spec.working_dir,
        "needs": list(spec.full_needs),
        "after": list(spec.after),
        "env": dict(spec.env),
        "timeout_s": spec.timeout_s,
        "grace_s": spec.grace_s,
        "interactive": spec.interactive,
        "priority": spec.priority,
        "tags": list(spec.tags),
        "description": spec.description,
        "skip_kind": None if spec.skip is None else spec.skip.kind.value,
        "skip_reason": None if spec.skip is None else spec.skip.reason,
        "origin": None if origin is None else str(origin),
    }


def as_mermaid(plan: Plan) -> str:
    """Return a flowchart: an arrow from what is needed to what needs it, dotted for order only."""
    return "".join(f"{line}\n" for line in _chart(plan))


def _chart(plan: Plan) -> Iterator[str]:
    yield "flowchart LR"
    if plan.skip_reason is not None:
        yield f'  whole["{_label(plan.hook)}<br/>skipped: {_label(plan.skip_reason)}"]:::skipped'
        yield "  classDef skipped stroke-dasharray: 4"
        return
    everyone = (*plan.foreground, *plan.background, *plan.skipped)
    ids = {spec.name: f"j{number}" for number, spec in enumerate(everyone)}
    for title, specs in (("foreground", plan.foreground), ("background", plan.background)):
        if specs:
            yield f'  subgraph {title}["{_label(plan.hook)}: {title}"]'
            for spec in specs:
                yield f'    {ids[spec.name]}["{_label(spec.name)}"]'
            yield "  end"
    for spec in plan.skipped:
        reason = "" if spec.skip is None else f"<br/>{_label(spec.skip.reason)}"
        yield f'  {ids[spec.name]}["{_label(spec.name)}{reason}"]:::skipped'
    for spec in everyone:
        for wanted in spec.full_needs:
            if wanted in ids:
                yield f"  {ids[wanted]} --> {ids[spec.name]}"
        for earlier in spec.after:
            if earlier in ids:
                yield f"  {ids[earlier]} -.-> {ids[spec.name]}"
    if plan.mode is not RunMode.PARALLEL:
        ordered = in_order(plan.foreground)
        for first, second in zip(ordered, ordered[1:], strict=False):
            if first.name not in (*second.full_needs, *second.after):
                yield f"  {ids[first.name]} -.-> {ids[second.name]}"
    if plan.skipped:
        yield "  classDef skipped stroke-dasharray: 4"


_ENTITIES: dict[int, str] = {
    **{ord(char): f"#{ord(char)};" for char in '"#<>&;'},
    **dict.fromkeys((*range(32), 127), " "),
}


def _label(text: str) -> str:
    """Return a text that cannot end the label it stands in."""
    return text.translate(_ENTITIES)
