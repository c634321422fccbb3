"""Finding a repository's configuration, on disk or in git's objects, and putting it together."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import field, frozen

from .decode import Decoded, decode
from .document import Node, parse
from .domain.config import Configuration
from .domain.merging import merge
from .errors import BadConfiguration, Problem, UnreadableConfiguration

MAIN_NAMES = (
    "daft.yml",
    "daft.yaml",
    ".daft.yml",
    ".daft.yaml",
    ".config/daft.yml",
    ".config/daft.yaml",
)
MAX_EXTENDS = 16
_SCRIPT_ENDINGS = (".sh", ".bash", ".zsh", ".py", ".js", ".ts", ".rb", ".pl")

ReadFile = Callable[[str], bytes | None]
"""Returns the bytes of a path relative to the worktree, None when there is no such file."""


@frozen(kw_only=True)
class Loaded:
    """A configuration with everything known of it.

    files: names read, the main one first. digest: of everything that would run by it.
    commands: "hook/job" -> what it would run, to show what changed.
    """

    decoded: Decoded
    files: tuple[str, ...]
    digest: str
    commands: Mapping[str, str] = field(factory=dict)

    @property
    def configuration(self) -> Configuration:
        """The configuration. Raises: BadConfiguration when there is any error in it."""
        return self.decoded.checked()


def load(worktree: str) -> Loaded | None:
    """Return the configuration of the worktree at `worktree`, None when it has none.

    Executes nothing, writes nothing. Raises: BadConfiguration for text that is no YAML,
    UnreadableConfiguration; problems of content are in the result.
    """

    def read(name: str) -> bytes | None:
        path = os.path.join(worktree, name)
        try:
            with open(path, "rb") as file:
                return file.read(2 * 1024 * 1024)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(path):
                raise UnreadableConfiguration(path, "is a link to nothing") from None
            return None
        except IsADirectoryError:
            return None
        except OSError as error:
            raise UnreadableConfiguration(path, error.strerror or str(error)) from error

    return load_from(read)


def load_from(read: ReadFile) -> Loaded | None:
    """Return the configuration that `read` finds; for git's objects as well as for files."""
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
        digest=_digest(root, decoded.configuration, read),
        commands=_commands(decoded.configuration),
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


def _digest(root: Node, configuration: Configuration, read: ReadFile) -> str:
    """Return a digest of the merged configuration and every script of the repository it names."""
    total = hashlib.sha256()
    total.update(json.dumps(root.to_plain(), sort_keys=True, default=str).encode())
    for name in sorted(_scripts(configuration)):
        data = read(name)
        if data is not None:
            total.update(f"\0{name}\0".encode())
            total.update(hashlib.sha256(data).digest())
    return total.hexdigest()


def _scripts(configuration: Configuration) -> set[str]:
    """Return the paths in the repository that some command would execute or source."""
    names: set[str] = set()
    if configuration.rc is not None:
        names.add(os.path.normpath(configuration.rc))
    for hook in (*configuration.hooks.values(), *configuration.tasks.values()):
        for job in hook.jobs:
            if job.script is not None:
                names.add(os.path.normpath(os.path.join(configuration.source_dir, job.script)))
            for command in job.run.values():
                for word in _words(command):
                    if "/" in word or word.endswith(_SCRIPT_ENDINGS):
                        names.add(os.path.normpath(os.path.join(job.root, word)))
    return {name for name in names if not name.startswith(("..", "/"))}


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return command.split()  # quotes the shell will complain about


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
