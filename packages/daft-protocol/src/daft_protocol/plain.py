"""The words of a hand-over, written and read by hand.

A client that leaves and a leader that is born say little, and both are waited for. Whatever is not
as plain as it should be is left to `converter`, which says what is wrong with it.
"""

from __future__ import annotations

from typing import Any

from .handing import Accepted, Error, Submit

REQUESTS: dict[str, type] = {"Submit": Submit}
RESPONSES: dict[str, type] = {"Accepted": Accepted, "Error": Error}


def written(message: object) -> dict[str, Any] | None:
    """Return the payload of a message of these; None for any other."""
    match message:
        case Submit():
            payload: dict[str, Any] = {"invocation_id": message.invocation_id}
            if message.environment is not None:
                payload["environment"] = dict(message.environment)
            if message.secrets:
                payload["secrets"] = {name: dict(env) for name, env in message.secrets.items()}
            if message.umask is not None:
                payload["umask"] = message.umask
            if message.spec_version != 1:
                payload["spec_version"] = message.spec_version
            return payload
        case Accepted():
            return {"invocation_id": message.invocation_id, "position": message.position}
        case Error():
            return {"code": message.code, "message": message.message}
        case _:
            return None


def read(payload: Any, cls: type) -> Submit | Accepted | Error | None:
    """Return the message of that class, if it is one of these and nothing is wrong with it."""
    if type(payload) is not dict:
        return None
    if cls is Submit:
        return _submit(payload)
    if cls is Accepted:
        return _accepted(payload)
    if cls is Error:
        return _error(payload)
    return None


def _submit(payload: dict[str, Any]) -> Submit | None:
    invocation_id = payload.get("invocation_id")
    environment, secrets = payload.get("environment"), payload.get("secrets", {})
    umask, spec_version = payload.get("umask"), payload.get("spec_version", 1)
    is_sound = (
        type(invocation_id) is str
        and (environment is None or _are_texts(environment))
        and type(secrets) is dict
        and all(map(_are_texts, secrets.values()))
        and (umask is None or _is_number(umask))
        and _is_number(spec_version)
    )
    if not is_sound:
        return None
    return Submit(
        invocation_id=str(invocation_id),
        environment=environment,
        secrets=secrets,
        umask=umask,
        spec_version=spec_version,
    )


def _accepted(payload: dict[str, Any]) -> Accepted | None:
    invocation_id, position = payload.get("invocation_id"), payload.get("position", 0)
    if type(invocation_id) is not str or not _is_number(position):
        return None
    return Accepted(invocation_id=invocation_id, position=position)


def _error(payload: dict[str, Any]) -> Error | None:
    code, message = payload.get("code"), payload.get("message")
    if type(code) is not str or type(message) is not str:
        return None
    return Error(code=code, message=message)


def _are_texts(value: object) -> bool:
    return type(value) is dict and all(type(text) is str for text in value.values())


def _is_number(value: object) -> bool:
    return type(value) is int and abs(value) < 2**63
