"""Laying one configuration over another, before anything is decoded."""

from __future__ import annotations

from ..document import Node

_BY_NAME = ("hooks", "tasks")
_FIELD_BY_FIELD = ("log",)


def merge(base: Node, over: Node) -> Node:
    """Return `base` with `over` laid over it; neither is changed.

    Hooks and tasks merge by name, and inside one every key given replaces; jobs merge by name:
    a known name is replaced as a whole, in its place, an unknown or unnamed job is appended.
    `log` merges field by field. Any other key replaces.
    """
    items = dict(base.items)
    for key, value in over.items.items():
        known = items.get(key)
        if known is None or known.kind != "map" or value.kind != "map":
            items[key] = value
        elif key in _BY_NAME:
            items[key] = _merge_entries(known, value)
        elif key in _FIELD_BY_FIELD:
            items[key] = _replace(known, {**known.items, **value.items}, value)
        else:
            items[key] = value
    return _replace(base, items, over)


def _merge_entries(base: Node, over: Node) -> Node:
    items = dict(base.items)
    for name, entry in over.items.items():
        known = items.get(name)
        if known is not None and known.kind == "map" and entry.kind == "map":
            items[name] = _merge_entry(known, entry)
        else:
            items[name] = entry
    return _replace(base, items, over)


def _merge_entry(base: Node, over: Node) -> Node:
    items = {**base.items, **over.items}
    old, new = base.items.get("jobs"), over.items.get("jobs")
    if old is not None and new is not None and old.kind == new.kind == "list":
        items["jobs"] = _merge_jobs(old, new)
    return _replace(base, items, over)


def _merge_jobs(base: Node, over: Node) -> Node:
    jobs = list(base.elements)
    places = {name: index for index, job in enumerate(jobs) if (name := _name_of(job))}
    for job in over.elements:
        name = _name_of(job)
        if name and name in places:
            jobs[places[name]] = job
        else:
            jobs.append(job)
    return Node("list", base.mark, elements=jobs)


def _name_of(job: Node) -> str:
    if job.kind != "map" or "name" not in job.items:
        return ""
    return job.items["name"].text


def _replace(base: Node, items: dict[str, Node], over: Node) -> Node:
    return Node("map", base.mark, items=items, keys={**base.keys, **over.keys})
