"""`python -I -S direct.py <directories> __complete …`: what a Tab key waits for, without detours.

Completion scripts start the interpreter itself, without `site`: that costs half of a command's
start, and neither PYTHONPATH nor a `.pth` file of the place one stands in gets a say. The
directories our packages are in are written into the script when it is made.
"""

import sys


def main() -> None:
    """Run `daft` with the words behind the directories."""
    sys.path += sys.argv[1].split(":")
    sys.argv[:2] = ["daft"]
    from daft_cli.__main__ import main as run

    run()


if __name__ == "__main__":
    main()
