"""The graph of jobs that `needs` makes: is it sound, who depends on whom, what takes longest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ..errors import DependencyCycle, DuplicateJob, UnknownDependency

Needs = Mapping[str, Sequence[str]]
"""Job name -> names it needs."""


def check(names: Sequence[str], needs: Needs, *, known: Collection[str] = ()) -> None:
    """Refuse a graph nobody could run.

    names: the jobs, in declaration order.
    known: further names that may be needed, recorded earlier in the same invocation.
    Raises: DuplicateJob, UnknownDependency, DependencyCycle.
    """
    seen: set[str] = set(known)
    for name in names:
        if name in seen:
            raise DuplicateJob(name)
        seen.add(name)
    for name in names:
        for wanted in needs.get(name, ()):
            if wanted not in seen:
                raise UnknownDependency(name, wanted, tuple(names))
    cycle = find_cycle(names, needs)
    if cycle:
        raise DependencyCycle(cycle)


def find_cycle(names: Iterable[str], needs: Needs) -> tuple[str, ...]:
    """Return one circle of names, its first repeated at the end, or () when there is none."""
    done: set[str] = set()
    for start in names:
        if start in done:
            continue
        path: list[str] = []
        on_path: set[str] = set()
        # An explicit stack: a chain of ten thousand jobs must not meet the recursion limit.
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            name, index = stack.pop()
            if index == 0:
                if name in done:
                    continue
                path.append(name)
                on_path.add(name)
            wanted = needs.get(name, ())
            for position in range(index, len(wanted)):
                if wanted[position] in on_path:
                    return (*path[path.index(wanted[position]) :], wanted[position])
                if wanted[position] not in done:
                    stack.append((name, position + 1))
                    stack.append((wanted[position], 0))
                    break
            else:
                done.add(name)
                on_path.discard(path.pop())
    return ()


def dependents(names: Iterable[str], needs: Needs) -> dict[str, tuple[str, ...]]:
    """Return name -> the names that need it directly, in declaration order."""
    found: dict[str, list[str]] = {}
    for name in names:
        for wanted in needs.get(name, ()):
            found.setdefault(wanted, []).append(name)
    return {name: tuple(users) for name, users in found.items()}


def topological(names: Sequence[str], needs: Needs) -> tuple[str, ...]:
    """Return `names` with everything behind what it needs; declaration order breaks ties."""
    users = dependents(names, needs)
    here = set(names)
    missing = {name: sum(wanted in here for wanted in needs.get(name, ())) for name in names}
    ready = [name for name in names if not missing[name]]
    ordered: list[str] = []
    for name in ready:
        ordered.append(name)
        for user in users.get(name, ()):
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    return tuple(ordered)


def remaining_path(
    names: Sequence[str], needs: Needs, seconds: Mapping[str, float]
) -> dict[str, float]:
    """Return name -> seconds from its start to the end of the longest chain behind it.

    seconds: how long a job usually takes; an unknown one counts nothing, so that jobs nobody
    has seen yet keep their declaration order.
    """
    users = dependents(names, needs)
    longest: dict[str, float] = {}
    for name in reversed(topological(names, needs)):
        behind = max((longest[user] for user in users.get(name, ())), default=0.0)
        longest[name] = seconds.get(name, 0.0) + behind
    return longest
