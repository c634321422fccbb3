"""The help that is shown is what the parsers say, written down so that nobody waits for them.

After options have changed, run this with DAFT_WRITE_HELP=1 to write it down again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

import daft_cli
from daft_cli.front import VERBS

HELP = Path(daft_cli.__file__).parent / "help"


def parsers() -> Iterator[tuple[str, click.Command]]:
    """Yield every verb, and every verb of a verb, as `hooks.run`."""
    for verb, module in VERBS.items():
        command = import_module(module).command
        if verb != "jobs":  # its listing has another parser
            yield verb, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=f"daft {verb}")
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield f"{verb}.{name}", inner


def text_of(name: str, command: click.Command) -> str:
    command.context_settings.setdefault("help_option_names", ["-h", "--help"])
    settings = {**command.context_settings, "terminal_width": 80}
    with click.Context(command, info_name=f"daft {name.replace('.', ' ')}", **settings) as context:
        return command.get_help(context) + "\n"


PARSERS = dict(parsers())


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_written_down_is_what_the_parser_says(name: str) -> None:
    path = HELP / f"{name}.txt"
    said = text_of(name, PARSERS[name])
    if os.environ.get("DAFT_WRITE_HELP") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(said, encoding="utf-8")

    assert path.exists(), "run this test with DAFT_WRITE_HELP=1"
    # How lines are folded is the parser's business, and changes with its release.
    assert path.read_text(encoding="utf-8").split() == said.split(), "run with DAFT_WRITE_HELP=1"


def test_nothing_is_written_down_that_no_parser_says() -> None:
    assert {path.stem for path in HELP.glob("*.txt")} == set(PARSERS)
