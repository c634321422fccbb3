"""What became of some jobs: a line each for people, a row each for programs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from daft_protocol.jobs import Job

from .formats import write_rows
from .terminal import harmless

COLUMNS = (
    "name", "status", "end_reason", "end_detail", "exit_code", "worktree", "hook_type",
    "invocation_id", "job_uid", "address",
)  # fmt: skip


def full_address(job: Job) -> str:
    """Return the address that means this job and no other."""
    return f"{job.worktree}@{job.invocation_id[:8]}/{job.name}"


def why_ended(job: Job) -> str:
    """Return why a job ended as it did, empty where its status says it all."""
    detail = job.end_detail or ""
    return "" if detail == job.status.value else harmless(detail)


def write_outcomes(jobs: Sequence[Job], form: str | None) -> None:
    """Print what became of `jobs`, as lines or in `form`."""
    if form is not None:
        rows = [
            {
                "name": job.name,
                "status": job.status.value,
                "end_reason": None if job.end_reason is None else job.end_reason.value,
                "end_detail": job.end_detail,
                "exit_code": job.exit_code,
                "worktree": job.worktree,
                "hook_type": job.hook_type,
                "invocation_id": job.invocation_id,
                "job_uid": job.uid,
                "address": full_address(job),
            }
            for job in jobs
        ]
        write_rows(form, rows, COLUMNS)
        return
    width = max((len(harmless(job.name)) for job in jobs), default=0)
    for job in jobs:
        why = why_ended(job)
        state = f"{job.status.value} ({why})" if why else job.status.value
        click.echo(f"{harmless(job.name):{width}}  {state}  {harmless(full_address(job))}")
