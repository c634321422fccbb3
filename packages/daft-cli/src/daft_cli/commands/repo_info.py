"""`daft repo info`: everything about one repository."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from daft_store.catalog import Entry

from ..catalog import every_entry
from ..place import data_directory, layout_of
from ..relations import related_to
from ..repositories import Shown, choose
from ..terminal import harmless, show_path

FORMATS = ("json", "yaml")
"""Only these can hold the worktrees of one repository as well as its name."""


@click.command(name="info")
@click.argument("repository", required=False)
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs.")
def command(repository: str | None, form: str | None) -> int:
    """Show what is known of REPOSITORY: a name, a path or an id; without, the one here."""
    shown = choose(repository)
    document = {
        **shown.row,
        "layout": _layout(shown),
        "worktrees": _worktrees(shown),
        "relations": _relations(shown),
    }
    if form == "json":
        import json

        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    elif form == "yaml":
        import yaml

        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.writelines(f"{harmless(line)}\n" for line in _lines(shown, document))
    return 0


def _layout(shown: Shown) -> str | None:
    if shown.repository is None:
        return None
    return layout_of(shown.repository, data_directory()).name


def _worktrees(shown: Shown) -> list[dict[str, Any]] | None:
    if shown.worktrees is None:
        return None
    return [{"branch": one.branch, "path": one.path} for one in shown.worktrees]


def _relations(shown: Shown) -> list[dict[str, Any]] | None:
    if shown.repository is None:
        return None
    return [
        {
            "name": one.name,
            "kind": one.relation.kind or None,
            "url": one.relation.url,
            "repository": None if one.entry is None else one.entry.name,
            "path": None if one.entry is None else one.entry.path,
        }
        for one in related_to(shown.repository, every_entry())
    ]


def _lines(shown: Shown, document: dict[str, Any]) -> Iterator[str]:
    entry: Entry = shown.entry
    for title, value in (
        ("Name", entry.name),
        ("Status", _status(shown)),
        ("Path", show_path(entry.path)),
        ("Remote", entry.remote_url),
        ("Default branch", entry.default_branch),
        ("Layout", document["layout"]),
        ("Id", entry.uuid),
    ):
        if value is not None:
            yield f"{title:<16}{value}"
    trees = shown.worktrees
    if trees is None:
        return
    yield f"{'Worktrees':<16}{len(trees)}"
    width = max((len(one.label) for one in trees), default=0)
    for number, one in enumerate(trees, 1):
        branch = "└" if number == len(trees) else "├"
        missing = "  (missing)" if one.missing else ""
        yield f"  {branch} {one.label:<{width}}  {show_path(one.path)}{missing}"
    if document["relations"]:
        yield "Relations"
    for one in document["relations"]:
        kind = f" [{one['kind']}]" if one["kind"] else ""
        where = f"not here: {one['url']}" if one["path"] is None else show_path(one["path"])
        yield f"  {one['name']}{kind}  {where}"


def _status(shown: Shown) -> str:
    if shown.status == "missing":
        return "missing: it is not where it was"
    if shown.status == "removed":
        return f"removed from the catalog at {shown.entry.removed_at}"
    return "live"
