"""Which files the jobs of a configuration execute in a worktree, and what these files hold now.

Counted is what git tracks: another commit may replace it. What a job has made for itself, such
as `.venv/bin/pip`, is not somebody else's to change. Shell scripts are read for the files they
run in turn.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Mapping

from attrs import field, frozen

from .domain.config import Configuration
from .domain.scripts import ENDINGS, GENERAL, Mentions, mentioned_in, mentions_of
from .gitfiles import Tracked, tracked

_SHELL_ENDINGS = (".sh", ".bash", ".zsh", ".ksh")
_SHELL_LINE = re.compile(rb"#![^\n]*\b(ba|da|z|k)?sh\b")
_READ_BYTES = 256 * 1024
_UNREADABLE = "unreadable"


@frozen(kw_only=True)
class Sealed:
    """The files that jobs execute, as they are now.

    contents: name -> SHA-256 of the content in hex. A name is relative to its worktree.
    paths: name -> where it was found, absolute; one name may mean files of two worktrees.
    of_job: "hook/job" -> the names it reaches; GENERAL for those that every job may.
    """

    contents: Mapping[str, frozenset[str]] = field(factory=dict)
    paths: Mapping[str, Mapping[str, str]] = field(factory=dict)
    of_job: Mapping[str, frozenset[str]] = field(factory=dict)

    def files_of(self, key: str) -> dict[str, str]:
        """Return path -> SHA-256 of every file that the job "hook/job" may execute."""
        names = self.of_job.get(key, frozenset()) | self.of_job.get(GENERAL, frozenset())
        return {path: digest for name in names for path, digest in self.paths[name].items()}

    @property
    def files(self) -> dict[str, str]:
        """Path -> SHA-256 of every file that anything here may execute."""
        return {path: digest for found in self.paths.values() for path, digest in found.items()}


def seal(configuration: Configuration, worktree: str, elsewhere: Iterable[str] = ()) -> Sealed:
    """Return what the jobs of `configuration` execute when they run the files of `worktree`.

    elsewhere: further directories that commands may reach by the variables they are given.
    Reads files and runs git, nothing of the repository.
    """
    mentions = mentions_of(configuration)
    found = _Found()
    here = _Tree(worktree)
    others = [_Tree(path) for path in dict.fromkeys(elsewhere) if path != worktree]
    of_job: dict[str, frozenset[str]] = {}
    for key, wanted in mentions.items():
        reached = here.reach(wanted, found)
        if wanted.goes_elsewhere:
            for other in others:
                reached |= other.reach(wanted, found)
        of_job[key] = frozenset(reached)
    return Sealed(
        contents={name: frozenset(found.paths[name].values()) for name in found.paths},
        paths=found.paths,
        of_job=of_job,
    )


class _Found:
    """What was found so far, over all trees."""

    def __init__(self) -> None:
        self.paths: dict[str, dict[str, str]] = {}

    def note(self, name: str, path: str, digest: str) -> None:
        self.paths.setdefault(name, {})[path] = digest


class _Tree:
    """One worktree; git is asked when something in it is wanted, once."""

    def __init__(self, worktree: str) -> None:
        self._root = worktree
        self._real = os.path.realpath(worktree)
        self._tracked: Tracked | None = None
        self._next: dict[str, frozenset[str]] = {}

    def reach(self, wanted: Mentions, found: _Found) -> set[str]:
        """Return the names that `wanted` means here, and those that these lead to."""
        reached: set[str] = set()
        frontier = self._names(wanted)
        while frontier:
            reached |= frontier
            further: set[str] = set()
            for name in frontier:
                further |= self._led_to(name, found)
            frontier = further - reached
        return {name for name in reached if name in found.paths}

    def _led_to(self, name: str, found: _Found) -> frozenset[str]:
        """Note the content of a file; return what it runs in turn."""
        if name not in self._next:
            path = os.path.join(self._root, name)
            digest, text = _content(path, is_shell=name.endswith(_SHELL_ENDINGS))
            if digest is None:
                self._next[name] = frozenset()
            else:
                found.note(name, path, digest)
                roots = (".", posixpath.dirname(name) or ".")
                led = Mentions() if text is None else mentioned_in(text, roots=set(roots))
                self._next[name] = frozenset(self._names(led, only_tracked=True))
        return self._next[name]

    def _names(self, wanted: Mentions, *, only_tracked: bool = False) -> set[str]:
        """Return the files that count. only_tracked: do not look beyond what git lists."""
        names: set[str] = set()
        for path in wanted.paths:
            name = self._relative(path)
            if name is None:
                continue
            if only_tracked and self._files().is_plain:
                if name in self._files().modes:
                    names.add(name)
            elif os.path.isfile(os.path.join(self._root, name)) and self._counts(name):
                names.add(name)
        if wanted.patterns:
            for pattern in wanted.patterns:
                names |= self._files().matching(pattern, ENDINGS)
        return names

    def _relative(self, path: str) -> str | None:
        """Return `path` relative to the worktree, None when it leads elsewhere."""
        absolute = posixpath.normpath(posixpath.join(self._root, path))
        for root in (self._root, self._real):
            if absolute.startswith(root.rstrip("/") + "/"):
                return absolute[len(root.rstrip("/")) + 1 :]
        return None

    def _counts(self, name: str) -> bool:
        """True when a commit may change what is at `name`."""
        files = self._files()
        if files.is_unknown or name in files.modes:
            return True
        parts = name.split("/")
        for length in range(1, len(parts)):
            # Git does not list what is behind a link or in a submodule, but may change both.
            if files.modes.get("/".join(parts[:length])) in ("120000", "160000"):
                return True
        real = self._relative(os.path.realpath(os.path.join(self._root, name)))
        return real is not None and real in files.modes

    def _files(self) -> Tracked:
        if self._tracked is None:
            self._tracked = tracked(self._root)
        return self._tracked


def _content(path: str, *, is_shell: bool) -> tuple[str | None, str | None]:
    """Return the digest of a file and, if it is a shell script, its text.

    The digest is None when it is no file, and no digest at all when it cannot be read: if it
    can be run later, that is a change.
    """
    if not os.path.isfile(path):
        return None, None
    try:
        with open(path, "rb") as file:
            head = file.read(_READ_BYTES)
            total = hashlib.sha256(head)
            while more := file.read(_READ_BYTES):
                total.update(more)
    except OSError:
        return _UNREADABLE, None
    if is_shell or _SHELL_LINE.match(head):
        return total.hexdigest(), head.decode("utf-8", "replace")
    return total.hexdigest(), None
