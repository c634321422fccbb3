"""`daft jobs`: how the jobs went. People run it all the time, so it loads next to nothing.

The rows come straight from the store; nothing but apsw is imported for them. Only when the
record may not be true (an unfinished job whose owner is gone) the coordinator is loaded to
repair it first.
"""

from __future__ import annotations

import os
import sys

from daft_cli.jobs_output import write_structured, write_table
from daft_cli.whereabouts import (
    find_repository,
    recorded_identity,
    state_directory,
)

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from typing import Any

    from daft_cli.templates import Template

    Row = tuple[Any, ...]
    Rows = list[Row]
    Options = dict[str, Any]
    Stale = frozenset[str | None]

STATUSES = ("queued", "running", "cancelling", "completed", "failed", "cancelled", "skipped", "crashed")  # fmt: skip  # noqa: E501
FORMATS = ("json", "ndjson", "csv", "tsv", "yaml", "toon", "markdown")
_NOTHING = "No background job history found.\n"
_MANY = 1_000_000  # as good as all, and fits every integer it may go through
HELP = """\
Usage: daft jobs [options] [list]
       daft jobs logs|cancel|wait|retry|prune|pin|unpin …

Shows the hook runs of the current worktree, oldest first; of the whole repository when this
worktree has none.

Options
  --all                 the whole repository
  --worktree <name>     one worktree, also one that is gone
  --repo <repo>         another repository: its name in `daft repo list`, a path in it, or its id;
                        also when it is gone
  --status <status>     runs with such a job: queued, running, cancelling, completed, failed,
                        cancelled, skipped, crashed
  --failed              runs with a failed or crashed job
  --hook <type>         one kind of hook
  --last [n]            only the newest n runs (1)
  --limit <n>           at most n runs (20)
  --format <format>     json, ndjson, csv, tsv, yaml, toon, markdown
  --template <text>     a Jinja template; `items` are the jobs, with the columns of the other
                        formats: '{% for job in items %}{{ job.name }} {% endfor %}'
  --no-headers          leave out the header of csv and tsv
"""
_VALUED = ("--worktree", "--status", "--hook", "--limit", "--format", "--template", "--repo")


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
    if options["repo"] is not None:
        from daft_cli.choosing import choose_repository

        return _finish(_list(choose_repository(options["repo"]), None, options))
    here = find_repository(os.getcwd())
    if here is None:
        sys.stderr.write(f"error: Not inside a Git repository: {os.getcwd()}\n")
        sys.stderr.write("  tip: `daft -C <path> jobs` asks about another directory\n")
        return 1
    common, label = here
    return _finish(_list(recorded_identity(common), label, options))


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
        "format": None, "template": None, "headers": True, "help": False, "repo": None,
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
            _set_status(found, "failed,crashed")
        elif arg == "--no-headers":
            found["headers"] = False
        elif name == "--last":
            if not eq:
                value = rest.pop(0) if rest and rest[0].isdigit() else "1"
            found["last"] = max(1, _number(name, value))
        elif name in _VALUED:
            if not eq:
                if not rest:
                    raise _Usage(f"{name} requires an argument")
                value = rest.pop(0)
            key = name[2:]
            if key == "limit":
                found[key] = max(1, _number(name, value))
            elif key == "status":
                _choice(name, value, STATUSES)
                _set_status(found, value)
            else:
                if key == "format":
                    _choice(name, value, FORMATS)
                found[key] = _template(value) if key == "template" else value
        else:
            raise _Usage(f"unrecognized argument: {arg}")
    if found["all"] and found["worktree"] is not None:
        raise _Usage("--all is not allowed with --worktree")
    if found["format"] is not None and found["template"] is not None:
        raise _Usage("--format is not allowed with --template")
    if found["repo"] is not None and found["worktree"] is None:
        found["all"] = True
    return found


def _set_status(found: Options, value: str) -> None:
    if found["status"] is not None:
        raise _Usage("--failed or --status is not allowed with --status")
    found["status"] = value


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal()):
        raise _Usage(f"{name} takes a number, not {value!r}")
    return int(value) if len(value) <= 6 else _MANY


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise _Usage(f"{name}: invalid choice: {value!r} (choose from {', '.join(known)})")


# --- reading ----------------------------------------------------------------------------------


class _Page:
    """What is shown of a repository: hook runs oldest first, their jobs, and what to make of it.

    stale: owners of jobs that are gone. has_older: there are more runs than these.
    is_whole: these are all jobs of the repository, so places in its queue can be told.
    """

    def __init__(
        self, invocations: Rows, jobs: Rows, stale: Stale, *, has_older: bool, is_whole: bool
    ) -> None:
        self.invocations = invocations
        self.jobs = jobs
        self.stale = stale
        self.has_older = has_older
        self.is_whole = is_whole


