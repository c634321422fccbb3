"""What git knows of a repository's files: which it tracks, and what they hold at a commit."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from attrs import field, frozen

from daft_coordinator.environment import REMOVED

from .errors import UnreadableConfiguration

MAX_FILE_BYTES = 2 * 1024 * 1024


@frozen(kw_only=True)
class Tracked:
    """What git's index lists: path relative to the worktree -> mode, as `git ls-files` has it.

    is_unknown: there was no git to ask, or no repository.
    is_plain: every file is listed under the one name it has: no links, no submodules.
    """

    modes: Mapping[str, str] = field(factory=dict)
    is_unknown: bool = False
    is_plain: bool = False

    def matching(self, pattern: str, endings: tuple[str, ...]) -> set[str]:
        """Return the files that `pattern` means; `*` stands for anything, slashes too.

        A last component without a letter means programs only: what is executable, or ends in
        one of `endings`.
        """
        fits = re.compile(".*".join(re.escape(part) for part in pattern.split("*"))).fullmatch
        any_name = not any(char.isalnum() for char in pattern.rpartition("/")[2])
        return {
            name
            for name, mode in self.modes.items()
            if fits(name) and (not any_name or mode == "100755" or name.endswith(endings))
        }


def tracked(worktree: str) -> Tracked:
    """Return what git tracks in `worktree`."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--stage"],
            cwd=worktree,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return Tracked(is_unknown=True)  # no git, or no such directory
    if done.returncode != 0:
        return Tracked(is_unknown=True)
    modes: dict[str, str] = {}
    for entry in done.stdout.split(b"\0"):
        facts, tab, name = entry.partition(b"\t")
        if tab:
            modes[os.fsdecode(name)] = facts[:6].decode()
    return Tracked(modes=modes, is_plain=not ({"120000", "160000"} & set(modes.values())))


class CommittedFiles:
    """Reads files out of git's objects, all through one git process.

    git_dir: the repository's common directory.
    """

    def __init__(self, git_dir: str) -> None:
        self._git_dir = git_dir
        try:
            self._git = subprocess.Popen(
                ["git", f"--git-dir={git_dir}", "cat-file", "--batch", "--follow-symlinks"],
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise UnreadableConfiguration(git_dir, f"git cannot be run: {error}") from error

    def read(self, ref: str, name: str) -> bytes | None:
        """Return what `name` holds at `ref`, None when there is no such file.

        Raises: UnreadableConfiguration for a link to nothing, or out of the repository.
        """
        if "\n" in ref or "\n" in name:
            return None
        asked, answers = self._git.stdin, self._git.stdout
        assert asked is not None
        assert answers is not None
        shown = f"{ref}:{name}"
        try:
            asked.write(os.fsencode(f"{shown}\n"))
            asked.flush()
        except OSError as error:
            raise UnreadableConfiguration(shown, "git has ended unexpectedly") from error
        head = answers.readline().rstrip(b"\n")
        word, _, size = head.rpartition(b" ")
        if size == b"missing":
            return None
        if not size.isdigit():
            raise UnreadableConfiguration(shown, "git has ended unexpectedly")
        data = answers.read(min(int(size), MAX_FILE_BYTES))
        unwanted = int(size) + 1 - len(data)  # the newline that ends the answer, at least
        while unwanted > 0 and (skipped := answers.read(min(unwanted, MAX_FILE_BYTES))):
            unwanted -= len(skipped)
        if word in (b"dangling", b"loop"):
            raise UnreadableConfiguration(shown, "is a link to nothing")
        if word == b"symlink":
            raise UnreadableConfiguration(shown, "is a link out of the repository")
        return data if word.endswith(b" blob") else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._git.stdin is not None:
            # Git may have ended before our last request; who asked was told then.
            with suppress(BrokenPipeError):
                self._git.stdin.close()
        self._git.__exit__(kind, error, trace)


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in REMOVED}
    return {**environment, "LC_ALL": "C"}
