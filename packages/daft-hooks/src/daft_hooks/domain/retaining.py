"""What a configuration says about how much of a repository's history is kept."""

from __future__ import annotations

from daft_coordinator.domain.policy import DeclaredPolicy

from .config import Configuration, HookConfig


def declared_policy(configuration: Configuration, hook: HookConfig, source: str) -> DeclaredPolicy:
    """Return the repository's policy as a fire of `hook` declares it.

    source: absolute path of the configuration's main file. Of each field the first job counts
    whose `log:`, over those of its groups, its hook and the whole file, says something.
    """
    general = hook.log.over(configuration.log)
    blocks = [*(job.log.over(general) for job in hook.jobs), general]

    def first(name: str) -> int | None:
        values = (getattr(block, name) for block in blocks)
        return next((value for value in values if value is not None), None)

    return DeclaredPolicy(
        source=source,
        max_total_size_bytes=first("max_total_size_bytes"),
        keep_last=first("keep_last"),
        stale_running_after_s=first("stale_running_after_s"),
    )
