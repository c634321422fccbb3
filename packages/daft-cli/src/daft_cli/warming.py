"""Copying what git does not keep from one worktree to another, and saying what came of it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Iterator
from contextlib import closing

from daft_hooks.domain.config import CopyConfig
from daft_hooks.domain.globs import path_glob
from daft_worktree.copying import CopyPlan, Outcome, Pattern, Row, Rules, copy_into, plan_copies
from daft_worktree.errors import WorktreeError
from daft_worktree.worktrees import Worktree

from .context import Session
from .terminal import harmless, show_path, size, warn

_TOLD_UNASKED = (Outcome.REFUSED, Outcome.LEFT_OUT, Outcome.FAILED)


def rules_of(config: CopyConfig, shared: Collection[str]) -> Rules:
    """Return what `copy:` asks for, in the words of whoever copies.

    shared: what worktrees have in common by links.
    """
    globs = [path_glob(text) for text in config.paths]
    return Rules(
        patterns=tuple(
            Pattern(one.text)
            if one.is_plain
            else Pattern(one.text, one.matches, one.base, one.depth)
            for one in globs
        ),
        copies_bytes=config.copies_bytes,
        max_size_bytes=config.max_size_bytes,
        linked=frozenset(shared),
    )


def warm_new(
    session: Session,
    config: CopyConfig,
    worktree: Worktree,
    *,
    base: str | None,
    shared: Collection[str],
) -> None:
    """Give a new worktree what its configuration asks for. Trouble is a warning.

    base: the branch it was made from. shared: what it will be linked to.
    """
    try:
        plan = plan_copies(session.repository, rules_of(config, shared), worktree, base=base)
        if plan is None:
            return
        for row in copied(session, plan):
            tell(session, plan, row)
    except (WorktreeError, OSError) as error:
        # The worktree is there; what it was to be given can be made in it.
        warn(f"nothing was copied to {show_path(worktree.path)}: {error}")
    except KeyboardInterrupt:
        sys.stderr.write(f"the worktree is kept at '{worktree.path}', its hooks did not run\n")
        where = shlex.quote(worktree.path)
        sys.stderr.write(f"  tip: daft -C {where} warm\n")
        sys.stderr.write(f"  tip: daft -C {where} hooks run worktree-post-create\n")
        raise


def copied(session: Session, plan: CopyPlan) -> Iterator[Row]:
    """Carry out a plan, drawn while it lasts; give what became of each path."""
    drawing = Drawing(session)
    rows = copy_into(session.repository.common_dir, plan, progress=drawing.progress)
    with closing(rows):
        try:
            for row in rows:
                drawing.clear()
                yield row
        finally:
            drawing.clear()


def tell(session: Session, plan: CopyPlan, row: Row, *, asked: bool = False) -> None:
    """Say on standard error what became of a path, as far as it is worth a line.

    asked: somebody wants to know; otherwise what is there already goes without saying.
    """
    path = harmless(row.path)
    if row.outcome in (Outcome.COPIED, Outcome.REPLACED):
        session.presenter.notice(f"{row.outcome.value} {path} from {_name(plan)} ({amount(row)})")
    elif row.outcome in _TOLD_UNASKED:
        warn(f"{path} was not copied from {_name(plan)}: {harmless(row.reason)}")
    elif asked:
        session.presenter.notice(f"{path} {harmless(row.reason)}; -f replaces it")


def amount(row: Row) -> str:
    """Return how much was copied, for people."""
    count = "1 file" if row.files == 1 else f"{row.files} files"
    shared = ", shared" if row.size_bytes and not row.copied_bytes else ""
    return f"{count}, {size(row.size_bytes)}{shared}"


def _name(plan: CopyPlan) -> str:
    return harmless(plan.source.label)


class Drawing:
    """The line of a terminal that shows how far a copy is."""

    def __init__(self, session: Session) -> None:
        is_live = sys.stderr.isatty() and "DAFT_NO_LIVE" not in os.environ
        self._is_on = is_live and not session.quiet
        self._is_drawn = False

    def progress(self, path: str, files: int, size_bytes: int) -> None:
        """Draw how far the copy of a path is."""
        if not self._is_on:
            return
        count = f": {files} files, {size(size_bytes)}" if files else ""
        sys.stderr.write(f"\r\x1b[Kcopying {harmless(path)}{count}")
        sys.stderr.flush()
        self._is_drawn = True

    def clear(self) -> None:
        """Take the line away."""
        if self._is_drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_drawn = False
