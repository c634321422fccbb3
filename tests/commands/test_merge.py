"""`daft merge` as a user meets it: gates, facts, conflicts, what goes afterwards."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIG = """\
hooks:
  pre-merge:
    jobs:
      - {name: gate, run: 'env | grep ^DAFT_MERGE | sort > "$OUT.pre"; pwd >> "$OUT.pre"; ${GATE:-true}'}
  post-merge:
    jobs:
      - {name: after, run: 'env | grep ^DAFT_MERGE | sort > "$OUT.post"; pwd >> "$OUT.post"'}
"""


class Scene:
    def __init__(self, home: Any, config: str = CONFIG, *, trust: bool = True) -> None:
        self.home = home
        home.environment["OUT"] = str(home.root / "out")
        self.project: Path = home.repository(config, trust=trust)
        self.tree = home.root / "project.x"
        home.git("worktree", "add", "-q", "-b", "x", str(self.tree), cwd=self.project)
        home.git("branch", "t", "main", cwd=self.project)
        self.commit(self.tree, "of-x")

    def commit(self, where: Path, name: str, text: str = "new\n") -> None:
        (where / name).write_text(text)
        self.home.git("add", "-A", cwd=where)
        self.home.git("commit", "-qm", f"change {name}", cwd=where)

    def merge(self, *words: str, cwd: Path | None = None, **environment: str) -> Any:
        return self.home.daft("merge", *words, cwd=cwd or self.project, **environment)

    def oid(self, name: str) -> str:
        found: str = self.home.git("rev-parse", name, cwd=self.project)
        return found

    def facts(self, when: str) -> dict[str, str]:
        """Return what a hook was told, and take it away; empty when it did not run."""
        path = self.home.root / f"out.{when}"
        if not path.exists():
            return {}
        *lines, cwd = path.read_text().splitlines()
        path.unlink()
        told: dict[str, str] = {"cwd": cwd}
        for line in lines:
            name, has_value, value = line.partition("=")
            if has_value:
                told[name.removeprefix("DAFT_MERGE_")] = value
        return told


@pytest.fixture
def scene(home: Any) -> Scene:
    return Scene(home)


def test_hooks_are_told_what_is_merged_and_what_became_of_it(scene: Scene) -> None:
    main, x = scene.oid("main"), scene.oid("x")

    done = scene.merge("x")

    assert done.returncode == 0, done.stderr
    merged = scene.oid("main")
    assert done.stdout == f"Merged 'x' into 'main' ({merged[:12]})\n"
    before = {
        "SOURCES": "x", "SOURCE_SHAS": x, "SOURCE_PATHS": str(scene.tree),
        "SOURCE_PATH": str(scene.tree), "TARGET_BRANCH": "main", "TARGET_PATH": str(scene.project),
        "TARGET_SHA": main, "MODE": "merge", "STRATEGY": "", "EPHEMERAL": "false",
        "CROSS_WORKTREE": "false", "cwd": str(scene.project),
    }  # fmt: skip
    assert scene.facts("pre") == before
    assert scene.facts("post") == {
        **before, "RESULT": "success", "COMMIT_SHA": merged, "CONFLICTED_FILES": "",
        "PROMOTED_FROM_EPHEMERAL": "false",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["json", "ndjson", "yaml"])
def test_what_became_of_a_merge_can_be_read_by_programs(scene: Scene, form: str) -> None:
    done = scene.merge("x", "--format", form)

    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    jobs = found.pop("jobs")
    assert found == {
        "target": "main", "sources": ["x"], "mode": "merge", "result": "success",
        "commit": scene.oid("main"), "path": None, "conflicts": [],
    }  # fmt: skip
    listed = json.loads(scene.home.daft("jobs", "--format", "json", cwd=scene.project).stdout)
    assert [row["hook_type"] for row in jobs] == ["pre-merge", "post-merge"]
    assert sorted(listed, key=str) == sorted(jobs, key=str)
    assert "Merged 'x' into 'main'" in done.stderr


def test_a_merge_that_was_not_made_is_told_to_programs_as_well(scene: Scene) -> None:
    shut = scene.merge("x", "--format", "json", GATE="false")
    for where in (scene.project, scene.tree):
        scene.commit(where, "same", f"{where}\n")
    stopped = scene.merge("x", "--format", "json")
    taken_back = scene.merge("--abort", "--format", "json")
    nothing = scene.merge("t", "--format", "json")

    def told(done: Any) -> tuple[int, str | None, list[str], list[str]]:
        found = json.loads(done.stdout)
        states = [f"{row['name']} {row['status']}" for row in found["jobs"]]
        return done.returncode, found["result"], found["conflicts"], states

    assert told(shut) == (1, None, [], ["gate failed"])
    assert told(stopped) == (1, "conflict", ["same"], ["gate completed", "after completed"])
    assert told(taken_back) == (0, "aborted", [], ["after completed"])
    assert told(nothing) == (0, "already-up-to-date", [], [])
    assert scene.merge("x", "--format", "json", "--dry-run").returncode == 2


def test_without_a_worktree_hooks_run_where_the_user_stands(scene: Scene) -> None:
    done = scene.merge("x", "--into", "t", "-s", "ort", cwd=scene.tree)

    assert done.returncode == 0, done.stderr
    told = scene.facts("pre")
    assert (told["EPHEMERAL"], told["TARGET_PATH"], told["CROSS_WORKTREE"]) == ("true", "", "true")
    assert (told["cwd"], told["STRATEGY"]) == (str(scene.tree), "ort")
    told = scene.facts("post")
    assert (told["RESULT"], told["TARGET_PATH"]) == ("success", "")
    assert scene.oid("t^2") == scene.oid("x")


def test_nothing_to_merge_fires_nothing(scene: Scene) -> None:
    done = scene.merge("t")

    assert (done.returncode, done.stdout) == (0, "Already up to date: 'main' has all of 't'\n")
    assert (scene.facts("pre"), scene.facts("post")) == ({}, {})


def test_a_gate_that_fails_merges_nothing(scene: Scene) -> None:
    main = scene.oid("main")

    done = scene.merge("x", GATE="false")

    assert done.returncode == 1
    assert "job 'gate' exit code 1" in done.stderr
    assert "nothing was merged into 'main'" in done.stderr
    assert scene.oid("main") == main
    assert scene.facts("post") == {}


def test_a_gate_without_consent_is_shut_unless_it_is_left_out(home: Any) -> None:
    scene = Scene(home, trust=False)
    main = scene.oid("main")

    done = scene.merge("x")
    assert (done.returncode, scene.oid("main")) == (1, main)
    assert "Untrusted repo" in done.stderr
    done = scene.merge("x", "--skip-hooks", "pre-merge")
    assert done.returncode == 0, done.stderr
    assert scene.oid("main^2") == scene.oid("x")


def test_what_moves_while_a_gate_is_passed_is_not_merged(scene: Scene) -> None:
    main = scene.oid("main")

    done = scene.merge("x", GATE="git -C ../project.x commit -q --allow-empty -m late")

    assert done.returncode == 1
    assert "'x' has moved since the merge was planned; nothing was merged" in done.stderr
    assert scene.oid("main") == main
    assert scene.facts("post") == {}


def test_a_post_merge_that_fails_warns_unless_it_is_to_abort(home: Any) -> None:
    config = "hooks: {post-merge: {%sjobs: [{name: bad, run: 'exit 3'}]}}\n"
    scene = Scene(home, config % "")

    done = scene.merge("x")
    assert done.returncode == 0
    assert "warning: post-merge hook failed" in done.stderr
    scene.commit(scene.project, "daft.yml", config % "fail_mode: abort, ")
    home.daft("hooks", "trust", "-f", cwd=scene.project)
    scene.commit(scene.tree, "more")
    done = scene.merge("x")
    assert (done.returncode, scene.oid("main^2")) == (1, scene.oid("x"))


def test_what_merges_keep_to(home: Any) -> None:
    scene = Scene(home, "merge: {ff: only, source_worktree: clean}\n")

    refused = scene.merge("x", "--squash")
    assert refused.returncode == 1
    assert "`merge: {ff: only}` in daft.yml" in refused.stderr
    (scene.tree / "left").write_text("x")
    refused = scene.merge("x")
    assert refused.returncode == 1
    assert "source_worktree: clean" in refused.stderr
    assert "left" in refused.stderr
    (scene.tree / "left").unlink()
    assert scene.merge("x").stdout.startswith("Moved 'main' forward to 'x'")
    assert scene.oid("main") == scene.oid("x")


def test_what_the_target_keeps_to_counts_although_another_worktree_says_nothing(home: Any) -> None:
    scene = Scene(home, "merge: {ff: only}\n")
    scene.commit(scene.tree, "daft.yml", "layout: sibling\n")

    refused = scene.merge("x", "--into", "t", "--squash", cwd=scene.tree)

    assert refused.returncode == 1
    assert "ff: only" in refused.stderr


def test_a_gate_looks_at_what_the_merge_changes(home: Any) -> None:
    config = "hooks: {pre-merge: {jobs: [{name: a, run: 'false', glob: 'src/**'}]}}\n"
    scene = Scene(home, config)

    done = scene.merge("x")
    assert done.returncode == 0, done.stderr
    (scene.tree / "src").mkdir()
    scene.commit(scene.tree, "src/a")
    main = scene.oid("main")
    assert scene.merge("x").returncode == 1
    assert scene.oid("main") == main


def test_a_gate_in_the_source_needs_its_worktree(home: Any) -> None:
    config = "hooks: {pre-merge: {jobs: [{name: a, run: pwd >&2, root: '{merge_source_path}'}]}}\n"
    scene = Scene(home, config)

    refused = scene.merge(scene.oid("x"))
    assert refused.returncode == 1
    assert "nothing was merged" in refused.stderr
    done = scene.merge("x")
    assert done.returncode == 0, done.stderr
    assert str(scene.tree) in done.stderr


@pytest.mark.parametrize("text", ["merge: {ff: maybe}\n", "hooks: [\n"])
def test_a_file_that_cannot_be_used_merges_nothing(home: Any, text: str) -> None:
    scene = Scene(home)
    scene.commit(scene.project, "daft.yml", text)
    main = scene.oid("main")

    done = scene.merge("x")

    assert done.returncode == 1
    assert "hooks cannot be read: daft.yml:" in done.stderr
    assert scene.oid("main") == main


def test_a_conflict_names_its_files_and_what_to_do(scene: Scene) -> None:
    scene.commit(scene.tree, "file", "theirs\n")
    scene.commit(scene.project, "file", "ours\n")

    done = scene.merge("x", cwd=scene.project)

    assert (done.returncode, done.stdout) == (1, "")
    assert "'x' and 'main' conflict; the merge stays in .:\n  file\n" in done.stderr
    assert "daft merge --continue" in done.stderr
    assert "daft merge --abort" in done.stderr
    told = scene.facts("post")
    assert (told["RESULT"], told["CONFLICTED_FILES"], told["COMMIT_SHA"]) == (
        "conflict",
        "file",
        "",
    )
    assert scene.merge("--continue").returncode == 1
    assert scene.facts("post") == {}
    (scene.project / "file").write_text("both\n")
    scene.home.git("add", "file", cwd=scene.project)
    done = scene.merge("--continue", cwd=scene.tree)
    assert done.returncode == 0, done.stderr
    assert scene.facts("post")["RESULT"] == "success"
    assert scene.facts("pre")["MODE"] == "merge"
    assert scene.merge("--continue").returncode == 1


def test_a_conflict_is_taken_back(scene: Scene) -> None:
    scene.commit(scene.tree, "file", "theirs\n")
    scene.home.git("checkout", "-q", "t", cwd=scene.project)
    scene.commit(scene.project, "file", "ours\n")
    scene.home.git("checkout", "-q", "main", cwd=scene.project)
    made = scene.home.root / "project.t"

    setup = "worktree-post-create: {jobs: [{run: 'true'}]}\n"
    scene.commit(scene.project, "daft.yml", f"{CONFIG}  {setup}")
    scene.home.daft("hooks", "trust", "-f", cwd=scene.project)

    done = scene.merge("x", "--into", "t")
    assert f"daft -C {made} hooks run worktree-post-create" in done.stderr
    told = scene.facts("post")
    assert (told["PROMOTED_FROM_EPHEMERAL"], told["TARGET_PATH"]) == ("true", str(made))
    assert told["cwd"] == str(made)
    assert made.exists()
    done = scene.merge("--abort")
    assert (done.returncode, done.stdout) == (0, "Took the merge into 't' back\n")
    assert scene.facts("post")["RESULT"] == "aborted"
    assert not made.exists()


def test_a_merge_that_was_committed_by_hand_is_still_to_be_ended(scene: Scene) -> None:
    scene.commit(scene.tree, "file", "theirs\n")
    scene.commit(scene.project, "file", "ours\n")
    scene.merge("x")
    scene.commit(scene.project, "file", "both\n")
    scene.facts("post")

    done = scene.merge("x")
    assert "the merge of 'x' into 'main' was not ended: no post-merge ran" in done.stderr
    assert "daft merge --continue" in done.stderr
    assert scene.facts("post") == {}
    assert scene.merge("--continue").returncode == 0
    assert scene.facts("post")["RESULT"] == "success"
    assert scene.merge("x").stderr == ""


def test_a_merge_is_forgotten(scene: Scene) -> None:
    scene.commit(scene.tree, "file", "theirs\n")
    scene.commit(scene.project, "file", "ours\n")
    scene.merge("x")
    scene.facts("post")

    done = scene.merge("--quit")

    assert done.returncode == 0
    assert "AA file" in scene.home.git("status", "--short", cwd=scene.project)
    assert scene.facts("post") == {}


def test_what_was_merged_goes_with_its_hooks_wherever_one_stands(home: Any) -> None:
    said = 'echo "$DAFT_HOOK $DAFT_COMMAND $DAFT_REMOVAL_REASON" >> "$OUT"'
    jobs = f"{{jobs: [{{run: '{said}'}}]}}"
    scene = Scene(home, f"hooks: {{worktree-pre-remove: {jobs}, post-merge: {jobs}}}\n")
    cd = home.root / "cd"
    cd.touch()

    done = scene.merge("x", "--into", "t", "--squash", "-r", cwd=scene.tree, DAFT_CD_FILE=str(cd))

    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[1] == "Deleted x (worktree, local branch)"
    assert (
        home.root / "out"
    ).read_text() == "post-merge merge \nworktree-pre-remove merge manual\n"
    assert not scene.tree.exists()
    assert cd.read_text() == str(scene.project)
    assert home.git("branch", "--list", "x", cwd=scene.project) == ""


def test_untracked_configuration_comes_along_with_a_merge(home: Any) -> None:
    scene = Scene(home, "")
    for where in (scene.project, scene.tree):
        (where / "daft.local.yml").write_text("layout: sibling\n")
    (scene.tree / "daft.local.yml").write_text("layout: sibling\nlog: {keep_last: 3}\n")
    (scene.tree / "daft.yml").write_text("hooks: {}\n")

    refused = scene.merge("x", "-r")
    assert refused.returncode == 1
    assert "daft hooks consolidate x" in refused.stderr
    (scene.tree / "daft.yml").unlink()
    done = scene.merge("x", "-r")

    assert done.returncode == 0, done.stderr
    assert "daft.local.yml: took over what 'x' has changed in it" in done.stderr
    assert "keep_last: 3" in (scene.project / "daft.local.yml").read_text()
    assert not scene.tree.exists()


def test_configuration_that_both_have_changed_stays_where_it_is(home: Any) -> None:
    scene = Scene(home, "")
    (scene.project / "daft.local.yml").write_text("layout: sibling\n")
    (scene.tree / "daft.local.yml").write_text("layout: nested\n")

    assert scene.merge("x", "-r").returncode == 1
    done = scene.merge("x")

    assert done.returncode == 0
    assert "daft.local.yml of 'x' is not taken over" in done.stderr
    assert (scene.project / "daft.local.yml").read_text() == "layout: sibling\n"
    assert (scene.tree / "daft.local.yml").read_text() == "layout: nested\n"


def test_what_would_be_lost_is_refused_before_anything_is_merged(scene: Scene) -> None:
    (scene.tree / "notes").write_text("mine")
    main = scene.oid("main")

    done = scene.merge("x", "--remove")

    assert done.returncode == 1
    assert "cannot delete 'x': it has uncommitted changes" in done.stderr
    assert (scene.oid("main"), scene.facts("pre")) == (main, {})
    assert scene.merge(scene.oid("x"), "--remove").returncode == 1
    assert scene.merge("x").returncode == 0


def test_cleaning_up_is_a_setting_that_a_word_overrides(scene: Scene) -> None:
    scene.home.git("config", "daft.merge.cleanup", "remove", cwd=scene.project)

    assert scene.merge("x", "--keep").returncode == 0
    assert scene.tree.exists()
    done = scene.merge("x")
    assert done.stdout.startswith("Already up to date: 'main' has all of 'x'\nDeleted x")
    assert not scene.tree.exists()


def test_a_dry_run_tells_of_conflicts_and_does_nothing(scene: Scene) -> None:
    main = scene.oid("main")
    done = scene.merge("x", "--dry-run", "-r")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("would merge 'x' into 'main' (merge, .)\nwould remove 'x' afterwards\n")
    scene.commit(scene.tree, "file", "theirs\n")
    scene.commit(scene.project, "file", "ours\n")

    done = scene.merge("x", "--dry-run")

    assert (done.returncode, done.stdout.split("\n")[1]) == (1, "would conflict: file")
    assert (scene.oid("main^"), scene.facts("pre")) == (main, {})
    assert scene.home.git("status", "--short", cwd=scene.project) == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "Missing argument 'SRC'"),
        (("x", "--squash", "--rebase"), 2, "only one of the styles"),
        (("x", "--continue"), 2, "alone"),
        (("--abort", "--quit"), 2, "alone"),
        (("--abort",), 1, "no merge is under way"),
        (("nothing",), 1, "'nothing' is no branch, worktree or commit"),
        (("x", "--into", "nothing"), 1, "branch 'nothing' not found"),
        (("main",), 1, "cannot be merged into itself"),
        (("x", "-s", "nothing"), 1, "Could not find merge strategy 'nothing'"),
        (("x", "--hooks", "never"), 2, "--hooks"),
    ],
)
def test_wrong_input(scene: Scene, words: tuple[str, ...], code: int, said: str) -> None:
    main = scene.oid("main")

    done = scene.merge(*words)

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert scene.oid("main") == main
    assert scene.home.git("status", "--short", cwd=scene.project) == ""


def test_a_gate_cannot_merge_and_what_follows_a_merge_can(home: Any) -> None:
    daft = "python -m daft_cli merge"
    config = (
        "hooks: {%s: {jobs: [{name: on, run: '[ $DAFT_MERGE_TARGET_BRANCH != main ] || %s'}]}}\n"
    )
    scene = Scene(home, config % ("pre-merge", f"{daft} x --into t"))
    home.environment["PATH"] = f"{os.path.dirname(sys.executable)}:{home.environment['PATH']}"

    done = scene.merge("x")
    assert done.returncode == 1
    assert "a pre-merge hook cannot merge" in done.stderr
    scene.commit(scene.project, "daft.yml", config % ("post-merge", f"{daft} main --into t"))
    home.daft("hooks", "trust", "-f", cwd=scene.project)
    done = scene.merge("x")
    assert done.returncode == 0, done.stderr
    assert scene.oid("t^2") == scene.oid("main")


def test_an_interrupted_gate_merges_nothing(scene: Scene, until: Any) -> None:
    main = scene.oid("main")
    scene.home.environment["GATE"] = "sleep 300"
    process = scene.home.start_daft("merge", "x", cwd=scene.project)
    until((scene.home.root / "out.pre").exists, "the gate runs")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert scene.oid("main") == main
    scene.home.environment["GATE"] = "true"
    assert scene.merge("x").returncode == 0


def test_a_gate_that_was_killed_leaves_the_way_free(scene: Scene, until: Any) -> None:
    door = scene.home.root / "door"
    os.mkfifo(door)
    scene.home.environment["GATE"] = f"cat {door}"
    process = scene.home.start_daft("merge", "x", cwd=scene.project)
    until((scene.home.root / "out.pre").exists, "the gate runs")
    words = ("merge", "x", "--into", "t", "--skip-hooks", "all")
    with process, scene.home.start_daft(*words, cwd=scene.project) as waiting:
        process.kill()
        _, said = waiting.communicate(timeout=60)
    door.open("w").close()  # nobody reaps the job of the dead: it ends by itself

    assert waiting.returncode == 0, said
    assert scene.oid("t^2") == scene.oid("x")
