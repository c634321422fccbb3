"""`daft repo remove --purge`: a whole repository, deleted on purpose only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
hooks:
  worktree-pre-remove:
    jobs: [{name: before, run: 'echo "pre $DAFT_BRANCH_NAME $DAFT_COMMAND" >> $HOME/told'}]
  worktree-post-remove:
    jobs: [{name: after, run: 'echo "post $DAFT_BRANCH_NAME" >> $HOME/told'}]
"""
FAILING = "hooks: {worktree-pre-remove: {fail_mode: abort, jobs: [{name: a, run: 'exit 3'}]}}\n"


@pytest.fixture
def api(home: Any) -> Path:
    """A trusted repository called `api` with a worktree `x`; nothing of it was pushed."""
    project = home.repository(CONFIG, name="api")
    assert home.daft("start", "x", cwd=project).returncode == 0
    return Path(project)


def purge(home: Any, *words: str, cwd: Path | None = None, **more: str) -> Any:
    return home.daft("repo", "remove", "--purge", *words, cwd=cwd or home.root, **more)


def test_it_is_deleted_with_its_hooks_and_forgotten(home: Any, api: Path) -> None:
    done = purge(home, "api", "--yes")

    assert done.returncode == 0, done.stderr
    assert "Deleted the repository 'api'" in done.stdout
    assert not api.exists()
    assert not (home.root / "api.x").exists()
    assert (home.root / "told").read_text().splitlines() == [
        "pre x repo-remove", "post x", "pre main repo-remove", "post main",
    ]  # fmt: skip
    listed = home.daft("repo", "list", "--all", "--format", "csv", "--columns", "name,status",
                       cwd=home.root)  # fmt: skip
    assert listed.stdout.split() == ["name,status", "api,removed"]
    assert str(api) not in home.daft("hooks", "list", cwd=home.root).stdout
    jobs = home.jobs(home.root, "--repo", "api", "--worktree", "main")
    assert {name: job["status"] for name, job in jobs.items()} == {
        "before": "completed", "after": "completed",
    }  # fmt: skip


def test_nobody_to_ask_and_a_dry_run_delete_nothing(home: Any, api: Path) -> None:
    trees = (api, home.root / "api.x")
    before = [sorted(tree.rglob("*")) for tree in trees]

    looked = purge(home, "api", "--dry-run")
    refused = purge(home, "api")

    assert looked.returncode == 0
    assert refused.returncode == 1
    for text in (looked.stdout, refused.stderr):
        assert "worktree x  api.x" in text
        assert "git directory  api/.git" in text
        assert "branch x: 1 commit that no remote has" in text
    assert "there is nobody to ask" in refused.stderr
    assert [sorted(tree.rglob("*")) for tree in trees] == before


@pytest.mark.parametrize("answer", ["n", "y", "", "ap"])
def test_where_something_is_lost_only_its_name_deletes_it(
    home: Any, api: Path, answer: str
) -> None:
    code, shown = home.on_terminal(
        "repo", "remove", "--purge", "api", cwd=home.root, typed=(("type its name", f"{answer}\n"),)
    )

    assert code == 1
    assert "nothing was deleted" in shown
    assert (api / "daft.yml").exists()


@pytest.mark.parametrize(("pushed", "answer"), [(False, "api"), (True, "y")])
def test_a_yes_on_a_terminal_deletes_it(home: Any, api: Path, pushed: bool, answer: str) -> None:
    if pushed:
        home.git("init", "-q", "--bare", "up.git", cwd=home.root)
        home.git("remote", "add", "backup", str(home.root / "up.git"), cwd=api)
        home.git("push", "-q", "backup", "--all", cwd=api)
    question = "Delete it all? [y/N]" if pushed else "type its name (api):"

    code, shown = home.on_terminal(
        "repo", "remove", "--purge", "api", cwd=home.root, typed=((question, f"{answer}\n"),)
    )

    assert code == 0, shown
    assert not api.exists()


def test_a_hook_that_says_no_keeps_it(home: Any) -> None:
    project = home.repository(FAILING, name="api")
    home.daft("list", cwd=project)

    done = purge(home, "api", "--yes")

    assert done.returncode == 1
    assert "the repository was kept" in done.stderr
    assert (project / "daft.yml").exists()
    assert home.daft("repo", "info", "api", cwd=home.root).returncode == 0


def test_whoever_stands_in_it_is_led_out(home: Any, api: Path) -> None:
    target = home.root / "cd"
    target.touch()

    done = purge(home, "--yes", cwd=home.root / "api.x", DAFT_CD_FILE=str(target))

    assert done.returncode == 0, done.stderr
    assert target.read_text() == str(home.root)


def test_jobs_that_still_run_are_stopped(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {jobs: [{name: slow, run: sleep 600, background: true}]}}\n",
        name="api",
    )
    assert home.daft("start", "x", cwd=project).returncode == 0

    done = purge(home, "api", "--yes")

    assert done.returncode == 0, done.stderr
    assert "stopping jobs of 'x': slow" in done.stderr
    assert home.jobs(home.root, "--repo", "api")["slow"]["status"] == "cancelled"


def test_a_word_that_is_only_a_directory_deletes_nothing(home: Any, api: Path) -> None:
    (api / "src").mkdir()
    home.daft("repo", "remove", "api", cwd=home.root)
    home.daft("repo", "add", "--name", "other", cwd=api)

    inside = purge(home, "src", "--yes", cwd=api)
    by_path = purge(home, "./src", "--yes", cwd=api)
    bare_word = purge(home, "api", "--yes")

    for done in (inside, by_path, bare_word):
        assert done.returncode == 1
        assert (api / "daft.yml").exists()
    assert "is a directory in 'other', not the repository" in inside.stderr
    assert "is a directory in 'other', not the repository" in by_path.stderr
    assert "daft repo remove --purge ./api" in bare_word.stderr
    assert purge(home, "./api", "--yes").returncode == 0
    assert not api.exists()


def test_a_home_that_is_a_repository_stays(home: Any) -> None:
    home.git("init", "-q", cwd=home.root)
    home.git("commit", "-qm", "x", "--allow-empty", cwd=home.root)

    done = purge(home, "--yes")

    assert done.returncode == 1
    assert "would be deleted with" in done.stderr
    assert (home.root / ".git").exists()


def test_a_copy_is_not_taken_for_the_original(home: Any, api: Path) -> None:
    import shutil

    copy = shutil.copytree(api, home.root / "copy")

    done = purge(home, "--yes", cwd=Path(copy))

    assert done.returncode == 1
    assert "is a copy of 'api'" in done.stderr
    assert api.exists()
    assert Path(copy).exists()


def test_what_is_gone_already_is_told(home: Any, api: Path) -> None:
    import shutil

    shutil.rmtree(api)

    done = purge(home, "api", "--yes")

    assert done.returncode == 1
    assert "there is no repository at" in done.stderr
    assert "daft repo remove api" in done.stderr


def test_a_yes_without_a_question_is_a_matter_of_usage(home: Any) -> None:
    assert home.daft("repo", "remove", "--yes", cwd=home.root).returncode == 2
