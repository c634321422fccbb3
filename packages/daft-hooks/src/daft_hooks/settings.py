"""The `daft.hooks.*` settings, out of git's configuration as the caller read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from attrs import field, frozen

from .domain.quantities import seconds
from .domain.trust import TrustLevel
from .hooktypes import HOOK_TYPES, FailMode, HookType

T = TypeVar("T")

_FALSE = frozenset({"false", "no", "off", "0"})
_TRUE = frozenset({"true", "yes", "on", "1", ""})
_LONGEST_S = 10 * 365 * 86400
_MOST_LINES = 1000


@frozen(kw_only=True)
class OutputSettings:
    """How jobs are shown as they run, for whoever shows them.

    tail_lines: how much of a failed job's output stays on a terminal.
    timer_delay_s: how long a job runs before it is shown there for how long.
    """

    quiet: bool = False
    verbose: bool = False
    tail_lines: int = 6
    timer_delay_s: float = 5.0


@frozen(kw_only=True)
class HookSettings:
    """What the user set about hooks.

    disabled: hooks that never fire. timeout_s: for jobs that set none; None is no limit.
    user_directory: where the user's own executable hooks are, None for nowhere.
    default_trust: the level of repositories nobody decided about.
    prunes_trust: whether decisions about repositories that are gone are forgotten by themselves.
    """

    enabled: bool = True
    disabled: frozenset[str] = frozenset()
    fail_modes: Mapping[str, FailMode] = field(factory=dict)
    timeout_s: float | None = 300.0
    user_directory: str | None = None
    default_trust: TrustLevel = TrustLevel.DENY
    prunes_trust: bool = True
    output: OutputSettings = field(factory=OutputSettings)
    warnings: tuple[str, ...] = ()


def hook_settings(
    values: Mapping[str, str],
    *,
    own: Mapping[str, str] | None = None,
    config_dir: str | None = None,
    home: str | None = None,
) -> HookSettings:
    """Return the settings in `values`: git configuration, keys in lower case.

    own: what the user's own (global) configuration says, whatever the repository: read outside of
    any, as it may include files by what a repository says of itself. What is trusted is taken from
    there alone: a repository can be unpacked with a configuration of its own in it, and must
    never raise its own trust. config_dir: the user's own configuration of daft. home: what `~/`
    stands for.
    """
    reading = _Reading(values)
    trusted = _Reading({} if own is None else own, reading.warnings)
    for key in OWN_ONLY:
        if values.get(key.lower()) != trusted.values.get(key.lower()):
            trusted.warnings.append(
                f"git config {key} counts in the global configuration only, "
                "and not in what that includes on a condition"
            )
    return HookSettings(
        enabled=reading.flag("daft.hooks.enabled", usual=True),
        disabled=frozenset(
            hook.name
            for hook in HOOK_TYPES.values()
            if not reading.flag(_key_of(values, hook, "enabled"), usual=True)
        ),
        fail_modes={
            hook.name: mode
            for hook in HOOK_TYPES.values()
            if (mode := reading.value(_key_of(values, hook, "failMode"), _fail_mode)) is not None
        },
        timeout_s=_timeout(reading.value("daft.hooks.timeout", _limit)),
        user_directory=trusted.value("daft.hooks.userDirectory", lambda text: _absolute(text, home))
        or (None if config_dir is None else f"{config_dir}/hooks"),
        default_trust=trusted.value("daft.hooks.defaultTrust", _level) or TrustLevel.DENY,
        prunes_trust=trusted.flag("daft.hooks.trustPrune", usual=True),
        output=_output(reading),
        warnings=tuple(reading.warnings),
    )


def unknown_settings(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each `daft.hooks.` key in `values` that is no setting.

    values: as for `hook_settings`. Somebody meant something by it, and nothing comes of it.
    """
    known = {key.lower(): key for key in _KEYS}
    for hook in HOOK_TYPES.values():
        for name in ("enabled", "failMode"):
            key = f"daft.hooks.{hook.setting}.{name}"
            known |= {key.lower(): key, _old_key_of(hook, name).lower(): key}
    lines: list[str] = []
    for key in values:
        if key.startswith("daft.hooks.") and key not in known:
            import difflib  # only those who made a mistake pay for it

            near = difflib.get_close_matches(key, known, 1, cutoff=0.8)
            meant = f"; did you mean {known[near[0]]}?" if near else ""
            lines.append(f"git config {key} is no setting{meant}")
    return tuple(lines)


