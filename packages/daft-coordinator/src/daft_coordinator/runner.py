"""One job's process from the gate to its recorded end: output, time-out, stop, drain.

The only place that starts a job, and the only one that stops it. Whatever ends a job (its own
exit, a cancel, a time-out, a shutdown) takes the same way out:

    leader gone -> pipes drained, at most `drain_s` -> group gone -> `ended`
"""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from attrs import field, frozen
from attrs.validators import ge

from daft_protocol.jobs import BackgroundOutput, Job, ProcessIdentity
from daft_protocol.records import LogRecord, decode_record
from daft_protocol.status import JobStatus

from .domain.cancel import Manner
from .domain.family import outside_group
from .domain.lifecycle import Ending, StopCause, classify, unkillable
from .joblog import JobLog
from .ports import Clock, Delivery, ExitStatus, ProcessControl, Spawned
from .pump import QUIET_S, READ_BYTES
from .reactor import READ, Reactor, Timer

LOOK_S = 0.05
"""How often a process is looked at on a system that has no descriptor for its end."""

PROGRESS_S = 0.1
"""At most so often is a line told of that is not finished."""


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


_POLITELY = Manner()


class Outlet(Protocol):
    """Who wants to know what happens to a running job."""

    def job_logged(self, job: Job, records: Sequence[LogRecord]) -> None:
        """Records were written."""

    def job_wrote(self, job: Job) -> None:
        """Something was added to the job's log."""

    def job_ended(self, run: JobRun, ending: Ending) -> None:
        """The process group is gone and the log is complete but for its last record."""

    def job_troubled(self, job: Job, error: Exception) -> None:
        """Something of ours failed over this job; the job is being stopped for it."""

    def job_progressed(self, job: Job, text: str) -> None:
        """A line has begun, or changed, and is not finished."""

    @property
    def wants_progress(self) -> bool:
        """True when `job_progressed` is worth calling."""

    @property
    def wants_records(self) -> bool:
        """True when `job_logged` is worth decoding the records for."""


