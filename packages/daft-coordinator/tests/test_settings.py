"""Variables that a coordinator is started with: what they mean, and what means nothing."""

from __future__ import annotations

import pytest

from daft_coordinator import settings
from daft_coordinator.domain.reconcile import REQUEUE_WITHIN_S
from daft_coordinator.recovery import Orphans


@pytest.mark.parametrize(
    ("text", "workers", "within_s"),
    [
        ("", None, REQUEUE_WITHIN_S), ("0", 0, 0.0), ("12", 12, 12.0),
        ("off", None, None), ("OFF", None, None), ("-1", None, REQUEUE_WITHIN_S),
        ("many", None, REQUEUE_WITHIN_S), ("\u0663", None, REQUEUE_WITHIN_S),
    ],
)  # fmt: skip
def test_numbers_are_what_they_say_and_anything_else_is_unset(
    text: str, workers: int | None, within_s: float | None
) -> None:
    assert settings.workers({"DAFT_JOBS_WORKERS": text}) == workers
    assert settings.requeue_within_s({"DAFT_JOBS_REQUEUE": text}) == within_s


def test_without_variables_everything_is_as_usual() -> None:
    assert settings.workers({}) is None
    assert settings.requeue_within_s({}) == REQUEUE_WITHIN_S
    assert settings.orphans({}) is Orphans.STOP
    assert not settings.has_own_leaders({})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("adopt", Orphans.ADOPT),
        ("ADOPT", Orphans.ADOPT),
        ("stop", Orphans.STOP),
        ("x", Orphans.STOP),
    ],
)
def test_orphans_are_stopped_unless_they_are_to_be_adopted(text: str, meant: Orphans) -> None:
    assert settings.orphans({"DAFT_JOBS_ORPHANS": text}) is meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("per-invocation", True), ("PER-INVOCATION", True), ("per-repository", False),
        ("", False), ("yes", False),
    ],
)  # fmt: skip
def test_invocations_get_leaders_of_their_own_only_where_it_is_said(text: str, meant: bool) -> None:
    assert settings.has_own_leaders({"DAFT_JOBS_COORDINATOR": text}) is meant
