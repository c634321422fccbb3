"""Making a worktree for a branch: decide everything first, then do it, or undo all of it."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git, layouts
from .branches import Branch, default_branch, local_branches, remote_branches, resolve_commit
from .errors import (
    BadPath,
    BaseNotFound,
    BranchExists,
    BranchNotFound,
    GitFailed,
    NoCommits,
    NoWorktree,
    PathTaken,
    WorktreeError,
)
from .layouts import Layout
from .lock import worktree_lock
from .names import check_branch_name, check_no_conflict, similar
from .repository import Repository, refuse_submodule
from .worktrees import Worktree, list_worktrees, same_path

_DEBRIS = frozenset({".DS_Store"})


class Creation(NamedTuple):
    """A worktree that can be made.

    start: what git checks out: an object id for a new branch, "" for one that exists.
    base: what the user calls the start. upstream: "origin/x", set afterwards, or None.
    """

    repository: Repository
    branch: str
    path: str
    new_branch: bool
    start: str = ""
    base: str = ""
    upstream: str | None = None
    record_origin: bool = False


class Existing(NamedTuple):
    """A worktree that is there already. `note` tells something worth knowing."""

    worktree: Worktree
    note: str = ""


def plan_start(
    repository: Repository,
    branch: str,
    *,
    base: str | None = None,
    at: str | None = None,
    layout: Layout,
    data_dir: str,
) -> Creation:
    """Decide how to make a worktree for a new branch. Touches nothing.

    base: any commit-ish; None: the current branch, at the container root the default one.
    at: a place of the user's choice, relative to where they stand.
    Raises: BadBranchName, BranchExists, BranchConflict, BaseNotFound, NoCommits, PathTaken,
    BadPath, BadLayout, InsideSubmodule.
    """
    refuse_submodule(repository)
    check_branch_name(branch)
    local = local_branches(repository)
    if branch in local:
        raise BranchExists(branch)
    check_no_conflict(branch, local)
    if not local and resolve_commit(repository, "HEAD") is None and base is None:
        raise NoCommits
    shown, oid = _resolve_base(repository, base, set(local))
    path = _place(repository, branch, at=at, layout=layout, data_dir=data_dir)
    return Creation(
        repository=repository,
        branch=branch,
        path=path,
        new_branch=True,
        start=oid,
        base=shown,
        record_origin=True,
    )


def plan_visit(
    repository: Repository,
    name: str,
    *,
    at: str | None = None,
    layout: Layout,
    data_dir: str,
    asked_remote: str = "",
) -> Existing | Creation:
    """Decide how to get to the worktree that `name` means, making it if there is none.

    The first that answers wins: a worktree's path, an attached worktree, one that is paused in
    an operation, a local branch, a branch of the remote.
    asked_remote: added to "not found", to say whether the remote was looked at.
    Raises: BranchNotFound, NoWorktree (a locked one is missing), PathTaken, BadPath, …
    """
    live = _live_worktree(repository, name)
    if live is not None:
        if at is not None:
            raise BadPath(f"--at cannot be used: '{name}' has a worktree at {live.worktree.path}")
        return live
    refuse_submodule(repository)
    local = local_branches(repository)
    remote = repository.remote
    remotes = remote_branches(repository, remote) if remote is not None else {}
    short = name
    if name not in local and remote is not None and name.startswith(f"{remote}/"):
        short = name.removeprefix(f"{remote}/")
    if short != name and short in remotes:
        live = _live_worktree(repository, short)
        if live is not None:
            return live
    if short not in local and short not in remotes:
        raise BranchNotFound(name, similar(name, [*local, *remotes]), asked_remote)
    check_branch_name(short)
    path = _place(repository, short, at=at, layout=layout, data_dir=data_dir)
    upstream = None
    if short in remotes and repository.settings.upstream and not _has_upstream(local, short):
        upstream = f"{remote}/{short}"
    if short in local:
        return Creation(repository, short, path, new_branch=False, upstream=upstream)
    check_no_conflict(short, local)
    return Creation(
        repository,
        short,
        path,
        new_branch=True,
        start=remotes[short],
        base=f"{remote}/{short}",
        upstream=upstream,
    )


def create(creation: Creation) -> Worktree:
    """Make the worktree. Whatever fails, nothing of it stays behind.

    Raises: as planning does, for what changed meanwhile; GitFailed; LockTimeout; CannotWrite.
    """
    repository = creation.repository
    common_dir = repository.common_dir
    with worktree_lock(common_dir):
        _recheck(creation)
        made_parents = _make_parents(os.path.dirname(creation.path))
        try:
            _exclude_inner(repository, creation.path)
            worktree = _add(creation)
        except BaseException:
            _roll_back(creation, made_parents)
            raise
    if creation.record_origin:
        git.attempt(common_dir, "config", f"branch.{creation.branch}.daftOrigin", "local")
    if creation.upstream is not None:
        # A call of its own, after --no-track: several worktrees made at once would otherwise
        # fail on the lock of git's configuration and leave their branches behind.
        git.attempt(common_dir, "branch", f"--set-upstream-to={creation.upstream}", creation.branch)
    return worktree


# --- deciding ---------------------------------------------------------------------------------


def _live_worktree(repository: Repository, name: str) -> Existing | None:
    """Return the worktree `name` means, dropping the record of one that was deleted by hand."""
    from .worktrees import find

    found = find(
        list(repository.worktrees), name, cwd=repository.cwd, project_root=repository.project_root
    )
    if found is None:
        return None
    if found.missing:
        if found.locked is not None:
            reason = f" ({found.locked})" if found.locked else ""
            raise NoWorktree(
                f"the worktree of '{name}' at {found.path} is missing and locked{reason}",
                tips=(f"`git worktree unlock {found.path}` if it is gone for good",),
            )
        return None
    if found.branch is None and found.paused_branch is not None:
        return Existing(found, f"a {found.operation} is paused there")
    return Existing(found)


def _has_upstream(local: dict[str, Branch], name: str) -> bool:
    return name in local and bool(local[name].upstream)


def _resolve_base(repository: Repository, base: str | None, local: set[str]) -> tuple[str, str]:
    """Return what the base is called, and its commit."""
    if base is None:
        current = repository.current
        if current is not None and current.branch is not None:
            base = current.branch
        elif current is not None and current.head is not None:
            return current.head[:12], current.head
        else:
            base = default_branch(repository)
            if base is None:
                raise BaseNotFound("HEAD")
    remote = repository.remote
    candidates = [base]
    if remote is not None:
        tracked = f"refs/remotes/{remote}/{base}"
        if base in local and resolve_commit(repository, tracked) is not None:
            # The local branch when it has something of its own, else the fresher remote one.
            ahead = git.attempt(
                repository.common_dir, "rev-list", "--count", f"{tracked}..refs/heads/{base}"
            )
            if ahead.ok and ahead.out == "0":
                candidates.insert(0, tracked)
        else:
            candidates.append(tracked)
    for word in candidates:
        oid = resolve_commit(repository, f"refs/heads/{word}" if word in local else word)
        if oid is not None:
            return base, oid
    raise BaseNotFound(base, similar(base, local))


def _place(
    repository: Repository, branch: str, *, at: str | None, layout: Layout, data_dir: str
) -> str:
    """Return the path for `branch`'s worktree, refusing one that cannot be used."""
    if at is not None:
        path = os.path.normpath(os.path.join(repository.cwd, os.path.expanduser(at)))
    else:
        path = layouts.path_for(layout, branch, root=repository.project_root, data_dir=data_dir)
    _refuse_occupied(repository, path)
    _refuse_inside(repository, path, chosen=at is not None)
    parent = os.path.dirname(path)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent):
        raise BadPath(f"{parent} is not a directory; a worktree cannot go below it")
    if len(os.fsencode(os.path.basename(path))) > 255 or len(os.fsencode(path)) > 4000:
        raise BadPath(f"the path for '{branch}' is too long: {path}")
    return path


