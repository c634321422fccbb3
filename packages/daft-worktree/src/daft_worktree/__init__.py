"""Git worktrees as a library: find, lay out, create, rename and remove them, also in parallel.

Verbs come in two halves: a plan decides and touches nothing; applying it does everything or
leaves nothing behind. What a program does between the two is its own business.

Names load on first use, so that a verb pays for what it does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .branches import default_branch, local_branches, remote_branches
    from .carry import Carried, restore, stash_changes
    from .clearance import RemoteBranch, plan_removal
    from .cloning import directory_name, fetch_clone, first_worktree, initialise
    from .creation import Creation, Existing, create
    from .delivery import deliver, plan_delivery
    from .describing import Description, describe
    from .errors import WorktreeError
    from .finding import find
    from .layouts import BUILT_IN, Layout
    from .planning import plan_start, plan_visit
    from .previous import previous_worktree, remember_previous
    from .relocation import Interrupted, under_way
    from .remote_rename import rename_on_remote
    from .removal import Removed, Target, remove
    from .renaming import Renaming, plan_rename
    from .repository import Repository, discover
    from .settings import Settings, read_settings
    from .trash import reap_trash
    from .unfinished import put_right
    from .worktrees import Worktree, list_worktrees

__version__ = "0.1.0"

_MODULE_OF = {
    "BUILT_IN": "layouts",
    "Carried": "carry",
    "Creation": "creation",
    "Description": "describing",
    "Existing": "creation",
    "Interrupted": "relocation",
    "Layout": "layouts",
    "RemoteBranch": "clearance",
    "Removed": "removal",
    "Renaming": "renaming",
    "Repository": "repository",
    "Settings": "settings",
    "Target": "removal",
    "Worktree": "worktrees",
    "WorktreeError": "errors",
    "create": "creation",
    "default_branch": "branches",
    "deliver": "delivery",
    "describe": "describing",
    "directory_name": "cloning",
    "discover": "repository",
    "fetch_clone": "cloning",
    "find": "finding",
    "first_worktree": "cloning",
    "initialise": "cloning",
    "list_worktrees": "worktrees",
    "local_branches": "branches",
    "plan_delivery": "delivery",
    "plan_removal": "clearance",
    "plan_rename": "renaming",
    "plan_start": "planning",
    "plan_visit": "planning",
    "previous_worktree": "previous",
    "put_right": "unfinished",
    "read_settings": "settings",
    "reap_trash": "trash",
    "remember_previous": "previous",
    "remote_branches": "branches",
    "remove": "removal",
    "rename_on_remote": "remote_rename",
    "restore": "carry",
    "stash_changes": "carry",
    "under_way": "relocation",
}

__all__ = [
    "BUILT_IN",
    "Carried",
    "Creation",
    "Description",
    "Existing",
    "Interrupted",
    "Layout",
    "RemoteBranch",
    "Removed",
    "Renaming",
    "Repository",
    "Settings",
    "Target",
    "Worktree",
    "WorktreeError",
    "create",
    "default_branch",
    "deliver",
    "describe",
    "directory_name",
    "discover",
    "fetch_clone",
    "find",
    "first_worktree",
    "initialise",
    "list_worktrees",
    "local_branches",
    "plan_delivery",
    "plan_removal",
    "plan_rename",
    "plan_start",
    "plan_visit",
    "previous_worktree",
    "put_right",
    "read_settings",
    "reap_trash",
    "remember_previous",
    "remote_branches",
    "remove",
    "rename_on_remote",
    "restore",
    "stash_changes",
    "under_way",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{module}", __name__), name)
