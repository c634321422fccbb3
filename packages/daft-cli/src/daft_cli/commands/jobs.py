"""`daft jobs logs|cancel|wait`: following jobs and changing what they do.

The listing itself is `daft_cli.jobs_list`, which loads none of this.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import click

from daft_coordinator.domain.cancel import Selection, select
from daft_coordinator.domain.targets import KnownJob, Target, resolve
from daft_coordinator.joblog import read_log
from daft_hooks.domain.quantities import seconds
from daft_protocol.jobs import Job
from daft_protocol.messages import CancelMatching, JobEntry, Wait
from daft_protocol.records import LogRecord, RecordKind
from daft_protocol.status import UNFINISHED, JobStatus

from ..context import discover
from ..failures import NO_MATCH, TIMED_OUT, Trouble
from ..terminal import duration, harmless
from ..wiring import RepositoryJobs

KNOWN_JOBS = 5000
"""How far back addresses reach; whole invocation ids reach everything."""


class Jobs:
    """The recorded jobs of the repository one stands in."""

    def __init__(self) -> None:
        repository = discover()
        here = repository.current
        self.worktree = here.label if here is not None else None
        self.jobs = RepositoryJobs(repository.common_dir)
        if not self.jobs.has_history:
            raise Trouble(
                "no job was ever recorded in this repository",
                tips=("`daft start` and `daft hooks run` run the jobs of daft.yml",),
            )
        self.store = self.jobs.store()

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, *_: object) -> None:
        self.jobs.close()

    def known(self) -> list[KnownJob]:
        """Return recorded jobs as addresses see them, newest invocations first read."""
        found: list[KnownJob] = []
        for age, invocation in enumerate(self.store.recent_invocations(limit=1000)):
            found += [
                KnownJob(
                    uid=job.uid,
                    name=job.name,
                    invocation_id=job.invocation_id,
                    worktree=job.worktree,
                    order=-age,
                )
                for job in self.store.jobs_of(invocation.invocation_id)
            ]
            if len(found) >= KNOWN_JOBS:
                break
        return found

    def target(
        self, address: str, worktree: str | None, invocation: str | None, job: str | None
    ) -> Target:
        """Return what an address and its flags mean. Raises: JobNotFound, AmbiguousAddress."""
        return resolve(
            address,
            self.known(),
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


@click.group(name="jobs")
@click.option("--worktree", "outer_worktree", metavar="NAME", help="Jobs of this worktree.")
@click.option("--all", "outer_all", is_flag=True, help="All jobs.")
@click.pass_context
def command(context: click.Context, outer_worktree: str | None, outer_all: bool) -> None:
    """Follow jobs, stop them, wait for them. Without a verb they are listed."""
    context.obj = {"worktree": outer_worktree, "all": outer_all}


# --- logs -------------------------------------------------------------------------------------


@command.command()
@click.argument("address", default="")
@click.option("--inv", "invocation", metavar="ID", help="Of this invocation.")
@click.option("--worktree", metavar="NAME", help="Of this worktree.")
@click.option("--job", metavar="NAME", help="The job of this name.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--stdout", "kind", flag_value="stdout", help="Only standard output.")
@click.option("--stderr", "kind", flag_value="stderr", help="Only standard error.")
@click.option("--status", "kind", flag_value="status", help="Only what happened to the job.")
@click.option("--seq", "with_seq", is_flag=True, help="Show record numbers.")
@click.option("--since-seq", type=int, default=0, metavar="N", help="From record N on.")
@click.option("--since", metavar="DURATION", help="Only records younger than this.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--raw", is_flag=True, help="The output as it was, nothing else.")
@click.option("--format", "form", type=click.Choice(("json", "ndjson")), help="Records.")
@click.option("--exit-code", is_flag=True, help="Exit as the job did.")
@click.pass_obj
def logs(
    outer: dict[str, str | None],
    address: str,
    invocation: str | None,
    worktree: str | None,
    job: str | None,
    follow: bool,
    kind: str | None,
    with_seq: bool,
    since_seq: int,
    since: str | None,
    tail: int | None,
    raw: bool,
    form: str | None,
    exit_code: bool,
) -> int:
    """Show what a job printed. ADDRESS is a job, an invocation, or worktree@invocation/job."""
    after = None if since is None else int((time.time() - _seconds("--since", since)) * 1000)
    with Jobs() as here:
        target = here.target(address, worktree or outer["worktree"], invocation, job)
        found = here.jobs_at(target)
        view = _View(kind, with_seq, since_seq, after, tail, raw, form)
        if follow:
            if len(found) != 1:
                names = ", ".join(one.name for one in found)
                raise Trouble(f"--follow takes one job; this names several: {names}")
            code = _follow(here, found[0], view)
            return code if exit_code else 0
        with _pager(enabled=not raw and form is None) as out:
            for one in found:
                _show(here, one, view, out, several=len(found) > 1)
        last = found[-1] if found else None
        return (last.shell_exit_code or 0) if exit_code and last is not None else 0


class _View:
    """Which records are shown, and how."""

    def __init__(
        self,
        kind: str | None,
        with_seq: bool,
        since_seq: int,
        after_ms: int | None,
        tail: int | None,
        raw: bool,
        form: str | None,
    ) -> None:
        self.kind = RecordKind(kind) if kind else None
        self.with_seq = with_seq
        self.since_seq = since_seq
        self.after_ms = after_ms
        self.tail = tail
        self.raw = raw
        self.form = form

    def passes(self, record: LogRecord) -> bool:
        """True when `record` is to be shown."""
        if self.raw and record.kind is RecordKind.STATUS:
            return False
        if self.kind is not None and record.kind is not self.kind:
            return False
        if self.after_ms is not None and record.ts < self.after_ms:
            return False
        return record.seq >= self.since_seq

    def line(self, record: LogRecord) -> str:
        """Return one record as text, newline included."""
        if self.form == "ndjson":
            return json.dumps(record.as_json(), separators=(",", ":")) + "\n"
        seq = f"{record.seq:6d}\t" if self.with_seq else ""
        if isinstance(record.data, str):
            text = record.data if self.raw else harmless(record.data)
            return f"{seq}{text}\n"
        parts = [f"{key}={value}" for key, value in record.data.items() if key != "event"]
        if record.event == "note":
            parts = [str(record.data.get("text", ""))]
        return f"{seq}[status] {record.event} {harmless(' '.join(parts))}".rstrip() + "\n"


def _show(here: Jobs, job: Job, view: _View, out: object, *, several: bool) -> None:
    write = out.write  # type: ignore[attr-defined]
    directory = here.jobs.log_directory(job)
    records: Iterable[LogRecord] = (record for record in read_log(directory) if view.passes(record))
    if view.tail is not None:
        records = list(records)[-view.tail :] if view.tail else []
    if view.form == "json":
        write(json.dumps([record.as_json() for record in records], indent=2) + "\n")
        return
    if view.raw or view.form is not None:
        for record in records:
            write(view.line(record))
        return
    if several:
        took = "" if job.duration_ms is None else f" ({duration(job.duration_ms / 1000)})"
        write(f"══ {job.status.value.upper()} {harmless(job.name)}{took}\n")
    else:
        write(_header(job))
    count = 0
    for record in records:
        write(view.line(record))
        count += 1
    if not count:
        write("(no output)\n")
    if not several:
        write(f"Full log: {os.path.join(directory, 'output.jsonl')}\n")


def _header(job: Job) -> str:
    lines = [f"{job.status.value.upper()} {harmless(job.name)} [{job.invocation_id[:4]}]"]
    lines.append(f"worktree: {job.worktree}")
    lines.append(f"hook:     {job.hook_type}")
    if job.started_at is not None and job.status is not JobStatus.SKIPPED:
        local = job.started_at.astimezone()
        lines.append(f"started:  {local:%Y-%m-%d %H:%M:%S}")
    if job.duration_ms is not None:
        lines.append(f"duration: {duration(job.duration_ms / 1000)}")
    if job.end_detail:
        lines.append(f"ended:    {harmless(job.end_detail)}")
    if job.spec.command:
        lines.append(f"command:  {harmless(' '.join(job.spec.command.split()))}")
    return "\n".join([*lines, "", "--- output ---", ""])


def _follow(here: Jobs, job: Job, view: _View) -> int:
    """Print a job's records as they come; return its exit code."""
    uid = job.uid
    if job.status in UNFINISHED:
        with here.jobs.client() as client:
            for record in client.tail(uid, since_seq=view.since_seq, follow=True):
                if view.passes(record):
                    sys.stdout.write(view.line(record))
                    sys.stdout.flush()
    else:
        for record in read_log(here.jobs.log_directory(job), since_seq=view.since_seq):
            if view.passes(record):
                sys.stdout.write(view.line(record))
    ended = here.store.job(uid)
    return (ended.shell_exit_code or 0) if ended is not None else 0


