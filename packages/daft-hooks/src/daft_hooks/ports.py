"""What firing a hook needs from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from daft_protocol.jobs import InvocationSpec, Job, JobSpec

from .domain.replay import SkippedFire
from .domain.trust import TrustEntry, TrustLevel

if TYPE_CHECKING:
    # The client brings the codec along, which a hook without background jobs never needs.
    from daft_coordinator.client import Submission
    from daft_coordinator.domain.policy import DeclaredPolicy


class TrustRegistry(Protocol):
    """Where a user's decisions about repositories are kept.

    Every method raises RegistryUnavailable when it cannot do what it says; nothing is changed
    then, and nothing counts as consented to.
    """

    def get(self, common_dir: str) -> TrustEntry | None:
        """Return the entry of a repository, by its canonical git common directory."""

    def put(self, common_dir: str, entry: TrustEntry) -> None:
        """Add an entry or replace it."""

    def fill_fingerprint(self, common_dir: str, fingerprint: str) -> bool:
        """Add the fingerprint to an entry that has none; False when there is no such entry."""

    def delete(self, common_dir: str) -> bool:
        """Delete an entry; False when there was none."""

    def entries(self) -> Mapping[str, TrustEntry]:
        """Return every entry, by common directory."""

    def patterns(self) -> tuple[tuple[str, TrustLevel], ...]:
        """Return (pattern, level), the first that fits counting."""

    def put_pattern(self, pattern: str, level: TrustLevel) -> None:
        """Give a pattern a level, in its place or behind all others."""

    def delete_pattern(self, pattern: str) -> bool:
        """Delete a pattern; False when there was none."""

    def note_skipped(self, common_dir: str, fire: SkippedFire) -> None:
        """Keep a fire that was not allowed, in place of an earlier one of its hook and worktree."""

    def skipped(self, common_dir: str) -> tuple[SkippedFire, ...]:
        """Return the fires of a repository that were not allowed, oldest first."""

    def forget_skipped(
        self, common_dir: str, *, hook: str | None = None, worktree_id: str | None = None
    ) -> bool:
        """Delete such fires; None stands for every hook, or worktree. False: there were none."""


class JobEngine(Protocol):
    """Runs and records jobs for a fire; `Coordinator` and `CoordinatorClient` stand behind it."""

    def submit(
        self, invocation: InvocationSpec, *, environment: Mapping[str, str]
    ) -> tuple[Job, ...]:
        """Record an invocation and its foreground jobs, and begin to run them here."""

    def wait(self, invocation_id: str) -> tuple[Job, ...]:
        """Return when the jobs submitted here are final; Ctrl+C cancels them, twice kills."""

    def submit_background(
        self, invocation: InvocationSpec, *, environment: Mapping[str, str]
    ) -> Submission:
        """Record further jobs and hand them to the repository's leader.

        Raises: CoordinatorUnavailable; the rows are queued, see `take_over`.
        """

    def take_over(self, invocation_id: str, *, environment: Mapping[str, str]) -> tuple[Job, ...]:
        """Run queued background jobs of an invocation here instead."""

    def skipped_fire(self, invocation: InvocationSpec) -> None:
        """Record a fire that was skipped whole."""

    def fire_allowed(self, hook: str, worktree: str) -> None:
        """Forget earlier skipped fires of this hook and worktree."""

    def declare_retention(self, declared: DeclaredPolicy) -> None:
        """Take over what the configuration says of how much is kept. Trouble is no failure."""

    def error_tail(self, job: Job, lines: int) -> tuple[str, ...]:
        """Return the last lines a job wrote to its standard error (or output, if none)."""


@frozen(kw_only=True)
class OutputLine:
    """A line of a job's output.

    text: as a terminal would show it at its end, without the newline; it may hold anything, see
        to it that it does no harm. is_error: from standard error.
    continues: it goes on with the line before.
    """

    text: str
    is_error: bool = False
    continues: bool = False


class FireObserver(Protocol):
    """Watches fires; never decides.

    The command line, an editor and a test see the same: for every fire `hook_started`, what
    happens to its foreground jobs one after the other, and `hook_finished`. Called on the thread
    that drives the fire; `daft_hooks.watching` makes these calls of what a coordinator tells.
    """

    def hook_started(self, hook: str, worktree: str, jobs: int) -> None:
        """Jobs of a hook are about to run in the foreground."""

    def notice(self, text: str) -> None:
        """One line for the user."""

    def job_skipped(self, hook: str, job: JobSpec) -> None:
        """A job will not run."""

    def job_started(self, job: Job) -> None:
        """A job runs."""

    def job_line(self, job: Job, line: OutputLine) -> None:
        """A job has written a line, or part of a very long or slow one."""

    def job_progress(self, job: Job, text: str) -> None:
        """The line a job is writing looks like this now; `job_line` follows when it is whole."""

    def job_stopping(self, job: Job) -> None:
        """A job was told to end, by Ctrl+C or somebody else."""

    def job_finished(self, job: Job) -> None:
        """A job has ended, or will not run as what it needs has failed."""

    def background_submitted(self, hook: str, names: tuple[str, ...]) -> None:
        """Jobs go on in the background."""

    def hook_finished(self, hook: str, ok: bool) -> None:
        """The foreground part of a hook has ended."""
