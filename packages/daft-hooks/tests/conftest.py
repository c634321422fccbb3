from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from daft_coordinator import Coordinator
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.errors import CoordinatorUnavailable
from daft_coordinator.submission import record
from daft_hooks import Consenting, Event, FireOutcome, Firing, Loaded, fire, load
from daft_hooks.domain.replay import SkippedFire
from daft_hooks.domain.trust import TrustEntry, TrustLevel
from daft_hooks.embedding import CoordinatorEngine
from daft_protocol.jobs import InvocationSpec


class Repository:
    """A real git repository to configure hooks in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *args: str) -> str:
        identity = {"NAME": "A", "EMAIL": "a@example.org"}
        who = {f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in identity.items()}
        return subprocess.run(
            ["git", *args],
            cwd=self.path,
            env={
                **os.environ,
                **who,
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_SYSTEM": os.devnull,
            },
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    def commit(self, files: Mapping[str, str]) -> None:
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "change")

    def configured(self, files: Mapping[str, str]) -> Loaded:
        """Commit files; return the configuration as it is now."""
        self.commit(files)
        return self.seen()

    def seen(self) -> Loaded:
        """Return the configuration with what it runs now."""
        found = load(str(self.path))
        assert found is not None
        return found.seen_in(str(self.path))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    return Repository(tmp_path / "repository")


class MemoryRegistry:
    """A trust registry without a file."""

    def __init__(self) -> None:
        self.kept: dict[str, TrustEntry] = {}
        self.rules: dict[str, TrustLevel] = {}
        self.missed: list[SkippedFire] = []

    def get(self, common_dir: str) -> TrustEntry | None:
        return self.kept.get(common_dir)

    def put(self, common_dir: str, entry: TrustEntry) -> None:
        self.kept[common_dir] = entry

    def fill_fingerprint(self, common_dir: str, fingerprint: str) -> bool:
        entry = self.kept.get(common_dir)
        if entry is None or entry.fingerprint is not None:
            return False
        self.kept[common_dir] = evolve(entry, fingerprint=fingerprint)
        return True

    def delete(self, common_dir: str) -> bool:
        return self.kept.pop(common_dir, None) is not None

    def entries(self) -> Mapping[str, TrustEntry]:
        return dict(self.kept)

    def patterns(self) -> tuple[tuple[str, TrustLevel], ...]:
        return tuple(self.rules.items())

    def put_pattern(self, pattern: str, level: TrustLevel) -> None:
        self.rules[pattern] = level

    def delete_pattern(self, pattern: str) -> bool:
        return self.rules.pop(pattern, None) is not None

    def note_skipped(self, common_dir: str, fire: SkippedFire) -> None:
        self.forget_skipped(common_dir, hook=fire.hook, worktree_id=fire.worktree_id)
        self.missed.append(fire)

    def skipped(self, common_dir: str) -> tuple[SkippedFire, ...]:
        return tuple(self.missed)

    def forget_skipped(
        self, common_dir: str, *, hook: str | None = None, worktree_id: str | None = None
    ) -> bool:
        before = len(self.missed)
        self.missed = [
            one
            for one in self.missed
            if hook not in (None, one.hook) or worktree_id not in (None, one.worktree_id)
        ]
        return len(self.missed) < before


class Watcher:
    """An observer that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.seen.append((name, *args))

    def told(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each call of `name`."""
        return [call[1:] for call in self.seen if call[0] == name]


class LocalEngine(CoordinatorEngine):
    """Runs every job here, with real processes and a record in memory; there is no leader."""

    def __init__(self, *plugins: object) -> None:
        super().__init__(Coordinator(MemoryJobStore(), plugins=plugins), on_interrupt=True)
        self.skipped: list[InvocationSpec] = []

    def submit_background(
        self, invocation: InvocationSpec, *, environment: Mapping[str, str]
    ) -> Any:
        record(self.coordinator.store, invocation, owner=None, clock=self.coordinator.clock)
        raise CoordinatorUnavailable("there is no leader here")

    def skipped_fire(self, invocation: InvocationSpec) -> None:
        self.skipped.append(invocation)

    def fire_allowed(self, hook: str, worktree: str) -> None:
        self.skipped = [
            one for one in self.skipped if (one.hook_type, one.worktree) != (hook, worktree)
        ]


class Stage:
    """A repository, a registry and an engine to fire hooks with."""

    def __init__(self, repository: Repository, engine: LocalEngine) -> None:
        self.repository = repository
        self.engine = engine
        self.registry = MemoryRegistry()
        self.watcher = Watcher()

    @property
    def common_dir(self) -> str:
        return str(self.repository.path / ".git")

    def watched_by(self, *plugins: object) -> None:
        """Run jobs in an engine that tells `plugins` of them."""
        self.engine.coordinator.close()
        self.engine = LocalEngine(*plugins)

    def event(self, hook: str = "worktree-post-create", **facts: Any) -> Event:
        path = str(self.repository.path)
        usual: dict[str, Any] = {
            "hook": hook,
            "command": "start",
            "project_root": path,
            "git_dir": self.common_dir,
            "remote": "origin",
            "source_worktree": path,
            "worktree_path": path,
            "branch": "main",
            "cwd": path,
            "label": "main",
        }
        return Event(**{**usual, **facts})

    def fire(
        self, hook: str = "worktree-post-create", *, ask: Any = None, **facts: Any
    ) -> FireOutcome:
        """Fire a hook with the configuration as it is now, by consent."""
        return fire(
            self.event(hook, **facts),
            load(str(self.repository.path)),
            self.firing(Consenting(registry=self.registry, remote_url=None, ask=ask)),
        )

    def firing(self, consenting: Consenting | None, **given: Any) -> Firing:
        environment = {"PATH": os.environ["PATH"]}
        usual: dict[str, Any] = {
            "engine": lambda: self.engine,
            "observer": self.watcher,
            "consenting": consenting,
            "environment": environment,
        }
        return Firing(**{**usual, **given})

    def ran(self) -> list[str]:
        """Return the lines that jobs have written to the file `ran`."""
        path = self.repository.path / "ran"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def stage(repository: Repository) -> Iterator[Stage]:
    made = Stage(repository, LocalEngine())
    yield made
    made.engine.coordinator.close()
