"""Taking typed values out of the tree of a file, with every problem noted on the way.

Hand-written, because a message must name the place, the way to it, what was found, what is
accepted, and the nearest name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from attrs import define, field

from .document import Node
from .domain import shape
from .domain.globs import BadGlob, path_glob, ref_matches
from .domain.quantities import seconds, size_bytes
from .errors import Mark, Problem, Severity

_MEANT = {
    **dict.fromkeys(("yes", "on", "y"), "write true"),
    **dict.fromkeys(("no", "off", "n"), "write false"),
    **dict.fromkeys(("true", "false"), "without quotes"),
}

Marked = tuple[tuple[str, ...], tuple[Mark, ...]]


@define
class Reader:
    """Reads scalars and containers. What is wrong counts as absent.

    excerpts: file name -> its lines, to show the offending one.
    """

    excerpts: Mapping[str, list[str]]
    problems: list[Problem] = field(factory=list)

    # --- containers ---------------------------------------------------------------------------

    def fields(self, node: Node, path: str, name: str) -> dict[str, Node]:
        """Return the known fields of a map of the shape `name`, those said to be null left out."""
        known = {one.name: one for one in shape.SHAPES[name]}
        refused = shape.REFUSED.get(name, ())
        found: dict[str, Node] = {}
        for key, value in node.items.items():
            mark = node.keys.get(key, value.mark)
            if key in known:
                if not known[key].effect:
                    self.note(mark, path, f"{key!r} has no effect", Severity.WARNING)
                elif not value.is_null:
                    found[key] = value
            elif key in refused:
                self.note(mark, path, f"{key!r} is not supported by this version of daft")
            elif key != "<<" and not key.startswith("x-"):
                near = nearest(key, known)
                if name in shape.STRICT:
                    self.note(mark, path, f"unknown field {key!r}{near}")
                    continue
                self.note(mark, path, f"unknown field {key!r}, ignored{near}", Severity.WARNING)
        return found

    def entries(self, node: Node | None, path: str) -> list[tuple[str, Node, Mark]]:
        """Return the entries of a map: (key, value, place of the key)."""
        if node is None or node.is_null:
            return []
        if node.kind != "map":
            self.wrong(node, path, "a map")
            return []
        return [(key, value, node.keys.get(key, value.mark)) for key, value in node.items.items()]

    def variables(self, node: Node | None, path: str) -> dict[str, str]:
        """Return a map of variables."""
        found: dict[str, str] = {}
        for name, value, mark in self.entries(node, path):
            if not name or "=" in name or "\0" in name:
                self.note(mark, path, f"{name!r} cannot be the name of a variable")
                continue
            found[name] = self.text(value, f"{path}.{name}") or ""
        return found

    # --- scalars ------------------------------------------------------------------------------

    def text(self, node: Node | None, path: str) -> str | None:
        """Return a scalar as it was written."""
        if node is None or node.is_null:
            return None
        if node.kind != "scalar":
            self.wrong(node, path, "a text")
            return None
        if "\0" in node.text:
            self.note(node.mark, path, "holds a NUL character")
            return None
        return node.text

    def texts(self, node: Node | None, path: str) -> Marked:
        """Return texts and their places; one alone counts as a list."""
        if node is None or node.is_null:
            return (), ()
        if node.kind == "map":
            self.wrong(node, path, "a text or a list of texts")
            return (), ()
        texts: list[str] = []
        marks: list[Mark] = []
        for element in [node] if node.kind == "scalar" else node.elements:
            text = self.text(element, path)
            if text is not None:
                texts.append(text)
                marks.append(element.mark)
        return tuple(texts), tuple(marks)

    def globs(self, node: Node | None, path: str) -> tuple[str, ...]:
        """Return patterns for paths; a bad one is a fault of its hook."""
        texts, marks = self.texts(node, path)
        for text, mark in zip(texts, marks, strict=True):
            wrong = self.bad_glob(text)
            if wrong is not None:
                self.note(mark, path, wrong, Severity.FAULT)
                continue
            if text.startswith("*.") and "/" not in text:
                hint = f"{text!r} fits files of the top directory only; for all write '**/{text}'"
                self.note(mark, path, hint, Severity.HINT)
        return texts

    def bad_glob(self, text: str) -> str | None:
        """Return what is wrong with a pattern for paths, None when nothing is."""
        try:
            path_glob(text)
        except BadGlob as error:
            return str(error)
        return None

    def ref(self, node: Node | None, path: str) -> str | None:
        """Return a pattern for branches."""
        text = self.text(node, path)
        if node is not None and text is not None:
            try:
                ref_matches(text, "")
            except BadGlob as error:
                self.note(node.mark, path, str(error), Severity.FAULT)
                return None
        return text

    def flag(self, node: Node | None, path: str) -> bool | None:
        """Return a boolean."""
        if node is None or node.is_null:
            return None
        if node.kind == "scalar" and isinstance(node.value, bool):
            return node.value
        meant = _MEANT.get(node.text.lower()) if node.kind == "scalar" else None
        self.wrong(node, path, f"true or false{'' if meant is None else f' ({meant})'}")
        return None

    def number(self, node: Node | None, path: str, least: int | None = None) -> int | None:
        """Return a whole number, quoted or not."""
        if node is None or node.is_null:
            return None
        if node.kind == "scalar" and not isinstance(node.value, bool):
            digits = node.text.strip()
            if digits.removeprefix("-").isdecimal() and len(digits) < 10:
                found = int(digits)
                if least is None or found >= least:
                    return found
                self.note(node.mark, path, f"must be {least} or more, found {found}")
                return None
        self.wrong(node, path, "a whole number")
        return None

    def choices(self, node: Node | None, path: str, words: Collection[str]) -> tuple[str, ...]:
        """Return some of `words`, in any case."""
        texts, marks = self.texts(node, path)
        found: list[str] = []
        for text, mark in zip(texts, marks, strict=True):
            word = text.lower()
            if word in words:
                found.append(word)
            else:
                near = nearest(word, words)
                self.note(mark, path, f"{text!r} is none of {', '.join(words)}{near}")
        return tuple(found)

    def choice(self, node: Node | None, path: str, words: Collection[str]) -> str | None:
        """Return one of `words`, in any case."""
        if node is not None and node.kind == "list":
            self.wrong(node, path, f"one of {', '.join(words)}")
            return None
        return next(iter(self.choices(node, path, words)), None)

    def exactly(self, node: Node | None, path: str, word: str) -> bool:
        """Return whether `word` is said, in just these letters; anything else is a problem."""
        text = self.text(node, path)
        if node is None or text is None or text == word:
            return text is not None
        self.note(node.mark, path, f"{text!r} is not {word}, the one word known here")
        return False

    def duration_s(self, node: Node | None, path: str) -> float | None:
        """Return seconds."""
        found = self._quantity(node, path, seconds)
        return None if found is None else float(found)

    def size_bytes(self, node: Node | None, path: str) -> int | None:
        """Return bytes."""
        found = self._quantity(node, path, size_bytes)
        return None if found is None else int(found)

    def timeout(self, node: Node | None, path: str) -> tuple[float | None, bool]:
        """Return (seconds, True), (None, True) for `none`, (None, False) when nothing is said."""
        if node is None or node.is_null:
            return None, False
        if node.kind == "scalar" and node.text.lower() == "none":
            return None, True
        found = self.duration_s(node, path)
        if found == 0:
            text = "must be more than nothing; `none` sets no limit"
            self.note(node.mark, path, text, Severity.ERROR)
            return None, False
        if found is not None and found > 24 * 3600:
            self.note(node.mark, path, "is longer than a day; `none` sets no limit", Severity.HINT)
        return found, found is not None

    def _quantity(self, node: Node | None, path: str, read: Callable[[str], Any]) -> Any:
        text = self.text(node, path)
        if node is None or text is None:
            return None
        try:
            return read(text)
        except ValueError as error:
            message = f"{text!r}: {error}; the default counts instead"
            self.note(node.mark, path, message, Severity.ERROR)
            return None

    # --- problems -----------------------------------------------------------------------------

    def wrong(self, node: Node, path: str, accepted: str) -> None:
        """Note that something of another kind was expected."""
        self.note(node.mark, path, f"expected {accepted}, found {node.describe()}")

    def note(
        self, mark: Mark, path: str, message: str, severity: Severity = Severity.FATAL
    ) -> None:
        """Note a problem."""
        lines = self.excerpts.get(mark.file, [])
        excerpt = lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""
        self.problems.append(
            Problem(mark=mark, message=message, path=path, excerpt=excerpt, severity=severity)
        )


def nearest(name: str, known: Collection[str]) -> str:
    """Return a question after the nearest name, "" when none is near."""
    import difflib  # only those who made a mistake pay for it

    found = difflib.get_close_matches(name, list(known), 1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""