_KEYS = (
    "daft.hooks.enabled",
    "daft.hooks.timeout",
    "daft.hooks.defaultTrust",
    "daft.hooks.userDirectory",
    "daft.hooks.trustPrune",
    "daft.hooks.output.quiet",
    "daft.hooks.output.verbose",
    "daft.hooks.output.tailLines",
    "daft.hooks.output.timerDelay",
)
OWN_ONLY = ("daft.hooks.defaultTrust", "daft.hooks.userDirectory", "daft.hooks.trustPrune")
"""What no repository has a say in."""


def _output(reading: _Reading) -> OutputSettings:
    usual = OutputSettings()
    lines = reading.value("daft.hooks.output.tailLines", _lines)
    delay = reading.value("daft.hooks.output.timerDelay", _delay)
    return OutputSettings(
        quiet=reading.flag("daft.hooks.output.quiet", usual=usual.quiet),
        verbose=reading.flag("daft.hooks.output.verbose", usual=usual.verbose),
        tail_lines=usual.tail_lines if lines is None else lines,
        timer_delay_s=usual.timer_delay_s if delay is None else delay,
    )


class _Reading:
    """Takes values out of git's configuration; what makes no sense is told, and not used."""

    def __init__(self, values: Mapping[str, str], warnings: list[str] | None = None) -> None:
        self.values = values
        self.warnings: list[str] = [] if warnings is None else warnings

    def value(self, key: str, read: Callable[[str], T]) -> T | None:
        """Return what `read` makes of a value, None when it is not set or `read` refuses it."""
        text = self.values.get(key.lower())
        if text is None:
            return None
        try:
            return read(text)
        except ValueError as error:
            self.warnings.append(f"git config {key} is {text!r}, {error}")
            return None

    def flag(self, key: str, *, usual: bool) -> bool:
        """Return what git would make of a boolean."""
        found = self.value(key, lambda text: _boolean(text, usual=usual))
        return usual if found is None else found


def _key_of(values: Mapping[str, str], hook: HookType, name: str) -> str:
    """Return the key of a hook's setting; with the hook's old name, if only that one is set."""
    key = f"daft.hooks.{hook.setting}.{name}"
    old = _old_key_of(hook, name)
    return old if key.lower() not in values and old.lower() in values else key


def _old_key_of(hook: HookType, name: str) -> str:
    short = hook.setting.removeprefix("worktree")
    return f"daft.hooks.{short[:1].lower()}{short[1:]}.{name}"


# --- words to values; each raises ValueError with what would be right -------------------------


def _boolean(text: str, *, usual: bool) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"neither true nor false; it counts as {str(usual).lower()}")
    return text.lower() in _TRUE


def _fail_mode(text: str) -> FailMode:
    try:
        return FailMode(text.lower())
    except ValueError:
        raise ValueError("neither abort nor warn") from None


def _level(text: str) -> TrustLevel:
    try:
        return TrustLevel(text.lower())
    except ValueError:
        raise ValueError("not deny, prompt or allow; it counts as deny") from None


def _absolute(text: str, home: str | None) -> str:
    if text.startswith("~/") and home is not None:
        text = f"{home}{text[1:]}"
    if not text.startswith("/"):
        raise ValueError("no absolute path")
    return text


def _lines(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:9]) > _MOST_LINES:
        raise ValueError(f"no number of lines, 0 to {_MOST_LINES}")
    return int(text)


def _delay(text: str) -> float:
    return float(text) if text.isascii() and text.isdecimal() else seconds(text)


def _limit(text: str) -> float:
    if text.lower() == "none":
        return math.inf
    found = _delay(text)
    if not 0 < found <= _LONGEST_S:
        raise ValueError("must be more than nothing, and ten years at most; `none` is no limit")
    return found


def _timeout(found: float | None) -> float | None:
    if found is None:
        return HookSettings().timeout_s
    return None if found == math.inf else found
