"""Whether worktrees are set up, and how many jobs run for them, told by the rows of a listing.

Read as the listing of jobs reads them: these questions are asked before a prompt returns.
"""

from __future__ import annotations

from daft_store import listing

from .terminal import warn
from .whereabouts import identity_of, state_directory

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from typing import Any

    import apsw

    Row = tuple[Any, ...]

HOOK = "worktree-post-create"
UNTRACKED = "does not track "
"""How the reason begins why a job has no part in a move."""
_NEWEST = 500
_UNFINISHED = frozenset({"queued", "waiting", "running", "cancelling"})
_WELL = frozenset({"completed", "skipped"})


class SetupStates:
    """What the record says of each worktree of a repository. Creates nothing.

    of: worktree label -> pending, running, ok, failed, skipped-untrusted or skipped-user; one
        without a recorded set-up is left out.
    unfinished: worktree label -> jobs that living leaders still have to do.
    """

    def __init__(self, common_dir: str) -> None:
        self.of: dict[str, str] = {}
        self.unfinished: dict[str, int] = {}
        repository = identity_of(common_dir)
        if not repository:
            return
        try:
            self._read(repository)
        except listing.ListingError as error:
            warn(f"the state of set-ups is not known: {error}")
        except Exception as error:
            if type(error).__module__ != "apsw":
                raise
            warn(f"the state of set-ups is not known: {error}")

    def _read(self, repository: str) -> None:
        root = state_directory()
        db = listing.open_jobs(root, repository)
        if db is None:
            return
        runs: dict[str, list[Row]] = {}
        found = listing.newest_invocations(
            db, repository, hook=HOOK, limit=_NEWEST, skipped=_skipped
        )
        for run in found:
            runs.setdefault(run[1], []).append(run)
        busy = listing.unfinished_counts(db, repository)
        statuses, left_out = _statuses(db, repository, runs)
        db.close()
        alive = bool(busy) and _anybody_leads(f"{root}/coordinator-{repository}.lock")
        if alive:
            self.unfinished = dict(busy)
        for label in runs:
            if label in left_out:
                user = "request" in str(left_out[label][6] or "")
                self.of[label] = "skipped-user" if user else "skipped-untrusted"
            else:
                self.of[label] = _state(set(statuses[label].values()), alive=alive)


def _statuses(
    db: apsw.Connection, repository: str, runs: dict[str, list[Row]]
) -> tuple[dict[str, dict[str, str]], dict[str, Row]]:
    """Return worktree label -> job -> status, by its newest run and what that leaves out.

    A move runs only what tracks it; of the other jobs the runs before it tell.
    Also: worktree label -> the run that would tell and was skipped whole.
    """
    told: dict[str, dict[str, str]] = {label: {} for label in runs}
    left_out: dict[str, Row] = {}
    asked, turn = set(runs), 0
    while asked:
        there = {one: runs[one][turn] for one in asked if turn < len(runs[one])}
        left_out |= {one: run for one, run in there.items() if run[5] == "skipped"}
        labels = {str(run[0]): one for one, run in there.items() if one not in left_out}
        asked = set()
        for job in listing.jobs_of(db, repository, list(labels), skipped=_skipped):
            label = labels[job[0]]
            if job[2] == "skipped" and str(job[10] or "").startswith(UNTRACKED):
                asked.add(label)
            else:
                told[label].setdefault(job[1], job[2])
        turn += 1
    return told, left_out


def _state(statuses: set[str], *, alive: bool) -> str:
    if statuses - _UNFINISHED - _WELL:
        return "failed"
    if statuses & _UNFINISHED:
        return "running" if alive else "pending"
    return "ok"


def _anybody_leads(lock: str) -> bool:
    from daft_coordinator.station import anybody_leads

    return anybody_leads(lock)


def _skipped(what: str) -> None:
    warn(f"a row of the job store cannot be read and is left out: {what}")
