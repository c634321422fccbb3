"""JSON as its standard has it: UTF-8, finite numbers, and one error for whatever is not that."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def parse(text: bytes | str) -> Any:
    """Return the value that `text` stands for.

    Raises: ValueError for anything else: another encoding, `NaN`, a number no float can hold,
    nesting deeper than the interpreter follows.
    """
    try:
        return _DECODER.decode(text if isinstance(text, str) else text.decode())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def dump(value: object) -> bytes:
    """Return `value` as compact ASCII JSON, without a newline.

    Raises: ValueError for a number that is not finite and for nesting deeper than the
    interpreter follows, TypeError for what JSON does not have.
    """
    try:
        return _ENCODER.encode(value).encode("ascii")
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _no_constant(name: str) -> NoReturn:
    # json would read them, and write them back as text that other languages refuse.
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
