"""Seeing to it that the catalog has the repository one works in.

On the way of `list` and `go`, for which there is nothing to do nearly always. So what the catalog
was last told is noted in the repository, with the catalog it was told to: to compare that costs
one small file, a look at the catalog's row several times as much.
"""

from __future__ import annotations

import os

from daft_worktree.repository import Repository, superproject_git_dir

from .whereabouts import identity_of

_NOTE = os.path.join(".daft", "in-catalog")
# What decides where the catalog is.
_PLACES = ("DAFT_DATA_DIR", "XDG_DATA_HOME", "HOME")


def sight(repository: Repository, default_branch: str | None = None) -> None:
    """Take the repository up in the catalog as it is now. Trouble is only a warning.

    default_branch: if the caller knows it.
    """
    if _is_noted(repository, default_branch):
        return
    if superproject_git_dir(repository) is not None:
        return  # no place to go to by itself
    common_dir = repository.common_dir
    if not identity_of(common_dir) and not os.access(common_dir, os.W_OK):
        return  # somebody else's, looked at: it can be given no identity
    from .catalog import take_up_or_warn

    path, default = take_up_or_warn(repository, default_branch)
    if path is not None:
        _note(repository, path, default)


def unsight(common_dir: str) -> None:
    """Forget that the catalog has a repository: the next command there looks again."""
    try:
        os.unlink(os.path.join(common_dir, _NOTE))
    except OSError:
        return  # none was made, or nobody can get there


def remote_url(repository: Repository) -> str | None:
    """Return the URL of the repository's remote as it is configured, without secrets."""
    name = repository.remote
    url = None if name is None else repository.settings.remote_urls.get(name)
    if url is None or not any(mark in url for mark in "@?#"):
        return url
    from daft_store.remotes import without_secrets

    return without_secrets(url)


def _is_noted(repository: Repository, default_branch: str | None) -> bool:
    try:
        with open(os.path.join(repository.common_dir, _NOTE), "rb") as file:
            catalog, made_as, default, *facts = os.fsdecode(file.read()).split("\n")
        # A catalog that was begun anew does not have it.
        is_same = made_as == _mark_of(catalog)
    except (OSError, ValueError):
        return False  # never noted, or no catalog: it is told once more
    return is_same and default_branch in (None, default) and facts == _facts(repository)


def _note(repository: Repository, catalog: str, default_branch: str | None) -> None:
    lines = [catalog, _mark_of(catalog), default_branch or "", *_facts(repository)]
    if any("\n" in line for line in lines):
        return  # a path like that; the row is read each time
    path = os.path.join(repository.common_dir, _NOTE)
    beside = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(beside, "wb") as file:
            file.write(os.fsencode("\n".join(lines)))
        os.replace(beside, path)
    except OSError:
        return  # somebody else's repository: the row is read each time


def _facts(repository: Repository) -> list[str]:
    return [
        repository.common_dir,
        repository.project_root,
        remote_url(repository) or "",
        *(os.environ.get(name, "") for name in _PLACES),
    ]


def _mark_of(catalog: str) -> str:
    found = os.stat(catalog)
    return f"{found.st_dev}:{found.st_ino}"
