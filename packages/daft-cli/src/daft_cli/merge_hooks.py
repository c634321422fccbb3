"""The hooks around a merge: what they are told, whose configuration counts, what stops it."""

from __future__ import annotations

from attrs import evolve, frozen

from daft_hooks.discovery import Loaded
from daft_hooks.domain.event import Event, Merge
from daft_hooks.domain.event import MergeSource as SourceFact
from daft_hooks.firing import FireOutcome
from daft_worktree.merging import Merged, MergeResult, Merging, Policy
from daft_worktree.worktrees import Worktree

from .arrival import stand_in
from .context import Session
from .visitors import NAMES


@frozen(kw_only=True)
class MergeHooks:
    """The hooks of one merge. home: the worktree they run in and read their configuration from.

    It is the target's; where that has none, the one the user stands in.
    """

    session: Session
    plan: Merging
    home: Worktree
    before: Loaded | None

    @classmethod
    def of(cls, session: Session, plan: Merging, *, lenient: bool = False) -> MergeHooks:
        """Return the hooks of a merge. Raises: BadConfiguration, unless it is to be a warning."""
        home = plan.worktree or _home(session)
        if home is None:
            # A repository without a single worktree: what the target has committed counts.
            home = Worktree(path=session.repository.project_root, head=None, branch=None)
            return cls(session=session, plan=plan, home=home, before=_committed(session, plan))
        load = session.load_leniently if lenient else session.load
        return cls(session=session, plan=plan, home=home, before=load(home.path))

    def policy(self) -> Policy:
        """Return what the merge must keep to. Raises: BadConfiguration.

        Where hooks come from elsewhere, what the target itself has committed counts as well: it
        is the target's guard.
        """
        said = [self.before]
        if self.plan.worktree is None:
            said.append(_committed(self.session, self.plan))
        wanted = [one.configuration.merge for one in said if one is not None]
        return Policy(
            ff_only=any(one.ff_only for one in wanted),
            clean_source=any(one.clean_source for one in wanted),
            overlooked=NAMES,
        )

    def before_merge(self) -> FireOutcome:
        """Fire `pre-merge`."""
        return self.session.fire(self._event("pre-merge", self.home, None), self.before)

    def after_merge(self, merged: Merged) -> FireOutcome:
        """Fire `post-merge`, by what is configured now: the merge may have changed that."""
        home = self.home
        if merged.promoted and merged.path is not None:
            home = next(
                (
                    one
                    for one in self.session.repository.refreshed().worktrees
                    if one.path == merged.path
                ),
                home,
            )
        loaded = self.session.load_leniently(home.path)
        return self.session.fire(self._event("post-merge", home, merged), loaded)

    def _event(self, hook: str, home: Worktree, merged: Merged | None) -> Event:
        here = self.session.repository.current
        return self.session.event(
            hook,
            "merge",
            home,
            branch=self.plan.target.name,
            label=self.plan.target.name,
            source_worktree=here.path if here is not None else home.path,
            merge=facts(self.plan, merged),
        )


def facts(plan: Merging, merged: Merged | None) -> Merge:
    """Return what hooks are told of a merge; merged: what became of it."""
    path = plan.worktree.path if plan.worktree is not None else None
    told = Merge(
        sources=tuple(
            SourceFact(name=one.name, sha=one.oid, path=one.worktree.path if one.worktree else None)
            for one in plan.sources
        ),
        target_branch=plan.target.name,
        target_path=path,
        target_sha=plan.target.oid,
        mode=plan.mode,
        strategy=plan.options.strategy,
        is_ephemeral=plan.is_ephemeral,
        is_cross_worktree=plan.is_cross_worktree,
        removes_sources=plan.options.remove_sources,
    )
    if merged is None:
        return told
    is_done = merged.result is MergeResult.SUCCESS
    return evolve(
        told,
        target_path=path or (merged.path if merged.promoted else None),
        result=merged.result.value,
        commit_sha=merged.commit if is_done else "",
        conflicted_files=merged.conflicts,
        was_promoted=merged.promoted,
    )


def _home(session: Session) -> Worktree | None:
    return session.repository.current or stand_in(session)


def _committed(session: Session, plan: Merging) -> Loaded | None:
    return session.load_for_creation([f"refs/heads/{plan.target.name}"])
