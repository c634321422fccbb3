"""The three directories of a user. Loads nothing: some verbs need no more than this."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing of this exists at run time
    from collections.abc import Mapping


def state_root(environ: Mapping[str, str]) -> str:
    """Return the directory for job history, sockets and locks.

    Raises: BadDirectoryVariable.
    """
    return _root(environ, "DAFT_STATE_DIR", "XDG_STATE_HOME", (".local", "state"))


def data_root(environ: Mapping[str, str]) -> str:
    """Return the directory for the registry of repositories and trust. Raises as above."""
    return _root(environ, "DAFT_DATA_DIR", "XDG_DATA_HOME", (".local", "share"), mac=True)


def config_root(environ: Mapping[str, str]) -> str:
    """Return the directory for the user's own configuration. Raises as above."""
    return _root(environ, "DAFT_CONFIG_DIR", "XDG_CONFIG_HOME", (".config",), mac=True)


def _root(
    environ: Mapping[str, str],
    override: str,
    xdg: str,
    below_home: tuple[str, ...],
    *,
    mac: bool = False,
) -> str:
    value = environ.get(override, "")
    if value:
        if not os.path.isabs(value):
            from .errors import BadDirectoryVariable

            raise BadDirectoryVariable(override, value)
        return os.path.normpath(value)
    home = environ.get("HOME") or os.path.expanduser("~")
    if mac and sys.platform == "darwin":
        return os.path.join(home, "Library", "Application Support", "daft")
    base = environ.get(xdg, "")
    # The XDG rule: a relative value is ignored.
    if not os.path.isabs(base):
        base = os.path.join(home, *below_home)
    return os.path.join(base, "daft")
