"""Repairing the record after somebody died: gather facts, ask the core, carry it out."""

from __future__ import annotations

import enum
import os
import signal as signals
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from daft_protocol.jobs import SPEC_VERSION, Job
from daft_protocol.status import EndReason, JobStatus

from . import changes
from .domain.elapsed import passed_s
from .domain.lifecycle import Ending
from .domain.reconcile import (
    REQUEUE_WITHIN_S,
    ObservedJob,
    Verdict,
    culprit_of,
    led_apart,
    reconcile,
    why_skipped,
)
from .errors import StoreUnavailable
from .joblog import mend, reopen
from .ports import OWN_LEADER, Delivery, Owner
from .reactor import READ, Timer
from .reading import reading
from .results import remove_result, told_ending
from .roster import RETRY_LIMIT_S

if TYPE_CHECKING:
    from .coordinator import Coordinator

_AGAIN_S = 0.25
_UNTOLD = "exit status unknown"


_ENDS = {
    Verdict.CRASH: "crashed",
    Verdict.STOP_ORPHAN: "crashed",
    Verdict.FINISH_CANCEL: "cancelled",
    Verdict.SKIP_DEPENDENT: "skipped",
}
"""How a job without a result of its own ends, for those that needed one."""


class Orphans(enum.Enum):
    """What becomes of processes whose coordinator died."""

    STOP = "stop"  # and the job is recorded as crashed
    ADOPT = "adopt"  # they go on; their output and their exit status are lost all the same


@frozen(kw_only=True)
class Repairs:
    """What a pass changed, by job name, for people who want to read it."""

    crashed: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()
    requeued: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        ended = (self.crashed, self.repaired, self.stopped, self.skipped)
        return any((*ended, self.adopted, self.requeued))

    def __add__(self, later: Repairs) -> Repairs:
        return Repairs(
            crashed=self.crashed + later.crashed,
            repaired=self.repaired + later.repaired,
            stopped=self.stopped + later.stopped,
            adopted=self.adopted + later.adopted,
            requeued=self.requeued + later.requeued,
            skipped=self.skipped + later.skipped,
        )

    @property
    def told(self) -> str:
        """What was found and done, in one line; "" for nothing."""
        said = (
            ("crashed", self.crashed),
            ("stopped and crashed", self.stopped),
            ("ended meanwhile", self.repaired),
            ("going on, unattended", self.adopted),
            ("queued again", self.requeued),
            ("skipped", self.skipped),
        )
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in said if names)


