"""A repository's record as clean-up sees it: the port.

It stands beside `JobStore` because only clean-up needs it: a store whose history something else
looks after need not offer it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from daft_protocol.departures import Departure
from daft_protocol.jobs import ProcessIdentity

from .domain.elapsed import ClockRecord
from .domain.policy import DeclaredPolicy, StoredPolicy
from .domain.retention import KeptInvocation


@frozen(kw_only=True)
class RunningJob:
    """A job recorded as running. owner, process: None when the record names none."""

    uid: str
    owner: ProcessIdentity | None
    process: ProcessIdentity | None


@frozen(kw_only=True)
class LogDirectory:
    """A directory that holds logs.

    dir_name: of a job; empty for the invocation's own directory.
    bytes: of the files in it; for an invocation's, of those beside the jobs' directories.
    """

    invocation_id: str
    dir_name: str
    bytes: int
    modified_at: datetime


@frozen(kw_only=True)
class Tombstone:
    """A directory whose rows are gone. dir_name: empty for a whole invocation."""

    invocation_id: str
    dir_name: str


@frozen(kw_only=True)
class Place:
    """Where a repository is: its git common directory, and when that was first told."""

    common_dir: str
    told_at: datetime


@frozen(kw_only=True)
class PassRecord:
    """What one clean-up pass did. reason: "auto" or "manual". trouble: one line each."""

    at: datetime
    reason: str
    invocations: int = 0
    jobs: int = 0
    bytes: int = 0
    stale: int = 0
    trouble: tuple[str, ...] = ()


class JobHistory(Protocol):
    """Reads and shortens the record of one repository. Every method is one transaction.

    A method that cannot reach its storage raises `StoreUnavailable` and has changed nothing.
    """

    def invocations(self) -> tuple[KeptInvocation, ...]:
        """Return every invocation with its jobs, oldest first; nothing is said of files."""

    def running(self) -> tuple[RunningJob, ...]:
        """Return every job recorded as running."""

    def knows(self, invocation_id: str, dir_name: str) -> bool:
        """True when a row accounts for the directory of an invocation, or of one of its jobs."""

    def evict(self, departures: Sequence[Departure]) -> tuple[bool, ...]:
        """Delete rows and leave tombstones for their directories; False: it changed meanwhile.

        An invocation that is pinned, has another number of jobs than expected, or an unfinished
        one, is left alone. Raises also: StoreFull.
        """

    def give_up(self, uids: Sequence[str], at: datetime) -> int:
        """Record running jobs as cancelled, reason `stale`; return how many still were running."""

    def tombstones(self) -> tuple[Tombstone, ...]:
        """Return what earlier evictions have left to be deleted."""

    def settle(self, tombstone: Tombstone) -> None:
        """Forget a tombstone: its directory is gone."""

    def pin(self, invocation_id: str, *, pinned: bool) -> bool:
        """Protect an invocation from clean-up, or no longer; False: there is no such one."""

    def policy(self) -> StoredPolicy:
        """Return what is set of the repository's policy, and by which file."""

    def declare(self, declared: DeclaredPolicy) -> None:
        """Take over what a configuration file says, see `domain.policy.merge`."""

    def describe(self, common_dir: str) -> None:
        """Remember where the repository is."""

    def place(self) -> Place | None:
        """Return where the repository was last known to be, None when that was never told."""

    def clock(self) -> ClockRecord | None:
        """Return what the last pass left to compare the clocks with, None before the first."""

    def passes(self, limit: int = 50) -> tuple[PassRecord, ...]:
        """Return the newest passes, newest first. At least the last 50 are kept."""

    def note_pass(self, record: PassRecord, clock: ClockRecord) -> None:
        """Add a pass, and what it saw of the clocks."""

    def shrink(self) -> None:
        """Give back to the disk what deleted rows took."""

    # --- files --------------------------------------------------------------------------------

    def was_replaced(self) -> bool:
        """True when the record stands in for one that was damaged, so that rows may be missing."""

    def directories(self) -> Iterator[LogDirectory]:
        """Yield every directory that holds logs, measured. No link is followed."""

    def is_in_use(self, invocation_id: str, dir_name: str) -> bool:
        """True while somebody reads or writes a log in that directory."""

    def set_aside(self, invocation_id: str, dir_name: str) -> str | None:
        """Rename a directory so that no row leads to it; return its new name, None: it is gone."""

    def leftovers(self) -> tuple[str, ...]:
        """Return the names of everything that was set aside."""

    def clear(self, name: str) -> int:
        """Delete what was set aside under a name; return the bytes of its files."""
