"""The environment a job sees."""

from __future__ import annotations

from collections.abc import Mapping

from daft_protocol.jobs import Job

from .nesting import DEPTH, depth_of
from .ports import JOB_MARK

REMOVED = frozenset(
    {
        # A job must not choose where the user's shell ends up.
        "DAFT_CD_FILE",
        # Where git was told to look by whoever called us, a git hook for example: for a job in
        # another worktree these point at the wrong repository.
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_COMMON_DIR",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
        "GIT_CEILING_DIRECTORIES",
    }
)
"""Variables of the submitter that no job inherits."""


def inheritable(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the jobs of a submitter with this `environment` inherit from it."""
    inherited = {name: value for name, value in environment.items() if name not in REMOVED}
    inherited[DEPTH] = str(depth_of(environment) + 1)
    return inherited


def job_environment(
    inherited: Mapping[str, str],
    job: Job,
    *,
    secrets: Mapping[str, str],
    log_path: str | None,
) -> dict[str, str]:
    """Return the variables for `job`, later layers winning: inherited, its own, secrets, facts.

    inherited: as `inheritable` returned it.
    secrets: values of the job's own variables that are kept in memory only.
    """
    environment = dict(inherited)
    environment.update(job.spec.env)
    environment.update(secrets)
    environment[JOB_MARK] = job.uid
    environment["DAFT_JOB_NAME"] = job.name
    environment["DAFT_INVOCATION_ID"] = job.invocation_id
    environment["DAFT_BACKGROUND"] = "true" if job.spec.background else "false"
    if log_path is not None:
        environment["DAFT_JOB_LOG"] = log_path
    environment[DEPTH] = inherited[DEPTH]
    # A command of ours that it runs starts no chores.
    environment["DAFT_IS_COORDINATOR"] = "1"
    return environment
