"""Lists in a form of one's own: Jinja templates over rows, which reach nothing but the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .failures import FAILED, USAGE, Trouble


class Template:
    """A Jinja template; `items`, also called `data`, are the rows.

    The filter `json_encode` writes a value as JSON. Raises: Trouble.
    """

    def __init__(self, text: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        environment.filters["json_encode"] = _json_encode
        try:
            self._template = environment.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise _trouble(error.message or "no template", error.lineno, code=USAGE) from error

    def text(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Return what the template makes of `rows`; what is not empty ends with a newline.

        Raises: Trouble; then nothing is to be written.
        """
        try:
            text = self._template.render(items=rows, data=rows)
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            why = str(error).rstrip(".")
            if isinstance(error, jinja2.UndefinedError) and rows:
                why += f"; columns: {', '.join(rows[0])}"
            raise _trouble(why, _line_of(error.__traceback__), code=FAILED) from error
        return text if not text or text.endswith("\n") else text + "\n"


def _trouble(why: str, line: int | None, *, code: int) -> Trouble:
    where = "" if line is None else f" (line {line} of the template)"
    return Trouble(f"--template: {why}{where}", code=code)


def _json_encode(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _line_of(trace: TracebackType | None) -> int | None:
    """Return the line of the template that was being carried out, None when it was none."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
