"""What a parameter of a verb takes, where its parser only knows that it takes a word.

A meaning is `=a b` for these words, `@x` for what `daft __complete x` offers, `d` for a
directory, `f` for a file. Keys are the verb and the parameter as its parser calls it; a key
without a verb holds for every verb that has such a parameter.
"""

from __future__ import annotations

from signal import Signals

from daft_hooks.hooktypes import HOOK_TYPES
from daft_worktree.layouts import BUILT_IN

_HOOKS = "=" + " ".join(HOOK_TYPES)
_SIGNALS = "=" + " ".join(one.name.removeprefix("SIG") for one in Signals)
_LAYOUTS = "=" + " ".join(BUILT_IN)

MEANINGS = {
    ("", "-C"): "d",
    ("clone", "source"): "d",
    ("clone", "directory"): "d",
    ("", "--layout"): _LAYOUTS,
    ("start", "base"): "@branches",
    ("", "--at"): "d",
    ("go", "name"): "@go",
    ("merge", "sources"): "@branches",
    ("merge", "--into"): "@branches",
    ("merge", "--strategy"): "=ort resolve octopus ours subtree",
    ("remove", "targets"): "@remove",
    ("carry", "targets"): "@worktrees",
    ("rename", "source"): "@worktrees",
    ("run", "words"): "@tasks",
    ("warm", "worktree"): "@worktrees",
    ("warm", "--from"): "@worktrees",
    ("shared add", "paths"): "f",
    ("shared link", "path"): "f",
    ("shared link", "worktree"): "@worktrees",
    ("shared materialize", "path"): "f",
    ("shared materialize", "worktree"): "@worktrees",
    ("shared remove", "paths"): "f",
    ("env", "--worktree"): "@worktrees",
    ("env", "--to"): "f",
    ("hooks trust", "path"): "d",
    ("hooks prompt", "path"): "d",
    ("hooks deny", "path"): "d",
    ("hooks reset", "path"): "d",
    ("hooks trust reset", "path"): "d",
    ("hooks status", "path"): "d",
    ("hooks validate", "file"): "f",
    ("hooks replay", "hooks"): _HOOKS,
    ("hooks install", "hooks"): _HOOKS,
    ("hooks init", "hooks"): _HOOKS,
    ("hooks run", "hook"): _HOOKS,
    ("hooks plan", "hook"): _HOOKS,
    ("hooks dump", "--hook"): _HOOKS,
    ("hooks show", "--hook"): _HOOKS,
    ("hooks consolidate", "worktree"): "@worktrees",
    ("", "--source"): "@branches",
    ("", "--target"): "@branches",
    ("jobs", "--worktree"): "@hooks-jobs-worktree",
    ("", "--repo"): "@repositories",
    ("repo info", "repository"): "@repositories",
    ("repo remove", "repository"): "@repositories",
    ("repo link", "target"): "@repositories",
    ("repo add", "path"): "d",
    ("jobs", "--hook"): "@hooks-jobs-hook-filter",
    ("jobs retry", "target"): "@hooks-jobs-retry",
    ("jobs retry", "--worktree"): "@hooks-jobs-retry-worktree",
    ("jobs retry", "--cwd"): "d",
    ("jobs cancel", "--signal"): _SIGNALS,
}
for _verb in ("logs", "cancel", "wait", "retry", "pin", "unpin", "prune"):
    _path = f"jobs {_verb}"
    for _name, _context in (
        ("address", "@hooks-jobs-job"),
        ("addresses", "@hooks-jobs-job"),
        ("--inv", "@hooks-jobs-run"),
        ("--job", "@hooks-jobs-name"),
        ("--worktree", "@hooks-jobs-worktree"),
        ("--hook", "@hooks-jobs-hook-filter"),
    ):
        MEANINGS.setdefault((_path, _name), _context)
