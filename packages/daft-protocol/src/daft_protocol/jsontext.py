"""JSON as its standard has it: UTF-8, finite numbers, and one error for whatever is not that."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
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
    return text(value).encode("ascii")


def text(value: object) -> str:
    """Return what `dump` does, as text. Raises as `dump`."""
    try:
        return _encode(value)
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


def encoder(*, sort_keys: bool = False, allow_nan: bool = False) -> Callable[[object], str]:
    """Return what writes values as compact ASCII JSON, to be made once and used often.

    `JSONEncoder.encode` makes its fast part anew for each value, which for a small one costs
    more than the value itself; where an interpreter has that part, it is made once here.
    What it returns raises as `dump`, and RecursionError.
    """
    slow = json.JSONEncoder(separators=(",", ":"), allow_nan=allow_nan, sort_keys=sort_keys)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return slow.encode
    # Without markers a value that holds itself ends in a RecursionError as well.
    fast = make(
        None, slow.default, json.encoder.encode_basestring_ascii, None, ":", ",", sort_keys,
        False, allow_nan,
    )  # fmt: skip

    def encode(value: object) -> str:
        return "".join(fast(value, 0))

    return encode


_encode = encoder()
