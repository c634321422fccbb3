"""Which sentence of a port's documentation a test of its suite keeps.

A port is prose and signatures; a suite is only worth what it covers. Each test names the
sentences it holds an adapter to, so that a sentence without a test can be found by a program.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_Test = TypeVar("_Test", bound=Callable[..., Any])
_MARK = "__daft_promises__"


def promised(subject: object, *sentences: str) -> Callable[[_Test], _Test]:
    """Mark a test as the one that holds adapters to `sentences` of the docstring of `subject`.

    sentences: verbatim but for line breaks.
    """

    def mark(test: _Test) -> _Test:
        kept = getattr(test, _MARK, ())
        setattr(test, _MARK, (*kept, *((_name(subject), one) for one in sentences)))
        return test

    return mark


def sentences_of(subject: object) -> tuple[str, ...]:
    """Return the sentences of a docstring, each on one line."""
    text = inspect.cleandoc(getattr(subject, "__doc__", None) or "")
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n(?=\w+(?:, \w+)*: )", text):
        line = " ".join(paragraph.split())
        found += re.split(r"(?<=[.!?])\s+(?=[A-Z`])", line)
    return tuple(one for one in found if one)


def promises_of(port: type, values: Iterable[type] = ()) -> Mapping[str, tuple[str, ...]]:
    """Return qualified name -> sentences, for a port, its methods, and the values it speaks of."""
    subjects: list[object] = [port, *values]
    subjects += [
        member
        for name, member in vars(port).items()
        if inspect.isfunction(member) and not name.startswith("_")
    ]
    return {_name(subject): sentences_of(subject) for subject in subjects}


def promises_kept_by(suite: type) -> frozenset[tuple[str, str]]:
    """Return (qualified name, sentence) for everything the tests of a suite hold adapters to."""
    return frozenset(
        kept
        for name in dir(suite)
        if name.startswith("test_")
        for kept in getattr(getattr(suite, name), _MARK, ())
    )


def _name(subject: object) -> str:
    return str(getattr(subject, "__qualname__", subject))
