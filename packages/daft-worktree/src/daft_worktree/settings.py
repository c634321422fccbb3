"""The `daft.*` settings of a repository, from git's configuration, in one look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from . import git
from .errors import GitFailed

PROTECT = (".env*", "*.local.*", "*.sqlite*")
"""Names of ignored files that people would miss."""


class Settings(NamedTuple):
    """What applies to one repository. `values` holds every `daft.*` key, lower case.

    own: of these, what the user's own (global) configuration says here. It may include files on
    condition of what the repository says; `read_settings("/")` tells what holds everywhere.
    remote_urls: name of a remote -> its first URL, as it is configured.
    protect: patterns of ignored files that are not removed unsaid. merge_style: how merges are
    made, None for the usual way. merge_removes: merged worktrees and branches go.
    is_bare: as git's configuration says, None when it does not. has_ref_files: references are
    kept in files. warnings: one line for each value that makes no sense; its default is used.
    """

    values: Mapping[str, str]
    own: Mapping[str, str] = {}
    remotes: tuple[str, ...] = ()
    remote: str = "origin"
    autocd: bool = True
    fetch: bool = False
    push: bool = False
    upstream: bool = True
    carry_on_go: bool = False
    carry_on_start: bool = True
    delete_remote: bool = False
    auto_start: bool = False
    copy: bool = True
    layout: str | None = None
    initial_branch: str | None = None
    ignore_case: bool = False
    protect: tuple[str, ...] = PROTECT
    merge_style: str | None = None
    merge_removes: bool = False
    is_bare: bool | None = None
    has_ref_files: bool = True
    remote_urls: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()


_BOOLEANS = {
    "daft.autocd": "autocd",
    "daft.checkout.fetch": "fetch",
    "daft.checkout.push": "push",
    "daft.checkout.upstream": "upstream",
    "daft.checkout.carry": "carry_on_go",
    "daft.checkoutbranch.carry": "carry_on_start",
    "daft.branchdelete.remote": "delete_remote",
    "daft.go.autostart": "auto_start",
    "daft.copy.enabled": "copy",
}
_CHOICES = {
    "daft.merge.style": ("merge", "squash", "rebase", "rebase-merge"),
    "daft.merge.cleanup": ("keep", "remove"),
}
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0", ""})


def read_settings(directory: str) -> Settings:
    """Return the settings that apply in `directory` (any directory: the user's own apply).

    Raises: GitFailed when git cannot read its configuration.
    """
    found = git.attempt(
        directory,
        "config",
        "--null",
        "--show-scope",
        "--get-regexp",
        r"^(daft\..*|remote\..*\.url|init\.defaultbranch|core\.(ignorecase|bare)"
        r"|extensions\.refstorage)$",
    )
    if found.code not in (0, 1):  # 1: nothing matches
        raise GitFailed("reading git's configuration", found.err, found.code)
    values: dict[str, str] = {}
    own: dict[str, str] = {}
    urls: dict[str, str] = {}
    parts = git.fields(found.out)
    for scope, item in zip(parts[::2], parts[1::2], strict=True):
        key, has_value, value = item.partition("\n")
        if not has_value:
            value = "true"  # git's short form
        lower = key.lower()
        if lower.startswith("remote."):
            urls.setdefault(key[len("remote.") : -len(".url")], value)
        else:
            values[lower] = value
            if scope == "global" and lower.startswith("daft."):
                own[lower] = value
    return interpret(values, urls, own)


def interpret(
    values: Mapping[str, str],
    urls: Mapping[str, str] | None = None,
    own: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings in `values` (keys in lower case).

    urls: name of a remote -> its URL. own: those of the user alone.
    """
    given: dict[str, bool] = {}
    warnings: list[str] = []
    for key, field in _BOOLEANS.items():
        if key not in values:
            continue
        text = values[key].lower()
        if text in _TRUE:
            given[field] = True
        elif text in _FALSE:
            given[field] = False
        else:
            warnings.append(f"git config {key} is {values[key]!r}, not a boolean; default used")
    chosen: dict[str, str] = {}
    for key, words in _CHOICES.items():
        word = values.get(key, "").lower()
        if word in words:
            chosen[key] = word
        elif key in values:
            known = ", ".join(words)
            warnings.append(f"git config {key} is {values[key]!r}, not one of {known}")
    is_bare = values.get("core.bare")
    return Settings(
        values=values,
        own={} if own is None else own,
        remotes=tuple(urls or ()),
        remote_urls=urls or {},
        remote=values.get("daft.remote", "origin"),
        layout=values.get("daft.layout"),
        initial_branch=values.get("init.defaultbranch"),
        ignore_case=values.get("core.ignorecase", "").lower() in _TRUE,
        protect=tuple(values.get("daft.protect", " ".join(PROTECT)).split()),
        merge_style=chosen.get("daft.merge.style"),
        merge_removes=chosen.get("daft.merge.cleanup") == "remove",
        is_bare=None if is_bare is None else is_bare.lower() in _TRUE,
        has_ref_files=values.get("extensions.refstorage", "files").lower() == "files",
        warnings=tuple(warnings),
        **given,
    )
