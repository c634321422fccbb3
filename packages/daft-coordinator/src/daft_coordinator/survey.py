"""What there is to clean up: rows, directories and processes, seen together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from attrs import evolve

from daft_protocol.jobs import ProcessIdentity

from .domain import policy, retention
from .domain.retention import KeptInvocation, KeptJob, Snapshot, StrayDirectory
from .history import JobHistory, LogDirectory, RunningJob
from .ports import ProcessControl


class Surveyor:
    """Looks at one repository and changes nothing.

    living_worktrees: labels of worktrees that exist; None: not known.
    """

    def __init__(
        self,
        history: JobHistory,
        *,
        processes: ProcessControl,
        living_worktrees: Collection[str] | None,
    ) -> None:
        self._history = history
        self._processes = processes
        self._living = living_worktrees

    def look(self, taken_at: datetime, *, ages_hold: bool) -> Snapshot:
        """Return everything a decision depends on. Raises: StoreUnavailable."""
        # Files before rows: a directory whose row was not there yet would look like a stray.
        directories = {
            (one.invocation_id, one.dir_name): one for one in self._history.directories()
        }
        running = {job.uid: job for job in self._history.running()}
        kept: list[KeptInvocation] = []
        for invocation in self._history.invocations():
            beside = directories.pop((invocation.invocation_id, ""), None)
            jobs = [
                self._measured(
                    job,
                    directories.pop((invocation.invocation_id, job.dir_name), None),
                    running.get(job.uid),
                )
                for job in invocation.jobs
            ]
            other_bytes = 0 if beside is None else beside.bytes
            kept.append(evolve(invocation, jobs=tuple(jobs), other_bytes=other_bytes))
        return Snapshot(
            taken_at=taken_at,
            invocations=kept,
            policy=policy.effective(self._history.policy()),
            living_worktrees=self._living,
            was_replaced=self._history.was_replaced(),
            strays=tuple(_strays(directories.values(), taken_at)),
            ages_hold=ages_hold,
        )

    def _measured(
        self, job: KeptJob, directory: LogDirectory | None, running: RunningJob | None
    ) -> KeptJob:
        measured = evolve(job, log_bytes=None if directory is None else directory.bytes)
        if running is None:
            return measured
        owner, process = running.owner, running.process
        return evolve(
            measured,
            owner_gone=owner is None or self._processes.is_alive(owner) is False,
            process_gone=process is None or self._is_gone(process, job.uid),
        )

    def _is_gone(self, process: ProcessIdentity, uid: str) -> bool:
        """True when neither the process of a job nor anything it started is left."""
        if self._processes.is_alive(process) is not False:
            return False
        return not self._processes.family(process, uid)


def _strays(left: Collection[LogDirectory], taken_at: datetime) -> Iterator[StrayDirectory]:
    """Return the directories no row accounts for; one that goes whole is named once, in whole."""
    whole = {one.invocation_id: one for one in left if not one.dir_name}
    extra = dict.fromkeys(whole, 0)
    for directory in left:
        if directory.dir_name and directory.invocation_id in whole:
            extra[directory.invocation_id] += directory.bytes
        elif directory.dir_name:
            yield _stray(directory, taken_at)
    for invocation_id, directory in whole.items():
        stray = _stray(directory, taken_at)
        yield evolve(stray, bytes=stray.bytes + extra[invocation_id])


def _stray(directory: LogDirectory, taken_at: datetime) -> StrayDirectory:
    return StrayDirectory(
        invocation_id=directory.invocation_id,
        dir_name=directory.dir_name,
        age_s=retention.age_s(directory.modified_at, taken_at),
        bytes=directory.bytes,
    )
