"""Connections: frames in, answers out, none of which can delay another.

Every socket is non-blocking and belongs to the leader's reactor. A client gets its answers in
the order it asked. What takes time (a wait, a cancel that waits, a tail) is an operation that
the connection holds until it is over.
"""

from __future__ import annotations

import select
import socket
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Union

from daft_protocol import handing
from daft_protocol.codec import decode_request, encode_response, request_id
from daft_protocol.errors import (
    BadEnvelope,
    BadPayload,
    FrameTooLarge,
    ProtocolError,
    UnknownMessage,
    WrongVersion,
)
from daft_protocol.frames import FrameDecoder, encode_frame
from daft_protocol.handing import Error

from .reactor import READ, WRITE, Reactor, Timer

if TYPE_CHECKING:
    from daft_protocol.messages import Request, Response

MAX_CONNECTIONS = 64
FIRST_WORD_S = 5.0
"""How long a client may take for its first request."""
IDLE_S = 60.0
"""How long it may take for any later one."""
WRITE_STALL_S = 5.0
SEND_BUFFER_BYTES = 1024 * 1024
_READ_BYTES = 64 * 1024
_MAX_QUEUED_REQUESTS = 16


class Operation(ABC):
    """An answer that takes time. `poll` is called whenever something changed."""

    @abstractmethod
    def poll(self, connection: Connection) -> bool:
        """Send what can be sent; True when the operation is over."""

    @abstractmethod
    def close(self) -> None:
        """The connection is gone: let go of everything."""


Handler = Callable[["Connection", "Request"], Union[Operation, "Response"]]
"""Answers a request at once, or with an operation."""


