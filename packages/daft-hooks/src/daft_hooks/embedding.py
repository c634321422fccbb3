"""Firing hooks in a host of one's own: an editor, a server, a test.

The host has a `Coordinator` and drives it; hooks run their jobs in it, the background ones while
the host goes on turning. Nothing else of daft is needed, and no store but the coordinator's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from daft_coordinator import Coordinator, submission
from daft_coordinator.client import Submission
from daft_coordinator.domain.policy import DeclaredPolicy
from daft_protocol.jobs import InvocationSpec, Job
from daft_protocol.records import RecordKind


class CoordinatorEngine:
    """A `JobEngine` over one coordinator.

    coordinator: runs everything. A fire returns when its foreground jobs have ended; what is in
        the background goes on with the coordinator's turns. on_interrupt: see `Coordinator.wait`.
    declared: what configurations said of how much is to be kept; to the host's own use.
    """

    def __init__(self, coordinator: Coordinator, *, on_interrupt: bool = False) -> None:
        self.coordinator = coordinator
        self.declared: list[DeclaredPolicy] = []
        self._on_interrupt = on_interrupt

    def submit(
        self, invocation: InvocationSpec, *, environment: Mapping[str, str]
    ) -> tuple[Job, ...]:
        """Record an invocation and its foreground jobs, and begin to run them."""
        return self.coordinator.submit(invocation, environment=environment)

    def wait(self, invocation_id: str) -> tuple[Job, ...]:
        """Drive the coordinator until the jobs of an invocation are final."""
        return self.coordinator.wait(invocation_id, on_interrupt=self._on_interrupt)

    def submit_background(
        self, invocation: InvocationSpec, *, environment: Mapping[str, str]
    ) -> Submission:
        """Record further jobs; the coordinator runs them as it is turned."""
        coordinator = self.coordinator
        jobs = submission.record(
            coordinator.store,
            invocation,
            owner=None,
            clock=coordinator.clock,
            processes=coordinator.processes,
        )
        coordinator.take_over(
            invocation.invocation_id,
            environment=environment,
            secrets=submission.secrets_of(jobs),
        )
        return Submission(invocation_id=invocation.invocation_id, jobs=jobs)

    def take_over(self, invocation_id: str, *, environment: Mapping[str, str]) -> tuple[Job, ...]:
        """Run queued background jobs of an invocation."""
        return self.coordinator.take_over(invocation_id, environment=environment)

    def skipped_fire(self, invocation: InvocationSpec) -> None:
        """Record a fire that was skipped whole."""
        here = self.coordinator
        submission.record(here.store, invocation, owner=None, clock=here.clock)

    def fire_allowed(self, hook: str, worktree: str) -> None:
        """Keep earlier skipped fires: what a host's store forgets is its own decision."""

    def declare_retention(self, declared: DeclaredPolicy) -> None:
        """Take note of what a configuration says of how much is kept."""
        self.declared.append(declared)

    def error_tail(self, job: Job, lines: int) -> tuple[str, ...]:
        """Return the last lines a job wrote to its standard error, or output if none."""
        last: dict[RecordKind, deque[str]] = {
            RecordKind.STDERR: deque(maxlen=lines),
            RecordKind.STDOUT: deque(maxlen=lines),
        }
        for record in self.coordinator.tail(job.uid):
            if isinstance(record.data, str):
                last[record.kind].append(record.data)
        return tuple(last[RecordKind.STDERR] or last[RecordKind.STDOUT])