class Recovery:
    """Brings a repository's record in line with the world. Only the lock holder may use it.

    report: told what the store's trouble is. told: called when a pass was made up for.
    orphans: what becomes of processes whose coordinator died. requeue_within_s: for how long what
        waited for one is still started; None: it never is.
    buried: called when leaders of single invocations were found to have died.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        *,
        report: Callable[[str], None],
        told: Callable[[], None] = lambda: None,
        buried: Callable[[], None] = lambda: None,
        orphans: Orphans = Orphans.STOP,
        requeue_within_s: float | None = REQUEUE_WITHIN_S,
    ) -> None:
        self._coordinator = coordinator
        self._report = report
        self._told = told
        self._buried = buried
        self._wanted = orphans
        self._requeue_within_s = requeue_within_s
        self._overdue: Timer | None = None
        self._failing_since: float | None = None
        self._untold = Repairs()
        self.has_given_up = False
        self._orphans: dict[str, Job] = {}
        self._adopted: set[str] = set()  # of the orphans, those that may go on
        self._watched: dict[int, str] = {}  # descriptor -> job uid
        self._forbidden: set[str] = set()  # of the orphans, those with a process not ours to stop

    @property
    def is_settled(self) -> bool:
        """True when a pass was made, and no orphan is being stopped any more."""
        return self._overdue is None and self._adopted.issuperset(self._orphans)

    @property
    def has_adopted(self) -> bool:
        """True while an orphan goes on under us."""
        return bool(self._adopted)

    def run(self) -> Repairs:
        """Judge every unfinished job and act. Orphans are stopped in the turns that follow.

        A store that does not answer is asked again, for as long as the roster asks it.
        """
        try:
            repairs = self._run()
        except StoreUnavailable as error:
            self._try_again(error)
            return Repairs()
        self._failing_since = None
        self._untold += repairs
        return repairs

    def take_untold(self) -> Repairs:
        """Return what was repaired since somebody asked last: whoever started us wants to know."""
        untold, self._untold = self._untold, Repairs()
        return untold

    def _try_again(self, error: StoreUnavailable) -> None:
        now = self._coordinator.clock.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            self._report(f"the record cannot be compared with the world yet: {error}")
        if now - self._failing_since >= RETRY_LIMIT_S:
            self.has_given_up = True
            self._report(f"the store did not answer for {RETRY_LIMIT_S:g} s; giving up")
        elif self._overdue is None:
            self._overdue = self._coordinator.reactor.call_after(_AGAIN_S, self._run_again)

    def _run_again(self) -> None:
        self._overdue = None
        repairs = self.run()
        if repairs:
            self._report(f"repaired the record: {repairs}")
        self._told()

    def _run(self) -> Repairs:
        coordinator = self._coordinator
        owners = {owner.id: owner for owner in coordinator.store.owners()}
        jobs: dict[str, Job] = {}
        observed: dict[str, ObservedJob] = {}
        endings: dict[str, Ending] = {}
        unfinished = coordinator.store.unfinished()
        apart = led_apart(unfinished, self._own_leaders(owners.values()))
        for job in unfinished:
            if job.owner == coordinator.owner.id or job.uid in self._orphans:
                continue
            if job.status is JobStatus.QUEUED and job.invocation_id in apart:
                continue  # what it waits for runs there; once that leader is gone it is judged
            owner = owners.get(job.owner) if job.owner is not None else None
            alive = False if owner is None else coordinator.processes.is_alive(owner.process)
            if alive is not False:
                is_commands = owner is not None and owner.kind == "command"
                if is_commands and job.status is JobStatus.CANCELLING:
                    coordinator.see_cancel_through(job)
                continue  # not ours to judge, and looking for its processes costs
            jobs[job.uid] = job
            ending = self._ending(job)
            if ending is not None:
                endings[job.uid] = ending
            observed[job.uid] = self._observe(job, alive, has_ending=ending is not None)
        verdicts = reconcile(
            observed.values(),
            requeue_within_s=self._requeue_within_s,
            adopt=self._wanted is Orphans.ADOPT,
        )
        by_verdict: dict[Verdict, list[Job]] = {}
        for uid, verdict in verdicts.items():
            by_verdict.setdefault(verdict, []).append(jobs[uid])
        for job in by_verdict.get(Verdict.SKIP, []):
            self._skip(job, why_skipped(observed[job.uid], requeue_within_s=self._requeue_within_s))
        lost = {
            (jobs[uid].invocation_id, jobs[uid].name): _ENDS[verdict]
            for uid, verdict in verdicts.items()
            if verdict in _ENDS
        }
        for job in by_verdict.get(Verdict.SKIP_DEPENDENT, []):
            culprit = culprit_of(observed[job.uid], lost)
            how = lost.get((job.invocation_id, culprit or ""), "lost")
            self._skip(job, f"dependency failed: {culprit} {how}", EndReason.DEP_FAILED)
        for job in by_verdict.get(Verdict.REPAIR, []):
            self._repair(job, endings[job.uid])
        for job in by_verdict.get(Verdict.CRASH, []):
            self._crash(job)
        for job in by_verdict.get(Verdict.FINISH_CANCEL, []):
            self._finish_cancel(job)
        for job in by_verdict.get(Verdict.STOP_ORPHAN, []):
            self._stop(job)
        for job in by_verdict.get(Verdict.ADOPT, []):
            self._adopt(job)
        requeued = by_verdict.get(Verdict.REQUEUE, [])
        for invocation_id in dict.fromkeys(job.invocation_id for job in requeued):
            coordinator.take_over(invocation_id)
        self._retire_dead(owners.values())
        return Repairs(
            crashed=_names(by_verdict.get(Verdict.CRASH, [])),
            repaired=_names(by_verdict.get(Verdict.REPAIR, [])),
            stopped=_names(by_verdict.get(Verdict.STOP_ORPHAN, [])),
            adopted=_names(by_verdict.get(Verdict.ADOPT, [])),
            requeued=_names(requeued),
            skipped=_names(
                [*by_verdict.get(Verdict.SKIP, []), *by_verdict.get(Verdict.SKIP_DEPENDENT, [])]
            ),
        )

    def _own_leaders(self, owners: Iterable[Owner]) -> frozenset[str]:
        processes = self._coordinator.processes
        return frozenset(
            owner.id
            for owner in owners
            if owner.kind == OWN_LEADER and processes.is_alive(owner.process) is not False
        )

    def _retire_dead(self, owners: Iterable[Owner]) -> None:
        """Sign off whoever died and could not do so."""
        coordinator = self._coordinator
        dead = [one for one in owners if coordinator.processes.is_alive(one.process) is False]
        for owner in dead:
            coordinator.store.retire(owner.id)
        if any(owner.kind == OWN_LEADER for owner in dead):
            self._buried()

    def _observe(self, job: Job, owner_alive: bool | None, *, has_ending: bool) -> ObservedJob:
        coordinator = self._coordinator
        group_alive = job.process is not None and bool(
            coordinator.processes.family(job.process, job.uid)
        )
        waited_s = 0.0
        if job.queued_at is not None:
            now = reading(coordinator.clock)
            waited_s = passed_s(now, then=job.queued_at, then_boot=job.queued_boot)
        return ObservedJob(
            uid=job.uid,
            status=job.status,
            owner_alive=owner_alive,
            group_alive=group_alive,
            has_ending=has_ending,
            restartable=job.spec.background and os.path.isdir(job.spec.working_dir),
            missing_env=job.removed_env,
            is_newer=job.spec_version > SPEC_VERSION,
            waited_s=waited_s,
            invocation_id=job.invocation_id,
            name=job.name,
            needs=job.needs,
        )

    def _ending(self, job: Job) -> Ending | None:
        """Return how the job ended, if its log or a result file tells."""
        directory = self._coordinator.store.log_directory(job)
        if directory is None or job.status is JobStatus.QUEUED:
            return None
        return told_ending(directory)

    def _repair(self, job: Job, ending: Ending) -> None:
        if job.status is JobStatus.CANCELLING:
            ending = evolve(
                ending, status=JobStatus.CANCELLED, reason=EndReason.CANCEL, detail="cancelled"
            )
        now = self._coordinator.clock.now()
        directory = self._coordinator.store.log_directory(job)
        if directory is not None:
            mend(directory, limit_bytes=job.spec.log.limit_bytes)
        self._coordinator.save(changes.found_ended(job, ending, now))
        if directory is not None:
            remove_result(directory)

    def _crash(self, job: Job, detail: str | None = None) -> None:
        detail = detail or f"{_who_ran(job)} died"
        now = self._coordinator.clock.now()
        # Log record before row: whoever sees the row must find the reason in the log.
        self._append(job, "crashed", message=detail)
        ending = Ending(status=JobStatus.CRASHED, reason=EndReason.CRASH, detail=detail)
        self._coordinator.save(changes.found_ended(job, ending, now))

    def _finish_cancel(self, job: Job) -> None:
        now = self._coordinator.clock.now()
        detail = f"cancelled; {_who_ran(job)} died meanwhile"
        self._append(job, "crashed", message=detail)
        ending = Ending(status=JobStatus.CANCELLED, reason=EndReason.CANCEL, detail=detail)
        self._coordinator.save(changes.found_ended(job, ending, now))

    def _skip(self, job: Job, why: str, reason: EndReason = EndReason.CRASH) -> None:
        self._append(job, "note", text=why)
        now = self._coordinator.clock.now()
        self._coordinator.save(changes.skipped(job.uid, why, now, reason=reason))

    def stop_adopted(self) -> None:
        """Bring what was adopted to an end: we are told to leave."""
        for uid in list(self._adopted):
            self._stop(self._orphans[uid])

    def _adopt(self, job: Job) -> None:
        """Answer for an orphan until it has ended by itself, or its time is over."""
        coordinator = self._coordinator
        now = coordinator.clock.now()
        taken = coordinator.store.apply(
            [changes.taken_over(job.uid, JobStatus.RUNNING, coordinator.owner.id, now)]
        )
        if not all(taken):
            return  # it has ended meanwhile, or somebody wants it stopped: the next pass sees
        self._append(job, "note", text=f"{_who_ran(job)} died; adopted. {_UNTOLD}")
        self._orphans[job.uid] = job
        self._adopted.add(job.uid)
        if job.spec.timeout_s is not None:
            left_s = max(0.0, job.spec.timeout_s - self._ran_s(job))
            coordinator.reactor.call_after(left_s, lambda: self._too_long(job))
        self._watch(job)

    def _ran_s(self, job: Job) -> float:
        """Return for how long a job has run that somebody else started."""
        if job.started_at is None:
            return 0.0
        now = reading(self._coordinator.clock)
        if job.queued_at is None or job.queued_boot is None:
            return passed_s(now, then=job.started_at, then_boot=None)
        waited_s = max(0.0, (job.started_at - job.queued_at).total_seconds())
        since_queued_s = passed_s(now, then=job.queued_at, then_boot=job.queued_boot)
        return max(0.0, since_queued_s - waited_s)

    def _too_long(self, job: Job) -> None:
        if job.uid in self._adopted:
            self._stop(job)

    def _stop(self, job: Job) -> None:
        """Bring an orphan's group to an end, then record it."""
        self._adopted.discard(job.uid)
        self._orphans[job.uid] = job
        self._signal(job, signals.SIGTERM)
        self._signal(job, signals.SIGCONT)
        policy = self._coordinator.policy
        reactor = self._coordinator.reactor
        grace_s = policy.grace_of(job)
        reactor.call_after(grace_s, lambda: self._signal(job, signals.SIGKILL))
        reactor.call_after(grace_s + policy.give_up_s, lambda: self._give_up(job))
        self._watch(job)

    def _signal(self, job: Job, number: int) -> None:
        if job.uid not in self._orphans or job.process is None:
            return
        processes = self._coordinator.processes
        for member in processes.family(job.process, job.uid):
            if processes.signal(member, number) is Delivery.REFUSED:
                self._forbidden.add(job.uid)

    def _watch(self, job: Job) -> None:
        assert job.process is not None
        members = self._coordinator.processes.family(job.process, job.uid)
        watched = False
        for member in members:
            fd = self._coordinator.processes.watch(member)
            if fd is None:
                continue
            watched = True
            self._watched[fd] = job.uid
            self._coordinator.reactor.watch(fd, READ, partial(self._one_gone, fd))
        if not members:
            self._ended(job)
        elif not watched:
            # No such descriptors here: the deadlines of the stop look again.
            self._coordinator.reactor.call_after(0.05, lambda: self._look_again(job))

    def _look_again(self, job: Job) -> None:
        if job.uid in self._orphans:
            self._watch(job)

    def _one_gone(self, fd: int, _events: int) -> None:
        self._coordinator.reactor.unwatch(fd)
        os.close(fd)
        uid = self._watched.pop(fd)
        if uid in self._orphans and uid not in self._watched.values():
            # The last one known is gone; there may be new ones meanwhile.
            self._watch(self._orphans[uid])

    def _give_up(self, job: Job) -> None:
        if job.uid in self._orphans:
            self._orphans.pop(job.uid)
            why = "its processes do not react to SIGKILL"
            if job.uid in self._forbidden:
                why = f"what runs of it as another user was left: {_group(job)}"
            self._crash(job, f"{_who_ran(job)} died, and {why}")

    def _ended(self, job: Job) -> None:
        self._orphans.pop(job.uid, None)
        was_adopted = job.uid in self._adopted
        self._adopted.discard(job.uid)
        # A cancel may have come while it was adopted.
        now = self._coordinator.store.job(job.uid) or job
        if now.status is JobStatus.CANCELLING:
            self._finish_cancel(now)
        elif was_adopted:
            self._crash(now, f"adopted; {_UNTOLD}")
        else:
            self._crash(now, f"{_who_ran(now)} died; what still ran of it was stopped")

    def _append(self, job: Job, event: str, /, **fields: object) -> None:
        directory = self._coordinator.store.log_directory(job)
        if directory is None:
            return
        log = reopen(directory, limit_bytes=job.spec.log.limit_bytes)
        log.status(event, int(self._coordinator.clock.now().timestamp() * 1000), **fields)
        log.close()


def _who_ran(job: Job) -> str:
    """Return who answered for a job, as its user knows it."""
    return "its coordinator" if job.spec.background else "the program that ran it"


def _group(job: Job) -> str:
    return "" if job.process is None else f"process group {job.process.pgid}"


def _names(jobs: list[Job]) -> tuple[str, ...]:
    return tuple(job.name for job in jobs)
