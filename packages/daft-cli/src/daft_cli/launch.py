"""Running one verb: load it, call it, turn what it raises into words and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from .failures import explain


def launch(verb: str, module: str, args: Sequence[str]) -> int:
    """Run the click command in `module`; return the exit code. No traceback gets out."""
    command: click.Command = import_module(module).command
    command.context_settings.setdefault("help_option_names", ["-h", "--help"])
    try:
        os.getcwd()
    except FileNotFoundError:
        sys.stderr.write("error: the current directory no longer exists\n")
        sys.stderr.write("  tip: `cd` somewhere else, or use `daft -C <path> …`\n")
        return 1
    try:
        result = command.main(list(args), prog_name=f"daft {verb}", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        # Whoever read our output has seen enough; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        return 130
    except click.UsageError as error:
        usage = error.ctx.get_usage() if error.ctx is not None else ""
        usage = usage.replace("Usage:", "usage:", 1)
        sys.stderr.write(f"{usage}\nerror: {error.format_message()}\n".lstrip("\n"))
        return 2
    except Exception as error:
        if os.environ.get("DAFT_DEBUG") == "1":
            raise
        return explain(error)
