"""The entry point: `daft`, `git-daft`, `python -m daft_cli`."""

import gc
import os
import sys

_IN_UTF8 = ["-X", "utf8"]
"""Once is enough: an interpreter that was told otherwise behind it would be started for ever."""


def main() -> None:
    """Run `daft` and end the process with its exit code."""
    if sys.getfilesystemencoding() != "utf-8" and sys.orig_argv[1:3] != _IN_UTF8:
        _start_anew_in_utf8()
    # Nothing is garbage while modules load; whoever runs longer switches it on again.
    gc.disable()
    from daft_cli import front

    code = front.main()
    try:
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads what we say; the code still tells
    # Taking the interpreter apart would cost as much as starting it.
    os._exit(code)


def _start_anew_in_utf8() -> None:
    """Replace this interpreter by one that reads and writes names as UTF-8; never returns.

    Git's names are UTF-8 in every locale. An interpreter that follows a locale of another encoding
    (`LC_ALL=C` with `PYTHONUTF8=0`) could not reach their paths, or would reach other ones.
    A switch, not a variable: jobs get the environment that the user has.
    """
    words = [sys.executable, *_IN_UTF8, *sys.orig_argv[1:]]
    os.execv(sys.executable, words)  # noqa: S606  (our own interpreter; there is no shell in it)


if __name__ == "__main__":
    main()
