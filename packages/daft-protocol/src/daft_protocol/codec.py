"""Messages to frame bodies and back: JSON envelopes around what `converter` makes of payloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_args

from attrs import frozen

from . import jsontext, plain
from .errors import BadEnvelope, BadPayload, UnknownMessage, WrongVersion
from .handing import WIRE_VERSION

if TYPE_CHECKING:
    # The whole of it is loaded for the first message that `plain` does not know.
    from .messages import Request, Response


@frozen(kw_only=True)
class Envelope:
    """A decoded frame: the message, and the id the client gave its request, if any."""

    message: Any
    id: int | None = None


def encode_request(request: Request, id: int | None = None) -> bytes:
    """Return the frame body of `request`: `{"v":1,"req":…,"payload":…}`.

    What was left at its default is not written, so that an older peer sees what it knows.
    Raises: BadPayload for a value JSON does not have.
    """
    body: dict[str, Any] = {"v": WIRE_VERSION, "req": type(request).__name__}
    if payload := _written(request):
        body["payload"] = payload
    return _finish(request, body, id)


def encode_response(response: Response, id: int | None = None) -> bytes:
    """Return the frame body of `response`: `{"v":1,"kind":…,"payload":…}`.

    Fields that are None are not written.
    Raises: BadPayload for a value JSON does not have.
    """
    body: dict[str, Any] = {"v": WIRE_VERSION, "kind": type(response).__name__}
    payload = plain.written(response)
    if payload is None:
        _put_payload(response, body)
    else:
        body["payload"] = payload
    return _finish(response, body, id)


def decode_request(body: bytes) -> Envelope:
    """Return the request in a frame body.

    Checked in this order, so that a newer peer gets the answer that helps it: JSON, version,
    name, payload.
    Raises: BadEnvelope, WrongVersion, UnknownMessage, BadPayload.
    """
    envelope = _envelope(body)
    cls = _named(envelope, "req", plain.REQUESTS, _requests)
    return Envelope(message=_structure(envelope.get("payload"), cls), id=_id_of(envelope))


def decode_response(body: bytes) -> Envelope:
    """Return the response in a frame body. Raises as `decode_request`."""
    envelope = _envelope(body)
    cls = _named(envelope, "kind", plain.RESPONSES, _responses)
    payload = envelope.get("payload")
    if cls.__name__ == "Jobs":
        # A page without its array is broken, which is not the same as a page without jobs.
        payload = {"jobs": payload, "cursor": envelope.get("cursor")}
    elif cls.__name__ == "StreamFrame":
        payload = {"record": payload}
    return Envelope(message=_structure(payload, cls), id=_id_of(envelope))


def request_id(body: bytes) -> int | None:
    """Return the id of a request that may be broken otherwise, to address the error answer.

    Only what is no JSON object has none: a request of another version keeps its id too.
    """
    try:
        return _id_of(_object_in(body))
    except BadEnvelope:
        return None


def _put_payload(response: Response, body: dict[str, Any]) -> None:
    from .messages import Jobs, StreamEnd, StreamFrame

    if isinstance(response, Jobs):
        # Version 1 knows the payload as a bare array; the cursor travels beside it.
        body["payload"] = [_written(job) for job in response.jobs]
        if response.cursor is not None:
            body["cursor"] = response.cursor
    elif isinstance(response, StreamFrame):
        body["payload"] = dict(response.record)
    elif not isinstance(response, StreamEnd):
        body["payload"] = _written(response)


def _finish(message: object, body: dict[str, Any], id: int | None) -> bytes:
    if id is not None:
        body["id"] = id
    try:
        return jsontext.dump(body)
    except (TypeError, ValueError) as error:
        raise BadPayload(type(message).__name__, str(error)) from error


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        envelope = jsontext.parse(body)
    except ValueError as error:
        raise BadEnvelope("it is no JSON text") from error
    if not isinstance(envelope, dict):
        raise BadEnvelope("it is no JSON object")
    return cast("dict[str, Any]", envelope)


def _envelope(body: bytes) -> dict[str, Any]:
    envelope = _object_in(body)
    version = envelope.get("v")
    if type(version) is not int or version != WIRE_VERSION:
        raise WrongVersion(version, WIRE_VERSION)
    return envelope


def _named(
    envelope: Mapping[str, Any],
    key: str,
    some: Mapping[str, type],
    everything: Callable[[], Mapping[str, type]],
) -> type:
    name = envelope.get(key)
    if not isinstance(name, str):
        raise BadEnvelope(f"{key!r} is missing or no string")
    known = some if name in some else everything()
    if name not in known:
        raise UnknownMessage(name)
    return known[name]


@cache
def _requests() -> Mapping[str, type]:
    from .messages import Request

    return {cls.__name__: cls for cls in get_args(Request)}


@cache
def _responses() -> Mapping[str, type]:
    from .messages import Response

    return {cls.__name__: cls for cls in get_args(Response)}


def _id_of(envelope: Mapping[str, Any]) -> int | None:
    id = envelope.get("id")
    return id if type(id) is int else None


def _written(message: Any) -> dict[str, Any]:
    payload = plain.written(message)
    if payload is not None:
        return payload
    from . import converter  # see there

    return converter.written(message)


def _structure(payload: Any, cls: type) -> Any:
    if payload is None:
        payload = {}
    message = plain.read(payload, cls)
    if message is not None:
        return message
    from . import converter  # see there

    return converter.read(payload, cls)
