"""What the worktree verbs share: where one stands, what is configured, how hooks are fired."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from daft_hooks import consent, discovery, legacy
from daft_hooks.adapters.registry import SqliteTrustRegistry
from daft_hooks.consent import Consenting
from daft_hooks.discovery import Loaded
from daft_hooks.domain.event import Event
from daft_hooks.domain.planning import Options, Placement
from daft_hooks.domain.selection import Narrowing, Selectors, parse_selectors
from daft_hooks.domain.trust import Verdict
from daft_hooks.errors import BadConfiguration, UnreadableConfiguration
from daft_hooks.firing import FireOutcome, FireStatus, Firing, fire
from daft_hooks.hooktypes import HOOK_TYPES, FailMode
from daft_hooks.settings import OWN_ONLY, HookSettings, hook_settings
from daft_hooks.watching import JobWatcher
from daft_store.roots import config_root
from daft_worktree.layouts import Layout
from daft_worktree.repository import Repository
from daft_worktree.settings import read_settings
from daft_worktree.worktrees import Worktree

from .place import data_directory, layout_of, remote_url
from .questions import notice, question_on_terminal
from .terminal import harmless, harmless_lines, warn, warn_once
from .wiring import Engine, RepositoryJobs

if TYPE_CHECKING:
    from .presenter import Presenter


class Session:
    """One command at work in one repository: hooks, jobs, messages.

    skip_hooks, placement: from `--skip-hooks` and `--hooks`.
    fired: the hook runs of this command that were recorded, in their order.
    says_aside: standard output is for something else, so results are told on standard error.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        quiet: bool = False,
        verbose: bool = False,
        skip_hooks: Sequence[str] = (),
        placement: str = "auto",
    ) -> None:
        self.repository = repository
        self.quiet = quiet
        self._verbose = verbose
        self.jobs = RepositoryJobs(repository.common_dir)
        self.registry = SqliteTrustRegistry(data_directory())
        self.settings: HookSettings = hook_settings(
            repository.settings.values,
            own=_own_settings(repository),
            config_dir=config_root(os.environ),
            home=os.environ.get("HOME"),
        )
        self._selectors: Selectors = parse_selectors(skip_hooks)
        self._placement = Placement(placement)
        self._engine: Engine | None = None
        self._told_untrusted = False
        self._unmatched: list[frozenset[str]] = []
        self._remote_url: str | None = None
        self._remote_asked = False
        self._warned: set[str] = set()
        self.is_unreadable = False
        self.fired: list[str] = []
        self.says_aside = False
        for line in (*repository.settings.warnings, *self.settings.warnings):
            warn_once(line)  # a command may look at two repositories

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._unmatched:
            for selector in sorted(frozenset.intersection(*self._unmatched)):
                warn(f"--skip-hooks: '{selector}' matches no hook or job")
        self.close()

    def close(self) -> None:
        """Let go of terminal, jobs and store."""
        if "presenter" in self.__dict__:
            self.presenter.close()
        if self._engine is not None:
            self._engine.close()
        self.jobs.close()

    @cached_property
    def presenter(self) -> Presenter:
        """What shows jobs that run here."""
        from .presenter import Presenter

        return Presenter(
            quiet=self._shows_no_jobs,
            verbose=self._verbose or (self.settings.output.verbose and not self._shows_no_jobs),
            is_mute=self.quiet,
            output=self.settings.output,
        )

    @property
    def _shows_no_jobs(self) -> bool:
        """True when jobs are shown only as they fail; what was typed goes before settings."""
        return self.quiet or (self.settings.output.quiet and not self._verbose)

    # --- configuration ------------------------------------------------------------------------

    @property
    def data_dir(self) -> str:
        """The user's data directory."""
        return data_directory()

    def layout(self, explicit: str | None = None) -> Layout:
        """Return the layout that applies to new worktrees."""
        return layout_of(self.repository, self.data_dir, explicit)

    def load(self, worktree: str) -> Loaded | None:
        """Return the configuration of a worktree. Raises: BadConfiguration for broken YAML."""
        loaded = discovery.load(worktree)
        if loaded is not None:
            _ = loaded.configuration  # a broken gate must not be skipped silently
            self._warn_about(loaded)
        return loaded

    def load_leniently(self, worktree: str) -> Loaded | None:
        """Return the configuration of a worktree that goes away; a broken one is only a warning.

        A typo must not make worktrees undeletable.
        """
        self.is_unreadable = False
        try:
            return self.load(worktree)
        except (BadConfiguration, UnreadableConfiguration) as error:
            warn(f"hooks are skipped, their configuration cannot be read: {error}")
            self.is_unreadable = True
            return None

    def with_scripts(self, loaded: Loaded | None, worktree: str) -> Loaded | None:
        """Return `loaded` with the executable hooks of `worktree`; None when there is nothing."""
        found = legacy.with_scripts(loaded, worktree, self.settings.user_directory)
        return None if found is None else found.loaded

    def load_for_creation(self, refs: Sequence[str]) -> Loaded | None:
        """Return the configuration for a worktree that is not there yet, out of git's objects.

        The first of `refs` that has one counts.
        """
        loaded = discovery.load_from_git(self.repository.common_dir, refs)
        if loaded is not None:
            _ = loaded.configuration
            self._warn_about(loaded)
        return loaded

    def _warn_about(self, loaded: Loaded) -> None:
        for problem in loaded.decoded.problems:
            text = str(problem)
            if problem.is_told_when_read and text not in self._warned:
                self._warned.add(text)
                if not self.quiet:
                    warn(text)

    # --- hooks --------------------------------------------------------------------------------

    def options(self, narrowing: Narrowing | None = None) -> Options:
        """Return what this command asks of a plan."""
        return Options(
            selectors=self._selectors,
            narrowing=narrowing or Narrowing(),
            placement=self._placement,
            timeout_s=self.settings.timeout_s,
        )

    def fire(
        self,
        event: Event,
        loaded: Loaded | None,
        *,
        trusted: bool = False,
        narrowing: Narrowing | None = None,
    ) -> FireOutcome:
        """Fire a hook and say what went wrong.

        trusted: ask for no consent, the user runs it by hand. narrowing: only some jobs.
        """
        if loaded is None and self.is_unreadable:
            # What cannot be read may define this hook; then its executable file must not run.
            return FireOutcome(
                hook=event.hook,
                status=FireStatus.SKIPPED,
                fail_mode=FailMode.WARN,
                reason="its configuration cannot be read",
            )
        consenting = None if trusted else self.consenting()
        outcome = fire(event, loaded, self.firing(consenting, narrowing))
        if outcome.invocation_id is not None:
            self._unmatched.append(frozenset(outcome.unmatched))
            self.fired.append(outcome.invocation_id)
        if outcome.consent is not None and outcome.seen is not None:
            self.tell_untrusted(outcome.seen, outcome, event)
        elif not outcome.ok:
            self._tell_failure(outcome, event)
        return outcome

    def consenting(self) -> Consenting:
        """Return where consent to hooks is looked up and asked for."""
        return Consenting(
            registry=self.registry,
            remote_url=self.remote_url(),
            default=self.settings.default_trust,
            ask=question_on_terminal(),
        )

    def firing(
        self, consenting: Consenting | None = None, narrowing: Narrowing | None = None
    ) -> Firing:
        """Return what all fires of this command share."""
        return Firing(
            engine=self.engine,
            observer=self.presenter,
            settings=self.settings,
            consenting=consenting,
            options=self.options(narrowing),
            environment=dict(os.environ),
        )

    def event(self, hook: str, command: str, worktree: Worktree, **facts: Any) -> Event:
        """Return an event of this repository for `worktree`; `facts` say what is special."""
        repository = self.repository
        branch = worktree.branch or worktree.paused_branch or ""
        usual: dict[str, Any] = {
            "project_root": repository.project_root,
            "git_dir": repository.common_dir,
            "remote": repository.remote or repository.settings.remote,
            "source_worktree": worktree.path,
            "worktree_path": worktree.path,
            "branch": branch,
            "commit": None if branch else worktree.head,
            "cwd": worktree.path,
            "label": worktree.label,
            "worktree_id": worktree.worktree_id,
        }
        return Event(hook=hook, command=command, **{**usual, **facts})

    def engine(self) -> Engine:
        """Return what runs jobs, opened on first use."""
        if self._engine is None:
            shown = self.presenter
            self._engine = Engine(
                self.jobs,
                (JobWatcher(shown),),
                pulse=shown.pulse if shown.is_live else None,
                pulse_s=shown.pulse_s,
            )
        return self._engine

    def remote_url(self) -> str | None:
        """Return the URL of the repository's remote, as git rewrites it."""
        if not self._remote_asked:
            self._remote_asked = True
            self._remote_url = remote_url(self.repository)
        return self._remote_url

    def trust(self, loaded: Loaded | None) -> None:
        """Record consent to what `loaded` runs."""
        consent.allow(
            self.registry, self.repository.common_dir, loaded, remote_url=self.remote_url()
        )

    def tell_untrusted(self, loaded: Loaded, outcome: FireOutcome, event: Event) -> None:
        """Say once that hooks did not run, and how to make them."""
        if self._told_untrusted or outcome.consent is None:
            return
        self._told_untrusted = True
        names = [name for name in HOOK_TYPES if name in loaded.configuration.hooks]
        where = event.cwd if event.hook == "worktree-post-remove" else event.worktree_path
        changes: tuple[str, ...] = ()
        if outcome.consent.verdict is Verdict.CONTENT_CHANGED:
            changes = consent.changes_since_consent(
                self.registry, self.repository.common_dir, loaded
            )
        follows = {"worktree-pre-create": "worktree-post-create"}.get(event.hook, event.hook)
        replay = follows in names and HOOK_TYPES[follows].is_replayable
        text = notice(names, outcome.consent, changes, where=where, replay=replay)
        sys.stderr.write(text)

    def _tell_failure(self, outcome: FireOutcome, event: Event) -> None:
        if outcome.status is FireStatus.INTERRUPTED:
            sys.stderr.write(f"interrupted: {outcome.hook} was stopped\n")
            return
        if outcome.job is None:
            what = harmless_lines(f"{outcome.hook} hook failed: {outcome.reason}")
        else:
            code = outcome.exit_code
            why = harmless_lines(outcome.reason or f"exit code {code}")
            command = harmless(" ".join(outcome.command.split()))
            shown = command if len(command) <= 80 else f"{command[:77]}..."
            what = f"{outcome.hook} hook failed: job '{harmless(outcome.job)}' {why}: `{shown}`"
        if outcome.must_stop:
            sys.stderr.write(f"error: {what}\n")
        else:
            sys.stderr.write(f"warning: {what} (continuing anyway)\n")
        if self._shows_no_jobs:
            # Otherwise the presenter has shown them already.
            for line in outcome.error_lines:
                sys.stderr.write(f"  {harmless(line)}\n")
        if outcome.invocation_id is not None:
            sys.stderr.write(f"  inspect: daft jobs --last --hook {outcome.hook}\n")
            if outcome.job is not None:
                # This one by its id, however many runs come after it.
                address = f"{event.label}@{outcome.invocation_id[:8]}/{outcome.job}"
                sys.stderr.write(f"  its log: daft jobs logs {shlex.quote(harmless(address))}\n")

    # --- messages -----------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Print a result."""
        if not self.quiet:
            stream = sys.stderr if self.says_aside else sys.stdout
            stream.write(text + "\n")
            stream.flush()


def _own_settings(repository: Repository) -> Mapping[str, str]:
    """Return what the user's configuration says, whatever the repository says of itself."""
    here = repository.settings.own
    if not any(key.lower() in here for key in OWN_ONLY):
        return here  # the usual case, which must not cost another git
    return read_settings("/").own
