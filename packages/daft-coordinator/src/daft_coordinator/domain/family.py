"""Whom a signal to a job's process group does not reach."""

from __future__ import annotations

from collections.abc import Iterable

from daft_protocol.jobs import ProcessIdentity


def outside_group(
    family: Iterable[ProcessIdentity], who: ProcessIdentity
) -> tuple[ProcessIdentity, ...]:
    """Return the members of a job's `family` that must be signalled one by one.

    who: the job's process. Where it shares the group of the command that started it, these are
    all that it has started: whatever else is in that group is not the job's.
    """
    return tuple(
        member
        for member in family
        if member.pid != who.pid and not (who.leads_group and member.pgid == who.pgid)
    )
