"""`daft warm`: what `copy:` asks for, for a worktree that is there already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import click

from daft_hooks.domain.config import CopyConfig
from daft_worktree.copying import CopyPlan, Outcome, Row, Verdict, plan_copies
from daft_worktree.finding import find
from daft_worktree.repository import Repository
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import Trouble
from ..formats import FORMATS, write_rows
from ..options import speaking
from ..place import discover
from ..shared_links import link_names
from ..terminal import harmless, show_path
from ..warming import amount, copied, rules_of, tell

COLUMNS = ("path", "outcome", "reason", "files", "size_bytes", "copied_bytes", "source", "target")
_WOULD = {
    Verdict.COPY: "would copy",
    Verdict.REPLACE: "would replace",
    Verdict.PRESENT: "would keep",
    Verdict.REFUSE: "would not copy",
}
_DONE = (Outcome.COPIED, Outcome.REPLACED)


@click.command(name="warm")
@click.argument("worktree", required=False)
@click.option("--from", "source", metavar="WORKTREE", help="Copy from this one.")
@click.option("-f", "--force", is_flag=True, help="Replace what is there already.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be copied, and why not.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Print a row per path.")
@speaking
def command(
    worktree: str | None,
    source: str | None,
    force: bool,
    dry_run: bool,
    form: str | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Copy to WORKTREE (the current one) what `copy:` of daft.yml names and another one has."""
    repository = discover(to_change=True)
    target = _named(repository, worktree) if worktree is not None else _current(repository)
    origin = None if source is None else _named(repository, source)
    if origin is not None and origin.path == target.path:
        raise Trouble(f"'{target.label}' cannot be copied to itself")
    with Session(repository, quiet=quiet, verbose=verbose) as session:
        config, shared = _wishes(session, target, origin)
        plan = None
        if config is not None:
            rules = rules_of(config, shared)
            plan = plan_copies(repository, rules, target, source=origin, force=force)
        if dry_run:
            return _show(session, plan, config, form)
        rows: list[Row] = []
        if plan is not None:
            for row in copied(session, plan):
                rows.append(row)
                if form is None:
                    _say(session, plan, row)
            # They are not copied, and went with what they were in when that was replaced.
            link_names(repository, target, _inside(shared, rows))
        if form is not None:
            _write(form, plan, [_cells(row) for row in rows])
        elif not rows:
            session.say(_nothing(config, plan))
        return 1 if any(row.outcome is Outcome.FAILED for row in rows) else 0


def _named(repository: Repository, word: str) -> Worktree:
    found = find(
        list(repository.worktrees), word, cwd=repository.cwd, project_root=repository.project_root
    )
    if found is None:
        raise Trouble(f"no worktree '{word}'", tips=("`daft list` shows them",))
    if found.missing:
        raise Trouble(f"the worktree '{word}' is gone from {found.path}")
    return found


def _current(repository: Repository) -> Worktree:
    if repository.current is None:
        raise Trouble("this is no worktree", tips=("name one: daft warm <worktree>",))
    return repository.current


def _wishes(
    session: Session, target: Worktree, origin: Worktree | None
) -> tuple[CopyConfig | None, Collection[str]]:
    """Return what is asked for, and what worktrees share.

    The target's own file counts, or else that of a worktree which knows of such a wish.
    """
    for worktree in (target, origin, session.repository.current):
        loaded = None if worktree is None else session.load(worktree.path)
        if loaded is not None and loaded.configuration.copy.paths:
            return loaded.configuration.copy, loaded.configuration.shared
    return None, ()


def _inside(shared: Collection[str], rows: Sequence[Row]) -> list[str]:
    """Return what is shared of what is copied."""
    done = tuple(f"{row.path}/" for row in rows if row.outcome in _DONE)
    return [name for name in shared if name.startswith(done)]


def _say(session: Session, plan: CopyPlan, row: Row) -> None:
    if row.outcome not in _DONE:
        tell(session, plan, row, asked=True)
        return
    source = harmless(plan.source.label)
    session.say(f"{row.outcome.value} {harmless(row.path)} from {source} ({amount(row)})")


def _show(
    session: Session, plan: CopyPlan | None, config: CopyConfig | None, form: str | None
) -> int:
    """Print what would be done."""
    decisions = () if plan is None else plan.decisions
    if form is not None:
        rows = [
            {"path": one.path, "outcome": one.verdict.value, "reason": one.reason}
            for one in decisions
        ]
        _write(form, plan, rows)
        return 0
    for one in decisions:
        why = f": {harmless(one.reason)}" if one.reason else ""
        click.echo(f"{_WOULD[one.verdict]} {harmless(one.path)}{why}")
    if plan is not None and decisions:
        where = f"from {show_path(plan.source.path)} to {show_path(plan.target.path)}"
        session.presenter.notice(where)
    else:
        click.echo(_nothing(config, plan))
    return 0


def _nothing(config: CopyConfig | None, plan: CopyPlan | None) -> str:
    if config is None:
        return "Nothing to copy: daft.yml names nothing under `copy:`"
    wanted = ", ".join(harmless(text) for text in config.paths)
    who = "no other worktree has" if plan is None else f"'{harmless(plan.source.label)}' has not"
    return f"Nothing to copy: {who} {wanted}"


def _cells(row: Row) -> dict[str, Any]:
    return {
        "path": row.path,
        "outcome": row.outcome.value,
        "reason": row.reason,
        "files": row.files,
        "size_bytes": row.size_bytes,
        "copied_bytes": row.copied_bytes,
    }


def _write(form: str, plan: CopyPlan | None, rows: list[dict[str, Any]]) -> None:
    ends = {} if plan is None else {"source": plan.source.path, "target": plan.target.path}
    write_rows(form, [{**row, **ends} for row in rows], COLUMNS)
