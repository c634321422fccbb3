"""The daft command: a worktree for every branch, made ready by durable hooks."""

__version__ = "0.1.0"
