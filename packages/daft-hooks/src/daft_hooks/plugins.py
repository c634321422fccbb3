"""Plugins of hooks: found when a job first asks for one, asked one by one."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points

import pluggy

from daft_coordinator.hookspecs import PROJECT

from .domain.runners import JobRunner, RunnerSpec
from .errors import UnplannableHook
from .hookspecs import JobHooks

ENTRY_POINTS = "daft"
"""The group of entry points in which packages name their plugins."""


class JobPlugins:
    """Finds runners for `uses:` jobs.

    plugins: objects to ask; None: those of the installed packages, loaded at the first question.
    """

    def __init__(self, plugins: Iterable[object] | None = None) -> None:
        self._given = None if plugins is None else tuple(plugins)
        self._manager: pluggy.PluginManager | None = None
        self._broken: list[str] = []

    def runner_for(self, spec: RunnerSpec) -> JobRunner:
        """Return who does what `spec` asks for. Raises: UnplannableHook when nobody does."""
        who = f"job '{spec.job}' of {spec.hook} uses '{spec.uses}'"
        for implementation in self._open().hook.daft_job_runner.get_hookimpls()[::-1]:
            given = [spec for name in implementation.argnames if name == "spec"]
            try:
                found = implementation.function(*given)
            except Exception as error:
                # Somebody else's code: whatever it raises, the user learns whose it was.
                raise UnplannableHook(
                    f"{who}: plugin {implementation.plugin_name} failed: "
                    f"{type(error).__name__}: {error}"
                ) from error
            if found is None:
                continue
            if not isinstance(found, JobRunner) or ":" not in found.function:
                raise UnplannableHook(
                    f"{who}: plugin {implementation.plugin_name} answered {found!r}, "
                    "which is no JobRunner with a `module:function`"
                )
            return found
        broken = f" (not usable: {'; '.join(self._broken)})" if self._broken else ""
        raise UnplannableHook(
            f"{who}, and no plugin supplies that; install the package that does, "
            f"beside daft itself{broken}"
        )

    def _open(self) -> pluggy.PluginManager:
        if self._manager is None:
            self._manager = pluggy.PluginManager(PROJECT)
            self._manager.add_hookspecs(JobHooks)
            if self._given is None:
                self._load_installed(self._manager)
            else:
                for plugin in self._given:
                    self._manager.register(plugin)
        return self._manager

    def _load_installed(self, manager: pluggy.PluginManager) -> None:
        for entry in entry_points(group=ENTRY_POINTS):
            try:
                manager.register(entry.load(), name=entry.name)
            except Exception as error:
                # One package that is broken must not keep the others from being asked.
                self._broken.append(f"{entry.name}: {type(error).__name__}: {error}")
