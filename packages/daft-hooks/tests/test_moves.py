"""A worktree that moves: both identities, only what tracks the change, never in the way."""

from __future__ import annotations

from typing import Any

import pytest

from daft_hooks import Consenting, FireStatus, allow, fire, load, move_of, set_up, tear_down
from daft_hooks.domain.event import Move, environment_of
from daft_hooks.domain.moves import must_finish_first
from daft_hooks.domain.replay import facts_to_replay, is_of_a_move, skipped_fire, together
from daft_hooks.hooktypes import FailMode
from daft_protocol.status import JobStatus, SkipKind

JOBS = """\
      - {name: base, run: 'echo base >> $LOG'}
      - {name: on-path, run: 'echo "$DAFT_HOOK {worktree_path}" >> $LOG', needs: [base]}
      - {name: on-branch, run: 'echo "$DAFT_HOOK {branch}" >> $LOG'}
      - {name: said, run: 'echo "$DAFT_HOOK said" >> $LOG', tracks: [branch]}
      - {name: other, run: 'echo other >> $LOG'}
"""
HOOKS = (
    "worktree-pre-remove", "worktree-post-remove", "worktree-pre-create", "worktree-post-create",
)  # fmt: skip


def renamed(stage: Any, **changes: Any) -> tuple[Any, Any, Any]:
    """Return the events before and after, and the move between them."""
    before = stage.event(branch="old", label="old", removal_reason="manual", is_new_branch=True)
    after = stage.event(**{"branch": "new", "label": "new", **changes})
    return before, after, move_of(before, after)


def test_four_fires_with_two_identities(stage: Any) -> None:
    before, after, move = renamed(stage, worktree_path="/elsewhere")

    events = (*tear_down(before, move), *set_up(after, move))

    assert tuple(event.hook for event in events) == HOOKS
    assert [event.branch for event in events] == ["old", "old", "new", "new"]
    assert [event.cwd for event in events] == [before.worktree_path] * 2 + ["/elsewhere"] * 2
    assert [must_finish_first(event) for event in events] == [True, True, False, False]
    for event in events:
        facts = environment_of(event)
        assert facts["DAFT_IS_MOVE"] == "true"
        assert facts["DAFT_OLD_BRANCH_NAME"] == "old"
        assert facts["DAFT_OLD_WORKTREE_PATH"] == before.worktree_path
        assert facts["DAFT_IS_NEW_BRANCH"] == "false"
        assert "DAFT_REMOVAL_REASON" not in facts


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({}, {"branch"}),
        ({"branch": "old", "worktree_path": "/n"}, {"path"}),
        ({"worktree_path": "/n"}, {"path", "branch"}),
    ],
)
def test_what_changes_is_told_by_both_identities(
    stage: Any, changes: dict[str, str], changed: set[str]
) -> None:
    _, _, move = renamed(stage, **changes)

    assert move.changed == changed


def fired(stage: Any, events: Any) -> list[Any]:
    path = str(stage.repository.path)
    loaded = load(path)
    assert loaded is not None
    allow(stage.registry, stage.common_dir, loaded.seen_in(path), remote_url=None)
    consenting = Consenting(registry=stage.registry, remote_url=None)
    firing = stage.firing(consenting, environment={"PATH": "/usr/bin:/bin", "LOG": f"{path}/ran"})
    return [fire(event, loaded, firing) for event in events]


def test_only_jobs_that_track_the_change_run_with_what_they_need(stage: Any) -> None:
    text = "hooks:\n" + "".join(f"  {hook}:\n    jobs:\n{JOBS}" for hook in HOOKS)
    stage.repository.commit({"daft.yml": text})
    before, after, move = renamed(stage)

    outcomes = fired(stage, (*tear_down(before, move), *set_up(after, move)))

    assert [outcome.status for outcome in outcomes] == [FireStatus.RAN] * 4
    lines = (stage.repository.path / "ran").read_text().splitlines()
    assert sorted(lines[:4]) == sorted(
        f"{hook} {word}" for hook in HOOKS[:2] for word in ("old", "said")
    )
    assert sorted(lines[4:]) == sorted(
        f"{hook} {word}" for hook in HOOKS[2:] for word in ("new", "said")
    )
    jobs = {job.name: job for job in stage.engine.coordinator.jobs(outcomes[0].invocation_id)}
    assert jobs["other"].status is JobStatus.SKIPPED
    assert jobs["other"].spec.skip.kind is SkipKind.UNTRACKED


def test_a_failure_never_keeps_a_worktree_from_moving(stage: Any) -> None:
    text = "hooks: {worktree-pre-remove: {fail_mode: abort, jobs: [{name: a, run: 'echo {branch}; exit 3'}]}}\n"
    stage.repository.commit({"daft.yml": text})
    before, _, move = renamed(stage)

    (outcome, _) = fired(stage, tear_down(before, move))

    assert outcome.status is FireStatus.FAILED
    assert outcome.fail_mode is FailMode.WARN
    assert not outcome.must_stop


def test_nothing_of_the_old_worktree_runs_on_while_it_moves(stage: Any) -> None:
    text = "hooks: {worktree-post-remove: {jobs: [{name: a, run: 'echo {branch} >> $LOG', background: true}]}}\n"
    stage.repository.commit({"daft.yml": text})
    before, _, move = renamed(stage)

    (_, outcome) = fired(stage, tear_down(before, move))

    assert outcome.status is FireStatus.RAN
    assert outcome.background == ()
    assert stage.ran() == ["old"]


def test_a_set_up_that_was_skipped_is_replayed_as_the_move_it_was(stage: Any) -> None:
    text = "hooks: {worktree-post-create: {jobs: [{name: a, run: 'echo {branch}'}]}}\n"
    stage.repository.commit({"daft.yml": text})
    before, after, move = renamed(stage)
    loaded = load(str(stage.repository.path))
    consenting = Consenting(registry=stage.registry, remote_url=None)

    for event in (*tear_down(before, move), *set_up(after, move)):
        fire(event, loaded, stage.firing(consenting))

    (kept,) = stage.registry.skipped(stage.common_dir)
    assert kept.label == "new"
    assert facts_to_replay(kept)["move"] == move


def test_what_several_fires_left_out_is_made_up_for_together(stage: Any) -> None:
    before, _, _ = renamed(stage)
    created = skipped_fire(stage.event(hook=HOOKS[3], is_new_branch=True), "untrusted", "1")
    moves = []
    for changed in ({"path"}, {"branch"}):
        move = Move(old_path=f"/{min(changed)}", old_branch="old", changed=frozenset(changed))
        event = set_up(before, move)[1]
        moves.append(skipped_fire(event, "untrusted", "2"))

    whole, both = together(created, moves[0]), together(moves[0], moves[1])

    assert not is_of_a_move(whole)
    assert facts_to_replay(whole) == facts_to_replay(created)
    assert (whole.label, whole.skipped_at) == (moves[0].label, "2")
    found = facts_to_replay(both)["move"]
    assert (found.old_path, found.changed) == ("/path", {"path", "branch"})
    assert together(moves[0], created) == created
