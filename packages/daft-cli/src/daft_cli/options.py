"""Options that several verbs share, with one meaning everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .failures import Trouble

F = TypeVar("F", bound=Callable[..., Any])

PLACEMENTS = ("auto", "foreground", "background", "off")


def speaking(function: F) -> F:
    """Add `-q` and `-v`."""
    function = click.option("-v", "--verbose", is_flag=True, help="Say more.")(function)
    return click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")(function)


def hooking(function: F) -> F:
    """Add `--skip-hooks` and `--hooks`, which `DAFT_HOOKS_MODE` says where it is not given."""
    function = click.option(
        "--hooks",
        "placement",
        type=click.Choice(PLACEMENTS),
        default="auto",
        envvar="DAFT_HOOKS_MODE",
        show_default=True,
        help="Where hook jobs run.",
    )(function)
    return click.option(
        "--skip-hooks",
        multiple=True,
        metavar="SELECTOR",
        help="Leave out: all, a hook, a job, job:<name>, tag:<tag>; several by commas.",
    )(function)


def landing(function: F) -> F:
    """Add `-x` and `--no-cd`."""
    function = click.option(
        "-x", "--exec", "commands", multiple=True, metavar="CMD", help="Run CMD there afterwards."
    )(function)
    return click.option("--no-cd", is_flag=True, help="Stay where you are.")(function)


def refuse_trust_without_hooks(trust: bool, skip_hooks: tuple[str, ...], placement: str) -> None:
    """Refuse `--trust-hooks` when nothing would run anyway. Raises: Trouble."""
    words = {word.strip() for text in skip_hooks for word in text.split(",")}
    if trust and (placement == "off" or words & {"all", "*"}):
        raise Trouble("--trust-hooks cannot be combined with skipping all hooks")
