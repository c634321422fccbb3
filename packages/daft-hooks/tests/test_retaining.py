"""What `log:` says of the repository reaches the store when a hook fires."""

from __future__ import annotations

from typing import Any

from daft_coordinator.domain.policy import DeclaredPolicy
from daft_hooks import load_from
from daft_hooks.consent import allow
from daft_hooks.domain.retaining import declared_policy


def declared(text: str) -> DeclaredPolicy:
    loaded = load_from({"daft.yml": text.encode()}.get)
    assert loaded is not None
    configuration = loaded.configuration
    hook = configuration.hooks["worktree-post-create"]
    return declared_policy(configuration, hook, "/r/daft.yml")


def test_the_top_level_counts_where_no_job_says_anything() -> None:
    found = declared(
        "log: {keep_last: 5, max_total_size: 10MB, stale_running_after: 2h}\n"
        "hooks: {worktree-post-create: {jobs: [{name: a, run: x}]}}\n"
    )

    assert found == DeclaredPolicy(
        source="/r/daft.yml",
        keep_last=5,
        max_total_size_bytes=10 * 1024 * 1024,
        stale_running_after_s=7200,
    )


def test_of_each_field_the_first_job_that_says_something_wins() -> None:
    found = declared(
        "hooks:\n"
        "  worktree-post-create:\n"
        "    jobs:\n"
        "      - {name: a, run: x}\n"
        "      - {name: b, run: x, log: {max_total_size: 1KB}}\n"
        "      - {name: c, run: x, log: {max_total_size: 2KB, stale_running_after: 1m}}\n"
    )

    assert found == DeclaredPolicy(
        source="/r/daft.yml", max_total_size_bytes=1024, stale_running_after_s=60
    )


def test_a_file_that_says_nothing_declares_nothing() -> None:
    found = declared("hooks: {worktree-post-create: {jobs: [{name: a, run: x}]}}\n")

    assert found == DeclaredPolicy(source="/r/daft.yml")


def test_a_fire_declares_what_its_file_says_and_only_when_it_may_run(stage: Any) -> None:
    stage.repository.commit(
        {
            "daft.yml": "log: {keep_last: 2}\n"
            "hooks: {worktree-post-create: {jobs: [{name: a, run: 'true'}]}}\n"
        }
    )

    stage.fire()
    assert stage.engine.declared == []

    allow(stage.registry, stage.common_dir, stage.repository.seen(), remote_url=None)
    stage.fire()

    [found] = stage.engine.declared
    assert found.keep_last == 2
    assert found.source == str(stage.repository.path / "daft.yml")
