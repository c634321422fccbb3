"""What job logs tell of jobs, for a store that lost its rows.

The first record of a log says which job it was, the last one how it ended. What a job ran, what
it needed and what never started is lost.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import apsw
from attrs import evolve

from daft_protocol.errors import ProtocolError
from daft_protocol.jobs import Invocation, Job, JobSpec, ProcessIdentity
from daft_protocol.names import directory_name
from daft_protocol.records import LogRecord
from daft_protocol.status import InvocationStatus, JobStatus, Source
from daft_store import ledger
from daft_store.places import BADGE_DIGITS, RepositoryPlaces

from ..logfiles import FILE_NAME, first_record, last_record
from ..results import told_ending
from . import rows


def take_in(
    db: apsw.Connection,
    places: RepositoryPlaces,
    *,
    unfinished: bool,
    led_apart: Collection[str] = (),
) -> int:
    """Add to a new store what the logs beside it tell; return the number of jobs.

    Invocations that it has already are left as they are.

    unfinished: also those whose log has no end. They have no owner, so whoever reconciles next
        finds out what became of them.
    led_apart: badges of invocations that have a living leader of their own. What is unfinished
        of them is left to it.
    """
    count = 0
    for invocation_id in _names(places.directory):
        if len(invocation_id) != 16:
            continue
        jobs = list(_jobs(os.path.join(places.directory, invocation_id), invocation_id))
        has_leader = invocation_id[:BADGE_DIGITS] in led_apart
        jobs = [job for job in jobs if job.status.is_final or (unfinished and not has_leader)]
        if not jobs or ledger.get_invocation(db, places.repository, invocation_id) is not None:
            continue
        invocation = _invocation_of(jobs)
        ledger.insert_submission(
            db,
            rows.invocation_row(places.repository, invocation),
            [rows.job_row(places.repository, job) for job in jobs],
        )
        count += len(jobs)
    return count


def _jobs(directory: str, invocation_id: str) -> Iterator[Job]:
    known: set[str] = set()
    for dir_name in _names(directory):
        path = os.path.join(directory, dir_name)
        first = first_record(path)
        job = None if first is None else _job_of(path, invocation_id, first)
        # The log says which directory it belongs to; anything else was put there by hand.
        if job is not None and directory_name(job.name) == dir_name and job.uid not in known:
            known.add(job.uid)
            yield job


def _job_of(directory: str, invocation_id: str, first: LogRecord) -> Job | None:
    told = first.data
    if isinstance(told, str) or told.get("event") != "started":
        return None
    texts = [told.get(name) for name in ("job", "uid", "hook", "worktree")]
    if not all(isinstance(text, str) for text in texts):
        return None  # a log of an earlier version
    name, uid, hook, worktree = (str(text) for text in texts)
    ending = told_ending(directory)
    last = last_record(directory) or first
    started = _moment(first)
    finished = _moment(last)
    try:
        spec = JobSpec(name=name, background=told.get("background") is True)
    except ProtocolError:
        return None
    job = Job(
        uid=uid,
        invocation_id=invocation_id,
        hook_type=hook,
        worktree=worktree,
        position=0,
        spec=spec,
        status=JobStatus.RUNNING,
        updated_at=finished,
        queued_at=started,
        started_at=started,
        dir_name=directory_name(name),
        process=_process_of(told),
        log_bytes=_size_of(directory),
    )
    if ending is None:
        return job
    return evolve(
        job,
        status=ending.status,
        finished_at=finished,
        duration_ms=max(0, int((finished - started).total_seconds() * 1000)),
        exit_code=ending.exit_code,
        term_signal=ending.term_signal,
        end_reason=ending.reason,
        end_detail=ending.detail,
    )


def _invocation_of(jobs: list[Job]) -> Invocation:
    oldest = min(jobs, key=lambda job: job.updated_at)
    return Invocation(
        invocation_id=oldest.invocation_id,
        hook_type=oldest.hook_type,
        trigger_command=oldest.hook_type,
        worktree=oldest.worktree,
        worktree_id="",
        worktree_path="",
        source=Source.HOOK,
        created_at=oldest.started_at or oldest.updated_at,
        status=InvocationStatus.COMPLETED,
    )


def _process_of(told: Mapping[str, Any]) -> ProcessIdentity | None:
    pid, start, boot = told.get("pid"), told.get("start"), told.get("boot")
    if type(pid) is int and pid > 0 and isinstance(start, str) and isinstance(boot, str):
        return ProcessIdentity(pid=pid, pgid=pid, start=start, boot_id=boot)
    return None


def _moment(record: LogRecord) -> datetime:
    try:
        return datetime.fromtimestamp(record.ts / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)  # nonsense in a log is no reason to lose the job


def _size_of(directory: str) -> int:
    try:
        return os.lstat(os.path.join(directory, FILE_NAME)).st_size
    except OSError:
        return 0  # gone between two looks


def _names(directory: str) -> list[str]:
    """Return the real directories in `directory`; links are not followed."""
    try:
        with os.scandir(directory) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )
    except OSError:
        return []  # deleted with the store: then there is nothing to take in
