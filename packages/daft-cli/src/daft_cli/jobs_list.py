"""`daft jobs`: how the jobs went. People run it all the time, so it loads next to nothing.

The rows come straight from the store; nothing but apsw is imported for them. Only when the
record may not be true (an unfinished job whose owner is gone) the coordinator is loaded to
repair it first.
"""

from __future__ import annotations

import os
import sys
import time

from daft_cli.terminal import age, duration, harmless, has_colour, paint

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from typing import Any

    Row = tuple[Any, ...]
    Rows = list[Row]
    Options = dict[str, Any]
    Stale = frozenset[str | None]
    Found = tuple[Rows, Rows, Stale]
    Cells = tuple[tuple[str, str], ...]

STATUSES = ("queued", "running", "cancelling", "completed", "failed", "cancelled", "skipped", "crashed")  # fmt: skip  # noqa: E501
FORMATS = ("json", "ndjson", "csv", "tsv", "yaml", "markdown")
COLUMNS = (
    "invocation_id", "invocation_short", "worktree", "hook_type", "trigger_command",
    "invocation_created_at", "name", "status", "stale", "background", "started_at", "finished_at",
    "duration_secs", "exit_code", "end_reason", "end_detail", "command", "size_bytes", "job_uid",
)  # fmt: skip
HELP = """\
Usage: daft jobs [options] [list]
       daft jobs logs|cancel|wait …

Shows the hook runs of the current worktree, oldest first; of the whole repository when this
worktree has none.

Options
  --all                 the whole repository
  --worktree <name>     one worktree, also one that is gone
  --status <status>     runs with such a job: queued, running, cancelling, completed, failed,
                        cancelled, skipped, crashed
  --failed              runs with a failed or crashed job
  --hook <type>         one kind of hook
  --last [n]            only the newest n runs (1)
  --limit <n>           at most n runs (20)
  --format <format>     json, ndjson, csv, tsv, yaml, markdown
  --no-headers          leave out the header of csv and tsv
"""
_GLYPHS = {
    "completed": ("✓", "green"), "failed": ("✗", "red"), "crashed": ("✗", "red"),
    "running": ("⟳", "yellow"), "cancelling": ("⟳", "yellow"), "queued": ("·", "yellow"),
    "cancelled": ("—", "dim"), "skipped": ("—", "dim"),
}  # fmt: skip


class _Usage(Exception):
    pass


def run(args: list[str]) -> int:
    """List jobs; return the exit code."""
    try:
        options = _parse(args)
    except _Usage as error:
        sys.stderr.write(f"usage: daft jobs [options]\nerror: {error}\n")
        return 2
    if options["help"]:
        sys.stdout.write(HELP)
        return 0
    here = find_repository(os.getcwd())
    if here is None:
        sys.stderr.write(f"error: Not inside a Git repository: {os.getcwd()}\n")
        sys.stderr.write("  tip: `daft -C <path> jobs` asks about another directory\n")
        return 1
    try:
        return _finish(_list(here, options))
    except BrokenPipeError:
        os._exit(0)


def _finish(code: int) -> int:
    """Leave at once: tearing an interpreter down takes longer than the listing."""
    sys.stdout.flush()
    sys.stderr.flush()
    if "PYTEST_CURRENT_TEST" in os.environ:
        return code
    os._exit(code)


def _parse(args: list[str]) -> Options:
    found: Options = {
        "all": False, "worktree": None, "status": None, "hook": None, "last": None, "limit": 20,
        "format": None, "headers": True, "help": False,
    }  # fmt: skip
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        name, eq, value = arg.partition("=")
        if arg in ("list", "ls"):
            continue
        if arg in ("-h", "--help"):
            found["help"] = True
        elif arg == "--all":
            found["all"] = True
        elif arg == "--failed":
            _set_once(found, "status", "failed,crashed")
        elif arg == "--no-headers":
            found["headers"] = False
        elif name == "--last":
            if not eq:
                value = rest.pop(0) if rest and rest[0].isdigit() else "1"
            found["last"] = max(1, _number(name, value))
        elif name in ("--worktree", "--status", "--hook", "--limit", "--format"):
            if not eq:
                if not rest:
                    raise _Usage(f"{name} requires an argument")
                value = rest.pop(0)
            key = name[2:]
            if key == "limit":
                found[key] = max(1, _number(name, value))
            elif key == "status":
                _choice(name, value, STATUSES)
                _set_once(found, key, value)
            else:
                if key == "format":
                    _choice(name, value, FORMATS)
                found[key] = value
        else:
            raise _Usage(f"unrecognized argument: {arg}")
    if found["all"] and found["worktree"] is not None:
        raise _Usage("--all is not allowed with --worktree")
    return found


def _set_once(found: Options, key: str, value: str) -> None:
    if found[key] is not None:
        raise _Usage("--failed is not allowed with --status")
    found[key] = value


