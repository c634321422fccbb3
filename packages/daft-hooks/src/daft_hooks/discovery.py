"""Finding a repository's configuration, on disk or in git's objects, and putting it together."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import evolve, field, frozen

from .decode import Decoded, decode
from .document import Node, parse
from .domain.config import Configuration
from .domain.merging import merge
from .errors import BadConfiguration, Problem, UnreadableConfiguration
from .gitfiles import MAX_FILE_BYTES, CommittedFiles
from .pinning import Pinned, pin

MAIN_NAMES = (
    "daft.yml",
    "daft.yaml",
    ".daft.yml",
    ".daft.yaml",
    ".config/daft.yml",
    ".config/daft.yaml",
)
MAX_EXTENDS = 16

ReadFile = Callable[[str], bytes | None]
"""Returns the bytes of a path relative to the worktree, None when there is no such file."""


@frozen(kw_only=True)
class Loaded:
    """A configuration with everything known of it.

    files: names read, the main one first. commands: "hook/job" -> what it would run, to show
    what changed. digest: of everything that would run by it, once it was `seen_in` a worktree.
    pinned: the files that its jobs execute there.
    """

    decoded: Decoded
    files: tuple[str, ...]
    digest: str
    commands: Mapping[str, str] = field(factory=dict)
    pinned: Pinned = field(factory=Pinned)
    _root: Node = field(repr=False)

    @property
    def configuration(self) -> Configuration:
        """The configuration. Raises: BadConfiguration when there is any error in it."""
        return self.decoded.checked()

    def seen_in(self, worktree: str, elsewhere: Iterable[str] = ()) -> Loaded:
        """Return the same, with digest and `pinned` as they are now for jobs in `worktree`.

        The digest covers the merged configuration and each file of the repository that it makes
        jobs execute. elsewhere: other worktrees that commands may reach by their variables.
        """
        pinned = pin(self.decoded.configuration, worktree, elsewhere)
        return evolve(self, digest=_digest(self._root, pinned.contents), pinned=pinned)


def load(worktree: str) -> Loaded | None:
    """Return the configuration of the worktree at `worktree`, None when it has none.

    Runs nothing of the repository, writes nothing. Raises: BadConfiguration for text that is no
    YAML, UnreadableConfiguration; problems of content are in the result.
    """

    def read(name: str) -> bytes | None:
        path = os.path.join(worktree, name)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                return None  # a directory of that name, or a pipe that would never end
            with open(path, "rb") as file:
                return file.read(MAX_FILE_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(path):
                raise UnreadableConfiguration(path, "is a link to nothing") from None
            return None
        except OSError as error:
            raise UnreadableConfiguration(path, error.strerror or str(error)) from error

    return load_from(read)


def load_from_git(git_dir: str, refs: Sequence[str]) -> Loaded | None:
    """Return the configuration of the first of `refs` that has one, None when none has.

    For a worktree that is not there yet. git_dir: the repository's common directory.
    Raises: as `load`. What `extends` names is read from the same ref.
    """
    with CommittedFiles(git_dir) as files:
        for ref in refs:
            loaded = load_from(partial(files.read, ref))
            if loaded is not None:
                return loaded
    return None


def load_from(read: ReadFile) -> Loaded | None:
    """Return the configuration that `read` finds; no digest of scripts before `Loaded.seen_in`."""
    sources: dict[str, bytes] = {}

    def remember(name: str) -> bytes | None:
        data = read(name)
        if data is not None:
            sources[name] = data
        return data

    main = next((name for name in MAIN_NAMES if remember(name) is not None), None)
    if main is None:
        return None
    root = parse(sources[main], main)
    for name in _extended(root, main, remember, (main,)):
        root = merge(root, parse(sources[name], name))
    stem, ending = os.path.splitext(main)
    overlay = f"{stem}.local{ending}"
    if remember(overlay) is not None:
        root = merge(root, parse(sources[overlay], overlay))
    lines = {name: data.decode("utf-8", "replace").split("\n") for name, data in sources.items()}
    decoded = decode(root, excerpts=lines)
    return Loaded(
        decoded=decoded,
        files=tuple(sources),
        digest=_digest(root, {}),
        commands=_commands(decoded.configuration),
        root=root,
    )


def _extended(root: Node, file: str, read: ReadFile, seen: tuple[str, ...]) -> Iterable[str]:
    """Yield the names of the files `root` extends, in order, each behind what it extends."""
    node = root.items.get("extends")
    if node is None or node.is_null:
        return
    entries = node.elements if node.kind == "list" else [node]
    for entry in entries:
        if entry.kind != "scalar" or not entry.text:
            raise _problem(entry, "extends", f"expected a path, found {entry.describe()}")
        name = os.path.normpath(os.path.join(os.path.dirname(file), entry.text))
        if name.startswith("..") or os.path.isabs(name):
            raise _problem(entry, "extends", f"{entry.text!r} leads out of the repository")
        if name in seen or len(seen) > MAX_EXTENDS:
            raise _problem(entry, "extends", f"{' -> '.join((*seen, name))} goes round in a circle")
        data = read(name)
        if data is None:
            raise _problem(entry, "extends", f"{name!r} does not exist (extended by {file})")
        yield from _extended(parse(data, name), name, read, (*seen, name))
        yield name


def _problem(node: Node, path: str, message: str) -> BadConfiguration:
    return BadConfiguration((Problem(mark=node.mark, message=message, path=path),))


def _digest(root: Node, contents: Mapping[str, Collection[str]]) -> str:
    """Return a digest of the merged configuration and of files, given by name and content."""
    total = hashlib.sha256()
    total.update(json.dumps(root.to_plain(), sort_keys=True, default=str).encode())
    for name, digests in sorted(contents.items()):
        for digest in sorted(digests):
            total.update(b"\0" + os.fsencode(name) + b"\0" + digest.encode())
    return total.hexdigest()


def _commands(configuration: Configuration) -> dict[str, str]:
    found: dict[str, str] = {}
    groups: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("", configuration.hooks),
        ("task ", configuration.tasks),
    )
    for prefix, hooks in groups:
        for hook in hooks.values():
            for job in hook.jobs:
                runs = [job.script or "", *job.run.values()]
                found[f"{prefix}{hook.name}/{job.name}"] = "; ".join(run for run in runs if run)
    return found
