"""Telling plugins what happened, one by one, so that none of them can silence another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pluggy


class Plugins:
    """The plugin objects of one coordinator. Costs nothing while there are none."""

    def __init__(self, plugins: Iterable[object], report: Callable[[str], None]) -> None:
        self._report = report
        self._manager: pluggy.PluginManager | None = None
        for plugin in plugins:
            self._open().register(plugin)

    def first(self, hook: str, **arguments: Any) -> Any:
        """Return the first answer to `hook`, None when nobody has one."""
        if self._manager is None:
            return None
        return getattr(self._manager.hook, hook)(**arguments)

    def listens(self, hook: str) -> bool:
        """True when somebody wants to hear of `hook`."""
        return self._manager is not None and bool(getattr(self._manager.hook, hook).get_hookimpls())

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call every implementation of `hook`; one that raises is reported and left behind."""
        if self._manager is None:
            return
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            wanted = [arguments[name] for name in implementation.argnames]
            try:
                implementation.function(*wanted)
            except Exception as error:
                # A watcher's trouble is its own; the job and the other watchers go on.
                name = implementation.plugin_name
                self._report(f"plugin {name} failed in {hook}: {type(error).__name__}: {error}")

    def _open(self) -> pluggy.PluginManager:
        if self._manager is None:
            import pluggy

            from . import hookspecs

            self._manager = pluggy.PluginManager(hookspecs.PROJECT)
            self._manager.add_hookspecs(hookspecs.CoordinatorHooks)
        return self._manager
