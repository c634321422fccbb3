"""Git worktrees as a library: find, lay out, create and remove them safely, also in parallel."""

__version__ = "0.1.0"
