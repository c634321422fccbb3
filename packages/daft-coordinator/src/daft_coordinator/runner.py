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

from daft_protocol.jobs import BackgroundOutput, Job, ProcessIdentity
from daft_protocol.status import JobStatus

from .domain.cancel import Manner
from .domain.lifecycle import Ending, StopCause, classify, unkillable
from .domain.stopping import StopPolicy
from .jobgroup import JobGroup
from .joblog import JobLog
from .joboutput import JobOutput
from .outlet import Outlet
from .ports import Clock, Delivery, ExitStatus, ProcessControl, Spawned
from .reactor import READ, Reactor, Timer

LOOK_S = 0.05
"""How often a process is looked at on a system that has no descriptor for its end."""

LASTING_MS = 1000
"""A job that took this long is not done again for nothing: its end is forced to the disk, where a
later coordinator finds it after a power cut. To do so for every small job would take longer than
they do."""

_POLITELY = Manner()


class JobRun:
    """A started job. Made behind its gate; `open_gate` lets it run."""

    cause: StopCause | None = None
    _exit: ExitStatus | None = None
    _next_look: Timer | None = None
    _killing = False
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
        pipes = {"stdout": spawned.stdout, "stderr": spawned.stderr}
        self._output = JobOutput(
            job,
            {kind: fd for kind, fd in pipes.items() if fd is not None},
            log,
            reactor=reactor,
            clock=clock,
            outlet=outlet,
            ended=self._pipe_ended,
            troubled=self._in_trouble,
            note=self.notes.append,
        )
        self._group = JobGroup(spawned.identity, job.uid, processes=processes)
        self._started = clock.monotonic()
        self._timers: list[Timer] = []
        self._grace_s = policy.grace_of(job)
        self._leftovers: dict[int, int] = {}  # watch descriptor -> pid

    @property
    def job(self) -> Job:
        """The job as it was last told of."""
        return self._output.job

    @job.setter
    def job(self, job: Job) -> None:
        self._output.job = job

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the gate was made, on the monotonic clock."""
        return int((self._clock.monotonic() - self._started) * 1000)

    def open_gate(self) -> None:
        """Let the job run: its row is committed."""
        self._started = self._clock.monotonic()
        self._output.status("started", **self._facts())
        gate, self._gate = self._gate, None
        assert gate is not None
        try:
            os.write(gate, b"go\n")
        except BrokenPipeError:
            pass  # killed behind its gate by somebody else: its exit will tell
        finally:
            os.close(gate)
        self._output.watch()
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
        self._output.close()
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
        self._forget_exit()
        # What the pipes hold now is read before anything is decided.
        self._output.take_all()
        if not self._try_finish():
            self._after(self._policy.drain_s, self._drain_ended)

    def _forget_exit(self) -> None:
        if self._exit_fd is not None:
            self._reactor.unwatch(self._exit_fd)
            os.close(self._exit_fd)
            self._exit_fd = None

    # --- on the way out -----------------------------------------------------------------------

    def _try_finish(self) -> bool:
        """Finish if nothing of the job is left; otherwise watch what is. True when finished."""
        if self._done:
            return True
        if self._exit is None or (self._output.is_open and not self._drain_over):
            return False
        leftovers = self._group.rest()
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
        if self._output.is_open:
            self.notes.append("output was still held open by a process that outlived the job")
            self._output.close()
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
        if self._killing and not self._group.is_refused:
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
            self._output.status("note", text=self._why_it_stays("the process"))
            self._after(self._policy.unkillable_s, self._leave_behind)
            return
        self._drain_over = True
        self._output.close()
        if not self._try_finish():
            self.notes.append(self._why_it_stays("a process of the job's group"))
            self._finish()

    def _why_it_stays(self, who: str) -> str:
        if self._group.is_refused:
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
            self._policy.unkillable_s, pgid=self.identity.pgid, is_refused=self._group.is_refused
        )
        self._let_go()
        self._forget_exit()
        self._output.flush()
        self._output.keep_ring()
        self._output.status("crashed", message=ending.detail)
        self.log.close()
        self._outlet.job_ended(self, ending)

    def _signal_all(self, signal: int) -> Delivery:
        """Signal the group, and on a stop of ours whoever escaped from it as well."""
        return self._group.signal(signal, family=self.cause is not None)

    def _timed_out(self) -> None:
        if self._exit is None and not self._done:
            self._output.status("timeout", after_secs=self.job.spec.timeout_s)
            self.stop(StopCause.TIMEOUT)

    def _let_go(self) -> None:
        """Stop watching, and give every descriptor but the log's back."""
        self._done = True
        for timer in (*self._timers, self._next_look):
            if timer is not None:
                timer.cancel()
        for fd in list(self._leftovers):
            self._reactor.unwatch(fd)
            os.close(fd)
        self._leftovers.clear()
        self._output.close()

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
            self._output.flush()
        if ending.status is not JobStatus.COMPLETED:
            self._output.keep_ring()
        if self._trouble:
            self.notes.append(ending.detail or self._trouble)
        for note in self.notes:
            self._output.status("note", text=note)
        if self.log.trouble is not None:
            self._output.status("note", text=self.log.trouble)
        told = {
            "status": ending.status.value,
            "end_reason": ending.reason.value,
            "end_detail": ending.detail,
        }
        if ending.term_signal is not None:
            self._output.status("signaled", signal=ending.term_signal, **told)
        else:
            self._output.status("finished", exit_code=ending.exit_code, **told)
        silent = self.job.spec.background_output is BackgroundOutput.SILENT
        if silent and ending.status is JobStatus.COMPLETED and self.job.spec.background:
            self.log.remove()
        else:
            self.log.close(sync=self.elapsed_ms >= LASTING_MS)

    # --- what the system says -----------------------------------------------------------------

    def _pipe_ended(self) -> None:
        if self._exit is not None:
            self._try_finish()
        elif self._exit_fd is None and not self._output.is_open:
            self.look()  # nothing holds its pipes any more: most likely it has ended

    def _exited(self, _events: int) -> None:
        try:
            self.look()
        except Exception as error:
            self._in_trouble(error)

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
        self._output.is_muted = True
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
        self._forget_exit()


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
