"""Which files of the repository a text of the configuration may execute, read off its words.

A guess on the safe side: a word too many only means that consent is asked for once more, a file
overlooked means that somebody else's code runs on an old consent. What nobody can know before
the shell does (a variable, the output of a command) stands for anything.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from attrs import field, frozen

from .config import Condition, Configuration, HookConfig, JobConfig

GENERAL = ""
"""The key of what every job may run: `rc`, and the commands of conditions."""

ENDINGS = (".sh", ".bash", ".zsh", ".fish", ".py", ".js", ".mjs", ".ts", ".rb", ".pl", ".mk")
ANYTHING = "*"
"""The pattern of a program that only the shell will know."""

_UNKNOWN = "\ue000"  # stands where a value is not known; a private character of Unicode
_PROGRAMS = (
    r"(?:\S*/)?(?:sh|bash|dash|zsh|ksh|fish|source|\.|exec|env|eval|run-parts|xargs|nohup|sudo"
    r"|python[0-9.]*|node|deno|bun|ruby|perl)"
)
_INTERPRETER = re.compile(_PROGRAMS)
_VARIABLE_DIRECTORY = re.compile(r"(\$\{?\w+\}?|\{\w+(?:\|q)?\})/")
_VARIABLE = re.compile(r"\$\{(\w+)[^}]*\}|\$(\w+)|\$[@*#?!$-]")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:\|q)?\}")
_SUBSTITUTION = re.compile(r"\$\([^()]*\)|`[^`]*`")
_ASSIGNMENT = re.compile(r"(?:^|[\s;&|({])(\w+)=(\"[^\"]*\"|'[^']*'|[^\s;&|)]*)")
# What is run: at the start of a command, behind assignments, or named to an interpreter.
_UNKNOWN_PROGRAM = re.compile(
    rf"(?:^|[;&|({{\n`!]|\b(?:then|do|else)\s|(?:^|[\s;&|(]){_PROGRAMS}(?:\s+-\S+)*\s)"
    rf"\s*(?:\w+=\S*\s+)*[\"']?([^\s;&|()\"'`=]*{_UNKNOWN})[\"']?(?=[\s;&|)}}]|$)"
)
_SHELL_SYNTAX = re.compile(r"[\s;&|()<>\"'`=,]+")
_WORD = re.compile(r"(?:[^\s;&|()<>\"'\\`]|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*')+")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|\\(.)")
_PROGRAM_NAME = re.compile(r"[\w.+-]+")
_GLOB = re.compile(r"[*?\[]")
_OPEN = re.compile(rf"(?:[{_UNKNOWN}*?]|\[[^\]/]*\]?)+")
_GOES_TO = ("cd", "pushd", "-C")
_WORKTREE_VARIABLES = ("DAFT_WORKTREE_PATH", "DAFT_SOURCE_WORKTREE", "DAFT_PROJECT_ROOT", "PWD")
_WORKTREE_PLACEHOLDERS = ("worktree_path", "worktree_root", "source_worktree")
_ELSEWHERE = ("SOURCE_WORKTREE", "source_worktree", "PROJECT_ROOT")
_MAX_CHARS = 32 * 1024  # longer than anybody's command; patterns on more would take their time
_MAX_DIRECTORIES = 32
_MAX_ROUNDS = 4
_MAX_STARS = 4


@frozen(kw_only=True)
class Mentions:
    """What a text may run.

    paths: absolute, or relative to the worktree; whether they exist is for others to see.
    patterns: relative paths in which `*` stands for anything, slashes too; one whose last
        component is only `*` means programs and scripts, not every file.
    goes_elsewhere: it may run files of the source worktree or of the project's root as well.
    """

    paths: frozenset[str] = field(default=frozenset())
    patterns: frozenset[str] = field(default=frozenset())
    goes_elsewhere: bool = False

    def __or__(self, other: Mentions) -> Mentions:
        if other == _NOTHING:
            return self
        return Mentions(
            paths=self.paths | other.paths,
            patterns=self.patterns | other.patterns,
            goes_elsewhere=self.goes_elsewhere or other.goes_elsewhere,
        )


_NOTHING = Mentions()


def mentions_of(configuration: Configuration) -> dict[str, Mentions]:
    """Return what each job may run: "hook/job", "task name/job", and GENERAL for all of them."""
    general = Mentions()
    if configuration.rc is not None:
        general = Mentions(paths=_named({posixpath.normpath(configuration.rc)}))
    found: dict[str, Mentions] = {}
    source_dirs = (configuration.source_dir_local, configuration.source_dir)
    groups: tuple[tuple[str, Mapping[str, HookConfig]], ...] = (
        ("", configuration.hooks),
        ("task ", configuration.tasks),
    )
    for prefix, hooks in groups:
        for hook in hooks.values():
            general |= _of_conditions(hook.skip, hook.only)
            for job in hook.jobs:
                general |= _of_conditions(job.skip, job.only)
                for skip, only in job.outer:
                    general |= _of_conditions(skip, only)
                if job.files is not None:
                    general |= mentioned_in(job.files)
                found[f"{prefix}{hook.name}/{job.name}"] = _of_job(job, source_dirs)
    return {GENERAL: general, **found}


def mentioned_in(
    text: str, *, roots: Iterable[str] = (".",), variables: Mapping[str, str] | None = None
) -> Mentions:
    """Return what the shell text `text` may run.

    roots: directories its words may be relative to. variables: values known before it runs.
    """
    paths: set[str] = set()
    patterns: set[str] = set()
    readings = {_VARIABLE_DIRECTORY.sub("", text)}  # `$PWD/x`, `{worktree_path}/x`
    programs: set[str] = set()
    searched: set[str] = set()
    if len(text) <= _MAX_CHARS:
        searched = _searched_directories(text, variables or {})
        expanded = _expanded(text, variables or {})
        readings.add(expanded)
        programs = set(_UNKNOWN_PROGRAM.findall(expanded))
    else:
        patterns.add(ANYTHING)
    for reading in readings:
        words = [*_SHELL_SYNTAX.split(reading), *_quoted_words(reading)]
        interprets = any(_INTERPRETER.fullmatch(word) for word in words)
        directories = _directories(words, roots)
        for word in {*words, *programs}:
            if not (interprets or "/" in word or word.endswith(ENDINGS) or word in programs):
                continue
            is_open = _UNKNOWN in word or (interprets and _GLOB.search(word) is not None)
            if is_open and word not in programs and not _says_something(posixpath.basename(word)):
                continue  # an argument that is not known, to a program that is
            for directory in directories:
                path = posixpath.normpath(posixpath.join(directory, word))
                if is_open or _UNKNOWN in path:
                    patterns.update(_as_patterns(path))
                else:
                    paths.add(path)
        paths.update(_modules(words, directories))
        for word in filter(_PROGRAM_NAME.fullmatch, words if searched else ()):
            for directory in searched:
                path = posixpath.normpath(posixpath.join(directory, word))
                if _UNKNOWN in path:
                    patterns.update(_as_patterns(path))
                else:
                    paths.add(path)
    return Mentions(
        paths=_named(paths),
        patterns=frozenset(patterns),
        goes_elsewhere=any(name in text for name in _ELSEWHERE)
        or any(path.startswith("../") for path in paths),
    )


def _searched_directories(text: str, variables: Mapping[str, str]) -> set[str]:
    """Return where else programs are looked for: directories that the text puts into PATH."""
    values = [value for name, value in _ASSIGNMENT.findall(text) if name == "PATH"]
    others = {name: value for name, value in variables.items() if name != "PATH"}
    found: set[str] = set()
    for value in (*values, variables.get("PATH", "")):
        for part in _expanded(value.strip("\"'"), others).split(":"):
            if _says_something(part) or part == ".":
                found.add(part)
    return found


def _says_something(name: str) -> bool:
    return any(char.isalnum() for char in name.replace(_UNKNOWN, ""))


def _of_job(job: JobConfig, source_dirs: Iterable[str]) -> Mentions:
    found = Mentions()
    variables = dict(job.env)
    root = _VARIABLE_DIRECTORY.sub("", job.root)
    roots = {posixpath.normpath(_PLACEHOLDER.sub(_UNKNOWN, root)), "."}
    if job.script is not None:
        for source_dir in source_dirs:
            script = posixpath.normpath(posixpath.join(source_dir, job.script))
            if "{" in script:
                found |= Mentions(patterns=frozenset({_PLACEHOLDER.sub("*", script)}))
            found |= Mentions(paths=_named({script}))
        found |= mentioned_in(f"sh {job.runner} {job.args}", roots=roots, variables=variables)
    for command in job.run.values():
        found |= mentioned_in(command, roots=roots, variables=variables)
    for text in job.arguments.values():
        found |= mentioned_in(text, roots=roots, variables=variables)
    return found


def _of_conditions(*conditions: Condition | None) -> Mentions:
    found = Mentions()
    for condition in conditions:
        if condition is not None:
            for rules in condition.by_system.values():
                for rule in rules:
                    for _, argument in rule.tests:
                        found |= mentioned_in(argument)
    return found


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with every value put in that is known here, and _UNKNOWN for the others."""
    if "$" not in text and "{" not in text and "`" not in text:
        return text
    known = {**dict.fromkeys(_WORKTREE_VARIABLES, "."), **variables}
    for name, value in _ASSIGNMENT.findall(text):
        known[name] = value.strip("\"'")

    def placeholder(found: re.Match[str]) -> str:
        return "." if found[1] in _WORKTREE_PLACEHOLDERS else _UNKNOWN

    def variable(found: re.Match[str]) -> str:
        return known.get(found[1] or found[2] or "", _UNKNOWN)

    for _ in range(_MAX_ROUNDS):
        before = text
        text = _SUBSTITUTION.sub(_UNKNOWN, text)
        text = _PLACEHOLDER.sub(placeholder, text.replace("${", "$\ue001"))
        text = _VARIABLE.sub(variable, text.replace("$\ue001", "${"))
        if text == before or len(text) > 2 * len(before) + 4096:
            break
    return _VARIABLE.sub(_UNKNOWN, text)


