"""`daft jobs wait`: going on when jobs have ended."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from daft_coordinator.domain.cancel import Selection, select
from daft_protocol.jobs import Job
from daft_protocol.messages import Wait

from ..durations import seconds_of
from ..failures import FAILED, OK, TIMED_OUT
from ..formats import FORMATS
from ..outcomes import write_outcomes
from ..recorded import NoHistory, Recorded, addressed
from .jobs import Outer


@click.command(name="wait")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]…")
@addressed
@click.option("--hook", metavar="TYPE", help="Jobs of this kind of hook.")
@click.option("--tag", metavar="TAG", help="Jobs with this tag.")
@click.option("--all", "everything", is_flag=True, help="Every unfinished job.")
@click.option("--timeout", metavar="DURATION", help="Give up after this long (exit code 124).")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs.")
@click.pass_obj
def command(
    outer: Outer,
    addresses: tuple[str, ...],
    job: str | None,
    worktree: str | None,
    invocation: str | None,
    hook: str | None,
    tag: str | None,
    everything: bool,
    timeout: str | None,
    form: str | None,
) -> int:
    """Wait until jobs have ended: those named, else all unfinished ones of this worktree.

    Exit code 0 when all completed, 1 when something did not, 124 when time was up.
    """
    outer.refuse_repo()
    worktree = worktree or outer.worktree
    everything = everything or outer.everything
    filters = (invocation, worktree, job, hook, tag)
    if everything and (addresses or any(one is not None for one in filters)):
        raise click.UsageError("--all is not allowed with other filters or an address")
    if addresses and (hook is not None or tag is not None):
        raise click.UsageError("--hook and --tag choose among unfinished jobs: not with an address")
    limit_s = None if timeout is None else seconds_of("--timeout", timeout)
    try:
        recorded = Recorded()
    except NoHistory:
        if addresses or job or invocation:
            raise
        return _nothing(form)
    with recorded as here:
        jobs: list[Job] = []
        for address in addresses or ([""] if job or invocation else []):
            target = here.target(address, worktree=worktree, invocation=invocation, job=job)
            jobs += here.jobs_at(target)
        if not addresses and not (job or invocation):
            label = worktree or (None if everything or hook or tag else here.worktree)
            wanted = Selection(worktree=label, hook_type=hook, tag=tag)
            jobs += select(here.store.unfinished(), wanted, now=datetime.now(UTC))
        if not jobs:
            return _nothing(form)
        uids = tuple(dict.fromkeys(one.uid for one in jobs))
        with here.jobs.client() as client:
            client.wait(
                Wait(job_uids=uids, timeout_ms=None if limit_s is None else int(limit_s * 1000))
            )
        ended = [found for uid in uids if (found := here.store.job(uid)) is not None]
        write_outcomes(ended, form)
        return _code(ended)


def _nothing(form: str | None) -> int:
    if form is not None:
        write_outcomes((), form)
    sys.stderr.write("Nothing to wait for.\n")
    return OK


def _code(jobs: Sequence[Job]) -> int:
    if any(not job.status.is_final for job in jobs):
        return TIMED_OUT
    return OK if all(job.status.is_success for job in jobs) else FAILED
