"""For tests of what is built on the coordinator's ports: conformance suites and virtual time.

* `JobStoreSuite`, `JobHistorySuite`, `ProcessControlSuite` and `ClockSuite` are pytest classes.
  An adapter that passes its suite can take the place of ours; see `docs/conformance.md`.
* `VirtualWorld` runs real coordinators on a made-up clock with scripted processes: a graph of
  hours is over in milliseconds and goes the same way every time.

Names load on first use. The suites need pytest; the rest does not.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench import Bench
    from .clock_suite import ClockSuite
    from .history_suite import JobHistorySuite
    from .process_suite import ProcessControlSuite
    from .samples import a_job, an_invocation, an_owner
    from .scripts import NEVER, Child, Says, Script
    from .store_suite import JobStoreSuite
    from .virtual_clock import VirtualClock
    from .virtual_host import VirtualHost
    from .virtual_processes import VirtualProcessControl
    from .virtual_world import NothingWillHappen, VirtualWorld

_MODULE_OF = {
    "NEVER": "scripts",
    "Bench": "bench",
    "Child": "scripts",
    "NothingWillHappen": "virtual_world",
    "ProcessControlSuite": "process_suite",
    "Says": "scripts",
    "Script": "scripts",
    "VirtualHost": "virtual_host",
    "VirtualProcessControl": "virtual_processes",
    "VirtualWorld": "virtual_world",
    "ClockSuite": "clock_suite",
    "JobHistorySuite": "history_suite",
    "JobStoreSuite": "store_suite",
    "VirtualClock": "virtual_clock",
    "a_job": "samples",
    "an_invocation": "samples",
    "an_owner": "samples",
}

_PARTS = ("store_changing_suite", "store_reading_suite", "store_recording_suite")
"""Modules that hold parts of a suite."""

__all__ = [
    "NEVER",
    "Bench",
    "Child",
    "ClockSuite",
    "JobHistorySuite",
    "JobStoreSuite",
    "NothingWillHappen",
    "ProcessControlSuite",
    "Says",
    "Script",
    "VirtualClock",
    "VirtualHost",
    "VirtualProcessControl",
    "VirtualWorld",
    "a_job",
    "an_invocation",
    "an_owner",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if module.endswith("_suite") and "pytest" in sys.modules:
        # So that a failing adapter is told what differed, not only that something did.
        rewritten = [f"{__name__}.{one}" for one in (module, *_PARTS)]
        sys.modules["pytest"].register_assert_rewrite(
            *(one for one in rewritten if one not in sys.modules)
        )
    return getattr(import_module(f".{module}", __name__), name)
