"""Run the benchmarks: `python benchmarks/run.py [--rounds N] [name …]`.

They print and write figures; they assert nothing, since time is noisy. A figure over its budget
is marked.
"""

from __future__ import annotations

import argparse
import importlib

BENCHMARKS = ("startup", "jobs", "logs", "hooks")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=BENCHMARKS)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    for name in options.names:
        importlib.import_module(name).run(options.rounds)


if __name__ == "__main__":
    main()
