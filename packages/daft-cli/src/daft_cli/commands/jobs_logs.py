"""`daft jobs logs`: what jobs printed, and what they print now."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO

import click

from daft_coordinator.logfiles import FILE_NAME
from daft_coordinator.logreader import LogCursor
from daft_protocol.jobs import Job
from daft_protocol.records import LogRecord, RecordKind
from daft_protocol.status import UNFINISHED

from ..durations import seconds_of
from ..failures import Trouble
from ..logview import LogView, heading, run_heading, section
from ..paging import paged
from ..recorded import Recorded, addressed
from ..terminal import harmless, warn
from ..wiring import RepositoryJobs
from .jobs import Outer

FOLLOWED_AT_ONCE = 32
"""Every followed job is a connection, and a leader has room for 64."""


@click.command(name="logs")
@click.argument("address", default="")
@addressed
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--stdout", "stdout", is_flag=True, help="Only standard output.")
@click.option("--stderr", "stderr", is_flag=True, help="Only standard error.")
@click.option("--status", "status", is_flag=True, help="Only what happened to the job.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was printed.")
@click.option("--seq", "numbers", is_flag=True, help="Show record numbers.")
@click.option("--since-seq", type=click.IntRange(min=0), default=0, metavar="N", help="From N on.")
@click.option("--since", metavar="DURATION", help="Only records younger than this.")
@click.option("--head", type=click.IntRange(min=0), metavar="N", help="Only the first N lines.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--raw", is_flag=True, help="The output as it was, nothing else.")
@click.option("--format", "form", type=click.Choice(("json", "ndjson")), help="Records.")
@click.option("--exit-code", is_flag=True, help="Exit as the job did.")
@click.option("--repo", metavar="REPO", help="Of this repository: its name, a path or an id.")
@click.pass_obj
def command(
    outer: Outer,
    address: str,
    job: str | None,
    worktree: str | None,
    invocation: str | None,
    follow: bool,
    stdout: bool,
    stderr: bool,
    status: bool,
    timestamps: bool,
    numbers: bool,
    since_seq: int,
    since: str | None,
    head: int | None,
    tail: int | None,
    raw: bool,
    form: str | None,
    exit_code: bool,
    repo: str | None,
) -> int:
    """Show what a job printed.

    ADDRESS is a job, a hook run (2 to 16 digits of its id), or worktree@run/job; `-` is what was
    shown last. Without any, the newest hook run of this worktree.
    """
    outer.refuse_all()
    repo = repo or outer.repo
    if follow and repo is not None:
        raise click.UsageError("--repo applies to listing and one-shot `logs` only")
    if follow and (head is not None or form == "json"):
        raise click.UsageError("--follow has no end to wait for: not with --head or --format json")
    if raw and (form is not None or numbers or timestamps or status):
        raise click.UsageError("--raw is the output alone: not with other ways to show it")
    view = LogView(
        kind=_kind(stdout=stdout, stderr=stderr, status=status),
        since_seq=since_seq,
        after_ms=_after(since),
        head=head,
        tail=tail,
        numbers=numbers,
        times=timestamps,
        raw=raw,
        form=form,
    )
    with Recorded(repo) as here:
        target = here.target(
            address, worktree=worktree or outer.worktree, invocation=invocation, job=job
        )
        jobs = here.jobs_at(target)
        here.remember(target)
        if follow:
            _follow(here, jobs, view)
        else:
            with paged(enabled=not raw and form is None) as out:
                _show(here, target.invocation_id, jobs, view, out)
        return _exit_code(here, jobs) if exit_code else 0


def _kind(**wanted: bool) -> RecordKind | None:
    names = [name for name, is_wanted in wanted.items() if is_wanted]
    if len(names) > 1:
        raise click.UsageError(f"--{names[0]} is not allowed with --{names[1]}")
    return RecordKind(names[0]) if names else None


def _after(since: str | None) -> int | None:
    return None if since is None else int((time.time() - seconds_of("--since", since)) * 1000)


def _exit_code(here: Recorded, jobs: Sequence[Job]) -> int:
    """Return the first code of a job that did not end well; one that never ran counts as 1."""
    for job in jobs:
        ended = here.store.job(job.uid) or job
        if ended.shell_exit_code:
            return ended.shell_exit_code
        if not ended.status.is_success:
            return 1
    return 0


# --- logs as they are -------------------------------------------------------------------------


def _show(
    here: Recorded, invocation_id: str, jobs: Sequence[Job], view: LogView, out: IO[bytes]
) -> None:
    plain = not view.raw and view.form is None
    if view.form == "json":
        _show_array(here, jobs, view, out)
        return
    if plain and len(jobs) == 1:
        out.write(_utf8(heading(jobs[0], here.store.invocation(invocation_id))))
    elif plain and (invocation := here.store.invocation(invocation_id)) is not None:
        out.write(_utf8(run_heading(invocation, len(jobs))))
    for job in jobs:
        if plain and len(jobs) > 1:
            out.write(_utf8(section(job)))
        printed = False
        name = "" if plain or len(jobs) == 1 else job.name
        for part in view.text(view.of(_records(here, job)), name):
            out.write(part)
            printed = True
        if plain and not printed:
            out.write(b"(no output)\n" if len(jobs) == 1 else b"(empty)\n")
    if plain and len(jobs) == 1:
        path = os.path.join(here.jobs.log_directory(jobs[0]), FILE_NAME)
        if os.path.exists(path):
            out.write(_utf8(f"Full log: {harmless(path)}\n"))


def _show_array(here: Recorded, jobs: Sequence[Job], view: LogView, out: IO[bytes]) -> None:
    before = b"[\n  "
    for job in jobs:
        name = "" if len(jobs) == 1 else job.name
        for record in view.of(_records(here, job)):
            out.write(before + view.line(record, name).rstrip(b"\n"))
            before = b",\n  "
    out.write(b"[]\n" if before.startswith(b"[") else b"\n]\n")


def _records(here: Recorded, job: Job) -> Iterator[LogRecord]:
    """Yield a log as it is now, and say at its end what could not be read."""
    cursor = LogCursor(here.jobs.log_directory(job))
    try:
        while records := cursor.read():
            yield from records
        if cursor.bad_lines:
            warn(f"{cursor.bad_lines} line(s) in the log of {harmless(job.name)} are no records")
    finally:
        cursor.close()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


# --- logs as they grow ------------------------------------------------------------------------


def _follow(here: Recorded, jobs: Sequence[Job], view: LogView) -> None:
    """Print the records of `jobs` as they come, until all have ended."""
    growing = [job for job in jobs if job.status in UNFINISHED]
    if len(growing) > FOLLOWED_AT_ONCE:
        raise Trouble(
            f"{len(growing)} jobs of this hook run have not ended, and at most "
            f"{FOLLOWED_AT_ONCE} can be followed at once",
            tips=("name one of them",),
        )
    width = max((len(job.name) for job in jobs), default=0)
    names = {job.uid: job.name.ljust(width) if len(jobs) > 1 else "" for job in jobs}
    for job in jobs:
        if job not in growing:
            _write(b"".join(view.text(view.of(_records(here, job)), names[job.uid])))
    for job, record in _growing(here, growing, view):
        _write(view.line(record, names[job.uid]))


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _growing(here: Recorded, jobs: Sequence[Job], view: LogView) -> Iterator[tuple[Job, LogRecord]]:
    """Yield the records of `jobs` as they come; each log in its order."""
    if len(jobs) == 1:
        for record in _tail_of(here.jobs, jobs[0], view):
            yield jobs[0], record
        return
    arrived: queue.SimpleQueue[tuple[Job, LogRecord | Exception | None]] = queue.SimpleQueue()

    def listen(job: Job) -> None:
        # A store belongs to the thread that opened it.
        mine = RepositoryJobs.of(here.jobs.repository or "")
        try:
            for record in _tail_of(mine, job, view):
                arrived.put((job, record))
            arrived.put((job, None))
        except Exception as error:  # handed over to the thread that shows it
            arrived.put((job, error))
        finally:
            mine.close()

    for job in jobs:
        # An interrupt ends the viewer at once, whatever these are waiting for.
        threading.Thread(target=listen, args=(job,), daemon=True).start()
    left = len(jobs)
    while left:
        job, what = arrived.get()
        if isinstance(what, Exception):
            raise what
        if what is None:
            left -= 1
        else:
            yield job, what


def _tail_of(jobs: RepositoryJobs, job: Job, view: LogView) -> Iterator[LogRecord]:
    since = view.since_seq
    if view.tail is not None:
        since = max(since, _first_of_tail(jobs, job, view))
    with jobs.client() as client:
        for record in client.tail(job.uid, since_seq=since, follow=True):
            if view.shows(record):
                yield record


def _first_of_tail(jobs: RepositoryJobs, job: Job, view: LogView) -> int:
    """Return the number of the first record of the tail as it is now."""
    cursor = LogCursor(jobs.log_directory(job))
    try:
        now = [record for records in iter(cursor.read, []) for record in records]
    finally:
        cursor.close()
    shown = list(view.of(now))
    if shown:
        return shown[0].seq
    return now[-1].seq + 1 if now else 0
