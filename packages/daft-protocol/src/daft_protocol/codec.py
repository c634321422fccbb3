"""Messages to frame bodies and back: JSON envelopes, one converter, built once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast, get_args, get_origin

from attrs import fields, frozen
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from . import jsontext, messages
from .departures import Departure
from .errors import BadEnvelope, BadPayload, UnknownMessage, WrongVersion
from .messages import WIRE_VERSION, Jobs, Request, Response, StreamEnd, StreamFrame

_REQUESTS: dict[str, type] = {cls.__name__: cls for cls in get_args(Request)}
_RESPONSES: dict[str, type] = {cls.__name__: cls for cls in get_args(Response)}
_PARTS: set[type] = {
    messages.TailTarget,
    messages.JobEntry,
    messages.CancelResult,
    Departure,
}
_MESSAGES: set[type] = {*_REQUESTS.values(), *_RESPONSES.values(), *_PARTS}

# What a reader of plain version 1 insists on, even when it says nothing new.
_ALWAYS_WRITTEN = {"follow", "job_name"}
_UNSIGNED_64_BITS = range(2**64)


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
    if payload := _CONVERTER.unstructure(request):
        body["payload"] = payload
    return _finish(request, body, id)


def encode_response(response: Response, id: int | None = None) -> bytes:
    """Return the frame body of `response`: `{"v":1,"kind":…,"payload":…}`.

    Fields that are None are not written.
    Raises: BadPayload for a value JSON does not have.
    """
    body: dict[str, Any] = {"v": WIRE_VERSION, "kind": type(response).__name__}
    if isinstance(response, Jobs):
        # Version 1 knows the payload as a bare array; the cursor travels beside it.
        body["payload"] = [_CONVERTER.unstructure(job) for job in response.jobs]
        if response.cursor is not None:
            body["cursor"] = response.cursor
    elif isinstance(response, StreamFrame):
        body["payload"] = dict(response.record)
    elif not isinstance(response, StreamEnd):
        body["payload"] = _CONVERTER.unstructure(response)
    return _finish(response, body, id)


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
        # A page without its array is broken, which is not the same as a page without jobs.
        payload = {"jobs": payload, "cursor": envelope.get("cursor")}
    elif cls is StreamFrame:
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


def _named(envelope: Mapping[str, Any], key: str, known: Mapping[str, type]) -> type:
    name = envelope.get(key)
    if not isinstance(name, str):
        raise BadEnvelope(f"{key!r} is missing or no string")
    if name not in known:
        raise UnknownMessage(name)
    return known[name]


def _id_of(envelope: Mapping[str, Any]) -> int | None:
    id = envelope.get("id")
    return id if type(id) is int else None


def _structure(payload: Any, cls: type) -> Any:
    if payload is None:
        payload = {}
    try:
        return _CONVERTER.structure(payload, cls)
    except KeyError as error:
        raise BadPayload(cls.__name__, f"field {error} is missing") from error
    except (TypeError, ValueError) as error:
        where = _faulty_field(payload, cls)
        detail = str(error) if where is None else f"field {where!r}: {error}"
        raise BadPayload(cls.__name__, detail) from error


def _faulty_field(payload: Any, cls: type) -> str | None:
    """Return the first field that does not fit; cheaper than noting the path of every value."""
    if not isinstance(payload, dict):
        return None
    for attribute in fields(cls):
        name: str = attribute.name
        if name in payload:
            try:
                _CONVERTER.structure(payload[name], attribute.type)
            except (TypeError, ValueError, KeyError):
                return name
    return None  # its type fits, its value does not: the validator names the field itself


# --- the converter ----------------------------------------------------------------------------


def _build_converter() -> Converter:
    converter = Converter(forbid_extra_keys=False, detailed_validation=False)
    # Strict scalars: `"5"` for a number is a mistake of the peer, not something to guess about.
    converter.register_structure_hook(str, _exactly(str))
    converter.register_structure_hook(bool, _exactly(bool))
    converter.register_structure_hook(int, _whole_number)
    converter.register_structure_hook(float, _number)
    # Factories, so that a program pays for the messages it uses and not for all of them.
    converter.register_structure_hook_factory(_is_tuple, lambda kind: _tuple_hook(kind, converter))
    converter.register_structure_hook_factory(
        _is_mapping, lambda kind: _mapping_hook(kind, converter)
    )
    converter.register_structure_hook_factory(
        _MESSAGES.__contains__, lambda cls: _message_hook(cls, converter)
    )
    converter.register_unstructure_hook_factory(
        _MESSAGES.__contains__, lambda cls: _writer(cls, converter)
    )
    return converter


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return structure


def _whole_number(value: Any, _: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"expected int, found {type(value).__name__}")
    # Larger ones exist in JSON and in Python, but in no peer, clock or column behind this.
    if abs(value) not in _UNSIGNED_64_BITS:
        raise ValueError("the number does not fit in 64 bits")
    return value


def _number(value: Any, kind: Any) -> float:
    if type(value) is float:
        return value
    return float(_whole_number(value, kind))


def _array(value: Any) -> list[Any]:
    # A text is a sequence of characters, but never a list of names.
    if not isinstance(value, list):
        raise TypeError(f"expected an array, found {type(value).__name__}")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return value


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _tuple_hook(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    element = get_args(kind)[0]
    hook = converter.get_structure_hook(element)
    return lambda value, _: tuple(hook(item, element) for item in _array(value))


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) is Mapping


def _mapping_hook(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    element = get_args(kind)[1]
    hook = converter.get_structure_hook(element)
    return lambda value, _: {key: hook(item, element) for key, item in _object(value).items()}


def _message_hook(cls: type, converter: Converter) -> Callable[[Any, Any], Any]:
    hook: Callable[[Any, Any], Any] = make_dict_structure_fn(cls, converter)
    return lambda value, kind: hook(_object(value), kind)


def _writer(cls: type, converter: Converter) -> Callable[[Any], dict[str, Any]]:
    always: dict[str, Any] = {
        attribute.name: override(omit_if_default=False)
        for attribute in fields(cls)
        if attribute.name in _ALWAYS_WRITTEN
    }
    # Answers show all they have to whoever reads them; requests only what differs.
    brief = cls in _REQUESTS.values() or cls is messages.TailTarget
    write: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
        cls, converter, _cattrs_omit_if_default=brief, **always
    )

    def unstructure(message: Any) -> dict[str, Any]:
        # Plain version 1 counts whole seconds, and its reader takes no `3.0` for them.
        return {
            key: int(value) if isinstance(value, float) and value.is_integer() else value
            for key, value in write(message).items()
            if value is not None
        }

    return unstructure


_CONVERTER = _build_converter()
