"""Running one verb: load it, call it, put what click says about its words into ours."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module

import click


def launch(verb: str, module: str, args: Sequence[str]) -> int:
    """Run the click command in `module`; return the exit code.

    Raises: whatever the verb raises; the front door explains it.
    """
    command: click.Command = import_module(module).command
    gc.freeze()  # what is loaded stays; only what the verb makes is worth looking through
    gc.enable()
    command.context_settings.setdefault("help_option_names", ["-h", "--help"])
    try:
        # `command.main` would make its own end of a closed pipe.
        with command.make_context(f"daft {verb}", list(args)) as context:
            result = command.invoke(context)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        usage = error.ctx.get_usage() if error.ctx is not None else ""
        usage = usage.replace("Usage:", "usage:", 1)
        sys.stderr.write(f"{usage}\nerror: {_wording(error)}\n".lstrip("\n"))
        return 2


def _wording(error: click.UsageError) -> str:
    """Return what is wrong with the words, said as the listing of jobs says it."""
    if isinstance(error, click.NoSuchOption):
        near = ", ".join(error.possibilities or ())
        return f"unrecognized option: {error.option_name}" + (f" (near: {near})" if near else "")
    text = " ".join(error.format_message().split()).rstrip(".")
    param = error.param if isinstance(error, click.BadParameter) else None
    if param is not None and isinstance(param.type, click.Choice):
        return text.replace("Invalid value", "invalid choice", 1)
    return text
