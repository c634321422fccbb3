"""The settings of hooks: what they mean, whose word counts, and what is said of nonsense."""

from __future__ import annotations

from typing import Any

import pytest

from daft_hooks import HookSettings, hook_settings
from daft_hooks.domain.trust import TrustLevel
from daft_hooks.settings import unknown_settings

KEY = "daft.hooks."


def test_what_nobody_sets_is_as_usual() -> None:
    assert hook_settings({}) == HookSettings()


@pytest.mark.parametrize(
    ("key", "text", "name", "value"),
    [
        ("enabled", "off", "enabled", False),
        ("postClone.enabled", "no", "disabled", {"post-clone"}),
        ("preMerge.failMode", "WARN", "fail_modes", None),
        ("timeout", "90", "timeout_s", 90.0),
        ("timeout", "2m", "timeout_s", 120.0),
        ("timeout", "none", "timeout_s", None),
        ("defaultTrust", "Allow", "default_trust", TrustLevel.ALLOW),
        ("defaultTrust", "prompt", "default_trust", TrustLevel.PROMPT),
        ("userDirectory", "/mine", "user_directory", "/mine"),
        ("trustPrune", "false", "prunes_trust", False),
    ],
)
def test_each_setting_says_what_it_means(key: str, text: str, name: str, value: Any) -> None:
    values = {(KEY + key).lower(): text}

    found = hook_settings(values, own=values)

    assert getattr(found, name) != getattr(HookSettings(), name)
    assert found.warnings == ()
    if value is not None or name == "timeout_s":
        assert getattr(found, name) == value


@pytest.mark.parametrize(
    ("key", "text", "name", "value"),
    [
        ("quiet", "true", "quiet", True),
        ("verbose", "1", "verbose", True),
        ("tailLines", "0", "tail_lines", 0),
        ("timerDelay", "0", "timer_delay_s", 0.0),
        ("timerDelay", "1500ms", "timer_delay_s", 1.5),
    ],
)
def test_how_jobs_are_shown_is_a_setting(key: str, text: str, name: str, value: Any) -> None:
    found = hook_settings({f"{KEY}output.{key}".lower(): text})

    assert getattr(found.output, name) == value
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("enabled", "perhaps", "neither true nor false; it counts as true"),
        ("postClone.enabled", "perhaps", "neither true nor false; it counts as true"),
        ("preMerge.failMode", "abrot", "neither abort nor warn"),
        ("timeout", "soon", "a duration is"),
        ("timeout", "0", "must be more than nothing"),
        ("timeout", "9" * 400, "must be more than nothing"),
        ("defaultTrust", "alow", "not deny, prompt or allow; it counts as deny"),
        ("userDirectory", "mine", "no absolute path"),
        ("trustPrune", "perhaps", "neither true nor false; it counts as true"),
        ("output.quiet", "perhaps", "neither true nor false; it counts as false"),
        ("output.verbose", "perhaps", "neither true nor false; it counts as false"),
        ("output.tailLines", "-1", "no number of lines"),
        ("output.tailLines", "9" * 400, "no number of lines"),
        ("output.tailLines", "²", "no number of lines"),
        ("output.timerDelay", "soon", "a duration is"),
    ],
)
def test_nonsense_is_told_once_and_the_usual_counts(key: str, text: str, said: str) -> None:
    values = {(KEY + key).lower(): text}

    found = hook_settings(values, own=values)

    (warning,) = found.warnings
    assert f"git config {KEY}{key} is {text!r}, {said}" in warning
    assert found == HookSettings(warnings=found.warnings)


@pytest.mark.parametrize(
    ("key", "text"),
    [("defaultTrust", "allow"), ("userDirectory", "/evil"), ("trustPrune", "false")],
)
def test_no_repository_decides_what_is_trusted(key: str, text: str) -> None:
    lower = (KEY + key).lower()

    found = hook_settings({lower: text}, own={})
    overridden = hook_settings({lower: text}, own={lower: "deny"})

    (warning,) = found.warnings
    assert f"{KEY}{key} counts in the global configuration only" in warning
    assert found == HookSettings(warnings=found.warnings)
    assert overridden.default_trust is TrustLevel.DENY


def test_a_setting_nobody_knows_is_named_with_the_nearest() -> None:
    known = [
        "enabled",
        "timeout",
        "worktreepostcreate.failmode",
        "postcreate.failmode",
        "output.quiet",
    ]

    assert unknown_settings({f"{KEY}{key}": "x" for key in known} | {"daft.autocd": "x"}) == ()
    assert unknown_settings(
        {f"{KEY}tiemout": "5", f"{KEY}postcreat.failmode": "x", f"{KEY}zz": ""}
    ) == (
        "git config daft.hooks.tiemout is no setting; did you mean daft.hooks.timeout?",
        (
            "git config daft.hooks.postcreat.failmode is no setting; "
            "did you mean daft.hooks.worktreePostCreate.failMode?"
        ),
        "git config daft.hooks.zz is no setting",
    )
