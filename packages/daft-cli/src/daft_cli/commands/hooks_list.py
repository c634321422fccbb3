"""The list of hooks and their jobs, which `daft hooks run` shows without a hook."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import click

from daft_hooks.domain.config import HookConfig

from ..failures import Trouble
from ..formats import write_rows

COLUMNS = ("job_name", "description", "tags")
SECTIONED = ("json", "yaml", "markdown")
"""Formats that can hold a section per hook."""


def list_hooks(
    hooks: Mapping[str, HookConfig], form: str | None, template: str | None, *, headers: bool = True
) -> int:
    """Write the hooks and their jobs; return the exit code.

    headers: with words around a list that is meant to be read.
    Raises: Trouble.
    """
    if form is not None and form not in SECTIONED:
        raise Trouble(
            f"the list of hooks does not support {form}",
            tips=(f"supported: {', '.join(SECTIONED)}, and --template",),
        )
    rows = {
        hook.name: [
            {"job_name": job.name, "description": job.description, "tags": ",".join(job.tags)}
            for job in hook.jobs
        ]
        for hook in hooks.values()
    }
    if template is not None:
        _write_template(rows, template)
    elif form is not None:
        _write_sections(rows, form)
    else:
        if headers:
            click.echo("Available hooks:")
        for hook in hooks.values():
            click.echo(f"{'  ' if headers else ''}{hook.name} ({count_of(hook)})")
        if headers:
            click.echo("Run one with: daft hooks run <hook>")
    return 0


def count_of(hook: HookConfig) -> str:
    """Return how many jobs a hook or task has, in words."""
    return "1 job" if len(hook.jobs) == 1 else f"{len(hook.jobs)} jobs"


def _write_sections(rows: Mapping[str, Sequence[Mapping[str, str]]], form: str) -> None:
    if form == "json":
        import json

        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    elif form == "yaml":
        import yaml

        sys.stdout.write(yaml.safe_dump(rows, sort_keys=False, allow_unicode=True))
    else:
        for hook, jobs in rows.items():
            sys.stdout.write(f"## {hook}\n\n")
            write_rows(form, jobs, COLUMNS)
            sys.stdout.write("\n")


def _write_template(rows: Mapping[str, Sequence[Mapping[str, str]]], text: str) -> None:
    from ..templates import Template

    items = [{"hook": hook, **job} for hook, jobs in rows.items() for job in jobs]
    sys.stdout.write(Template(text).text(items))
