"""Where a process may be made to kill itself: the seams at which something becomes lasting.

The product knows nothing of these points, so they cost it nothing. They are put around the
functions named here, and before every writing SQL statement, once a test asks for them.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import apsw

SEAMS = (
    # what is written to the store
    ("store", "daft_coordinator.adapters.sqlite", "SqliteJobStore", "record"),
    ("store", "daft_coordinator.adapters.sqlite", "SqliteJobStore", "apply"),
    ("store", "daft_coordinator.adapters.sqlite", "SqliteJobStore", "apply_together"),
    ("claim", "daft_coordinator.adapters.sqlite", "SqliteJobStore", "claim"),
    ("store", "daft_coordinator.adapters.sqlite", "SqliteJobStore", "register"),
    ("store", "daft_coordinator.adapters.sqlite", "SqliteJobStore", "retire"),
    ("store", "daft_coordinator.adapters.sqlite", "SqliteJobStore", "log_directory"),
    ("store", "daft_coordinator.adapters.storefile", None, "_unlink"),
    # what is written beside it
    ("log", "daft_coordinator.joblog", "JobLog", "_open"),
    ("log", "daft_coordinator.joblog", "JobLog", "_put"),
    ("log", "daft_coordinator.joblog", "JobLog", "_join_segments"),
    ("log", "daft_coordinator.joblog", "JobLog", "_keep_whole_records"),
    ("log", "daft_coordinator.joblog", "JobLog", "close"),
    ("log", "daft_coordinator.joblog", "JobLog", "remove"),
    ("result", "daft_coordinator.roster", None, "write_result"),
    ("result", "daft_coordinator.roster", None, "remove_result"),
    ("result", "daft_coordinator.recovery", None, "remove_result"),
    # what clean-up takes away
    ("eviction", "daft_coordinator.adapters.sqlite_history", "SqliteHistory", "evict"),
    ("eviction", "daft_coordinator.adapters.sqlite_history", "SqliteHistory", "set_aside"),
    ("eviction", "daft_coordinator.adapters.sqlite_history", "SqliteHistory", "clear"),
    ("eviction", "daft_coordinator.adapters.sqlite_history", "SqliteHistory", "settle"),
    ("eviction", "daft_coordinator.adapters.sqlite_history", "SqliteHistory", "note_pass"),
    ("eviction", "daft_coordinator.adapters.sqlite_history", "SqliteHistory", "shrink"),
    ("eviction", "daft_store.shelf", "LogShelf", "set_aside"),
    ("eviction", "daft_store.shelf", None, "_delete"),
    # what others are told
    ("frame", "daft_coordinator.server", "Connection", "_flush"),
    ("frame", "daft_coordinator.server", "Connection", "_read"),
    ("frame", "daft_coordinator.link", "Link", "send"),
    ("frame", "daft_coordinator.link", "Link", "receive"),
    # processes
    ("leader", "daft_coordinator.detaching", None, "start"),
    ("spawn", "daft_coordinator.adapters.processes", "PosixProcessControl", "spawn"),
    ("gate", "daft_coordinator.runner", "JobRun", "open_gate"),
    ("gate", "daft_coordinator.runner", "JobRun", "abandon"),
    ("exit", "daft_coordinator.adapters.processes", "PosixProcessControl", "reap"),
    ("exit", "daft_coordinator.coordinator", "Coordinator", "job_ended"),
    ("signal", "daft_coordinator.adapters.processes", "PosixProcessControl", "signal_group"),
    ("signal", "daft_coordinator.adapters.processes", "PosixProcessControl", "signal"),
    # leading
    ("lock", "daft_coordinator.station", "LeaderLock", "describe"),
    ("lock", "daft_coordinator.station", "LeaderLock", "release"),
    ("lock", "daft_coordinator.station", "LeaderLock", "remove"),
    ("lock", "daft_coordinator.__main__", None, "clear_left"),
    ("door", "daft_coordinator.door", "Door", "open"),
    ("door", "daft_coordinator.door", "Door", "close"),
    ("recovery", "daft_coordinator.recovery", "Recovery", "run"),
)  # fmt: skip
"""Kind, module, class (None: a function of the module), name."""

_WRITING = ("BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP")


class Points:
    """Counts the points this process passes; kills it at one of them, or writes them all down.

    target: (name, which time), or None for all that are passed. journal: file that takes the
    names of the points passed, or only that of the last one.
    """

    def __init__(self, target: tuple[str, int] | None, journal: str) -> None:
        self._target = target
        self._journal = journal
        self._passed: Counter[str] = Counter()

    def install(self) -> None:
        """Put the points in place, in this process and for the rest of its life."""
        for kind, module, cls, name in SEAMS:
            owner: Any = importlib.import_module(module)
            if cls is not None:
                owner = getattr(owner, cls)
            setattr(owner, name, self._around(f"{kind}:{name.lstrip('_')}", getattr(owner, name)))
        apsw.connection_hooks.append(self._trace)

    def reach(self, name: str) -> None:
        """Pass the point `name`, if that is still granted."""
        self._passed[name] += 1
        is_last = self._target == (name, self._passed[name])
        if is_last or self._target is None:
            with open(self._journal, "a", encoding="ascii") as file:
                file.write(f"{name}\n")
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **keywords: Any) -> Any:
            self.reach(f"{name}<")
            result = function(*args, **keywords)
            self.reach(f"{name}>")
            return result

        return wrapped

    def _trace(self, db: apsw.Connection) -> None:
        db.exec_trace = self._statement

    def _statement(self, _cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        words = sql.split(None, 3)
        if words and words[0].upper() in _WRITING:
            last = 1 if words[0].upper() in ("BEGIN", "COMMIT", "UPDATE") else 2
            self.reach("sql:" + "-".join(words[: last + 1]).strip(";").lower())
        return True
