"""What is written and read by hand is what the converter writes and reads."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_protocol import converter, plain
from daft_protocol.errors import BadPayload
from daft_protocol.messages import Accepted, Error, Hello, Submit

TEXTS = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3)
NUMBERS = st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1)
MESSAGES = st.one_of(
    st.builds(
        Submit,
        invocation_id=st.text(),
        environment=st.none() | TEXTS,
        secrets=st.dictionaries(st.text(max_size=4), TEXTS, max_size=3),
        umask=st.none() | NUMBERS,
        spec_version=NUMBERS,
    ),
    st.builds(Accepted, invocation_id=st.text(), position=NUMBERS),
    st.builds(Error, code=st.text(), message=st.text()),
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
FIELDS = (
    "invocation_id", "environment", "secrets", "umask", "spec_version", "position", "code",
    "message", "unknown",
)  # fmt: skip


@given(MESSAGES)
def test_both_write_and_read_the_same(message: Any) -> None:
    payload = plain.written(message)

    assert payload == converter.written(message)
    assert plain.read(payload, type(message)) == message


@given(
    st.sampled_from([Submit, Accepted, Error]),
    st.dictionaries(st.sampled_from(FIELDS), ODD | TEXTS, max_size=6),
)
def test_what_is_read_by_hand_the_converter_reads_alike(cls: type, payload: dict[str, Any]) -> None:
    by_hand = plain.read(payload, cls)

    if by_hand is not None:
        assert converter.read(payload, cls) == by_hand


@pytest.mark.parametrize(
    "payload", [{}, {"invocation_id": 7}, {"invocation_id": "a", "umask": True}]
)
def test_what_is_wrong_is_left_to_the_converter(payload: dict[str, Any]) -> None:
    assert plain.read(payload, Submit) is None
    with pytest.raises(BadPayload):
        converter.read(payload, Submit)


def test_other_messages_are_not_its_business() -> None:
    assert plain.written(Hello()) is None
    assert plain.read({}, Hello) is None


def test_a_hand_over_loads_no_converter() -> None:
    code = (
        "import sys\n"
        "from daft_protocol.messages import Accepted, Submit\n"
        "from daft_protocol import codec\n"
        "codec.decode_request(codec.encode_request(Submit(invocation_id='a'), 1))\n"
        "codec.decode_response(codec.encode_response(Accepted(invocation_id='a'), 1))\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "daft_protocol.plain" in done.stdout.split()
    assert not {"cattrs", "daft_protocol.converter"} & set(done.stdout.split())
