"""What clean-up takes out of the record: a value that stores share with messages."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Departure:
    """What leaves the record of one invocation.

    job_uids: the jobs that go; None: all of them, and the invocation.
    expected: how many jobs it has; with any other number nothing of it goes.
    """

    invocation_id: str
    expected: int
    job_uids: tuple[str, ...] | None = None
