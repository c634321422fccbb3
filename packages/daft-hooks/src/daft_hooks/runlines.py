"""Taking commands out of the tree of a file, and looking at the placeholders in a job's texts."""

from __future__ import annotations

from collections.abc import Mapping

from .document import Node
from .domain.config import JobConfig
from .domain.event import CHANGED_FILES, PLACEHOLDERS
from .domain.templates import bare_placeholders, placeholders
from .errors import Severity
from .reading import Reader, nearest
from .rules import is_system

_ANYBODYS_TEXT = frozenset({"branch", "worktree_branch", "base_branch", "old_branch"})
"""Placeholders whose values git lets anybody choose, shell syntax included."""


def read_command(reader: Reader, node: Node | None, path: str) -> dict[str, str]:
    """Return command per operating system; the key "" holds one for every system."""
    if node is None:
        return {}
    if node.kind != "map":
        return {"": _command(reader, node, path)}
    found: dict[str, str] = {}
    for system, value, mark in reader.entries(node, path):
        if is_system(reader, system, mark, path):
            found[system] = _command(reader, value, f"{path}.{system}")
    if not node.items:
        message = "is empty; write the command, or remove the job"
        reader.note(node.mark, path, message, Severity.FAULT)
    return found


def is_one_line(node: Node | None) -> bool:
    """True for a command that words can be put behind: no list, no second line."""
    if node is None or node.kind == "list":
        return False
    if node.kind == "map":
        return all(is_one_line(value) for value in node.items.values())
    return bool(node.text.strip()) and "\n" not in node.text.rstrip("\n")


def _command(reader: Reader, node: Node, path: str) -> str:
    problems = len(reader.problems)
    if node.kind == "list":
        command = " && ".join(part for part in reader.texts(node, path)[0] if part.strip())
    else:
        command = reader.text(node, path) or ""
    if not command.strip() and len(reader.problems) == problems:
        message = "is empty; write the command, or remove the job"
        reader.note(node.mark, path, message, Severity.FAULT)
    return command


def check_placeholders(
    reader: Reader, job: JobConfig, given: Mapping[str, Node], path: str
) -> None:
    """Note placeholders that mean nothing, and those that let a name become shell code.

    Braces are a part of the shell's language, and of a plugin's texts perhaps. There only what
    looks like a mistake is noted; everywhere else all that is unknown.
    """
    for word in placeholders(job.root):
        if word not in PLACEHOLDERS:
            message = f"unknown placeholder {{{word}}}{nearest(word, PLACEHOLDERS)}"
            reader.note(given["root"].mark, f"{path}.root", message, Severity.FAULT)
    shell = {
        "run": " ".join(job.run.values()),
        "runner": job.runner,
        "args": job.args,
        "files": job.files or "",
    }
    for key, text in shell.items():
        if "{" in text:
            _check_known(reader, given[key], f"{path}.{key}", text)
    if "{" in (job.script or ""):
        _check_known(reader, given["script"], f"{path}.script", job.script or "", is_plain=True)
    for name, text in job.env.items():
        if "{" in text:
            node = given["env"].items[name]
            _check_known(reader, node, f"{path}.env.{name}", text, is_plain=True)
    for name, text in job.arguments.items():
        if "{" in text:
            _check_known(reader, given["with"].items[name], f"{path}.with.{name}", text)
    for key, text in shell.items():
        open_to_all = [word for word in bare_placeholders(text) if word in _ANYBODYS_TEXT]
        if open_to_all:
            word = open_to_all[0]
            message = (
                f"{{{word}}} becomes part of the command as it is, and a branch may be called "
                f"`a;b`; write {{{word}|q}}"
            )
            reader.note(given[key].mark, f"{path}.{key}", message, Severity.HINT)


def _check_known(
    reader: Reader, node: Node, path: str, text: str, *, is_plain: bool = False
) -> None:
    """Note unknown placeholders in a text. is_plain: braces mean nothing else there."""
    for word in dict.fromkeys(placeholders(text)):
        if word in PLACEHOLDERS or word == CHANGED_FILES or f"${{{word}}}" in text:
            continue
        near = nearest(word, PLACEHOLDERS)
        if near or is_plain or f"{{{word}|q}}" in text:
            message = f"unknown placeholder {{{word}}}, left as it is{near}"
            reader.note(node.mark, path, message, Severity.HINT)
