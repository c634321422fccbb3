"""`skip` and `only`: whether they hold, given the facts, and how to say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from .changes import Listing
from .config import Condition, Rule, RuleKind
from .globs import path_glob, ref_matches
from .runners import RunnerSpec

CONDITION_TIMEOUT_S = 10.0
EVENTS_OWN = ""
"""The key of `Facts.listings` for the files that the event itself has changed."""

Command = tuple[str, float]
"""A command, and how many seconds it may take."""


class UnknownChanges(ValueError):
    """A condition asks for changed files and there is no list of them; the text says why."""


@frozen(kw_only=True)
class Facts:
    """What a plan may ask about. The mappings may find out when they are asked.

    environment: the process's, with the event's `DAFT_*` laid over it.
    branch: of the event. states: "merge", "rebase" when the worktree is in one.
    succeeded: (command, limit) -> whether it exited with 0.
    listings: a `files` command, or EVENTS_OWN -> the files it lists.
    runners: what a job asks a plugin for -> the command that does it.
    present: absolute path -> whether there is a file; what is not named here, is there.
    system: "linux", "macos", "windows". machine: "x86_64", "aarch64".
    """

    environment: Mapping[str, str] = field(factory=dict)
    branch: str = ""
    states: frozenset[str] = frozenset()
    succeeded: Mapping[Command, bool] = field(factory=dict)
    listings: Mapping[str, Listing] = field(factory=dict)
    runners: Mapping[RunnerSpec, str] = field(factory=dict)
    present: Mapping[str, bool] = field(factory=dict)
    has_terminal: bool = True
    system: str = "linux"
    machine: str = "x86_64"


def reason_to_skip(skip: Condition | None, only: Condition | None, facts: Facts) -> str | None:
    """Return why something must not run, None when nothing stands against it.

    Raises: UnknownChanges.
    """
    return _reason_of_skip(skip, facts) or _reason_of_only(only, facts)


def _reason_of_skip(skip: Condition | None, facts: Facts) -> str | None:
    if skip is None:
        return None
    if skip.always is not None:
        return "skip: true" if skip.always else None
    for rule in _rules(skip, facts.system):
        held = next((test for test in rule.tests if _holds(test, rule, facts)), None)
        if held is not None:
            return rule.desc or f"skip: {_said(held, held=True)}"
    return None


def _reason_of_only(only: Condition | None, facts: Facts) -> str | None:
    if only is None:
        return None
    if only.always is not None:
        return None if only.always else "only: false"
    if only.by_system and not {"", facts.system} & only.by_system.keys():
        # Who names systems means those: to run on all others would be a surprise.
        return f"only: nothing is said of {facts.system}"
    for rule in _rules(only, facts.system):
        if not rule.tests:
            return rule.desc or "only: no rule holds"
        missed = next((test for test in rule.tests if not _holds(test, rule, facts)), None)
        if missed is not None:
            return rule.desc or f"only: {_said(missed, held=False)}"
    return None


def _rules(condition: Condition, system: str) -> Iterable[Rule]:
    return condition.by_system.get("") or condition.by_system.get(system, ())


def _holds(test: tuple[RuleKind, str], rule: Rule, facts: Facts) -> bool:
    kind, argument = test
    match kind:
        case RuleKind.STATE:
            return argument in facts.states
        case RuleKind.ENV:
            return is_truthy(facts.environment.get(argument))
        case RuleKind.REF:
            # As git says it: a worktree without a branch is on HEAD.
            return ref_matches(argument, facts.branch or "HEAD")
        case RuleKind.RUN:
            limit = CONDITION_TIMEOUT_S if rule.timeout_s is None else rule.timeout_s
            return facts.succeeded.get((argument, limit), False)
        case RuleKind.CHANGED:
            return _has_changed(argument.split("\n"), facts)


def _has_changed(patterns: Iterable[str], facts: Facts) -> bool:
    listing = facts.listings.get(EVENTS_OWN)
    if listing is None:
        raise UnknownChanges("`changed` needs a list of changed files, which only merges have")
    if listing.error is not None:
        raise UnknownChanges(listing.error)
    globs = [path_glob(pattern) for pattern in patterns]
    return any(glob.matches(file) for glob in globs for file in listing.files)


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
        case RuleKind.CHANGED:
            patterns = argument.replace("\n", ", ")
            return (
                f"changed files match {patterns}" if held else f"no changed files match {patterns}"
            )


def is_truthy(value: str | None) -> bool:
    """True for anything but unset, empty, `0` and `false` in any case."""
    return value is not None and value not in ("", "0") and value.lower() != "false"
