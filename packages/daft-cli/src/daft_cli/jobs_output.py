"""How a listing of jobs looks, for people and for programs."""

from __future__ import annotations

import os
import sys
import time

from daft_cli.terminal import age, duration, harmless, has_colour, padded, paint, size, width

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from typing import Any

    from daft_cli.templates import Template

    Row = tuple[Any, ...]
    Rows = list[Row]
    Stale = frozenset[str | None]
    Cells = tuple[tuple[str, str], ...]

COLUMNS = (
    "invocation_id", "invocation_short", "worktree", "hook_type", "trigger_command",
    "invocation_created_at", "name", "status", "stale", "background", "started_at", "finished_at",
    "duration_secs", "exit_code", "end_reason", "end_detail", "command", "size_bytes", "job_uid",
)  # fmt: skip
_NO_JOBS = "no jobs declared"  # as a fire of a hook without any is recorded
_TAIL_LINES = 3
_TAIL_BYTES = 16 * 1024
_TAIL_WIDTH = 160
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_GLYPHS = {
    "completed": ("✓", "green"), "failed": ("✗", "red"), "crashed": ("✗", "red"),
    "running": ("⟳", "yellow"), "cancelling": ("⟳", "yellow"), "queued": ("·", "yellow"),
    "cancelled": ("—", "dim"), "skipped": ("—", "dim"),
}  # fmt: skip


def glyph(status: str) -> str:
    """Return the sign a status is shown with."""
    return _GLYPHS.get(status, ("✗", "red"))[0]


def _short_length(ids: list[str]) -> int:
    ordered = sorted(set(ids))
    needed = 4
    for left, right in zip(ordered, ordered[1:]):  # noqa: B905  (strict= costs nothing, zip is fine)
        shared = 0
        while shared < 16 and left[shared] == right[shared]:
            shared += 1
        needed = max(needed, shared + 1)
    return needed


def write_structured(
    invocations: Rows,
    jobs: Rows,
    stale: Stale,
    *,
    form: str | None,
    template: Template | None,
    headers: bool,
) -> None:
    """Write a row per job, in `form` or by `template`. No rows is a valid document."""
    from daft_cli.formats import write_rows

    rows = rows_of(invocations, jobs, stale)
    if template is not None:
        sys.stdout.write(template.text(rows))
        return
    assert form is not None
    write_rows(form, rows, COLUMNS, headers=headers)


def rows_of(invocations: Rows, jobs: Rows, stale: Stale) -> list[dict[str, Any]]:
    """Return a row per job as programs read it, with the keys of COLUMNS in their order.

    invocations: those of the jobs, in the order wanted. stale: owners of jobs that are gone.
    """
    short = _short_length([one[0] for one in invocations])
    by_id = {one[0]: one for one in invocations}
    order = {one[0]: place for place, one in enumerate(invocations)}
    rows: list[dict[str, Any]] = []
    for job in sorted(jobs, key=lambda job: order[job[0]]):
        invocation = by_id[job[0]]
        rows.append(
            {
                "invocation_id": job[0],
                "invocation_short": job[0][:short],
                "worktree": invocation[1],
                "hook_type": invocation[2],
                "trigger_command": invocation[3],
                "invocation_created_at": invocation[4],
                "name": job[1],
                "status": job[2],
                "stale": _is_stale(job, stale),
                "background": bool(job[3]),
                "started_at": job[4],
                "finished_at": job[5],
                "duration_secs": None if job[6] is None else job[6] / 1000,
                "exit_code": job[7],
                "end_reason": job[9],
                "end_detail": job[10],
                "command": job[11],
                "size_bytes": job[12] or None,
                "job_uid": job[13],
            }
        )
    return rows


def _is_stale(job: Row, stale: Stale) -> bool:
    return job[2] in ("queued", "running", "cancelling") and job[16] in stale


