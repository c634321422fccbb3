"""What can go wrong with words, frames and names."""

from __future__ import annotations

from .facts import FactualError


class ProtocolError(FactualError):
    """Base of everything `daft_protocol` raises on purpose."""


class FrameTooLarge(ProtocolError):
    """A frame is longer than both ends agreed to carry. Nothing was sent or kept."""

    size_bytes: int
    limit_bytes: int

    def __str__(self) -> str:
        return (
            f"a frame of {self.size_bytes} bytes is over the limit of {self.limit_bytes}; "
            "ask for a smaller page"
        )


class TruncatedFrame(ProtocolError):
    """The peer closed in the middle of a frame."""

    missing_bytes: int

    def __str__(self) -> str:
        return f"the connection closed {self.missing_bytes} bytes before the end of a frame"


class BadEnvelope(ProtocolError):
    """A frame holds no envelope of ours: not JSON, no object, or a field of the wrong type."""

    detail: str

    def __str__(self) -> str:
        return f"not a valid message: {self.detail}"


class WrongVersion(ProtocolError):
    """The peer speaks another wire version."""

    found: object
    expected: int

    def __str__(self) -> str:
        return (
            f"the message has wire version {self.found!r}, this program speaks {self.expected}; "
            "upgrade the older of the two"
        )


class UnknownMessage(ProtocolError):
    """The envelope is sound, but names a message this program does not know."""

    name: str

    def __str__(self) -> str:
        return f"unknown message {self.name!r}; the other side is probably newer"


class BadPayload(ProtocolError):
    """A known message whose fields do not fit."""

    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}"


class BadRecord(ProtocolError):
    """A line of a log is not a log record."""

    detail: str

    def __str__(self) -> str:
        return f"not a log record: {self.detail}"


class BadJobName(ProtocolError):
    """A job name nobody could store, show or address."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"job name {self.name!r} {self.reason}; choose another name"


class BadAddress(ProtocolError):
    """A text that cannot address a job in any reading."""

    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.text!r} is not a job address: {self.reason}"
