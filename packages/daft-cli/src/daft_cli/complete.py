"""`daft __complete <context> <word>`: what may stand where somebody presses Tab.

One candidate per line, its parts divided by tabs. It never fails and says nothing on standard
error: whoever completes a word must not find words of ours in it. As with the listing of jobs,
nothing but apsw is loaded.
"""

from __future__ import annotations

import os
import sys
import time

from daft_cli.jobs_output import epoch, glyph
from daft_cli.terminal import age, in_columns
from daft_cli.whereabouts import find_repository, identity_of, state_directory

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from collections.abc import Callable

    import apsw

    from daft_cli.jobs_output import Row, Rows

    Candidate = tuple[str, ...]

_RUNS = 20
_LOOKED_AT = 200  # runs in which failures are looked for
_ID_DIGITS = 8
_BAD_ENDS = ("failed", "cancelled", "crashed")


def run(args: list[str]) -> int:
    """Print the candidates of a context; return 0 whatever happens."""
    context, word = (*args, "", "")[:2]
    errors = sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as sys.stderr:
        try:
            for candidate in _candidates(context, word):
                # A tab or a newline would make two candidates of one.
                if not any(char < " " for part in candidate for char in part):
                    sys.stdout.write("\t".join(candidate) + "\n")
        except (Exception, SystemExit):
            pass  # no candidates: there is nobody to tell, and nothing to be done about it
    sys.stderr = errors
    return 0


def _candidates(context: str, word: str) -> list[Candidate]:
    here = find_repository(os.getcwd())
    if here is not None and context in _BRANCHES:
        from daft_cli import branch_names

        names: list[Candidate] = getattr(branch_names, _BRANCHES[context])(*here)
        return [one for one in names if one[0].startswith(word)]
    if context == "repositories":
        return [one for one in _repositories(word) if one[0].startswith(word)]
    if here is not None and context == "tasks":
        return [one for one in _tasks() if one[0].startswith(word)]
    offer = _CONTEXTS.get(context)
    repository = identity_of(here[0]) if here is not None else ""
    if offer is None or here is None or not repository:
        return []
    from daft_store import listing

    db = listing.open_jobs(state_directory(), repository)
    if db is None:
        return []
    record = _Record(db, repository, here[1])
    return [one for one in offer(record, word) if _value(context, one).startswith(word)]


def _tasks() -> list[Candidate]:
    """Return the tasks of daft.yml. Reading it takes longer than any other answer."""
    from daft_hooks import discovery

    path = os.getcwd()
    while not os.path.exists(path + "/.git"):
        if path == os.path.dirname(path):
            return []  # inside of a bare repository, which has no files
        path = os.path.dirname(path)
    loaded = discovery.load(path)
    tasks = {} if loaded is None else loaded.configuration.tasks
    return [(name, "task") for name in tasks]


def _value(context: str, candidate: Candidate) -> str:
    return candidate[1] if context == "hooks-jobs-job" else candidate[0]


def _repositories(word: str) -> list[Candidate]:
    """Return the repositories of the catalog, live ones first; directories for a path."""
    if "/" in word or word.startswith((".", "~")):
        above, _, _ = word.rpartition("/")
        with os.scandir(
            os.path.expanduser(f"{above}/") if above or word[0] == "/" else "."
        ) as all_:
            start = f"{above}/" if "/" in word else ""
            return sorted((f"{start}{one.name}", "path") for one in all_ if one.is_dir())
    from daft_store.catalog import CatalogReader
    from daft_store.roots import data_root

    with CatalogReader(data_root(os.environ), skipped=_drop) as reader:
        entries = sorted(reader.every(), key=lambda one: not one.is_live)
    kinds = {True: "repo", False: "removed"}
    return [(one.name, kinds[one.is_live], one.path) for one in entries]


class _Record:
    """What is recorded of the repository, as rows."""

    def __init__(self, db: apsw.Connection, repository: str, worktree: str | None) -> None:
        self.db = db
        self.repository = repository
        self.worktree = worktree
        self.now = time.time()

    def runs(self, worktree: str | None, limit: int = _RUNS) -> Rows:
        """Return the newest runs of a worktree, of the repository for None."""
        from daft_store import listing

        return listing.newest_invocations(
            self.db, self.repository, worktree=worktree, limit=limit, skipped=_drop
        )

    def jobs(self, worktree: str | None, runs: int) -> Rows:
        """Return (run, hook, trigger, time, job, status) of the newest runs' jobs."""
        from daft_store import labels

        return labels.jobs_of_newest(self.db, self.repository, worktree=worktree, runs=runs)

    def offered(
        self,
        worktree: str | None,
        *,
        run: str = "",
        of: str | None = None,
        worktrees: bool = False,
    ) -> Rows:
        """Return what may stand next in an address; see `labels.offered`."""
        from daft_store import labels

        return labels.offered(
            self.db,
            self.repository,
            worktree=worktree,
            run=run,
            of=of,
            worktrees=worktrees,
            runs=_RUNS,
        )

    def worktrees(self) -> list[tuple[str, str, int]]:
        """Return recorded worktrees, when each had its newest run, and how many it had."""
        from daft_store import labels

        return labels.worktrees(self.db, self.repository)

    def ago(self, moment: str) -> str:
        """Return how long ago a recorded time is."""
        return f"{age(max(0, self.now - epoch(moment)))} ago"


def _drop(_reason: str) -> None:
    """Leave out a row that cannot be read; the listing is where that is told."""


# --- addresses --------------------------------------------------------------------------------


