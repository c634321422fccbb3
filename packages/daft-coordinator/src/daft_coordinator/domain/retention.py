"""What clean-up removes: one decision from one snapshot, the same for a dry run and a real one.

The order of the rules: what nobody answers for any more is given up; what is protected stays;
what is older than its retention goes; then, while the logs are over their budget, whole
invocations go; last, what neither a row nor a run accounts for.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from attrs import field, frozen

from daft_protocol.jobs import DEFAULT_RETENTION_S
from daft_protocol.status import UNFINISHED, JobStatus

from .policy import RetentionPolicy

FRESH_S = 3600.0
"""What ended less than this long ago stays: somebody may be about to look at it."""
STRAY_S = 3600.0
"""A directory without a row this old was left behind; a younger one may be just being made."""
GONE_WORKTREE_S = 30 * 24 * 3600.0
"""How long a worktree that is gone keeps its newest invocations."""
GONE_REPOSITORY_S = 90 * 24 * 3600.0
"""How long the record of a repository that is gone is kept."""
_DAY_S = 24 * 3600.0


class Reason(enum.Enum):
    """Why something goes."""

    RETENTION = "retention"  # older than it was to be kept
    BUDGET = "budget"  # the logs together were over their limit
    LOG_GONE = "log-gone"  # a log was written, and somebody else has deleted it


@frozen(kw_only=True)
class KeptJob:
    """One job's row, and what there is of its log.

    ended_at: when it finished; else when it started, or was queued.
    log_bytes: size of its directory, None when there is none.
    log_records: how many records its log should have.
    owner_gone, process_gone: true when that is certain; told for unfinished jobs only.
    """

    uid: str
    name: str
    status: JobStatus
    ended_at: datetime
    dir_name: str
    retention_s: float
    log_bytes: int | None = None
    log_records: int = 0
    owner_gone: bool = False
    process_gone: bool = False


@frozen(kw_only=True)
class KeptInvocation:
    """One invocation's row with its jobs. other_bytes: files beside the jobs' directories."""

    invocation_id: str
    worktree: str
    created_at: datetime
    pinned: bool = False
    jobs: tuple[KeptJob, ...] = ()
    other_bytes: int = 0


@frozen(kw_only=True)
class StrayDirectory:
    """A directory that no row accounts for; `dir_name` is empty for a whole invocation's."""

    invocation_id: str
    dir_name: str
    age_s: float
    bytes: int


@frozen(kw_only=True)
class Snapshot:
    """Everything the decision depends on.

    living_worktrees: labels of worktrees that exist; None: not known, all count as living.
    in_use: ids of invocations with a log that somebody reads or writes.
    was_replaced: the record stands in for one that was damaged: directories without a row may
        have had one, and are kept as long as a job usually is.
    ages_hold: whether the wall clock may be believed; if not, nothing is removed.
    """

    taken_at: datetime
    invocations: Sequence[KeptInvocation]
    policy: RetentionPolicy = field(factory=RetentionPolicy)
    living_worktrees: Collection[str] | None = None
    in_use: Collection[str] = ()
    was_replaced: bool = False
    strays: Sequence[StrayDirectory] = ()
    ages_hold: bool = True


@frozen(kw_only=True)
class Wishes:
    """What the caller wants otherwise than the policy says.

    older_than_s: in place of every job's own retention.
    keep_last: in place of the policy's.
    worktree, statuses: remove only such jobs. The budget, which asks for neither, then rests.
    """

    older_than_s: float | None = None
    keep_last: int | None = None
    worktree: str | None = None
    statuses: frozenset[JobStatus] | None = None

    @property
    def is_narrow(self) -> bool:
        """True when only some jobs are meant."""
        return self.worktree is not None or self.statuses is not None


@frozen(kw_only=True)
class Eviction:
    """What leaves one invocation, rows and files together.

    jobs: the jobs that go. whole: the invocation goes with them.
    expected: how many jobs it had; if there are more now, nothing of it may go.
    """

    invocation_id: str
    worktree: str
    jobs: tuple[KeptJob, ...]
    whole: bool
    expected: int
    bytes: int
    reason: Reason


@frozen(kw_only=True)
class StaleJob:
    """A running job that nobody answers for: to be recorded as cancelled, reason `stale`."""

    uid: str
    name: str
    invocation_id: str


