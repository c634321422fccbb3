"""`--repo` of the verbs that read what is recorded: the repository it means, also one that is gone.

On the way of the listing of jobs, so it loads apsw and nothing else of weight.
"""

from __future__ import annotations

import os
import sys

from daft_store import catalog
from daft_store.catalog import CatalogReader, Entry
from daft_store.listing import ListingError
from daft_store.roots import data_root

from .whereabouts import find_repository, is_identity, recorded_identity, state_directory

_SHOWN = 10  # names in a message


def choose_repository(text: str) -> str:
    """Return the id of the repository that `text` names, live or removed.

    That is a path in it or, when it is gone, where it was; its name in the catalog; its id or a
    unique start of that (4 digits or more); a directory of this name.
    Raises: SystemExit with code 1 after saying what is known, when nothing or too much fits.
    """
    entries = _entries()
    if "/" in text or text in (".", "..") or text.startswith("~"):
        return _at_path(os.path.expanduser(text), text, entries)
    recorded = _recorded()
    fitting = dict.fromkeys(one.uuid for one in catalog.meant(entries, text))
    if not any(one.name == text for one in entries):
        start = text.lower()
        long_enough = len(start) >= catalog.LEAST_DIGITS
        fitting.update(
            dict.fromkeys(one for one in recorded if long_enough and one.startswith(start))
        )
    if len(fitting) == 1:
        return next(iter(fitting))
    if not fitting and os.path.isdir(text):
        return _at_path(text, text, entries)
    _explain(text, list(fitting), entries, recorded)
    raise SystemExit(1)


def _at_path(path: str, text: str, entries: list[Entry]) -> str:
    if os.path.isdir(path):
        here = find_repository(os.path.realpath(path))
        identity = recorded_identity(here[0]) if here is not None else ""
        if identity:
            return identity
        why = "has no job history" if here is not None else "is not inside a Git repository"
    else:
        why = "does not exist, and the catalog knows of no repository that was there"
    known = catalog.at(entries, os.path.realpath(path))
    if known is None:
        _say(f"error: --repo: {text} {why}")
        raise SystemExit(1)
    return known.uuid


def _explain(text: str, fitting: list[str], entries: list[Entry], recorded: list[str]) -> None:
    what = "more than one repository" if fitting else "no repository that is known"
    _say(f"error: --repo: '{text}' is {what}")
    names = {one.uuid: one.name for one in entries}
    if fitting:
        for one in fitting[:_SHOWN]:
            _say(f"  known: {one} {names.get(one, '')}".rstrip())
    elif not entries and not recorded:
        _say("  tip: the catalog of repositories is empty, and no job was recorded in any yet")
    else:
        import difflib

        near = difflib.get_close_matches(text, names.values(), 5)
        if near:
            _say(f"  tip: did you mean {', '.join(dict.fromkeys(near))}?")
        shown = [one.name for one in entries if one.is_live]
        shown += [one for one in recorded if one not in names]
        for one in shown[:_SHOWN]:
            _say(f"  known: {one}")


def _entries() -> list[Entry]:
    """Return the catalog; without one there still are paths and ids."""
    try:
        with CatalogReader(data_root(os.environ), skipped=_skipped) as reader:
            return reader.every()
    except ListingError as error:
        _say(f"warning: the catalog of repositories cannot be read: {error}")
        return []


def _recorded() -> list[str]:
    try:
        return sorted(name for name in os.listdir(state_directory() + "/jobs") if is_identity(name))
    except FileNotFoundError:
        return []


def _skipped(what: str) -> None:
    _say(f"warning: a row of the catalog of repositories cannot be read and is left out: {what}")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
