"""What a leader needs only once its first job has started, and then has to have at once.

It goes on with the program it was started from, even when that is replaced or removed while it
works: whatever it does afterwards, its code is here already. Before, each of these would keep the
first job waiting.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from importlib import import_module

MODULES = (
    "traceback",
    "daft_protocol.messages",
    "cattrs",
    "daft_protocol.converter",
    "daft_coordinator.requests",
    "daft_coordinator.retrying",
    "daft_coordinator.adapters.sqlite_history",
    "daft_coordinator.adapters.salvage",
)
"""In the order in which they need each other, so that each is one short step."""


def load() -> Iterator[None]:
    """Load one of them each time the next is asked for: jobs end in between, and are seen to.

    Behind the last, garbage is looked for again, but not among what was loaded.
    """
    for name in MODULES:
        import_module(name)
        yield
    gc.collect()
    gc.freeze()
    gc.enable()
