"""`daft jobs cancel`: stopping jobs, and telling which are gone."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from daft_coordinator.domain.cancel import Selection, select
from daft_coordinator.stops import REFUSED
from daft_protocol.jobs import Job
from daft_protocol.messages import CancelMatching

from ..durations import seconds_of
from ..failures import FAILED, NO_MATCH, OK
from ..formats import FORMATS
from ..outcomes import full_address, write_outcomes
from ..recorded import NoHistory, Recorded, addressed
from ..terminal import harmless
from .jobs import Outer


@click.command(name="cancel")
@click.argument("address", default="")
@click.option("--all", "everything", is_flag=True, help="Every unfinished job.")
@addressed
@click.option("--hook", metavar="TYPE", help="Of this kind of hook.")
@click.option("--tag", metavar="TAG", help="With this tag.")
@click.option("--older-than", metavar="DURATION", help="Running for at least this long.")
@click.option("--kill", is_flag=True, help="SIGKILL at once.")
@click.option("--signal", "first", metavar="NAME", help="Begin with this signal, not TERM.")
@click.option("--no-wait", is_flag=True, help="Do not wait until they are gone.")
@click.option("-n", "--dry-run", is_flag=True, help="Only show which.")
@click.option("--quiet-if-none", is_flag=True, help="Nothing to stop is no failure.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs.")
@click.pass_obj
def command(
    outer: Outer,
    address: str,
    everything: bool,
    job: str | None,
    worktree: str | None,
    invocation: str | None,
    hook: str | None,
    tag: str | None,
    older_than: str | None,
    kill: bool,
    first: str | None,
    no_wait: bool,
    dry_run: bool,
    quiet_if_none: bool,
    form: str | None,
) -> int:
    """Stop jobs. Everything given must hold: ADDRESS, filters; `--all` stands alone.

    Exit code 0 when all are gone, 1 when something survived, 3 when nothing matched.
    """
    outer.refuse_repo()
    worktree = worktree or outer.worktree
    everything = everything or outer.everything
    filters = (invocation, hook, worktree, tag, job, older_than)
    narrowed = any(one is not None for one in filters) or bool(address)
    if kill and first is not None:
        raise click.UsageError("--kill is not allowed with --signal")
    if everything and narrowed:
        raise click.UsageError("--all is not allowed with other filters or an address")
    if not everything and not narrowed:
        raise click.UsageError("say what to stop: an address, a filter, or --all")
    age_s = None if older_than is None else seconds_of("--older-than", older_than)
    try:
        recorded = Recorded()
    except NoHistory:
        if address:
            raise
        return _nothing(form, quiet_if_none=quiet_if_none)
    with recorded as here:
        uids = None
        if address:
            target = here.target(address, worktree=worktree, invocation=invocation, job=job)
            uids = frozenset(one.uid for one in here.jobs_at(target))
        selection = Selection(
            job_uids=uids,
            job_name=job,
            worktree=worktree,
            hook_type=hook,
            tag=tag,
            invocation=invocation,
            older_than_s=age_s,
        )
        chosen = select(here.store.unfinished(), selection, now=datetime.now(UTC))
        if not chosen:
            return _nothing(form, quiet_if_none=quiet_if_none)
        if dry_run:
            _tell(chosen, form)
            return OK
        request = CancelMatching(
            job_uids=tuple(one.uid for one in chosen), kill=kill, signal=first, wait=not no_wait
        )
        return _stop(here, chosen, request, form=form)


def _nothing(form: str | None, *, quiet_if_none: bool) -> int:
    if form is not None:
        write_outcomes((), form)
    sys.stderr.write("No active jobs matched.\n")
    return OK if quiet_if_none else NO_MATCH


def _tell(chosen: tuple[Job, ...], form: str | None) -> None:
    if form is not None:
        write_outcomes(chosen, form)
        return
    for one in chosen:
        click.echo(f"would cancel {harmless(full_address(one))} ({one.status.value})")


def _tell_refused(job: Job) -> None:
    sys.stderr.write(f"error: {harmless(job.name)} was not stopped: it runs as another user\n")
    if job.process is not None:
        sys.stderr.write(f"  tip: `sudo kill -- -{job.process.pgid}` stops it\n")


def _stop(
    here: Recorded, chosen: tuple[Job, ...], request: CancelMatching, *, form: str | None
) -> int:
    with here.jobs.client() as client:
        answer = client.cancel(request)
    states = tuple(here.store.job(one.uid) or one for one in chosen)
    write_outcomes(states, form)
    if form is None and answer.count:
        names = ", ".join(harmless(name) for name in answer.names)
        click.echo(f"Cancelled {answer.count} job(s): {names}")
    survived = [one for one in states if not one.status.is_final]
    forbidden = {one.job_uid for one in answer.results if one.outcome == REFUSED}
    refused = [one for one in survived if one.uid in forbidden]
    for one in refused:
        _tell_refused(one)
    still = [harmless(one.name) for one in survived if one.uid not in forbidden]
    if not request.wait or not still:
        return FAILED if refused else OK
    sys.stderr.write(f"error: still there: {', '.join(still)}\n")
    if not request.kill:
        sys.stderr.write("  tip: a second cancel kills; so does --kill at once\n")
    return FAILED
