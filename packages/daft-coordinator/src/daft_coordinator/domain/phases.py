"""Cutting a graph in two: what ends before the prompt returns, and what goes on after it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import evolve

from daft_protocol.jobs import JobSpec


def promoted(specs: Sequence[JobSpec], background: Collection[str]) -> dict[str, str]:
    """Return background jobs that a foreground job needs, transitively -> who needs them.

    background: names meant for the background; every other job of `specs` is foreground.
    """
    by_name = {spec.name: spec for spec in specs}
    found: dict[str, str] = {}
    frontier = [spec.name for spec in specs if spec.name not in background]
    while frontier:
        name = frontier.pop(0)
        for wanted in by_name[name].needs:
            if wanted in background and wanted not in found:
                found[wanted] = name
                frontier.append(wanted)
    return found


def cut(
    specs: Sequence[JobSpec], background: Collection[str]
) -> tuple[tuple[JobSpec, ...], tuple[JobSpec, ...]]:
    """Return the foreground and the background jobs, both in the order of `specs`.

    Each waits for jobs of its own part only: the foreground has ended when the background
    starts. `full_needs` still tells what it needed there.
    """
    detached = frozenset(background) - promoted(specs, background).keys()
    return (
        tuple(
            evolve(
                spec,
                background=False,
                after=tuple(name for name in spec.after if name not in detached),
            )
            for spec in specs
            if spec.name not in detached
        ),
        tuple(
            evolve(
                spec,
                background=True,
                needs=tuple(name for name in spec.needs if name in detached),
                after=tuple(name for name in spec.after if name in detached),
            )
            for spec in specs
            if spec.name in detached
        ),
    )