def _number(name: str, value: str) -> int:
    if not value.isdigit():
        raise _Usage(f"{name} takes a number, not {value!r}")
    return int(value)


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise _Usage(f"{name}: invalid choice: {value!r} (choose from {', '.join(known)})")


# --- finding things without git ---------------------------------------------------------------


def find_repository(start: str) -> tuple[str, str | None] | None:
    """Return (common directory, worktree label or None, project root), None outside of one."""
    path = start
    while True:
        dot = path + "/.git" if path != "/" else "/.git"
        private = None
        if os.path.isdir(dot):
            private = dot
        elif os.path.isfile(dot):
            line = _first_line(dot)
            if line.startswith("gitdir: "):
                private = os.path.join(path, line[8:])
        elif os.path.isfile(path + "/HEAD") and os.path.isdir(path + "/objects"):
            private = path
        if private is not None:
            common = _first_line(private + "/commondir")
            base = os.path.join(private, common) if common else private
            label = None
            # At the root of a bare layout there is no worktree to speak of.
            if common or os.path.isfile(private + "/index") or not _is_bare(base):
                label = _label(private, path)
            return os.path.realpath(base), label
        parent = os.path.dirname(path)
        if parent == path:
            return None
        path = parent


def _label(private: str, path: str) -> str:
    head = _first_line(private + "/HEAD")
    if head.startswith("ref: refs/heads/"):
        return head[16:]
    for state in ("rebase-merge", "rebase-apply"):
        name = _first_line(f"{private}/{state}/head-name")
        if name.startswith("refs/heads/"):
            return name[11:]
    return os.path.basename(path)


def _is_bare(common: str) -> bool:
    try:
        with open(common + "/config", encoding="utf-8", errors="replace") as file:
            return "bare = true" in file.read()
    except OSError:
        return False


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.readline().rstrip("\n")
    except OSError:
        return ""


def state_directory() -> str:
    """Return the state directory by the rules of `daft_store.places`, without importing them."""
    override = os.environ.get("DAFT_STATE_DIR", "")
    if override:
        if not os.path.isabs(override):
            sys.stderr.write(
                f"error: DAFT_STATE_DIR is {override!r}; it must be an absolute path\n"
            )
            os._exit(4)
        return os.path.normpath(override)
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        home = os.environ.get("HOME") or os.path.expanduser("~")
        base = home + "/.local/state"
    return base + "/daft"


# --- reading ----------------------------------------------------------------------------------


def _list(here: tuple[str, str | None], options: Options) -> int:
    common, label = here
    repository = _first_line(common + "/daft-id").strip()
    rows = None
    if repository:
        rows = _read(repository, label, options)
        if isinstance(rows, int):
            return rows
    if not rows:
        if options["format"] is not None:
            from daft_cli.formats import write_rows

            write_rows(options["format"], [], COLUMNS, headers=options["headers"])
            sys.stderr.write("No job history found.\n")
        else:
            sys.stdout.write("No background job history found.\n")
        return 0
    assert not isinstance(rows, int)
    invocations, jobs, stale = rows
    if options["format"] is not None:
        _write_structured(invocations, jobs, stale, options)
    else:
        _write_table(invocations, jobs, stale, label)
    return 0


def _read(repository: str, label: str | None, options: Options) -> Found | int | None:
    """Return (invocations oldest first, their jobs, job owners without life), or an exit code."""
    from daft_store import listing

    path = f"{state_directory()}/jobs/{repository}/coordinator.db"
    try:
        db = listing.open_listing(path)
        if db is None:
            return None
        stale = _dead_owners(listing.unfinished_owners(db, repository))
        if stale is not None and _repair(repository):
            stale = _dead_owners(listing.unfinished_owners(db, repository))
        statuses = options["status"]
        if statuses is not None:
            statuses = "[" + ",".join(f'"{one}"' for one in statuses.split(",")) + "]"
        wanted = {
            "hook": options["hook"],
            "statuses": statuses,
            "limit": options["last"] or options["limit"],
        }
        worktree = options["worktree"]
        if worktree is None and not options["all"]:
            worktree = label
        found = listing.newest_invocations(db, repository, worktree=worktree, **wanted)
        if not found and options["worktree"] is None and not options["all"]:
            found = listing.newest_invocations(db, repository, **wanted)
        found.reverse()
        jobs = listing.jobs_of(db, repository, [one[0] for one in found])
        return (found, jobs, stale or frozenset()) if found else None
    except listing.ListingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 4
    except Exception as error:
        if type(error).__module__ != "apsw":
            raise
        sys.stderr.write(f"error: {path}: {error}\n")
        return 4


def _dead_owners(owners: Rows) -> frozenset[str | None] | None:
    """Return the ids of owners that are gone (None for no owner), None when all live."""
    dead: set[str | None] = set()
    for owner, pid, start, boot, _ in owners:
        if pid is None or not _lives(pid, start, boot):
            dead.add(owner)
    return frozenset(dead) if dead else None


