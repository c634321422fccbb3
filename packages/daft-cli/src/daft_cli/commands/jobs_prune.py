"""`daft jobs prune`: removing old runs with their logs, and saying exactly what went."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from daft_coordinator.adapters.sqlite_history import SqliteHistory
from daft_coordinator.adapters.sweep import Cleaned, Looked, Sweep
from daft_coordinator.domain import policy
from daft_coordinator.domain.retention import Wishes
from daft_protocol.status import JobStatus
from daft_store.listing import ListingError

from ..durations import seconds_of
from ..failures import FAILED, OK, STORE_UNUSABLE, Trouble
from ..formats import FORMATS, write_rows
from ..jobs_list import has_lost_jobs
from ..terminal import harmless, size, warn
from ..whereabouts import find_repository, recorded_identity, state_directory
from ..wiring import repair
from .clean_logs import living_labels, places_of_living
from .jobs import Outer

CANDIDATES = (
    "repository", "worktree", "invocation_id", "name", "status", "ended_at", "size_bytes", "reason",
)  # fmt: skip
SUMMARY = (
    "repository", "removed_invocations", "removed_jobs", "freed_bytes", "stale_running_marked",
    "over_budget_bytes", "record_removed", "errors",
)  # fmt: skip
ENDED = ("completed", "failed", "cancelled", "skipped", "crashed")
SETTINGS = ("setting", "value", "source")


@click.command(name="prune")
@click.option("--all", "everywhere", is_flag=True, help="In every repository.")
@click.option("--older-than", metavar="DURATION", help="In place of each job's own retention.")
@click.option(
    "--keep-last",
    type=click.IntRange(min=0),
    metavar="N",
    help="Newest runs of each worktree that stay.",
)
@click.option("--worktree", metavar="NAME", help="Only runs of this worktree.")
@click.option("--status", type=click.Choice(ENDED), help="Only jobs that ended like this.")
@click.option("--failed", is_flag=True, help="Only jobs that failed or crashed.")
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--explain", is_flag=True, help="Only show what is kept, and which file says so.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs.")
@click.pass_obj
def command(
    outer: Outer,
    everywhere: bool,
    older_than: str | None,
    keep_last: int | None,
    worktree: str | None,
    status: str | None,
    failed: bool,
    dry_run: bool,
    explain: bool,
    form: str | None,
) -> int:
    """Remove old runs with their logs.

    What goes: jobs older than their retention (`log:` in daft.yml, else 7 days), then the oldest
    runs while all logs together are over their budget. What stays: the newest runs of each
    worktree, and whatever is unfinished, pinned, being read, or ended less than an hour ago.
    """
    outer.refuse_repo()
    if failed and status is not None:
        raise click.UsageError("--failed is not allowed with --status")
    wishes = Wishes(
        older_than_s=None if older_than is None else seconds_of("--older-than", older_than),
        keep_last=keep_last,
        worktree=worktree or outer.worktree,
        statuses=_statuses(status, failed=failed),
    )
    everywhere = everywhere or outer.everything
    if everywhere and wishes.worktree is not None:
        raise click.UsageError("--all is not allowed with --worktree")
    root = state_directory()
    here = {} if everywhere else _here()
    places = here or places_of_living(warn)
    sweep = Sweep(root, by_hand=True, living=living_labels, places=places, report=warn)
    chosen = [one for one in sweep.repositories() if everywhere or one in here]
    if explain:
        return _explain(root, chosen, form)
    if dry_run:
        looked = [sweep.look(one, wishes) for one in chosen]
        return _code(looked, _announce(looked, everywhere, form), everywhere)
    for one in chosen:
        _put_right(root, one)
    cleaned = [sweep.clean(one, wishes) for one in chosen]
    freed = sweep.finish() if everywhere else 0
    return _code(cleaned, _report(cleaned, freed, everywhere, form), everywhere)


def _here() -> dict[str, str]:
    cwd = os.getcwd()
    found = find_repository(cwd)
    if found is None:
        raise Trouble(
            f"Not inside a Git repository: {cwd}",
            tips=("`daft jobs --all prune` cleans up all repositories",),
        )
    return {recorded_identity(found[0]): found[0]}


def _put_right(root: str, repository: str) -> None:
    """What a dead coordinator left unfinished has ended, before it is judged."""
    try:
        is_lost = has_lost_jobs(root, repository)
    except ListingError:
        return  # the clean-up meets the same, and tells
    if is_lost:
        repair(root, repository)


def _statuses(status: str | None, *, failed: bool) -> frozenset[JobStatus] | None:
    if failed:
        return frozenset({JobStatus.FAILED, JobStatus.CRASHED})
    return None if status is None else frozenset({JobStatus.parse(status)})


# --- before -----------------------------------------------------------------------------------


def _announce(looked: Sequence[Looked], everywhere: bool, form: str | None) -> int:
    rows = [row for one in looked for row in _candidates(one)]
    if form is not None:
        write_rows(form, rows, CANDIDATES)
    else:
        _announce_to_people(looked, rows, everywhere=everywhere)
    for one in looked:
        if one.plan is not None:
            decision = one.plan.decision
            _warn_about(decision.held_back, decision.over_budget_bytes)
    return _errors((one.repository, one.error) for one in looked)


def _candidates(looked: Looked) -> Iterator[dict[str, Any]]:
    if looked.plan is None or looked.discard:
        return
    for eviction in looked.plan.decision.evictions:
        for job in eviction.jobs:
            yield {
                "repository": looked.repository,
                "worktree": eviction.worktree,
                "invocation_id": eviction.invocation_id,
                "name": job.name,
                "status": job.status.value,
                "ended_at": job.ended_at.isoformat(),
                "size_bytes": job.log_bytes,
                "reason": eviction.reason.value,
            }


def _announce_to_people(
    looked: Sequence[Looked], rows: Sequence[dict[str, Any]], *, everywhere: bool
) -> None:
    decisions = [one.plan.decision for one in looked if one.plan is not None and not one.discard]
    evictions = [eviction for decision in decisions for eviction in decision.evictions]
    freed = sum(one.bytes for one in evictions)
    freed += sum(stray.bytes for decision in decisions for stray in decision.strays)
    if rows:
        runs = sum(one.whole for one in evictions)
        click.echo(
            f"Would remove {len(rows)} job(s) across {runs} invocation(s) "
            f"({size(freed)} would be freed):"
        )
    for row in rows:
        where = f"{row['repository'][:8]}/" if everywhere else ""
        short = row["invocation_id"][:4]
        click.echo(harmless(f"  {where}{row['worktree']}  [{short}]  {row['name']}"))
    for stale in (one for decision in decisions for one in decision.stale):
        click.echo(f"Would give up a job that nobody answers for: {harmless(stale.name)}")
    gone = [one.repository for one in looked if one.discard]
    for repository in gone:
        click.echo(f"Would remove the record of {repository}: that repository is gone")
    if not rows and not gone and not _all_failed(looked):
        click.echo("No candidates for removal.")


# --- after ------------------------------------------------------------------------------------


def _report(cleaned: Sequence[Cleaned], freed: int, everywhere: bool, form: str | None) -> int:
    outcomes = [one.outcome for one in cleaned if one.outcome is not None]
    jobs = sum(one.jobs for one in outcomes)
    runs = sum(one.invocations for one in outcomes)
    freed += sum(one.bytes for one in outcomes)
    if form is not None:
        write_rows(form, [_summary(one) for one in cleaned], SUMMARY)
    elif jobs and everywhere:
        click.echo(
            f"Removed {jobs} job(s) across {runs} invocation(s), freed {size(freed)} "
            "across all repos."
        )
    elif jobs:
        click.echo(f"Removed {jobs} job(s) ({size(freed)} freed).")
    elif not any(one.discarded for one in cleaned) and not _all_failed(cleaned):
        click.echo("No old logs to clean.")
    if form is None:
        stale = sum(one.stale for one in outcomes)
        if stale:
            click.echo(f"Gave up {stale} running job(s) that nobody answers for.")
        for one in cleaned:
            if one.discarded:
                click.echo(f"Removed the record of {one.repository}: that repository is gone.")
    for outcome in outcomes:
        _warn_about(outcome.held_back, outcome.over_budget_bytes)
    return _errors(
        [(one.repository, one.error) for one in cleaned]
        + [
            (one.repository, line)
            for one in cleaned
            if one.outcome is not None
            for line in one.outcome.trouble
        ]
    )


def _summary(cleaned: Cleaned) -> dict[str, Any]:
    row: dict[str, Any] = {"repository": cleaned.repository, "record_removed": cleaned.discarded}
    trouble = [cleaned.error] if cleaned.error is not None else []
    outcome = cleaned.outcome
    if outcome is not None:
        trouble += outcome.trouble
        row |= {
            "removed_invocations": outcome.invocations,
            "removed_jobs": outcome.jobs,
            "freed_bytes": outcome.bytes,
            "stale_running_marked": outcome.stale,
            "over_budget_bytes": outcome.over_budget_bytes,
        }
    return {**row, "errors": "; ".join(trouble)}


def _warn_about(held_back: bool, over_budget_bytes: int) -> None:
    if held_back:
        warn(
            "the clock was set since the last clean-up, so no age can be believed; "
            "try again once it has gone on for an hour"
        )
    if over_budget_bytes:
        warn(
            f"the logs are {size(over_budget_bytes)} over their budget, but all that is left is "
            "protected: the newest runs, and what is unfinished, pinned, being read or new"
        )


def _code(tried: Sequence[Looked] | Sequence[Cleaned], code: int, everywhere: bool) -> int:
    """Return the exit code; one record that cannot be used has its own, as in the other verbs."""
    unusable = not everywhere and any(one.is_unusable for one in tried)
    return STORE_UNUSABLE if unusable else code


def _all_failed(tried: Sequence[Looked] | Sequence[Cleaned]) -> bool:
    """True when nothing is known of any of them, so that nothing can be said to be clean."""
    return bool(tried) and all(one.error is not None for one in tried)


def _errors(found: Iterable[tuple[str, str | None]]) -> int:
    code = OK
    for repository, error in found:
        if error is not None:
            sys.stderr.write(f"error: {repository[:8]}: {error}\n")
            code = FAILED
    return code


# --- what is set ------------------------------------------------------------------------------


def _explain(root: str, chosen: Sequence[str], form: str | None) -> int:
    if len(chosen) > 1:
        raise click.UsageError("--explain is about one repository; leave out --all")
    history = SqliteHistory.read(root, chosen[0]) if chosen else None
    stored: policy.StoredPolicy = {}
    if history is not None:
        stored = history.policy()
        history.close()
    applied = policy.effective(stored)
    rows = [
        {
            "setting": name,
            "value": getattr(applied, name),
            "source": stored[name][1] or "an earlier version" if name in stored else "default",
        }
        for name in policy.FIELDS
    ]
    if form is not None:
        write_rows(form, rows, SETTINGS)
        return OK
    for row in rows:
        click.echo(f"{row['setting']:22} {row['value']:>12}  {harmless(row['source'])}")
    return OK
