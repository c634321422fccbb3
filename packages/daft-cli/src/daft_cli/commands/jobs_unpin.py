"""`daft jobs unpin`: letting clean-up have a run again."""

from __future__ import annotations

from .jobs_pin import pinning

command = pinning("unpin", pinned=False)
