"""Consent in words: the question, what has changed, and the notice that hooks did not run.

What a repository's files say is shown with every character that could disguise it spelled out.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable

from daft_hooks.consent import Answer, Question
from daft_hooks.domain.trust import Consent, Verdict

from .terminal import has_colour, paint, show_path

_ANSWERS = {
    "y": Answer.ONCE, "yes": Answer.ONCE, "a": Answer.ALWAYS, "always": Answer.ALWAYS,
    "d": Answer.NEVER, "deny": Answer.NEVER,
}  # fmt: skip
_NOTICE_LINES = 12


def spelled(text: str) -> str:
    """Return `text` so that it reads as it is: nothing that controls, hides or reverses."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else "    " if char == "\t" else f"\\u{ord(char):04x}"
        for char in text
    )


def question_on_terminal() -> Callable[[Question], Answer] | None:
    """Return how to ask; None where nobody would answer: without a terminal, or in CI."""
    if os.environ.get("CI") or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return _ask


def _ask(question: Question) -> Answer:
    colour = has_colour(sys.stderr)
    where = f" for {spelled(question.event.label)}" if question.event.label else ""
    lines = [paint(f"{question.event.hook}{where} wants to run:", "bold", on=colour)]
    lines += command_lines(question.commands.items())
    if question.changes:
        lines.append(paint("Since you trusted this repository:", "bold", on=colour))
        lines += [_change(line, colour=colour) for line in question.changes]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.write("Run it? [y]es once, [a]lways, [N]o, [d]eny for good: ")
    sys.stderr.flush()
    return _ANSWERS.get(sys.stdin.readline().strip().lower(), Answer.NO)


def command_lines(commands: Iterable[tuple[str, str]]) -> list[str]:
    """Return jobs and what they run, a line each, more for a text of several lines."""
    lines: list[str] = []
    for name, text in commands:
        first, *rest = text.splitlines() or [""]
        lines.append(f"  {spelled(name)}: {spelled(first)}")
        indent = " " * (len(name) + 4)
        lines += [f"{indent}{spelled(line)}" for line in rest]
    return lines


def change_lines(changes: Iterable[str]) -> list[str]:
    """Return what has changed since consent, for standard output."""
    colour = has_colour(sys.stdout)
    return [_change(line, colour=colour) for line in changes]


def _change(line: str, *, colour: bool) -> str:
    style = {"+": "green", "-": "red"}.get(line.strip()[:1])
    text = f"  {spelled(line)}"
    return text if style is None else paint(text, style, on=colour)


def notice(
    names: list[str], consent: Consent, changes: tuple[str, ...], *, where: str, replay: bool
) -> str:
    """Return the text that hooks did not run, and how to make them.

    names: of the hooks the repository has. where: the worktree whose hooks these are.
    replay: what was skipped can be made up for.
    """
    shown = ", ".join(names[:4])
    if len(names) > 4:
        shown += f" and {len(names) - 4} more hooks"
    count = "1 hook" if len(names) == 1 else f"{len(names)} hooks"
    lines = [f"Untrusted repo — {count} not run: {shown}"]
    if consent.verdict is not Verdict.UNTRUSTED or consent.reason != "the repository is untrusted":
        colon = ":" if changes else ""
        lines.append(f"   {spelled(consent.reason)}{colon}")
    lines += [f"   {_change(line, colour=False)}" for line in changes[:_NOTICE_LINES]]
    if len(changes) > _NOTICE_LINES:
        lines.append(f"     … {len(changes) - _NOTICE_LINES} more lines: {_called()} hooks status")
    if "DAFT_NO_HINTS" not in os.environ and consent.verdict is not Verdict.DENIED:
        there = "" if _stands_in(where) else f"-C {shlex.quote(spelled(show_path(where)))} "
        called = _called()
        lines.append(f"   To run them, trust this repo:       {called} {there}hooks trust")
        if replay:
            lines.append(f"   Then replay this worktree's setup:  {called} {there}hooks replay")
    return "\n".join(lines) + "\n"


def _called() -> str:
    """Return how the user calls this program."""
    return "git daft" if os.path.basename(sys.argv[0]) == "git-daft" else "daft"


def _stands_in(path: str) -> bool:
    """True when one stands in `path`, or nowhere any more: then there is no better advice."""
    try:
        here = os.getcwd()
    except OSError:
        return True
    return f"{here}/".startswith(f"{path.rstrip('/')}/")
