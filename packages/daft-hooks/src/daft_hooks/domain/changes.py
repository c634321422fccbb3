"""Jobs that look at changed files: which they are, what they get, and why they do not run."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from .config import JobConfig
from .event import CHANGED_FILES
from .globs import path_glob
from .templates import placeholders


@frozen(kw_only=True)
class Listing:
    """Changed files, relative to the top of the repository. error: why there are none to see."""

    files: tuple[str, ...] = ()
    error: str | None = None


def is_file_aware(job: JobConfig) -> bool:
    """True for a job that looks at changed files."""
    if job.glob or job.exclude or job.files is not None:
        return True
    texts = (*job.run.values(), job.script or "", job.runner, job.args)
    return any(CHANGED_FILES in placeholders(text) for text in texts if "{" in text)


def selected(files: Iterable[str], globs: Iterable[str], exclude: Iterable[str]) -> tuple[str, ...]:
    """Return the files that fit one of `globs`, or any if there are none, and none of `exclude`.

    Raises: BadGlob.
    """
    wanted = [path_glob(text) for text in globs]
    unwanted = [path_glob(text) for text in exclude]
    return tuple(
        file
        for file in files
        if (not wanted or any(glob.matches(file) for glob in wanted))
        and not any(glob.matches(file) for glob in unwanted)
    )


def why_nothing(job: JobConfig, exclude: tuple[str, ...], files: tuple[str, ...]) -> str:
    """Return the reason to skip a job for which no file is left.

    exclude: the job's own and the hook's. files: before they were selected from.
    """
    if job.files is not None and not files:
        return "skip: files: command returned no files"
    if not files:
        return "skip: no changed files"
    if job.glob:
        excluding = f" (excluding {', '.join(exclude)})" if exclude else ""
        return f"skip: no changed files match {', '.join(job.glob)}{excluding}"
    return f"skip: all changed files excluded by {', '.join(exclude)}"
