"""The `daft.hooks.*` settings, out of git's configuration as the caller read it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from .domain.quantities import seconds
from .hooktypes import HOOK_TYPES, FailMode

_FALSE = frozenset({"false", "no", "off", "0"})


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
        key = f"daft.hooks.{hook.setting.lower()}"
        if values.get(f"{key}.enabled", "true").lower() in _FALSE:
            disabled.add(hook.name)
        mode = values.get(f"{key}.failmode")
        if mode is not None:
            try:
                fail_modes[hook.name] = FailMode(mode.lower())
            except ValueError:
                warnings.append(f"git config {key}.failMode is {mode!r}, neither abort nor warn")
    timeout_s: float | None = 300.0
    text = values.get("daft.hooks.timeout")
    if text is not None:
        try:
            timeout_s = _timeout(text)
        except ValueError as error:
            warnings.append(f"git config daft.hooks.timeout is {text!r}: {error}")
    return HookSettings(
        enabled=values.get("daft.hooks.enabled", "true").lower() not in _FALSE,
        disabled=frozenset(disabled),
        fail_modes=fail_modes,
        timeout_s=timeout_s,
        user_directory=_user_directory(values, config_dir, home, warnings),
        warnings=tuple(warnings),
    )


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
    if found <= 0:
        raise ValueError("must be more than nothing")
    return found
