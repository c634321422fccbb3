"""What the words of `daft shared` mean: files, worktrees; and how its rows are said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

import click

from daft_hooks.together import shared_path
from daft_worktree.finding import find
from daft_worktree.repository import Repository
from daft_worktree.sharing import Outcome, Row
from daft_worktree.worktrees import Worktree, same_path

from ..failures import Trouble
from ..shared_links import tell_aside
from ..terminal import harmless, warn

_SAID = {
    Outcome.LINKED: "linked",
    Outcome.AS_IT_WAS: "linked",
    Outcome.COPIED: "a copy of its own",
    Outcome.KEPT: "keeps its own",
    Outcome.DELETED: "deleted",
}


def standing_in(repository: Repository) -> Worktree:
    """Return the worktree one stands in. Raises: Trouble."""
    if repository.current is None:
        raise Trouble(
            "Not in a Git worktree: this is the root of the repository",
            tips=("go into a worktree, or use `daft -C <worktree> …`",),
        )
    return repository.current


def speaker(repository: Repository) -> Worktree:
    """Return the worktree whose configuration counts: the one stood in, or another at the root.

    Raises: Trouble when there is none.
    """
    found = repository.current or next(iter(reachable(repository)), None)
    if found is None:
        raise Trouble("there is no worktree yet", tips=("make one with `daft go <branch>`",))
    return found


def reachable(repository: Repository) -> list[Worktree]:
    """Return the worktrees that have files."""
    return [one for one in repository.worktrees if not one.is_bare and not one.missing]


def name_of(repository: Repository, word: str) -> str:
    """Return the file a word means, from the top of the worktree. Raises: Trouble."""
    if os.path.isabs(word):
        raise Trouble(f"{word} is an absolute path; name the file as seen from here")
    if ".." in word.split("/"):
        raise Trouble(f"{word} leads out of the directory; go there, or start from the top")
    here = repository.current
    within = "" if here is None else os.path.relpath(os.path.realpath(repository.cwd), here.path)
    if here is not None and not same_path(os.path.join(here.path, within), repository.cwd):
        within = os.path.relpath(os.path.realpath(repository.cwd), os.path.realpath(here.path))
    name = shared_path(os.path.join(within, word))
    if name is None:
        raise Trouble(f"{word!r} cannot be the name of a shared file")
    return name


def worktree_of(repository: Repository, word: str | None) -> Worktree:
    """Return the worktree a word means, the one stood in for None. Raises: Trouble, NoWorktree."""
    if word is None:
        return standing_in(repository)
    found = find(
        list(repository.worktrees),
        word,
        cwd=repository.cwd,
        project_root=repository.project_root,
    )
    if found is None or found.missing:
        others = ", ".join(one.label for one in reachable(repository)) or "none"
        raise Trouble(f"'{word}' is no worktree", tips=(f"worktrees: {others}",))
    return found


def refuse_unknown(name: str, known: Iterable[str]) -> None:
    """Refuse a name that nobody shares. Raises: Trouble."""
    shared = sorted(set(known))
    if name not in shared:
        tip = (
            f"shared are: {', '.join(shared)}"
            if shared
            else f"share it: {command_for('add', name)}"
        )
        raise Trouble(f"{name} is not shared", tips=(tip,))


def say(text: str, *, quiet: bool) -> None:
    """Print a result."""
    if not quiet:
        click.echo(text)


def say_rows(rows: Sequence[Row], *, quiet: bool) -> bool:
    """Say what became of shared files, one line for each; False when something went wrong."""
    for name in dict.fromkeys(row.name for row in rows):
        by_word: dict[str, list[str]] = {}
        for row in rows:
            if row.name == name and row.outcome in _SAID:
                by_word.setdefault(_SAID[row.outcome], []).append(row.label)
        told = "; ".join(f"{word} in {', '.join(labels)}" for word, labels in by_word.items())
        if told:
            say(harmless(f"{name}: {told}"), quiet=quiet)
    ok = True
    for row in rows:
        tell_aside(row)
        if row.outcome in (Outcome.CONFLICT, Outcome.FAILED):
            ok = False
            warn(harmless(f"{row.name} was left alone in '{row.label}': {row.detail}"))
            if row.detail == "another file is there":
                words = (row.name, row.label)
                take, keep = command_for("link", *words), command_for("materialize", *words)
                sys.stderr.write(f"  to take the shared one: {take} --override\n")
                sys.stderr.write(f"  to keep this one: {keep}\n")
    return ok


def command_for(*words: str) -> str:
    """Return a command of `daft shared` to type, for a shell."""
    import shlex

    return shlex.join(("daft", "shared", *words))
