"""How a job ends: from the process's exit and what we did to it, to what is recorded."""

from __future__ import annotations

import enum

from attrs import frozen

from daft_protocol.status import EndReason, JobStatus


class StopCause(enum.Enum):
    """Why we stopped a job ourselves."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"
    TROUBLE = "trouble"  # we could not go on with it


@frozen(kw_only=True)
class Ending:
    """What is recorded when a job has ended."""

    status: JobStatus
    reason: EndReason
    exit_code: int | None = None
    term_signal: int | None = None
    detail: str | None = None


def classify(
    *,
    exit_code: int | None,
    term_signal: int | None,
    cause: StopCause | None = None,
    timeout_s: float | None = None,
    signal_name: str = "",
    trouble: str = "",
) -> Ending:
    """Return how to record a process that has ended.

    exit_code, term_signal: exactly one of them is set.
    cause: set when we stopped it; a job that exits 0 although a stop was asked for is still
        `cancelled`, with its true exit code.
    trouble: what kept us from going on with it.
    """
    if cause in (StopCause.CANCEL, StopCause.SHUTDOWN):
        detail = "cancelled" if cause is StopCause.CANCEL else "coordinator shut down"
        return Ending(
            status=JobStatus.CANCELLED,
            reason=EndReason.CANCEL,
            exit_code=exit_code,
            term_signal=term_signal,
            detail=detail,
        )
    if cause is StopCause.TIMEOUT:
        limit = f"{timeout_s:g} s" if timeout_s is not None else "its limit"
        return Ending(
            status=JobStatus.FAILED,
            reason=EndReason.TIMEOUT,
            exit_code=exit_code,
            term_signal=term_signal,
            detail=f"timed out after {limit}; raise it with `timeout:`",
        )
    if cause is StopCause.TROUBLE:
        return Ending(
            status=JobStatus.FAILED,
            reason=EndReason.CRASH,
            exit_code=exit_code,
            term_signal=term_signal,
            detail=f"its coordinator had trouble with it: {trouble}",
        )
    if term_signal is not None:
        return Ending(
            status=JobStatus.FAILED,
            reason=EndReason.SIGNAL,
            term_signal=term_signal,
            detail=f"killed by {signal_name or f'signal {term_signal}'}",
        )
    if exit_code == 0:
        return Ending(status=JobStatus.COMPLETED, reason=EndReason.EXIT, exit_code=0)
    return Ending(
        status=JobStatus.FAILED,
        reason=EndReason.EXIT,
        exit_code=exit_code,
        detail=f"exit code {exit_code}",
    )


def could_not_start(reason: str, code: int | None = None) -> Ending:
    """Return how to record a job whose process never came to be."""
    return Ending(
        status=JobStatus.FAILED, reason=EndReason.SPAWN_FAILED, exit_code=code, detail=reason
    )


def unkillable(limit_s: float, *, pgid: int, is_refused: bool = False) -> Ending:
    """Return how to record a process that did not end within `limit_s` of being killed.

    pgid: its group. is_refused: the system did not even let us signal it.
    """
    why = f"the process did not react to SIGKILL within {limit_s:g} s"
    if is_refused:
        why = f"process group {pgid} runs as another user, so it was left running"
    return Ending(status=JobStatus.CRASHED, reason=EndReason.CRASH, detail=f"unkillable: {why}")
