"""What a plugin may supply to hooks. Names start with `daft_`; arguments are only ever added."""

from __future__ import annotations

from daft_coordinator.hookspecs import hookspec

from .domain.runners import JobRunner, RunnerSpec


class JobHooks:
    """The seams of daft.yml."""

    @hookspec(firstresult=True)
    def daft_job_runner(self, spec: RunnerSpec) -> JobRunner | None:
        """Supply the function that does a job which says `uses: <name>`.

        Called: while a fire is planned, in the command's process, once for each such job that
            runs, and when a plan is only shown; consent has been given where it is needed.
        Return: a JobRunner, or None to leave the answer to the next plugin. Start nothing here.
        Raising: the hook fails before any of its jobs starts; the message names the plugin.
        Since: 0.1. New arguments are only ever added; declare just those you use.
        """