class Connection:
    """One client."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        reactor: Reactor,
        handle: Handler,
        closed: Callable[[Connection], None],
        troubled: Callable[[Exception], None],
        patient: bool = False,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._reactor = reactor
        self._handle = handle
        self._closed_callback = closed
        self._troubled = troubled
        self._decoder = FrameDecoder()
        self._requests: deque[bytes] = deque()
        self._operation: Operation | None = None
        self._operation_id: int | None = None
        self._out = bytearray()
        self._lengths: deque[int] = deque()  # what is left of each frame in it
        self._is_half = False  # the first of them has left in part
        self._closing = False
        self._gone = False
        self._stall: Timer | None = None
        # A patient connection is the one a leader is born with: its owner may first have to run
        # a foreground phase of any length.
        self._idle: Timer | None = None
        self._patient = patient
        self._has_spoken = patient
        if not patient:
            self._idle = reactor.call_after(FIRST_WORD_S, self.close)
        reactor.watch(sock.fileno(), READ, self._ready)

    @property
    def is_busy(self) -> bool:
        """True while this client waits for something of ours."""
        return bool(self._operation or self._out or self._requests)

    @property
    def is_patient(self) -> bool:
        """True until the client this leader was started by has said what it wants."""
        return self._patient

    @property
    def is_silent(self) -> bool:
        """True until it has made its first request."""
        return not self._has_spoken

    @property
    def has_room(self) -> bool:
        """True while more may be queued for this client; a slow reader makes only itself wait."""
        return len(self._out) < SEND_BUFFER_BYTES

    def send(self, response: Response) -> None:
        """Queue one answer to the request that is being handled."""
        try:
            frame = encode_frame(encode_response(response, self._operation_id))
        except ProtocolError as error:
            # Silence would let the client hang. What we cannot say is no fault of what it asked.
            code = handing.TOO_LARGE if isinstance(error, FrameTooLarge) else handing.INTERNAL
            refused = Error(code=code, message=str(error))
            frame = encode_frame(encode_response(refused, self._operation_id))
        self._out += frame
        self._lengths.append(len(frame))
        self._flush()

    def hear_first(self, within_s: float = FIRST_WORD_S) -> None:
        """Wait until the first request is here and answered, or the client is gone, or time is up.

        For a client whose request is on its way, while nobody else is served yet.
        """
        give_up_at = time.monotonic() + within_s
        while self._patient and not self._gone:
            left_s = give_up_at - time.monotonic()
            if left_s <= 0 or not select.select([self._sock], (), (), left_s)[0]:
                return
            self._ready(READ)

    def poll(self) -> None:
        """Let a running operation go on."""
        with self._alone():
            if self._operation is not None and not self._gone and self._operation.poll(self):
                self._end_operation()
                self._work()

    def close(self) -> None:
        """Close at once. Calling it again does nothing."""
        if self._gone:
            return
        self._gone = True
        for timer in (self._idle, self._stall):
            if timer is not None:
                timer.cancel()
        self._end_operation()
        self._reactor.unwatch(self._sock.fileno())
        self._sock.close()
        self._closed_callback(self)

    def close_when_sent(self) -> None:
        """Take no more requests, and close once everything queued has left."""
        self._closing = True
        if not self._out and self._operation is None:
            self.close()

    def _end_operation(self) -> None:
        if self._operation is not None:
            self._operation.close()
            self._operation = None

    def _ready(self, events: int) -> None:
        with self._alone():
            if events & WRITE:
                self._flush()
            if events & READ and not self._gone:
                self._read()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let a failure over this client cost this client its connection, and nobody else."""
        try:
            yield
        except Exception as error:
            self._troubled(error)
            if self._gone:
                return
            # Silence would let the client wait for nothing.
            self.send(Error(code=handing.INTERNAL, message=f"{type(error).__name__}: {error}"))
            self._end_operation()
            self.close_when_sent()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # reset by the peer: the same as its end for us
        if not data:
            self.close()
            return
        try:
            bodies = self._decoder.feed(data)
        except FrameTooLarge as error:
            # The stream cannot be brought back into step: say so, and close.
            self._operation_id = None
            self.send(Error(code=handing.TOO_LARGE, message=str(error)))
            self.close_when_sent()
            return
        if not bodies:
            return  # only whole requests count as saying something
        self._requests.extend(bodies)
        self._has_spoken = True
        self._work()

    def _work(self) -> None:
        while self._requests and self._operation is None and not self._closing and not self._gone:
            body = self._requests.popleft()
            self._operation_id = request_id(body)
            self._patient = False
            self._answer(body)
        if self._gone:
            return
        self._rearm()

    def _answer(self, body: bytes) -> None:
        try:
            envelope = decode_request(body)
        except ProtocolError as error:
            self.send(Error(code=_code_of(error), message=str(error)))
            return
        answer = self._handle(self, envelope.message)
        if not isinstance(answer, Operation):
            self.send(answer)
            return
        self._operation = answer
        if answer.poll(self):
            self._end_operation()

    def _rearm(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if not self.is_busy and not self._closing:
            self._idle = self._reactor.call_after(IDLE_S, self.close)
        # A client that floods us with requests is read again once they are answered.
        reading = 0 if len(self._requests) >= _MAX_QUEUED_REQUESTS else READ
        writing = WRITE if self._out else 0
        if reading | writing:
            self._reactor.watch(self._sock.fileno(), reading | writing, self._ready)
        else:
            self._reactor.unwatch(self._sock.fileno())

    def _flush(self) -> None:
        if self._gone:
            return
        sent = 0
        try:
            while self._out:
                count = self._sock.send(memoryview(self._out)[: 256 * 1024])
                self._has_left(count)
                sent += count
        except BlockingIOError:
            pass
        except OSError:
            self.close()  # nobody reads any more
            return
        if self._stall is not None and (sent or not self._out):
            self._stall.cancel()
            self._stall = None
        if self._out:
            if self._stall is None:
                self._stall = self._reactor.call_after(WRITE_STALL_S, self._overrun)
            self._reactor.watch(self._sock.fileno(), READ | WRITE, self._ready)
            return
        if self._closing and self._operation is None:
            self.close()
            return
        self._reactor.watch(self._sock.fileno(), READ, self._ready)
        if self._operation is not None and sent:
            # There is room again for a stream that had to pause.
            self._reactor.call_soon(self.poll)

    def _has_left(self, count: int) -> None:
        del self._out[:count]
        while count and count >= self._lengths[0]:
            count -= self._lengths.popleft()
            self._is_half = False
        if count:
            self._lengths[0] -= count
            self._is_half = True

    def _overrun(self) -> None:
        """Give up on a client that takes nothing: say so behind what it has half, and hang up."""
        if self._closing:
            self.close()  # it has not taken that either
            return
        self._stall = None
        # The first frame may be half on its way; what begins behind it never leaves.
        kept = list(self._lengths)[: int(self._is_half)]
        del self._out[sum(kept) :]
        self._lengths = deque(kept)
        self._closing = True
        self._end_operation()
        self.send(
            Error(code=handing.OVERRUN, message="read too slowly; ask again from where you are")
        )


def turn_away(sock: socket.socket, code: str, message: str) -> None:
    """Tell a caller why nobody will listen to it, and hang up. Never waits."""
    sock.setblocking(False)
    try:
        sock.send(encode_frame(encode_response(Error(code=code, message=message))))
    except OSError:
        pass  # it has hung up first
    sock.close()


def _code_of(error: ProtocolError) -> str:
    match error:
        case FrameTooLarge():
            return handing.TOO_LARGE
        case WrongVersion():
            return handing.SCHEMA_MISMATCH
        case UnknownMessage():
            return handing.UNKNOWN_REQUEST
        case BadPayload() | BadEnvelope():
            return handing.BAD_PAYLOAD
        case _:
            return handing.INTERNAL
