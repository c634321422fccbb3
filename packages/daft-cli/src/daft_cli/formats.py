"""Lists in the forms programs read. Values are plain: text, numbers, booleans, None."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

FORMATS = ("json", "ndjson", "csv", "tsv", "yaml", "markdown")


def write_rows(
    form: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    headers: bool = True,
    out: TextIO | None = None,
) -> None:
    """Write `rows` in `form`, the keys in the order of `columns`. No rows is a valid document."""
    stream = sys.stdout if out is None else out
    ordered = [{name: row.get(name) for name in columns} for row in rows]
    match form:
        case "json":
            import json

            stream.write(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n")
        case "ndjson":
            import json

            for row in ordered:
                stream.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        case "yaml":
            import yaml

            stream.write(yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True))
        case "csv":
            import csv

            writer = csv.writer(stream, lineterminator="\r\n")
            if headers:
                writer.writerow(columns)
            writer.writerows([_cell(row[name]) for name in columns] for row in ordered)
        case "tsv":
            if headers:
                stream.write("\t".join(columns) + "\n")
            for row in ordered:
                cells = (_cell(row[name]) for name in columns)
                flat = (" ".join(cell.replace("\t", " ").splitlines()) for cell in cells)
                stream.write("\t".join(flat) + "\n")
        case "markdown":
            stream.write(f"| {' | '.join(columns)} |\n")
            stream.write(f"|{'---|' * len(columns)}\n")
            for row in ordered:
                cells = (_cell(row[name]) for name in columns)
                flat = (" ".join(cell.splitlines()).replace("|", "\\|") for cell in cells)
                stream.write(f"| {' | '.join(flat)} |\n")
        case _:
            raise ValueError(f"unknown format {form!r}")


class Template:
    """A line per row, such as `{name:<20} {status}`: columns in braces, and `\\t`, `\\n`.

    Raises: ValueError, which says what is wrong and which columns there are.
    """

    def __init__(self, text: str, columns: Sequence[str]) -> None:
        import string

        plain = text.replace("\\t", "\t").replace("\\n", "\n")
        try:
            parts = list(string.Formatter().parse(plain))
        except ValueError as error:
            raise ValueError(f"{error} in {text!r}") from error
        # Cut apart here, so that nothing but a column can be reached from a template.
        self._parts: list[tuple[str, str | None, str]] = []
        for literal, name, spec, conversion in parts:
            if name is not None and (name not in columns or conversion):
                raise ValueError(f"no column {name!r} (columns: {', '.join(columns)})")
            try:
                format("", spec or "")
            except ValueError as error:
                raise ValueError(f"{{{name}:{spec}}}: {error}") from error
            self._parts.append((literal, name, spec or ""))

    def line(self, row: Mapping[str, Any]) -> str:
        """Return `row` as the template says, with a newline at its end."""
        text = "".join(
            literal + ("" if name is None else format(_cell(row.get(name)), spec))
            for literal, name, spec in self._parts
        )
        return text if text.endswith("\n") else text + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