def _refuse_occupied(repository: Repository, path: str) -> None:
    if not os.path.lexists(path):
        return
    for worktree in repository.worktrees:
        if same_path(worktree.path, path) and not worktree.missing:
            raise PathTaken(path, worktree.label)
    if os.path.isdir(path) and not os.path.islink(path) and _only_debris(path):
        return
    raise PathTaken(path)


def _only_debris(path: str) -> bool:
    """True for a directory with nothing in it but empty directories."""
    for _, directories, files in os.walk(path):
        if set(files) - _DEBRIS or ".git" in directories:
            return False
    return True


def _refuse_inside(repository: Repository, path: str, *, chosen: bool) -> None:
    real = os.path.realpath(path)
    git_dir = os.path.realpath(repository.common_dir)
    if real == git_dir or real.startswith(git_dir + os.sep):
        raise BadPath(
            f"{path} is inside the git directory {git_dir}",
            tips=("choose another layout, such as `--layout sibling`",),
        )
    if not chosen:
        return
    for worktree in repository.worktrees:
        root = os.path.realpath(worktree.path)
        if not worktree.is_bare and real.startswith(root + os.sep):
            if worktree.is_main and git.attempt(root, "check-ignore", "-q", real).ok:
                continue
            raise BadPath(f"{path} is inside the worktree {worktree.path}")


# --- doing ------------------------------------------------------------------------------------


def _recheck(creation: Creation) -> None:
    """Look again under the lock at what may have changed since the plan."""
    worktrees = list_worktrees(creation.repository.common_dir)
    fresh = creation.repository._replace(worktrees=tuple(worktrees))
    for worktree in worktrees:
        if worktree.branch == creation.branch and not worktree.missing:
            raise PathTaken(worktree.path, creation.branch)
        if same_path(worktree.path, creation.path) and worktree.missing:
            # git refuses a path it still has on record; exactly that one record goes.
            git.run(
                fresh.common_dir,
                "worktree",
                "remove",
                worktree.path,
                doing=f"forgetting the vanished worktree {worktree.path}",
            )
    _refuse_occupied(fresh, creation.path)
    if os.path.isdir(creation.path):
        _clear_debris(creation.path)


