"""The recorded jobs of one repository, and which of them an address means."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from daft_coordinator.domain.targets import KnownJob, Target, resolve
from daft_protocol.jobs import Job
from daft_store import listing
from daft_store.identity import read_repository_id
from daft_store.places import RepositoryPlaces

from .failures import STORE_UNUSABLE, Trouble
from .terminal import warn
from .whereabouts import choose_repository, find_repository, state_directory
from .wiring import RepositoryJobs

F = TypeVar("F", bound=Callable[..., Any])

KNOWN_RUNS = 1000
"""How many hook runs back an address reaches; a whole id, or `--inv` with one, reaches all."""
LAST = "-"
"""The address of what was shown last."""
_LAST_FILE = "last-shown"
_ID_DIGITS = 16


def addressed(function: F) -> F:
    """Add the options that say, beside an address or instead of one, which job is meant."""
    for option in (
        click.option("--job", metavar="NAME", help="The job of this name."),
        click.option("--worktree", metavar="NAME", help="Of this worktree, also one that is gone."),
        click.option("--inv", "invocation", metavar="ID", help="Of this hook run."),
    ):
        function = option(function)
    return function


class Recorded:
    """What is recorded of one repository: the one here, or the one that `repo` chooses.

    Raises: Trouble when nothing is recorded; StoreError.
    """

    def __init__(self, repo: str | None = None) -> None:
        self.worktree: str | None = None
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
        if identity is None or not RepositoryJobs.of(identity).has_history:
            raise Trouble(
                "no job was ever recorded in this repository",
                tips=("`daft start` and `daft hooks run` run the jobs of daft.yml",),
            )
        self._places = RepositoryPlaces(state_directory(), identity)
        self.jobs = RepositoryJobs.of(identity)
        self.store = self.jobs.store()

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

        Raises: Trouble, JobNotFound, AmbiguousAddress, BadAddress.
        """
        if address == LAST:
            return self._last_shown()
        known = self._known(whole_id(address, invocation))
        if not address and (worktree, invocation, job) == (None, None, None):
            return self._newest(known)
        return resolve(
            address,
            known,
            current_worktree=self.worktree,
            worktree=worktree,
            invocation=invocation,
            job=job,
        )

    def jobs_at(self, target: Target) -> tuple[Job, ...]:
        """Return the job, or the jobs of the invocation, that a target means."""
        if target.job_uid is not None:
            job = self.store.job(target.job_uid)
            return () if job is None else (job,)
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

    def _newest(self, known: list[KnownJob]) -> Target:
        if not known:
            raise Trouble("no job was ever recorded in this repository")
        here = [one for one in known if one.worktree == self.worktree] or known
        newest = max(here, key=lambda one: one.order)
        return Target(invocation_id=newest.invocation_id, worktree=newest.worktree)

    def _known(self, whole: str | None) -> list[KnownJob]:
        """Return recorded jobs as addresses see them; with `whole`, those of one run however old.

        They are read as the listing reads them: two statements, no value that is not needed.
        """
        repository = self._places.repository
        try:
            db = listing.open_listing(self._places.database)
            if db is None:
                return []
            runs = listing.newest_invocations(db, repository, limit=KNOWN_RUNS, skipped=_skipped)
            ids = [run[0] for run in runs]
            if whole is not None and whole not in ids:
                old = self.store.invocation(whole)
                if old is not None:
                    ids.append(whole)
                    runs.append((whole, old.worktree))
            jobs = listing.jobs_of(db, repository, ids, skipped=_skipped)
        except listing.ListingError as error:
            raise Trouble(str(error), code=STORE_UNUSABLE) from error
        db.close()
        facts = {run[0]: (run[1], -age) for age, run in enumerate(runs)}
        return [
            KnownJob(
                uid=job[13],
                name=job[1],
                invocation_id=job[0],
                worktree=facts[job[0]][0],
                order=facts[job[0]][1],
            )
            for job in jobs
        ]


def _skipped(what: str) -> None:
    warn(f"a row of the job store cannot be read and is left out: {what}")


def whole_id(address: str, invocation: str | None) -> str | None:
    """Return the whole invocation id that an address holds, None when it has only a prefix."""
    text = address if invocation is None else invocation
    for mark in "@:/":
        text = text.replace(mark, " ")
    for word in text.lower().split():
        if len(word) == _ID_DIGITS and set(word) <= set("0123456789abcdef"):
            return word
    return None
