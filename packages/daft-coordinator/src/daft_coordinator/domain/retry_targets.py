"""Which invocation, and which job of it, somebody means who wants something retried."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from attrs import frozen

from daft_protocol.errors import BadAddress
from daft_protocol.jobs import Job

from ..errors import JobNotFound, NoSuchRun
from .retry import is_retryable
from .targets import KnownJob, Target, resolve

Run = Sequence[Job]
"""The jobs of one invocation, at least one."""


@frozen(kw_only=True)
class RetryTarget:
    """What is to be retried: an invocation, or one job of it.

    said: how it was named, for the record; "" when it was only "the latest".
    """

    invocation_id: str
    job: str | None = None
    said: str = ""


@frozen(kw_only=True)
class Narrowing:
    """What the caller says beside, or instead of, an address; None does not narrow."""

    hook: str | None = None
    invocation: str | None = None
    job: str | None = None
    worktree: str | None = None


def find(
    text: str,
    runs: Iterable[Run],
    *,
    hook_types: Collection[str],
    current_worktree: str | None = None,
    narrowing: Narrowing | None = None,
) -> RetryTarget:
    """Return what `text` means; the first that fits: a hook, an invocation or job, by address.

    text: "" is the latest invocation. runs: newest first; no more is read than is needed.
    hook_types: names that always mean a hook, whatever jobs there are.
    current_worktree: where "latest" and bare names are looked for first; None: everywhere.
    A bare job name means the newest run of it that can be retried.
    Raises: NoSuchRun; JobNotFound, AmbiguousAddress, BadAddress from addresses.
    """
    given = narrowing or Narrowing()
    here = given.worktree if given.worktree is not None else current_worktree
    hook = given.hook
    if text in hook_types and hook is None and given.invocation is None and given.job is None:
        hook, text = text, ""
    if not text and given.invocation is None and given.job is None:
        return _latest(runs, hook=hook, worktree=here)
    known = list(runs)
    fitting = [
        run
        for run in known
        if (given.worktree is None or run[0].worktree == given.worktree)
        and (hook is None or run[0].hook_type == hook)
    ]
    try:
        target = _resolve(text, fitting, here, given)
    except JobNotFound as error:
        other = None if given.worktree is None else _elsewhere(text, known, given)
        if other is not None:
            raise NoSuchRun(
                f"'{text}' names worktree '{other.worktree}', --worktree says '{given.worktree}'; "
                "leave one of them out"
            ) from error
        if text and _is_hook(text, fitting):
            return _latest(fitting, hook=text, worktree=here)
        job = given.job or text
        what = f"failed job named '{job}'" if job else f"invocation '{given.invocation}'"
        raise NoSuchRun(f"No {what}: {error.reason}") from error
    said = " ".join(word for word in (text, given.invocation, given.job) if word)
    return RetryTarget(invocation_id=target.invocation_id, job=target.job_name, said=said)


def _latest(runs: Iterable[Run], *, hook: str | None, worktree: str | None) -> RetryTarget:
    for run in runs:
        first = run[0]
        if worktree in (None, first.worktree) and hook in (None, first.hook_type):
            return RetryTarget(invocation_id=first.invocation_id, said=hook or "")
    what = "No invocations found" if hook is None else f"No invocations of {hook} found"
    where = "" if worktree is None else f" for worktree '{worktree}'; --worktree names another"
    raise NoSuchRun(f"{what}{where}")


def _resolve(text: str, runs: Sequence[Run], here: str | None, given: Narrowing) -> Target:
    jobs = [(job, age) for age, run in enumerate(runs) for job in run]
    # What can be retried counts as newer than everything that cannot.
    known = [
        KnownJob(
            uid=job.uid,
            name=job.name,
            invocation_id=job.invocation_id,
            worktree=job.worktree,
            order=(len(runs) if is_retryable(job) else 0) - age,
        )
        for job, age in jobs
    ]
    return resolve(text, known, current_worktree=here, invocation=given.invocation, job=given.job)


def _elsewhere(text: str, runs: Sequence[Run], given: Narrowing) -> Target | None:
    """Return what an address means when the worktree asked for is left out of account."""
    try:
        return _resolve(text, runs, None, given)
    except (JobNotFound, BadAddress):
        return None  # it means nothing anywhere: the first error tells


def _is_hook(text: str, runs: Iterable[Run]) -> bool:
    return any(run[0].hook_type == text for run in runs)
