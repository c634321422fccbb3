"""`daft env`: the ports and values a worktree derives for itself, and what jobs are told."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping

import click
from attrs import frozen

from daft_hooks import discovery
from daft_hooks.declarations import is_inside
from daft_hooks.domain.config import EnvConfig
from daft_hooks.domain.deriving import derive, first_of_block, undeclared_port
from daft_hooks.domain.event import environment_of
from daft_hooks.reading import nearest
from daft_worktree import git
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import Trouble
from ..formats import FORMATS, write_rows
from ..place import discover
from ..terminal import harmless
from .hooks_shared import standing_in

COLUMNS = ("name", "value", "source", "offset")
AT_REST = (
    "DAFT_PROJECT_ROOT", "DAFT_GIT_DIR", "DAFT_REMOTE", "DAFT_SOURCE_WORKTREE",
    "DAFT_WORKTREE_PATH", "DAFT_BRANCH_NAME", "DAFT_IS_NEW_BRANCH",
)  # fmt: skip
OF_AN_EVENT = (
    "DAFT_HOOK", "DAFT_TASK", "DAFT_COMMAND", "DAFT_BASE_BRANCH", "DAFT_COMMIT",
    "DAFT_REPOSITORY_URL", "DAFT_DEFAULT_BRANCH", "DAFT_REMOVAL_REASON", "DAFT_IS_MOVE",
    "DAFT_OLD_WORKTREE_PATH", "DAFT_OLD_BRANCH_NAME", "DAFT_JOB_NAME", "DAFT_INVOCATION_ID",
    "DAFT_BACKGROUND",
)  # fmt: skip


@frozen(kw_only=True)
class _Here:
    """What `daft env` answers about. env: None when nothing is declared."""

    project: str
    slug: str
    path: str
    env: EnvConfig | None
    derived: Mapping[str, str]
    at_rest: Mapping[str, str]


@click.command(name="env")
@click.argument("address", required=False, metavar="[VARIABLE][@WORKTREE]")
@click.option("--worktree", metavar="NAME", help="For this worktree instead of the current one.")
@click.option("--ad-hoc", is_flag=True, help="A port also for a name nobody declared.")
@click.option("--export", is_flag=True, help="Lines for a shell to read.")
@click.option("--write", is_flag=True, help="Write them into the file that `env.write` names.")
@click.option("--to", metavar="PATH", help="With --write: another file; - is standard output.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="For programs.")
def command(
    address: str | None,
    worktree: str | None,
    ad_hoc: bool,
    export: bool,
    write: bool,
    to: str | None,
    form: str | None,
) -> int:
    """Show the ports and values of a worktree, or the value of one VARIABLE.

    They are derived from the name of the worktree: nothing is asked for, nothing is stored.
    """
    name, tree = _split(address, worktree)
    wanted = [word for word, given in (("--export", export), ("--write", write),
                                       ("--format", form is not None)) if given]  # fmt: skip
    if len(wanted) > 1:
        raise click.UsageError(f"{' and '.join(wanted)} exclude each other")
    if name and wanted:
        raise click.UsageError(f"{wanted[0]} is for all variables; leave {name} away")
    if to is not None and not write:
        raise click.UsageError("--to needs --write")
    with Session(discover(), quiet=True) as session:
        here = _here(session, _tree(session, tree))
    if name:
        click.echo(_value_of(here, name, ad_hoc=ad_hoc))
    elif export:
        for variable, value in here.derived.items():
            click.echo(f"export {variable}={shlex.quote(value)}")
    elif write:
        _write(here, to)
    elif form is not None:
        write_rows(form, [_row(here, variable) for variable in here.derived], COLUMNS)
    else:
        _show(here)
    return 0


def _split(address: str | None, worktree: str | None) -> tuple[str, str | None]:
    """Return the variable, "" for all, and the worktree, None for the current one."""
    if address is None:
        return "", worktree
    name, at, tree = address.partition("@")
    if at and (not tree or worktree is not None):
        raise click.UsageError(f"'{address}' names no worktree, or --worktree names another")
    if ":" in name:
        raise Trouble(
            "variables of other repositories cannot be asked for from here",
            tips=("daft -C <path> env …",),
        )
    return name, tree if at else worktree


def _tree(session: Session, name: str | None) -> Worktree:
    if name is None:
        return standing_in(session)
    trees = [tree for tree in session.repository.worktrees if not tree.is_bare]
    found = next((tree for tree in trees if name in (tree.branch, tree.label)), None)
    if found is None:
        known = [tree.label for tree in trees]
        raise Trouble(f"no worktree '{name}'{nearest(name, known)} ({', '.join(known)})")
    return found


def _here(session: Session, tree: Worktree) -> _Here:
    loaded = discovery.load(tree.path)
    env = None if loaded is None else loaded.configuration.env
    event = session.event("env", "env", tree, task="env")
    facts = environment_of(event)
    derived = {} if env is None else derive(
        env,
        project_root=event.project_root,
        worktree_path=tree.path,
        slug=event.slug,
        branch=event.branch,
    )  # fmt: skip
    return _Here(
        project=os.path.basename(event.project_root),
        slug=event.slug,
        path=tree.path,
        env=env,
        derived=derived,
        at_rest={name: facts.get(name, "") for name in AT_REST},
    )


def _value_of(here: _Here, name: str, *, ad_hoc: bool) -> str:
    if name in here.derived:
        return here.derived[name]
    if name in here.at_rest:
        return here.at_rest[name]
    if name in OF_AN_EVENT or name.startswith("DAFT_MERGE_"):
        raise Trouble(f"{name} has no value at rest; jobs get it while an event is handled")
    if name.startswith("DAFT_"):
        near = nearest(name, (*AT_REST, *OF_AN_EVENT))
        raise Trouble(f"{name} is not a variable daft sets{near}")
    if here.env is not None and not ad_hoc:
        raise Trouble(
            f"{name} is not declared{nearest(name, here.derived)}",
            tips=("declare it under `env:`, or use --ad-hoc",),
        )
    env = here.env or EnvConfig()
    return str(undeclared_port(env, project=here.project, slug=here.slug, name=name))


def _row(here: _Here, name: str) -> dict[str, object]:
    offset = None if here.env is None else here.env.offsets.get(name)
    source = "value" if offset is None else "port"
    return {"name": name, "value": here.derived[name], "source": source, "offset": offset}


def _show(here: _Here) -> None:
    width = max((len(name) for name in (*here.derived, *here.at_rest)), default=0)
    for name in here.derived:
        row = _row(here, name)
        kind = "value" if row["offset"] is None else f"port +{row['offset']}"
        click.echo(f"{name:<{width}}  {harmless(here.derived[name])}  ({kind})")
    if here.env is not None:
        first = first_of_block(here.env, project=here.project, slug=here.slug)
        click.echo(f"block {first}-{first + here.env.block_size - 1}, for {here.slug}")
    for name, value in here.at_rest.items():
        click.echo(f"{name:<{width}}  {harmless(value)}")


def _write(here: _Here, to: str | None) -> None:
    lines = [
        "# Written by `daft env --write` for this worktree.\n",
        "# It is derived: do not edit.\n",
    ]
    lines += [f"{name}={_quoted(value)}\n" for name, value in here.derived.items()]
    if to == "-":
        sys.stdout.write("".join(lines))
        return
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
