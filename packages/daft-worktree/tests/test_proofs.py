"""What counts as proof that the work of a branch is elsewhere, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import discover
from daft_worktree.branches import read_refs
from daft_worktree.proofs import Proof, merged_proof, pushed_proof

Git = Callable[..., str]


class History:
    """A repository in the making, on branch `x` or `main`."""

    def __init__(self, path: Path, git: Git) -> None:
        self.path = path
        self._git = git

    def git(self, *words: str) -> str:
        return self._git(*words, cwd=self.path)

    def commit(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", f"{name}: {text[:10]!r}")

    def on(self, branch: str) -> None:
        self.git("checkout", "-q", branch)

    def proof(self) -> Proof:
        repository = discover(str(self.path))
        return merged_proof(repository, read_refs(repository).heads["x"], "main")


@pytest.fixture
def history(project: Path, git: Git) -> History:
    made = History(project, git)
    made.git("checkout", "-q", "-b", "x")
    return made


def test_a_branch_without_commits_of_its_own_is_merged(history: History) -> None:
    assert history.proof() == Proof(True, "merged into 'main'")


def test_a_squash_that_was_changed_on_the_way_is_found(history: History) -> None:
    # More context moved than a patch survives: what main became is the merge made anew.
    history.on("main")
    history.commit("long", "".join(f"{n}\n" for n in range(40)))
    history.git("branch", "-f", "x", "main")
    history.on("x")
    lines = [f"{n}\n" for n in range(40)]
    lines[20] = "twenty\n"
    history.commit("long", "".join(lines))
    lines[21] = "twenty-one\n"
    history.commit("long", "".join(lines))
    history.on("main")
    history.commit("long", "".join(["first\n", *(f"{n}\n" for n in range(18)), "changed\n",
                                    *(f"{n}\n" for n in range(19, 40))]))  # fmt: skip
    history.git("merge", "-q", "--squash", "x")
    history.git("commit", "-qm", "squashed")

    assert history.proof() == Proof(True, "squashed into 'main'")


@pytest.mark.parametrize("how", ["nothing", "half", "reverted", "other content"])
def test_what_is_not_there_is_not_merged(history: History, how: str) -> None:
    history.commit("a", "a\n")
    history.commit("b", "b\n")
    if how == "reverted":
        history.git("revert", "--no-edit", "HEAD", "HEAD~1")
    history.on("main")
    if how == "half":
        history.git("cherry-pick", "x~1")
    if how == "other content":
        history.commit("a", "a\n")
        history.commit("b", "c\n")
    history.commit("z", "z\n")

    assert history.proof() == Proof(False, "not merged into 'main'")


def test_what_a_merge_settled_by_hand_is_in_no_patch(history: History) -> None:
    history.commit("a", "a\n")
    history.on("main")
    history.commit("z", "z\n")
    history.on("x")
    history.git("merge", "-q", "--no-commit", "main")
    (history.path / "a").write_text("settled by hand\n")
    history.git("commit", "-qam", "merged")
    history.on("main")
    history.git("cherry-pick", "x^1")

    assert not history.proof().safe


def test_a_replaced_object_proves_nothing(history: History) -> None:
    history.commit("a", "a\n")
    oid = history.git("rev-parse", "x")
    history.on("main")
    history.commit("z", "z\n")
    history.git("replace", "--graft", "main", oid)
    assert history.git("merge-base", "x", "main") == oid

    assert not history.proof().safe


def test_only_the_default_branch_of_the_remote_has_it(
    project: Path, tmp_path: Path, git: Git
) -> None:
    git("clone", "-q", str(project), "copy", cwd=tmp_path)
    copy = History(tmp_path / "copy", git)
    copy.git("checkout", "-q", "-b", "x")
    copy.commit("a", "a\n")
    copy.git("push", "-q", "origin", "x:refs/heads/elsewhere")
    git("merge", "-q", "elsewhere", cwd=project)
    assert not copy.proof().safe

    copy.git("fetch", "-q")

    assert copy.proof() == Proof(True, "merged into 'main'")


def test_unrelated_and_cut_off_histories_prove_nothing(
    history: History, tmp_path: Path, git: Git
) -> None:
    history.git("checkout", "-q", "--orphan", "fresh")
    history.commit("own", "own")
    history.git("branch", "-f", "x")
    assert history.proof() == Proof(False, "not merged into 'main'")

    git("clone", "-q", "--depth=1", f"file://{history.path}", "shallow", cwd=tmp_path)
    shallow = History(tmp_path / "shallow", git)
    shallow.git("fetch", "-q", "--depth=1", "origin", "main:main", "x:x")

    assert shallow.proof().reason == "not merged into 'main', as far as a shallow history tells"


# --- on the remote ------------------------------------------------------------------------------


@pytest.fixture
def copy(project: Path, tmp_path: Path, git: Git) -> History:
    git("clone", "-q", str(project), "copy", cwd=tmp_path)
    made = History(tmp_path / "copy", git)
    made.git("checkout", "-q", "-b", "x")
    made.commit("a", "a\n")
    return made


def pushed(copy: History, unreachable: set[str] | None = None) -> Proof:
    repository = discover(str(copy.path))
    branch = read_refs(repository).heads["x"]
    return pushed_proof(repository, branch, unreachable if unreachable is not None else set())


def test_a_branch_without_upstream_is_not_pushed(copy: History) -> None:
    assert pushed(copy) == Proof(False, "has no upstream")


def test_under_another_name_it_is_pushed_as_well(copy: History) -> None:
    copy.git("push", "-q", "-u", "origin", "x:me/other")

    assert pushed(copy) == Proof(True, "pushed to 'origin'")


def test_a_name_that_only_ends_alike_is_another_branch(
    copy: History, project: Path, git: Git
) -> None:
    copy.git("push", "-q", "origin", "x:me/x")
    copy.git("push", "-q", "-u", "origin", "x")
    git("branch", "-D", "x", cwd=project)

    assert pushed(copy) == Proof(False, "'origin' no longer has it")


def test_the_remote_itself_is_asked(copy: History, project: Path, git: Git) -> None:
    copy.git("push", "-q", "-u", "origin", "x")
    git("branch", "-f", "x", "main", cwd=project)

    assert pushed(copy) == Proof(False, "'origin' has moved on")


def test_what_was_seen_to_be_gone_is_not_asked_for(copy: History, project: Path, git: Git) -> None:
    copy.git("push", "-q", "-u", "origin", "x")
    git("branch", "-D", "x", cwd=project)
    copy.git("fetch", "-q", "--prune")

    assert pushed(copy) == Proof(False, "'origin' no longer has it")


def test_a_remote_that_does_not_answer_is_asked_once(copy: History, project: Path) -> None:
    copy.git("push", "-q", "-u", "origin", "x")
    project.rename(project.with_name("away"))
    unreachable: set[str] = set()

    assert pushed(copy, unreachable) == Proof(False, "could not reach 'origin'")
    assert unreachable == {"origin"}


def test_following_a_local_branch_is_not_being_pushed(copy: History) -> None:
    copy.git("branch", "-q", "--set-upstream-to=main", "x")

    assert pushed(copy) == Proof(False, "has no upstream")
