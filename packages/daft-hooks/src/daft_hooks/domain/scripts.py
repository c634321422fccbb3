"""Which files of the repository the jobs of a configuration execute, read off their commands.

A guess on the safe side: a word too many only means that consent is asked for once more, a file
overlooked means that somebody else's code runs on an old consent.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator

from .config import Configuration, JobConfig

_ENDINGS = (".sh", ".bash", ".zsh", ".fish", ".py", ".js", ".mjs", ".ts", ".rb", ".pl", ".mk")
_INTERPRETERS = re.compile(
    r"(.*/)?(sh|bash|dash|zsh|ksh|fish|source|\.|exec|env|python[0-9.]*|node|deno|bun|ruby|perl)"
)
_VARIABLE_DIRECTORY = re.compile(r"(\$\{?\w+\}?|\{\w+\})/")
_SHELL_SYNTAX = re.compile(r"[\s;&|()<>\"'`=,]+")
_GOES_TO = ("cd", "pushd", "-C")


def scripts_named(configuration: Configuration) -> tuple[str, ...]:
    """Return paths relative to the worktree, sorted; whether they exist is for others to see."""
    names: set[str] = set()
    if configuration.rc is not None:
        names.add(posixpath.normpath(configuration.rc))
    for hook in (*configuration.hooks.values(), *configuration.tasks.values()):
        for condition in (hook.skip, hook.only):
            if condition is not None:
                for rules in condition.by_system.values():
                    for rule in rules:
                        for _, argument in rule.tests:
                            names.update(_named_by(argument, "."))
        for job in hook.jobs:
            names.update(_scripts_of(job, configuration.source_dir))
    return tuple(sorted(name for name in names if _is_inside(name)))


def _scripts_of(job: JobConfig, source_dir: str) -> Iterator[str]:
    if job.script is not None:
        yield posixpath.normpath(posixpath.join(source_dir, job.script))
        yield from _named_by(f"sh {job.runner} {job.args}", job.root)
    for command in job.run.values():
        yield from _named_by(command, job.root)
    for condition in (job.skip, job.only):
        if condition is not None:
            for rules in condition.by_system.values():
                for rule in rules:
                    for _, argument in rule.tests:
                        yield from _named_by(argument, ".")


def _named_by(command: str, root: str) -> Iterator[str]:
    """Yield every path that a word of `command` may mean, from each directory it may go to."""
    # `$DAFT_WORKTREE_PATH/x`, `{worktree_path}/x`, `$PWD/x`: most likely the worktree.
    command = _VARIABLE_DIRECTORY.sub("", command)
    words = [*_SHELL_SYNTAX.split(command), *_quoted_words(command)]
    directories = {".", _VARIABLE_DIRECTORY.sub("", root)}
    for going, target in zip(words, words[1:], strict=False):
        if going in _GOES_TO:
            directories |= {posixpath.join(start, target) for start in tuple(directories)}
    interprets = any(_INTERPRETERS.fullmatch(word) for word in words)
    for word in words:
        if word and (interprets or "/" in word or word.endswith(_ENDINGS)):
            for directory in directories:
                yield posixpath.normpath(posixpath.join(directory, word))


def _quoted_words(command: str) -> list[str]:
    """Return the words as the shell sees them, so that a path may hold blanks."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        return []  # quotes the shell will complain about; the words were split without them


def _is_inside(name: str) -> bool:
    return name not in ("", ".", "..") and not name.startswith(("../", "/")) and "\0" not in name