def _template(text: str) -> Template:
    from daft_cli.templates import Template

    return Template(text)


def _list(repository: str, label: str | None, options: Options) -> int:
    state_directory()  # whether its variable is of use is told without any history, too
    page = _read(repository, label, options) if repository else None
    if isinstance(page, int):
        return page
    form, template = options["format"], options["template"]
    if not options["headers"] and form not in ("csv", "tsv"):
        sys.stderr.write("warning: --no-headers has a meaning for csv and tsv only\n")
    if form is None and template is None:
        _show(repository, page, label, options)
        return 0
    if page is None:
        sys.stderr.write(_NOTHING)
        page = _Page([], [], frozenset(), has_older=False, is_whole=True)
    headers = options["headers"]
    write_structured(
        page.invocations, page.jobs, page.stale, form=form, template=template, headers=headers
    )
    return 0


def _show(repository: str, page: _Page | None, label: str | None, options: Options) -> None:
    if page is None:
        sys.stdout.write(_NOTHING)
        return
    logs = f"{state_directory()}/jobs/{repository}"
    write_table(
        page.invocations, page.jobs, page.stale, label=label, logs=logs, is_whole=page.is_whole
    )
    if page.has_older and options["last"] is None:
        sys.stderr.write(f"only the newest {options['limit']} runs; --limit <n> shows more\n")
    if options["all"]:
        from daft_cli import tidying

        sys.stdout.write(tidying.last_pass())


def _read(repository: str, label: str | None, options: Options) -> _Page | int | None:
    """Return what there is to show, None for nothing, an exit code when it cannot be read."""
    from daft_store import listing

    root = state_directory()
    try:
        db = listing.open_jobs(root, repository)
        if db is None:
            return None
        stale = _dead_owners(listing.unfinished_owners(db, repository))
        if stale is not None and _repair(repository):
            stale = _dead_owners(listing.unfinished_owners(db, repository))
        statuses = options["status"]
        if statuses is not None:
            statuses = "[" + ",".join(f'"{one}"' for one in statuses.split(",")) + "]"
        limit = options["last"] or options["limit"]
        # One more than asked for tells whether there are more.
        wanted = {
            "hook": options["hook"],
            "statuses": statuses,
            "limit": limit + 1,
            "skipped": _skipped,
        }
        worktree = options["worktree"]
        if worktree is None and not options["all"]:
            worktree = label
        found = listing.newest_invocations(db, repository, worktree=worktree, **wanted)
        if not found and options["worktree"] is None and worktree is not None:
            worktree = None
            found = listing.newest_invocations(db, repository, **wanted)
        if not found:
            return None
        shown = found[limit - 1 :: -1] if len(found) > limit else found[::-1]
        logs = os.path.dirname(listing.jobs_path(root, repository))
        jobs = listing.jobs_of(db, repository, [one[0] for one in shown], skipped=_skipped)
        jobs = [_with_size(job, f"{logs}/{job[0]}/{job[14]}") for job in jobs]
        has_older = len(found) > limit
        is_whole = not has_older and (worktree, options["hook"], statuses) == (None, None, None)
        return _Page(shown, jobs, stale or frozenset(), has_older=has_older, is_whole=is_whole)
    except listing.ListingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 4
    except Exception as error:
        if type(error).__module__ != "apsw":
            raise
        sys.stderr.write(f"error: {listing.trouble(listing.jobs_path(root, repository), error)}\n")
        return 4


def has_lost_jobs(root: str, repository: str) -> bool:
    """True when there are unfinished jobs whose owner is gone.

    Raises: ListingError when the record cannot be read.
    """
    from daft_store import listing

    try:
        db = listing.open_jobs(root, repository)
        if db is None:
            return False
        try:
            return _dead_owners(listing.unfinished_owners(db, repository)) is not None
        finally:
            db.close()
    except Exception as error:
        if type(error).__module__ != "apsw":
            raise
        raise listing.trouble(listing.jobs_path(root, repository), error) from error


def _with_size(job: Row, directory: str) -> Row:
    """Return `job` with the size its log has now; a row is told of it only at its end."""
    if job[2] not in ("running", "cancelling"):
        return job
    try:
        with os.scandir(directory) as files:
            size = sum(one.stat().st_size for one in files if one.name.startswith("output."))
    except OSError:
        return job  # it has printed nothing yet, or its files were removed by somebody
    return (*job[:12], size, *job[13:])


def _skipped(what: str) -> None:
    sys.stderr.write(f"warning: a row of the job store cannot be read and is left out: {what}\n")


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
