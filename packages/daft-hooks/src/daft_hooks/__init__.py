"""Lifecycle hooks from daft.yml: find, parse, merge, validate, plan and run them.

Names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .consent import (
        Answer,
        Consenting,
        Question,
        allow,
        ask_each_time,
        changes_since_consent,
        consent_for,
        deny,
    )
    from .discovery import Loaded, load, load_from, load_from_git
    from .domain.event import Event
    from .domain.moves import move_of, set_up, tear_down
    from .domain.planning import Options, Placement, Plan, plan
    from .domain.runners import JobRunner, RunnerSpec
    from .domain.selection import Narrowing, Selectors, parse_selectors
    from .errors import BadConfiguration, HooksError, Problem
    from .firing import FireOutcome, FireStatus, Firing, fire
    from .hooktypes import HOOK_TYPES, FailMode
    from .settings import HookSettings, hook_settings

__version__ = "0.1.0"

_MODULE_OF = {
    "HOOK_TYPES": "hooktypes",
    "BadConfiguration": "errors",
    "Answer": "consent",
    "Consenting": "consent",
    "Event": "domain.event",
    "FailMode": "hooktypes",
    "FireOutcome": "firing",
    "FireStatus": "firing",
    "Firing": "firing",
    "HookSettings": "settings",
    "HooksError": "errors",
    "JobRunner": "domain.runners",
    "Loaded": "discovery",
    "Narrowing": "domain.selection",
    "Options": "domain.planning",
    "Placement": "domain.planning",
    "Plan": "domain.planning",
    "Problem": "errors",
    "RunnerSpec": "domain.runners",
    "Selectors": "domain.selection",
    "Question": "consent",
    "allow": "consent",
    "ask_each_time": "consent",
    "changes_since_consent": "consent",
    "consent_for": "consent",
    "deny": "consent",
    "fire": "firing",
    "hook_settings": "settings",
    "load": "discovery",
    "load_from": "discovery",
    "load_from_git": "discovery",
    "move_of": "domain.moves",
    "parse_selectors": "domain.selection",
    "plan": "domain.planning",
    "set_up": "domain.moves",
    "tear_down": "domain.moves",
}

__all__ = [
    "HOOK_TYPES",
    "Answer",
    "BadConfiguration",
    "Consenting",
    "Event",
    "FailMode",
    "FireOutcome",
    "FireStatus",
    "Firing",
    "HookSettings",
    "HooksError",
    "JobRunner",
    "Loaded",
    "Narrowing",
    "Options",
    "Placement",
    "Plan",
    "Problem",
    "Question",
    "RunnerSpec",
    "Selectors",
    "allow",
    "ask_each_time",
    "changes_since_consent",
    "consent_for",
    "deny",
    "fire",
    "hook_settings",
    "load",
    "load_from",
    "load_from_git",
    "move_of",
    "parse_selectors",
    "plan",
    "set_up",
    "tear_down",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{module}", __name__), name)
