"""Where each shell looks for a user's own completions, and putting a script there."""

from __future__ import annotations

import os
from collections.abc import Mapping


def destination(shell: str, environment: Mapping[str, str]) -> str:
    """Return the file that `shell` loads when daft's words are completed for the first time.

    Sources: the directories that bash-completion, zsh's `site-functions` and fish document.
    """
    home = environment.get("HOME") or os.path.expanduser("~")
    data = _absolute(environment.get("XDG_DATA_HOME")) or f"{home}/.local/share"
    if shell == "bash":
        own = _absolute(environment.get("BASH_COMPLETION_USER_DIR")) or f"{data}/bash-completion"
        return f"{own}/completions/daft"
    if shell == "zsh":
        return f"{data}/zsh/site-functions/_daft"
    config = _absolute(environment.get("XDG_CONFIG_HOME")) or f"{home}/.config"
    return f"{config}/fish/completions/daft.fish"


def install(text: str, path: str) -> None:
    """Write a script to its place, whole or not at all. Raises: OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    beside = f"{path}.{os.getpid()}"
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError:
        if os.path.exists(beside):
            os.unlink(beside)
        raise


def advice(shell: str, path: str) -> str | None:
    """Return what is left to do for the script to be found, None when it is found by itself."""
    if shell == "zsh":
        folder = os.path.dirname(path)
        return f"in ~/.zshrc, before compinit: fpath=({folder} $fpath)"
    if shell == "bash":
        return "bash-completion loads it; without that: source it in ~/.bashrc"
    return None


def _absolute(path: str | None) -> str | None:
    return path if path and os.path.isabs(path) else None
