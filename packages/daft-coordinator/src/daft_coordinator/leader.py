"""The leader of a repository: holds the lock, listens, and leaves when nothing is left to do.

What makes others look is published only after what would turn them away is gone. Leaving, the
leader closes its door, looks at the queue once more while it still holds the lock, and only
then lets go. A submitter commits first and knocks afterwards; whoever finds the door closed
starts the next leader. So one of the two always sees the other's work.
"""

from __future__ import annotations

import os
import signal as signals
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from daft_protocol import handing
from daft_protocol.handing import Submit

from . import door, intake, provisions
from .coordinator import Coordinator
from .domain.reconcile import REQUEUE_WITHIN_S
from .door import Door
from .errors import CoordinatorError
from .reactor import READ, Timer
from .recovery import Orphans, Recovery
from .referral import Referral
from .server import MAX_CONNECTIONS, Connection, Operation, turn_away
from .station import LeaderLock, Station, check_peer

if TYPE_CHECKING:
    from daft_protocol.messages import Request, Response

    from .history import JobHistory

LINGER_S = 2.0
_ALL = object()
_LOAD_AGAIN_S = 0.5
_LISTEN_AGAIN_S = 1.0  # whatever is in the socket's place is there for longer, or goes soon


class Leader:
    """Serves one repository, or one invocation, until there is nothing left to do.

    lock: held already; given back by `run` at the very end.
    history: opens the record as clean-up sees it; None: nobody may ask for evictions.
    client: the connection this process was started with, if any.
    begins_with_submit: what comes through it first is a submission, and is there or on its way.
    begun: called once that is taken, if there was one.
    orphans, requeue_within_s, buried: see `Recovery`.
    repairs: who brings the record in line with the world; None: we do, as who leads a repository.
    """

    def __init__(
        self,
        station: Station,
        lock: LeaderLock,
        coordinator: Coordinator,
        *,
        history: Callable[[], JobHistory] | None = None,
        client: socket.socket | None = None,
        begins_with_submit: bool = False,
        begun: Callable[[], None] = lambda: None,
        linger_s: float = LINGER_S,
        orphans: Orphans = Orphans.STOP,
        requeue_within_s: float | None = REQUEUE_WITHIN_S,
        buried: Callable[[], None] = lambda: None,
        repairs: Referral | None = None,
        version: str = "",
        report: Callable[[str], None] = print,
    ) -> None:
        self.station = station
        self.coordinator = coordinator
        self.recovery = repairs or Recovery(
            coordinator,
            report=report,
            told=self.poll_soon,
            buried=buried,
            orphans=orphans,
            requeue_within_s=requeue_within_s,
        )
        self.history = history
        self.version = version
        self.followers: dict[str, int] = {}
        self.is_leaving = False
        self._lock = lock
        self._report = report
        self._linger_s = linger_s
        self._linger: Timer | None = None
        self._door = Door(
            station.socket_path,
            directories=(
                os.path.dirname(station.socket_path),
                os.path.dirname(station.lock_path),
            ),
            reactor=coordinator.reactor,
            admit=self._admit,
            vanished=self._lost,
            is_sound=lambda: lock.is_at(station.lock_path),
            report=report,
        )
        self._connections: dict[Connection, None] = {}  # the oldest first
        self._poll_planned = False
        self._finished = False
        self._is_shut = False
        self._begun = begun
        self._rest: Iterator[None] | None = None  # of the program, while it is being loaded
        self._starter: Connection | None = None
        coordinator.on_change(self._changed)
        coordinator.on_log(self._logged)
        if client is not None:
            starter = self._greet(client, patient=True)
            self._starter = starter if begins_with_submit else None

    def run(self) -> bool:
        """Lead until idle. Returns with the door closed and the lock released.

        False when it had to give up on the store.
        """
        signals_read, restore = self._catch_signals()
        try:
            self._open_door()
            self._take_hand_over()
            started = self.coordinator.owner.process.start
            self._lock.describe(f"{os.getpid()} started {started} daft {self.version}")
            repairs = self.recovery.run()
            if repairs:
                self._report(f"repaired the record: {repairs}")
            self._changed()
            # Whoever is answered may remove the program: first, all of it has to be here.
            self._door.pause()
            # In the order they were planned: what was handed over starts before.
            self.coordinator.reactor.call_soon(self._load_rest)
            while not self._finished:
                self.coordinator.reactor.wait()
        finally:
            self._door.close()
            for connection in list(self._connections):
                connection.close()
            self.coordinator.reactor.unwatch(signals_read.fileno())
            restore()
            self.coordinator.close()
            self._lock.leave(self.station)
        return not (self.coordinator.has_given_up or self.recovery.has_given_up)

    def _load_rest(self) -> None:
        """Load a part of what is needed later, and the next in the next turn."""
        try:
            if self._rest is None:
                self._rest = provisions.load()
            if next(self._rest, _ALL) is not _ALL:
                self.coordinator.reactor.call_soon(self._load_rest)
                return
        except (OSError, ImportError) as error:
            # No descriptor to spare, for one: what works goes on, and nothing else can begin.
            self._report(f"not all of the program could be loaded yet: {error}")
            self._rest = None
            self.coordinator.reactor.call_after(_LOAD_AGAIN_S, self._load_rest)
        self._door.resume()

    def _take_hand_over(self) -> None:
        """Take what we were born with, before anything is judged.

        Who started us may have left: then its rows have no owner any more, but what they need and
        is never stored is here, and a recovery would start them without it.
        """
        if self._starter is not None:
            self._starter.hear_first()
            self._starter = None
        self._begun()

    def shut_down(self) -> None:
        """Stop all jobs, record their ends, and leave as soon as that is done."""
        self.is_leaving = True
        self.coordinator.shutdown()
        self.recovery.stop_adopted()
        self.poll_soon()

    def poll_soon(self) -> None:
        """Let every running operation look again, in the next turn."""
        if not self._poll_planned:
            self._poll_planned = True
            self.coordinator.reactor.call_soon(self._poll)

    # --- the door -----------------------------------------------------------------------------

    def _open_door(self) -> None:
        """Let clients in, now or as soon as that is possible.

        Whom nobody can reach still owes what was handed over at its birth.
        """
        try:
            self._door.open()
        except OSError as error:
            self._shut_out(error)

    def _shut_out(self, error: OSError) -> None:
        """Say once that nobody can come in, and look again until somebody can."""
        if not self._is_shut:
            self._report(f"cannot listen at {self.station.socket_path}: {error}; trying again")
        self._is_shut = True
        self.coordinator.reactor.call_after(_LISTEN_AGAIN_S, self._try_door)

    def _try_door(self) -> None:
        # The place was not watched meanwhile, and the lock may be as lost as the socket.
        if self._is_shut and not (self._finished or self.is_leaving):
            self._lost()

    def _admit(self, sock: socket.socket) -> None:
        try:
            check_peer(sock)
        except CoordinatorError as error:
            self._report(str(error))
            turn_away(sock, handing.FORBIDDEN, "this coordinator serves another user")
            return
        if len(self._connections) >= MAX_CONNECTIONS and not self._make_room():
            many = f"it serves {MAX_CONNECTIONS} clients already; try again"
            turn_away(sock, handing.BUSY, many)
            return
        self._greet(sock)

    def _make_room(self) -> bool:
        """Hang up on who has said nothing for longest, else on who wants nothing now.

        False when all of them wait for something.
        """
        silent = (one for one in self._connections if one.is_silent)
        idle = (one for one in self._connections if not (one.is_busy or one.is_patient))
        for connection in (*silent, *idle):
            connection.close()
            return True
        return False

    def _lost(self) -> None:
        """Somebody has cleared the place where we are met: put it back, unless another leads."""
        try:
            os.makedirs(os.path.dirname(self.station.lock_path), mode=0o700, exist_ok=True)
            if not self._lock.renew(self.station.lock_path):
                # A lock file that is not ours any more let somebody else in: ours is the past.
                self._report("another coordinator leads here now; finishing what runs")
                self.is_leaving = True
                self._door.close()
                self.poll_soon()
                return
            self._door.open()
        except OSError as error:
            self._shut_out(error)
            return
        self._is_shut = False
        self._report("the socket had vanished and was put back")

    def _greet(self, sock: socket.socket, *, patient: bool = False) -> Connection:
        connection = Connection(
            sock,
            reactor=self.coordinator.reactor,
            handle=self._handle,
            closed=self._disconnected,
            troubled=self._troubled,
            patient=patient,
        )
        self._connections[connection] = None
        self._stay()
        return connection

    def _handle(self, connection: Connection, request: Request) -> Operation | Response:
        if isinstance(request, Submit):
            # What comes first of all, most often; it can do without all the others.
            return intake.handle(self, request)
        from . import requests

        return requests.handle(self, request)

    def _troubled(self, error: Exception) -> None:
        import traceback  # hardly ever needed

        trace = "".join(traceback.format_exception(error))
        self._report(f"trouble over a client, whose connection is closed for it: {trace}")

    def _disconnected(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self.poll_soon()

    # --- staying and leaving ------------------------------------------------------------------

    def _changed(self) -> None:
        self.poll_soon()

    def _logged(self, job_uid: str) -> None:
        if job_uid in self.followers:
            self.poll_soon()

    def _poll(self) -> None:
        self._poll_planned = False
        for connection in list(self._connections):
            connection.poll()
        if self._has_work:
            self._stay()
        elif self.is_leaving:
            self._try_to_leave()
        elif self._linger is None or self._linger.callback is None:
            self._linger = self.coordinator.reactor.call_after(self._linger_s, self._try_to_leave)

    @property
    def _has_work(self) -> bool:
        return (
            not self.coordinator.is_idle
            or self.coordinator.sees_a_cancel_through
            or not self.recovery.is_settled
            or self.recovery.has_adopted
            or (not self.is_leaving and any(one.is_patient for one in self._connections))
            or any(connection.is_busy for connection in self._connections)
        )

    def _stay(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def _try_to_leave(self) -> None:
        self._linger = None
        if self._finished or self._has_work:
            return
        self._door.close()
        # The door is closed, the lock is still ours: whoever committed before finding it closed
        # is seen now; whoever comes later finds the lock free in a moment.
        if not self.is_leaving and not self.recovery.has_given_up:
            self.recovery.run()
            if self._has_work:
                self._open_door()
                return
        self._finished = True

    # --- signals ------------------------------------------------------------------------------

    def _catch_signals(self) -> tuple[socket.socket, Callable[[], None]]:
        """Make SIGTERM and SIGINT readable, and forget SIGHUP: jobs outlive the terminal."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        old_wakeup = signals.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        old = {
            number: signals.signal(number, handler)
            for number, handler in (
                (signals.SIGTERM, lambda *_: None),
                (signals.SIGINT, lambda *_: None),
                (door.SIGNAL, lambda *_: None),
                (signals.SIGHUP, signals.SIG_IGN),
            )
        }

        def ready(_: int) -> None:
            caught = set(reader.recv(1024))
            if caught & {signals.SIGTERM, signals.SIGINT}:
                self.shut_down()
            if door.SIGNAL in caught:
                self._door.look()

        def restore() -> None:
            signals.set_wakeup_fd(old_wakeup)
            for number, handler in old.items():
                signals.signal(number, handler)
            reader.close()
            writer.close()

        self.coordinator.reactor.watch(reader.fileno(), READ, ready)
        return reader, restore
