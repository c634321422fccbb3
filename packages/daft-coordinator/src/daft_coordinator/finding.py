"""Finding a repository's leader, and becoming the one who starts it when there is none."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable

from attrs import frozen

from daft_protocol import messages
from daft_protocol.errors import ProtocolError
from daft_protocol.messages import Hello, Request, Submit

from . import detaching
from .errors import CoordinatorError, CoordinatorUnavailable, LeaderTooOld, RequestRefused
from .link import ANSWER_S, Link, frame
from .station import LeaderLock, Station, check_peer

STORE_BUSY_S = 30.0
"""How long a leader whose store is held by another process is asked again."""
RECONCILE_S = 30.0
"""How long a leader may take until its record agrees with the world."""
ATTEMPTS = 40
_PAUSES_S = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)


def pause(attempt: int) -> None:
    """Wait before looking again, a little longer each time, not at all the first time."""
    time.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])


@frozen(kw_only=True)
class Meeting:
    """A connection to the leader.

    has_started: the leader was started for it. is_answered: False while the answer to what we
    came for has not been read.
    """

    link: Link
    has_started: bool = False
    is_answered: bool = True


class LeaderFinder:
    """Makes connections to the leader of one repository.

    may_start: whether a leader may be started when none answers.
    recorded: where leaders say that they are met. Asked only where that depends on more than
        the state directory.
    """

    def __init__(
        self,
        station: Station,
        *,
        may_start: bool,
        version: str,
        recorded: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._station = station
        self._recorded = recorded
        self._may_start = may_start
        self._version = version
        self._started: list[int] = []

    @property
    def started_pid(self) -> int:
        """The leader started last, 0 when none was."""
        return self._started[-1] if self._started else 0

    def meet(self, submit: Submit | None = None, *, confirm: bool = True) -> Meeting:
        """Find the leader or start it, say what we came for, and return a connection to it.

        A door that closes just as we knock, and a leader that starts beside ours, are ordinary:
        look again, a little later each time. The limit is generous because every round ends at
        once; only a leader that cannot live at all uses it up.
        confirm: False does not wait for the answer of a leader that is started, if the last one
        here was the same program: that one could start, and what we came for is in its hands.
        Raises: CoordinatorUnavailable; LeaderTooOld when the leader cannot run what is submitted.
        """
        request: Request = submit or Hello(client_version=self._version)
        answer_s = ANSWER_S if submit else RECONCILE_S
        reason = "nobody answers"
        patient_until = time.monotonic() + STORE_BUSY_S
        attempt = 0
        while attempt < ATTEMPTS:
            pause(attempt)
            attempt += 1
            link, started = self.knock(), False
            if link is None:
                if not self._may_start:
                    raise CoordinatorUnavailable("none is running")
                born = self._start(request)
                if born is None:
                    reason = "its lock is held, but nobody answers"
                    if time.monotonic() > patient_until:
                        break
                    attempt = min(attempt, len(_PAUSES_S))
                    continue
                link, started = born[0], True
                if born[1] and not confirm:
                    return Meeting(link=link, has_started=True, is_answered=False)
            try:
                if started:
                    link.receive(answer_s)
                else:
                    link.ask(request, answer_s=answer_s)
            except RequestRefused as refused:
                link.close()
                reason = refused.message
                if refused.code == messages.BUSY:
                    # It lives; the store is held by somebody. It does not wait for that, we do.
                    if time.monotonic() > patient_until:
                        raise CoordinatorUnavailable(reason) from refused
                    attempt = min(attempt, len(_PAUSES_S))
                    continue
                if refused.code == messages.NEWER_SPEC:
                    raise LeaderTooOld(reason) from refused
                if refused.code not in (messages.NOT_LEADER, messages.SHUTTING_DOWN):
                    raise CoordinatorUnavailable(reason) from refused
                if started and refused.code == messages.NOT_LEADER:
                    self._bury_last()
                continue
            except TimeoutError as error:
                # It is there, so nobody else can lead, and it hangs or was stopped. Should it go
                # on and find what we came for, it takes what is still to be had of it.
                link.close()
                raise CoordinatorUnavailable("it does not answer") from error
            except (OSError, ProtocolError) as error:
                link.close()
                reason = str(error)
                if started and self._bury_last():
                    # Ours died at birth; a second try would die of the same.
                    raise CoordinatorUnavailable(
                        f"it ended while starting; see {self._station.journal_path}"
                    ) from error
                continue
            return Meeting(link=link, has_started=started)
        raise CoordinatorUnavailable(reason)

    def knock(self) -> Link | None:
        """Connect to the leader that listens, None when there is none."""
        link = knock(self._station.socket_path)
        if link is None and not self._station.is_met_at_home:
            # It may have been started by somebody with another runtime directory.
            others = (path for path in self._recorded() if path != self._station.socket_path)
            link = next(filter(None, map(knock, others)), None)
        return link

    def reap(self) -> bool:
        """Let go of leaders that have left already; True when none of those started is left."""
        self._started = [pid for pid in self._started if not detaching.has_ended(pid)]
        return not self._started

    def close(self) -> None:
        """Let go of leaders that have left already: none may stay behind as a zombie of ours."""
        for pid in self._started:
            detaching.has_ended(pid)
        self._started.clear()

    def _start(self, request: Request) -> tuple[Link, bool] | None:
        """Start a leader that is born with the lock, a connection to us, and what we came for.

        We take the lock for it: so nobody else becomes the leader before it can even look, and
        what it was given is in the hands of the one leader there is.
        Returns: the connection, and whether we may leave without its answer; None: somebody
        leads already, or is about to. Raises: CoordinatorUnavailable.
        """
        words = [*self._station.words, "--client-fd", str(detaching.CLIENT_FD)]
        if isinstance(request, Submit):
            words += ["--begin-with", "submit"]
        try:
            lock = LeaderLock.try_acquire(self._station.lock_path)
        except FileNotFoundError:
            # Somebody has cleared the place: a leader makes it anew, and takes its lock itself.
            started = detaching.start("daft_coordinator", words, first=frame(request, 1))
            self._started.append(started.pid)
            return Link(started.sock, asked=1), False
        except OSError as error:
            raise CoordinatorUnavailable(f"its lock: {error}") from error
        if lock is None:
            return None
        try:
            may_leave = lock.was_held_by_ours
            started = detaching.start(
                "daft_coordinator",
                [*words, "--lock-fd", str(detaching.LOCK_FD)],
                lock_fd=lock.fileno(),
                first=frame(request, 1),
            )
        except CoordinatorUnavailable:
            lock.leave(self._station)
            raise
        finally:
            lock.release()
        self._started.append(started.pid)
        return Link(started.sock, asked=1), may_leave and started.holds_all

    def _bury_last(self) -> bool:
        """True when the leader started last has ended already."""
        if not detaching.has_ended(self._started[-1]):
            return False
        self._started.pop()
        return True


def knock(socket_path: str) -> Link | None:
    """Connect to the leader that listens there, None when there is none.

    Raises: CoordinatorUnavailable when it takes no call; PeerNotOurs.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A socket with a time-out of Python's own would not wait for a place in the queue of
        # a leader that many call at once, but fail.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", ANSWER_S, 0))
        sock.connect(socket_path)
        check_peer(sock)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        sock.close()
        return None
    except BlockingIOError as error:
        sock.close()
        raise CoordinatorUnavailable(f"it took no call for {ANSWER_S} s") from error
    except OSError as error:
        sock.close()
        raise CoordinatorUnavailable(f"its socket: {error}") from error
    except CoordinatorError:
        sock.close()
        raise
    return Link(sock)
