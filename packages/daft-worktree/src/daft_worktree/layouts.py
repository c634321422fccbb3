"""Layouts: where a branch's worktree goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from .errors import BadLayout


class Layout(NamedTuple):
    """A named template. `is_bare`: the repository itself has no working tree."""

    name: str
    template: str
    is_bare: bool


BUILT_IN = {
    layout.name: layout
    for layout in (
        Layout("sibling", "{{ repo }}.{{ branch | sanitize }}", False),
        Layout("contained", "{{ repo_path }}/{{ branch }}", True),
        Layout("contained-flat", "{{ repo_path }}/{{ branch | sanitize }}", True),
        Layout("nested", "{{ repo }}/.worktrees/{{ branch | sanitize }}", False),
        Layout(
            "centralized", "{{ daft_data_dir }}/worktrees/{{ repo }}/{{ branch | sanitize }}", False
        ),
    )
}
DEFAULT = BUILT_IN["sibling"]

_FILTERS: dict[str, Callable[[str], str]] = {
    "sanitize": lambda value: value.replace("/", "-").replace("\\", "-"),
    "repo": lambda value: value,
}


def named(value: str) -> Layout:
    """Return the built-in layout called `value`, or the template that `value` is.

    Raises: BadLayout for a name nobody knows or a template that cannot be used.
    """
    if value in BUILT_IN:
        return BUILT_IN[value]
    if "{{" not in value:
        raise BadLayout(f"unknown layout '{value}'; known: {', '.join(BUILT_IN)}")
    used = {name for name, _ in _expressions(value)}
    if "branch" not in used:
        raise BadLayout(f"layout template {value!r} must contain the branch, or all collide")
    is_bare = value.startswith("{{ repo_path }}/") and not _marks_repo(value)
    return Layout(value, value, is_bare)


def path_for(layout: Layout, branch: str, *, root: str, data_dir: str) -> str:
    """Return the absolute path of `branch`'s worktree.

    root: the project root. Links are not resolved. Raises: BadLayout.
    """
    name = os.path.basename(root).removesuffix(".git")
    values = {"repo_path": root, "repo": name, "branch": branch, "daft_data_dir": data_dir}
    rendered = _render(layout.template, values)
    if rendered.startswith("~/"):
        rendered = os.path.expanduser(rendered)
    # join() leaves an absolute result as it is.
    return os.path.normpath(os.path.join(os.path.dirname(root), rendered))


def resolve(
    *,
    explicit: str | None = None,
    stored: str | None = None,
    configured: str | None = None,
    default: str | None = None,
    detected: Layout | None = None,
) -> tuple[Layout, str]:
    """Return the layout that applies, and where it comes from.

    explicit: from the command line. stored: git config `daft.layout` of this repository, where
    it dies with the repository and moves with it. configured: `layout:` of `daft.yml`.
    default: the user's. detected: what the present worktrees look like.
    Raises: BadLayout.
    """
    for value, source in (
        (explicit, "--layout"),
        (stored, "stored"),
        (configured, "daft.yml"),
        (default, "user configuration"),
    ):
        if value:
            return named(value), source
    if detected is not None:
        return detected, "detected"
    return DEFAULT, "default"


def detect(placed: dict[str, str], *, root: str, is_bare: bool, data_dir: str) -> Layout | None:
    """Return the one built-in layout that explains every linked worktree, None if unclear.

    placed: branch -> path of the linked worktrees. Without any, a bare repository and a
    directory `.worktrees` tell.
    """
    if not placed:
        if is_bare:
            return BUILT_IN["contained"]
        return BUILT_IN["nested"] if os.path.isdir(os.path.join(root, ".worktrees")) else None
    fitting = [
        layout
        for layout in BUILT_IN.values()
        if layout.is_bare == is_bare
        and all(
            os.path.realpath(path_for(layout, branch, root=root, data_dir=data_dir))
            == os.path.realpath(path)
            for branch, path in placed.items()
        )
    ]
    # Branches without slashes cannot tell the flat variant; the plainer template wins.
    return min(fitting, key=lambda layout: layout.template.count("|"), default=None)


def _expressions(template: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    rest = template
    while "{{" in rest:
        _, _, rest = rest.partition("{{")
        inside, closed, rest = rest.partition("}}")
        if not closed:
            raise BadLayout(f"layout template {template!r}: '{{{{' is not closed")
        name, *filters = [part.strip() for part in inside.split("|")]
        found.append((name, filters))
    return found


def _marks_repo(template: str) -> bool:
    return any("repo" in filters for _, filters in _expressions(template))


def _render(template: str, values: dict[str, str]) -> str:
    parts: list[str] = []
    rest = template
    for name, filters in _expressions(template):
        before, _, rest = rest.partition("{{")
        _, _, rest = rest.partition("}}")
        if name not in values:
            raise BadLayout(f"layout template {template!r}: unknown variable '{name}'")
        value = values[name]
        for filter_name in filters:
            if filter_name not in _FILTERS:
                raise BadLayout(f"layout template {template!r}: unknown filter '{filter_name}'")
            value = _FILTERS[filter_name](value)
        parts += [before, value]
    return "".join([*parts, rest])
