"""Errors that are made from facts."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from daft_protocol.errors import FrameTooLarge, ProtocolError
from daft_protocol.facts import FactualError


class Lost(FactualError):
    """A thing is not where it was."""

    what: str
    where: str = "here"


class LostForEver(Lost):
    """The same, and nobody will find it."""

    since: int = 0


def test_facts_are_given_by_place_or_by_name_and_may_have_defaults() -> None:
    assert vars(Lost("key")) == {"what": "key"}
    assert (Lost("key").where, Lost("key", "there").where) == ("here", "there")
    assert (Lost(where="there", what="key").what, LostForEver("key", since=3).since) == ("key", 3)
    assert LostForEver("key", "there", 4).args == ("key", "there", 4)


def test_a_family_without_facts_takes_a_sentence() -> None:
    assert str(ProtocolError("as it is")) == "as it is"


@pytest.mark.parametrize(
    ("given", "named"),
    [((), {}), (("a", "b", "c"), {}), (("a",), {"what": "b"}), (("a",), {"why": "b"})],
)
def test_facts_that_do_not_fit_are_refused(given: tuple[str, ...], named: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="Lost takes what, where"):
        Lost(*given, **named)


def test_errors_travel_and_are_equal_to_nothing_else() -> None:
    error = FrameTooLarge(size_bytes=2, limit_bytes=1)

    again = pickle.loads(pickle.dumps(error))

    assert str(again) == str(error)
    assert (again == error, error == error) == (False, True)


def test_the_store_has_the_same_text() -> None:
    """Neither package may know the other, and both need it."""
    here = Path(__file__).parents[2]
    texts = {
        (here / name / "src" / name.replace("-", "_") / "facts.py").read_text(encoding="utf-8")
        for name in ("daft-protocol", "daft-store")
    }

    assert len(texts) == 1
