"""`daft env`: the ports and values a worktree derives for itself, and what jobs are told."""

from __future__ import annotations

import os
import shlex
import sys

import click

from daft_hooks.declarations import is_inside
from daft_hooks.domain.config import EnvConfig
from daft_hooks.domain.deriving import first_of_block, undeclared_port
from daft_hooks.reading import nearest
from daft_worktree import git

from ..context import Session
from ..env_subject import (
    AT_REST,
    Address,
    Subject,
    WhatIf,
    counterpart,
    find_repository,
    find_worktree,
    parse_address,
    subject_of,
)
from ..failures import Trouble
from ..formats import FORMATS, write_rows
from ..place import discover
from ..terminal import harmless, warn
from .hooks_shared import standing_in

COLUMNS = ("name", "value", "source", "offset")
OF_AN_EVENT = (
    "DAFT_HOOK", "DAFT_TASK", "DAFT_COMMAND", "DAFT_BASE_BRANCH", "DAFT_COMMIT",
    "DAFT_REPOSITORY_URL", "DAFT_DEFAULT_BRANCH", "DAFT_REMOVAL_REASON", "DAFT_IS_MOVE",
    "DAFT_OLD_WORKTREE_PATH", "DAFT_OLD_BRANCH_NAME", "DAFT_JOB_NAME", "DAFT_INVOCATION_ID",
    "DAFT_BACKGROUND",
)  # fmt: skip


@click.command(name="env")
@click.argument("address", required=False, metavar="[[REPOSITORY:]VARIABLE[@WORKTREE]]")
@click.option("--repo", metavar="NAME|PATH", help="For another repository.")
@click.option("--worktree", metavar="NAME", help="For this worktree; it need not be there yet.")
@click.option("--ad-hoc", is_flag=True, help="A port also for a name nobody declared.")
@click.option("--salt", metavar="TEXT", help="Suppose this salt.")
@click.option("--range", "ports", metavar="A-B", help="Suppose these ports.")
@click.option("--block-size", type=click.IntRange(min=1), help="Suppose blocks of so many ports.")
@click.option("--offset", type=click.IntRange(min=0), help="Suppose VARIABLE has this offset.")
@click.option("--export", is_flag=True, help="Lines for a shell to read.")
@click.option("--write", is_flag=True, help="Write them into the file that `env.write` names.")
@click.option("--to", metavar="PATH", help="With --write: another file; - is standard output.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs.")
def command(
    address: str | None,
    repo: str | None,
    worktree: str | None,
    ad_hoc: bool,
    salt: str | None,
    ports: str | None,
    block_size: int | None,
    offset: int | None,
    export: bool,
    write: bool,
    to: str | None,
    form: str | None,
) -> int:
    """Show the ports and values of a worktree, or the value of one VARIABLE.

    They are derived from the name of the worktree: nothing is asked for, nothing is stored. So
    one may ask for a worktree that is yet to be made, and for what would be if `env:` said
    something else.
    """
    asked = parse_address(address, repo, worktree)
    what_if = WhatIf(salt=salt, ports=ports, block_size=block_size)
    wanted = [word for word, given in (("--export", export), ("--write", write),
                                       ("--format", form is not None)) if given]  # fmt: skip
    if len(wanted) > 1:
        raise click.UsageError(f"{' and '.join(wanted)} exclude each other")
    if asked.variable and wanted:
        raise click.UsageError(f"{wanted[0]} is for all variables; leave {asked.variable} away")
    if to is not None and not write:
        raise click.UsageError("--to needs --write")
    if offset is not None and not asked.variable:
        raise click.UsageError("--offset needs a VARIABLE")
    supposes = what_if.changes or offset is not None
    if supposes and asked.variable.startswith("DAFT_"):
        raise click.UsageError(f"{asked.variable} is not derived: nothing can be supposed of it")
    if write and supposes:
        raise click.UsageError("--write writes what is, not what is supposed")
    here = _subject(asked, what_if)
    if here.twin is not None and not export and not asked.variable.startswith("DAFT_"):
        warn(f"'{here.twin}' has the same block of ports as {here.slug}")
    if asked.variable:
        _show_one(here, asked.variable, ad_hoc=ad_hoc, offset=offset)
        return 0
    if here.derived != here.configured:
        _note("as supposed; what is configured differs")
    if export:
        for variable, value in here.derived.items():
            click.echo(f"export {variable}={shlex.quote(value)}")
    elif write:
        _write(here, to)
    elif form is not None:
        write_rows(form, [_row(here, variable) for variable in here.derived], COLUMNS)
    else:
        _show(here)
    return 0


