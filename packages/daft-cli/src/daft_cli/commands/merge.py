"""`daft merge`: branches into a branch, without switching, behind the gates of daft.yml."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import click
from attrs import evolve

from daft_worktree import layouts, merging
from daft_worktree.merging import (
    Merged,
    MergeOptions,
    MergeResult,
    Merging,
    Style,
)
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import FAILED, INTERRUPTED, OK, Trouble
from ..merge_hooks import MergeHooks
from ..merge_report import FORMATS, MergeReport
from ..merge_sequel import plan_to_remove, remove_sources, take_over
from ..merge_telling import foretell, tell, tell_setup, tell_unended
from ..options import hooking, speaking
from ..place import discover
from ..terminal import warn

_IS_THERE = (MergeResult.SUCCESS, MergeResult.UP_TO_DATE)


@click.command(name="merge")
@click.argument("sources", nargs=-1, metavar="[SRC…]")
@click.option("--into", metavar="BRANCH", help="Merge into this; otherwise the branch here.")
@click.option("--squash", is_flag=True, help="As one commit.")
@click.option("--rebase", is_flag=True, help="As the same commits, made anew on top.")
@click.option("--rebase-merge", is_flag=True, help="As those, and a merge commit above.")
@click.option("--ff-only", is_flag=True, help="Only by moving forward, without a commit.")
@click.option("-m", "--message", metavar="TEXT", help="The message of the commit.")
@click.option("-s", "--strategy", metavar="NAME", default="", help="As of git merge.")
@click.option("-X", "--strategy-option", "strategy_options", multiple=True, metavar="OPTION",
              help="As of git merge.")  # fmt: skip
@click.option("--no-verify", is_flag=True, help="Without the commit hooks of git.")
@click.option("-r/-k", "--remove/--keep", default=None,
              help="Remove worktrees and branches that were merged, or not.")  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done, and conflicts.")
@click.option("--continue", "go_on", is_flag=True, help="Go on once conflicts are resolved.")
@click.option("--abort", is_flag=True, help="Take a merge that has stopped back.")
@click.option("--quit", "give_up", is_flag=True, help="Forget it, and leave the files as they are.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="What became of it, for programs."
)
@hooking
@speaking
def command(
    sources: tuple[str, ...],
    into: str | None,
    squash: bool,
    rebase: bool,
    rebase_merge: bool,
    ff_only: bool,
    message: str | None,
    strategy: str,
    strategy_options: tuple[str, ...],
    no_verify: bool,
    remove: bool | None,
    dry_run: bool,
    go_on: bool,
    abort: bool,
    give_up: bool,
    form: str | None,
    skip_hooks: tuple[str, ...],
    placement: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Merge SRC (branches, worktrees, commits) into the branch here, or into another one.

    A merge commit is made unless another style is asked for. Where the target has no worktree,
    one is made for the time of the merge.
    """
    ending = [name for name, given in (("--continue", go_on), ("--abort", abort),
                                       ("--quit", give_up)) if given]  # fmt: skip
    styles = [style for style, given in ((Style.SQUASH, squash), (Style.REBASE, rebase),
              (Style.REBASE_MERGE, rebase_merge), (Style.FF, ff_only)) if given]  # fmt: skip
    if len(styles) > 1 or len(ending) > 1 or (ending and (styles or sources)):
        raise click.UsageError("only one of the styles, or of --continue, --abort, --quit alone")
    if not ending and not sources:
        raise click.UsageError("Missing argument 'SRC'.")
    if form is not None and dry_run:
        raise click.UsageError("--format tells what was done: not with --dry-run")
    repository = discover(to_change=True)
    _refuse_inside_a_gate(repository.common_dir)
    with (
        Session(
            repository, quiet=quiet, verbose=verbose, skip_hooks=skip_hooks, placement=placement
        ) as session,
        MergeReport(session, form) as report,
    ):
        if ending:
            return _end(session, report, ending[0], into)
        options = MergeOptions(
            style=styles[0] if styles else None,
            strategy=strategy,
            strategy_options=strategy_options,
            message=message,
            verify=not no_verify,
            remove_sources=repository.settings.merge_removes if remove is None else remove,
        )
        return _begin(session, report, sources, into, options, dry_run=dry_run)


def _refuse_inside_a_gate(common_dir: str) -> None:
    # It would wait for the merge that waits for it.
    if os.environ.get("DAFT_HOOK") == "pre-merge" and os.environ.get("DAFT_GIT_DIR") == common_dir:
        raise Trouble("a pre-merge hook cannot merge in its own repository; post-merge can")


