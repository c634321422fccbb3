"""Git worktrees as a library: find, lay out, create, rename and remove them, also in parallel.

Verbs come in two halves: a plan decides and touches nothing; applying it does everything or
leaves nothing behind. What a program does between the two is its own business.
"""

from __future__ import annotations

from .branches import default_branch, local_branches, remote_branches
from .carry import Carried, restore, stash_changes
from .clearance import RemoteBranch, plan_removal
from .cloning import directory_name, fetch_clone, first_worktree, initialise
from .creation import Creation, Existing, create
from .describe import Description, describe
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
from .trash import reap as reap_trash
from .unfinished import put_right
from .worktrees import Worktree, list_worktrees

__version__ = "0.1.0"

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
    "describe",
    "directory_name",
    "discover",
    "fetch_clone",
    "find",
    "first_worktree",
    "initialise",
    "list_worktrees",
    "local_branches",
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
