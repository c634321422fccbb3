"""`daft hooks replay`: make up for hooks that did not run for want of consent."""

from __future__ import annotations

import sys

import click

from daft_hooks.domain.replay import SkippedFire, facts_to_replay
from daft_hooks.firing import FireStatus
from daft_protocol.status import Source
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..formats import FORMATS, write_rows
from ..options import PLACEMENTS, speaking
from ..place import discover
from ..terminal import harmless

_COLUMNS = ("hook", "worktree", "path", "reason", "skipped_at")


@click.command()
@click.argument("hooks", nargs=-1, metavar="[HOOK…]")
@click.option("--here", "only_here", is_flag=True, help="Only for this worktree.")
@click.option("--list", "only_list", is_flag=True, help="Show what would be run.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="With --list, for programs.")
@click.option("--hooks", "placement", type=click.Choice(PLACEMENTS), default="auto")
@speaking
def replay(
    hooks: tuple[str, ...],
    only_here: bool,
    only_list: bool,
    form: str | None,
    placement: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Run the hooks that were skipped while nobody had consented to them, oldest first.

    Each runs as it would have then: with the same branch facts, in its worktree as it is now,
    and only if there is consent now.
    """
    if form is not None and not only_list:
        raise click.UsageError("--format is only allowed with --list")
    with Session(discover(), quiet=quiet, verbose=verbose, placement=placement) as session:
        waiting = _waiting(session, hooks, only_here=only_here)
        if only_list:
            return _show(waiting, form)
        if not waiting:
            session.say("Nothing was skipped for want of consent.")
            return 0
        failed = False
        for fire, tree in waiting:
            code = _replay(session, fire, tree)
            if code == 130:
                return code
            failed = failed or code != 0
        return 1 if failed else 0


def _waiting(
    session: Session, hooks: tuple[str, ...], *, only_here: bool
) -> list[tuple[SkippedFire, Worktree]]:
    """Return what can be replayed, with the worktree as it is now; forget what never can be."""
    common_dir = session.repository.common_dir
    trees = {tree.worktree_id: tree for tree in session.repository.worktrees}
    here = session.repository.current
    found: list[tuple[SkippedFire, Worktree]] = []
    for fire in session.registry.skipped(common_dir):
        tree = trees.get(fire.worktree_id)
        if tree is None:
            session.registry.forget_skipped(common_dir, worktree_id=fire.worktree_id)
            continue
        wanted = not hooks or fire.hook in hooks
        if tree.missing or not wanted or (only_here and tree != here):
            continue
        found.append((fire, tree))
    return found


def _show(waiting: list[tuple[SkippedFire, Worktree]], form: str | None) -> int:
    rows: list[dict[str, object]] = [
        {
            "hook": fire.hook,
            "worktree": tree.label,
            "path": tree.path,
            "reason": fire.reason,
            "skipped_at": fire.skipped_at,
        }
        for fire, tree in waiting
    ]
    if form is not None:
        write_rows(form, rows, _COLUMNS)
        return 0
    for row in rows:
        click.echo(f"{row['hook']}  {harmless(str(row['worktree']))}  ({row['reason']})")
    if not rows:
        click.echo("Nothing was skipped for want of consent.")
    return 0


def _replay(session: Session, fire: SkippedFire, tree: Worktree) -> int:
    loaded = session.load(tree.path)
    shown = session.with_scripts(loaded, tree.path)
    if shown is None or fire.hook not in shown.configuration.hooks:
        session.registry.forget_skipped(
            session.repository.common_dir, hook=fire.hook, worktree_id=fire.worktree_id
        )
        session.say(f"{fire.hook} is not defined any more in {tree.label}")
        return 0
    facts: dict[str, object] = dict(facts_to_replay(fire))
    command = str(facts.pop("command", "hooks-replay"))
    event = session.event(
        fire.hook, command, tree, trigger=f"hooks replay {fire.hook}", source=Source.MANUAL, **facts
    )
    outcome = session.fire(event, loaded)
    if outcome.status is FireStatus.INTERRUPTED:
        return 130
    if outcome.consent is not None:
        return 1  # still no consent; that was said, with what to do
    if outcome.status is FireStatus.SKIPPED:
        sys.stderr.write(f"{fire.hook} was skipped in {tree.label}: {outcome.reason}\n")
    return 0 if outcome.ok else 1
