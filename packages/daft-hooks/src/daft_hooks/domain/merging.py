"""Laying one configuration over another, before anything is decoded."""

from __future__ import annotations

from ..document import Node

_BY_NAME = ("hooks", "tasks")
_FIELD_BY_FIELD = ("log", "env", "merge")


def merge(base: Node, over: Node) -> Node:
    """Return `base` with `over` laid over it; neither is changed.

    Hooks and tasks merge by name, see `merge_entry`. `log`, `env` and `merge` merge field by
    field. Any other key replaces. What is nothing (`key:`) in `over` replaces nothing. As long
    as no job is without a name, it makes no difference which of three files are merged first.
    """
    items = dict(base.items)
    for key, value in over.items.items():
        known = items.get(key)
        if value.is_null and known is not None:
            continue
        if known is None or known.kind != "map" or value.kind != "map":
            items[key] = value
        elif key in _BY_NAME:
            items[key] = _merge_entries(known, value)
        elif key in _FIELD_BY_FIELD:
            items[key] = _replace(known, {**known.items, **_said(value)}, value)
        else:
            items[key] = value
    return _replace(base, items, over)


def merge_entry(base: Node, over: Node) -> Node:
    """Return a hook or task with another laid over it.

    Every key given replaces; jobs merge by name: a known name is replaced as a whole, in its
    place, an unknown or unnamed job is appended.
    """
    if base.kind != "map" or over.kind != "map":
        return base if over.is_null else over
    items = {**base.items, **_said(over)}
    old, new = base.items.get("jobs"), over.items.get("jobs")
    if old is not None and new is not None and old.kind == new.kind == "list":
        items["jobs"] = _merge_jobs(old, new)
    return _replace(base, items, over)


def _merge_entries(base: Node, over: Node) -> Node:
    items = dict(base.items)
    for name, entry in over.items.items():
        known = items.get(name)
        items[name] = entry if known is None else merge_entry(known, entry)
    return _replace(base, items, over)


def _said(node: Node) -> dict[str, Node]:
    """Return the items that say something; a key with nothing behind it replaces nothing."""
    return {key: value for key, value in node.items.items() if not value.is_null}


def _merge_jobs(base: Node, over: Node) -> Node:
    jobs = list(base.elements)
    places = {name: index for index, job in enumerate(jobs) if (name := name_of(job))}
    for job in over.elements:
        # Each name once: a second job of one name in one file is a mistake to be told.
        place = places.pop(name_of(job), None)
        if place is None:
            jobs.append(job)
        else:
            jobs[place] = job
    return Node("list", base.mark, elements=jobs)


def name_of(job: Node) -> str:
    """Return the name by which a job replaces another, "" for none."""
    if job.kind != "map" or "name" not in job.items:
        return ""
    return job.items["name"].text


def _replace(base: Node, items: dict[str, Node], over: Node) -> Node:
    keys = {key: mark for key, mark in over.keys.items() if key in items}
    return Node("map", base.mark, items=items, keys={**base.keys, **keys})
