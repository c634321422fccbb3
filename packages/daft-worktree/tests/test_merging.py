"""Merging: the target moves in one step or not at all, and what conflicts stays."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_worktree import discover, plan_removal
from daft_worktree import git as git_module
from daft_worktree.errors import (
    BranchNotFound,
    GitFailed,
    LockTimeout,
    MergeOutdated,
    MergeRefused,
    MissingAndLocked,
    NoCommits,
    NotUnderWay,
    Refused,
)
from daft_worktree.lock import merge_lock
from daft_worktree.merging import Merged, MergeResult
from daft_worktree.merging.ending import resume
from daft_worktree.merging.notes import find
from daft_worktree.merging.plan import plan_merge
from daft_worktree.merging.rules import Policy, Style, choose_style
from daft_worktree.merging.steps import foresee

Git = Callable[..., str]


# --- styles -------------------------------------------------------------------------------------


def test_a_merge_commit_is_made_even_where_the_target_could_move_forward(scene: Any) -> None:
    main, x = scene.oid("main"), scene.oid("x")

    merged = scene.merge()

    assert merged == Merged(MergeResult.SUCCESS, scene.oid("main"))
    assert scene.parents() == [main, x]
    assert scene.subjects()[0] == "Merge branch 'x' into main"
    assert (scene.status(), (scene.project / "of-x").exists()) == ("", True)


def test_several_sources_make_one_commit(scene: Any) -> None:
    scene.on("t", "of-t")
    main = scene.commit(scene.project, "of-main")
    plan = scene.plan("x", "t", "old")

    merged = scene.carry_out(plan)

    assert plan.mode == "octopus"
    assert [one.name for one in plan.contained] == ["old"]
    assert scene.parents() == [main, scene.oid("x"), scene.oid("t")]
    assert scene.subjects()[0] == "Merge branches 'x' and 't' into main"
    assert merged.result is MergeResult.SUCCESS


def test_sources_that_conflict_on_the_way_leave_everything_as_it_was(scene: Any) -> None:
    scene.clash("t")
    scene.git("branch", "u", "t~1", cwd=scene.project)
    scene.on("u", "of-u")
    main = scene.commit(scene.project, "of-main")

    merged = scene.merge("x", "t", "u")

    assert merged.result is MergeResult.ABORTED
    assert "octopus" in merged.said
    assert (scene.oid("main"), scene.status()) == (main, "")
    with pytest.raises(NotUnderWay):
        find(discover(str(scene.project)))


def test_the_last_of_several_sources_may_conflict_and_is_resolved(scene: Any) -> None:
    scene.clash("t")
    main = scene.commit(scene.project, "of-main")

    assert scene.merge("x", "t").conflicts == ("file",)
    (scene.project / "file").write_text("both\n")
    scene.git("add", "file", cwd=scene.project)
    resume(find(discover(str(scene.project))))

    assert scene.parents() == [main, scene.oid("x"), scene.oid("t")]


def test_a_squash_is_one_commit_that_says_what_it_holds(scene: Any) -> None:
    main = scene.commit(scene.project, "of-main")
    scene.commit(scene.tree, "more")

    scene.merge(style=Style.SQUASH)

    assert scene.parents() == [main]
    said = scene.git("log", "-1", "--format=%B", cwd=scene.project)
    assert said == "Squash branch 'x' into main\n\n* change of-x\n* change more"
    assert (scene.project / "more").exists()
    assert scene.status() == ""


def test_a_squash_of_one_commit_keeps_what_that_says(scene: Any) -> None:
    scene.merge(style=Style.SQUASH)

    assert scene.subjects()[0] == "change of-x"
    assert len(scene.parents()) == 1


@pytest.mark.parametrize("into", ["main", "t"])
def test_a_rebase_makes_the_same_commits_anew_and_leaves_the_source_alone(
    scene: Any, into: str
) -> None:
    main = scene.commit(scene.project, "of-main")
    scene.git("branch", "-f", "t", "main", cwd=scene.project)
    x = scene.commit(scene.tree, "more")

    merged = scene.merge(into=into, style=Style.REBASE)

    assert merged.result is MergeResult.SUCCESS
    assert scene.subjects(into)[:3] == ["change more", "change of-x", "change of-main"]
    assert scene.oid(f"{into}~2") == main
    assert (scene.oid("x"), scene.status(scene.tree)) == (x, "")
    assert (scene.status(), scene.files()) == ("", set())
    assert scene.trees() == ["main", "x"]


def test_a_rebase_with_a_merge_above_keeps_them_together(scene: Any) -> None:
    main = scene.commit(scene.project, "of-main")

    scene.merge(style=Style.REBASE_MERGE)

    first, second = scene.parents()
    assert first == main
    assert scene.oid(f"{second}^") == main
    assert (scene.project / "of-x").exists()
    assert scene.status() == ""


def test_a_rebase_of_what_is_on_top_already_makes_nothing_anew(scene: Any) -> None:
    scene.merge(style=Style.REBASE)

    assert scene.oid("main") == scene.oid("x")
    assert (scene.project / "of-x").exists()


def test_a_rebase_whose_changes_are_all_there_is_up_to_date(scene: Any) -> None:
    scene.commit(scene.project, "of-main")
    scene.git("cherry-pick", "x", cwd=scene.project)
    main = scene.oid("main")

    assert scene.merge(style=Style.REBASE) == Merged(MergeResult.UP_TO_DATE, main)
    assert scene.merge(style=Style.SQUASH) == Merged(MergeResult.UP_TO_DATE, main)
    assert (scene.oid("main"), scene.status()) == (main, "")


@pytest.mark.parametrize("into", ["main", "t"])
def test_moving_forward_takes_the_source_as_it_is(scene: Any, into: str) -> None:
    merged = scene.merge(into=into, style=Style.FF)

    assert merged == Merged(MergeResult.SUCCESS, scene.oid("x"))
    assert scene.oid(into) == scene.oid("x")
    assert scene.status() == ""


def test_moving_forward_is_refused_where_the_target_has_something_of_its_own(scene: Any) -> None:
    scene.commit(scene.project, "of-main")

    with pytest.raises(MergeRefused) as refused:
        scene.plan(style=Style.FF)

    assert f"`git -C {scene.tree} rebase main`" in refused.value.tips[0]


def test_what_users_set_for_their_own_merges_changes_nothing(scene: Any) -> None:
    scene.commit(scene.project, "of-main")
    for key, value in {
        "merge.ff": "only", "merge.autoStash": "true", "rebase.autoStash": "true",
        "branch.main.mergeOptions": "--squash --no-commit", "rebase.updateRefs": "true", "rebase.backend": "apply",
        "commit.template": "/nowhere", "merge.log": "true", "core.editor": "false",
    }.items():  # fmt: skip
        scene.git("config", key, value, cwd=scene.project)

    assert scene.merge().result is MergeResult.SUCCESS
    scene.commit(scene.tree, "b")
    assert scene.merge(style=Style.SQUASH).result is MergeResult.SUCCESS
    scene.git("config", "merge.ff", "false", cwd=scene.project)
    scene.commit(scene.tree, "c")
    scene.git("branch", "on-c", "x", cwd=scene.project)
    assert scene.merge(style=Style.SQUASH).result is MergeResult.SUCCESS
    scene.commit(scene.tree, "d")
    assert scene.merge(style=Style.REBASE).result is MergeResult.SUCCESS
    assert scene.oid("on-c") == scene.oid("x^")
    assert scene.status() == ""


def test_a_commit_without_a_message_is_not_made(scene: Any) -> None:
    main = scene.oid("main")

    for style in (Style.MERGE, Style.SQUASH):
        merged = scene.merge(style=style, message="")
        assert merged.result is MergeResult.ABORTED
        assert "mpty commit message" in merged.said
    assert (scene.oid("main"), scene.status()) == (main, "")


def test_a_message_and_a_strategy_are_passed_on(scene: Any) -> None:
    scene.clash()

    scene.merge(message="because\n\nof it", strategy="ort", strategy_options=("theirs",))

    assert scene.git("log", "-1", "--format=%B", cwd=scene.project) == "because\n\nof it"
    assert (scene.project / "file").read_text() == "theirs\n"


def test_a_commit_hook_of_git_may_refuse_and_everything_is_as_it_was(scene: Any) -> None:
    main = scene.commit(scene.project, "of-main")
    hook = scene.project / ".git" / "hooks" / "commit-msg"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)

    for style in (Style.MERGE, Style.SQUASH, Style.REBASE_MERGE):
        for into in ("main", "t"):
            merged = scene.merge(into=into, style=style)
            if style is Style.REBASE_MERGE and into == "t":
                # Nothing is made anew, so there is but one commit: that of the merge.
                assert scene.oid("t") == scene.oid("old")
            assert merged.result is MergeResult.ABORTED, (style, into)
            assert "not today" in merged.said
    assert (scene.oid("main"), scene.oid("t"), scene.status()) == (main, scene.oid("old"), "")
    assert scene.files() == set()
    assert scene.merge(verify=False).result is MergeResult.SUCCESS


# --- what words mean ----------------------------------------------------------------------------


def test_a_source_may_be_a_worktree_a_tag_or_a_commit(scene: Any) -> None:
    scene.git("tag", "v1", "x", cwd=scene.project)
    by_path = scene.plan("../x").sources[0]
    by_tag = scene.plan("v1").sources[0]
    by_commit = scene.plan(scene.oid("x")).sources[0]

    assert (by_path.name, by_path.is_branch) == ("x", True)
    assert by_path.worktree is not None
    assert (by_tag.name, by_tag.is_branch, by_tag.oid) == ("v1", False, scene.oid("x"))
    assert by_commit.oid == scene.oid("x")
    assert len(scene.plan("x", "v1", "../x").sources) == 1


def test_the_target_is_the_branch_here_or_another_one(scene: Any) -> None:
    assert scene.plan("t", "x", cwd=scene.project).target.name == "main"
    assert scene.plan("main", into="x").target.name == "x"
    assert scene.plan("main", into="../x").target.name == "x"
    scene.commit(scene.project, "of-main")
    plan = scene.plan("main", cwd=scene.tree)
    assert (plan.target.name, plan.is_cross_worktree) == ("x", False)
    assert scene.plan("main", into="x").is_cross_worktree


@pytest.mark.parametrize(
    ("words", "into", "kind", "said"),
    [
        (("nothing",), None, MergeRefused, "'nothing' is no branch, worktree or commit"),
        (("--all",), None, MergeRefused, "'--all' is no branch"),
        (("main",), None, MergeRefused, "cannot be merged into itself"),
        (("x",), "mainn", BranchNotFound, "'mainn' not found"),
        (("x",), "", BranchNotFound, "'' not found"),
    ],
)
def test_words_that_mean_nothing(
    scene: Any, words: tuple[str, ...], into: str | None, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        scene.plan(*words, into=into)


def test_a_target_must_be_named_where_one_stands_on_no_branch(scene: Any) -> None:
    scene.git("checkout", "-q", "--detach", cwd=scene.project)

    with pytest.raises(MergeRefused, match="detached HEAD"):
        scene.plan()


def test_a_branch_only_a_remote_has_is_not_made_unasked(
    scene: Any, tmp_path: Path, git: Git
) -> None:
    git("clone", "-q", str(scene.project), "copy", cwd=tmp_path)

    with pytest.raises(MergeRefused, match="no branch 't' here, only 'origin/t'"):
        plan_merge(discover(str(tmp_path / "copy")), ("origin/x",), into="t")


def test_another_name_of_a_branch_is_not_merged_into(scene: Any) -> None:
    scene.git("symbolic-ref", "refs/heads/alias", "refs/heads/main", cwd=scene.project)

    with pytest.raises(MergeRefused, match="only another name of 'main'"):
        scene.plan(into="alias")

    assert scene.merge("x").result is MergeResult.SUCCESS


def test_names_are_only_names(scene: Any) -> None:
    scene.git("branch", "t;$(id>pwned)", "main", cwd=scene.project)
    scene.git("branch", "ü'x", "x", cwd=scene.project)

    scene.merge("ü'x", into="t;$(id>pwned)")

    assert scene.subjects("t;$(id>pwned)")[0] == "Merge branch 'ü'x' into t;$(id>pwned)"


def test_a_repository_without_commits_has_nothing_to_merge_into(tmp_path: Path, git: Git) -> None:
    git("init", "-q", "empty", cwd=tmp_path)

    with pytest.raises(NoCommits):
        plan_merge(discover(str(tmp_path / "empty")), ("x",))


def test_what_the_target_has_already_is_nothing_to_merge(scene: Any) -> None:
    plan = scene.plan("old", "t")

    assert plan.is_up_to_date
    assert [one.name for one in plan.contained] == ["old"]


def test_histories_without_a_common_commit_are_refused_in_gits_words(scene: Any) -> None:
    scene.git("checkout", "-q", "--orphan", "alone", cwd=scene.tree)
    scene.commit(scene.tree, "alone")
    main = scene.oid("main")

    with pytest.raises(GitFailed, match="unrelated histories"):
        scene.merge("alone")

    assert (scene.oid("main"), scene.status()) == (main, "")


# --- what must hold -----------------------------------------------------------------------------


@pytest.mark.parametrize("style", list(Style))
def test_uncommitted_changes_in_the_target_refuse_a_merge(scene: Any, style: Style) -> None:
    (scene.project / "file").write_text("mine\n")

    with pytest.raises(MergeRefused, match=r"uncommitted changes in .*: file"):
        scene.merge(style=style)

    assert (scene.project / "file").read_text() == "mine\n"


@pytest.mark.parametrize("style", list(Style))
def test_a_file_nobody_tracks_is_not_overwritten(scene: Any, style: Style) -> None:
    (scene.project / "harmless").write_text("mine\n")
    (scene.project / "of-x").write_text("mine\n")
    main = scene.oid("main")

    with pytest.raises(GitFailed, match="untracked working tree files would be overwritten"):
        scene.merge(style=style)

    assert (scene.project / "of-x").read_text() == "mine\n"
    assert (scene.oid("main"), scene.status()) == (main, "?? harmless\n?? of-x")
    (scene.project / "of-x").unlink()
    assert scene.merge(style=style).result is MergeResult.SUCCESS
    assert scene.status() == "?? harmless"


def test_a_target_in_the_middle_of_something_is_left_alone(scene: Any) -> None:
    scene.clash()
    subprocess.run(["git", "merge", "-q", "x"], cwd=scene.project, check=False, capture_output=True)

    with pytest.raises(MergeRefused, match="in the middle of a merge"):
        scene.merge("t~0", "x~1", into="main")


def test_a_target_that_is_checked_out_twice_is_refused(scene: Any) -> None:
    scene.git("worktree", "add", "-q", "-f", "../twin", "main", cwd=scene.project)

    with pytest.raises(MergeRefused, match="checked out in 2 worktrees"):
        scene.plan()


def test_a_target_whose_worktree_is_away_is_merged_without_it_unless_it_is_locked(
    scene: Any,
) -> None:
    scene.git("worktree", "add", "-q", "../away", "t", cwd=scene.project)
    scene.git("worktree", "lock", "--reason", "a stick", "../away", cwd=scene.project)
    os.rename(scene.project.parent / "away", scene.project.parent / "elsewhere")
    with pytest.raises(MissingAndLocked, match="a stick"):
        scene.plan(into="t")
    scene.git("worktree", "unlock", "../away", cwd=scene.project)

    assert scene.merge(into="t").result is MergeResult.SUCCESS
    assert scene.subjects("t")[0] == "Merge branch 'x' into t"


@pytest.mark.parametrize("moved", ["main", "x", "t"])
def test_what_moves_after_the_plan_stops_the_merge(scene: Any, moved: str) -> None:
    for style in (Style.MERGE, Style.SQUASH, Style.REBASE, Style.FF):
        into = "t" if moved == "t" else "main"
        plan = scene.plan(into=into, style=style)
        scene.git("update-ref", f"refs/heads/{moved}", f"{moved}^{{commit}}", cwd=scene.project)
        before = scene.oid(moved)
        new = scene.git("commit-tree", f"{moved}^{{tree}}", "-p", moved, "-m", "new",
                        cwd=scene.project)  # fmt: skip
        scene.git("update-ref", f"refs/heads/{moved}", new, cwd=scene.project)

        with pytest.raises(MergeOutdated, match=f"'{moved}' has moved"):
            scene.carry_out(plan)

        assert scene.oid(moved) == new
        scene.git("update-ref", f"refs/heads/{moved}", before, cwd=scene.project)


def test_a_target_that_is_checked_out_after_the_plan_stops_the_merge(scene: Any) -> None:
    plan = scene.plan(into="t")
    scene.git("worktree", "add", "-q", "../t", "t", cwd=scene.project)

    with pytest.raises(MergeOutdated, match="'t' is checked out elsewhere"):
        scene.carry_out(plan)


def test_a_commit_that_comes_the_moment_git_begins_is_not_merged_onto(scene: Any) -> None:
    main = scene.commit(scene.project, "of-main")
    plan = scene.plan()
    late = scene.git("commit-tree", "main^{tree}", "-p", "main", "-m", "late", cwd=scene.project)

    def come(words: tuple[str, ...]) -> None:
        if "--no-ff" in words:
            git_module.observer = None
            scene.git("update-ref", "refs/heads/main", late, cwd=scene.project)

    git_module.observer = come
    with pytest.raises(MergeOutdated, match="'main' has moved"):
        scene.carry_out(plan)

    assert scene.oid("main") == late
    assert scene.oid("main^") == main
    assert scene.status() == ""


# --- policy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wished", "is_forward", "sources", "found"),
    [
        (None, True, 1, Style.FF),
        (None, False, 1, Style.FF),  # refused where it is planned
        (Style.FF, True, 1, Style.FF),
        (Style.REBASE, True, 1, Style.REBASE),
        (Style.REBASE, False, 1, None),
        (Style.MERGE, True, 1, None),
        (Style.SQUASH, True, 1, None),
        (Style.REBASE_MERGE, True, 1, None),
        (None, True, 2, None),
    ],
)
def test_a_policy_decides_how_a_merge_is_made(
    wished: Style | None, is_forward: bool, sources: int, found: Style | None
) -> None:
    def choose() -> Style:
        return choose_style(
            wished, Style.SQUASH, Policy(ff_only=True), is_forward=is_forward, sources=sources
        )

    if found is not None:
        assert choose() is found
        return
    with pytest.raises(MergeRefused, match="ff: only"):
        choose()


@given(
    wished=st.sampled_from([None, *Style]),
    usual=st.sampled_from(Style),
    is_forward=st.booleans(),
    sources=st.integers(1, 3),
)
def test_under_a_policy_nothing_is_made_that_no_gate_has_seen(
    wished: Style | None, usual: Style, is_forward: bool, sources: int
) -> None:
    try:
        style = choose_style(
            wished, usual, Policy(ff_only=True), is_forward=is_forward, sources=sources
        )
    except MergeRefused:
        return
    assert style is Style.FF or (style is Style.REBASE and is_forward)
    assert sources == 1


def test_only_forward_means_the_source_as_it_is(scene: Any) -> None:
    policy = Policy(ff_only=True)

    scene.merge(policy=policy)
    assert scene.oid("main") == scene.oid("x")
    scene.commit(scene.tree, "more")
    scene.commit(scene.project, "of-main")
    with pytest.raises(MergeRefused, match="cannot move forward"):
        scene.merge(policy=policy)


def test_a_source_that_must_be_clean(scene: Any) -> None:
    policy = Policy(clean_source=True, overlooked=("daft.yml",))
    (scene.tree / "daft.yml").write_text("{}\n")
    plan = scene.plan(policy=policy)
    (scene.tree / "late").write_text("not what is merged\n")

    with pytest.raises(MergeRefused, match=r"source_worktree: clean.*: late"):
        scene.carry_out(plan)

    (scene.tree / "late").unlink()
    assert scene.carry_out(plan).result is MergeResult.SUCCESS


def test_the_usual_style_is_a_setting(scene: Any) -> None:
    scene.git("config", "daft.merge.style", "Squash", cwd=scene.project)
    assert scene.plan().style is Style.SQUASH
    assert scene.plan(style=Style.MERGE).style is Style.MERGE
    scene.git("config", "daft.merge.style", "pile", cwd=scene.project)
    plan = scene.plan()
    assert plan.style is Style.MERGE
    assert "daft.merge.style is 'pile'" in plan.repository.settings.warnings[0]


def test_rebasing_takes_one_source_at_a_time(scene: Any) -> None:
    scene.commit(scene.project, "of-main")
    scene.on("t", "of-t")

    with pytest.raises(MergeRefused, match="one source at a time"):
        scene.plan("x", "t", style=Style.REBASE)


def test_what_will_conflict_can_be_told(scene: Any) -> None:
    assert foresee(scene.plan()) == ()
    scene.clash()
    assert foresee(scene.plan()) == ("file",)
    assert foresee(scene.plan(style=Style.REBASE)) is None


# --- one at a time, and what goes afterwards ----------------------------------------------------


def test_one_merge_at_a_time(scene: Any) -> None:
    common = str(scene.project / ".git")
    told = threading.Event()
    done = threading.Event()

    def second() -> None:
        with merge_lock(common, waiting=told.set):
            done.set()

    with merge_lock(common):
        with (
            pytest.raises(
                LockTimeout, match=rf"is merging in this repository \(pid {os.getpid()}\)"
            ),
            merge_lock(common, timeout_s=0),
        ):
            pass
        waiter = threading.Thread(target=second)
        waiter.start()
        assert told.wait(30)
        assert not done.is_set()
    assert done.wait(30)
    waiter.join()


@pytest.mark.parametrize("style", [Style.SQUASH, Style.REBASE, Style.MERGE])
def test_what_was_just_merged_may_go_wherever_it_was_merged_into(scene: Any, style: Style) -> None:
    scene.clash("t")
    scene.merge(into="t", style=style, strategy_options=("ours",))
    repository = discover(str(scene.project))
    with pytest.raises(Refused, match="not merged into 'main'"):
        plan_removal(repository, ("x",))

    (target,) = plan_removal(repository, ("x",), merged={"x": scene.oid("x")})
    assert target.proof == "just merged"
    scene.commit(scene.tree, "later")
    with pytest.raises(Refused, match="not merged"):
        plan_removal(discover(str(scene.project)), ("x",), merged={"x": scene.oid("x^")})
