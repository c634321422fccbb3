"""How a job's processes are brought to an end: what happens after how long."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge

from daft_protocol.jobs import Job


@frozen(kw_only=True)
class StopPolicy:
    """How a job's process group is brought to an end.

    grace_s: seconds from SIGTERM to SIGKILL; 0 kills at once.
    drain_s: seconds to go on reading pipes, and to let the rest of the group end by itself,
        after the leader has ended.
    give_up_s: seconds after SIGKILL before the rest is left alone and that is said.
    unkillable_s: seconds after that before a leader that still lives is called crashed.
    """

    grace_s: float = field(default=5.0, validator=ge(0))
    drain_s: float = field(default=2.0, validator=ge(0))
    give_up_s: float = field(default=2.0, validator=ge(0))
    unkillable_s: float = field(default=60.0, validator=ge(0))

    def grace_of(self, job: Job) -> float:
        """Return how long this job has: what it asks for itself, else `grace_s`."""
        return self.grace_s if job.spec.grace_s is None else job.spec.grace_s
