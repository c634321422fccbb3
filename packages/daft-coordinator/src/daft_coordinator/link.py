"""One connection to a leader: frames out, frames in, each within its time."""

from __future__ import annotations

import itertools
import socket

from daft_protocol.codec import decode_response, encode_request
from daft_protocol.frames import FrameDecoder, encode_frame
from daft_protocol.messages import Error, Request, Response

from .errors import RequestRefused

ANSWER_S = 10
"""How long a leader may take for an ordinary answer."""
_READ_BYTES = 64 * 1024


def frame(request: Request, number: int) -> bytes:
    """Return `request` as it goes over the wire, the one with this number on its connection."""
    return encode_frame(encode_request(request, number))


class Link:
    """The client's end of a connected socket.

    asked: how many requests went through it before this was made.
    """

    def __init__(self, sock: socket.socket, *, asked: int = 0) -> None:
        self._sock = sock
        self._decoder = FrameDecoder()
        self._bodies: list[bytes] = []
        self._ids = itertools.count(asked + 1)

    def ask(self, request: Request, *, answer_s: float | None = ANSWER_S) -> Response:
        """Send `request` and return its answer.

        Raises: RequestRefused for an `Error` answer; OSError when the leader is gone or slow.
        """
        try:
            self.send(request)
        except BrokenPipeError:
            pass  # it may have said why before it hung up
        return self.receive(answer_s)

    def send(self, request: Request) -> None:
        """Send a request without waiting for its answer. Raises: OSError."""
        self._sock.settimeout(ANSWER_S)
        self._sock.sendall(frame(request, next(self._ids)))

    def receive(self, answer_s: float | None) -> Response:
        """Return the next answer. Raises as `ask`."""
        while not self._bodies:
            self._sock.settimeout(answer_s)
            data = self._sock.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError("the coordinator closed the connection")
            self._bodies += self._decoder.feed(data)
        answer = decode_response(self._bodies.pop(0))
        message: Response = answer.message
        if isinstance(message, Error):
            # An answer to a request has its number; this one may be to the call itself.
            raise RequestRefused(message.code, message.message, unheard=answer.id is None)
        return message

    def close(self) -> None:
        """Hang up. Calling it again does nothing."""
        self._sock.close()
