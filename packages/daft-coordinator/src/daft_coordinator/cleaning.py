"""A clean-up pass: look (`survey`), ask the core, carry out the answer.

Rows go first, in transactions of whoever may write them: us, under the leader's lock, or the
leader, which is asked. Their directories go afterwards and need no lock, because no row leads
to them any more. A pass that dies in between has left tombstones, and the next one begins by
finishing what they tell of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from attrs import define, evolve, field, frozen

from daft_protocol.departures import Departure

from .domain import elapsed, retention
from .domain.elapsed import ClockRecord, Trust
from .domain.retention import (
    Decision,
    Eviction,
    Snapshot,
    StaleJob,
    StrayDirectory,
    Wishes,
)
from .errors import CoordinatorError, StoreFull, StoreUnavailable
from .history import JobHistory, PassRecord, Tombstone
from .ports import Clock, ProcessControl
from .reading import reading
from .survey import Surveyor

BATCH = 25
"""Invocations per transaction. With twenty jobs each it takes about 15 ms, in which a leader does
nothing else."""


class Evictor(Protocol):
    """Takes rows out of the record, with the right to do so."""

    def evict(self, departures: Sequence[Departure]) -> Sequence[bool]:
        """Delete rows, see `JobHistory.evict`. Raises: CoordinatorError."""

    def give_up(self, jobs: Sequence[StaleJob], at: datetime) -> int:
        """Record that nobody answers for running jobs; return how many that were."""


@frozen(kw_only=True)
class Plan:
    """What a pass would do, what it saw of the clocks, and all that it saw."""

    decision: Decision
    clock: ClockRecord
    snapshot: Snapshot


@define(kw_only=True)
class Outcome:
    """What a pass has done. Bytes are those of files that are really gone."""

    invocations: int = 0
    jobs: int = 0
    bytes: int = 0
    stale: int = 0
    over_budget_bytes: int = 0
    held_back: bool = False
    is_complete: bool = True
    trouble: list[str] = field(factory=list)


class Cleaning:
    """Clean-up of one repository.

    by_hand: the user asked for it. An automatic pass wants to be surer of the clock.
    living_worktrees: labels of worktrees that exist; None: not known.
    """

    def __init__(
        self,
        history: JobHistory,
        *,
        clock: Clock,
        processes: ProcessControl,
        by_hand: bool,
        living_worktrees: Collection[str] | None = None,
    ) -> None:
        self._history = history
        self._clock = clock
        self._by_hand = by_hand
        self._surveyor = Surveyor(history, processes=processes, living_worktrees=living_worktrees)

    def plan(self, wishes: Wishes | None = None) -> Plan:
        """Return what a pass would do now. Changes nothing. Raises: StoreUnavailable."""
        clock = elapsed.compare(self._history.clock(), reading(self._clock))
        trusted = clock.trust is Trust.STEADY or (self._by_hand and clock.trust is Trust.UNKNOWN)
        snapshot = self._surveyor.look(clock.reading.wall_at, ages_hold=trusted)
        while True:
            decision = retention.decide(snapshot, wishes)
            # Only logs that would go are asked after: to ask for all would open every file.
            going = [
                *(
                    (one.invocation_id, job.dir_name)
                    for one in decision.evictions
                    for job in one.jobs
                ),
                *((stray.invocation_id, stray.dir_name) for stray in decision.strays),
            ]
            in_use = {where[0] for where in going if self._history.is_in_use(*where)}
            if not in_use:
                return Plan(decision=decision, clock=clock, snapshot=snapshot)
            snapshot = evolve(snapshot, in_use={*snapshot.in_use, *in_use})

    def carry_out(
        self, plan: Plan, evictor: Evictor, *, enough: Callable[[], bool] = lambda: False
    ) -> Outcome:
        """Do what `plan` says and finish what earlier passes have left; then note the pass.

        enough: asked between steps; once it is true the pass stops, and the next one goes on.
        Trouble ends no pass: it is in the outcome, and everything else is done.
        """
        decision = plan.decision
        buried: list[Tombstone] = []
        done = Outcome(over_budget_bytes=decision.over_budget_bytes, held_back=decision.held_back)
        for step in (
            self._giving_up(decision.stale, evictor, done),
            self._evicting(decision.evictions, evictor, done),
            self._clearing_strays(decision.strays, done),
            self._burying(done, buried),
            self._clearing_leftovers(done),
            self._settling(buried, done),
        ):
            for _ in step:
                if enough():
                    done.is_complete = False
                    break
            if not done.is_complete:
                done.trouble.append("it took too long; the next pass goes on")
                break
        self._finish(plan, done)
        return done

    # --- carrying out -------------------------------------------------------------------------

    def _giving_up(
        self, stale: Sequence[StaleJob], evictor: Evictor, done: Outcome
    ) -> Iterator[None]:
        if not stale:
            return
        try:
            done.stale = evictor.give_up(stale, self._clock.now())
        except CoordinatorError as error:
            done.trouble.append(f"running jobs of nobody were not given up: {error}")
        yield

    def _evicting(
        self, evictions: Sequence[Eviction], evictor: Evictor, done: Outcome
    ) -> Iterator[None]:
        for first in range(0, len(evictions), BATCH):
            batch = evictions[first : first + BATCH]
            try:
                accepted = self._evict(batch, evictor, done)
            except CoordinatorError as error:
                done.trouble.append(f"rows were not deleted: {error}")
                return
            for eviction, gone in zip(batch, accepted, strict=True):
                if gone:
                    done.invocations += eviction.whole
                    done.jobs += len(eviction.jobs)
            yield

    def _evict(self, batch: Sequence[Eviction], evictor: Evictor, done: Outcome) -> Sequence[bool]:
        departures = [_departure(one) for one in batch]
        try:
            return evictor.evict(departures)
        except StoreFull:
            # Not even room to note what goes. Logs are what fills a disk, so they go first: the
            # rows then tell of logs that are gone, and go now or with the next pass.
            for eviction in self._unchanged(batch):
                for job in eviction.jobs:
                    aside = self._history.set_aside(eviction.invocation_id, job.dir_name)
                    done.bytes += self._clear(aside)
            return evictor.evict(departures)

    def _unchanged(self, batch: Sequence[Eviction]) -> Iterator[Eviction]:
        now = {one.invocation_id: one for one in self._history.invocations()}
        for eviction in batch:
            kept = now.get(eviction.invocation_id)
            if kept is None or kept.pinned or len(kept.jobs) != eviction.expected:
                continue
            if all(job.status.is_final for job in kept.jobs):
                yield eviction

    def _clearing_strays(self, strays: Sequence[StrayDirectory], done: Outcome) -> Iterator[None]:
        for stray in strays:
            with _noting(done, f"directory {stray.invocation_id}/{stray.dir_name} stays"):
                # Seen a while ago: rows may have come since then.
                if not self._history.knows(stray.invocation_id, stray.dir_name):
                    aside = self._history.set_aside(stray.invocation_id, stray.dir_name)
                    done.bytes += self._clear(aside)
            yield

    def _burying(self, done: Outcome, buried: list[Tombstone]) -> Iterator[None]:
        """Delete what tombstones tell of: rename, then delete."""
        for tombstone in self._tombstones(done):
            where = f"{tombstone.invocation_id}/{tombstone.dir_name}".rstrip("/")
            with _noting(done, f"directory {where} stays for the next pass"):
                aside = self._history.set_aside(tombstone.invocation_id, tombstone.dir_name)
                done.bytes += self._clear(aside)
                buried.append(tombstone)
            yield

    def _tombstones(self, done: Outcome) -> Sequence[Tombstone]:
        try:
            return self._history.tombstones()
        except StoreUnavailable as error:
            done.trouble.append(str(error))
            return ()

    def _clearing_leftovers(self, done: Outcome) -> Iterator[None]:
        """Delete what a pass renamed and did not live to delete."""
        for name in self._history.leftovers():
            with _noting(done, f"directory {name} stays for the next pass"):
                done.bytes += self._clear(name)
            yield

    def _settling(self, buried: Sequence[Tombstone], done: Outcome) -> Iterator[None]:
        """Forget the tombstones of directories that are gone; last, when there is most room."""
        with _noting(done, "deleted directories are still noted"):
            for tombstone in buried:
                try:
                    self._history.settle(tombstone)
                except StoreFull:
                    self._history.shrink()
                    self._history.settle(tombstone)
                yield

    def _clear(self, name: str | None) -> int:
        return 0 if name is None else self._history.clear(name)

    def _finish(self, plan: Plan, done: Outcome) -> None:
        record = PassRecord(
            at=plan.clock.reading.wall_at,
            reason="manual" if self._by_hand else "auto",
            invocations=done.invocations,
            jobs=done.jobs,
            bytes=done.bytes,
            stale=done.stale,
            trouble=tuple(done.trouble),
        )
        with _noting(done, "the pass is not in the history"):
            self._history.note_pass(record, plan.clock)
        with _noting(done, "the store keeps its size"):
            self._history.shrink()


@contextmanager
def _noting(done: Outcome, what: str) -> Iterator[None]:
    """Turn trouble with one thing into a line of the outcome: the others must not suffer."""
    try:
        yield
    except StoreUnavailable as error:
        done.trouble.append(f"{what}: {error.reason}")


def _departure(eviction: Eviction) -> Departure:
    return Departure(
        invocation_id=eviction.invocation_id,
        expected=eviction.expected,
        job_uids=None if eviction.whole else tuple(job.uid for job in eviction.jobs),
    )