@frozen(kw_only=True)
class Decision:
    """What a pass is to do. An empty one means that all is well.

    over_budget_bytes: by how much the logs stay over their budget; all of them are protected.
    held_back: true when the clock was not believed, so that nothing is done.
    """

    stale: tuple[StaleJob, ...] = ()
    evictions: tuple[Eviction, ...] = ()
    strays: tuple[StrayDirectory, ...] = ()
    over_budget_bytes: int = 0
    held_back: bool = False


def decide(snapshot: Snapshot, wishes: Wishes | None = None) -> Decision:
    """Return what a clean-up pass removes."""
    if not snapshot.ages_hold:
        # Every rule measures an age, if only to spare what has just ended.
        return Decision(held_back=True)
    wish = wishes or Wishes()
    floor = _floor(snapshot, wish)
    free = [one for one in snapshot.invocations if not _is_protected(one, snapshot)]
    evictions = [
        eviction
        for invocation in free
        if (eviction := _outlived(invocation, snapshot, wish, floor)) is not None
    ]
    limit_s = DEFAULT_RETENTION_S if snapshot.was_replaced else STRAY_S
    strays = tuple(
        stray
        for stray in snapshot.strays
        if stray.age_s > limit_s and stray.invocation_id not in snapshot.in_use
    )
    left = _bytes_left(snapshot, evictions, strays)
    over = max(0, left - snapshot.policy.max_total_size_bytes)
    if over and not wish.is_narrow:
        touched = {one.invocation_id: one for one in evictions}
        evictions, over = _shed(free, touched, floor, over, snapshot.taken_at)
    return Decision(
        stale=tuple(_stale(snapshot)),
        evictions=tuple(evictions),
        strays=strays,
        over_budget_bytes=over,
    )


def may_be_discarded(snapshot: Snapshot, *, is_gone: bool, told_at: datetime) -> bool:
    """True for the record of a repository that is gone and was not used for a long time.

    is_gone: nothing at the repository's place has its identity. told_at: when it was known to
    be there.
    """
    if not is_gone or not snapshot.ages_hold:
        return False
    changes = (told_at, *(_last_change(one) for one in snapshot.invocations))
    kept = any(one.pinned or one.invocation_id in snapshot.in_use for one in snapshot.invocations)
    unfinished = any(job.status in UNFINISHED for one in snapshot.invocations for job in one.jobs)
    return not (kept or unfinished) and age_s(max(changes), snapshot.taken_at) > GONE_REPOSITORY_S


def age_s(then: datetime, now: datetime) -> float:
    """Return seconds since `then`; what lies in the future is new."""
    return max(0.0, (now - then).total_seconds())


def _stale(snapshot: Snapshot) -> Iterable[StaleJob]:
    limit_s = snapshot.policy.stale_running_after_s
    for invocation in snapshot.invocations:
        for job in invocation.jobs:
            abandoned = job.owner_gone and job.process_gone
            if job.status is not JobStatus.RUNNING or not abandoned:
                continue
            if age_s(job.ended_at, snapshot.taken_at) > limit_s:
                yield StaleJob(uid=job.uid, name=job.name, invocation_id=invocation.invocation_id)


def _is_protected(invocation: KeptInvocation, snapshot: Snapshot) -> bool:
    """True for what no rule may touch."""
    if invocation.pinned or invocation.invocation_id in snapshot.in_use:
        return True
    if any(job.status in UNFINISHED for job in invocation.jobs):
        return True
    return age_s(_last_change(invocation), snapshot.taken_at) < FRESH_S


def _floor(snapshot: Snapshot, wish: Wishes) -> frozenset[str]:
    """Return the newest invocations of each worktree, which age and budget leave alone."""
    keep = snapshot.policy.keep_last if wish.keep_last is None else wish.keep_last
    by_worktree: dict[str, list[KeptInvocation]] = {}
    for invocation in snapshot.invocations:
        by_worktree.setdefault(invocation.worktree, []).append(invocation)
    safe: set[str] = set()
    for worktree, invocations in by_worktree.items():
        if _is_long_gone(worktree, invocations, snapshot):
            continue
        newest = sorted(
            invocations, key=lambda one: (one.created_at, one.invocation_id), reverse=True
        )
        safe.update(one.invocation_id for one in newest[:keep])
    return frozenset(safe)


