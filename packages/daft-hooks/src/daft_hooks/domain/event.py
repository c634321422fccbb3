"""A lifecycle event: everything a hook may know, told by the verb that fires it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen
from attrs.converters import optional

from daft_protocol.status import Source

from .slug import worktree_slug
from .urls import without_credentials


@frozen(kw_only=True)
class Move:
    """What moves: the worktree's old place and branch, and which of both changes.

    changed: "path", "branch". The event itself tells the new ones.
    """

    old_path: str
    old_branch: str
    changed: frozenset[str]


@frozen(kw_only=True)
class MergeSource:
    """One of what is merged. path: of its worktree, None for none."""

    name: str
    sha: str
    path: str | None = None


@frozen(kw_only=True)
class Merge:
    """What is merged into what.

    mode: `merge`, `ff`, `squash`, `rebase`, `rebase-merge` or `octopus`. target_path: None when
    only a ref moves. target_sha: as it was before. result: of a merge that has ended: `success`,
    `conflict`, `already-up-to-date`, `aborted`; what follows it belongs to that.
    removes_sources: the worktrees of the sources go once it is over.
    """

    sources: tuple[MergeSource, ...]
    target_branch: str
    target_path: str | None
    target_sha: str
    mode: str
    strategy: str = ""
    is_ephemeral: bool = False
    is_cross_worktree: bool = False
    result: str | None = None
    commit_sha: str = ""
    conflicted_files: tuple[str, ...] = ()
    was_promoted: bool = False
    removes_sources: bool = False

    @property
    def takes_places_away(self) -> bool:
        """True when a directory that its jobs know of may be gone soon after it."""
        return self.is_ephemeral or self.removes_sources

    @property
    def source_path(self) -> str:
        """The worktree of the only source, "" when there are several, or it has none."""
        return (self.sources[0].path or "") if len(self.sources) == 1 else ""


@frozen(kw_only=True)
class Event:
    """One fire of one hook (or task) for one worktree.

    hook: its name; for a task see `task`. command: label of the verb, as `DAFT_COMMAND`.
    cwd: where its jobs run. git_dir: the common directory. branch: "" for none.
    label: under which its jobs are listed. repository_url: kept without credentials, for commands
    and records may hold it. None leaves a fact out.
    """

    hook: str
    command: str
    project_root: str
    git_dir: str
    remote: str
    source_worktree: str
    worktree_path: str
    branch: str
    cwd: str
    label: str
    worktree_id: str = ""
    task: str | None = None
    is_new_branch: bool = False
    base_branch: str | None = None
    commit: str | None = None
    repository_url: str | None = field(default=None, converter=optional(without_credentials))
    default_branch: str | None = None
    removal_reason: str | None = None
    move: Move | None = None
    merge: Merge | None = None
    trigger: str | None = None
    source: Source = Source.HOOK
    extra_environment: Mapping[str, str] = field(factory=dict)

    @property
    def slug(self) -> str:
        """The worktree's slug."""
        return worktree_slug(self.worktree_path, self.project_root)


def environment_of(event: Event) -> dict[str, str]:
    """Return the `DAFT_*` variables of `event`, and what the verb adds."""
    facts = {
        "DAFT_HOOK": None if event.task is not None else event.hook,
        "DAFT_TASK": event.task,
        "DAFT_COMMAND": event.command,
        "DAFT_PROJECT_ROOT": event.project_root,
        "DAFT_GIT_DIR": event.git_dir,
        "DAFT_REMOTE": event.remote,
        "DAFT_SOURCE_WORKTREE": event.source_worktree,
        "DAFT_WORKTREE_PATH": event.worktree_path,
        "DAFT_BRANCH_NAME": event.branch,
        "DAFT_WORKTREE_SLUG": event.slug,
        "DAFT_WORKTREE_ID": event.worktree_id,
        "DAFT_IS_NEW_BRANCH": "true" if event.is_new_branch else "false",
        "DAFT_BASE_BRANCH": event.base_branch,
        "DAFT_COMMIT": event.commit,
        "DAFT_REPOSITORY_URL": event.repository_url,
        "DAFT_DEFAULT_BRANCH": event.default_branch,
        "DAFT_REMOVAL_REASON": event.removal_reason,
    }
    found = {name: value for name, value in facts.items() if value is not None}
    if event.move is not None:
        found["DAFT_IS_MOVE"] = "true"
        found["DAFT_OLD_WORKTREE_PATH"] = event.move.old_path
        found["DAFT_OLD_BRANCH_NAME"] = event.move.old_branch
    if event.merge is not None:
        found.update(_environment_of_merge(event.merge))
    found.update(event.extra_environment)
    return found


def _environment_of_merge(merge: Merge) -> dict[str, str]:
    def said(statement: bool) -> str:
        return "true" if statement else "false"

    found = {
        "SOURCES": " ".join(source.name for source in merge.sources),
        "SOURCE_SHAS": "\n".join(source.sha for source in merge.sources),
        "SOURCE_PATHS": "\n".join(source.path or "" for source in merge.sources),
        "SOURCE_PATH": merge.source_path,
        "TARGET_BRANCH": merge.target_branch,
        "TARGET_PATH": merge.target_path or "",
        "TARGET_SHA": merge.target_sha,
        "MODE": merge.mode,
        "STRATEGY": merge.strategy,
        "EPHEMERAL": said(merge.is_ephemeral),
        "CROSS_WORKTREE": said(merge.is_cross_worktree),
    }
    if merge.result is not None:
        found |= {
            "RESULT": merge.result,
            "COMMIT_SHA": merge.commit_sha,
            "CONFLICTED_FILES": "\n".join(merge.conflicted_files),
            "PROMOTED_FROM_EPHEMERAL": said(merge.was_promoted),
        }
    return {f"DAFT_MERGE_{name}": value for name, value in found.items()}


def placeholder_values(event: Event) -> dict[str, str]:
    """Return what `{name}` stands for in configuration texts; unknown facts are left out."""
    facts = {
        "branch": event.branch,
        "worktree_branch": event.branch,
        "worktree_path": event.worktree_path,
        "worktree_root": event.worktree_path,
        "source_worktree": event.source_worktree,
        "git_dir": event.git_dir,
        "remote": event.remote,
        "worktree_slug": event.slug,
        "base_branch": event.base_branch,
        "commit": event.commit,
        "repository_url": event.repository_url,
        "default_branch": event.default_branch,
        "old_worktree_path": "" if event.move is None else event.move.old_path,
        "old_branch": "" if event.move is None else event.move.old_branch,
    }
    if event.merge is not None:
        # An empty one would quietly mean the current directory.
        facts["merge_source_path"] = event.merge.source_path or None
        facts["merge_target_path"] = event.merge.target_path or None
    return {name: value for name, value in facts.items() if value is not None}


CHANGED_FILES = "changed_files"
"""Placeholder for the files a job was chosen for, quoted; only in its commands."""

PLACEHOLDERS = frozenset(
    {
        "branch",
        "worktree_branch",
        "worktree_path",
        "worktree_root",
        "source_worktree",
        "git_dir",
        "remote",
        "worktree_slug",
        "base_branch",
        "commit",
        "repository_url",
        "default_branch",
        "job_name",
        "old_worktree_path",
        "old_branch",
        "merge_source_path",
        "merge_target_path",
    }
)
