from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_protocol import messages as m
from daft_protocol.codec import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    request_id,
)
from daft_protocol.errors import (
    BadEnvelope,
    BadPayload,
    ProtocolError,
    UnknownMessage,
    WrongVersion,
)

COMPAT = Path(__file__).parent / "compat" / "wire-v1.txt"
REQUESTS = [
    m.Hello(client_version="1", capabilities=("a",)),
    m.Submit(invocation_id="ab", environment={"A": "b"}, secrets={"j": {"T": "x"}}, umask=0o22),
    m.Retry(invocation_id="ab", jobs=("a",), skipped=True, secrets={"j": {"T": "x"}}),
    m.ListJobs(worktree="w", statuses=("running",), limit=3, cursor="9"),
    m.CancelJob(name="x"),
    m.CancelAll(wait=True),
    m.CancelMatching(hook="h", older_than_secs=1.5, job_uids=("u",), kill=True),
    m.TailLogs(job=m.TailTarget(job_name="j"), follow=True, since_seq=4),
    m.TailLogs(job_uid="u", from_end=True, kinds=("stdout",), heartbeat_ms=5),
    m.Wait(job_uids=("a", "b"), timeout_ms=5, waiter="w"),
    m.Reconcile(),
    m.Evict(departures=(m.Departure(invocation_id="ab", expected=2, job_uids=("u",)),)),
    m.Evict(departures=(m.Departure(invocation_id="ab", expected=0),)),
    m.Shutdown(),
]
ENTRY = m.JobEntry(name="a", hook_type="h", worktree="w", status="failed", exit_code=3, tags=("t",))
RESPONSES = [
    m.Welcome(pid=1, repo_id="r"),
    m.Accepted(invocation_id="i", position=2),
    m.Jobs(jobs=(ENTRY,), cursor="c"),
    m.Ack(message="x"),
    m.Cancelled(
        count=1,
        names=("a",),
        results=(m.CancelResult(job_uid="u", name="a", outcome="o", status="s"),),
    ),
    m.Evicted(done=(True, False)),
    m.Error(code="X", message="y"),
    m.StreamFrame(record={"seq": 1}),
    m.Heartbeat(),
    m.StreamEnd(),
]


@pytest.mark.parametrize("message", REQUESTS, ids=lambda one: type(one).__name__)
def test_every_request_comes_back_as_it_was(message: object) -> None:
    envelope = decode_request(encode_request(message, 7))

    assert envelope.message == message
    assert envelope.id == 7


@pytest.mark.parametrize("message", RESPONSES, ids=lambda one: type(one).__name__)
def test_every_response_comes_back_as_it_was(message: object) -> None:
    assert decode_response(encode_response(message)).message == message


