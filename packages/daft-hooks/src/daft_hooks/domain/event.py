"""A lifecycle event: everything a hook may know, told by the verb that fires it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from daft_protocol.status import Source

from .slug import worktree_slug


@frozen(kw_only=True)
class Event:
    """One fire of one hook (or task) for one worktree.

    hook: its name; for a task see `task`. command: label of the verb, as `DAFT_COMMAND`.
    cwd: where its jobs run. git_dir: the common directory. branch: "" for none.
    label: under which its jobs are listed. None leaves a fact out.
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
    repository_url: str | None = None
    default_branch: str | None = None
    removal_reason: str | None = None
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
    found.update(event.extra_environment)
    return found


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
        "old_worktree_path": "",
        "old_branch": "",
    }
    return {name: value for name, value in facts.items() if value is not None}


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
    }
)
