"""`daft jobs logs|cancel|wait|retry|prune|pin|unpin`: following jobs and changing what they do.

The listing itself is `daft_cli.jobs_list`, which loads none of this. Each verb is a module, and
only the one that was asked for is loaded.
"""

from __future__ import annotations

import click

from ..lazy_verbs import LazyVerbs

_PLACES = {
    verb: f"jobs_{verb}:command"
    for verb in ("logs", "cancel", "wait", "retry", "prune", "pin", "unpin")
}


class _Verbs(LazyVerbs):
    """The verbs of `daft jobs`."""

    places = _PLACES


@click.group(name="jobs", cls=_Verbs)
@click.option("--worktree", "outer_worktree", metavar="NAME", help="Jobs of this worktree.")
@click.option("--all", "outer_all", is_flag=True, help="All jobs.")
@click.option(
    "--repo", "outer_repo", metavar="REPO", help="Of this repository: its name, a path or an id."
)
@click.pass_context
def command(
    context: click.Context, outer_worktree: str | None, outer_all: bool, outer_repo: str | None
) -> None:
    """Follow jobs, stop them, wait for them. Without a verb they are listed."""
    context.obj = Outer(outer_worktree, outer_all, outer_repo)


class Outer:
    """The options given before the verb; they mean the same as behind it."""

    def __init__(self, worktree: str | None, everything: bool, repo: str | None) -> None:
        self.worktree = worktree
        self.everything = everything
        self.repo = repo

    def refuse_repo(self) -> None:
        """Refuse `--repo` for a verb that changes things. Raises: UsageError."""
        if self.repo is not None:
            raise click.UsageError("--repo applies to listing and one-shot `logs` only")

    def refuse_all(self) -> None:
        """Refuse `--all` for a verb about one job. Raises: UsageError."""
        if self.everything:
            raise click.UsageError("--all does not apply here; name a job or a hook run")
