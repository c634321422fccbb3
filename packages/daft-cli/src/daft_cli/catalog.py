"""The user's catalog of repositories: taking up where one works, and finding what is meant."""

from __future__ import annotations

import os

from daft_store import catalog
from daft_store.catalog import CatalogReader, Entry, Sighting
from daft_store.listing import ListingError
from daft_store.remotes import without_secrets
from daft_store.roots import data_root
from daft_worktree.repository import Repository

from .failures import STORE_UNUSABLE, Trouble
from .sighting import remote_url
from .terminal import warn
from .whereabouts import identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from collections.abc import Sequence


def take_up_or_warn(
    repository: Repository, default_branch: str | None
) -> tuple[str | None, str | None]:
    """Bring the catalog in line with what is seen of a repository. Trouble is only a warning.

    default_branch: if the caller knows it.
    Returns: the file of the catalog that has it as it is, None for none, and its default branch.
    """
    from daft_store.errors import BadDirectoryVariable, StoreError

    seen = sighting_of(repository, default_branch)
    known: Entry | None = None
    try:
        path = catalog.catalog_path(data_root(os.environ))
        if seen.uuid:
            with open_catalog() as reader:
                known = reader.of_uuid(seen.uuid)
    except ListingError as error:
        if error.code != "damaged":  # that is put right where it is written
            warn(f"the catalog of repositories cannot be read: {error}")
            return None, None
    except BadDirectoryVariable as error:
        warn(f"the catalog of repositories is not known: {error}")
        return None, None
    if known is not None:
        if catalog.says_the_same(known, seen):
            return path, known.default_branch
        if is_copy_of(known, seen):
            return None, None
        # Looked for once; those who know it by chance keep it up to date.
        seen = seen._replace(default_branch=default_branch or known.default_branch)
    try:
        return path, take_up(repository, seen).default_branch
    except (StoreError, OSError) as error:
        warn(f"the repository is not taken up in the catalog: {error}")
        return None, None


def sighting_of(repository: Repository, default_branch: str | None = None) -> Sighting:
    """Return what there is to record of a repository; its identity is empty if it has none."""
    return Sighting(
        uuid=identity_of(repository.common_dir),
        path=repository.project_root,
        git_common_dir=repository.common_dir,
        remote_url=remote_url(repository),
        default_branch=default_branch,
    )


def take_up(repository: Repository, seen: Sighting, *, name: str | None = None) -> Entry:
    """Record what was seen of a repository, giving it an identity if it has none.

    name: what the user calls it. Raises: StoreError.
    """
    from daft_store import registering
    from daft_store.identity import ensure_repository_id
    from daft_worktree.branches import default_branch

    seen = seen._replace(
        uuid=seen.uuid or ensure_repository_id(repository.common_dir),
        default_branch=seen.default_branch or default_branch(repository),
    )
    return registering.take_up(
        data_root(os.environ),
        seen,
        name=name,
        fetched_from=fetched_from(repository),
        report=warn,
    )


def fetched_from(repository: Repository) -> str | None:
    """Return the URL of the repository's remote as git rewrites it, without secrets."""
    from daft_worktree import git

    if repository.remote is None:
        return None
    asked = git.attempt(repository.common_dir, "remote", "get-url", "--", repository.remote)
    return without_secrets(asked.out) if asked.ok and asked.out else None


def is_copy_of(known: Entry, seen: Sighting) -> bool:
    """True when the repository of a live entry is still there: then what was seen is its copy."""
    return (
        known.is_live
        and known.git_common_dir != seen.git_common_dir
        and identity_of(known.git_common_dir) == known.uuid
    )


def open_catalog() -> CatalogReader:
    """Return the catalog, to be read. Raises: ListingError, BadDirectoryVariable."""
    return CatalogReader(data_root(os.environ), skipped=_skipped)


def every_entry() -> list[Entry]:
    """Return all of the catalog by name; a damaged one is put aside, with a warning, and empty.

    Raises: Trouble, StoreError.
    """
    try:
        with open_catalog() as reader:
            return reader.every()
    except ListingError as error:
        if error.code == "damaged":
            from daft_store import registering

            registering.mend(data_root(os.environ), report=warn)
            return []
        raise Trouble(
            f"the catalog of repositories cannot be read: {error}", code=STORE_UNUSABLE
        ) from error


def is_path(word: str) -> bool:
    """True for what can only be a path: nobody is called that."""
    return "/" in word or word in (".", "..") or word.startswith("~")


def find_entry(entries: Sequence[Entry], word: str) -> Entry | None:
    """Return the repository that `word` means: a path, a name, or the start of an identity.

    Raises: Trouble when it could mean several.
    """
    if is_path(word):
        return catalog.at(entries, os.path.realpath(os.path.expanduser(word)))
    found = catalog.meant(entries, word)
    if len(found) > 1:
        names = ", ".join(f"{one.name} ({one.uuid})" for one in found)
        raise Trouble(f"'{word}' is more than one repository: {names}")
    return found[0] if found else None


def unknown(entries: Sequence[Entry], word: str) -> Trouble:
    """Return the error that the catalog has no such repository, with what is near."""
    tips = suggestions(entries, word)
    return Trouble(f"'{word}' is no repository in the catalog", tips=tuple(tips))


def suggestions(entries: Sequence[Entry], word: str) -> list[str]:
    """Return what to say to somebody who asked for a repository that is not there."""
    if not entries:
        return ["the catalog is empty; `daft repo add <path>` adds a repository"]
    import difflib

    names = list(dict.fromkeys(one.name for one in entries))
    near = difflib.get_close_matches(word, names, 5)
    if near:
        return [f"did you mean {', '.join(near)}?"]
    return ["`daft repo list --all` shows them all"]


def _skipped(what: str) -> None:
    warn(f"a row of the catalog of repositories cannot be read and is left out: {what}")