def write_table(
    invocations: Rows,
    jobs: Rows,
    stale: Stale,
    *,
    label: str | None,
    logs: str,
    is_whole: bool,
) -> None:
    """Draw the listing: per worktree its hook runs, per run a table of its jobs.

    label: the worktree one stands in. logs: the directory of the repository's jobs.
    is_whole: nothing was filtered out, so the place in the queue can be told.
    """
    colour = has_colour(sys.stdout)
    short = _short_length([one[0] for one in invocations])
    now = time.time()
    # Whoever answers for jobs has a queue of its own; usually that is one leader for all.
    waiting: dict[str | None, list[str]] = {}
    for job in jobs if is_whole else ():
        if job[2] == "queued":
            waiting.setdefault(job[16], []).append(job[15] or "")
    by_id: dict[str, Rows] = {}
    for job in jobs:
        by_id.setdefault(job[0], []).append(job)
    lines_of = {}
    widths = [0, 0, 0, 0, 0]
    for one in invocations:
        lines_of[one[0]] = [_cells(job, stale, now, waiting) for job in by_id.get(one[0], [])]
        for place, column in enumerate(zip(*lines_of[one[0]])):  # noqa: B905
            # Each text once: most of them stand in many lines.
            widths[place] = max(widths[place], *map(width, {cell[0] for cell in column}))
    trees: dict[str, Rows] = {}
    for one in invocations:
        trees.setdefault(one[1], []).append(one)
    out = []
    spine = paint("│", "dim", on=colour)
    for tree in sorted(trees):
        mark = ">" if tree == label else " "
        out.append(paint(f"{mark} {harmless(tree) or '(no branch)'}", "bold", on=colour))
        for one in trees[tree]:
            seconds = max(0, now - epoch(one[4]))
            words = f"{age(seconds)} ago · {harmless(one[3])} [{one[0][:short]}]"
            out.append(spine)
            out.append(f"{paint('●', 'dim', on=colour)} {words}")
            if one[5] == "skipped" and one[6] != _NO_JOBS:
                out.append(f"{spine}   (skipped: {harmless(one[6] or 'no reason was recorded')})")
            elif not lines_of[one[0]]:
                out.append(f"{spine}    ({_NO_JOBS})")
            for cells in lines_of[one[0]]:
                texts = [
                    paint(padded(text, columns), style, on=colour and style != "")
                    for (text, style), columns in zip(cells, widths)  # noqa: B905
                ]
                out.append(f"{spine}   {'  '.join(texts)}".rstrip())
            for job in by_id.get(one[0], []):
                if job[2] in ("failed", "crashed"):
                    lines = last_lines(f"{logs}/{job[0]}/{job[14]}/output.jsonl")
                    start = f"│     {harmless(job[1])} │ "
                    out += [paint(start + line, "dim", on=colour) for line in lines]
        out.append(paint("╰─╴", "dim", on=colour))
    sys.stdout.write("\n".join(out) + "\n")


def _cells(job: Row, stale: Stale, now: float, waiting: dict[str | None, list[str]]) -> Cells:
    status, background = job[2], job[3]
    glyph, style = _GLYPHS.get(status, ("✗", "red"))
    words = f"{glyph} {status}"
    if _is_stale(job, stale):
        words += " (stale)"
    elif status == "queued":
        since = job[15] or ""
        before = sum(other < since for other in waiting.get(job[16], ()))
        words += f" ({before} before it)" if before else ""
    elif status not in ("completed", "running", "cancelling", "cancelled") and job[10]:
        words += f" ({harmless(job[10])})"
    started = "—"
    # What never ran has no start worth showing.
    if job[4] and status != "skipped":
        moment = time.localtime(epoch(job[4]))
        today = time.localtime(now)
        form = "%H:%M:%S" if moment[:3] == today[:3] else "%Y-%m-%d %H:%M"
        started = time.strftime(form, moment)
    took = "—"
    if job[6] is not None:
        took = duration(job[6] / 1000)
    elif status in ("running", "cancelling") and job[4]:
        took = duration(max(0, now - epoch(job[4]))) + "..."
    name = f"{'↪' if background else '→'} {harmless(job[1])}"
    return (
        (name, "blue" if background else "yellow"),
        (words, style),
        (started, ""),
        (took, ""),
        (size(job[12]) if job[12] else "—", "dim"),
    )


def epoch(text: str) -> float:
    """Return Unix seconds of the store's fixed form of UTC time; days by the civil calendar."""
    year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
    shifted = year - (month <= 2)
    era_day = (
        365 * (shifted % 400)
        + shifted % 400 // 4
        - shifted % 400 // 100
        + (153 * (month + (-3 if month > 2 else 9)) + 2) // 5
        + day
        - 1
    )
    days = shifted // 400 * 146097 + era_day - 719468
    clock = int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
    return days * 86400 + clock + int(text[20:26]) / 1e6


def last_lines(path: str, count: int = _TAIL_LINES) -> list[str]:
    """Return the last lines a job printed, as its log has them, fit for a terminal.

    A log that is missing, unreadable or torn yields what can be told, at worst nothing: `daft
    jobs logs` is where trouble with a log is reported.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            size = os.fstat(fd).st_size
            data = os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        finally:
            os.close(fd)
    except OSError:
        return []
    found: list[str] = []
    for record in reversed(data.split(b"\n")):
        head, mark, text = record.partition(b'"data":"')
        if not mark or not (b'"kind":"stdout"' in head or b'"kind":"stderr"' in head):
            continue
        line = harmless(_unquoted(text.decode("ascii", "replace")))
        found.append(line if len(line) <= _TAIL_WIDTH else line[: _TAIL_WIDTH - 1] + "…")
        if len(found) == count:
            break
    return found[::-1]


def _unquoted(text: str) -> str:
    """Return a JSON string up to its closing quote; `json` takes longer to load than we have."""
    out = []
    while True:
        at = len(text)
        for stop in ('"', "\\"):
            found = text.find(stop, 0, at)
            at = found if found >= 0 else at
        out.append(text[:at])
        if text[at : at + 1] != "\\":
            break
        kind, text = text[at + 1 : at + 2], text[at + 2 :]
        if kind == "u":
            try:
                out.append(chr(int(text[:4], 16)))
            except ValueError:
                out.append("\ufffd")
            text = text[4:]
        else:
            out.append(_ESCAPES.get(kind, kind))
    # Characters beyond the first 65 536 are written as two halves.
    return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
