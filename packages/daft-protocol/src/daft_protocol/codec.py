"""Messages to frame bodies and back: JSON envelopes, one converter, built once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from attrs import frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError, StructureHandlerNotFoundError
from cattrs.gen import make_dict_unstructure_fn
from cattrs.preconf.json import configure_converter

from . import messages
from .errors import BadEnvelope, BadPayload, UnknownMessage, WrongVersion
from .messages import WIRE_VERSION, Jobs, Request, Response, StreamEnd, StreamFrame

_REQUESTS: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        messages.Hello,
        messages.Submit,
        messages.ListJobs,
        messages.CancelJob,
        messages.CancelAll,
        messages.CancelMatching,
        messages.TailLogs,
        messages.Wait,
        messages.Reconcile,
        messages.Shutdown,
    )
}
_RESPONSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        messages.Welcome,
        messages.Accepted,
        messages.Jobs,
        messages.Ack,
        messages.Cancelled,
        messages.Error,
        messages.StreamFrame,
        messages.StreamEnd,
    )
}


@frozen(kw_only=True)
class Envelope:
    """A decoded frame: the message, and the id the client gave its request, if any."""

    message: Any
    id: int | None = None


def _build_converter() -> Converter:
    converter = Converter(forbid_extra_keys=False, detailed_validation=False)
    configure_converter(converter)
    # Strict scalars: `"5"` for a number is a mistake of the peer, not something to guess about.
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _number)
    # A text is a sequence of characters, but never a list of names.
    strings = converter.get_structure_hook(tuple[str, ...])
    converter.register_structure_hook_func(
        lambda kind: kind == tuple[str, ...], lambda value, kind: strings(_array(value), kind)
    )
    for cls in {*_REQUESTS.values(), *_RESPONSES.values(), messages.JobEntry}:
        converter.register_unstructure_hook(
            cls, make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=False)
        )
    return converter


def _exactly(kind: type) -> Any:
    def structure(value: Any, _: type) -> Any:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return structure


def _array(value: Any) -> Any:
    if not isinstance(value, list):
        raise TypeError(f"expected an array, found {type(value).__name__}")
    return value


def _number(value: Any, _: type) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, found {type(value).__name__}")
    return float(value)


_CONVERTER = _build_converter()


def encode_request(request: Request, id: int | None = None) -> bytes:
    """Return the frame body of `request`: `{"v":1,"req":…,"payload":…}`.

    Fields that were left at None are not written, so that an older peer sees what it knows.
    """
    body: dict[str, Any] = {"v": WIRE_VERSION, "req": type(request).__name__}
    if payload := _without_none(_CONVERTER.unstructure(request)):
        body["payload"] = payload
    return _finish(body, id)


def encode_response(response: Response, id: int | None = None) -> bytes:
    """Return the frame body of `response`: `{"v":1,"kind":…,"payload":…}`."""
    body: dict[str, Any] = {"v": WIRE_VERSION, "kind": type(response).__name__}
    if isinstance(response, Jobs):
        # Version 1 knows the payload as a bare array; the cursor travels beside it.
        body["payload"] = [_without_none(_CONVERTER.unstructure(job)) for job in response.jobs]
        if response.cursor is not None:
            body["cursor"] = response.cursor
    elif isinstance(response, StreamFrame):
        body["payload"] = dict(response.record)
    elif not isinstance(response, StreamEnd):
        body["payload"] = _without_none(_CONVERTER.unstructure(response))
    return _finish(body, id)


def decode_request(body: bytes) -> Envelope:
    """Return the request in a frame body.

    Checked in this order, so that a newer peer gets the answer that helps it: JSON, version,
    name, payload.
    Raises: BadEnvelope, WrongVersion, UnknownMessage, BadPayload.
    """
    envelope = _envelope(body)
    cls = _named(envelope, "req", _REQUESTS)
    return Envelope(message=_structure(envelope.get("payload"), cls), id=_id_of(envelope))


def decode_response(body: bytes) -> Envelope:
    """Return the response in a frame body. Raises as `decode_request`."""
    envelope = _envelope(body)
    cls = _named(envelope, "kind", _RESPONSES)
    payload = envelope.get("payload")
    if cls is Jobs:
        payload = {"jobs": payload or [], "cursor": envelope.get("cursor")}
    elif cls is StreamFrame:
        if not isinstance(payload, dict):
            raise BadPayload(cls.__name__, "the record is no object")
        return Envelope(message=StreamFrame(record=payload), id=_id_of(envelope))
    return Envelope(message=_structure(payload, cls), id=_id_of(envelope))


def request_id(body: bytes) -> int | None:
    """Return the id of a request that may be broken otherwise, to address the error answer."""
    try:
        return _id_of(_envelope(body))
    except (BadEnvelope, WrongVersion):
        return None


def _finish(body: dict[str, Any], id: int | None) -> bytes:
    if id is not None:
        body["id"] = id
    return json.dumps(body, separators=(",", ":")).encode()


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadEnvelope("it is no JSON text") from error
    if not isinstance(envelope, dict):
        raise BadEnvelope("it is no JSON object")
    version = envelope.get("v")
    if type(version) is not int or version != WIRE_VERSION:
        raise WrongVersion(version, WIRE_VERSION)
    return cast("dict[str, Any]", envelope)


def _named(envelope: Mapping[str, Any], key: str, known: Mapping[str, type]) -> type:
    name = envelope.get(key)
    if not isinstance(name, str):
        raise BadEnvelope(f"{key!r} is missing")
    if name not in known:
        raise UnknownMessage(name)
    return known[name]


def _structure(payload: Any, cls: type) -> Any:
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        raise BadPayload(cls.__name__, "the payload is no object")
    try:
        return _CONVERTER.structure(payload, cls)
    except KeyError as error:
        raise BadPayload(cls.__name__, f"field {error} is missing") from error
    except (
        TypeError,
        ValueError,
        AttributeError,
        BaseValidationError,
        StructureHandlerNotFoundError,
    ) as error:
        raise BadPayload(cls.__name__, str(error)) from error


def _id_of(envelope: Mapping[str, Any]) -> int | None:
    id = envelope.get("id")
    return id if type(id) is int else None


def _without_none(payload: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if value is not None}
