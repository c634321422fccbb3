from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from daft_worktree import Description, default_branch, describe, discover
from daft_worktree import git as git_module

Git = Callable[..., str]


def described(project: Path) -> dict[str, Description]:
    repository = discover(str(project))
    found = describe(repository, repository.worktrees, default_branch(repository))
    return {one.name: one for one in found}


def test_changes_are_counted_by_kind(project: Path, git: Git) -> None:
    for name in ("staged", "both", "changed", "moved"):
        (project / name).write_text(f"{name}\n" * 9)
    git("add", "-A", cwd=project)
    git("commit", "-qm", "two\nlines", cwd=project)
    for name in ("staged", "both"):
        (project / name).write_text("one")
    git("add", "staged", "both", cwd=project)
    (project / "both").write_text("two")
    (project / "changed").unlink()
    git("mv", "moved", "1 moved", cwd=project)
    (project / "? new\n1 .M").write_text("new")

    one = described(project)["main"]

    assert (one.staged, one.unstaged, one.untracked, one.conflicted) == (3, 2, 1, 0)
    assert one.subject == "two lines"
    assert one.warning is None


def test_conflicts_are_counted_apart(project: Path, git: Git) -> None:
    git("checkout", "-q", "old", cwd=project)
    (project / "file").write_text("theirs\n")
    git("commit", "-qam", "theirs", cwd=project)
    git("checkout", "-q", "main", cwd=project)
    (project / "file").write_text("mine\n")
    git("commit", "-qam", "mine", cwd=project)
    git_module.attempt(str(project), "merge", "old")

    one = described(project)["main"]

    assert (one.conflicted, one.staged, one.unstaged) == (1, 0, 0)
    assert one.worktree is not None
    assert one.worktree.operation == "merge"


def test_distances_are_told_to_default_and_upstream(
    project: Path, tmp_path: Path, git: Git
) -> None:
    git("clone", "-q", str(project), "copy", cwd=tmp_path)
    copy = tmp_path / "copy"
    git("worktree", "add", "-q", "-b", "x", "../x", cwd=copy)
    git("push", "-q", "-u", "origin", "x", cwd=tmp_path / "x")
    for name in ("1", "2"):
        git("commit", "-qm", name, "--allow-empty", cwd=tmp_path / "x")
    git("commit", "-qm", "3", "--allow-empty", cwd=copy)

    one = described(copy)["x"]

    assert (one.ahead, one.behind) == (2, 1)
    assert (one.remote_ahead, one.remote_behind) == (2, 0)


def test_only_the_remote_has_the_default_branch(project: Path, tmp_path: Path, git: Git) -> None:
    git("clone", "-q", str(project), "copy", cwd=tmp_path)
    copy = tmp_path / "copy"
    git("checkout", "-q", "-b", "x", cwd=copy)
    git("branch", "-D", "main", cwd=copy)
    git("commit", "-qm", "1", "--allow-empty", cwd=copy)

    assert (described(copy)["x"].ahead, described(copy)["x"].behind) == (1, 0)


def test_what_cannot_be_told_is_blank_and_the_rest_is_there(project: Path, git: Git) -> None:
    for name in ("broken", "gone"):
        git("worktree", "add", "-q", "-b", name, f"../{name}", cwd=project)
    (project / ".git" / "worktrees" / "broken" / "index").write_text("no index")
    shutil.rmtree(project.parent / "gone")

    found = described(project)

    assert found["main"].staged == 0
    assert found["broken"].staged is None
    assert "index" in (found["broken"].warning or "")
    assert found["gone"].staged is None
    assert found["gone"].subject == "one"


def test_a_repository_without_commits_is_described(tmp_path: Path, git: Git) -> None:
    git("init", "-q", "fresh", cwd=tmp_path)
    (tmp_path / "fresh" / "new").touch()

    one = described(tmp_path / "fresh")["main"]

    assert (one.untracked, one.head, one.subject, one.ahead) == (1, None, None, None)


def test_the_age_of_a_branch_is_that_of_its_first_entry(
    project: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "@1000000000 +0200")
    git("worktree", "add", "-q", "-b", "x", "../x", cwd=project)
    monkeypatch.setenv("GIT_COMMITTER_DATE", "@1100000000 +0200")
    git("commit", "-qm", "1", "--allow-empty", cwd=project.parent / "x")

    one = described(project)["x"]

    assert (one.created_at, one.committed_at) == (1_000_000_000, 1_100_000_000)


def test_signatures_and_encodings_do_not_mix_with_the_answers(
    project: Path, tmp_path: Path, git: Git
) -> None:
    signer = tmp_path / "signer"
    signer.write_text(
        "#!/bin/sh\ncat >/dev/null\n"
        'case "$*" in *-bsau*) echo "[GNUPG:] SIG_CREATED " >&2; echo "-----BEGIN PGP '
        'SIGNATURE-----"; echo; echo x; echo "-----END PGP SIGNATURE-----";;\n'
        '*) echo "gpg: Signature made some day" >&2; echo "[GNUPG:] GOODSIG 1 me";; esac\n'
    )
    signer.chmod(signer.stat().st_mode | stat.S_IXUSR)
    for key, value in (
        ("gpg.program", str(signer)),
        ("log.showSignature", "true"),
        ("color.ui", "always"),
    ):
        git("config", key, value, cwd=project)
    git("commit", "-q", "-S", "-m", "geändert", "--allow-empty", cwd=project)
    assert "Signature made" in git("log", "-1", cwd=project)
    git("config", "i18n.logOutputEncoding", "latin1", cwd=project)

    assert described(project)["main"].subject == "geändert"
