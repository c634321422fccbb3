"""Being alone with a worktree: none of its jobs runs, and no other command submits one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from daft_coordinator.errors import CoordinatorError, JobsSurvived, WorktreeLeased
from daft_store.errors import StoreError

from .context import Session
from .failures import Trouble
from .terminal import warn

_ID_DIGITS = 8


@contextmanager
def alone(session: Session, label: str, *, purpose: str, force: bool) -> Iterator[None]:
    """Stop what still runs for a worktree, and take no more until the body ends.

    purpose: what happens to it, for whoever is turned away. force: go on although that failed.
    Raises: Trouble.
    """
    with ExitStack() as stack:
        if session.jobs.has_history:
            _clear(session, label, stack, purpose=purpose, force=force)
        yield


def _clear(session: Session, label: str, stack: ExitStack, *, purpose: str, force: bool) -> None:
    tips = ("`--force` goes on all the same",)
    try:
        names = running(session, label)
        if names:
            session.presenter.notice(f"stopping jobs of '{label}': {', '.join(names)}")
        client = stack.enter_context(session.jobs.client())
        entered = client.alone_with(label, purpose=purpose, force=force)
        results = stack.enter_context(entered)
    except WorktreeLeased as error:
        raise Trouble(str(error)) from error
    except JobsSurvived as error:
        raise Trouble(str(error), tips=tips) from error
    except (StoreError, CoordinatorError, OSError) as error:
        if not force:
            raise Trouble(f"its jobs could not be stopped: {error}", tips=tips) from error
        warn(f"its jobs could not be stopped: {error}")
        return
    survived = [result.name for result in results if result.has_survived]
    if survived:
        warn(f"still running: {', '.join(survived)}")


def interrupted_runs(session: Session, label: str) -> list[str]:
    """Return the invocations that being alone cuts short. Raises: StoreError, OSError."""
    if not session.jobs.has_history:
        return []
    found = (one for one in session.jobs.store().unfinished() if one.worktree == label)
    return list(dict.fromkeys(one.invocation_id[:_ID_DIGITS] for one in found))


def running(session: Session, label: str) -> list[str]:
    """Return the names of a worktree's jobs that have not ended. Raises: StoreError, OSError."""
    if not session.jobs.has_history:
        return []
    return sorted({one.name for one in session.jobs.store().unfinished() if one.worktree == label})