def _begin(
    session: Session,
    report: MergeReport,
    words: tuple[str, ...],
    into: str | None,
    options: MergeOptions,
    *,
    dry_run: bool,
) -> int:
    hooks: MergeHooks | None = None
    with _alone(session):
        # What another merge has changed while we waited for it counts.
        plan = merging.plan_merge(session.repository.refreshed(), words, into=into, options=options)
        report.plan = plan
        if plan.is_up_to_date:
            tell_unended(session, plan)
            merged = Merged(MergeResult.UP_TO_DATE, plan.target.oid)
        else:
            plan, hooks = _checked(session, plan)
            report.plan = plan
            if dry_run:
                return foretell(session, plan)
            code = _pass(hooks)
            if code is not None:
                return code
            merged = merging.merge(plan, lambda name: _place(session, name))
    report.merged = merged
    # Without the lock: what runs after a merge may merge on.
    return _after(session, plan, merged, hooks, dry_run=dry_run)


def _checked(session: Session, plan: Merging) -> tuple[Merging, MergeHooks]:
    """Return the plan as it may be carried out now, and its hooks. Raises: MergeRefused, …"""
    for source in plan.contained:
        session.presenter.notice(f"'{source.name}' is in '{plan.target.name}' already")
    hooks = MergeHooks.of(session, plan)
    plan = merging.under_policy(plan, hooks.policy())
    merging.check_merge(plan)
    tell_unended(session, plan)
    if plan.options.remove_sources:
        # What would be refused afterwards is refused now.
        plan_to_remove(session, plan, plan.worktree)
    return plan, evolve(hooks, plan=plan)


def _alone(session: Session) -> AbstractContextManager[None]:
    return merging.merge_lock(
        session.repository.common_dir,
        waiting=lambda: session.presenter.notice("waiting for another merge to end"),
    )


def _place(session: Session, name: str) -> str:
    return layouts.path_for(
        session.layout(), name, root=session.repository.project_root, data_dir=session.data_dir
    )


def _pass(hooks: MergeHooks) -> int | None:
    """Fire `pre-merge`; return an exit code where that ends it. Raises: Trouble."""
    outcome = hooks.before_merge()
    if outcome.was_interrupted:
        return INTERRUPTED
    if outcome.must_stop:
        raise Trouble(f"nothing was merged into '{hooks.plan.target.name}'")
    return None


def _end(session: Session, report: MergeReport, how: str, into: str | None) -> int:
    """Go on with a merge that has stopped, take it back, or forget it."""
    with _alone(session):
        under_way = merging.find_merge(session.repository.refreshed(), into)
        plan = report.plan = under_way.plan
        target = plan.target.name
        if how == "--quit":
            merging.forget_merge(under_way)
            session.say(f"Forgot the merge into '{target}'; its files stay as they are")
            return OK
        if how == "--abort":
            for note in merging.abandon_merge(under_way):
                warn(note)
            merged = Merged(MergeResult.ABORTED, plan.target.oid)
            session.say(f"Took the merge into '{target}' back")
        else:
            merged = merging.resume_merge(under_way)
    report.merged = merged
    hooks = MergeHooks.of(session, plan, lenient=True)
    if how == "--abort":
        return _fired(hooks, merged)
    return _after(session, plan, merged, hooks)


def _after(
    session: Session,
    plan: Merging,
    merged: Merged,
    hooks: MergeHooks | None,
    *,
    dry_run: bool = False,
) -> int:
    """Tell what became of a merge, fire `post-merge`, remove what was merged."""
    code = tell(session, plan, merged)
    if hooks is not None and merged.promoted and merged.result is MergeResult.CONFLICT:
        tell_setup(hooks, merged.path or "")
    if hooks is not None and merged.result is not MergeResult.UP_TO_DATE:
        code = _fired(hooks, merged) or code
    if merged.result in _IS_THERE and not dry_run:
        target = _tree_of(session, plan)
        if target is not None:
            take_over(session, plan, target)
        if plan.options.remove_sources and code == OK:
            return OK if remove_sources(session, plan) else FAILED
    return code


def _tree_of(session: Session, plan: Merging) -> Worktree | None:
    found = session.repository.refreshed().worktree_of(plan.target.name)
    return None if found is None or found.missing else found


def _fired(hooks: MergeHooks, merged: Merged) -> int:
    outcome = hooks.after_merge(merged)
    if outcome.was_interrupted:
        return INTERRUPTED
    return FAILED if outcome.must_stop else OK
