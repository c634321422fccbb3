"""What a merge is, and the rules it keeps to: plain values, nothing is looked at."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ..branches import Branch
from ..errors import MergeRefused
from ..repository import Repository
from ..worktrees import Worktree


class Style(Enum):
    """How the target gets the work of the sources."""

    MERGE = "merge"  # by a merge commit, always
    FF = "ff"  # by moving forward to a source as it is
    SQUASH = "squash"  # by one commit with everything
    REBASE = "rebase"  # by the same commits, made anew on top of it
    REBASE_MERGE = "rebase-merge"  # by those, and a merge commit above them


class Policy(NamedTuple):
    """What a repository wants of its merges.

    ff_only: the target only moves forward to a source as it is. clean_source: the worktrees of
    the sources hold just what is committed. overlooked: names of untracked files that do not
    count there.
    """

    ff_only: bool = False
    clean_source: bool = False
    overlooked: tuple[str, ...] = ()


class MergeSource(NamedTuple):
    """One of what is merged. name: as the user calls it. worktree: None for none."""

    name: str
    oid: str
    is_branch: bool = True
    worktree: Worktree | None = None


class MergeOptions(NamedTuple):
    """What a user may ask of a merge.

    strategy, strategy_options: as git knows them. message: None for the usual one. verify: git's
    own hooks may refuse the commit. remove_sources: the caller removes them afterwards.
    """

    style: Style | None = None
    strategy: str = ""
    strategy_options: tuple[str, ...] = ()
    message: str | None = None
    verify: bool = True
    remove_sources: bool = False


class Merging(NamedTuple):
    """A merge that can be made.

    sources: without those the target has already, which are `contained`; none when it has all.
    target: with the commit it is at. worktree: where it is checked out, None for nowhere.
    is_forward: the only source has all of the target.
    """

    repository: Repository
    sources: tuple[MergeSource, ...]
    contained: tuple[MergeSource, ...]
    target: Branch
    worktree: Worktree | None
    style: Style
    is_forward: bool
    options: MergeOptions = MergeOptions()
    policy: Policy = Policy()

    @property
    def is_up_to_date(self) -> bool:
        """True when there is nothing to merge."""
        return not self.sources

    @property
    def mode(self) -> str:
        """The word for it that hooks get."""
        is_octopus = self.style is Style.MERGE and len(self.sources) > 1
        return "octopus" if is_octopus else self.style.value

    @property
    def only_moves(self) -> bool:
        """True when a source becomes the target as it is."""
        return self.is_forward and self.style in (Style.FF, Style.REBASE)

    @property
    def is_ephemeral(self) -> bool:
        """True when a worktree is made for it, because the target has none."""
        return self.worktree is None and not self.only_moves

    @property
    def is_cross_worktree(self) -> bool:
        """True when its target is not what one stands in."""
        here = self.repository.current
        return here is None or self.worktree is None or here.path != self.worktree.path


def choose_style(
    wished: Style | None, usual: Style, policy: Policy, *, is_forward: bool, sources: int
) -> Style:
    """Return how a merge is made.

    wished: what was asked for, None for nothing; then `usual`. Raises: MergeRefused.
    """
    if policy.ff_only:
        style = Style.FF if wished is None else wished
        as_it_is = style is Style.FF or (style is Style.REBASE and is_forward)
        if not as_it_is or sources > 1:
            what = "several sources at once" if as_it_is else f"--{style.value}"
            raise MergeRefused(
                f"`merge: {{ff: only}}` in daft.yml: {what} would make commits no gate has seen",
                tips=("bring one source up to date with the target, then merge just that",),
            )
        return style
    style = usual if wished is None else wished
    if sources > 1 and style in (Style.FF, Style.REBASE, Style.REBASE_MERGE):
        raise MergeRefused(
            f"only one source at a time can be merged by {style.value}",
            tips=("merge one after the other",),
        )
    return style
