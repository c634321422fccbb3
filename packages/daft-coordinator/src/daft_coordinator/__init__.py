"""Runs graphs of jobs durably: schedule, start, stop, record, reconcile; embeddable.

Names load on first use, so that a program which only talks to a leader does not pay for one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import CoordinatorClient, Submission
    from .coordinator import Coordinator
    from .domain.cancel import Selection
    from .domain.retry import RetryRequest
    from .domain.stopping import StopPolicy
    from .errors import CoordinatorError, CoordinatorUnavailable
    from .hookspecs import hookimpl, hookspec
    from .ports import Clock, JobStore, ProcessControl
    from .station import Station

__version__ = "0.1.0"

_MODULE_OF = {
    "Clock": "ports",
    "Coordinator": "coordinator",
    "CoordinatorClient": "client",
    "CoordinatorError": "errors",
    "CoordinatorUnavailable": "errors",
    "JobStore": "ports",
    "ProcessControl": "ports",
    "RetryRequest": "domain.retry",
    "Selection": "domain.cancel",
    "Station": "station",
    "StopPolicy": "domain.stopping",
    "Submission": "client",
    "hookimpl": "hookspecs",
    "hookspec": "hookspecs",
}

__all__ = [
    "Clock",
    "Coordinator",
    "CoordinatorClient",
    "CoordinatorError",
    "CoordinatorUnavailable",
    "JobStore",
    "ProcessControl",
    "RetryRequest",
    "Selection",
    "Station",
    "StopPolicy",
    "Submission",
    "hookimpl",
    "hookspec",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{module}", __name__), name)
