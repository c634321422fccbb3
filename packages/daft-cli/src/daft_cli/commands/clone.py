"""`daft clone`: a repository, its first worktree, and its hooks."""

from __future__ import annotations

import os
import sys

import click

import daft_worktree
from daft_hooks import consent, discovery
from daft_hooks.errors import HooksError, RegistryUnavailable
from daft_worktree import cloning, git, layouts
from daft_worktree.cloning import Cloned
from daft_worktree.errors import CloneFailed, WorktreeError
from daft_worktree.repository import discover
from daft_worktree.settings import read_settings

from ..arrival import arrive
from ..catalog import every_entry, find_entry, is_path
from ..context import Session
from ..failures import INTERRUPTED, Trouble
from ..options import hooking, landing, refuse_trust_without_hooks, speaking
from ..place import change_directory, data_directory, run_after
from ..shared_links import link_shared
from ..sighting import sight
from ..terminal import show_path, warn


@click.command(name="clone")
@click.argument("source")
@click.argument("directory", required=False)
@click.option("-b", "--branch", "branches", multiple=True, metavar="BRANCH", help="Open this one.")
@click.option("-n", "--no-checkout", is_flag=True, help="No worktree (bare layouts only).")
@click.option("--layout", metavar="NAME", help="Where worktrees go.")
@click.option("--trust-hooks", is_flag=True, help="Consent to what its hooks run.")
@click.option("--depth", type=click.IntRange(min=1), help="Only the newest commits.")
@click.option("--filter", "filter_spec", metavar="SPEC", help="A partial clone.")
@click.option("--single-branch", is_flag=True, help="Only one branch's history.")
@landing
@hooking
@speaking
def command(
    source: str,
    directory: str | None,
    branches: tuple[str, ...],
    no_checkout: bool,
    layout: str | None,
    trust_hooks: bool,
    depth: int | None,
    filter_spec: str | None,
    single_branch: bool,
    commands: tuple[str, ...],
    no_cd: bool,
    skip_hooks: tuple[str, ...],
    placement: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Clone SOURCE into DIRECTORY and open a worktree."""
    if no_checkout and branches:
        raise Trouble("--no-checkout and --branch cannot be used together")
    refuse_trust_without_hooks(trust_hooks, skip_hooks, placement)
    if layout is not None:
        layouts.named(layout)
    cwd = os.getcwd()
    url = _url_of(source)
    cloned = cloning.fetch_clone(
        url,
        directory or cloning.directory_name(source if os.path.exists(source) else url),
        cwd=cwd,
        remote=read_settings("/").remote,
        depth=depth,
        filter_spec=filter_spec,
        single_branch=single_branch,
    )
    try:
        wanted = [cloned.default if name in ("HEAD", "@") else name for name in branches]
        chosen, missing = _choose(cloned, [name for name in wanted if name])
        chosen_layout, _ = layouts.resolve(
            explicit=layout, configured=_configured_layout(cloned.common_dir)
        )
    except BaseException:
        cloning.discard(cloned)
        raise
    if no_checkout:
        cloning.without_worktree(cloned, chosen_layout)
        repository = discover(cloned.directory)
        sight(repository)
        click.echo(f"Cloned into '{show_path(cloned.directory)}'")
        change_directory(repository, cloned.directory, wanted=not no_cd)
        return 0
    repository = cloning.first_worktree(cloned, chosen[0], chosen_layout, data_dir=data_directory())
    sight(repository, cloned.default)
    with Session(
        repository, quiet=quiet, verbose=verbose, skip_hooks=skip_hooks, placement=placement
    ) as session:
        code = _settle(session, cloned, url, trust=trust_hooks)
        for name in chosen[1:]:
            if code == INTERRUPTED:
                return code
            code = _further(session, name) or code
        for name in missing:
            sys.stderr.write(f"error: branch '{name}' not found on remote\n")
            code = code or 1
        if code == INTERRUPTED:
            return code
        here = repository.current
        assert here is not None
        session.say(f"Cloned into '{show_path(here.path)}'")
        change_directory(repository, here.path, wanted=not no_cd)
        run_after(commands, here.path)
        return code


def _url_of(source: str) -> str:
    """Return what git is to clone: a path made absolute, the remote of a name in the catalog."""
    if "://" in source:
        return source
    if os.path.exists(source):
        return os.path.abspath(source)
    if is_path(source) or ":" in source:
        return source
    known = find_entry(every_entry(), source)
    if known is None or known.remote_url is None:
        return source
    sys.stderr.write(f"cloning '{known.name}' from {known.remote_url}\n")
    return known.remote_url


def _choose(cloned: Cloned, wanted: list[str]) -> tuple[list[str], list[str]]:
    """Return the branches to open, and those that do not exist. Raises: CloneFailed."""
    if cloned.is_empty and cloned.default is not None and not wanted:
        return [cloned.default], []
    if cloned.is_empty and wanted:
        raise CloneFailed(f"branch '{wanted[0]}' not found on remote: it is an empty repository")
    text = git.run(
        cloned.common_dir, "for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/"
    )
    known = set(text.split("\n"))
    if not wanted:
        # A remote may name one that was never pushed.
        if cloned.default not in known:
            raise CloneFailed(
                "the remote does not tell its default branch", tips=("name one with -b",)
            )
        return [cloned.default], []
    found = [name for name in dict.fromkeys(wanted) if name in known]
    missing = [name for name in dict.fromkeys(wanted) if name not in known]
    if not found:
        raise CloneFailed(f"branch '{missing[0]}' not found on remote; the clone was removed")
    return found, missing


def _configured_layout(common_dir: str) -> str | None:
    """Return the layout that the repository's `daft.yml` asks for."""

    def read(name: str) -> bytes | None:
        shown = git.attempt(common_dir, "show", f"HEAD:{name}")
        return f"{shown.out}\n".encode("utf-8", "surrogateescape") if shown.ok else None

    try:
        loaded = discovery.load_from(read)
        return None if loaded is None else loaded.decoded.configuration.layout
    except HooksError as error:
        warn(f"its layout cannot be read: {error}")
        return None


def _settle(session: Session, cloned: Cloned, url: str, *, trust: bool) -> int:
    """Run the hooks of the first worktree; return an exit code."""
    here = session.repository.current
    assert here is not None
    # A new repository at an old path must not inherit the old one's consent.
    try:
        consent.forget(session.registry, session.repository.common_dir)
    except RegistryUnavailable as error:
        warn(
            f"hooks are not trusted: {error}"
        )  # nothing in it counts then, so nothing is inherited
    loaded = session.load_leniently(here.path)
    if trust:
        hooks = session.with_scripts(loaded, here.path)
        session.trust(None if hooks is None else hooks.seen_in(here.path))
    facts = {"repository_url": url, "default_branch": cloned.default}
    for hook, known in (("post-clone", facts), ("worktree-post-create", {})):
        if hook == "worktree-post-create":
            link_shared(session.repository, here, loaded)  # what the first hook has shared
        outcome = session.fire(session.event(hook, "clone", here, **known), loaded)
        if outcome.must_stop:
            return INTERRUPTED if outcome.was_interrupted else 1
    return 0


def _further(session: Session, name: str) -> int:
    """Open another branch of the clone; its failure does not keep the others away."""
    fresh = session.repository.refreshed()
    session.repository = fresh
    try:
        planned = daft_worktree.plan_visit(
            fresh, name, layout=session.layout(), data_dir=session.data_dir
        )
        if isinstance(planned, daft_worktree.Existing):
            return 0
        return arrive(
            session,
            planned,
            carry=False,
            result=f"Prepared worktree '{name}'",
            no_cd=True,
            commands=(),
        )
    except (WorktreeError, HooksError, Trouble) as error:
        sys.stderr.write(f"error: '{name}': {error}\n")
        for tip in getattr(error, "tips", ()):
            sys.stderr.write(f"  tip: {tip}\n")
        return error.code if isinstance(error, Trouble) else 1