def _clear_debris(path: str) -> None:
    for directory, _, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(directory, name))
        if directory != path:
            os.rmdir(directory)


def _make_parents(parent: str) -> list[str]:
    """Create missing directories; return those made, the innermost first."""
    missing: list[str] = []
    while not os.path.isdir(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    made: list[str] = []
    for directory in reversed(missing):
        try:
            os.mkdir(directory)
        except FileExistsError:
            continue  # another creation below the same parent was faster
        except OSError as error:
            raise BadPath(f"{directory} cannot be made: {error.strerror}") from error
        made.insert(0, directory)
    return made


def _exclude_inner(repository: Repository, path: str) -> None:
    """Keep a worktree inside the main working tree out of its status, without touching files."""
    main = repository.main
    if main is None:
        return
    root = os.path.realpath(main.path)
    real = os.path.realpath(path)
    if not real.startswith(root + os.sep):
        return
    first = os.path.relpath(real, root).split(os.sep)[0]
    if git.attempt(main.path, "check-ignore", "-q", f"{first}/").ok:
        return
    info = os.path.join(repository.common_dir, "info")
    os.makedirs(info, exist_ok=True)
    with open(os.path.join(info, "exclude"), "a+", encoding="utf-8") as file:
        file.seek(0)
        text = file.read()
        if f"/{first}/" not in text.split("\n"):
            file.write(f"{'' if not text or text.endswith(chr(10)) else chr(10)}/{first}/\n")


def _add(creation: Creation) -> Worktree:
    common_dir = creation.repository.common_dir
    args = ["worktree", "add", "--no-track"]
    if creation.new_branch:
        args += ["-b", creation.branch, "--", creation.path, creation.start]
    else:
        args = ["worktree", "add", "--", creation.path, creation.branch]
    added = git.attempt(common_dir, *args)
    for worktree in list_worktrees(common_dir):
        # A post-checkout hook of git's may fail although the worktree is complete.
        complete = added.ok or os.path.exists(os.path.join(worktree.private_dir, "index"))
        if (
            complete
            and worktree.branch == creation.branch
            and same_path(worktree.path, creation.path)
        ):
            return worktree
    raise GitFailed(f"making a worktree for '{creation.branch}'", added.err, added.code)


def _roll_back(creation: Creation, made_parents: list[str]) -> None:
    """Undo what this run made: the registration, the directory, the branch, the parents."""
    common_dir = creation.repository.common_dir
    for worktree in list_worktrees(common_dir):
        if same_path(worktree.path, creation.path):
            git.attempt(common_dir, "worktree", "remove", "--force", worktree.path)
    if os.path.isdir(creation.path) and _only_debris(creation.path):
        _clear_debris(creation.path)
        os.rmdir(creation.path)
    if creation.new_branch:
        ref = f"refs/heads/{creation.branch}"
        # Only while it still is where we put it; with an old value git checks that itself.
        git.attempt(common_dir, "update-ref", "-d", ref, creation.start)
        git.attempt(common_dir, "config", "--remove-section", f"branch.{creation.branch}")
    for directory in made_parents:
        try:
            os.rmdir(directory)
        except OSError:
            break  # somebody else uses it by now


# --- where one was before ---------------------------------------------------------------------


def remember_previous(repository: Repository, path: str) -> None:
    """Make `path` what `-` goes back to."""
    try:
        os.makedirs(repository.state_dir, exist_ok=True)
        target = os.path.join(repository.state_dir, "previous-worktree")
        with open(f"{target}.{os.getpid()}", "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(path)
        os.replace(f"{target}.{os.getpid()}", target)
    except OSError:
        # A convenience; a read-only git directory must not stop a visit.
        return


def previous_worktree(repository: Repository) -> Worktree:
    """Return the worktree `-` means.

    Raises: NoWorktree when there is none yet, or it is gone; then it is forgotten.
    """
    pointer = os.path.join(repository.state_dir, "previous-worktree")
    try:
        with open(pointer, encoding="utf-8", errors="surrogateescape") as file:
            path = file.read()
    except OSError as error:
        raise NoWorktree(
            "No previous worktree", tips=("`daft go <branch>` makes the present one previous",)
        ) from error
    for worktree in repository.worktrees:
        if same_path(worktree.path, path) and not worktree.missing:
            return worktree
    os.unlink(pointer)
    raise NoWorktree(f"the previous worktree {path} no longer exists")


__all__ = [
    "Creation",
    "Existing",
    "WorktreeError",
    "create",
    "plan_start",
    "plan_visit",
    "previous_worktree",
    "remember_previous",
]
