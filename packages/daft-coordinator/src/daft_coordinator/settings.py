"""What a user's variables say about the coordinator. What means nothing is as if it were unset."""

from __future__ import annotations

from collections.abc import Mapping

from .domain.reconcile import REQUEUE_WITHIN_S
from .recovery import Orphans


def has_own_leaders(environment: Mapping[str, str]) -> bool:
    """Return whether each invocation gets a leader of its own, as DAFT_JOBS_COORDINATOR says.

    `per-invocation`; anything else is `per-repository`: one leader runs them all.
    """
    return environment.get("DAFT_JOBS_COORDINATOR", "").lower() == "per-invocation"


def workers(environment: Mapping[str, str]) -> int | None:
    """Return how many jobs may run at once, None where DAFT_JOBS_WORKERS does not say."""
    text = environment.get("DAFT_JOBS_WORKERS", "")
    return int(text) if _is_number(text) else None


def orphans(environment: Mapping[str, str]) -> Orphans:
    """Return what DAFT_JOBS_ORPHANS says becomes of processes whose coordinator died."""
    try:
        return Orphans(environment.get("DAFT_JOBS_ORPHANS", "").lower())
    except ValueError:
        return Orphans.STOP


def requeue_within_s(environment: Mapping[str, str]) -> float | None:
    """Return for how many seconds what waited for a coordinator that died is still started.

    DAFT_JOBS_REQUEUE is a number of seconds, or `off`: never, which is None.
    """
    text = environment.get("DAFT_JOBS_REQUEUE", "").lower()
    if text == "off":
        return None
    return float(text) if _is_number(text) else REQUEUE_WITHIN_S


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