def _directories(words: list[str], roots: Iterable[str]) -> set[str]:
    """Return where the words may be relative to, after any of the changes of directory."""
    directories = set(roots)
    for place, going in enumerate(words):
        if going in _GOES_TO:
            behind = (word for word in words[place + 1 : place + 4] if not word.startswith("-"))
            target = next(behind, ".")
            directories |= {posixpath.join(start, target) for start in tuple(directories)}
        if len(directories) > _MAX_DIRECTORIES:
            return {".", _UNKNOWN}
    return directories


def _modules(words: list[str], directories: Iterable[str]) -> Iterator[str]:
    """Yield the files that `python -m name` and `python directory` may mean."""
    if not any(_INTERPRETER.fullmatch(word) for word in words):
        return
    for option, word in zip(words, words[1:], strict=False):
        is_module = option == "-m"
        if not word or _UNKNOWN in word or (not is_module and _INTERPRETER.fullmatch(word)):
            continue
        if not is_module and not _INTERPRETER.fullmatch(option):
            continue
        path = word.replace(".", "/") if is_module else word
        for directory in directories:
            start = posixpath.normpath(posixpath.join(directory, path))
            if is_module:
                yield f"{start}.py"
                yield posixpath.normpath(f"{directory}/src/{path}.py")
            yield f"{start}/__main__.py"
            yield f"{start}/index.js"


def _as_patterns(path: str) -> Iterator[str]:
    pattern = _OPEN.sub("*", path)
    if pattern.startswith(("../", "/")) or "\0" in pattern:
        return
    if pattern.count("*") > _MAX_STARS:
        pattern = f"{pattern.partition('*')[0]}*{pattern.rpartition('*')[2]}"
    yield pattern
    if pattern.startswith("*/"):
        yield pattern[2:]  # the directory may be the worktree itself


def _quoted_words(command: str) -> list[str]:
    """Return the words that the shell joins out of quoted parts: a path may hold blanks."""
    if len(command) > 2 * _MAX_CHARS or not any(char in command for char in "\"'\\"):
        return []
    words: list[str] = []
    for word in _WORD.findall(command):
        plain = _QUOTED.sub(lambda part: part[1] or part[2] or part[3] or "", word)
        words.append(plain)
        if " " in plain or "\n" in plain:
            words += plain.split()  # `eval` and `sh -c` read it as words once more
        if "=" in plain:
            words.append(plain.partition("=")[2])  # `--file='a b.sh'`
    return words


def _named(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in names if name not in ("", ".", "..") and "\0" not in name)
