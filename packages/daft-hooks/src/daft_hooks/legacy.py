"""Hooks as executable files: `.daft/hooks/<hook>` of a repository, and a user's own.

They run where `daft.yml` says nothing of a hook, the repository's first, the user's only if that
went well; everything else (consent, record, time limit, fail mode) is as for other jobs.
"""

from __future__ import annotations

import os
import posixpath
import shlex
import stat
from collections.abc import Iterator

from attrs import evolve, field, frozen

from .discovery import Loaded, unconfigured
from .domain.config import HookConfig, JobConfig
from .errors import HooksError, Mark
from .hooktypes import HOOK_TYPES

DIRECTORY = ".daft/hooks"
OLD_NAMES = {
    "worktree-pre-create": "pre-create",
    "worktree-post-create": "post-create",
    "worktree-pre-remove": "pre-remove",
    "worktree-post-remove": "post-remove",
}
"""Hook -> the name its file had before; still taken, with a warning."""


@frozen(kw_only=True)
class ScriptHook:
    """The executable files of one hook.

    project: path relative to the worktree; user: absolute. None for none. notices: for people.
    """

    name: str
    project: str | None = None
    user: str | None = None
    notices: tuple[str, ...] = ()


@frozen(kw_only=True)
class Renaming:
    """One file that `migrate` looks at. in_the_way: the new name is taken, so it is kept."""

    old: str
    new: str
    in_the_way: bool


class CannotMigrate(HooksError):
    """A file could not be renamed. Those before it were."""


@frozen(kw_only=True)
class WithScripts:
    """A configuration with the executable hooks of a worktree put in where it says nothing.

    scripts: those that were, by name of the hook.
    """

    loaded: Loaded
    scripts: dict[str, ScriptHook] = field(factory=dict)


def with_scripts(
    loaded: Loaded | None, worktree: str, user_directory: str | None
) -> WithScripts | None:
    """Return what hooks there are in `worktree`, None when there are none and no configuration.

    loaded: what `daft.yml` says, None without one. user_directory: of the user's own scripts.
    """
    configured = {} if loaded is None else loaded.decoded.configuration.hooks
    found = {
        hook.name: hook
        for name in HOOK_TYPES
        if name not in configured and (hook := find(name, worktree, user_directory)) is not None
    }
    if not found:
        return None if loaded is None else WithScripts(loaded=loaded)
    base = unconfigured() if loaded is None else loaded
    entries = {name: _as_hook(hook) for name, hook in found.items()}
    return WithScripts(loaded=base.also(entries), scripts=found)


def find(hook: str, worktree: str, user_directory: str | None) -> ScriptHook | None:
    """Return the executable files of one hook, None when there are none to run or tell of."""
    notices: list[str] = []
    project = _choose(hook, os.path.join(worktree, DIRECTORY), notices)
    user = None if user_directory is None else _choose(hook, user_directory, notices)
    if project is None and user is None and not notices:
        return None
    return ScriptHook(
        name=hook,
        project=None if project is None else f"{DIRECTORY}/{project}",
        user=None if user is None or user_directory is None else f"{user_directory}/{user}",
        notices=tuple(notices),
    )


def renamings(worktree: str) -> tuple[Renaming, ...]:
    """Return the files in `worktree` that have an old name."""
    return tuple(_renamings(os.path.join(worktree, DIRECTORY)))


def migrate(worktree: str) -> tuple[Renaming, ...]:
    """Give the files of `worktree` their present names; return what was looked at.

    A file whose new name is taken is kept. Raises: CannotMigrate.
    """
    found = renamings(worktree)
    for one in found:
        if one.in_the_way:
            continue
        try:
            # Linked, not renamed: nothing that came into the way meanwhile is lost.
            os.link(one.old, one.new, follow_symlinks=False)
            os.unlink(one.old)
        except OSError as error:
            raise CannotMigrate(f"{one.old}: {error.strerror or error}") from error
    return found


def _renamings(directory: str) -> Iterator[Renaming]:
    for hook, old in OLD_NAMES.items():
        path, new = os.path.join(directory, old), os.path.join(directory, hook)
        if os.path.lexists(path):
            yield Renaming(old=path, new=new, in_the_way=os.path.lexists(new))


def _choose(hook: str, directory: str, notices: list[str]) -> str | None:
    """Return the name of the file that counts in `directory`."""
    old = OLD_NAMES.get(hook)
    names = [name for name in (hook, old) if name and _is_file(os.path.join(directory, name))]
    if not names:
        return None
    if old in names:
        both = "; both are there, and only the new one runs" if hook in names else ""
        notices.append(
            f"{directory}/{old}: the name is out of date, it is {hook} now "
            f"(`daft hooks migrate` renames it){both}"
        )
    path = os.path.join(directory, names[0])
    if not os.stat(path).st_mode & 0o111:
        notices.append(f"{path} is not executable and does not run; `chmod +x` it")
        return None
    return names[0]


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False  # not there, or a link to nothing: nothing to run


def _as_hook(hook: ScriptHook) -> HookConfig:
    """Return the files as the jobs of a hook: one after the other, the first failure ends it."""
    jobs: list[JobConfig] = []
    for kind, path in (("script", hook.project), ("user", hook.user)):
        if path is None:
            continue
        mark = Mark(file=path, line=1, column=1)
        # As a command, so that the shell takes over a file without a first line of its own.
        command = shlex.quote(path if posixpath.isabs(path) else f"./{path}")
        name = f"{kind}:{posixpath.basename(path)}"
        jobs.append(JobConfig(name=name, mark=mark, run={"": command}))
    where = Mark(file=hook.project or hook.user or DIRECTORY, line=1, column=1)
    return evolve(HookConfig(name=hook.name, mark=where, piped=True), jobs=tuple(jobs))
