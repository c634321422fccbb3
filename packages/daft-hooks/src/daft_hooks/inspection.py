"""What is wrong beyond the text of daft.yml, which only a look at the worktree tells.

For `daft hooks validate`: nothing here stops a hook that would otherwise run.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from attrs import evolve

from . import gitfiles, legacy
from .discovery import Loaded
from .domain.config import Configuration, JobConfig
from .domain.shape import HOOK_NAMES
from .errors import Mark, Problem, Severity
from .preparing import why_not_run
from .sources import MAIN_NAMES

_ENDINGS = (".yml", ".yaml")


def inspect(loaded: Loaded | None, worktree: str) -> tuple[Problem, ...]:
    """Return what is wrong around the configuration of `worktree`, as hints with their places.

    loaded: what was found there, None for nothing. Reads the worktree and git's index.
    """
    there = [name for name in _candidates() if os.path.isfile(os.path.join(worktree, name))]
    found = [*_unread(there, () if loaded is None else loaded.files)]
    if loaded is not None:
        known = gitfiles.tracked(worktree).modes
        found += _published(loaded.files, known)
        configuration = loaded.decoded.configuration
        found += _scripts(configuration, worktree)
        found += _shell_file(loaded, worktree)
        found += _hidden(configuration, worktree)
    return tuple(_with_excerpt(one, worktree) for one in found)


def _candidates() -> Iterator[str]:
    """Yield every name that looks like a file of the configuration."""
    yield from MAIN_NAMES
    for name in MAIN_NAMES:
        stem, ending = os.path.splitext(name)
        yield from (f"{stem}.local{ending}", f"{stem}-local{ending}")
    for directory in ("", ".config/", ".config/daft/"):
        for hook in HOOK_NAMES:
            yield from (f"{directory}{hook}{ending}" for ending in _ENDINGS)


def _unread(there: Collection[str], files: Collection[str]) -> Iterator[Problem]:
    """Yield a problem for each file that looks as if it counted, and is not read."""
    main = next(iter(files), None)
    for name in there:
        if name in files:
            continue
        twin = _twin(name, files)
        if main is None:
            why = "there is no main file, such as daft.yml"
        elif twin is not None:
            why = f"{twin} is"
        elif name in MAIN_NAMES:
            why = f"{main} is the main file"
        elif _is_overlay(name):
            stem, ending = os.path.splitext(main)
            why = f"the overlay of {main} is {stem}.local{ending}"
        else:
            place = ".config/daft" if main.startswith(".config/") else "the top directory"
            why = f"files per hook stand in {place}"
        yield _hint(Mark(name, 1, 1), "", f"this file is not read, as {why}")


def _twin(name: str, files: Collection[str]) -> str | None:
    """Return the file that is read in place of `name`: it differs in its ending, or spelling."""
    stem = os.path.splitext(name)[0].replace("-local", ".local")
    return next((one for one in files if os.path.splitext(one)[0] == stem), None)


def _is_overlay(name: str) -> bool:
    return os.path.splitext(name)[0].endswith((".local", "-local"))


def _published(files: Collection[str], tracked: Collection[str]) -> Iterator[Problem]:
    """Yield a problem for an overlay that others get as well."""
    for name in files:
        if _is_overlay(name) and name in tracked:
            message = f"git tracks it, so everybody gets it: git rm --cached {name}, and ignore it"
            yield _hint(Mark(name, 1, 1), "", message)


def _scripts(configuration: Configuration, worktree: str) -> Iterator[Problem]:
    """Yield a problem for each script that could not be run as things are."""
    for kind, hooks in (("hooks", configuration.hooks), ("tasks", configuration.tasks)):
        for hook in hooks.values():
            for job in hook.jobs:
                if job.script is None or "{" in job.script:
                    continue  # what a placeholder stands for is known when it fires
                path = _script_of(configuration, job, worktree)
                why = why_not_run(os.path.join(worktree, path), has_runner=bool(job.runner))
                if why is not None:
                    where = f"{kind}.{hook.name}.jobs[{job.name}]"
                    yield _hint(job.mark, where, f"{path} {why}")


def _script_of(configuration: Configuration, job: JobConfig, worktree: str) -> str:
    local = os.path.join(configuration.source_dir_local, job.script or "")
    if os.path.exists(os.path.join(worktree, local)):
        return local
    return os.path.join(configuration.source_dir, job.script or "")


def _shell_file(loaded: Loaded, worktree: str) -> Iterator[Problem]:
    rc = loaded.decoded.configuration.rc
    if rc is not None and not os.path.isfile(os.path.join(worktree, rc)):
        mark = loaded.document.items["rc"].mark
        yield _hint(mark, "rc", f"{rc!r} is no file here, and every job reads it")


def _hidden(configuration: Configuration, worktree: str) -> Iterator[Problem]:
    """Yield a problem for each executable hook that never runs, as the file has its hook."""
    for hook in configuration.hooks.values():
        found = legacy.find(hook.name, worktree, None)
        if found is not None and found.project is not None:
            message = f"{found.project} does not run, as this file configures the hook"
            yield _hint(hook.mark, f"hooks.{hook.name}", message)


def _hint(mark: Mark, path: str, message: str) -> Problem:
    return Problem(mark=mark, path=path, message=message, severity=Severity.HINT)


def _with_excerpt(one: Problem, worktree: str) -> Problem:
    if not one.path:
        return one  # it is about the file as a whole
    try:
        with open(
            os.path.join(worktree, one.mark.file), encoding="utf-8", errors="replace"
        ) as file:
            lines = file.read().split("\n")
    except OSError:
        return one  # gone meanwhile; the place is right all the same
    return evolve(one, excerpt="".join(lines[one.mark.line - 1 : one.mark.line]))
