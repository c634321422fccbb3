"""Frames: a length and that many bytes. No sockets in here, only bytes in and bytes out."""

from __future__ import annotations

from .errors import FrameTooLarge, TruncatedFrame

MAX_FRAME_BYTES = 8 * 1024 * 1024
HEADER_BYTES = 4


def encode_frame(body: bytes) -> bytes:
    """Return `body` behind its length, ready to send.

    body: UTF-8 JSON, 0 to MAX_FRAME_BYTES bytes.
    Returns: 4 bytes, big-endian unsigned length, then `body`.
    Raises: FrameTooLarge, before anything is copied.
    """
    if len(body) > MAX_FRAME_BYTES:
        raise FrameTooLarge(len(body), MAX_FRAME_BYTES)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


class FrameDecoder:
    """Takes bytes as they arrive and gives back whole frames.

    Memory is bounded by one frame: an announced length over the limit is refused at once,
    before any of its body is kept.
    """

    def __init__(self, limit_bytes: int = MAX_FRAME_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take `data` and return the bodies that are complete now, oldest first.

        Raises: FrameTooLarge when a header announces more than the limit; the decoder must not
        be used afterwards, as the stream cannot be brought back into step.
        """
        self._buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= HEADER_BYTES:
            size = int.from_bytes(self._buffer[start : start + HEADER_BYTES], "big")
            if size > self._limit_bytes:
                raise FrameTooLarge(size, self._limit_bytes)
            end = start + HEADER_BYTES + size
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[start + HEADER_BYTES : end]))
            start = end
        del self._buffer[:start]
        return bodies

    def close(self) -> None:
        """Say that no more bytes will come.

        Raises: TruncatedFrame when the stream ended inside a frame.
        """
        if not self._buffer:
            return
        have = len(self._buffer)
        if have < HEADER_BYTES:
            raise TruncatedFrame(HEADER_BYTES - have)
        raise TruncatedFrame(HEADER_BYTES + int.from_bytes(self._buffer[:4], "big") - have)
