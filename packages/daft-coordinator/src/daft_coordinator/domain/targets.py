"""Which recorded job an address means: readings of the text, tried against what exists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from daft_protocol.address import JobAddress, is_invocation_prefix, readings

from ..errors import AmbiguousAddress, JobNotFound


@frozen(kw_only=True)
class KnownJob:
    """A recorded job as addresses see it. `order` grows with time."""

    uid: str
    name: str
    invocation_id: str
    worktree: str
    order: int


@frozen(kw_only=True)
class Target:
    """What an address means: one job, or, when `job_uid` is None, a whole invocation."""

    invocation_id: str
    worktree: str
    job_uid: str | None = None
    job_name: str | None = None

    def __str__(self) -> str:
        return str(
            JobAddress(worktree=self.worktree, invocation=self.invocation_id[:8], job=self.job_name)
        )


def resolve(
    text: str,
    jobs: Sequence[KnownJob],
    *,
    current_worktree: str | None = None,
    worktree: str | None = None,
    invocation: str | None = None,
    job: str | None = None,
) -> Target:
    """Return what `text` means among `jobs`.

    worktree, invocation, job: from flags; they hold beside the text, so a reading that says
    something else is none: whoever says two things must not get what only one of them means.
    An exact job name in the current worktree beats an invocation prefix, which beats names in
    other worktrees; of several runs of one job the newest is meant.
    Raises: JobNotFound, AmbiguousAddress, BadAddress.
    """
    if invocation is not None and not is_invocation_prefix(invocation):
        raise JobNotFound(invocation, "an invocation is 2 to 16 hex digits")
    flags = JobAddress(
        worktree=worktree, invocation=None if invocation is None else invocation.lower(), job=job
    )
    meant = readings(text) if text else [JobAddress()]
    narrowed = [both for one in meant if (both := _both(one, flags)) is not None]
    ranked: dict[int, list[Target]] = {}
    for reading in narrowed:
        if reading == JobAddress():
            continue
        for rank, target in _targets(reading, jobs, current_worktree):
            known = ranked.setdefault(rank, [])
            if target not in known:
                known.append(target)
    if not ranked:
        alone = [one for one in meant if _both(one, flags) is None]
        for _, target in (found for one in alone for found in _targets(one, jobs, None)):
            raise JobNotFound(text, f"it means {target}, and the options beside it another")
        raise _not_found(text or str(flags), narrowed, jobs)
    best = ranked[min(ranked)]
    if len(best) > 1:
        raise AmbiguousAddress(text, tuple(str(target) for target in best))
    return best[0]


def _both(reading: JobAddress, flags: JobAddress) -> JobAddress | None:
    """Return what holds when both are said, None when they contradict each other."""
    if None not in (reading.worktree, flags.worktree) and reading.worktree != flags.worktree:
        return None
    if None not in (reading.job, flags.job) and reading.job != flags.job:
        return None
    prefixes = sorted((reading.invocation or "", flags.invocation or ""), key=len)
    if not prefixes[1].startswith(prefixes[0]):
        return None
    return JobAddress(
        worktree=reading.worktree if flags.worktree is None else flags.worktree,
        invocation=prefixes[1] or None,
        job=reading.job if flags.job is None else flags.job,
    )


def _not_found(text: str, narrowed: Sequence[JobAddress], jobs: Sequence[KnownJob]) -> JobNotFound:
    """Return the error that says how far an address led: to a hook run, a worktree, or nowhere."""
    for reading in narrowed:
        if reading.invocation is None or reading.job is None:
            continue
        inside = _fitting(reading, jobs)
        if inside:
            names = tuple(dict.fromkeys(known.name for known in inside))
            return JobNotFound(text, f"{inside[0].invocation_id[:8]} has other jobs", names)
    for reading in narrowed:
        inside = [] if reading.worktree is None else _fitting(reading, jobs)
        if inside:
            return JobNotFound(text, f"{reading.worktree} has other jobs", _nearby(inside))
    return JobNotFound(text, "nothing recorded fits", _nearby(jobs))


def _fitting(address: JobAddress, jobs: Sequence[KnownJob]) -> list[KnownJob]:
    """Return the jobs of the worktree and the hook run that `address` names."""
    return [
        known
        for known in jobs
        if (address.worktree is None or known.worktree == address.worktree)
        and (address.invocation is None or known.invocation_id.startswith(address.invocation))
    ]


def _targets(
    address: JobAddress, jobs: Sequence[KnownJob], current: str | None
) -> Iterable[tuple[int, Target]]:
    fitting = _fitting(address, jobs)
    if address.job is None:
        yield from _invocations(address, fitting)
        return
    named = [known for known in fitting if known.name == address.job]
    if address.invocation is not None:
        for known in named:
            yield 0, _target(known)
        return
    here = [known for known in named if known.worktree == current]
    if address.worktree is None and here:
        yield 1, _target(max(here, key=lambda known: known.order))
    elif named:
        rank = 0 if address.worktree is not None else 3
        yield rank, _target(max(named, key=lambda known: known.order))


def _invocations(address: JobAddress, fitting: Sequence[KnownJob]) -> Iterable[tuple[int, Target]]:
    seen: dict[str, list[KnownJob]] = {}
    for known in fitting:
        seen.setdefault(known.invocation_id, []).append(known)
    if address.invocation is None and seen:
        newest = max(seen.values(), key=lambda group: max(known.order for known in group))
        seen = {newest[0].invocation_id: newest}
    for invocation_id, group in seen.items():
        if len(group) == 1:
            yield 2, _target(group[0])
        else:
            yield 2, Target(invocation_id=invocation_id, worktree=group[0].worktree)


def _target(known: KnownJob) -> Target:
    return Target(
        invocation_id=known.invocation_id,
        worktree=known.worktree,
        job_uid=known.uid,
        job_name=known.name,
    )


def _nearby(jobs: Sequence[KnownJob]) -> tuple[str, ...]:
    newest = sorted(jobs, key=lambda known: known.order, reverse=True)[:5]
    return tuple(str(_target(known)) for known in newest)
