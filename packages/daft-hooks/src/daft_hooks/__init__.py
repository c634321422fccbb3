"""Lifecycle hooks from daft.yml: find, parse, merge, validate, plan and run them."""

__version__ = "0.1.0"