@pytest.mark.parametrize("line", COMPAT.read_text().strip().split("\n"))
def test_version_one_is_understood_for_ever(line: str) -> None:
    obj = json.loads(line)
    decode, encode = decode_request, encode_request
    if "kind" in obj:
        decode, encode = decode_response, encode_response

    message = decode(line.encode()).message
    again = json.loads(encode(message))

    def contains(ours: object, theirs: object) -> bool:
        if isinstance(theirs, dict):
            return isinstance(ours, dict) and all(
                contains(ours.get(key), value) for key, value in theirs.items()
            )
        if isinstance(theirs, list):
            return isinstance(ours, list) and all(map(contains, ours, theirs))
        return ours == theirs

    assert contains(again, obj), again


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\xff", BadEnvelope),
        (b"[1]", BadEnvelope),
        (b'{"req":"ListJobs"}', WrongVersion),
        (b'{"v":2,"req":"Nonsense"}', WrongVersion),
        (b'{"v":1,"req":"Nonsense","payload":5}', UnknownMessage),
        (b'{"v":1}', BadEnvelope),
        (b'{"v":1,"req":"CancelJob"}', BadPayload),
        (b'{"v":1,"req":"CancelJob","payload":{"name":5}}', BadPayload),
        (b'{"v":1,"req":"CancelJob","payload":[]}', BadPayload),
        (b'{"v":1,"req":"ListJobs","payload":{"statuses":"abc"}}', BadPayload),
        (b'{"v":1,"req":"Submit","payload":{"invocation_id":"x","secrets":5}}', BadPayload),
        (b'{"v":1,"req":["Hello"]}', BadEnvelope),
        (b"[" * 100_000, BadEnvelope),
        ('{"v":1,"req":"Hello"}'.encode("utf-16"), BadEnvelope),
        (b'{"v":1,"req":"ListJobs","payload":false}', BadPayload),
        (b'{"v":1,"req":"TailLogs","payload":{"job":[]}}', BadPayload),
        (b'{"v":1,"req":"Wait","payload":{"timeout_ms":' + b"9" * 5000 + b"}}", BadEnvelope),
        (b'{"v":1,"req":"Wait","payload":{"timeout_ms":1e400}}', BadEnvelope),
        (b'{"v":1,"req":"Wait","payload":{"timeout_ms":1.0}}', BadPayload),
        (b'{"v":1,"req":"Wait","payload":{"timeout_ms":true}}', BadPayload),
        (b'{"v":1,"req":"CancelMatching","payload":{"older_than_secs":NaN}}', BadEnvelope),
        (
            b'{"v":1,"req":"CancelMatching","payload":{"older_than_secs":' + b"9" * 400 + b"}}",
            BadPayload,
        ),
        (
            b'{"v":1,"req":"Wait","payload":{"timeout_ms":-18446744073709551616}}',
            BadPayload,
        ),
    ],
)
def test_each_fault_is_named_in_the_order_that_helps(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_request(body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"v":1,"kind":"Jobs"}', BadPayload),
        (b'{"v":1,"kind":"Jobs","payload":null}', BadPayload),
        (b'{"v":1,"kind":"Jobs","payload":[{"name":5}]}', BadPayload),
        (b'{"v":1,"kind":"StreamFrame"}', BadPayload),
        (b'{"v":1,"kind":"StreamFrame","payload":[]}', BadPayload),
        (b'{"v":1,"kind":"Error","payload":{"code":"X"}}', BadPayload),
        (b'{"v":2,"kind":"Ack","payload":{"message":"x"}}', WrongVersion),
        (b'{"v":1,"kind":"Applause"}', UnknownMessage),
    ],
)
def test_a_broken_answer_is_never_taken_for_an_empty_one(
    body: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        decode_response(body)


def test_the_field_that_does_not_fit_is_named() -> None:
    with pytest.raises(BadPayload, match="field 'timeout_ms'"):
        decode_request(b'{"v":1,"req":"Wait","payload":{"job_uids":["a"],"timeout_ms":"5"}}')
    with pytest.raises(BadPayload, match="field 'name' is missing"):
        decode_request(b'{"v":1,"req":"CancelJob","payload":{}}')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(
    name=st.sampled_from([type(one).__name__ for one in (*REQUESTS, *RESPONSES)]),
    key=st.sampled_from(["req", "kind"]),
    data=st.data(),
)
def test_whatever_comes_is_a_message_or_a_protocol_error(
    name: str, key: str, data: st.DataObject
) -> None:
    cls = getattr(m, name)
    fields = st.dictionaries(st.sampled_from([a.name for a in cls.__attrs_attrs__] or ["x"]), JSON)
    payload = data.draw(JSON | fields)
    body = json.dumps({"v": 1, key: name, "payload": payload}).encode()

    for decode in (decode_request, decode_response):
        with contextlib.suppress(ProtocolError):
            message = decode(body).message
            assert type(message).__name__ == name


def test_requests_an_older_reader_knows_carry_nothing_it_does_not() -> None:
    def written(request: m.Request) -> object:
        return json.loads(encode_request(request)).get("payload")

    assert written(m.CancelAll()) is None
    assert written(m.ListJobs()) is None
    assert written(m.TailLogs(job=m.TailTarget(job_name="j"))) == {
        "job": {"job_name": "j"},
        "follow": False,
    }
    seconds = encode_request(m.CancelMatching(older_than_secs=3.0))
    assert b'"older_than_secs":3}' in seconds


def test_the_id_survives_whatever_else_is_wrong() -> None:
    assert request_id(b'{"v":9,"req":"Nonsense","id":7}') == 7
    assert request_id(b'{"v":1,"id":"7"}') is None
    assert request_id(b'{"v":1,"id":true}') is None
    assert request_id(b"[]") is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_does_not_have_is_not_sent(value: object) -> None:
    with pytest.raises(BadPayload, match="StreamFrame"):
        encode_response(m.StreamFrame(record={"seq": value}))


def test_what_is_nested_beyond_reason_is_not_sent() -> None:
    record: dict[str, object] = {}
    for _ in range(100_000):
        record = {"a": record}

    with pytest.raises(BadPayload, match="nested"):
        encode_response(m.StreamFrame(record=record))
    while record:  # taken apart from outside, or the interpreter recurses as deep
        record = record.pop("a", {})  # type: ignore[assignment]


def test_unknown_fields_are_ignored() -> None:
    body = b'{"v":1,"req":"CancelJob","payload":{"name":"a","new":1},"more":2}'

    assert decode_request(body).message == m.CancelJob(name="a")


def test_secrets_do_not_show_in_a_representation() -> None:
    submit = m.Submit(
        invocation_id="i", environment={"A": "hidden"}, secrets={"j": {"T": "hidden"}}
    )

    assert "hidden" not in repr(submit)