def _lives(pid: int, start: str, boot: str) -> bool:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            if file.read().strip() != boot:
                return False
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        return fields[19].decode() == start and fields[0] not in (b"Z", b"X")
    except FileNotFoundError:
        if os.path.exists("/proc/self/stat"):
            return False
    from daft_coordinator.adapters.processes import PosixProcessControl
    from daft_protocol.jobs import ProcessIdentity

    who = ProcessIdentity(pid=pid, pgid=pid, start=start, boot_id=boot)
    return PosixProcessControl().is_alive(who) is not False


def _repair(repository: str) -> bool:
    """Have a leader look after jobs nobody answers for; True when one did."""
    from daft_cli.wiring import repair

    return repair(state_directory(), repository)


# --- writing ----------------------------------------------------------------------------------


def _short_length(ids: list[str]) -> int:
    ordered = sorted(set(ids))
    needed = 4
    for left, right in zip(ordered, ordered[1:]):  # noqa: B905  (strict= costs nothing, zip is fine)
        shared = 0
        while shared < 16 and left[shared] == right[shared]:
            shared += 1
        needed = max(needed, shared + 1)
    return needed


def _write_structured(invocations: Rows, jobs: Rows, stale: Stale, options: Options) -> None:
    from daft_cli.formats import write_rows

    short = _short_length([one[0] for one in invocations])
    by_id = {one[0]: one for one in invocations}
    order = {one[0]: place for place, one in enumerate(invocations)}
    rows = []
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
    write_rows(options["format"], rows, COLUMNS, headers=options["headers"])


def _is_stale(job: Row, stale: Stale) -> bool:
    return job[2] in ("queued", "running", "cancelling") and job[16] in stale


def _write_table(invocations: Rows, jobs: Rows, stale: Stale, label: str | None) -> None:
    colour = has_colour(sys.stdout)
    short = _short_length([one[0] for one in invocations])
    now = time.time()
    by_id: dict[str, Rows] = {}
    for job in jobs:
        by_id.setdefault(job[0], []).append(job)
    lines_of = {}
    widths = [0, 0, 0, 0, 0]
    for one in invocations:
        lines = [_cells(job, stale, now, jobs) for job in by_id.get(one[0], [])]
        lines_of[one[0]] = lines
        for cells in lines:
            widths = [max(width, len(cell[0])) for width, cell in zip(widths, cells)]  # noqa: B905
    trees: dict[str, Rows] = {}
    for one in invocations:
        trees.setdefault(one[1], []).append(one)
    out = []
    for tree in sorted(trees):
        mark = ">" if tree == label else " "
        out.append(paint(f"{mark} {tree or '(no branch)'}", "bold", on=colour))
        for one in trees[tree]:
            seconds = max(0, now - _epoch(one[4]))
            words = f"● {age(seconds)} ago · {harmless(one[3])} [{one[0][:short]}]"
            out.append("│")
            out.append(words)
            if one[5] == "skipped":
                out.append(f"│   (skipped: {one[6]})")
            elif not lines_of[one[0]]:
                out.append("│    (no jobs declared)")
            for cells in lines_of[one[0]]:
                texts = [
                    paint(text.ljust(width), style, on=colour and style != "")
                    for (text, style), width in zip(cells, widths)  # noqa: B905
                ]
                out.append(f"│   {'  '.join(texts)}".rstrip())
        out.append("╰─╴")
    sys.stdout.write("\n".join(out) + "\n")


def _cells(job: Row, stale: Stale, now: float, jobs: Rows) -> Cells:
    status, background = job[2], job[3]
    glyph, style = _GLYPHS.get(status, ("✗", "red"))
    words = f"{glyph} {status}"
    if _is_stale(job, stale):
        words += " (stale)"
    elif status == "queued":
        before = sum(
            1 for other in jobs if other[2] == "queued" and (other[15] or "") < (job[15] or "")
        )
        words += f" ({before} before it)" if before else ""
    elif status not in ("completed", "running", "cancelling", "cancelled") and job[10]:
        words += f" ({harmless(job[10])})"
    started = "—"
    # What never ran has no start worth showing.
    if job[4] and status != "skipped":
        moment = time.localtime(_epoch(job[4]))
        today = time.localtime(now)
        form = "%H:%M:%S" if moment[:3] == today[:3] else "%Y-%m-%d %H:%M"
        started = time.strftime(form, moment)
    took = "—"
    if job[6] is not None:
        took = duration(job[6] / 1000)
    elif status in ("running", "cancelling") and job[4]:
        took = duration(max(0, now - _epoch(job[4]))) + "..."
    name = f"{'↪' if background else '→'} {harmless(job[1])}"
    return (
        (name, "blue" if background else "yellow"),
        (words, style),
        (started, ""),
        (took, ""),
        (_size(job[12]), "dim"),
    )


def _epoch(text: str) -> float:
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


def _size(size: float | None) -> str:
    if not size:
        return "—"
    if size < 1024:
        return f"{size} B"
    for unit in ("KB", "MB", "GB"):
        size /= 1024
        if size < 1024 or unit == "GB":
            return f"{size:.1f} {unit}"
    return ""
