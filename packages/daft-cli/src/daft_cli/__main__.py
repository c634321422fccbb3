"""The entry point: `daft`, `git-daft`, `python -m daft_cli`."""

import gc
import os
import sys


def main() -> None:
    """Run `daft` and end the process with its exit code."""
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


if __name__ == "__main__":
    main()
