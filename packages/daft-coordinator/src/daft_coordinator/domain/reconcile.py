"""What rows must change after somebody died: compare the record with the world."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping

from attrs import frozen

from daft_protocol.jobs import Job
from daft_protocol.status import JobStatus

REQUEUE_WITHIN_S = 600.0


class Verdict(enum.Enum):
    """What should happen to a job."""

    LEAVE = "leave"  # its owner lives, or we could not tell: not ours to judge
    REPAIR = "repair"  # it ended well, only the row was lost: take the log's last record
    FINISH_CANCEL = "finish-cancel"  # a cancel was under way, and the processes are gone
    CRASH = "crash"  # owner and processes are gone
    STOP_ORPHAN = "stop-orphan"  # owner gone, processes still running
    ADOPT = "adopt"  # the same, and the user wants it to go on
    REQUEUE = "requeue"  # never started, and still worth starting
    SKIP = "skip"  # never started, and not ours to start now
    SKIP_DEPENDENT = "skip-dependent"  # the same, and what it needs crashes now


@frozen(kw_only=True)
class ObservedJob:
    """A job that is not final, and what the world says about it.

    owner_alive: None when the system would not tell.
    has_ending: its log, or a result file, tells how it ended.
    restartable: a background job whose working directory exists.
    missing_env: names of variables that were not stored and are gone.
    is_newer: it may ask for what this program does not know.
    waited_s: seconds since it was queued, never negative.
    invocation_id, name, needs: who it waits for.
    """

    uid: str
    status: JobStatus
    owner_alive: bool | None
    group_alive: bool = False
    has_ending: bool = False
    restartable: bool = True
    missing_env: tuple[str, ...] = ()
    is_newer: bool = False
    waited_s: float = 0.0
    invocation_id: str = ""
    name: str = ""
    needs: tuple[str, ...] = ()


def judge(
    job: ObservedJob, *, requeue_within_s: float | None = REQUEUE_WITHIN_S, adopt: bool = False
) -> Verdict:
    """Return what should happen to `job`; the first rule that fits wins.

    requeue_within_s: None: what waits is never started by somebody else.
    adopt: let what still runs go on, unless a stop was asked for already.
    """
    if job.status.is_final or job.owner_alive is not False:
        return Verdict.LEAVE
    if job.status is JobStatus.QUEUED:
        fresh = requeue_within_s is not None and job.waited_s <= requeue_within_s
        able = fresh and job.restartable and not (job.missing_env or job.is_newer)
        return Verdict.REQUEUE if able else Verdict.SKIP
    if job.group_alive:
        goes_on = adopt and job.status is JobStatus.RUNNING
        return Verdict.ADOPT if goes_on else Verdict.STOP_ORPHAN
    if job.has_ending:
        return Verdict.REPAIR
    if job.status is JobStatus.CANCELLING:
        return Verdict.FINISH_CANCEL
    return Verdict.CRASH


def reconcile(
    jobs: Iterable[ObservedJob],
    *,
    requeue_within_s: float | None = REQUEUE_WITHIN_S,
    adopt: bool = False,
) -> Mapping[str, Verdict]:
    """Map the uid of every job that must change to its verdict; empty when all is well."""
    observed = list(jobs)
    verdicts = {
        job.uid: judge(job, requeue_within_s=requeue_within_s, adopt=adopt) for job in observed
    }
    lost = {
        (job.invocation_id, job.name) for job in observed if verdicts[job.uid] in _WITHOUT_RESULT
    }
    changed = bool(lost)
    while changed:
        dependents = [
            job
            for job in observed
            if verdicts[job.uid] is Verdict.SKIP and culprit_of(job, lost) is not None
        ]
        verdicts.update((job.uid, Verdict.SKIP_DEPENDENT) for job in dependents)
        lost |= {(job.invocation_id, job.name) for job in dependents}
        changed = bool(dependents)
    return {uid: verdict for uid, verdict in verdicts.items() if verdict is not Verdict.LEAVE}


def led_apart(jobs: Iterable[Job], own_leaders: Collection[str]) -> frozenset[str]:
    """Return the invocations of which a living leader of their own runs an unfinished job.

    jobs: the unfinished ones. own_leaders: the ids of such leaders that live. What else of these
    invocations waits may wait for what runs there, so it is judged when that leader has left.
    """
    return frozenset(job.invocation_id for job in jobs if job.owner in own_leaders)


_WITHOUT_RESULT = (Verdict.CRASH, Verdict.STOP_ORPHAN, Verdict.FINISH_CANCEL)


def culprit_of(job: ObservedJob, lost: Collection[tuple[str, str]]) -> str | None:
    """Return the first need of `job` that is among `lost` (invocation, name), if one is."""
    return next((name for name in job.needs if (job.invocation_id, name) in lost), None)


def why_skipped(job: ObservedJob, *, requeue_within_s: float | None = REQUEUE_WITHIN_S) -> str:
    """Return one line for people about a `SKIP` verdict."""
    if job.is_newer:
        return "a newer daft submitted it and died; retry it with that version"
    if job.missing_env:
        names = ", ".join(job.missing_env)
        return f"its coordinator died, and these variables were kept in memory only: {names}"
    if not job.restartable:
        return "the command that would have run it ended, or its directory is gone"
    if requeue_within_s is None:
        return (
            "its coordinator died, and what waited for it is not to be started (DAFT_JOBS_REQUEUE)"
        )
    return f"its coordinator died and it waited longer than {requeue_within_s:g} s"
