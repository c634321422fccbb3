"""Lists in the forms programs read. Values are plain: text, numbers, booleans, None."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

FORMATS = ("json", "ndjson", "csv", "tsv", "yaml", "toon", "markdown")


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
        case "toon":
            from .toon import table

            stream.write(table(ordered, columns))
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


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
