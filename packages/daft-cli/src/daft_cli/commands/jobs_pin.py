"""`daft jobs pin` and `daft jobs unpin`: keeping a run from clean-up."""

from __future__ import annotations

import click

from ..recorded import Recorded, addressed
from ..terminal import harmless
from .jobs import Outer


def pinning(name: str, *, pinned: bool) -> click.Command:
    """Return the command that pins a run, or the one that takes the pin out."""

    @click.command(name=name)
    @click.argument("address", default="")
    @addressed
    @click.pass_obj
    def command(
        outer: Outer,
        address: str,
        job: str | None,
        worktree: str | None,
        invocation: str | None,
    ) -> int:
        outer.refuse_repo()
        outer.refuse_all()
        with Recorded() as here:
            target = here.target(
                address, worktree=worktree or outer.worktree, invocation=invocation, job=job
            )
            here.jobs.store().history().pin(target.invocation_id, pinned=pinned)
        short = target.invocation_id[:4]
        done = "is kept until it is unpinned" if pinned else "may be cleaned up again"
        click.echo(f"The run [{short}] of {harmless(target.worktree)} {done}.")
        return 0

    what = "Keep a run from clean-up" if pinned else "Let clean-up have a run again"
    command.help = f"{what}. ADDRESS is a run or one of its jobs; without it, the newest run here."
    return command


command = pinning("pin", pinned=True)
