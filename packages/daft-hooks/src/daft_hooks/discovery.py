"""Finding a repository's configuration, on disk or in git's objects, and putting it together."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from attrs import evolve, field, frozen

from .decode import Decoded, decode
from .document import Node
from .domain import shape
from .domain.config import Configuration, HookConfig, JobConfig
from .domain.trust import FILE
from .errors import UnreadableConfiguration
from .gitfiles import MAX_FILE_BYTES, CommittedFiles
from .sealing import Sealed, seal
from .sources import MAIN_NAMES, ReadFile, read_sources

_RUNS_NOTHING = frozenset(one.name for one in shape.TOP if not one.consented)


@frozen(kw_only=True)
class Loaded:
    """A configuration with everything known of it.

    files: names read, the main one first. commands: "hook/job" -> what it would run, to show
    what changed. digest: of everything that would run by it, once it was `seen_in` a worktree.
    sealed: the files that its jobs execute there.
    """

    decoded: Decoded
    files: tuple[str, ...]
    digest: str
    commands: Mapping[str, str] = field(factory=dict)
    sealed: Sealed = field(factory=Sealed)
    _root: Node = field(repr=False)

    @property
    def document(self) -> Node:
        """All files merged, with the place of every value."""
        return self._root

    @property
    def runs(self) -> dict[str, str]:
        """Everything that consent is given to, by name: commands, and contents of files."""
        files = {FILE + name: ",".join(sorted(d)) for name, d in self.sealed.contents.items()}
        return {**self.commands, **dict(sorted(files.items()))}

    @property
    def configuration(self) -> Configuration:
        """The configuration. Raises: BadConfiguration when there is any error in it."""
        return self.decoded.checked()

    def seen_in(self, worktree: str, elsewhere: Iterable[str] = ()) -> Loaded:
        """Return the same, with digest and `sealed` as they are now for jobs in `worktree`.

        The digest covers the merged configuration and each file of the repository that it makes
        jobs execute. elsewhere: other worktrees that commands may reach by their variables.
        """
        sealed = seal(self.decoded.configuration, worktree, elsewhere)
        return evolve(self, digest=_digest(self._root, sealed.contents), sealed=sealed)

    def also(self, hooks: Mapping[str, HookConfig]) -> Loaded:
        """Return the same with hooks that no file of the configuration defines."""
        configuration = self.decoded.configuration
        added = evolve(configuration, hooks={**configuration.hooks, **hooks})
        return evolve(
            self, decoded=evolve(self.decoded, configuration=added), commands=_commands(added)
        )


def unconfigured() -> Loaded:
    """Return the configuration of a repository that has none."""
    loaded = load_from({MAIN_NAMES[0]: b""}.get)
    assert loaded is not None
    return evolve(loaded, files=())


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
    sources = read_sources(read)
    if sources is None:
        return None
    decoded = decode(sources.root, excerpts=sources.lines, known=sources.problems)
    return Loaded(
        decoded=decoded,
        files=sources.files,
        digest=_digest(sources.root, {}),
        commands=_commands(decoded.configuration),
        root=sources.root,
    )


def _digest(root: Node, contents: Mapping[str, Collection[str]]) -> str:
    """Return a digest of the merged configuration and of files, given by name and content.

    Keys that decide nothing which would run are left out: see `shape.Field.consented`.
    """
    total = hashlib.sha256()
    said = {key: node.to_plain() for key, node in root.items.items() if key not in _RUNS_NOTHING}
    total.update(json.dumps(said, sort_keys=True, default=str).encode())
    for name, digests in sorted(contents.items()):
        for digest in sorted(digests):
            total.update(b"\0" + os.fsencode(name) + b"\0" + digest.encode())
    return total.hexdigest()


def _commands(configuration: Configuration) -> dict[str, str]:
    found: dict[str, str] = {}
    groups: tuple[tuple[str, Mapping[str, HookConfig]], ...] = (
        ("", configuration.hooks),
        ("task ", configuration.tasks),
    )
    for prefix, hooks in groups:
        for hook in hooks.values():
            for job in hook.jobs:
                found[f"{prefix}{hook.name}/{job.name}"] = _command_text(job)
    return found


def _command_text(job: JobConfig) -> str:
    """Return what a job runs, and on what that depends, for people to read."""
    lines = [f"{system}: {run}" if system else run for system, run in job.run.items()]
    if job.script is not None:
        lines.append(" ".join(word for word in (job.runner, job.script, job.args) if word))
    if job.uses is not None:
        lines.append(f"uses {job.uses}")
        lines += [f"  {name}: {value}" for name, value in job.arguments.items()]
    if job.root != ".":
        lines.append(f"in {job.root}")
    lines += [f"with {name}={value}" for name, value in job.env.items()]
    if job.files is not None:
        lines.append(f"for the files of: {job.files}")
    return "\n".join(lines)
