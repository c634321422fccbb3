"""Making the script of a shell: its template, the words, and how to ask for the rest."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Mapping, Sequence

from .vocabulary import Word, vocabulary

_ASKED = (
    "daft_cli", "daft_store", "apsw",
    # Only what is written in daft.yml takes these.
    "daft_hooks", "daft_coordinator", "daft_protocol", "attrs", "yaml",
)  # fmt: skip
"""The packages that answering takes."""


def script(shell: str) -> str:
    """Return the completion script of `shell`, one of `completions.SHELLS`."""
    with open(f"{os.path.dirname(__file__)}/daft.{shell}", encoding="utf-8") as file:
        template = file.read()
    quote = _quoted_for_fish if shell == "fish" else shlex.quote
    filled = {
        "PYTHON": quote(sys.executable),
        "FILE": quote(os.path.join(_home_of("daft_cli"), "daft_cli", "direct.py")),
        "DIRECTORIES": quote(":".join(dict.fromkeys(map(_home_of, _ASKED)))),
        "WORDS": (_fish_cases if shell == "fish" else _cases)(vocabulary()),
    }
    for name, text in filled.items():
        template = template.replace(f"@{name}@", text)
    return template


def _home_of(package: str) -> str:
    """Return the directory that a package is imported from."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(package)
    return os.path.dirname(os.path.dirname(found.origin))


def _lines(words: Sequence[Word]) -> str:
    return "\n".join(f"{one.kind}|{one.text}|{one.meaning}|{one.help}" for one in words)


def _cases(words: Mapping[str, Sequence[Word]]) -> str:
    return "\n".join(
        f"  {shlex.quote(path)}) __daft_known={shlex.quote(_lines(known))} ;;"
        for path, known in words.items()
    )


def _fish_cases(words: Mapping[str, Sequence[Word]]) -> str:
    return "\n".join(
        f"    case {_quoted_for_fish(path)}\n      echo {_quoted_for_fish(_lines(known))}"
        for path, known in words.items()
    )


def _quoted_for_fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
