"""What `daft list` shows: the worktrees, how far they are, and whether they are set up."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

import daft_worktree
from daft_worktree.branches import default_branch, read_refs
from daft_worktree.describing import Description
from daft_worktree.worktrees import Worktree, same_path

from .setup_state import SetupStates
from .sighting import sight
from .terminal import age, harmless, has_colour, in_columns, paint, show_path, warn

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from typing import Any

COLUMNS = (
    "kind", "name", "is_current", "is_default_branch", "operation", "path", "absolute_path",
    "ahead", "behind", "staged", "unstaged", "untracked", "conflicted", "remote_ahead",
    "remote_behind", "last_commit_age", "last_commit_subject", "hash", "locked", "lock_reason",
    "missing", "setup_state", "running_jobs",
)  # fmt: skip


def show(
    *,
    branches: bool = False,
    remotes: bool = False,
    form: str | None = None,
    template: str | None = None,
    columns: Sequence[str] = COLUMNS,
    headers: bool = True,
) -> int:
    """Show the worktrees of the repository one stands in; return the exit code.

    branches, remotes: also those without a worktree. form: see `formats`. template: a Jinja text.
    columns, headers: for `form`.
    """
    repository = daft_worktree.discover(os.getcwd())
    refs = read_refs(repository)
    default = default_branch(repository, refs)
    trees = tuple(one for one in repository.worktrees if not one.is_bare)
    sight(repository, default)
    described = daft_worktree.describe(repository, trees, default)
    for one in described:
        if one.warning is not None:
            warn(one.warning)
    states = SetupStates(repository.common_dir)
    rows = [_row(one, repository.current, default, states) for one in described]
    if branches:
        taken = {one.branch for one in trees}
        rows += [
            _bare_row("branch", name, branch.oid)
            for name, branch in refs.heads.items()
            if name not in taken
        ]
    if remotes and repository.remote is not None:
        rows += [
            _bare_row("remote", f"{repository.remote}/{name}", oid)
            for name, oid in refs.of(repository.remote).items()
        ]
    if template is not None:
        from .templates import Template

        sys.stdout.write(Template(template).text(rows))
        return 0
    if form is not None:
        from .formats import write_rows

        write_rows(form, rows, columns, headers=headers)
        return 0
    if not rows:
        sys.stderr.write("no worktrees yet; make one with `daft go <branch>`\n")
        return 0
    _print(rows)
    return 0


def _row(
    one: Description,
    current: Worktree | None,
    default: str | None,
    states: SetupStates,
) -> dict[str, Any]:
    tree = one.worktree
    assert tree is not None
    committed = None if one.committed_at is None else age(time.time() - one.committed_at)
    return {
        "kind": "worktree",
        "name": one.name,
        "is_current": current is not None and same_path(tree.path, current.path),
        "is_default_branch": tree.branch is not None and tree.branch == default,
        "operation": tree.operation,
        "path": show_path(tree.path),
        "absolute_path": tree.path,
        "ahead": one.ahead,
        "behind": one.behind,
        "staged": one.staged,
        "unstaged": one.unstaged,
        "untracked": one.untracked,
        "conflicted": one.conflicted,
        "remote_ahead": one.remote_ahead,
        "remote_behind": one.remote_behind,
        "last_commit_age": committed,
        "last_commit_subject": one.subject,
        "hash": one.head,
        "locked": tree.locked is not None,
        "lock_reason": tree.locked or None,
        "missing": tree.missing,
        "setup_state": states.of.get(one.name, "none"),
        "running_jobs": states.unfinished.get(one.name, 0),
    }


def _bare_row(kind: str, name: str, oid: str) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(kind=kind, name=name, hash=oid, is_current=False, is_default_branch=False)
    return row


def _print(rows: list[dict[str, Any]]) -> None:
    colour = has_colour(sys.stdout)
    with_setup = any(row["setup_state"] not in (None, "none", "ok") for row in rows)
    table: list[list[str]] = []
    for row in rows:
        mark = ">" if row["is_current"] else " "
        mark += "✦" if row["is_default_branch"] else " "
        cells = [mark, row["name"], row["path"] or f"({row['kind']})"]
        if with_setup:
            state = row["setup_state"]
            cells.append("" if state in (None, "none", "ok") else state)
        cells += [
            _pair(row["ahead"], row["behind"], "+", "-"),
            _changes(row),
            _pair(row["remote_ahead"], row["remote_behind"], "⇡", "⇣"),
            row["last_commit_age"] or "",
            row["last_commit_subject"] or "",
        ]
        table.append(cells)
    # A subject is of whoever made the commit, and a lock's reason of whoever locked.
    lines = in_columns([tuple(map(harmless, cells)) for cells in table])
    for line, row in zip(lines, rows, strict=True):
        shown = paint(line, "bold", on=colour and bool(row["is_current"]))
        sys.stdout.write(f"{shown}\n")


def _pair(ahead: int | None, behind: int | None, up: str, down: str) -> str:
    parts = []
    if ahead:
        parts.append(f"{up}{ahead}")
    if behind:
        parts.append(f"{down}{behind}")
    return " ".join(parts)


def _changes(row: dict[str, Any]) -> str:
    parts = [
        f"{sign}{row[key]}"
        for sign, key in (
            ("!", "conflicted"),
            ("+", "staged"),
            ("-", "unstaged"),
            ("?", "untracked"),
        )
        if row[key]
    ]
    if row["operation"]:
        parts.insert(0, f"<{row['operation']}>")
    if row["locked"]:
        parts.append("locked")
    if row["missing"]:
        parts.append("missing")
    return " ".join(parts)
