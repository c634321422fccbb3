"""The recorded jobs of one repository, and which of them an address means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from daft_coordinator.domain.targets import KnownJob, Target, resolve
from daft_protocol.address import JobAddress, readings
from daft_protocol.jobs import Job
from daft_store import labels, listing
from daft_store.identity import read_repository_id
from daft_store.places import RepositoryPlaces

from .choosing import choose_repository
from .failures import STORE_UNUSABLE, Trouble
from .terminal import warn
from .whereabouts import find_repository, state_directory
from .wiring import RepositoryJobs

if TYPE_CHECKING:
    import apsw

F = TypeVar("F", bound=Callable[..., Any])

_SUGGESTED_RUNS = 5
_TWINS = 50  # runs whose ids start alike; more than these no message would list
LAST = "-"
"""The address of what was shown last."""
_LAST_FILE = "last-shown"


def addressed(function: F) -> F:
    """Add the options that say, beside an address or instead of one, which job is meant."""
    for option in (
        click.option("--job", metavar="NAME", help="The job of this name."),
        click.option("--worktree", metavar="NAME", help="Of this worktree, also one that is gone."),
        click.option("--inv", "invocation", metavar="ID", help="Of this hook run."),
    ):
        function = option(function)
    return function


class NoHistory(Trouble):
    """No job was ever recorded in the repository, so that it has no store."""

    def __init__(self) -> None:
        super().__init__(
            "no job was ever recorded in this repository",
            tips=("`daft start` and `daft hooks run` run the jobs of daft.yml",),
        )


class Recorded:
    """What is recorded of one repository: the one here, or the one that `repo` chooses.

    Raises: NoHistory; Trouble outside of a repository; StoreError.
    """

    def __init__(self, repo: str | None = None) -> None:
        self.worktree: str | None = None
        root = state_directory()
        identity: str | None
        if repo is not None:
            identity = choose_repository(repo)
        else:
            cwd = os.getcwd()
            here = find_repository(cwd)
            if here is None:
                raise Trouble(
                    f"Not inside a Git repository: {cwd}",
                    tips=("`daft -C <path> jobs …` asks about another directory",),
                )
            common, self.worktree = here
            identity = read_repository_id(common)
        if identity is None:
            raise NoHistory
        self._places = RepositoryPlaces(root, identity)
        self.jobs = RepositoryJobs.of(identity)
        store = self.jobs.seen()
        if store is None:
            raise NoHistory
        self.store = store

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        self.jobs.close()

    # --- addresses ----------------------------------------------------------------------------

    def target(
        self,
        address: str = "",
        *,
        worktree: str | None = None,
        invocation: str | None = None,
        job: str | None = None,
    ) -> Target:
        """Return what an address and its options mean; nothing at all means the newest run here.

        Raises: Trouble, UsageError, JobNotFound, AmbiguousAddress, BadAddress.
        """
        flags = JobAddress(worktree=worktree, invocation=invocation, job=job)
        if address == LAST:
            if flags != JobAddress():
                raise click.UsageError(f"'{LAST}' is one job or run: not with --job, --inv, …")
            return self._last_shown()
        if not address and flags == JobAddress():
            return self._newest()
        known = self._known([*(readings(address) if address else ()), flags], job)
        return resolve(
            address,
            known,
            current_worktree=self.worktree,
            worktree=worktree,
            invocation=invocation,
            job=job,
        )

    def jobs_at(self, target: Target) -> tuple[Job, ...]:
        """Return the job, or the jobs of the invocation, that a target means.

        Raises: Trouble when the job's row cannot be read, or has gone since it was found.
        """
        if target.job_uid is not None:
            job = self.store.job(target.job_uid)
            if job is None:
                raise Trouble(
                    f"what is recorded of job '{target.job_name}' cannot be read",
                    tips=("`daft jobs` lists what can",),
                )
            return (job,)
        return self.store.jobs_of(target.invocation_id)

    def remember(self, target: Target) -> None:
        """Make `target` what the address `-` means from now on."""
        path = os.path.join(self._places.directory, _LAST_FILE)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
            try:
                os.write(fd, f"{target.invocation_id} {target.job_uid or ''}".encode())
            finally:
                os.close(fd)
        except OSError:
            pass  # a full or read-only disk must not keep anybody from reading a log

    def _last_shown(self) -> Target:
        try:
            with open(os.path.join(self._places.directory, _LAST_FILE), encoding="utf-8") as file:
                invocation_id, _, uid = file.read(200).partition(" ")
        except FileNotFoundError:
            invocation_id = uid = ""
        found = self.store.invocation(invocation_id) if invocation_id else None
        job = self.store.job(uid) if uid else None
        if found is None or (uid and job is None):
            raise Trouble(
                "'-' means what `daft jobs logs` showed last, which is nothing that still exists",
                tips=("`daft jobs` lists what there is",),
            )
        return Target(
            invocation_id=invocation_id,
            worktree=found.worktree,
            job_uid=uid or None,
            job_name=None if job is None else job.name,
        )

    def _newest(self) -> Target:
        db, repository = self._rows()
        runs = listing.newest_invocations(
            db, repository, worktree=self.worktree, limit=1, skipped=_skipped
        ) or listing.newest_invocations(db, repository, limit=1, skipped=_skipped)
        db.close()
        if not runs:
            raise NoHistory
        return Target(invocation_id=runs[0][0], worktree=runs[0][1])

    def _known(self, meant: list[JobAddress], name: str | None) -> list[KnownJob]:
        """Return the recorded jobs that could be meant, and some that could not, to suggest.

        However long the history is, only what carries a name or an id that was said is read.
        name: from an option; it stands in every reading.
        """
        db, repository = self._rows()
        worktrees = dict.fromkeys((self.worktree, None, *(one.worktree for one in meant)))
        names = dict.fromkeys(one for one in (name, *(one.job for one in meant)) if one)
        prefixes = dict.fromkeys(one.invocation.lower() for one in meant if one.invocation)
        runs: list[str] = []
        for worktree in worktrees:
            newest = listing.newest_invocations(
                db, repository, worktree=worktree, limit=_SUGGESTED_RUNS, skipped=_skipped
            )
            runs += [run[0] for run in newest]
        for prefix in prefixes:
            found = labels.invocations_starting_with(db, repository, prefix, limit=_TWINS)
            runs += [invocation_id for invocation_id, _ in found]
        rows = labels.jobs_of_runs(db, repository, list(dict.fromkeys(runs)))
        for one in names:
            for worktree in worktrees:
                rows += labels.jobs_named(db, repository, one, worktree=worktree)
        db.close()
        return _known_jobs(dict.fromkeys(rows))

    def _rows(self) -> tuple[apsw.Connection, str]:
        """Return the store as the listing opens it. Raises: Trouble."""
        try:
            db = listing.open_jobs(self._places.root, self._places.repository)
        except listing.ListingError as error:
            raise Trouble(str(error), code=STORE_UNUSABLE) from error
        if db is None:
            raise NoHistory
        return db, self._places.repository


def _known_jobs(rows: Iterable[tuple[str, str, str, str, str]]) -> list[KnownJob]:
    """Return rows of `labels` as addresses see them; jobs of one run keep their order."""
    rows = list(rows)
    ages = sorted({(created_at, run) for _, _, run, _, created_at in rows})
    order = {run: place for place, (_, run) in enumerate(ages)}
    return [
        KnownJob(uid=uid, name=name, invocation_id=run, worktree=worktree, order=order[run])
        for uid, name, run, worktree, _ in rows
    ]


def _skipped(what: str) -> None:
    warn(f"a row of the job store cannot be read and is left out: {what}")
