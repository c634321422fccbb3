"""What is on record of a worktree, once its branch goes by another name."""

from __future__ import annotations

import os
import shlex
import sys

from daft_coordinator.errors import CoordinatorError
from daft_hooks import discovery
from daft_hooks.adapters.registry import SqliteTrustRegistry
from daft_hooks.errors import BadConfiguration, RegistryUnavailable, UnreadableConfiguration
from daft_store.errors import StoreError
from daft_worktree.relocation import Interrupted
from daft_worktree.repository import Repository

from .place import data_directory
from .terminal import harmless, show_path, warn
from .wiring import RepositoryJobs


def follow(
    jobs: RepositoryJobs,
    registry: SqliteTrustRegistry,
    old: str,
    new: str,
    *,
    old_path: str,
    path: str,
) -> None:
    """Have the record of a worktree go by its new label and place. Trouble is a warning."""
    try:
        if jobs.has_history:
            jobs.store().relabel(old, new, old_path=old_path, path=path)
    except (StoreError, CoordinatorError, OSError) as error:
        # What has ended is found under its old name; the worktree itself is renamed.
        warn(f"the jobs of '{new}' stay on record as those of '{old}': {error}")
    try:
        registry.move_seeds(jobs.common_dir, old, new)
    except RegistryUnavailable as error:
        # It counts as changed there, then: nothing is lost, only asked about.
        warn(f"what was brought to '{new}' stays noted as '{old}': {error}")


def follow_late(repository: Repository, renamed: Interrupted) -> None:
    """Make up for what a rename that died has not done, and say what only the user can do."""
    if renamed.is_new:
        jobs = RepositoryJobs(repository.common_dir)
        try:
            follow(
                jobs,
                SqliteTrustRegistry(data_directory()),
                renamed.old,
                renamed.new,
                old_path=renamed.old_path,
                path=renamed.path,
            )
        finally:
            jobs.close()
    if renamed.path and _may_have_hooks(renamed.path):
        there = shlex.quote(show_path(renamed.path))
        sys.stderr.write(f"  its hooks may have been cut short; to set it up: daft -C {there} ")
        sys.stderr.write("hooks run worktree-post-create\n")
    if renamed.remote:
        words = harmless(
            f"{shlex.quote(renamed.remote)} --delete {shlex.quote(renamed.remote_old)}"
        )
        sys.stderr.write(f"  if the remote still has the old name: git push {words}\n")


def _may_have_hooks(path: str) -> bool:
    try:
        return os.path.isdir(path) and discovery.load(path) is not None
    except (BadConfiguration, UnreadableConfiguration):
        return True  # whatever it says, it is there
