"""What a leader needs only once its first job has started, and then has to have at once.

It goes on with the program it was started from, even when that is replaced or removed while it
works: whatever it does afterwards, its code is here already. Before, each of these would keep the
first job waiting.
"""

from __future__ import annotations

import gc
from importlib import import_module

MODULES = (
    "daft_coordinator.adapters.salvage",
    "daft_coordinator.adapters.sqlite_history",
    "daft_coordinator.requests",
    "daft_coordinator.retrying",
    "daft_protocol.converter",
    "daft_protocol.messages",
    "traceback",
)


def load() -> None:
    """Load them; from now on garbage is looked for, but not among what was loaded."""
    for name in MODULES:
        import_module(name)
    gc.collect()
    gc.freeze()
    gc.enable()
