"""Runs graphs of jobs durably: schedule, start, stop, record, reconcile; embeddable."""

__version__ = "0.1.0"