@contextlib.contextmanager
def _pager(*, enabled: bool) -> Iterator[object]:
    """Give a place to write: a pager on a terminal, standard output otherwise."""
    if not (enabled and sys.stdout.isatty()):
        yield sys.stdout
        return
    words = os.environ.get("PAGER", "less -FRX").split() or ["cat"]
    try:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, text=True)
    except OSError:
        yield sys.stdout  # no such pager: plain output is as good
        return
    assert process.stdin is not None
    try:
        yield process.stdin
    except BrokenPipeError:
        pass  # the reader has left the pager
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()


# --- cancel -----------------------------------------------------------------------------------


@command.command()
@click.argument("address", default="")
@click.option("--all", "everything", is_flag=True, help="Every unfinished job.")
@click.option("--inv", "invocation", metavar="ID", help="Of this invocation.")
@click.option("--hook", metavar="TYPE", help="Of this kind of hook.")
@click.option("--worktree", metavar="NAME", help="Of this worktree.")
@click.option("--tag", metavar="TAG", help="With this tag.")
@click.option("--job", metavar="NAME", help="Of this name.")
@click.option("--older-than", metavar="DURATION", help="Running for at least this long.")
@click.option("--kill", is_flag=True, help="SIGKILL at once.")
@click.option("--no-wait", is_flag=True, help="Do not wait until they are gone.")
@click.option("-n", "--dry-run", is_flag=True, help="Only show which.")
@click.option("--quiet-if-none", is_flag=True, help="Nothing to stop is no failure.")
@click.pass_obj
def cancel(
    outer: dict[str, object],
    address: str,
    everything: bool,
    invocation: str | None,
    hook: str | None,
    worktree: str | None,
    tag: str | None,
    job: str | None,
    older_than: str | None,
    kill: bool,
    no_wait: bool,
    dry_run: bool,
    quiet_if_none: bool,
) -> int:
    """Stop jobs. Everything given must hold: ADDRESS, filters; `--all` stands alone.

    Exit code 0 when all are gone, 1 when something survived, 3 when nothing matched.
    """
    worktree = worktree or (str(outer["worktree"]) if outer["worktree"] else None)
    everything = everything or bool(outer["all"])
    filters = (invocation, hook, worktree, tag, job, older_than)
    narrowed = any(one is not None for one in filters) or bool(address)
    if everything and narrowed:
        raise click.UsageError("--all is not allowed with other filters or an address")
    if not everything and not narrowed:
        raise click.UsageError("say what to stop: an address, a filter, or --all")
    with Jobs() as here:
        selection = _selection(here, address, invocation, hook, worktree, tag, job, older_than)
        chosen = select(here.store.unfinished(), selection, now=datetime.now(UTC))
        if not chosen:
            sys.stderr.write("No active jobs matched.\n")
            return 0 if quiet_if_none else NO_MATCH
        if dry_run:
            for one in chosen:
                click.echo(f"would cancel {_full_address(one)} ({one.status.value})")
            return 0
        request = CancelMatching(
            job_uids=tuple(one.uid for one in chosen), kill=kill, wait=not no_wait
        )
        with here.jobs.client() as client:
            answer = client.cancel(request)
        survived = False
        states = {}
        for uid in request.job_uids or ():
            found = here.store.job(uid)
            states[uid] = "" if found is None else found.status.value
        for one in chosen:
            state = states[one.uid]
            survived = survived or (not no_wait and not JobStatus.parse(state).is_final)
            click.echo(f"{harmless(one.name)}  {state}  {_full_address(one)}")
        count = len(answer.results)
        click.echo(
            f"Cancelled {count} job(s): {', '.join(harmless(name) for name in answer.names)}"
        )
        return 1 if survived else 0