class JobRun:
    """A started job. Made behind its gate; `open_gate` lets it run."""

    cause: StopCause | None = None
    _exit: ExitStatus | None = None
    _next_look: Timer | None = None
    _killing = False
    _is_refused = False
    _trouble = ""
    _troubles = 0
    _done = False
    _drain_over = False

    def __init__(
        self,
        job: Job,
        spawned: Spawned,
        log: JobLog,
        *,
        reactor: Reactor,
        processes: ProcessControl,
        clock: Clock,
        policy: StopPolicy,
        outlet: Outlet,
    ) -> None:
        self.job = job
        self.log = log
        self.identity = spawned.identity
        self.notes: list[str] = []
        self._reactor = reactor
        self._processes = processes
        self._clock = clock
        self._policy = policy
        self._outlet = outlet
        self._gate: int | None = spawned.gate
        self._exit_fd = spawned.exit_fd
        self._readers: dict[str, int] = {}
        for kind, fd in (("stdout", spawned.stdout), ("stderr", spawned.stderr)):
            if fd is not None:
                self._readers[kind] = fd
        self._started = clock.monotonic()
        self._timers: list[Timer] = []
        self._grace_s = policy.grace_of(job)
        self._quiet: dict[str, Timer] = {}
        self._progress_due = self._started
        self._leftovers: dict[int, int] = {}  # watch descriptor -> pid
        self._escaped: set[ProcessIdentity] = set()

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the gate was made, on the monotonic clock."""
        return int((self._clock.monotonic() - self._started) * 1000)

    def open_gate(self) -> None:
        """Let the job run: its row is committed."""
        self._started = self._clock.monotonic()
        self._log_status("started", **self._facts())
        gate, self._gate = self._gate, None
        assert gate is not None
        try:
            os.write(gate, b"go\n")
        except BrokenPipeError:
            pass  # killed behind its gate by somebody else: its exit will tell
        finally:
            os.close(gate)
        for kind, fd in self._readers.items():
            self._reactor.watch(fd, READ, self._stdout if kind == "stdout" else self._stderr)
        if self._exit_fd is not None:
            self._reactor.watch(self._exit_fd, READ, self._exited)
        else:
            self._look_again(self._look_in_vain)
        timeout_s = self.job.spec.timeout_s
        if timeout_s is not None and not self.job.spec.interactive:
            self._after(timeout_s, self._timed_out)

    def _facts(self) -> dict[str, object]:
        """Return what a log must tell of its job should the store lose the row."""
        job, process = self.job, self.identity
        return {
            "pid": process.pid,
            "start": process.start,
            "boot": process.boot_id,
            "job": job.name,
            "uid": job.uid,
            "hook": job.hook_type,
            "worktree": job.worktree,
            "background": job.spec.background,
        }

    def abandon(self) -> None:
        """Close the gate: the row was not committed, so nothing may run."""
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None
        for fd in self._readers.values():
            os.close(fd)
        self._readers.clear()
        if self._exit_fd is not None:
            # Wait for the launcher's end, a matter of microseconds, so that no zombie stays.
            self._watch(self._exit_fd, self._bury)
        else:
            self._look_again(self._bury)
        self.log.remove()

    def stop(self, cause: StopCause, manner: Manner = _POLITELY) -> Delivery:
        """Bring the whole group to an end: signal and CONT, grace, KILL. Asking again kills.

        Returns: what became of the first signal.
        """
        if self._done:
            return Delivery.GONE
        again = self.cause is not None
        if self.cause is None:
            self.cause = cause
        if self._exit is not None:
            if manner.kill or again:
                self._kill()
            return Delivery.SENT  # it is on its way out already; the drain has its own limits
        grace_s = self._grace_s if manner.grace_s is None else manner.grace_s
        if manner.kill or again or grace_s == 0:
            return self._kill()
        met = self._signal_all(manner.signal)
        # A stopped group would sit on the signal for ever.
        self._signal_all(signals.SIGCONT)
        self._after(grace_s, self._kill)
        return met

    def look(self) -> None:
        """See whether the leader has ended; called when the system says so."""
        if self._exit is not None or self._done:
            return
        self._exit = self._processes.reap(self.identity)
        if self._exit is None:
            return
        if self._exit_fd is not None:
            self._reactor.unwatch(self._exit_fd)
            os.close(self._exit_fd)
            self._exit_fd = None
        # What the pipes hold now is read before anything is decided.
        for kind in list(self._readers):
            while kind in self._readers and self._read(kind):
                pass
        if not self._try_finish():
            self._after(self._policy.drain_s, self._drain_ended)

    # --- on the way out -----------------------------------------------------------------------

    def _try_finish(self) -> bool:
        """Finish if nothing of the job is left; otherwise watch what is. True when finished."""
        if self._done:
            return True
        if self._exit is None or (self._readers and not self._drain_over):
            return False
        leftovers = (*self._processes.group_members(self.identity), *self._living_escaped())
        if leftovers:
            self._watch_leftovers(leftovers)
            return False
        self._finish()
        return True

    def _watch_leftovers(self, leftovers: Sequence[ProcessIdentity]) -> None:
        known = set(self._leftovers.values())
        for member in leftovers:
            if member.pid in known:
                continue
            fd = self._processes.watch(member)
            if fd is None:
                # Gone between the look and now, or a system without such descriptors.
                self._look_again(self._leftover_gone)
                continue
            self._leftovers[fd] = member.pid
            self._watch(fd, partial(self._forget_leftover, fd))

    def _forget_leftover(self, fd: int) -> None:
        self._reactor.unwatch(fd)
        os.close(fd)
        self._leftovers.pop(fd, None)
        self._leftover_gone()

    def _leftover_gone(self) -> None:
        if not self._leftovers:
            self._try_finish()

    def _drain_ended(self) -> None:
        """The leader is gone and time for the rest is over."""
        if self._done:
            return
        self._drain_over = True
        if self._readers:
            self.notes.append("output was still held open by a process that outlived the job")
            for kind in list(self._readers):
                self._close_reader(kind)
        if self._try_finish():
            return
        if self.cause is None:
            self.notes.append("processes of the job's group outlived it and were stopped")
        self._signal_all(signals.SIGTERM)
        self._signal_all(signals.SIGCONT)
        self._after(self._grace_s, self._kill)

    def _kill(self) -> Delivery:
        if self._done:
            return Delivery.GONE
        if self._killing and not self._is_refused:
            return Delivery.SENT
        met = self._signal_all(signals.SIGKILL)
        if not self._killing:
            self._killing = True
            self._after(self._policy.give_up_s, self._give_up)
        return met

    def _give_up(self) -> None:
        if self._done:
            return
        if self._exit is None:
            self.look()
        if self._done:
            return
        if self._exit is None:
            # Uninterruptible in the kernel, or not ours to signal. Its end may still come, and
            # its owner waits for it.
            self._log_status("note", text=self._why_it_stays("the process"))
            self._after(self._policy.unkillable_s, self._leave_behind)
            return
        self._drain_over = True
        for kind in list(self._readers):
            self._close_reader(kind)
        if not self._try_finish():
            self.notes.append(self._why_it_stays("a process of the job's group"))
            self._finish()

    def _why_it_stays(self, who: str) -> str:
        if self._is_refused:
            return (
                f"{who} runs as another user and may not be signalled (group {self.identity.pgid})"
            )
        return f"{who} does not react to SIGKILL"

    def _leave_behind(self) -> None:
        """End the record of a process that nothing ends."""
        self.look()
        if self._done or self._exit is not None:
            return
        ending = unkillable(
            self._policy.unkillable_s, pgid=self.identity.pgid, is_refused=self._is_refused
        )
        self._let_go()
        if self._exit_fd is not None:
            self._reactor.unwatch(self._exit_fd)
            os.close(self._exit_fd)
            self._exit_fd = None
        self._show(self.log.flush_partial(self._now_ms()))
        self._show(self.log.keep_ring())
        self._log_status("crashed", message=ending.detail)
        self.log.close()
        self._outlet.job_ended(self, ending)

    def _signal_all(self, signal: int) -> Delivery:
        """Signal the group, and on a stop of ours whoever escaped from it as well."""
        met = self._signal_group(signal)
        self._is_refused = met is Delivery.REFUSED
        return met

    def _signal_group(self, signal: int) -> Delivery:
        if self.cause is not None:
            # Looked up before the leader dies: afterwards nobody knows whose child it was.
            family = self._processes.family(self.identity, self.job.uid)
            self._escaped.update(outside_group(family, self.identity))
        met = self._processes.signal_group(self.identity, signal)
        for member in self._escaped:
            self._processes.signal(member, signal)
        return met

    def _living_escaped(self) -> list[ProcessIdentity]:
        """Return who left the group, was asked to end with it, and has not done so."""
        return [one for one in self._escaped if self._processes.is_alive(one) is not False]

    def _timed_out(self) -> None:
        if self._exit is None and not self._done:
            self._log_status("timeout", after_secs=self.job.spec.timeout_s)
            self.stop(StopCause.TIMEOUT)

    def _let_go(self) -> None:
        """Stop watching, and give every descriptor but the log's back."""
        self._done = True
        for timer in (*self._timers, *self._quiet.values(), self._next_look):
            if timer is not None:
                timer.cancel()
        for fd in list(self._leftovers):
            self._reactor.unwatch(fd)
            os.close(fd)
        self._leftovers.clear()
        for kind in list(self._readers):
            self._close_reader(kind)

    def _finish(self) -> None:
        assert self._exit is not None
        self._let_go()
        ending = self._ending()
        try:
            self._close_log(ending)
        except Exception as error:
            # What the log lacks the row still tells.
            self._outlet.job_troubled(self.job, error)
            self._trouble, self.cause = f"{type(error).__name__}: {error}", StopCause.TROUBLE
            ending = self._ending()
        self._outlet.job_ended(self, ending)

    def _ending(self) -> Ending:
        assert self._exit is not None
        return classify(
            exit_code=self._exit.code,
            term_signal=self._exit.signal,
            cause=self.cause,
            timeout_s=self.job.spec.timeout_s,
            signal_name=_signal_name(self._exit.signal),
            trouble=self._trouble,
        )

    def _close_log(self, ending: Ending) -> None:
        if not self._trouble:
            self._show(self.log.flush_partial(self._now_ms()))
        if ending.status is not JobStatus.COMPLETED:
            self._show(self.log.keep_ring())
        if self._trouble:
            self.notes.append(ending.detail or self._trouble)
        for note in self.notes:
            self._log_status("note", text=note)
        if self.log.trouble is not None:
            self._log_status("note", text=self.log.trouble)
        told = {
            "status": ending.status.value,
            "end_reason": ending.reason.value,
            "end_detail": ending.detail,
        }
        if ending.term_signal is not None:
            self._log_status("signaled", signal=ending.term_signal, **told)
        else:
            self._log_status("finished", exit_code=ending.exit_code, **told)
        silent = self.job.spec.background_output is BackgroundOutput.SILENT
        if silent and ending.status is JobStatus.COMPLETED and self.job.spec.background:
            self.log.remove()
        else:
            self.log.close()

    # --- output -------------------------------------------------------------------------------

    def _stdout(self, _events: int) -> None:
        self._take_from("stdout")

    def _stderr(self, _events: int) -> None:
        self._take_from("stderr")

    def _take_from(self, kind: str) -> None:
        try:
            self._read(kind)
        except Exception as error:
            self._in_trouble(error)

    def _exited(self, _events: int) -> None:
        try:
            self.look()
        except Exception as error:
            self._in_trouble(error)

    def _read(self, kind: str) -> bool:
        """Read once from a pipe. True when there may be more at once."""
        try:
            data = os.read(self._readers[kind], READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self.notes.append(f"{kind} could not be read: {error.strerror}")
            data = b""
        if not data:
            self._close_reader(kind)
            if self._exit is not None:
                self._try_finish()
            elif self._exit_fd is None and not self._readers:
                self.look()  # nothing holds its pipes any more: most likely it has ended
            return False
        timer = self._quiet.pop(kind, None)
        if timer is not None:
            timer.cancel()
        if self._trouble:
            return True  # taken in, so that the job can end, and left out of the log
        self._show(self.log.output(kind, data, self._now_ms()))
        if self.log.has_partial(kind):
            self._tell_progress(kind)
            self._quiet[kind] = self._reactor.call_after(
                QUIET_S, self._careful(partial(self._flush_quiet, kind))
            )
        return True

    def _tell_progress(self, kind: str) -> None:
        now = self._clock.monotonic()
        if self._outlet.wants_progress and now >= self._progress_due:
            self._progress_due = now + PROGRESS_S
            self._outlet.job_progressed(self.job, self.log.partial(kind))

    def _flush_quiet(self, kind: str) -> None:
        self._show(self.log.flush_partial(self._now_ms(), kind))

    def _close_reader(self, kind: str) -> None:
        fd = self._readers.pop(kind)
        self._reactor.unwatch(fd)
        os.close(fd)

    def _show(self, encoded: list[str]) -> None:
        if not encoded:
            return
        self._outlet.job_wrote(self.job)
        if self._outlet.wants_records:
            self._outlet.job_logged(self.job, [decode_record(line) for line in encoded])

    def _log_status(self, event: str, /, **fields: object) -> None:
        self._show([self.log.status(event, self._now_ms(), **fields)])

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def _after(self, delay_s: float, callback: Callable[[], object]) -> None:
        self._timers.append(self._reactor.call_after(delay_s, self._careful(callback)))

    def _watch(self, fd: int, callback: Callable[[], object]) -> None:
        self._reactor.watch(fd, READ, self._careful(callback))

    # --- our own failures ---------------------------------------------------------------------

    def _careful(self, callback: Callable[[], object]) -> Callable[..., None]:
        """Return `callback` such that its failure costs this job and nothing else.

        It takes, and does not heed, what a reactor says of a descriptor.
        """

        def call(_events: int = 0) -> None:
            try:
                callback()
            except Exception as error:
                self._in_trouble(error)

        return call

    def _in_trouble(self, error: Exception) -> None:
        """Stop the job for a failure of ours: politely, then by force, then leave it."""
        self._outlet.job_troubled(self.job, error)
        self._trouble = f"{type(error).__name__}: {error}"
        self._troubles += 1
        if self._done:
            return
        if self._exit is not None:
            self.cause = self.cause or StopCause.TROUBLE
            self._careful(self._drain_ended)() if self._troubles == 1 else self._finish()
        elif self._troubles == 1:
            self._careful(partial(self.stop, StopCause.TROUBLE))()
        elif self._troubles == 2:
            self._careful(self._kill)()

    def _look_again(self, look: Callable[[], None]) -> None:
        """Look in a moment, where the system does not say when there is something to see."""
        if self._next_look is not None:
            self._next_look.cancel()  # what was looked for before has been seen
        self._next_look = self._reactor.call_after(LOOK_S, self._careful(look))

    def _look_in_vain(self) -> None:
        """Look for the end, again and again until it has come."""
        if self._exit is None and not self._done:
            self._look_again(self._look_in_vain)  # first, so that a failed look is not the last
            self.look()

    def _bury(self) -> None:
        if self._processes.reap(self.identity) is None:
            if self._exit_fd is None:
                self._look_again(self._bury)
            return
        if self._exit_fd is not None:
            self._reactor.unwatch(self._exit_fd)
            os.close(self._exit_fd)
            self._exit_fd = None


def start(
    job: Job,
    *,
    environment: Mapping[str, str],
    umask: int | None,
    log: JobLog,
    reactor: Reactor,
    processes: ProcessControl,
    clock: Clock,
    policy: StopPolicy,
    outlet: Outlet,
) -> JobRun:
    """Start `job` behind its gate. Nothing of it runs before `open_gate`.

    Raises: SpawnFailed; then there is no process.
    """
    spawned = processes.spawn(
        job.spec.command,
        working_dir=job.spec.working_dir,
        environment=environment,
        terminal=job.spec.interactive,
        umask=umask,
    )
    return JobRun(
        job,
        spawned,
        log,
        reactor=reactor,
        processes=processes,
        clock=clock,
        policy=policy,
        outlet=outlet,
    )


def _signal_name(number: int | None) -> str:
    if number is None:
        return ""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
