"""Hooks as executable files: when they run, in which order, and whether they may."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from daft_hooks import FireStatus, allow, fire, hook_settings
from daft_hooks.domain.trust import Verdict
from daft_hooks.legacy import CannotMigrate, migrate, renamings, with_scripts
from daft_protocol.status import JobStatus

POST = ".daft/hooks/worktree-post-create"


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def script(stage: Any, name: str = POST, text: str = "#!/bin/sh\necho project >> ran\n") -> Path:
    path: Path = stage.repository.path / name
    executable(path, text)
    stage.repository.git("add", "-A")
    stage.repository.git("commit", "-qm", "script")
    return path


def consent(stage: Any, user: Path | None = None) -> None:
    found = with_scripts(None, str(stage.repository.path), None if user is None else str(user))
    assert found is not None
    seen = found.loaded.seen_in(str(stage.repository.path))
    allow(stage.registry, stage.common_dir, seen, remote_url=None)


def run(stage: Any, hook: str = "worktree-post-create", *, user: Path | None = None) -> Any:
    from daft_hooks import Consenting, HookSettings, load

    settings = HookSettings(user_directory=None if user is None else str(user))
    firing = stage.firing(Consenting(registry=stage.registry, remote_url=None), settings=settings)
    return fire(stage.event(hook), load(str(stage.repository.path)), firing)


def names_of(stage: Any, outcome: Any) -> list[str]:
    return [job.name for job in stage.engine.coordinator.jobs(outcome.invocation_id)]


def test_a_script_runs_by_consent_to_its_content(stage: Any) -> None:
    path = script(stage)
    assert run(stage).consent.verdict is Verdict.UNTRUSTED
    consent(stage)

    outcome = run(stage)
    path.write_text("#!/bin/sh\necho evil >> ran\n")
    changed = run(stage)

    assert outcome.status is FireStatus.RAN
    assert names_of(stage, outcome) == ["script:worktree-post-create"]
    assert changed.consent.verdict is Verdict.CONTENT_CHANGED
    assert stage.ran() == ["project"]


def test_the_users_own_scripts_need_no_consent_unless_the_repository_has_one(
    stage: Any, tmp_path: Path
) -> None:
    user = tmp_path / "user hooks"
    executable(user / "worktree-post-create", "#!/bin/sh\necho user >> ran\n")
    stage.repository.commit({"README": "x"})

    alone = run(stage, user=user)
    script(stage)
    blocked = run(stage, user=user)
    consent(stage, user)
    both = run(stage, user=user)

    assert names_of(stage, alone) == ["user:worktree-post-create"]
    assert blocked.status is FireStatus.SKIPPED
    assert both.status is FireStatus.RAN
    assert stage.ran() == ["user", "project", "user"]


def test_the_first_that_fails_ends_it_and_the_fail_mode_counts(stage: Any, tmp_path: Path) -> None:
    executable(tmp_path / "u" / "worktree-post-create", "#!/bin/sh\necho user >> ran\n")
    script(stage, text="#!/bin/sh\nexit 7\n")
    consent(stage, tmp_path / "u")

    outcome = run(stage, user=tmp_path / "u")

    assert (outcome.status, outcome.exit_code) == (FireStatus.FAILED, 7)
    assert outcome.must_stop
    assert stage.ran() == []


def test_a_script_without_a_first_line_is_run_by_the_shell(stage: Any) -> None:
    script(stage, text="echo plain >> ran\n")
    consent(stage)

    assert run(stage).status is FireStatus.RAN
    assert stage.ran() == ["plain"]


def test_what_daft_yml_says_of_a_hook_hides_its_script(stage: Any) -> None:
    script(stage)
    stage.repository.commit({"daft.yml": "hooks: {worktree-post-create: {fail_mode: warn}}\n"})
    consent(stage)

    outcome = run(stage)

    assert outcome.status is FireStatus.SKIPPED
    assert stage.ran() == []


def test_scripts_stand_beside_a_configuration_of_other_hooks(stage: Any) -> None:
    script(stage)
    stage.repository.commit(
        {
            "daft.yml": "rc: nowhere\nsource_dir: other/place\n"
            "hooks: {post-clone: {jobs: [{name: a, run: x}]}}\n"
        }
    )
    from daft_hooks import load

    path = str(stage.repository.path)
    found = with_scripts(load(path), path, None)
    assert found is not None
    assert set(found.loaded.configuration.hooks) == {"post-clone", "worktree-post-create"}
    allow(stage.registry, stage.common_dir, found.loaded.seen_in(path), remote_url=None)

    assert run(stage).status is FireStatus.RAN
    assert stage.ran() == ["project"]


def test_an_old_name_still_counts_and_is_said_to_be_old(stage: Any) -> None:
    script(stage, ".daft/hooks/post-create", "#!/bin/sh\necho old >> ran\n")
    consent(stage)
    assert run(stage).status is FireStatus.RAN

    script(stage)
    consent(stage)
    assert run(stage).status is FireStatus.RAN

    notices = [text for (text,) in stage.watcher.told("notice")]
    assert "daft hooks migrate" in notices[0]
    assert "only the new one runs" in notices[-1]
    assert stage.ran() == ["old", "project"]


def test_a_file_that_cannot_be_executed_is_told_and_does_not_run(stage: Any) -> None:
    script(stage).chmod(0o644)

    outcome = run(stage)

    assert outcome.status is FireStatus.SKIPPED
    assert any("is not executable" in text for (text,) in stage.watcher.told("notice"))


def test_a_directory_or_a_link_to_nothing_is_no_script(stage: Any) -> None:
    (stage.repository.path / POST).mkdir(parents=True)
    os.symlink("nowhere", stage.repository.path / ".daft/hooks/post-clone")

    assert with_scripts(None, str(stage.repository.path), None) is None


def test_a_pre_create_script_comes_from_the_source_worktree(stage: Any, tmp_path: Path) -> None:
    script(stage, ".daft/hooks/worktree-pre-create")
    consent(stage)
    from daft_hooks import Consenting

    event = stage.event("worktree-pre-create", worktree_path=str(tmp_path / "not there yet"))
    outcome = fire(event, None, stage.firing(Consenting(registry=stage.registry, remote_url=None)))

    assert outcome.status is FireStatus.RAN
    assert stage.ran() == ["project"]


def test_a_script_that_hangs_is_ended_and_recorded(stage: Any) -> None:
    from daft_hooks import Consenting, HookSettings

    script(stage, text="#!/bin/sh\nsleep 60 & sleep 60\n")
    consent(stage)
    settings = HookSettings(timeout_s=0.3)
    consenting = Consenting(registry=stage.registry, remote_url=None)

    outcome = fire(stage.event(), None, stage.firing(consenting, settings=settings))

    assert outcome.exit_code == 124
    (job,) = stage.engine.coordinator.jobs(outcome.invocation_id)
    assert job.status is JobStatus.FAILED


def test_migration_renames_and_keeps_what_is_in_the_way(stage: Any) -> None:
    hooks = stage.repository.path / ".daft/hooks"
    for name in ("post-create", "pre-remove", "worktree-pre-remove"):
        executable(hooks / name, name)

    assert [(Path(one.old).name, one.in_the_way) for one in renamings(str(stage.repository.path))] == [
        ("post-create", False), ("pre-remove", True),
    ]  # fmt: skip
    migrate(str(stage.repository.path))

    assert sorted(path.name for path in hooks.iterdir()) == [
        "pre-remove", "worktree-post-create", "worktree-pre-remove",
    ]  # fmt: skip
    assert (hooks / "worktree-post-create").read_text() == "post-create"
    assert (hooks / "worktree-pre-remove").read_text() == "worktree-pre-remove"


def test_a_file_that_cannot_be_renamed_is_named(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(stage.repository.path / ".daft/hooks/post-create", "x")

    def refuse(*args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(CannotMigrate, match="post-create: Permission denied"):
        migrate(str(stage.repository.path))


@pytest.mark.parametrize(
    ("text", "directory", "warnings"),
    [
        (None, "/c/hooks", 0),
        ("~/mine", "/home/me/mine", 0),
        ("/abs", "/abs", 0),
        ("relative", "/c/hooks", 1),
    ],
)
def test_the_users_directory_is_a_setting(text: str | None, directory: str, warnings: int) -> None:
    values = {} if text is None else {"daft.hooks.userdirectory": text}
    found = hook_settings(values, own=values, config_dir="/c", home="/home/me")

    assert found.user_directory == directory
    assert len(found.warnings) == warnings