def _subject(asked: Address, what_if: WhatIf) -> Subject:
    """Return the worktree that is asked about. Raises: Trouble."""
    with Session(discover(), quiet=True) as home:
        if asked.repository is None:
            if asked.worktree is None:
                return subject_of(home, standing_in(home), what_if, exists=True)
            tree, exists = find_worktree(home, asked.worktree, _note)
            return subject_of(home, tree, what_if, exists=exists)
        mine = None if asked.worktree is not None else standing_in(home)
        other = find_repository(home, asked.repository)
        with Session(other, quiet=True) as there:
            if mine is None:
                tree, exists = find_worktree(there, asked.worktree or "", _note)
                return subject_of(there, tree, what_if, exists=exists)
            fitting = counterpart(there, mine, home.repository, _note)
            if fitting is not None:
                return subject_of(there, fitting, what_if, exists=True)
            tree, exists = find_worktree(there, mine.label, _note)
            return subject_of(there, tree, what_if, exists=exists)


def _note(text: str) -> None:
    sys.stderr.write(f"note: {text}\n")


def _show_one(here: Subject, name: str, *, ad_hoc: bool, offset: int | None) -> None:
    """Print one value. Raises: Trouble."""
    if offset is None:
        value = _value_of(here, name, here.env, ad_hoc=ad_hoc)
        usual = here.configured.get(name)
        if usual is None and not name.startswith("DAFT_"):
            usual = _value_of(here, name, here.declared, ad_hoc=True)
    else:
        env = here.env or EnvConfig()
        if offset >= env.block_size:
            raise Trouble(f"--offset {offset}: a block has only {env.block_size} ports")
        value = str(first_of_block(env, project=here.project, slug=here.slug) + offset)
        usual = here.configured.get(name)
    if usual is not None and usual != value:
        _note(f"as supposed; configured is {usual}")
    click.echo(value)


def _value_of(here: Subject, name: str, env: EnvConfig | None, *, ad_hoc: bool) -> str:
    derived = here.derived if env is here.env else here.configured
    if name in derived:
        return derived[name]
    if name in here.at_rest:
        return here.at_rest[name]
    if name in OF_AN_EVENT or name.startswith("DAFT_MERGE_"):
        raise Trouble(f"{name} has no value at rest; jobs get it while an event is handled")
    if name.startswith("DAFT_"):
        near = nearest(name, (*AT_REST, *OF_AN_EVENT))
        raise Trouble(f"{name} is not a variable daft sets{near}")
    if here.declared is not None and not ad_hoc:
        raise Trouble(
            f"{name} is not declared{nearest(name, derived)}",
            tips=("declare it under `env:`, or use --ad-hoc",),
        )
    return str(undeclared_port(env or EnvConfig(), project=here.project, slug=here.slug, name=name))


def _row(here: Subject, name: str) -> dict[str, object]:
    offset = None if here.env is None else here.env.offsets.get(name)
    source = "value" if offset is None else "port"
    return {"name": name, "value": here.derived[name], "source": source, "offset": offset}


def _show(here: Subject) -> None:
    derived = here.derived
    width = max((len(name) for name in (*derived, *here.at_rest)), default=0)
    for name in here.derived:
        row = _row(here, name)
        kind = "value" if row["offset"] is None else f"port +{row['offset']}"
        click.echo(f"{name:<{width}}  {harmless(here.derived[name])}  ({kind})")
    if here.env is not None:
        first = first_of_block(here.env, project=here.project, slug=here.slug)
        click.echo(f"block {first}-{first + here.env.block_size - 1}, for {here.slug}")
    for name, value in here.at_rest.items():
        click.echo(f"{name:<{width}}  {harmless(value)}")


def _write(here: Subject, to: str | None) -> None:
    lines = [
        "# Written by `daft env --write` for this worktree.\n",
        "# It is derived: do not edit.\n",
    ]
    lines += [f"{name}={_quoted(value)}\n" for name, value in here.derived.items()]
    if to == "-":
        sys.stdout.write("".join(lines))
        return
    if not here.exists:
        raise Trouble(f"{here.path} does not exist yet", tips=("--write --to - prints it",))
    target = to or (None if here.env is None else here.env.write)
    if target is None:
        raise Trouble("no file to write to", tips=("name one by `env.write`, or use --to",))
    if not is_inside(target):
        raise Trouble(f"{target} is no path inside of the worktree")
    path = os.path.join(here.path, target)
    if os.path.islink(path) or not os.path.isdir(os.path.dirname(path)):
        raise Trouble(f"{path} is a link, or its directory does not exist")
    if git.attempt(here.path, "ls-files", "--error-unmatch", "--", target).ok:
        raise Trouble(
            f"{target} is tracked by git, and differs in each worktree",
            tips=(f"git rm --cached {shlex.quote(target)}, and add it to .gitignore",),
        )
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(lines)
    sys.stderr.write(f"wrote {path}\n")


def _quoted(value: str) -> str:
    if value and all(char.isalnum() or char in "_-./:@%+," for char in value):
        return value
    plain = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{plain}"'