def _addresses(record: _Record, word: str) -> list[Candidate]:
    left, colon, rest = word.partition(":")
    if not colon:
        return _offered(record, record.offered(record.worktree, worktrees=True), "")
    middle, second, _ = rest.partition(":")
    if second:
        run = _digits(middle)
        rows = record.offered(None, run=run, of=left) if run else []
        return _offered(record, rows, f"{left}:{middle}:")
    return _offered(record, record.offered(left, run=_digits(left)), f"{left}:")


def _digits(text: str) -> str:
    """Return `text` as the beginning of a run's id, "" when it can be none."""
    lower = text.lower()
    is_one = 2 <= len(lower) <= 16 and all(char in "0123456789abcdef" for char in lower)
    return lower if is_one else ""


def _offered(record: _Record, rows: Rows, before: str) -> list[Candidate]:
    """Return candidates for what is offered, the columns of each kind in line."""
    from daft_store.labels import COUNTED

    jobs = [row for row in rows if row[0] == "job"]
    lines = in_columns(
        [(f"{glyph(job[5])} {job[1]}", _when(record, job), f"[{job[2][:4]}]") for job in jobs]
    )
    found: list[Candidate] = [
        ("JOB", before + job[1], line) for job, line in zip(jobs, lines, strict=True)
    ]
    runs = [row for row in rows if row[0] == "run"]
    found += [("INV", before + one, line) for one, line in _run_lines(record, runs)]
    others = [row for row in rows if row[0] == "worktree" and row[1] not in ("", record.worktree)]
    lines = in_columns(
        [(one[1], _counted(one[4], "run", stop=COUNTED), record.ago(one[3])) for one in others]
    )
    return found + [("WT", f"{one[1]}:", line) for one, line in zip(others, lines, strict=True)]


def _when(record: _Record, job: Row) -> str:
    return record.ago(job[3]) if job[3] else str(job[5])


def _run_lines(record: _Record, runs: Rows) -> list[tuple[str, str]]:
    """Return short id and line of runs as they are offered."""
    lines = in_columns([(run[1], record.ago(run[3]), _counted(run[4], "job")) for run in runs])
    return [(run[2][:_ID_DIGITS], line) for run, line in zip(runs, lines, strict=True)]


def _counted(count: int, what: str, *, stop: int | None = None) -> str:
    """Return `3 jobs`, or `100+ jobs` where nobody counted on."""
    return f"{count}{'+' if count == stop else ''} {what if count == 1 else what + 's'}"


# --- what may be retried, and the words of filters ---------------------------------------------


def _retries(record: _Record, _word: str) -> list[Candidate]:
    bad: dict[str, list[Row]] = {}
    for job in record.jobs(record.worktree, _LOOKED_AT):
        if job[5] in _BAD_ENDS:
            bad.setdefault(job[0], []).append(job)
    per_hook: dict[str, list[int]] = {}
    for jobs in bad.values():
        per_hook.setdefault(jobs[0][1], []).append(len(jobs))
    found: list[Candidate] = [
        (hook, f"{sum(counts)} failed across {len(counts)}") for hook, counts in per_hook.items()
    ]
    shown = list(bad.items())[:_RUNS]
    words = [(jobs[0][2], record.ago(jobs[0][3]), f"{len(jobs)} failed") for _, jobs in shown]
    found += zip((run[:_ID_DIGITS] for run, _ in shown), in_columns(words), strict=True)
    for _, jobs in shown[:1]:
        found += [(job[4], f"{glyph(job[5])} {job[5]}") for job in jobs]
    return found


def _failing_worktrees(record: _Record, _word: str) -> list[Candidate]:
    newest: dict[str, Row] = {}
    for run in record.runs(None, _LOOKED_AT):
        if run[9] and run[1]:
            newest.setdefault(run[1], run)
    return [(label, "worktree", record.ago(run[4])) for label, run in sorted(newest.items())]


def _worktrees(record: _Record, _word: str) -> list[Candidate]:
    return [
        (label, "worktree", record.ago(newest)) for label, newest, _ in record.worktrees() if label
    ]


def _hooks(record: _Record, _word: str) -> list[Candidate]:
    from daft_store import labels

    known = labels.hook_types(record.db, record.repository)
    return [
        (hook, "hook", _counted(count, "invocation", stop=labels.COUNTED)) for hook, count in known
    ]


def _runs(record: _Record, _word: str) -> list[Candidate]:
    found = record.runs(None)
    return [*_run_lines(record, [("run", one[3], one[0], one[4], one[7], None) for one in found])]


def _names(record: _Record, _word: str) -> list[Candidate]:
    newest: dict[str, str] = {}
    for job in record.jobs(record.worktree, _RUNS):
        newest.setdefault(job[4], job[5])
    return [(name, f"{glyph(status)} {status}") for name, status in newest.items()]


_BRANCHES = {
    "go": "to_go_to",
    "remove": "to_remove",
    "branches": "all_branches",
    "worktrees": "worktrees",
}
"""Context -> the function of `branch_names` that answers it; these need no record."""
_CONTEXTS: dict[str, Callable[[_Record, str], list[Candidate]]] = {
    "hooks-jobs-job": _addresses,
    "hooks-jobs-retry": _retries,
    "hooks-jobs-retry-worktree": _failing_worktrees,
    "hooks-jobs-worktree": _worktrees,
    "hooks-jobs-hook-filter": _hooks,
    "hooks-jobs-run": _runs,
    "hooks-jobs-name": _names,
}
