"""Whether worktrees are set up, and how many jobs run for them, told by the rows of a listing.

Read as the listing of jobs reads them: these questions are asked before a prompt returns.
"""

from __future__ import annotations

from daft_store import listing

from .terminal import warn
from .whereabouts import identity_of, state_directory

HOOK = "worktree-post-create"
_NEWEST = 500
_UNFINISHED = frozenset({"queued", "waiting", "running", "cancelling"})
_WELL = frozenset({"completed", "skipped"})


class SetupStates:
    """What the record says of each worktree of a repository. Creates nothing.

    of: worktree label -> pending, running, ok, failed, skipped-untrusted or skipped-user; one
        without a recorded set-up is left out.
    unfinished: worktree label -> jobs that a living leader still has to do.
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
        db = listing.open_listing(f"{root}/jobs/{repository}/coordinator.db")
        if db is None:
            return
        runs: dict[str, tuple[object, ...]] = {}
        found = listing.newest_invocations(
            db, repository, hook=HOOK, limit=_NEWEST, skipped=_skipped
        )
        for run in found:
            runs.setdefault(run[1], run)
        busy = listing.unfinished_counts(db, repository)
        statuses: dict[str, set[str]] = {}
        ids = [str(run[0]) for run in runs.values()]
        for job in listing.jobs_of(db, repository, ids, skipped=_skipped):
            statuses.setdefault(job[0], set()).add(job[2])
        db.close()
        alive = bool(busy) and _leader_lives(f"{root}/coordinator-{repository}.lock")
        if alive:
            self.unfinished = dict(busy)
        for label, run in runs.items():
            if run[5] == "skipped":
                user = "request" in str(run[6] or "")
                self.of[label] = "skipped-user" if user else "skipped-untrusted"
            else:
                self.of[label] = _state(statuses.get(str(run[0]), set()), alive=alive)


def _state(statuses: set[str], *, alive: bool) -> str:
    if statuses - _UNFINISHED - _WELL:
        return "failed"
    if statuses & _UNFINISHED:
        return "running" if alive else "pending"
    return "ok"


def _leader_lives(lock: str) -> bool:
    from daft_coordinator.station import leader_lives

    return leader_lives(lock)


def _skipped(what: str) -> None:
    warn(f"a row of the job store cannot be read and is left out: {what}")
