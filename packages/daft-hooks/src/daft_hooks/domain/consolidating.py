"""Bringing two changed copies of a configuration together, by what both began with."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable

from attrs import frozen

from ..document import Node


@frozen(kw_only=True)
class Consolidated:
    """root: what both say together. conflicts: paths of keys that both changed, each its way."""

    root: Node
    conflicts: tuple[str, ...]


def consolidate(base: Node | None, ours: Node, theirs: Node) -> Consolidated:
    """Return `ours` with what was changed from `base` to `theirs`; none of them is changed.

    What only one side changed is taken from it. What both changed in different ways is a
    conflict, and so is a change of what the other side took away. Compared are the fields of the
    file, of `log`, and of each hook or task; of their jobs each named one as a whole. Jobs
    without a name are never compared: those of `theirs` that nobody else has are appended. A new
    order of jobs beside other changes of the same jobs is a conflict.

    base: None when nobody knows it; then whatever differs is a conflict.
    """
    merging = _Merging()
    root = merging.maps(base, ours, theirs, "", merging.field)
    return Consolidated(root=root, conflicts=tuple(merging.conflicts))


def is_same(one: Node | None, other: Node | None) -> bool:
    """True when both say the same, however it is written; the order of keys says nothing."""
    return _meaning(one) == _meaning(other)


_Rule = Callable[[Node | None, Node | None, Node | None, str], Node | None]


class _Merging:
    def __init__(self) -> None:
        self.conflicts: list[str] = []

    def maps(self, base: Node | None, ours: Node, theirs: Node, path: str, rule: _Rule) -> Node:
        """Return two maps brought together, key by key."""
        known = base.items if base is not None and base.kind == "map" else {}
        items: dict[str, Node] = {}
        for key in dict.fromkeys((*ours.items, *theirs.items)):
            where = f"{path}.{key}" if path else key
            made = rule(known.get(key), ours.items.get(key), theirs.items.get(key), where)
            if made is not None:
                items[key] = made
        keys = {key: mark for key, mark in {**theirs.keys, **ours.keys}.items() if key in items}
        return Node("map", ours.mark, items=items, keys=keys)

    def whole(
        self, base: Node | None, ours: Node | None, theirs: Node | None, path: str
    ) -> Node | None:
        """Return one of two values, as neither has parts to choose from."""
        if is_same(ours, theirs) or is_same(theirs, base):
            return ours
        if is_same(ours, base):
            return theirs
        self.conflicts.append(path)
        return ours

    def field(
        self, base: Node | None, ours: Node | None, theirs: Node | None, path: str
    ) -> Node | None:
        """Return a field of the file."""
        rule = {"hooks": self.entry, "tasks": self.entry, "log": self.whole}.get(path)
        return self._deeper(base, ours, theirs, path, rule)

    def entry(
        self, base: Node | None, ours: Node | None, theirs: Node | None, path: str
    ) -> Node | None:
        """Return a hook or a task."""
        return self._deeper(base, ours, theirs, path, self.part)

    def part(
        self, base: Node | None, ours: Node | None, theirs: Node | None, path: str
    ) -> Node | None:
        """Return a field of a hook or a task."""
        if not path.endswith(".jobs") or ours is None or theirs is None:
            return self.whole(base, ours, theirs, path)
        if ours.kind != "list" or theirs.kind != "list":
            return self.whole(base, ours, theirs, path)
        return self.jobs(base, ours, theirs, path)

    def jobs(self, base: Node | None, ours: Node, theirs: Node, path: str) -> Node:
        """Return the jobs of both, ours in their order, then what is new.

        Who alone changed anything decides on the order as well; a job may run after another.
        """
        if is_same(ours, theirs) or is_same(theirs, base):
            return ours
        if is_same(ours, base):
            return theirs
        before = base.elements if base is not None and base.kind == "list" else []
        old, mine, new = (_by_name(jobs) for jobs in (before, ours.elements, theirs.elements))
        is_moved = base is None or not _is_order_kept(new, old)
        if is_moved and not _is_order_kept(new, mine):
            self.conflicts.append(f"{path} (their order)")
        made: list[Node] = []
        for job in ours.elements:
            name = _name_of(job)
            kept = self.whole(old.get(name), job, new.get(name), f"{path}[{name}]") if name else job
            made += [] if kept is None else [kept]
        seen = [_meaning(job) for job in (*before, *ours.elements) if not _name_of(job)]
        for job in theirs.elements:
            name = _name_of(job)
            if name in mine or (not name and _meaning(job) in seen):
                continue
            added = self.whole(old.get(name), None, job, f"{path}[{name}]") if name else job
            made += [] if added is None else [added]
        return Node("list", ours.mark, elements=made)

    def _deeper(
        self,
        base: Node | None,
        ours: Node | None,
        theirs: Node | None,
        path: str,
        rule: _Rule | None,
    ) -> Node | None:
        if rule is None or ours is None or theirs is None:
            return self.whole(base, ours, theirs, path)
        if ours.kind != "map" or theirs.kind != "map":
            return self.whole(base, ours, theirs, path)
        return self.maps(base, ours, theirs, path, rule)


def _meaning(node: Node | None) -> str:
    return "" if node is None else json.dumps(node.to_plain(), sort_keys=True)


def _by_name(jobs: list[Node]) -> dict[str, Node]:
    return {name: job for job in jobs if (name := _name_of(job))}


def _is_order_kept(jobs: Iterable[str], reference: Collection[str]) -> bool:
    """True when the names that both have come in one order."""
    common = [name for name in jobs if name in reference]
    return common == [name for name in reference if name in common]


def _name_of(job: Node) -> str:
    if job.kind != "map" or "name" not in job.items:
        return ""
    return job.items["name"].text
