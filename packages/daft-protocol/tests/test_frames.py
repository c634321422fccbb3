from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_protocol.errors import FrameTooLarge, TruncatedFrame
from daft_protocol.frames import MAX_FRAME_BYTES, FrameDecoder, encode_frame

bodies = st.lists(st.binary(max_size=300), max_size=6)


@given(bodies=bodies, cuts=st.lists(st.integers(1, 50)))
def test_frames_come_out_whole_however_the_bytes_arrive(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(encode_frame(body) for body in bodies)
    decoder = FrameDecoder()
    found: list[bytes] = []

    for size in [*cuts, *[7] * len(stream)]:
        part, stream = stream[:size], stream[size:]
        found += decoder.feed(part)
    decoder.close()

    assert found == bodies


def test_an_announced_giant_is_refused_before_its_body() -> None:
    with pytest.raises(FrameTooLarge):
        FrameDecoder().feed(b"\xff\xff\xff\xff")
    with pytest.raises(FrameTooLarge):
        encode_frame(bytes(MAX_FRAME_BYTES + 1))


def test_a_stream_that_ends_inside_a_frame_is_told() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(b"hello")[:-2])

    with pytest.raises(TruncatedFrame) as caught:
        decoder.close()

    assert caught.value.missing_bytes == 2
