"""From an event to the plan that will be carried out, or only shown: one way for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from . import probes
from .domain.conditions import Facts
from .domain.config import Configuration, HookConfig
from .domain.event import Event
from .domain.planning import Options, Placement, Plan, plan
from .domain.specs import rc_path, script_path


def prepare(
    event: Event,
    configuration: Configuration,
    hook: HookConfig,
    options: Options,
    environment: Mapping[str, str],
    *,
    warn: Callable[[str], None],
    may_run: bool = True,
    plugins: Iterable[object] | None = None,
    pinned: Mapping[str, str] | None = None,
) -> Plan:
    """Return what a fire does: what runs is what this says.

    Asks git and the file system, and runs the commands of conditions and of `files:`, but only
    those whose answers matter. environment: what jobs inherit. may_run: False runs none of them.
    plugins: who supplies `uses:` jobs; None: the installed packages. pinned: files that commands
    may execute, as consent was given for them.
    Raises: UnplannableHook for jobs that cannot run; BadSelection.
    """
    if options.placement is Placement.OFF or options.selectors.skips_whole(hook.name):
        # Nobody was asked to consent to a fire that nobody wants: find out nothing.
        return plan(event, configuration, hook, Facts(), options)
    facts = probes.gather(
        event, environment, warn=warn, may_run=may_run, plugins=plugins, pinned=pinned
    )
    made = plan(event, configuration, hook, facts, options)
    running = {spec.name: spec for spec in (*made.foreground, *made.background)}
    if running:
        probes.check_rc(hook.name, rc_path(event, configuration))
        probes.check_scripts(
            hook.name,
            [
                (
                    running[job.name],
                    script_path(event, configuration, job, facts),
                    bool(job.runner),
                    job.mark,
                )
                for job in hook.jobs
                if job.script is not None and job.name in running
            ],
        )
        probes.check_directories(hook.name, running.values(), made.origins)
    return made