def _selection(
    here: Jobs,
    address: str,
    invocation: str | None,
    hook: str | None,
    worktree: str | None,
    tag: str | None,
    job: str | None,
    older_than: str | None,
) -> Selection:
    uids = None
    if address:
        target = here.target(address, worktree, invocation, job)
        uids = frozenset(one.uid for one in here.jobs_at(target))
    return Selection(
        job_uids=uids,
        job_name=None if address else job,
        worktree=worktree,
        hook_type=hook,
        tag=tag,
        invocation=invocation,
        older_than_s=None if older_than is None else _seconds("--older-than", older_than),
    )


# --- wait -------------------------------------------------------------------------------------


@command.command()
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]…")
@click.option("--worktree", metavar="NAME", help="Jobs of this worktree.")
@click.option("--all", "everything", is_flag=True, help="Every unfinished job.")
@click.option("--timeout", metavar="DURATION", help="Give up after this long (exit code 124).")
@click.pass_obj
def wait(
    outer: dict[str, object],
    addresses: tuple[str, ...],
    worktree: str | None,
    everything: bool,
    timeout: str | None,
) -> int:
    """Wait until jobs have ended: those named, else all unfinished ones of this worktree.

    Exit code 0 when all completed, 1 when something did not, 124 when time was up.
    """
    limit = None if timeout is None else timedelta(seconds=_seconds("--timeout", timeout))
    with Jobs() as here:
        everything = everything or bool(outer["all"])
        label = worktree or (str(outer["worktree"]) if outer["worktree"] else here.worktree)
        uids: list[str] = []
        for address in addresses:
            uids += [one.uid for one in here.jobs_at(here.target(address, worktree, None, None))]
        if not addresses:
            uids = [
                one.uid
                for one in here.store.unfinished()
                if everything or label is None or one.worktree == label
            ]
        if not uids:
            sys.stderr.write("Nothing to wait for.\n")
            return 0
        with here.jobs.client() as client:
            entries = client.wait(
                Wait(
                    job_uids=tuple(uids),
                    timeout_ms=None if limit is None else int(limit.total_seconds() * 1000),
                )
            )
        return _report(entries)


def _report(entries: Iterable[JobEntry]) -> int:
    code = 0
    for entry in entries:
        status = JobStatus.parse(entry.status)
        why = f" ({harmless(entry.end_detail)})" if entry.end_detail else ""
        click.echo(f"{harmless(entry.name)}  {entry.status}{why}")
        if not status.is_final:
            code = TIMED_OUT
        elif not status.is_success and code == 0:
            code = 1
    return code


def _seconds(option: str, text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {text!r}: {error}") from error


def _full_address(job: Job) -> str:
    return harmless(f"{job.worktree}@{job.invocation_id[:8]}/{job.name}")
