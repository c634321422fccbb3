"""What the worktree verbs say and do around what the library promises."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def test_an_interrupted_removal_is_told_and_undone_by_the_next_verb(home: Any) -> None:
    project = home.repository()
    home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"
    trash = project / ".git" / ".daft" / "trash"
    trash.mkdir()
    (trash / "x-1-1.origin").write_text(str(tree))
    tree.rename(trash / "x-1-1")

    done = home.daft("go", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert "warning: a removal had been interrupted" in done.stderr
    assert (tree / ".git").exists()
    assert home.daft("remove", "x", cwd=project).returncode == 0


def test_copied_configuration_does_not_keep_a_worktree(home: Any) -> None:
    project = home.repository()
    written = "\ufeff# é: a comment\r\nhooks:   {}   # and another\r\n\n\n".encode()
    (project / "daft.yml").write_bytes(written)
    assert home.daft("start", "x", cwd=project).returncode == 0
    assert home.daft("start", "y", cwd=project).returncode == 0
    for name in ("project", "project.x", "project.y"):
        assert (home.root / name / "daft.yml").read_bytes() == written
    (home.root / "project.y" / "daft.yml").write_text("hooks: {post-clone: {}}\n")

    same = home.daft("remove", "x", cwd=project)
    refined = home.daft("remove", "y", cwd=project)

    assert same.returncode == 0, same.stderr
    assert refined.returncode == 1
    assert "uncommitted changes (0 changed, 1 untracked)" in refined.stderr
    assert "tip: `daft hooks consolidate y` in another worktree" in refined.stderr


def test_configuration_as_it_was_brought_is_no_loss_though_its_origin_has_changed(
    home: Any,
) -> None:
    project = home.repository()
    (project / "daft.yml").write_text("hooks: {}\n")
    home.daft("start", "x", cwd=project)
    (project / "daft.yml").write_text("hooks: {post-clone: {}}\n")

    done = home.daft("remove", "x", cwd=project)

    assert done.returncode == 0, done.stderr


def test_changes_that_another_worktree_has_as_well_are_no_loss(home: Any) -> None:
    project = home.repository()
    (project / "daft.yml").write_text("tasks: {a: {jobs: [{name: a, run: one}]}}\n")
    home.daft("start", "x", cwd=project)
    added = "tasks: {a: {jobs: [{name: a, run: one}]}, b: {jobs: [{name: b, run: two}]}}\n"
    (home.root / "project.x" / "daft.yml").write_text(added)
    refused = home.daft("remove", "x", cwd=project)
    (project / "daft.yml").write_text("# ours\n" + added + "layout: sibling\n")

    done = home.daft("remove", "x", cwd=project)

    assert refused.returncode == 1
    assert done.returncode == 0, done.stderr


def test_ignored_configuration_that_was_changed_keeps_its_worktree(home: Any) -> None:
    project = home.repository()
    (project / ".git" / "info" / "exclude").write_text("daft.local.yml\n")
    (project / "daft.local.yml").write_text("rc: a\n")
    home.daft("start", "x", cwd=project)
    changed = home.root / "project.x" / "daft.local.yml"
    assert changed.read_text() == "rc: a\n"
    changed.write_text("rc: b\n")

    done = home.daft("remove", "x", cwd=project)

    assert done.returncode == 1
    assert "its daft.local.yml was changed here, and git ignores it" in done.stderr
    assert "tip: `daft hooks consolidate x` in another worktree" in done.stderr
    assert changed.exists()


def test_a_removal_by_force_keeps_changed_configuration(home: Any) -> None:
    project = home.repository()
    (project / "daft.yml").write_text("hooks: {}\n")
    kept = project / ".git" / ".daft" / "discarded" / "a" / "x"
    for text in ("rc: one\n", "rc: two\n"):
        home.daft("start", "a/x", cwd=project)
        (home.root / "project.a-x" / "daft.yml").write_text(text)
        done = home.daft("remove", "--force", "a/x", cwd=project)
        assert done.returncode == 0, done.stderr
        assert "its changed configuration is kept" in done.stderr

    assert {file.name: file.read_text() for file in kept.iterdir()} == {
        "daft.yml": "rc: one\n",
        "daft.yml.2": "rc: two\n",
    }


def test_what_was_brought_is_forgotten_with_its_worktree(home: Any) -> None:
    project = home.repository()
    (project / "daft.yml").write_text("rc: a\n")
    home.daft("start", "x", cwd=project)
    home.daft("remove", "x", cwd=project)
    (project / "daft.yml").unlink()
    home.daft("start", "x", cwd=project)
    (home.root / "project.x" / "daft.yml").write_text("rc: a\n")  # not brought: written here

    done = home.daft("remove", "x", cwd=project)

    assert done.returncode == 1


def test_changed_configuration_is_taken_over_from_another_worktree(home: Any) -> None:
    project = home.repository()
    mine = project / "daft.yml"
    mine.write_text("rc: a\nlayout: sibling\n")
    home.daft("start", "x", cwd=project)
    (home.root / "project.x" / "daft.yml").write_text("rc: b\nlayout: sibling\n")
    mine.write_text("rc: a\nlayout: sibling\nsource_dir: s # why\n")
    before = mine.read_text()

    tried = home.daft("hooks", "consolidate", "x", "--rewrite", "--dry-run", cwd=project)
    refused = home.daft("hooks", "consolidate", "x", cwd=project)
    assert mine.read_text() == before
    done = home.daft("hooks", "consolidate", "x", "--rewrite", cwd=project)

    assert (tried.returncode, refused.returncode, done.returncode) == (0, 1, 0)
    assert "would change" in tried.stdout
    assert "daft.yml would lose comments, its own or those of ../project.x/daft.yml" in (
        refused.stderr
    )
    assert mine.read_text() == "rc: b\nlayout: sibling\nsource_dir: s\n"
    assert home.daft("remove", "x", cwd=project).returncode == 0


def test_where_both_worktrees_changed_the_same_nothing_is_written(home: Any) -> None:
    project = home.repository()
    mine = project / "daft.yml"
    mine.write_text("rc: a\n")
    home.daft("start", "x", cwd=project)
    (home.root / "project.x" / "daft.yml").write_text("rc: b\n")
    mine.write_text("rc: c\n")

    done = home.daft("hooks", "consolidate", "x", cwd=project)
    unknown = home.daft("hooks", "consolidate", "nowhere", cwd=project)

    assert done.returncode == 1
    assert "daft.yml and ../project.x/daft.yml both changed rc; nothing was written" in done.stderr
    assert mine.read_text() == "rc: c\n"
    assert unknown.returncode == 1
    assert "other worktrees: x" in unknown.stderr


def test_a_file_that_is_no_yaml_is_named_by_its_worktree(home: Any) -> None:
    project = home.repository()
    (project / "daft.yml").write_text("rc: a\n")
    home.daft("start", "x", cwd=project)
    (home.root / "project.x" / "daft.yml").write_text("rc: [\n")

    done = home.daft("hooks", "consolidate", "x", cwd=project)

    assert done.returncode == 1
    assert "../project.x/daft.yml:2:1" in done.stderr
    assert (project / "daft.yml").read_text() == "rc: a\n"


def test_a_post_checkout_hook_that_fails_is_a_warning(home: Any) -> None:
    project = home.repository()
    hook = project / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert "warning: git's post-checkout hook failed" in done.stderr
    assert "not today" in done.stderr


def test_only_the_remote_branch_is_deleted_on_demand(home: Any) -> None:
    project = home.repository()
    home.git("clone", "-q", "--bare", str(project), "up.git", cwd=home.root)
    home.git("remote", "add", "origin", str(home.root / "up.git"), cwd=project)
    home.daft("start", "x", cwd=project)
    home.git("push", "-q", "-u", "origin", "x", cwd=home.root / "project.x")

    done = home.daft("remove", "--remote", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "Deleted x (remote branch)\n"
    assert (home.root / "project.x").exists()
    assert home.git("branch", "--list", "x", cwd=home.root / "up.git") == ""


def test_a_detached_worktree_says_what_was_lost(home: Any) -> None:
    project = home.repository()
    home.git("worktree", "add", "-q", "--detach", "../loose", cwd=project)
    home.git("commit", "-qm", "only here", "--allow-empty", cwd=home.root / "loose")
    oid = home.git("rev-parse", "HEAD", cwd=home.root / "loose")

    kept = home.daft("remove", "../loose", cwd=project)
    gone = home.daft("remove", "-f", "../loose", cwd=project)

    assert "detached HEAD" in kept.stderr
    assert gone.stdout == f"Deleted loose (worktree), was {oid[:12]}\n"
    home.git("cat-file", "-e", oid, cwd=project)


def test_several_worktrees_go_and_the_shell_lands_where_something_is(home: Any) -> None:
    project = home.repository()
    for name in ("x", "y"):
        home.daft("start", name, cwd=project)
    landing = home.root / "landing"

    done = home.daft("remove", "x", "y", cwd=home.root / "project.x", DAFT_CD_FILE=str(landing))

    assert done.stdout == "Deleted y (worktree, local branch)\nDeleted x (worktree, local branch)\n"
    assert os.path.realpath(landing.read_text()) == os.path.realpath(project)


def test_a_conflict_of_carried_changes_names_the_entry(home: Any) -> None:
    project = home.repository()
    (project / "file").write_text("one\n")
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "one", cwd=project)
    home.git("branch", "other", "HEAD~1", cwd=project)
    (project / "file").write_text("mine\n")

    done = home.daft("go", "--carry", "other", cwd=project)

    oid = home.git("rev-parse", "stash@{0}", cwd=project)
    assert done.returncode == 0, done.stderr
    assert f"stash apply --index {oid[:12]}" in done.stderr
    assert f"git -C {Path(project)} stash apply" in done.stderr
