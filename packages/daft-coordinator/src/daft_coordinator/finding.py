"""Finding a repository's leader, and becoming the one who starts it when there is none."""

from __future__ import annotations

import socket
import struct
import time

from daft_protocol import messages
from daft_protocol.errors import ProtocolError
from daft_protocol.messages import Hello, Request, Submit

from . import detaching
from .errors import CoordinatorError, CoordinatorUnavailable, LeaderTooOld, RequestRefused
from .link import ANSWER_S, Link
from .station import Station, check_peer

STORE_BUSY_S = 30.0
"""How long a leader whose store is held by another process is asked again."""
RECONCILE_S = 30.0
"""How long a leader may take until its record agrees with the world."""
ATTEMPTS = 40
_PAUSES_S = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)


def pause(attempt: int) -> None:
    """Wait before looking again, a little longer each time, not at all the first time."""
    time.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])


class LeaderFinder:
    """Makes connections to the leader of one repository.

    may_start: whether a leader may be started when none answers.
    """

    def __init__(self, station: Station, *, may_start: bool, version: str) -> None:
        self._station = station
        self._may_start = may_start
        self._version = version
        self._started: list[int] = []

    @property
    def started_pid(self) -> int:
        """The leader started last, 0 when none was."""
        return self._started[-1] if self._started else 0

    def meet(self, submit: Submit | None = None) -> tuple[Link, bool]:
        """Find the leader or start it, say what we came for, and return a connection to it.

        A door that closes just as we knock, and a leader that starts beside ours, are ordinary:
        look again, a little later each time. The limit is generous because every round ends at
        once; only a leader that cannot live at all uses it up.
        Returns: the connection, and whether the leader was started for it.
        Raises: CoordinatorUnavailable; LeaderTooOld when the leader cannot run what is submitted.
        """
        request: Request = submit or Hello(client_version=self._version)
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
                link, started = self._start(), True
            try:
                link.ask(request, answer_s=ANSWER_S if submit else RECONCILE_S)
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
            except (OSError, ProtocolError) as error:
                link.close()
                reason = str(error)
                if started and self._bury_last():
                    # Ours died at birth; a second try would die of the same.
                    raise CoordinatorUnavailable(
                        f"it ended while starting; see {self._station.journal_path}"
                    ) from error
                continue
            return link, started
        raise CoordinatorUnavailable(reason)

    def knock(self) -> Link | None:
        """Connect to the leader that listens, None when there is none."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A socket with a time-out of Python's own would not wait for a place in the queue of
            # a leader that many call at once, but fail.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", ANSWER_S, 0))
            sock.connect(self._station.socket_path)
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

    def close(self) -> None:
        """Let go of leaders that have left already: none may stay behind as a zombie of ours."""
        for pid in self._started:
            detaching.has_ended(pid)
        self._started.clear()

    def _start(self) -> Link:
        """Start a leader that is born with a connection to us."""
        pid, sock = detaching.start(
            "daft_coordinator",
            [*self._station.words, "--client-fd", str(detaching.CLIENT_FD)],
        )
        self._started.append(pid)
        return Link(sock)

    def _bury_last(self) -> bool:
        """True when the leader started last has ended already."""
        if not detaching.has_ended(self._started[-1]):
            return False
        self._started.pop()
        return True
