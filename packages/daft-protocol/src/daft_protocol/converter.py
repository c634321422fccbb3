"""JSON payloads to messages and back, for every message there is.

Making it takes longer than starting Python, so the first who needs it loads it; what a hand-over
says is written and read by `plain`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from attrs import fields
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from . import messages
from .departures import Departure
from .errors import BadPayload
from .messages import Request, Response

_PARTS: set[type] = {
    messages.TailTarget,
    messages.JobEntry,
    messages.CancelResult,
    Departure,
}
_REQUESTS: set[type] = {*get_args(Request)}
_MESSAGES: set[type] = {*_REQUESTS, *get_args(Response), *_PARTS}

# What a reader of plain version 1 insists on, even when it says nothing new.
_ALWAYS_WRITTEN = {"follow", "job_name"}
_UNSIGNED_64_BITS = range(2**64)


def written(message: Any) -> dict[str, Any]:
    """Return the payload of a message."""
    payload: dict[str, Any] = _CONVERTER.unstructure(message)
    return payload


def read(payload: Any, cls: type) -> Any:
    """Return the message of that class. Raises: BadPayload, which names the field."""
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
    brief = cls in _REQUESTS or cls is messages.TailTarget
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
