"""Repositories that belong to one: what its `relations:` say, and which of them are here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import daft_worktree
from daft_hooks import discovery, editing
from daft_hooks.discovery import Loaded
from daft_hooks.domain.config import Relation
from daft_hooks.errors import HooksError
from daft_store.catalog import Entry
from daft_store.remotes import is_path as looks_like_path
from daft_store.remotes import last_part, normalized, without_secrets
from daft_worktree.branches import default_branch
from daft_worktree.repository import Repository
from daft_worktree.worktrees import Worktree

from .catalog import every_entry, fetched_from, find_entry
from .declaring import amend
from .failures import Trouble
from .terminal import warn

KEY = "relations"


class Related(NamedTuple):
    """One relation. entry: the repository in the catalog, None when it is not there."""

    relation: Relation
    entry: Entry | None

    @property
    def name(self) -> str:
        """What it is called: as it is declared, else by its URL."""
        return self.relation.name or last_part(self.relation.url) or self.relation.url


def related_to(repository: Repository, entries: Sequence[Entry]) -> list[Related]:
    """Return the relations of a repository; a configuration that cannot be read is a warning."""
    tree = _speaker(repository)
    if tree is None:
        return []
    try:
        loaded = discovery.load(tree.path)
        declared = () if loaded is None else loaded.configuration.relations
    except HooksError as error:
        warn(f"its relations are not known: {error}")
        return []
    by_remote = {one.remote_url_normalized: one for one in entries if one.is_live}
    return [Related(one, by_remote.get(normalized(one.url))) for one in declared]


def link(
    repository: Repository,
    worktree: Worktree,
    word: str,
    *,
    name: str | None,
    kind: str | None,
) -> tuple[Relation, str | None]:
    """Declare that the repository `word` means belongs to this one.

    name, kind: None leaves what is declared already. Returns the relation, and the file that was
    changed, None when it said so already.
    Raises: Trouble; BadConfiguration, CannotEdit, with the file as it was.
    """
    url = _url_of(word)
    own = fetched_from(repository)
    if own is not None and normalized(own) == normalized(url):
        raise Trouble(f"{url} is this repository itself")
    made: list[Relation] = []

    def edit(data: bytes, loaded: Loaded | None, file: str) -> bytes:
        known = [] if loaded is None else list(loaded.configuration.relations)
        old = next((one for one in known if normalized(one.url) == normalized(url)), None)
        new = Relation(
            url=url if old is None else old.url,
            name=name if name is not None else old.name if old is not None else "",
            kind=kind if kind is not None else old.kind if old is not None else "",
        )
        made.append(new)
        if new == old:
            return data
        if old is not None:
            data = editing.without_texts(data, KEY, _items(loaded, {old.url}), file=file)
        return editing.with_texts(data, KEY, [_item(new)], file=file)

    file = amend(repository, worktree, KEY, edit)
    return made[0], file


def unlink(repository: Repository, worktree: Worktree, word: str) -> tuple[list[str], str | None]:
    """Take out what `word` means, a name or whatever `link` takes; return the URLs and the file.

    Raises: as `link`.
    """
    gone: set[str] = set()

    def edit(data: bytes, loaded: Loaded | None, file: str) -> bytes:
        known = () if loaded is None else loaded.configuration.relations
        gone.update(one.url for one in known if Related(one, None).name == word)
        if known and not gone:
            try:
                url = normalized(_url_of(word))
            except Trouble:
                return data  # what cannot be named is not among them either
            gone.update(one.url for one in known if normalized(one.url) == url)
        return editing.without_texts(data, KEY, _items(loaded, gone), file=file) if gone else data

    file = amend(repository, worktree, KEY, edit)
    return sorted(gone), file


def _items(loaded: Loaded | None, urls: set[str]) -> list[editing.Item]:
    """Return the items of the list that have these URLs, as they are written."""
    node = None if loaded is None else loaded.document.items.get(KEY)
    if node is None:
        return []
    items = [editing.item_of(one) for one in (node.elements if node.kind == "list" else [node])]
    return [one for one in items if (one if isinstance(one, str) else one.get("url")) in urls]


def _item(relation: Relation) -> editing.Item:
    if not relation.name and not relation.kind:
        return relation.url
    said = {"url": relation.url, "name": relation.name, "kind": relation.kind}
    return {key: value for key, value in said.items() if value}


def _url_of(word: str) -> str:
    """Return the URL that a word stands for: of a repository in the catalog or on disk, or itself.

    Raises: Trouble for a repository that nobody else could fetch.
    """
    entries = every_entry()
    if looks_like_path(word):
        path = os.path.expanduser(word)
        known = find_entry(entries, word)
        if known is not None and known.remote_url is not None:
            return known.remote_url
        if os.path.isdir(path):
            found = fetched_from(daft_worktree.discover(os.path.abspath(path)))
            if found is not None:
                return found
        if known is not None or os.path.isdir(path):
            raise Trouble(
                f"'{word}' has no remote, so nobody else could find it",
                tips=("give it one: git remote add origin <url>",),
            )
        raise Trouble(
            f"'{word}' is no repository in the catalog, no path to one, and no URL",
            tips=("`daft repo list --all` shows the catalog",),
        )
    return without_secrets(word)


def _speaker(repository: Repository) -> Worktree | None:
    """Return the worktree whose configuration counts: the one here, or the default branch's."""
    there = [one for one in repository.worktrees if not one.is_bare and not one.missing]
    if repository.current in there:
        return repository.current
    default = default_branch(repository)
    return next((one for one in there if one.branch == default), next(iter(there), None))