def _is_long_gone(worktree: str, invocations: Sequence[KeptInvocation], snapshot: Snapshot) -> bool:
    if snapshot.living_worktrees is None or worktree in snapshot.living_worktrees:
        return False
    last = max(_last_change(one) for one in invocations)
    return age_s(last, snapshot.taken_at) > GONE_WORKTREE_S


def _last_change(invocation: KeptInvocation) -> datetime:
    return max((invocation.created_at, *(job.ended_at for job in invocation.jobs)))


def _outlived(
    invocation: KeptInvocation, snapshot: Snapshot, wish: Wishes, floor: frozenset[str]
) -> Eviction | None:
    """Return what of an unprotected invocation has been kept for long enough, None for nothing."""
    if wish.worktree is not None and invocation.worktree != wish.worktree:
        return None
    kept_anyway = invocation.invocation_id in floor
    lost = [job for job in invocation.jobs if job.log_bytes is None and job.log_records > 0]
    old = [
        job for job in invocation.jobs if not kept_anyway and _is_old(job, snapshot.taken_at, wish)
    ]
    meant = {
        job.uid for job in (*lost, *old) if wish.statuses is None or job.status in wish.statuses
    }
    if not invocation.jobs:
        limit_s = DEFAULT_RETENTION_S if wish.older_than_s is None else wish.older_than_s
        outlived = age_s(invocation.created_at, snapshot.taken_at) > limit_s
        if kept_anyway or wish.statuses is not None or not outlived:
            return None
    elif not meant:
        return None
    reason = Reason.RETENTION if old or not invocation.jobs else Reason.LOG_GONE
    return _eviction(invocation, tuple(job for job in invocation.jobs if job.uid in meant), reason)


def _is_old(job: KeptJob, now: datetime, wish: Wishes) -> bool:
    limit_s = job.retention_s if wish.older_than_s is None else wish.older_than_s
    return age_s(job.ended_at, now) > limit_s


def _eviction(invocation: KeptInvocation, jobs: tuple[KeptJob, ...], reason: Reason) -> Eviction:
    whole = len(jobs) == len(invocation.jobs)
    size = sum(job.log_bytes or 0 for job in jobs)
    return Eviction(
        invocation_id=invocation.invocation_id,
        worktree=invocation.worktree,
        jobs=jobs,
        whole=whole,
        expected=len(invocation.jobs),
        bytes=size + (invocation.other_bytes if whole else 0),
        reason=reason,
    )


def _bytes_left(
    snapshot: Snapshot, evictions: Iterable[Eviction], strays: Iterable[StrayDirectory]
) -> int:
    total = sum(_size(one) for one in snapshot.invocations)
    total += sum(stray.bytes for stray in snapshot.strays)
    return total - sum(one.bytes for one in evictions) - sum(stray.bytes for stray in strays)


def _size(invocation: KeptInvocation) -> int:
    return invocation.other_bytes + sum(job.log_bytes or 0 for job in invocation.jobs)


def _shed(
    free: Iterable[KeptInvocation],
    touched: dict[str, Eviction],
    floor: frozenset[str],
    over: int,
    now: datetime,
) -> tuple[list[Eviction], int]:
    """Return all evictions with enough whole invocations more, and the bytes still over.

    Oldest first by day; on one day, runs without a failure before those somebody may have to
    look into.
    """

    def worth(invocation: KeptInvocation) -> tuple[float, bool, datetime, str]:
        days = age_s(invocation.created_at, now) // _DAY_S
        failed = any(job.status in (JobStatus.FAILED, JobStatus.CRASHED) for job in invocation.jobs)
        return -days, failed, invocation.created_at, invocation.invocation_id

    made = dict(touched)
    for invocation in sorted(free, key=worth):
        if over <= 0:
            break
        earlier = made.get(invocation.invocation_id)
        gain = _size(invocation) - (earlier.bytes if earlier is not None else 0)
        if invocation.invocation_id in floor or gain <= 0:
            continue
        made[invocation.invocation_id] = _eviction(invocation, invocation.jobs, Reason.BUDGET)
        over -= gain
    return list(made.values()), max(0, over)
