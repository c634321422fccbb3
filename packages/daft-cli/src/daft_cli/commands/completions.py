"""`daft completions`: what the Tab key offers behind `daft`."""

from __future__ import annotations

import os
import sys

import click

from ..completions import SHELLS


@click.command(name="completions")
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--install", "installs", is_flag=True, help="Put it where the shell looks for it.")
def command(shell: str, installs: bool) -> int:
    """Print the completion script of a shell: verbs, options, values, branches, jobs.

    `daft shell-init` loads it when Tab is first pressed, so it need not be installed as well.
    """
    # Only now: this reads the parser of every verb.
    from ..completions.installing import advice, destination, install
    from ..completions.scripts import script

    text = script(shell)
    if not installs:
        click.echo(text, nl=False)
        return 0
    path = destination(shell, os.environ)
    install(text, path)
    click.echo(f"Installed: {path}")
    left = advice(shell, path)
    if left is not None:
        sys.stderr.write(f"  tip: {left}\n")
    return 0
