"""What every `ProcessControl` must do."""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Iterator

import pytest
from attrs import evolve

from daft_protocol.jobs import ProcessIdentity
from daft_protocol.names import new_job_uid

from ..errors import SpawnFailed
from ..ports import Delivery, ExitStatus, ProcessControl, Spawned
from .bench import Bench, Trials, is_readable, read
from .promises import promised


class ProcessControlSuite:
    """Holds a `ProcessControl` to its port. Subclass it and supply the fixture `processes`.

    Override the fixture `bench` where commands are not for a shell.
    """

    @pytest.fixture
    def bench(self) -> Bench:
        """Return how commands are said, and how time passes."""
        return Bench()

    @pytest.fixture
    def trials(self, processes: ProcessControl, bench: Bench) -> Iterator[Trials]:
        """Start processes that are gone when the test is."""
        made = Trials(processes, bench)
        yield made
        made.close()

    # --- starting -----------------------------------------------------------------------------

    @promised(
        ProcessControl.spawn, "Start `sh -c command` behind a gate, in a process group of its own."
    )
    @promised(ProcessControl, "Starts, watches and signals processes.")
    @promised(
        Spawned, "stdout, stderr: read ends, non-blocking; None for a job that has the terminal."
    )
    def test_an_opened_gate_lets_the_command_run(self, trials: Trials) -> None:
        """It runs once, in a group of its own, and its two outputs stay apart."""
        made = trials.run(trials.bench.prints("one", "two"))

        assert trials.ended(made) == ExitStatus(code=0, signal=None)
        assert (read(made.stdout), read(made.stderr)) == (b"one\n", b"two\n")
        assert made.identity.pgid == made.identity.pid

    @promised(
        Spawned,
        "A process that waits behind its gate.",
        "gate: write a line to let it run; closing it instead ends it without running anything.",
    )
    def test_a_closed_gate_runs_nothing(self, trials: Trials) -> None:
        """Whoever held the gate died: the process ends by itself and has done nothing."""
        made = trials.spawn(trials.bench.prints("one", "two"))
        assert trials.processes.is_alive(made.identity) is True

        trials.close_gate(made)

        assert trials.ended(made).code not in (0, None)
        assert (read(made.stdout), read(made.stderr)) == (b"", b"")

    @promised(
        Spawned, "stdout, stderr: read ends, non-blocking; None for a job that has the terminal."
    )
    def test_reading_never_blocks(self, trials: Trials) -> None:
        """While nothing was written, a read says so."""
        made = trials.spawn(trials.bench.lasts())

        for fd in (made.stdout, made.stderr):
            assert fd is not None
            with pytest.raises(BlockingIOError):
                os.read(fd, 1)

    @promised(
        ProcessControl.spawn,
        "terminal: share the caller's terminal and process group, and capture nothing.",
    )
    def test_a_job_with_the_terminal_is_in_our_group(self, trials: Trials) -> None:
        """Ctrl+C reaches it as it reaches us, and it writes where we write."""
        us = trials.processes.identify(os.getpid())
        made = trials.run(trials.bench.exits(0), terminal=True)

        assert us is not None
        assert (made.stdout, made.stderr) == (None, None)
        assert made.identity.pgid == us.pgid
        assert trials.ended(made).code == 0

    @promised(ProcessControl.spawn, "umask: for the job; None inherits.")
    def test_a_mask_is_for_the_job_alone(self, trials: Trials) -> None:
        """The one that was given, ours without one, and ours is left as it was."""
        command = trials.bench.prints_umask()
        if command is None:
            pytest.skip("these processes have no mask")
        ours = os.umask(0o077)
        os.umask(ours)
        given, inherited = trials.run(command, umask=0o027), trials.run(command)

        for made, mask in ((given, 0o027), (inherited, ours)):
            trials.ended(made)
            assert int(read(made.stdout), 8) == mask
        assert os.umask(ours) == ours

    @promised(ProcessControl.spawn, "Raises: SpawnFailed; then nothing is left behind.")
    def test_what_cannot_start_leaves_nothing_behind(
        self, processes: ProcessControl, bench: Bench
    ) -> None:
        """No process, and no descriptor."""
        before = open_descriptors()
        given = {"working_dir": "/", "environment": {}, **bench.refused()}

        with pytest.raises(SpawnFailed) as caught:
            processes.spawn(**given)

        assert str(caught.value)
        assert open_descriptors() == before

    # --- ending -------------------------------------------------------------------------------

    @promised(ExitStatus, "How a process ended: an exit code, or the signal that killed it.")
    @pytest.mark.parametrize("code", [0, 1, 3, 255])
    def test_an_exit_code_is_told(self, trials: Trials, code: int) -> None:
        """Exactly as the process gave it."""
        made = trials.run(trials.bench.exits(code))

        assert trials.ended(made) == ExitStatus(code=code, signal=None)

    @promised(ExitStatus, "How a process ended: an exit code, or the signal that killed it.")
    @pytest.mark.parametrize("number", [signals.SIGTERM, signals.SIGKILL])
    def test_a_death_by_signal_is_told(self, trials: Trials, number: int) -> None:
        """By its number, and without an exit code."""
        made = trials.run_ready(trials.bench.lasts())

        assert trials.processes.signal(made.identity, number)
        assert trials.ended(made) == ExitStatus(code=None, signal=number)

    @promised(
        ProcessControl.reap,
        "Return how our child ended and forget it, or None while it lives.",
        "Never blocks.",
    )
    def test_reaping_tells_the_living_from_the_dead(self, trials: Trials) -> None:
        """None at once for one that lives; afterwards the number means nobody."""
        made = trials.run_ready(trials.bench.lasts())
        assert trials.processes.reap(made.identity) is None

        trials.processes.signal(made.identity, signals.SIGKILL)

        assert trials.ended(made).signal == signals.SIGKILL
        assert trials.processes.identify(made.identity.pid) is None
        assert trials.processes.reap(made.identity) is not None

    @promised(
        Spawned,
        "exit_fd: readable once the process has ended; None where the system has no such thing.",
    )
    def test_the_end_can_be_waited_for(self, trials: Trials) -> None:
        """The descriptor is silent until then, and stays readable."""
        made = trials.run_ready(trials.bench.lasts())
        if made.exit_fd is None:
            pytest.skip("this system has no descriptor for the end of a process")
        fd = made.exit_fd
        assert not is_readable(fd)

        trials.processes.signal(made.identity, signals.SIGKILL)

        trials.bench.until(lambda: is_readable(fd), "the end is readable")
        assert is_readable(fd)

    @promised(
        ProcessControl.watch,
        "Return a descriptor that is readable once `who` is gone; None where there is no such.",
    )
    def test_anybody_can_be_watched(self, trials: Trials) -> None:
        """As long as they live; of who is gone nothing can be watched."""
        made = trials.run_ready(trials.bench.lasts())
        fd = trials.processes.watch(made.identity)
        assert trials.processes.watch(evolve(made.identity, start="1")) is None
        if fd is not None:
            assert not is_readable(fd)

        trials.processes.signal(made.identity, signals.SIGKILL)

        if fd is not None:
            watched = fd
            trials.bench.until(lambda: is_readable(watched), "the end is readable")
            os.close(watched)
        trials.ended(made)
        assert trials.processes.watch(made.identity) is None

    # --- recognising --------------------------------------------------------------------------

    @promised(
        ProcessControl.identify,
        "Return the identity of a living process, or None when there is none (or a zombie).",
    )
    def test_the_living_have_an_identity(self, trials: Trials) -> None:
        """The same as when they were started; one that ended has none even before it is reaped."""
        made = trials.run_ready(trials.bench.lasts())
        assert trials.processes.identify(made.identity.pid) == made.identity
        us = trials.processes.identify(os.getpid())
        assert us is not None
        assert trials.processes.is_alive(us) is True

        trials.processes.signal(made.identity, signals.SIGKILL)

        trials.bench.until(
            lambda: trials.processes.identify(made.identity.pid) is None,
            "a process that was killed is not identified",
        )

    @promised(
        ProcessControl.is_alive,
        "True or False when certain; None when the system will not say (count that as alive).",
    )
    def test_who_is_alive_is_told_as_far_as_it_is_known(self, trials: Trials, bench: Bench) -> None:
        """A zombie is dead; somebody of whom nothing is told is neither."""
        made = trials.run_ready(trials.bench.lasts())
        assert trials.processes.is_alive(made.identity) is True

        trials.processes.signal(made.identity, signals.SIGKILL)

        trials.bench.until(
            lambda: trials.processes.is_alive(made.identity) is False, "it is known to be dead"
        )
        hidden = bench.unknowable(trials.processes)
        assert hidden is None or trials.processes.is_alive(hidden) is None

    @promised(ProcessControl.signal, "Signal one process after checking that it still is `who`.")
    @promised(
        ProcessControl.signal_group,
        "Signal the group of `who` if it still is that group, of one it does not lead only `who`.",
    )
    @promised(
        ProcessControl.group_members,
        "Return the living members of the group of `who` that started no earlier than it.",
    )
    @pytest.mark.parametrize("what", ["start", "boot_id"])
    def test_a_namesake_is_somebody_else(self, trials: Trials, what: str) -> None:
        """With another start or another boot the same number is a stranger: never touched."""
        made = trials.run_ready(trials.bench.lasts())
        namesake = self.namesake_of(made.identity, what)

        assert trials.processes.is_alive(namesake) is False
        assert trials.processes.group_members(namesake) == ()
        assert trials.processes.family(namesake, new_job_uid()) == ()
        assert not trials.processes.signal(namesake, signals.SIGKILL)
        assert not trials.processes.signal_group(namesake, signals.SIGKILL)
        assert trials.processes.is_alive(made.identity) is True
        assert trials.processes.reap(made.identity) is None

    def namesake_of(self, who: ProcessIdentity, what: str) -> ProcessIdentity:
        """Return the identity that an earlier holder of the number of `who` had."""
        return evolve(who, start="1") if what == "start" else evolve(who, boot_id="another boot")

    # --- groups and families ------------------------------------------------------------------

    @promised(
        ProcessControl.group_members,
        "Return the living members of the group of `who` that started no earlier than it.",
    )
    def test_a_group_is_known_beyond_its_leader(self, trials: Trials) -> None:
        """Whoever the leader left in it is still a member; a job beside it is not."""
        beside = trials.run_ready(trials.bench.lasts(), uid=new_job_uid())
        made = trials.run_ready(trials.bench.ends_before_child(leaves_group=False))
        trials.ended(made)

        members = trials.processes.group_members(made.identity)

        assert len(members) == 1
        assert members[0].pgid == made.identity.pgid
        assert members[0].pid not in (made.identity.pid, beside.identity.pid)
        assert trials.processes.signal_group(made.identity, signals.SIGKILL)
        trials.bench.until(
            lambda: trials.processes.group_members(made.identity) == (), "the group is gone"
        )
        assert not trials.processes.signal_group(made.identity, signals.SIGKILL)

    @promised(
        ProcessControl.signal_group,
        "Signal the group of `who` if it still is that group, of one it does not lead only `who`.",
    )
    def test_a_signal_reaches_the_whole_group(self, trials: Trials) -> None:
        """The leader and its child, and nobody outside."""
        beside = trials.run_ready(trials.bench.lasts(), uid=new_job_uid())
        made = trials.run_ready(trials.bench.lasts_with_child(leaves_group=False))
        assert len(trials.processes.group_members(made.identity)) >= 2

        assert trials.processes.signal_group(made.identity, signals.SIGTERM) is Delivery.SENT

        assert trials.ended(made).signal == signals.SIGTERM
        trials.bench.until(
            lambda: trials.processes.group_members(made.identity) == (), "the group is gone"
        )
        assert trials.processes.is_alive(beside.identity) is True

    @promised(
        ProcessControl.signal_group,
        "Signal the group of `who` if it still is that group, of one it does not lead only `who`.",
    )
    @promised(
        ProcessControl.group_members,
        "None of a group that `who` shares with others and does not lead.",
    )
    @promised(ProcessControl.family, "Of a group that `who` does not lead only `who`.")
    def test_a_shared_group_belongs_to_nobody(self, trials: Trials) -> None:
        """Of two jobs with the terminal, and of us, each is signalled alone."""
        first, second = (
            trials.run(trials.bench.lasts(), terminal=True, uid=new_job_uid()) for _ in range(2)
        )

        family = trials.processes.family(first.identity, trials.uid)

        assert [member.pid for member in family] == [first.identity.pid]
        assert trials.processes.group_members(first.identity) == ()
        assert trials.processes.signal_group(first.identity, signals.SIGTERM) is Delivery.SENT
        assert trials.ended(first).signal == signals.SIGTERM
        assert trials.processes.is_alive(second.identity) is True

    @promised(Delivery, "What became of a signal.", "True when it was delivered to somebody.")
    @promised(
        ProcessControl.signal_group,
        "A group of which some may be signalled and others not counts as signalled.",
    )
    def test_what_becomes_of_a_signal_is_told(self, trials: Trials, bench: Bench) -> None:
        """Delivered, nobody there, and nobody who may be signalled are three things."""
        made = trials.run_ready(bench.lasts_with_child(leaves_group=False))
        hands = (trials.processes.signal, trials.processes.signal_group)

        assert [one(made.identity, signals.SIGCONT) for one in hands] == [Delivery.SENT] * 2
        trials.processes.signal_group(made.identity, signals.SIGKILL)
        trials.ended(made)
        bench.until(
            lambda: trials.processes.group_members(made.identity) == (), "the group is gone"
        )
        assert [one(made.identity, signals.SIGCONT) for one in hands] == [Delivery.GONE] * 2
        forbidden = bench.forbidden(trials.processes)
        if forbidden is not None:
            assert [one(forbidden, signals.SIGCONT) for one in hands] == [Delivery.REFUSED] * 2

    @promised(ProcessControl.signal, "Signal one process after checking that it still is `who`.")
    def test_a_signal_to_one_spares_the_others(self, trials: Trials) -> None:
        """The child of who was signalled goes on."""
        made = trials.run_ready(trials.bench.lasts_with_child(leaves_group=False))

        assert trials.processes.signal(made.identity, signals.SIGKILL) is Delivery.SENT

        assert trials.ended(made).signal == signals.SIGKILL
        assert trials.processes.group_members(made.identity) != ()
        assert trials.processes.signal(made.identity, signals.SIGKILL) is Delivery.GONE

    @promised(
        ProcessControl.family,
        "Return group members, descendants and whoever carries `JOB_MARK`, living ones.",
    )
    @pytest.mark.parametrize("leads", [True, False])
    def test_who_leaves_the_group_stays_in_the_family(self, trials: Trials, leads: bool) -> None:
        """Found as a descendant while the leader lives, and by its mark afterwards."""
        bench = trials.bench
        command = bench.lasts_with_child if leads else bench.ends_before_child
        made = trials.run_ready(command(leaves_group=True))
        if not leads:
            trials.ended(made)

        family = trials.processes.family(made.identity, trials.uid)

        escaped = [member for member in family if member.pgid != made.identity.pgid]
        assert len(escaped) == 1
        assert any(member.pid == made.identity.pid for member in family) is leads
        assert escaped[0] not in trials.processes.group_members(made.identity)
        found = trials.processes.family(made.identity, new_job_uid())
        assert (escaped[0] in found) is leads

    @promised(
        ProcessControl.family,
        "A process with an empty `JOB_MARK` belongs to no job, and nor does what descends from it.",
    )
    def test_who_declares_to_be_nobodys_is_left_alone(self, trials: Trials) -> None:
        """Such as a leader that was started inside of a job and runs jobs of its own."""
        made = trials.run_ready(trials.bench.lasts_with_disowned_child())

        family = trials.processes.family(made.identity, trials.uid)

        assert {member.pgid for member in family} == {made.identity.pgid}

    @promised(
        ProcessControl.family,
        "Return group members, descendants and whoever carries `JOB_MARK`, living ones.",
    )
    def test_a_stranger_is_not_of_the_family(self, trials: Trials) -> None:
        """Neither another job nor we ourselves."""
        beside = trials.run_ready(trials.bench.lasts(), uid=new_job_uid())
        made = trials.run_ready(trials.bench.lasts())

        family = {member.pid for member in trials.processes.family(made.identity, trials.uid)}

        us = trials.processes.identify(os.getpid())
        assert us is not None
        assert made.identity.pid in family
        assert not family & {beside.identity.pid, us.pid}


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    count = 0
    for fd in range(1024):
        try:
            os.fstat(fd)
        except OSError:
            continue
        count += 1
    return count
