"""Taking `skip` and `only` out of the tree of a file."""

from __future__ import annotations

from .document import Node
from .domain.config import Condition, Rule, RuleKind
from .domain.shape import STATES, SYSTEMS
from .errors import Mark, Severity
from .reading import Reader, nearest


def read_condition(reader: Reader, node: Node | None, path: str) -> Condition | None:
    """Return the condition in `node`: a boolean, a variable, a rule, rules, or rules by system."""
    if node is None or node.is_null:
        return None
    if node.kind == "scalar":
        if isinstance(node.value, bool):
            return Condition(always=node.value)
        _doubt(reader, node, path)
        return _everywhere(Rule(tests=((RuleKind.ENV, node.text),)))
    if node.kind == "list":
        return _everywhere(*_rules(reader, node, path))
    if not set(node.items) & set(SYSTEMS):
        return _everywhere(_rule(reader, node, path))
    by_system: dict[str, tuple[Rule, ...]] = {}
    for system, rules, mark in reader.entries(node, path):
        if is_system(reader, system, mark, path):
            by_system[system] = _rules(reader, rules, f"{path}.{system}")
    return Condition(by_system=by_system)


def is_system(reader: Reader, name: str, mark: Mark, path: str) -> bool:
    """True for the name of an operating system; otherwise the problem is noted."""
    if name in SYSTEMS:
        return True
    known = ", ".join(SYSTEMS)
    message = f"unknown system {name!r}{nearest(name, SYSTEMS)} (systems: {known})"
    reader.note(mark, path, message)
    return False


def _everywhere(*rules: Rule) -> Condition:
    return Condition(by_system={"": rules})


def _doubt(reader: Reader, node: Node, path: str) -> None:
    """A lone word is the name of a variable, which is not always what was meant."""
    instead = None
    if node.text.lower() in STATES:
        instead = f"for the state of the worktree write `[{node.text.lower()}]`"
    elif node.text.lower() in ("true", "false"):
        instead = f"for the boolean write {node.text.lower()} without quotes"
    elif node.text.lower() in ("yes", "no", "on", "off"):
        instead = "booleans are true and false"
    if instead is not None:
        message = f"tests the variable ${node.text}; {instead}"
        reader.note(node.mark, path, message, Severity.WARNING)


def _rules(reader: Reader, node: Node, path: str) -> tuple[Rule, ...]:
    if node.is_null:
        return ()
    if node.kind != "list":
        return (_rule(reader, node, path),)
    return tuple(
        _rule(reader, element, f"{path}[{position}]")
        for position, element in enumerate(node.elements, 1)
    )


def _rule(reader: Reader, node: Node, path: str) -> Rule:
    if node.kind == "scalar":
        if node.text not in STATES:
            near = nearest(node.text.lower(), STATES)
            message = f"{node.text!r} is no state ({', '.join(STATES)}), it never holds{near}"
            reader.note(node.mark, path, message, Severity.WARNING)
        return Rule(tests=((RuleKind.STATE, node.text),))
    if node.kind != "map":
        reader.wrong(node, path, "merge, rebase, or a map with ref, env, run or changed")
        return Rule(tests=())
    given = reader.fields(node, path, "rule")
    tests = [
        (RuleKind.REF, reader.ref(given.get("ref"), f"{path}.ref")),
        (RuleKind.ENV, reader.text(given.get("env"), f"{path}.env")),
        (RuleKind.RUN, reader.text(given.get("run"), f"{path}.run")),
        (RuleKind.CHANGED, "\n".join(reader.globs(given.get("changed"), f"{path}.changed"))),
    ]
    rule = Rule(
        tests=tuple((kind, text) for kind, text in tests if text),
        desc=reader.text(given.get("desc"), f"{path}.desc") or "",
        timeout_s=reader.duration_s(given.get("timeout"), f"{path}.timeout"),
    )
    if not rule.tests:
        reader.note(node.mark, path, "tests nothing, so it never holds", Severity.WARNING)
    elif "timeout" in given and "run" not in given:
        reader.note(node.mark, path, "`timeout` has no effect without `run`", Severity.WARNING)
    return rule
