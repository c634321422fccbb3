"""What `daft env` answers about: an address to a repository, a worktree and a variable."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import click
from attrs import evolve, frozen

import daft_worktree
from daft_hooks import discovery
from daft_hooks.declarations import parse_range
from daft_hooks.domain.config import EnvConfig
from daft_hooks.domain.deriving import blocks, derive, first_of_block
from daft_hooks.domain.event import environment_of
from daft_hooks.domain.slug import worktree_slug
from daft_worktree.layouts import path_for
from daft_worktree.names import check_branch_name
from daft_worktree.repository import Repository
from daft_worktree.worktrees import Worktree

from .catalog import every_entry, find_entry, is_path, suggestions
from .context import Session
from .failures import Trouble
from .repositories import look_at
from .terminal import show_path

Note = Callable[[str], None]


@frozen(kw_only=True)
class Address:
    """`[repository:]variable[@worktree]`, taken apart; "" and None where nothing is said."""

    variable: str = ""
    repository: str | None = None
    worktree: str | None = None


@frozen(kw_only=True)
class WhatIf:
    """What the user wants to suppose in place of what is declared; None for no change."""

    salt: str | None = None
    ports: str | None = None
    block_size: int | None = None

    @property
    def changes(self) -> bool:
        """True when anything is supposed."""
        return (self.salt, self.ports, self.block_size) != (None, None, None)


@frozen(kw_only=True)
class Subject:
    """One worktree, and what it derives.

    env: None when nothing is declared. declared: the same without suppositions.
    exists: False for a worktree that is yet to be made. twin: the label of another worktree
    that has the same block of ports, None for none.
    """

    project_root: str
    slug: str
    path: str
    branch: str
    exists: bool
    env: EnvConfig | None
    declared: EnvConfig | None
    at_rest: Mapping[str, str]
    twin: str | None

    @property
    def project(self) -> str:
        """The name of the project, the salt unless one is declared."""
        return os.path.basename(self.project_root)

    @property
    def derived(self) -> dict[str, str]:
        """Every variable and its value."""
        return self._derive(self.env)

    @property
    def configured(self) -> dict[str, str]:
        """The same, had nothing been supposed."""
        return self._derive(self.declared)

    def _derive(self, env: EnvConfig | None) -> dict[str, str]:
        if env is None:
            return {}
        return derive(
            env,
            project_root=self.project_root,
            worktree_path=self.path,
            slug=self.slug,
            branch=self.branch,
        )


def parse_address(text: str | None, repository: str | None, worktree: str | None) -> Address:
    """Return what an address and the options beside it say together. Raises: UsageError."""
    if text is None:
        return Address(repository=repository, worktree=worktree)
    rest, at, tree = text.partition("@")
    if at and (not tree or worktree is not None):
        raise click.UsageError(f"'{text}' names no worktree, or --worktree names another")
    repo, colon, name = rest.partition(":") if ":" in rest else ("", "", rest)
    if colon and (not repo or repository is not None):
        raise click.UsageError(f"'{text}' names no repository, or --repo names another")
    if not name or ":" in name:
        raise click.UsageError(f"'{text}' is no [REPOSITORY:]VARIABLE[@WORKTREE]")
    return Address(
        variable=name,
        repository=repo if colon else repository,
        worktree=tree if at else worktree,
    )


def find_repository(session: Session, name: str) -> Repository:
    """Return the repository that `name` means.

    That is a path, one of the catalog, a neighbour, or one consented to once.
    Raises: Trouble when there is none, or more than one.
    """
    entries = every_entry()
    known = None if is_path(name) else find_entry(entries, name)
    if known is not None:
        found = look_at(known).repository
        if found is not None:
            return found
        raise Trouble(f"the repository '{known.name}' is not at {show_path(known.path)} any more")
    beside = os.path.join(os.path.dirname(session.repository.project_root), name)
    if is_path(name):
        return daft_worktree.discover(os.path.expanduser(name))
    if os.path.isdir(beside):
        return daft_worktree.discover(beside)
    consented = [
        os.path.dirname(common) if os.path.basename(common) == ".git" else common
        for common in session.registry.entries()
        if os.path.isdir(common)
    ]
    fitting = [path for path in consented if os.path.basename(path).removesuffix(".git") == name]
    if len(fitting) != 1:
        several = f": {', '.join(map(show_path, fitting))}" if fitting else ""
        what = "more than one repository is" if fitting else "no repository is"
        tips = ("name it by its path: --repo", *suggestions(entries, name))
        raise Trouble(f"{what} known as '{name}'{several}", tips=tips)
    return daft_worktree.discover(fitting[0])


def subject_of(session: Session, tree: Worktree, what_if: WhatIf, *, exists: bool) -> Subject:
    """Return what is known of a worktree. Raises: Trouble for suppositions that cannot be."""
    repository = session.repository
    declared = _declared(session, tree, exists=exists)
    event = session.event("env", "env", tree, task="env")
    facts = environment_of(event)
    env = _supposed(declared, what_if)
    return Subject(
        project_root=event.project_root,
        slug=event.slug,
        path=tree.path,
        branch=event.branch,
        exists=exists,
        env=env,
        declared=declared,
        at_rest={name: facts.get(name, "") for name in AT_REST},
        twin=None if env is None or _is_unchecked() else _twin(repository, tree, env),
    )


def find_worktree(session: Session, name: str, note: Note) -> tuple[Worktree, bool]:
    """Return the worktree called `name`, or where it would be made; False says it is not there.

    Raises: Trouble for what can be no branch's name.
    """
    repository = session.repository
    trees = [tree for tree in repository.worktrees if not tree.is_bare]
    found = next((one for one in trees if name in (one.branch, one.label)), None)
    if found is not None:
        return found, True
    check_branch_name(name)
    path = path_for(session.layout(), name, root=repository.project_root, data_dir=session.data_dir)
    note(f"there is no worktree '{name}' yet; answering for {show_path(path)}")
    return Worktree(path=path, head=None, branch=name), False


def counterpart(session: Session, mine: Worktree, home: Repository, note: Note) -> Worktree | None:
    """Return the worktree of another repository that goes with `mine`: same slug, or branch."""
    trees = [one for one in session.repository.worktrees if not (one.is_bare or one.missing)]
    slug = worktree_slug(mine.path, home.project_root)
    root = session.repository.project_root
    fitting = [one for one in trees if worktree_slug(one.path, root) == slug]
    fitting += [one for one in trees if one.branch is not None and one.branch == mine.branch]
    if not fitting:
        return None
    note(f"answering for {show_path(fitting[0].path)}")
    return fitting[0]


AT_REST = (
    "DAFT_PROJECT_ROOT", "DAFT_GIT_DIR", "DAFT_REMOTE", "DAFT_SOURCE_WORKTREE",
    "DAFT_WORKTREE_PATH", "DAFT_BRANCH_NAME", "DAFT_IS_NEW_BRANCH",
)  # fmt: skip
"""What every job is told, whatever happens."""


def _declared(session: Session, tree: Worktree, *, exists: bool) -> EnvConfig | None:
    loaded = None
    if exists:
        loaded = discovery.load(tree.path)
    else:
        # What it will be made of: its own branch, or what one stands in.
        refs = [f"refs/heads/{tree.branch}"]
        if session.repository.remote is not None:
            refs.append(f"refs/remotes/{session.repository.remote}/{tree.branch}")
        loaded = discovery.load_from_git(session.repository.common_dir, refs)
        here = session.repository.current
        if loaded is None and here is not None:
            loaded = discovery.load(here.path)
    return None if loaded is None else loaded.configuration.env


def _supposed(declared: EnvConfig | None, what_if: WhatIf) -> EnvConfig | None:
    if not what_if.changes:
        return declared
    env = declared or EnvConfig()
    if what_if.salt is not None:
        env = evolve(env, salt=what_if.salt)
    if what_if.ports is not None:
        found = parse_range(what_if.ports)
        if found is None:
            raise Trouble(f"--range: '{what_if.ports}' is no range of ports such as 20000-32767")
        env = evolve(env, first_port=found[0], last_port=found[1])
    if what_if.block_size is not None:
        env = evolve(env, block_size=what_if.block_size)
    if blocks(env) < 2:
        raise Trouble(
            f"{env.first_port}-{env.last_port} is too small for two blocks of "
            f"{env.block_size} ports in its lower half"
        )
    late = [name for name, offset in env.offsets.items() if offset >= env.block_size]
    if late:
        raise Trouble(f"--block-size {env.block_size} has no room for {', '.join(late)}")
    return env


def _is_unchecked() -> bool:
    """True where the user does not want to hear of worktrees with the same ports."""
    return bool(os.environ.get("DAFT_ENV_NO_COLLISION_CHECK"))


def _twin(repository: Repository, tree: Worktree, env: EnvConfig) -> str | None:
    root = repository.project_root
    project = os.path.basename(root)
    mine = first_of_block(env, project=project, slug=worktree_slug(tree.path, root))
    for other in repository.worktrees:
        if other.is_bare or other.missing or other.path == tree.path:
            continue
        slug = worktree_slug(other.path, root)
        if first_of_block(env, project=project, slug=slug) == mine:
            return other.label
    return None
