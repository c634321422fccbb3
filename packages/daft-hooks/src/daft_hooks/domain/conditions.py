"""`skip` and `only`: whether they hold, given the facts, and how to say so."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping

from attrs import field, frozen

from .config import Condition, HookConfig, Rule, RuleKind


@frozen(kw_only=True)
class Facts:
    """What conditions may ask about.

    environment: the process's, with the event's `DAFT_*` laid over it.
    branch: of the event. states: "merge", "rebase" when the worktree is in one.
    succeeded: command -> whether it exited with 0, for every command `commands` names.
    system: "linux", "macos", "windows". machine: "x86_64", "aarch64".
    """

    environment: Mapping[str, str] = field(factory=dict)
    branch: str = ""
    states: frozenset[str] = frozenset()
    succeeded: Mapping[str, bool] = field(factory=dict)
    system: str = "linux"
    machine: str = "x86_64"


def commands(hook: HookConfig, system: str) -> tuple[str, ...]:
    """Return every command whose success some condition of `hook` asks for, once, in order."""
    conditions: list[Condition | None] = [hook.skip, hook.only]
    for job in hook.jobs:
        conditions += [job.skip, job.only]
    found: dict[str, None] = {}
    for condition in conditions:
        for rule in _rules(condition, system) or ():
            for kind, argument in rule.tests:
                if kind is RuleKind.RUN:
                    found[argument] = None
    return tuple(found)


def reason_to_skip(skip: Condition | None, only: Condition | None, facts: Facts) -> str | None:
    """Return why something must not run, None when nothing stands against it."""
    if skip is not None:
        if skip.always is not None:
            if skip.always:
                return "skip: true"
        else:
            for rule in _rules(skip, facts.system) or ():
                held = next((test for test in rule.tests if _holds(test, facts)), None)
                if held is not None:
                    return rule.desc or f"skip: {_said(held, held=True)}"
    if only is not None:
        if only.always is not None:
            return None if only.always else "only: false"
        rules = _rules(only, facts.system)
        for rule in rules or ():
            missed = next((test for test in rule.tests if not _holds(test, facts)), None)
            if missed is not None or not rule.tests:
                said = "no rule holds" if missed is None else _said(missed, held=False)
                return rule.desc or f"only: {said}"
    return None


def _rules(condition: Condition | None, system: str) -> Iterable[Rule] | None:
    if condition is None:
        return None
    if "" in condition.by_system:
        return condition.by_system[""]
    return condition.by_system.get(system)


def _holds(test: tuple[RuleKind, str], facts: Facts) -> bool:
    kind, argument = test
    match kind:
        case RuleKind.STATE:
            return argument in facts.states
        case RuleKind.ENV:
            return is_truthy(facts.environment.get(argument))
        case RuleKind.REF:
            return ref_matches(argument, facts.branch)
        case RuleKind.RUN:
            return facts.succeeded.get(argument, False)


def _said(test: tuple[RuleKind, str], *, held: bool) -> str:
    kind, argument = test
    match kind:
        case RuleKind.STATE:
            return f"in {argument} state" if held else f"not in {argument} state"
        case RuleKind.ENV:
            return f"env ${argument} is set" if held else f"env ${argument} is not set"
        case RuleKind.REF:
            verb = "matches" if held else "does not match"
            return f"ref {verb} '{argument}'"
        case RuleKind.RUN:
            how = "succeeded" if held else "failed"
            return f"command {how}: {argument}"


def is_truthy(value: str | None) -> bool:
    """True for anything but unset, empty, `0` and `false` in any case."""
    return value is not None and value not in ("", "0") and value.lower() != "false"


def ref_matches(pattern: str, branch: str) -> bool:
    """True when the whole branch name fits `pattern`; `*` crosses slashes, as in git's refs."""
    if not branch:
        return False
    return re.fullmatch(fnmatch.translate(pattern), branch) is not None
