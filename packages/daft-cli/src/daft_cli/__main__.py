"""The entry point: `daft`, `git-daft`, `python -m daft_cli`."""

import sys

from daft_cli.front import main

if __name__ == "__main__":
    sys.exit(main())
