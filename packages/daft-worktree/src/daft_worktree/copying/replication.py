"""Planning what one worktree gets from another, and carrying that out path by path."""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Callable, Generator
from typing import NamedTuple

from .. import staging
from ..branches import default_branch
from ..errors import KeepsChanging, TooLargeToCopy
from ..places import delete_tree
from ..repository import Repository
from ..worktrees import Worktree
from . import findings
from .domain import Decision, Rules, Verdict, decide, is_linked, tiers, without_nested
from .trees import TreeCopier

Progress = Callable[[str, int, int], None]
"""Told the path that is being copied, and the files and bytes of it there are so far."""


class CopyPlan(NamedTuple):
    """What `target` gets from `source`.

    absent: what is wanted and `source` has not. linked: what is left out as it is shared.
    """

    source: Worktree
    target: Worktree
    decisions: tuple[Decision, ...]
    absent: tuple[str, ...] = ()
    byte_limit: int | None = None
    linked: frozenset[str] = frozenset()


class Outcome(enum.Enum):
    """What became of a path."""

    COPIED = "copied"
    REPLACED = "replaced"
    PRESENT = "present"
    REFUSED = "refused"
    LEFT_OUT = "left-out"  # more than may be copied byte by byte
    FAILED = "failed"


class Row(NamedTuple):
    """What became of a path, and why where it was not copied.

    files, size_bytes: of what is there now. copied_bytes: those of them that take up room, as
    the file system could not share them.
    """

    path: str
    outcome: Outcome
    reason: str = ""
    files: int = 0
    size_bytes: int = 0
    copied_bytes: int = 0


def plan_copies(
    repository: Repository,
    rules: Rules,
    target: Worktree,
    *,
    source: Worktree | None = None,
    base: str | None = None,
    force: bool = False,
) -> CopyPlan | None:
    """Decide what `target` gets, and from where; None when no worktree has any of it.

    source: the worktree to copy from, whatever it has; None: the best that has something of it,
    see `domain.tiers`, or else that of the default branch.
    base: the branch that `target` was made from. force: replace what is there.
    Nothing is touched; no git is started when there is nothing to copy. Raises: GitFailed.
    """
    if not rules.patterns:
        return None
    if source is None:
        source = _warmest(repository, rules, target, base)
        if source is None:
            return None
    paths: list[str] = []
    absent: list[str] = []
    for pattern in rules.patterns:
        found = findings.matching(source.path, pattern)
        paths += [path for path in found if not is_linked(path, rules.linked)]
        absent += [] if found else [pattern.text]
    known = findings.observe(
        source, target, list(dict.fromkeys(paths)), repository.worktrees, force=force
    )
    return CopyPlan(
        source=source,
        target=target,
        decisions=without_nested(decide(one, force=force) for one in known),
        absent=tuple(absent),
        byte_limit=rules.byte_limit,
        linked=rules.linked,
    )


def _warmest(
    repository: Repository, rules: Rules, target: Worktree, base: str | None
) -> Worktree | None:
    """Return the worktree to copy from: the first tier in which one has something of it."""
    here = None if repository.current is None else repository.current.path
    if base is not None and repository.worktree_of(base) is None and repository.remote is not None:
        base = base.removeprefix(f"{repository.remote}/")
    for tier in tiers(repository.worktrees, target, base=base, current=here):
        found = [(_warmth(one, rules), one) for one in tier]
        # Of equally warm ones the first that git lists.
        warmth, best = max(found, key=lambda pair: pair[0])
        if warmth:
            return best
    # Only now, as git may have to be asked for it.
    default = default_branch(repository)
    last = None if default is None else repository.worktree_of(default)
    if last is None or last.missing or last.path == target.path or not _warmth(last, rules):
        return None
    return last


def _warmth(worktree: Worktree, rules: Rules) -> int:
    """Return how much of what is wanted a worktree has."""
    found = (findings.matching(worktree.path, one) for one in rules.patterns)
    return sum(any(not is_linked(path, rules.linked) for path in paths) for paths in found)


def copy_into(
    common_dir: str, plan: CopyPlan, *, progress: Progress | None = None
) -> Generator[Row, None, None]:
    """Carry out a plan; give what became of each path as soon as it is known.

    What fails leaves its path as it was, and the others are copied. Raises: CannotWrite when
    there is no place to begin with; KeyboardInterrupt, with nothing half made left behind.
    """
    staging.clear_leftovers(common_dir, plan.target.path)
    for one in plan.decisions:
        if one.verdict is Verdict.PRESENT:
            yield Row(one.path, Outcome.PRESENT, one.reason)
        elif one.verdict is Verdict.REFUSE:
            yield Row(one.path, Outcome.REFUSED, one.reason)
    wanted = [one for one in plan.decisions if one.verdict in (Verdict.COPY, Verdict.REPLACE)]
    if not wanted:
        return
    root = os.path.realpath(plan.target.path)
    with staging.staging(common_dir, root) as place:
        for number, one in enumerate(wanted):
            yield _copied(plan, one, os.path.join(place, str(number)), root, progress)


def _copied(plan: CopyPlan, one: Decision, made: str, root: str, progress: Progress | None) -> Row:
    def tell(files: int, size_bytes: int) -> None:
        if progress is not None:
            progress(one.path, files, size_bytes)

    tell(0, 0)
    source = os.path.realpath(plan.source.path)
    without = frozenset(os.path.join(source, path) for path in plan.linked)
    copier = TreeCopier(byte_limit=plan.byte_limit, without=without, progress=tell)
    try:
        mode = copier.copy(os.path.join(source, one.path), made)
        _place(made, root, one, mode)
    except TooLargeToCopy as error:
        return Row(one.path, Outcome.LEFT_OUT, _too_large(error.limit_bytes))
    except KeepsChanging as error:
        return Row(one.path, Outcome.FAILED, str(error))
    except FileExistsError:
        return Row(one.path, Outcome.FAILED, "something else was put there meanwhile")
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return Row(one.path, Outcome.FAILED, f"{where}{error.strerror or error}")
    finally:
        delete_tree(made)  # not the others' loss when the disk is full
    return Row(
        one.path,
        Outcome.COPIED if one.verdict is Verdict.COPY else Outcome.REPLACED,
        files=copier.files,
        size_bytes=copier.size_bytes,
        copied_bytes=copier.copied_bytes,
    )


def _place(made: str, root: str, one: Decision, mode: int) -> None:
    """Put what is made in its place. Raises: OSError, and what was there is there."""
    name = os.path.basename(one.path)
    is_directory = stat.S_ISDIR(os.lstat(made).st_mode)
    with staging.parent_of(root, one.path) as parent:
        if one.verdict is Verdict.REPLACE:
            old = staging.swap(made, parent, name)
        else:
            if is_directory:
                staging.clear_scaffold(parent, name)
            staging.put(made, parent, name)
            old = None
        if is_directory:
            staging.give_mode(parent, name, mode)
    if old is not None:
        delete_tree(old)  # what would not go stays in the staging, which is tried again


def _too_large(limit_bytes: int) -> str:
    why = "the file system cannot share it"
    if limit_bytes == 0:
        return f"{why}, and `fallback` is `skip`"
    return f"{why}, and it is larger than `max_size`"
