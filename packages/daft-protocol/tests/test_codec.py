from __future__ import annotations

import json
from pathlib import Path

import pytest

from daft_protocol import messages as m
from daft_protocol.codec import decode_request, decode_response, encode_request, encode_response
from daft_protocol.errors import BadEnvelope, BadPayload, UnknownMessage, WrongVersion

COMPAT = Path(__file__).parent / "compat" / "wire-v1.txt"
REQUESTS = [
    m.Hello(client_version="1", capabilities=("a",)),
    m.Submit(invocation_id="ab", environment={"A": "b"}, secrets={"j": {"T": "x"}}, umask=0o22),
    m.ListJobs(worktree="w", statuses=("running",), limit=3, cursor="9"),
    m.CancelJob(name="x"),
    m.CancelAll(wait=True),
    m.CancelMatching(hook="h", older_than_secs=1.5, job_uids=("u",), kill=True),
    m.TailLogs(job=m.TailTarget(job_name="j"), follow=True, since_seq=4),
    m.Wait(job_uids=("a", "b"), timeout_ms=5),
    m.Reconcile(),
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
    m.Error(code="X", message="y"),
    m.StreamFrame(record={"seq": 1}),
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
        (b"[" * 100_000, BadEnvelope),
    ],
)
def test_each_fault_is_named_in_the_order_that_helps(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_request(body)


def test_unknown_fields_are_ignored() -> None:
    body = b'{"v":1,"req":"CancelJob","payload":{"name":"a","new":1},"more":2}'

    assert decode_request(body).message == m.CancelJob(name="a")


def test_secrets_do_not_show_in_a_representation() -> None:
    submit = m.Submit(
        invocation_id="i", environment={"A": "hidden"}, secrets={"j": {"T": "hidden"}}
    )

    assert "hidden" not in repr(submit)
