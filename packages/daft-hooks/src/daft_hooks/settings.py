"""The `daft.hooks.*` settings, out of git's configuration as the caller read it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from .domain.quantities import seconds
from .hooktypes import HOOK_TYPES, FailMode, HookType

_FALSE = frozenset({"false", "no", "off", "0"})
_TRUE = frozenset({"true", "yes", "on", "1", ""})
_LONGEST_S = 10 * 365 * 86400


@frozen(kw_only=True)
class HookSettings:
    """What the user set about hooks.

    disabled: hooks that never fire. timeout_s: for jobs that set none; None is no limit.
    user_directory: where the user's own executable hooks are, None for nowhere.
    """

    enabled: bool = True
    disabled: frozenset[str] = frozenset()
    fail_modes: Mapping[str, FailMode] = field(factory=dict)
    timeout_s: float | None = 300.0
    user_directory: str | None = None
    warnings: tuple[str, ...] = ()


def hook_settings(
    values: Mapping[str, str], *, config_dir: str | None = None, home: str | None = None
) -> HookSettings:
    """Return the settings in `values`: git configuration, keys in lower case.

    config_dir: the user's own configuration of daft. home: what `~/` stands for.
    """
    warnings: list[str] = []
    disabled: set[str] = set()
    fail_modes: dict[str, FailMode] = {}
    for hook in HOOK_TYPES.values():
        key, switch = _found(values, hook, "enabled")
        if not _is_on(key, switch, warnings):
            disabled.add(hook.name)
        key, mode = _found(values, hook, "failMode")
        if mode is not None:
            try:
                fail_modes[hook.name] = FailMode(mode.lower())
            except ValueError:
                warnings.append(f"git config {key} is {mode!r}, neither abort nor warn")
    timeout_s: float | None = 300.0
    text = values.get("daft.hooks.timeout")
    if text is not None:
        try:
            timeout_s = _timeout(text)
        except ValueError as error:
            warnings.append(f"git config daft.hooks.timeout is {text!r}: {error}")
    return HookSettings(
        enabled=_is_on("daft.hooks.enabled", values.get("daft.hooks.enabled"), warnings),
        disabled=frozenset(disabled),
        fail_modes=fail_modes,
        timeout_s=timeout_s,
        user_directory=_user_directory(values, config_dir, home, warnings),
        warnings=tuple(warnings),
    )


def _found(values: Mapping[str, str], hook: HookType, name: str) -> tuple[str, str | None]:
    """Return a setting of a hook and its key; under the hook's old name, if not under the new."""
    short = hook.setting.removeprefix("worktree")
    old = short[:1].lower() + short[1:]
    for setting in (hook.setting, old):
        key = f"daft.hooks.{setting}.{name}"
        value = values.get(key.lower())
        if value is not None:
            return key, value
    return f"daft.hooks.{hook.setting}.{name}", None


def _is_on(key: str, text: str | None, warnings: list[str]) -> bool:
    """Return what git would make of a boolean; what is none counts as true, and is told."""
    if text is None or text.lower() in _TRUE:
        return True
    if text.lower() not in _FALSE:
        warnings.append(f"git config {key} is {text!r}, neither true nor false; it counts as true")
        return True
    return False


def _user_directory(
    values: Mapping[str, str], config_dir: str | None, home: str | None, warnings: list[str]
) -> str | None:
    usual = None if config_dir is None else f"{config_dir}/hooks"
    text = values.get("daft.hooks.userdirectory")
    if text is None:
        return usual
    if text.startswith("~/") and home is not None:
        text = f"{home}{text[1:]}"
    if not text.startswith("/"):
        warnings.append(f"git config daft.hooks.userDirectory is {text!r}, no absolute path")
        return usual
    return text


def _timeout(text: str) -> float | None:
    if text.lower() == "none":
        return None
    found = float(text) if text.isdecimal() else seconds(text)
    if not 0 < found <= _LONGEST_S:
        raise ValueError("must be more than nothing, and ten years at most; `none` is no limit")
    return found
