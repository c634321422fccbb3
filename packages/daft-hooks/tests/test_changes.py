"""Jobs that look at changed files, moves, and merges."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
from attrs import evolve

from daft_hooks import Event, Options, Placement, Plan, inquiries, load_from, plan
from daft_hooks.domain.changes import Listing
from daft_hooks.domain.conditions import EVENTS_OWN, Facts
from daft_hooks.domain.config import Configuration
from daft_hooks.domain.event import Merge, MergeSource, Move, environment_of
from daft_hooks.errors import UnplannableHook
from daft_hooks.probes import gather
from daft_protocol.status import SkipKind

MERGE = Merge(
    sources=(MergeSource(name="a", sha="1" * 40, path="/w/a"), MergeSource(name="b", sha="2" * 40)),
    target_branch="main",
    target_path="/w",
    target_sha="3" * 40,
    mode="octopus",
)


def event_of(hook: str, **facts: Any) -> Event:
    usual: dict[str, Any] = {
        "command": "merge", "project_root": "/w", "git_dir": "/w/.git", "remote": "origin",
        "source_worktree": "/w", "worktree_path": "/w", "branch": "main", "cwd": "/w", "label": "main",
    }  # fmt: skip
    return Event(hook=hook, **{**usual, **facts})


def planned(
    jobs: str,
    *files: str,
    hook: str = "pre-merge",
    extra: str = "",
    listings: dict[str, Listing] | None = None,
    **facts: Any,
) -> Plan:
    loaded = load_from({"daft.yml": f"hooks: {{{hook}: {{{extra}jobs: [{jobs}]}}}}".encode()}.get)
    assert loaded is not None
    known = listings or {EVENTS_OWN: Listing(files=files)}
    return plan(
        event_of(hook, **facts),
        loaded.configuration,
        loaded.configuration.hooks[hook],
        Facts(listings=known),
        Options(),
    )


def reasons(made: Plan) -> dict[str, str]:
    assert all(spec.skip and spec.skip.kind is SkipKind.GLOB for spec in made.skipped)
    return {spec.name: spec.skip.reason for spec in made.skipped if spec.skip}


def test_a_job_runs_when_a_changed_file_fits() -> None:
    made = planned(
        "{name: src, run: x, glob: 'src/**'}, {name: docs, run: x, glob: [docs/**, '*.md']},"
        "{name: not-a, run: x, exclude: src/a}, {name: any, run: x}",
        "src/a",
    )

    assert [spec.name for spec in made.foreground] == ["src", "any"]
    assert reasons(made) == {
        "docs": "skip: no changed files match docs/**, *.md",
        "not-a": "skip: all changed files excluded by src/a",
    }


def test_what_the_hook_excludes_counts_for_every_job_that_looks() -> None:
    made = planned(
        "{name: src, run: x, glob: 'src/**'}, {name: any, run: x}",
        "src/a",
        extra="exclude: [src/a], ",
    )

    assert [spec.name for spec in made.foreground] == ["any"]
    assert reasons(made) == {"src": "skip: no changed files match src/** (excluding src/a)"}


def test_nothing_changed_is_a_reason() -> None:
    made = planned(
        "{name: a, run: 'lint {changed_files}'}, {name: b, run: x, files: ls, glob: '**'}",
        listings={EVENTS_OWN: Listing(), "ls": Listing()},
    )

    assert reasons(made) == {
        "a": "skip: no changed files",
        "b": "skip: files: command returned no files",
    }


def test_files_are_put_into_the_command_quoted() -> None:
    made = planned("{name: a, run: 'lint {changed_files}', glob: '*.py'}", "b c.py", "x;y.py", "z")

    assert made.foreground[0].command == "lint 'b c.py' 'x;y.py'"


def test_files_are_called_from_where_the_job_runs() -> None:
    job = "{name: a, run: 'lint {changed_files}', root: src, glob: '%s'}"

    assert planned(job % "src/**", "src/a", "b").foreground[0].command == "lint a"
    with pytest.raises(UnplannableHook, match="files outside of `root`"):
        planned(job % "**", "src/a", "b")


def test_a_list_may_come_from_a_command() -> None:
    made = planned(
        "{name: a, run: 'lint {changed_files}', files: 'list {branch}'}",
        hook="worktree-post-create",
        listings={"list main": Listing(files=("one",))},
    )

    assert made.foreground[0].command == "lint one"


@pytest.mark.parametrize(
    ("job", "hook", "said"),
    [
        (
            "{name: a, run: x, glob: y}",
            "worktree-post-create",
            "which only merges know; add `files:`",
        ),
        ("{name: a, run: x, exclude: y}", "post-clone", "which only merges know"),
        ("{name: a, run: 'x {changed_files}'}", "post-clone", "which only merges know"),
        ("{name: a, run: x, skip: [{changed: y}]}", "post-clone", "which only merges know"),
        ("{name: a, run: x, glob: '[y'}", "pre-merge", "`[` is not closed"),
        ("{name: a, run: x, files: broken}", "pre-merge", "failed with exit code 3: oh"),
        ("{name: a, run: x, files: unasked}", "pre-merge", "need a changed-file source"),
    ],
)
def test_a_hook_fails_that_cannot_know_its_files(job: str, hook: str, said: str) -> None:
    broken = Listing(error="files: `broken` failed with exit code 3: oh")

    with pytest.raises(UnplannableHook) as raised:
        planned(job, hook=hook, listings={EVENTS_OWN: Listing(), "broken": broken})
    assert said in str(raised.value)
    assert "daft.yml:1:" in str(raised.value)


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("skip: {changed: docs/**}", "skip: changed files match docs/**"),
        ("skip: [{changed: [a, b]}]", None),
        ("only: [{changed: [a, b]}]", "only: no changed files match a, b"),
        ("only: [{changed: docs/**}]", None),
    ],
)
def test_a_condition_may_ask_for_changed_files(condition: str, reason: str | None) -> None:
    made = planned(f"{{name: a, run: x, {condition}}}", "docs/x")

    assert [s.skip.reason for s in made.skipped if s.skip] == ([] if reason is None else [reason])


# --- asking git and the shell ---------------------------------------------------------------------


def test_a_merge_changes_what_its_sources_change(repository: Any) -> None:
    repository.commit({"base": "x"})
    repository.git("switch", "-q", "-c", "topic")
    repository.commit({"src/café.rs": "x", "with blank": "y"})
    topic = repository.git("rev-parse", "HEAD").strip()
    repository.git("switch", "-q", "main")
    repository.commit({"only-in-main": "z"})
    merge = Merge(
        sources=(MergeSource(name="topic", sha=topic),),
        target_branch="main",
        target_path=None,
        target_sha=repository.git("rev-parse", "HEAD").strip(),
        mode="merge",
    )
    path = str(repository.path)

    def facts(merge: Merge) -> Facts:
        event = event_of("pre-merge", merge=merge, cwd=path, git_dir=f"{path}/.git")
        return gather(event, Configuration(), {"PATH": "/usr/bin:/bin"}, warn=print)

    assert facts(merge).listings[EVENTS_OWN].files == ("src/café.rs", "with blank")
    unknown = Merge(
        sources=(MergeSource(name="nowhere", sha=""),),
        target_branch="main",
        target_path=None,
        target_sha="",
        mode="merge",
    )
    assert "changed by nowhere are not known" in (facts(unknown).listings[EVENTS_OWN].error or "")


def test_a_command_lists_a_path_a_line_and_is_asked_once(repository: Any) -> None:
    repository.commit({})
    path = str(repository.path)
    facts = gather(
        event_of("pre-merge", cwd=path), Configuration(), {"PATH": "/usr/bin:/bin"}, warn=print
    )
    command = "echo asked >> log; printf './a\\n\\n b c \\n'"

    assert facts.listings[command].files == ("a", "b c")
    assert facts.listings[command].files == ("a", "b c")
    assert (repository.path / "log").read_text() == "asked\n"
    assert facts.listings["echo oh >&2; exit 3"].error == (
        "files: `echo oh >&2; exit 3` failed with exit code 3: oh"
    )
    assert "more than" in (facts.listings["yes"].error or "")


def test_without_consent_no_command_is_run(repository: Any) -> None:
    repository.commit({})
    path = str(repository.path)
    told: list[str] = []
    facts = gather(
        event_of("pre-merge", cwd=path),
        Configuration(),
        {"PATH": "/usr/bin:/bin"},
        warn=told.append,
        may_run=False,
    )

    assert facts.succeeded[("touch ran", 1.0)] is False
    assert "nobody has consented" in (facts.listings["touch ran"].error or "")
    assert "nobody has consented" in told[0]
    assert not (repository.path / "ran").exists()


# --- moves and merges -----------------------------------------------------------------------------


def moved(changed: set[str], jobs: str) -> list[str]:
    move = Move(old_path="/old", old_branch="was", changed=frozenset(changed))
    made = planned(jobs, hook="worktree-post-create", move=move)
    for spec in made.skipped:
        assert spec.skip is not None
        assert spec.skip.kind is SkipKind.UNTRACKED
    return [spec.name for spec in made.foreground]


def test_a_move_runs_what_tracks_the_change_and_what_that_needs() -> None:
    jobs = (
        "{name: base, run: x}, {name: path, run: x, tracks: path, needs: [base]},"
        "{name: branch, run: 'x {branch}'}, {name: both, run: {linux: 'x {worktree_path}'}, tracks: [branch]},"
        "{name: env, run: x, env: {A: '{worktree_path}'}}, {name: none, run: x, needs: [path]}"
    )

    assert moved({"path"}, jobs) == ["base", "path", "both", "env"]
    assert moved({"branch"}, jobs) == ["branch", "both"]
    assert moved({"path", "branch"}, "{name: a, run: x}") == []


def test_the_environment_of_a_move_and_of_a_merge() -> None:
    move = Move(old_path="/old", old_branch="was", changed=frozenset({"path"}))
    moving = environment_of(event_of("worktree-post-create", move=move))
    merging = environment_of(event_of("pre-merge", merge=MERGE))

    assert (moving["DAFT_IS_MOVE"], moving["DAFT_OLD_WORKTREE_PATH"], moving["DAFT_OLD_BRANCH_NAME"]) == (
        "true", "/old", "was",
    )  # fmt: skip
    assert merging["DAFT_MERGE_SOURCES"] == "a b"
    assert merging["DAFT_MERGE_SOURCE_PATHS"] == "/w/a\n"
    assert merging["DAFT_MERGE_SOURCE_PATH"] == ""
    assert merging["DAFT_MERGE_EPHEMERAL"] == "false"
    assert "DAFT_MERGE_RESULT" not in merging
    assert "DAFT_IS_MOVE" not in merging


def test_jobs_of_a_tree_that_goes_away_are_not_sent_to_the_background() -> None:
    loaded = load_from({"daft.yml": b"hooks: {post-merge: {jobs: [{name: a, run: x}]}}"}.get)
    assert loaded is not None

    def background(ephemeral: bool) -> int:
        merge = evolve(MERGE, is_ephemeral=ephemeral)
        options = Options(placement=Placement.BACKGROUND)
        configuration = loaded.configuration
        hook = configuration.hooks["post-merge"]
        event = event_of("post-merge", merge=merge)
        return len(plan(event, configuration, hook, Facts(), options).background)

    assert (background(False), background(True)) == (1, 0)


def test_a_directory_nobody_knows_fails_the_hook() -> None:
    job = "{name: a, run: x, root: '{merge_source_path}'}"

    with pytest.raises(UnplannableHook, match="merge_source_path"):
        planned(job, merge=MERGE)
    one = Merge(
        sources=MERGE.sources[:1],
        target_branch="main",
        target_path="/w",
        target_sha="3" * 40,
        mode="merge",
    )
    assert planned(job, merge=one).foreground[0].working_dir == "/w/a"


def test_nothing_is_left_of_a_command_that_was_given_up(
    repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquiries, "LISTING_TIMEOUT_S", 0.3)
    repository.commit({})
    path = str(repository.path)
    facts = gather(
        event_of("pre-merge", cwd=path), Configuration(), {"PATH": "/usr/bin:/bin"}, warn=print
    )

    # The shell ends at once; its child holds the pipe.
    listing = facts.listings["sleep 60 & echo $! > pid"]

    assert "took over 0.3 s" in (listing.error or "")
    pid = int((repository.path / "pid").read_text())
    try:
        child = psutil.Process(pid)
        child.wait(10)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        assert child.status() == psutil.STATUS_ZOMBIE, "killed, and nobody collects it here"
