"""Patterns for paths and for branch names: one grammar, two ways to treat a slash.

`*` and `?` match any characters but `/` in a path, and any character in a ref; `**/`, `/**` and
`/**/` span directories in a path; `{a,b}` alternates and nests; `[a-z]`, `[!a]` are classes; a
backslash takes the next character as it is. Matching is case-sensitive and takes the whole text.
No pattern takes more than quadratic time: they come from files nobody has checked yet.
"""

from __future__ import annotations

import re

from attrs import field, frozen

MAX_ALTERNATIVES = 256
_SPECIAL = frozenset("*?[{\\")
_SPAN = None
"""Stands for `**`: any number of directories."""


class BadGlob(ValueError):
    """A pattern that means nothing; the text says why."""


@frozen
class Glob:
    """A compiled pattern. `text` is how it was written."""

    text: str
    _alternatives: tuple[tuple[re.Pattern[str] | None, ...], ...] = field(repr=False)

    def matches(self, path: str) -> bool:
        """True when the whole of `path` fits; a leading `./` does not count."""
        while path.startswith("./"):
            path = path[2:]
        segments = path.split("/")
        return any(_fits(parts, segments) for parts in self._alternatives)

    @property
    def is_plain(self) -> bool:
        """True when it means nothing but the path it spells."""
        return not any(char in _SPECIAL for char in self.text)

    @property
    def base(self) -> str:
        """The directory in which all that fits lies, "" for the top."""
        parts = self.text.removeprefix("./").split("/")
        plain = next((n for n, part in enumerate(parts) if _SPECIAL & set(part)), len(parts))
        return "/".join(parts[: min(plain, len(parts) - 1)])

    @property
    def depth(self) -> int | None:
        """How many parts a path that fits has at most; None for any number."""
        if any(_SPAN in parts for parts in self._alternatives):
            return None
        return max(len(parts) for parts in self._alternatives)


def path_glob(text: str) -> Glob:
    """Return the pattern in `text`, for paths. Raises: BadGlob."""
    alternatives = []
    for one in _without_braces(text):
        while one.startswith("./"):
            one = one[2:]
        parts = _split(one)
        # Two spans behind each other say no more than one.
        kept = [p for n, p in enumerate(parts) if p != "**" or n == 0 or parts[n - 1] != "**"]
        alternatives.append(
            tuple(_SPAN if part == "**" else _segment(part, text, "[^/]") for part in kept)
        )
    return Glob(text, tuple(alternatives))


def ref_matches(pattern: str, ref: str) -> bool:
    """True when the whole of `ref` fits; `*` crosses slashes. Raises: BadGlob."""
    return any(_segment(one, pattern, ".").match(ref) for one in _without_braces(pattern))


def _fits(parts: tuple[re.Pattern[str] | None, ...], segments: list[str]) -> bool:
    """Match part by part; `reached` holds how many segments may have been taken so far."""
    reached = {0}
    last = len(parts) - 1
    for place, part in enumerate(parts):
        if part is _SPAN:
            # At the end it stands for something in the directory, not for the directory.
            first = min(reached) + (1 if place == last else 0)
            reached = set(range(first, len(segments) + 1))
        else:
            reached = {
                taken + 1
                for taken in reached
                if taken < len(segments) and part.match(segments[taken])
            }
        if not reached:
            return False
    return len(segments) in reached


def _segment(text: str, whole: str, anything: str) -> re.Pattern[str]:
    """Return the expression for a pattern without braces, slashes only in refs."""
    chunks: list[str] = [""]
    place = 0
    while place < len(text):
        char = text[place]
        if char == "*":
            if chunks[-1] or len(chunks) == 1:
                chunks.append("")
        elif char == "?":
            chunks[-1] += anything
        elif char == "[":
            expression, place = _class(text, place, whole)
            chunks[-1] += expression
        elif char == "\\":
            place += 1
            chunks[-1] += re.escape(text[place])
        else:
            chunks[-1] += re.escape(char)
        place += 1
    first, *behind = chunks
    # The first place a chunk fits is as good as any later one, so nothing is tried twice.
    expression = first + "".join(f"(?>{anything}*?{chunk})" for chunk in behind[:-1])
    if behind:
        expression += f"{anything}*{behind[-1]}"
    try:
        return re.compile(rf"\A{expression}\Z", re.DOTALL)
    except re.error as error:
        raise BadGlob(f"{whole!r} is no pattern: {error.msg}") from error


def _class(text: str, place: int, whole: str) -> tuple[str, int]:
    """Return the expression for the class that begins at `place`, and where it ends."""
    end = place + 1
    if text[end : end + 1] in ("!", "^"):
        end += 1
    start = end
    if text[end : end + 1] == "]":
        end += 1
    while end < len(text) and text[end] != "]":
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise BadGlob(f"{whole!r} is no pattern: `[` is not closed")
    inner = re.sub(r"([\[&~|])", r"\\\1", text[start:end])
    if inner.startswith("]"):
        inner = "\\" + inner
    negation = "^/" if start > place + 1 else ""
    # A class never stands for a slash: that is what separates, not what is matched.
    return f"(?!/)[{negation}{inner}]", end


def _split(text: str) -> list[str]:
    """Return the parts between slashes; those in classes or behind a backslash do not count."""
    parts = [""]
    place = 0
    while place < len(text):
        char = text[place]
        if char == "\\":
            parts[-1] += text[place : place + 2]
            place += 1
        elif char == "/":
            parts.append("")
        else:
            parts[-1] += char
        place += 1
    return parts


def _without_braces(text: str) -> list[str]:
    """Return what `text` stands for with every `{a,b}` chosen in every way. Raises: BadGlob."""
    if "\0" in text:
        raise BadGlob("a pattern cannot hold a NUL character")
    finished: list[str] = []
    waiting = [text]
    while waiting:
        one = waiting.pop(0)
        braces = _first_braces(one, text)
        if braces is None:
            finished.append(one)
        else:
            start, end, choices = braces
            waiting = [one[:start] + choice + one[end:] for choice in choices] + waiting
        if len(finished) + len(waiting) > MAX_ALTERNATIVES:
            raise BadGlob(f"{text!r} stands for more than {MAX_ALTERNATIVES} patterns")
    return finished


def _first_braces(text: str, whole: str) -> tuple[int, int, list[str]] | None:
    """Return where the first braces begin and end, and what stands between their commas."""
    start = -1
    depth = 0
    cuts: list[int] = []
    place = 0
    while place < len(text):
        char = text[place]
        if char == "\\":
            place += 1
            if place == len(text):
                raise BadGlob(f"{whole!r} is no pattern: nothing follows its last backslash")
        elif char == "[":
            _, place = _class(text, place, whole)
        elif char == "{":
            depth += 1
            if start < 0:
                start, cuts = place, [place]
        elif char == "," and depth == 1:
            cuts.append(place)
        elif char == "}":
            if depth == 0:
                raise BadGlob(f"{whole!r} is no pattern: `}}` closes nothing")
            depth -= 1
            if depth == 0:
                cuts.append(place)
                choices = [text[a + 1 : b] for a, b in zip(cuts, cuts[1:], strict=False)]
                return start, place + 1, choices
        place += 1
    if depth:
        raise BadGlob(f"{whole!r} is no pattern: `{{` is not closed")
    return None
