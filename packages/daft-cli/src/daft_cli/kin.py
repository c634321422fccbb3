"""Starting the same branch in the repositories that belong to this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import daft_worktree
from daft_worktree.repository import Repository

from .catalog import every_entry
from .relations import Related, related_to
from .repositories import look_at
from .terminal import show_path, warn


def start_in_related(repository: Repository, branch: str, words: Sequence[str]) -> bool:
    """Open `branch` in every related repository of the catalog; False when one of them failed.

    Where it exists it is gone to, elsewhere it is made from the default branch. Each is a command
    of its own, there: the hooks, the consent and the settings of that repository count.
    words: further options for each of them.
    """
    ok = True
    for one in related_to(repository, every_entry()):
        ok = _start(one, branch, words) and ok
    return ok


def _start(one: Related, branch: str, words: Sequence[str]) -> bool:
    found = None if one.entry is None else look_at(one.entry).repository
    if one.entry is None or found is None:
        warn(f"'{one.name}' is not here; to have it: daft clone {one.relation.url}")
        return True
    sys.stderr.write(f"in '{one.entry.name}' ({show_path(one.entry.path)}):\n")
    sys.stderr.flush()
    if branch in daft_worktree.local_branches(found):
        verb = ["go", branch]
    else:
        base = one.entry.default_branch
        verb = ["start", branch, *([] if base is None else [base])]
    environment = {name: value for name, value in os.environ.items() if name != "DAFT_CD_FILE"}
    program = [sys.executable, "-P", "-m", "daft_cli", "-C", one.entry.path]
    done = subprocess.run(
        [*program, *verb, "--no-cd", "--no-carry", *words], env=environment, check=False
    )
    return done.returncode == 0
