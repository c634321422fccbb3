"""What one worktree gets from another: what may go, from where, and all of it or nothing."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daft_worktree import git as git_module
from daft_worktree import put_right, staging
from daft_worktree.copying import (
    CopyPlan,
    Outcome,
    Pattern,
    Row,
    Rules,
    Verdict,
    copy_into,
    plan_copies,
    trees,
)
from daft_worktree.errors import CannotWrite
from daft_worktree.repository import Repository, discover
from daft_worktree.worktrees import Worktree

Git = Callable[..., str]


class Pair:
    """A repository whose main worktree has what its other one, `there`, is to get."""

    def __init__(self, here: Path, there: Path) -> None:
        self.here = here
        self.there = there

    @property
    def repository(self) -> Repository:
        return discover(str(self.here))

    @property
    def target(self) -> Worktree:
        return next(one for one in self.repository.worktrees if one.path == str(self.there))

    def plan(self, *names: str | Pattern, force: bool = False, **rules: object) -> CopyPlan:
        patterns = tuple(Pattern(one) if isinstance(one, str) else one for one in names)
        made = plan_copies(
            self.repository,
            Rules(patterns, **rules),  # type: ignore[arg-type]
            self.target,
            source=self.repository.current,
            force=force,
        )
        assert made is not None
        return made

    def verdicts(self, *names: str | Pattern, force: bool = False) -> dict[str, tuple[str, str]]:
        decisions = self.plan(*names, force=force).decisions
        return {one.path: (one.verdict.value, one.reason) for one in decisions}

    def copy(self, *names: str | Pattern, force: bool = False, **rules: object) -> list[Row]:
        plan = self.plan(*names, force=force, **rules)
        return list(copy_into(self.repository.common_dir, plan))

    def leftovers(self) -> list[str]:
        """Return what is left of making copies, and what git shows of the target."""
        home = Path(self.repository.common_dir) / ".daft" / "copying"
        found = [str(path) for path in home.iterdir()] if home.exists() else []
        return found + [path.name for path in self.there.iterdir() if "copying" in path.name]


@pytest.fixture
def pair(project: Path, tmp_path: Path, git: Git) -> Pair:
    (project / ".gitignore").write_text("cache/\n/.env\n/deep/*/made\n/nets\n")
    git("add", "-A", cwd=project)
    git("commit", "-qm", "rules", cwd=project)
    git("worktree", "add", "-q", "-b", "new", str(tmp_path / "there"), cwd=project)
    (project / ".env").write_text("SECRET=1\n")
    (project / "cache" / "a").mkdir(parents=True)
    (project / "cache" / "a" / "file").write_text("made here\n")
    return Pair(project, tmp_path / "there")


def outcomes(rows: list[Row]) -> dict[str, str]:
    return {row.path: row.outcome.value for row in rows}


# --- what may be copied -------------------------------------------------------------------------


def test_ignored_files_and_directories_are_copied(pair: Pair, git: Git) -> None:
    rows = pair.copy("cache", ".env")

    assert outcomes(rows) == {".env": "copied", "cache": "copied"}
    assert (pair.there / "cache" / "a" / "file").read_text() == "made here\n"
    assert (pair.there / ".env").read_text() == "SECRET=1\n"
    assert [row.files for row in rows] == [1, 1]
    assert git("status", "--porcelain", cwd=pair.there) == ""
    assert pair.leftovers() == []


def test_what_git_keeps_or_shows_is_refused(pair: Pair, git: Git) -> None:
    (pair.here / "loose").write_text("x")
    (pair.here / "cache" / "kept").write_text("x")
    git("add", "-f", "cache/kept", cwd=pair.here)
    (pair.here / "mixed").mkdir()
    (pair.here / "mixed" / "shown").write_text("x")

    assert pair.verdicts("file", "loose", "cache", "mixed") == {
        "file": ("refuse", "git tracks it"),
        "loose": ("refuse", "git does not ignore it"),
        "cache": ("refuse", "git tracks cache/kept in it"),
        "mixed": ("refuse", "git does not ignore it"),
    }


def test_a_secret_does_not_come_to_where_git_would_take_it_along(pair: Pair, git: Git) -> None:
    (pair.there / ".gitignore").write_text("nothing\n")

    assert pair.verdicts(".env", "cache") == dict.fromkeys(
        (".env", "cache"), ("refuse", "git tracks it there, or does not ignore it there")
    )


def test_a_directory_that_ignores_itself_may_be_copied(pair: Pair, git: Git) -> None:
    for name, rules in (("venv", "*\n"), ("partly", "other\n")):
        (pair.here / name).mkdir()
        (pair.here / name / ".gitignore").write_text(rules)
        (pair.here / name / "other").write_text("x")
    (pair.here / ".git" / "info" / "exclude").write_text("")

    found = pair.verdicts("venv", "partly")

    assert found["venv"] == ("copy", "")
    assert found["partly"] == ("refuse", "git does not ignore it")
    pair.copy("venv")
    assert git("status", "--porcelain", cwd=pair.there) == ""


@pytest.mark.parametrize("ignored", [True, False])
def test_what_the_target_tracks_is_never_replaced(pair: Pair, git: Git, ignored: bool) -> None:
    (pair.there / "cache").mkdir()
    (pair.there / "cache" / "kept").write_text("precious")
    git("add", "-f", "cache/kept", cwd=pair.there)
    if not ignored:
        (pair.there / "cache" / ".gitignore").write_text("*\n")

    assert pair.verdicts("cache", force=True)["cache"][0] == "refuse"
    assert outcomes(pair.copy("cache", force=True)) == {"cache": "refused"}
    assert (pair.there / "cache" / "kept").read_text() == "precious"


def test_what_is_there_stays_unless_it_is_to_be_replaced(pair: Pair) -> None:
    (pair.there / "cache").mkdir()
    (pair.there / "cache" / "own").write_text("mine")
    (pair.there / ".env").write_text("mine")

    assert outcomes(pair.copy("cache", ".env")) == {"cache": "present", ".env": "present"}
    assert (pair.there / ".env").read_text() == "mine"
    assert (pair.there / "cache" / "own").exists()

    assert outcomes(pair.copy("cache", ".env", force=True)) == {
        "cache": "replaced",
        ".env": "replaced",
    }
    assert (pair.there / ".env").read_text() == "SECRET=1\n"
    assert [path.name for path in (pair.there / "cache").iterdir()] == ["a"]
    assert pair.leftovers() == []


def test_an_empty_directory_is_nothing_that_could_be_lost(pair: Pair) -> None:
    (pair.there / "cache").mkdir()

    assert outcomes(pair.copy("cache")) == {"cache": "copied"}
    assert (pair.there / "cache" / "a" / "file").exists()


def test_what_is_not_there_is_named(pair: Pair) -> None:
    plan = pair.plan("cache", "no/such", Pattern("*.x", re.compile(r"[^/]*\.x").fullmatch, "", 1))

    assert plan.absent == ("no/such", "*.x")
    assert [one.path for one in plan.decisions] == ["cache"]


# --- paths stay inside --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../outside", "cache/../../outside", "/etc", ".git/config", "."])
def test_no_path_leads_out_of_a_worktree_or_into_git(pair: Pair, name: str) -> None:
    (pair.here.parent / "outside").write_text("x")
    before = sorted(str(path) for path in pair.there.rglob("*"))

    assert [verdict for verdict, _ in pair.verdicts(name).values()] == ["refuse"]
    assert Outcome.COPIED not in {row.outcome for row in pair.copy(name, force=True)}
    assert sorted(str(path) for path in pair.there.rglob("*")) == before


def test_nothing_goes_through_a_linked_parent(pair: Pair, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "made").mkdir(parents=True)
    (pair.here / "deep").mkdir()
    (pair.here / "deep" / "x").symlink_to(outside)
    (pair.here / "deep" / "y" / "made").mkdir(parents=True)
    (pair.there / "deep").mkdir()
    (pair.there / "deep" / "y").symlink_to(outside)

    found = pair.verdicts("deep/x/made", "deep/y/made", force=True)

    assert found["deep/x/made"] == ("refuse", "its parent deep/x is a link")
    assert found["deep/y/made"] == ("refuse", "there, its parent deep/y is a link")


def test_a_parent_that_becomes_a_link_meanwhile_is_not_gone_through(
    pair: Pair, tmp_path: Path
) -> None:
    (pair.here / "deep" / "x" / "made").mkdir(parents=True)
    (pair.here / "deep" / "x" / "made" / "file").write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    plan = pair.plan("deep/x/made")
    (pair.there / "deep").symlink_to(outside)

    (row,) = copy_into(pair.repository.common_dir, plan)

    assert row.outcome is Outcome.FAILED
    assert list(outside.iterdir()) == []
    assert pair.leftovers() == []


def test_a_link_that_leads_out_is_neither_copied_nor_replaced(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    (pair.here / "nets").symlink_to("../precious")
    (pair.there / ".env").symlink_to(tmp_path / "precious")

    found = pair.verdicts("nets", ".env", force=True)

    assert found["nets"] == ("refuse", "is a link that leads out of its worktree")
    assert found[".env"] == ("refuse", "is a link there that leads out of its worktree")


def test_a_link_inside_is_copied_as_a_link(pair: Pair) -> None:
    (pair.here / "nets").symlink_to("cache/a")

    assert outcomes(pair.copy("nets")) == {"nets": "copied"}
    assert os.readlink(pair.there / "nets") == "cache/a"


def test_other_worktrees_and_repositories_inside_stay_their_own(
    pair: Pair, tmp_path: Path, git: Git
) -> None:
    git("worktree", "add", "-q", "-b", "inner", str(pair.here / "cache" / "inner"), cwd=pair.here)
    (pair.here / "deep" / "x").mkdir(parents=True)
    git("init", "-q", cwd=pair.here / "deep" / "x")
    (pair.here / "deep" / "x" / "made").mkdir()

    found = pair.verdicts("cache", "deep/x/made")

    assert found["cache"][1] == f"holds the worktree {pair.here / 'cache' / 'inner'}"
    assert found["deep/x/made"][1] == "its parent deep/x belongs to another repository"


def test_a_working_tree_nobody_knows_is_left_out(pair: Pair) -> None:
    strange = pair.here / "cache" / "strange"
    strange.mkdir()
    (strange / ".git").write_text("gitdir: /elsewhere\n")

    pair.copy("cache")

    assert sorted(path.name for path in (pair.there / "cache").iterdir()) == ["a"]


# --- patterns -----------------------------------------------------------------------------------


def test_a_pattern_means_what_fits_and_nothing_inside_of_that(pair: Pair) -> None:
    for place in ("deep/x/made", "deep/y/made", "deep/y/made/made", "deep/y/z/made"):
        (pair.here / place).mkdir(parents=True)
        (pair.here / place / "file").write_text("x")
    (pair.here / "deep" / "link").symlink_to("x")
    pattern = Pattern("deep/*/made", re.compile("deep/[^/]*/made").fullmatch, "deep", 3)

    assert outcomes(pair.copy(pattern)) == {"deep/x/made": "copied", "deep/y/made": "copied"}
    assert (pair.there / "deep" / "y" / "made" / "made" / "file").exists()
    assert not (pair.there / "deep" / "y" / "z").exists()


def test_a_search_does_not_enter_git_links_or_what_is_deeper_than_it_can_fit(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pair.here / "deep" / "x" / "y").mkdir(parents=True)
    (pair.here / "deep" / "link").symlink_to("x")
    listed: list[str] = []
    scandir = os.scandir

    def noted(path: str) -> object:
        listed.append(os.path.relpath(path, pair.here))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    pair.plan(Pattern("*/*/made", re.compile("[^/]*/[^/]*/made").fullmatch, "", 3))

    assert ".git" not in listed
    assert "deep/link" not in listed
    assert "deep/x" in listed
    assert "deep/x/y" not in listed


def test_what_others_bring_along_is_not_copied_twice(pair: Pair) -> None:
    assert list(pair.verdicts("cache/a", "cache", "cache")) == ["cache"]


def test_what_is_shared_is_not_copied_with_what_it_is_in(pair: Pair) -> None:
    (pair.here / "cache" / "a" / "link").symlink_to("../../../stored")
    (pair.here / "cache" / "shared").mkdir()
    (pair.here / "cache" / "shared" / "file").write_text("x")
    linked = frozenset({"cache/a/link", "cache/shared", ".env"})
    only_links = Rules((Pattern(".env"),), linked=linked)

    assert plan_copies(pair.repository, only_links, pair.target) is None
    rows = pair.copy("cache", "cache/shared/file", ".env", linked=linked)

    assert outcomes(rows) == {"cache": "copied"}
    made = [str(path.relative_to(pair.there)) for path in (pair.there / "cache").rglob("*")]
    assert sorted(made) == ["cache/a", "cache/a/file"]


# --- where it is from ---------------------------------------------------------------------------


def test_the_base_goes_first_then_the_same_commit_and_the_warmest(
    pair: Pair, tmp_path: Path, git: Git
) -> None:
    rules = Rules((Pattern("cache"), Pattern(".env")))
    for name in ("cold", "warm", "other"):
        git("worktree", "add", "-q", "-b", name, str(tmp_path / name), cwd=pair.here)
    git("commit", "-q", "--allow-empty", "-m", "on", cwd=tmp_path / "other")
    (tmp_path / "cold" / ".env").write_text("x")
    (tmp_path / "warm" / ".env").write_text("x")
    (tmp_path / "warm" / "cache").mkdir()
    (tmp_path / "other" / ".env").write_text("x")

    def chosen(base: str | None = None, stand: Path = pair.here) -> str:
        plan = plan_copies(discover(str(stand)), rules, pair.target, base=base)
        assert plan is not None
        return os.path.basename(plan.source.path)

    assert chosen("other") == "other"
    assert chosen() == "a project"  # the one we stand in, at the same commit
    assert chosen(stand=tmp_path / "other") == "a project"  # as warm as `warm`, and listed first
    (pair.here / ".env").unlink()
    assert chosen(stand=tmp_path / "other") == "warm"
    assert chosen("no-worktree", stand=tmp_path / "cold") == "cold"
    git("commit", "-q", "--allow-empty", "-m", "on", cwd=pair.there)
    assert chosen(stand=tmp_path / "other") == "other"


def test_a_source_that_has_nothing_loses_and_one_that_is_gone_is_none(
    pair: Pair, tmp_path: Path, git: Git
) -> None:
    rules = Rules((Pattern("cache"),))
    git("worktree", "add", "-q", "-b", "base", str(tmp_path / "base"), cwd=pair.here)

    plan = plan_copies(pair.repository, rules, pair.target, base="base")
    assert plan is not None
    assert plan.source.path == str(pair.here)

    (tmp_path / "base" / "cache").mkdir()
    (tmp_path / "base").rename(tmp_path / "away")
    plan = plan_copies(pair.repository, rules, pair.target, base="base")
    assert plan is not None
    assert plan.source.path == str(pair.here)

    (pair.here / "cache").rename(pair.here / "gone")
    assert plan_copies(pair.repository, rules, pair.target, base="base") is None


def test_git_is_started_only_for_what_there_is_to_copy(pair: Pair) -> None:
    repository, target = pair.repository, pair.target
    started: list[str] = []
    git_module.observer = lambda words: started.append(next(w for w in words if w[0] != "-"))

    assert plan_copies(repository, Rules(()), target) is None
    assert started == []
    plan_copies(repository, Rules((Pattern("cache"), Pattern(".env"))), target)
    assert started == ["ls-files", "check-ignore"]


# --- what a copy keeps --------------------------------------------------------------------------


def test_modes_times_links_and_one_file_of_several_names_are_kept(pair: Pair) -> None:
    cache = pair.here / "cache"
    (cache / "run").write_text("#!/bin/sh\n")
    (cache / "run").chmod(0o555)
    (cache / "private").write_text("x")
    (cache / "private").chmod(0o600)
    (cache / "loose").write_text("x")
    (cache / "loose").chmod(0o666)
    os.link(cache / "run", cache / "a" / "same")
    (cache / "to-file").symlink_to("a/file")
    (cache / "nowhere").symlink_to("/no/such/place")
    (cache / "empty").mkdir(mode=0o750)
    (cache / "hole").touch()
    os.truncate(cache / "hole", 1 << 20)
    for path in (cache / "run", cache / "empty", cache / "a", cache):
        os.utime(path, ns=(10**18, 10**18 + 5))

    pair.copy("cache")

    made = pair.there / "cache"
    for path in ("", "run", "private", "loose", "empty", "a", "a/same", "hole"):
        old, new = os.lstat(cache / path), os.lstat(made / path)
        assert (path, stat.S_IMODE(new.st_mode)) == (path, stat.S_IMODE(old.st_mode))
        assert (path, new.st_mtime_ns) == (path, old.st_mtime_ns)
        assert (path, new.st_size) == (path, old.st_size) or path in ("", "a")
    assert os.lstat(made / "run").st_ino == os.lstat(made / "a" / "same").st_ino
    assert os.lstat(made / "run").st_ino != os.lstat(cache / "run").st_ino
    assert os.readlink(made / "to-file") == "a/file"
    assert os.readlink(made / "nowhere") == "/no/such/place"
    assert (made / "hole").read_bytes() == bytes(1 << 20)
    assert os.lstat(made / "hole").st_blocks <= os.lstat(cache / "hole").st_blocks


def test_a_hole_between_data_stays_one(pair: Pair) -> None:
    with open(pair.here / "cache" / "image", "wb") as file:
        file.write(b"begin")
        file.seek(1 << 22)
        file.write(b"end")
        file.truncate(1 << 23)

    pair.copy("cache")

    old, new = pair.here / "cache" / "image", pair.there / "cache" / "image"
    assert new.read_bytes() == old.read_bytes()
    assert new.stat().st_blocks <= old.stat().st_blocks + 16


def test_a_directory_that_cannot_be_written_is_copied_as_such(pair: Pair) -> None:
    (pair.here / "cache" / "a").chmod(0o555)
    (pair.here / "cache").chmod(0o555)

    rows = pair.copy("cache")

    (pair.here / "cache").chmod(0o755)
    assert outcomes(rows) == {"cache": "copied"}
    assert stat.S_IMODE((pair.there / "cache").stat().st_mode) == 0o555
    assert stat.S_IMODE((pair.there / "cache" / "a").stat().st_mode) == 0o555
    (pair.there / "cache").chmod(0o755)
    assert pair.leftovers() == []


def test_sockets_and_pipes_stay_behind(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(pair.here / "cache" / "pipe")
    monkeypatch.chdir(pair.here / "cache")  # a path may be too long for a socket
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        rows = pair.copy("cache")

    assert outcomes(rows) == {"cache": "copied"}
    assert [path.name for path in (pair.there / "cache").iterdir()] == ["a"]
    os.mkfifo(pair.here / "nets")
    assert pair.verdicts("nets") == {"nets": ("refuse", "is neither a file nor a directory")}


def test_names_that_are_no_text_are_copied(pair: Pair) -> None:
    odd = os.fsencode(pair.here / "cache") + b"/\xff\n name"
    with open(odd, "wb") as file:
        file.write(b"x")

    pair.copy("cache")

    assert os.path.exists(os.fsencode(pair.there / "cache") + b"/\xff\n name")


def test_a_tree_that_is_deeper_than_descriptors_last(pair: Pair) -> None:
    place = pair.here / "cache"
    for _ in range(300):
        place = place / "d"
    place.mkdir(parents=True)
    (place / "bottom").write_text("x")

    assert outcomes(pair.copy("cache")) == {"cache": "copied"}
    assert (pair.there / "cache" / place.relative_to(pair.here / "cache") / "bottom").exists()


# --- sharing ------------------------------------------------------------------------------------


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A file system that shares what files hold; the sizes that were shared."""
    shared: list[int] = []

    def share(origin: int, copy: int) -> int:
        data = os.pread(origin, 1 << 20, 0)
        os.pwrite(copy, data, 0)
        shared.append(len(data))
        return 0

    monkeypatch.setattr(trees, "share", share)
    return shared


@pytest.fixture
def no_sharing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A file system that shares nothing; grows by one each time it is asked to."""
    asked: list[int] = []

    def share(origin: int, copy: int) -> int:
        import errno

        asked.append(1)
        return errno.EOPNOTSUPP

    monkeypatch.setattr(trees, "share", share)
    return asked


def test_what_can_be_shared_takes_up_no_room(pair: Pair, sharing: list[int]) -> None:
    (row,) = pair.copy("cache", copies_bytes=False)

    assert row.outcome is Outcome.COPIED
    assert (row.size_bytes, row.copied_bytes) == (10, 0)
    assert sharing == [10]
    assert (pair.there / "cache" / "a" / "file").read_text() == "made here\n"


def test_a_file_system_that_cannot_share_is_asked_once(pair: Pair, no_sharing: list[int]) -> None:
    for name in "bcd":
        (pair.here / "cache" / name).write_text("x")

    (row,) = pair.copy("cache")

    assert (row.outcome, row.files, row.copied_bytes) == (Outcome.COPIED, 4, 13)
    assert len(no_sharing) == 1


def test_what_cannot_be_shared_is_left_out_when_that_is_asked_for(
    pair: Pair, no_sharing: list[int]
) -> None:
    (row,) = pair.copy("cache", copies_bytes=False)

    assert row.outcome is Outcome.LEFT_OUT
    assert "`fallback` is `skip`" in row.reason
    assert not (pair.there / "cache").exists()
    assert pair.leftovers() == []


@pytest.mark.parametrize("copies_bytes", [True, False])
def test_more_than_may_be_copied_is_left_out_as_a_whole(
    pair: Pair, no_sharing: list[int], copies_bytes: bool
) -> None:
    for name in "bcd":
        (pair.here / "cache" / name).write_text("12345")
    limits = {"copies_bytes": copies_bytes}

    small = pair.copy("cache", ".env", max_size_bytes=24, **limits)
    assert outcomes(small) == {"cache": "left-out", ".env": "copied"}
    assert "larger than `max_size`" in next(row.reason for row in small if row.path == "cache")
    assert not (pair.there / "cache").exists()
    assert pair.leftovers() == []

    assert outcomes(pair.copy("cache", max_size_bytes=25, **limits)) == {"cache": "copied"}


def test_the_real_request_to_share_works_or_says_that_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("shared?")
    with open(tmp_path / "old", "rb") as old, open(tmp_path / "new", "wb") as new:
        refusal = trees.share(old.fileno(), new.fileno())

    assert (refusal == 0) == ((tmp_path / "new").read_text() == "shared?")


# --- trouble ------------------------------------------------------------------------------------


def test_a_full_disk_costs_what_did_not_fit_and_nothing_else(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    (pair.here / "cache" / "large").write_bytes(b"x" * 5000)
    (pair.there / ".env").write_text("mine")
    pwrite = os.pwrite

    def full(fd: int, data: bytes, place: int) -> int:
        if len(data) >= 5000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(fd, data, place)

    monkeypatch.setattr(os, "pwrite", full)
    rows = pair.copy("cache", ".env", force=True)

    assert outcomes(rows) == {"cache": "failed", ".env": "replaced"}
    assert "No space left" in next(row.reason for row in rows if row.path == "cache")
    assert not (pair.there / "cache").exists()
    assert pair.leftovers() == []


def test_a_replacement_that_fails_leaves_what_was_there(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pair.there / "cache").mkdir()
    (pair.there / "cache" / "own").write_text("mine")

    def torn(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", torn)

    assert outcomes(pair.copy("cache", force=True)) == {"cache": "failed"}
    assert (pair.there / "cache" / "own").read_text() == "mine"


@pytest.mark.parametrize("has_exchange", [True, False])
def test_what_somebody_puts_there_meanwhile_is_not_replaced(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, has_exchange: bool
) -> None:
    if not has_exchange:
        monkeypatch.setattr(staging, "_rename", lambda *_: False)
    plan = pair.plan("cache", ".env")
    (pair.there / ".env").write_text("mine")
    (pair.there / "cache").mkdir()
    (pair.there / "cache" / "own").write_text("mine")

    rows = list(copy_into(pair.repository.common_dir, plan))

    assert outcomes(rows) == {"cache": "failed", ".env": "failed"}
    assert (pair.there / ".env").read_text() == "mine"
    assert (pair.there / "cache" / "own").read_text() == "mine"


def test_a_system_that_cannot_exchange_replaces_in_two_steps(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_rename", lambda *_: False)
    (pair.there / "cache").mkdir()
    (pair.there / "cache" / "own").write_text("mine")

    assert outcomes(pair.copy("cache", ".env", force=True)) == {
        "cache": "replaced",
        ".env": "copied",
    }
    assert [path.name for path in (pair.there / "cache").iterdir()] == ["a"]
    assert pair.leftovers() == []


def test_a_file_that_is_written_meanwhile_is_copied_anew_or_not_at_all(
    pair: Pair, no_sharing: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = pair.here / "cache" / "a" / "file"
    rounds = [1, 9]
    pwrite = os.pwrite

    def written(fd: int, data: bytes, place: int) -> int:
        if rounds[0]:
            rounds[0] -= 1
            with open(log, "a") as file:
                file.write("more\n")
        return pwrite(fd, data, place)

    monkeypatch.setattr(os, "pwrite", written)
    assert outcomes(pair.copy("cache")) == {"cache": "copied"}
    assert (pair.there / "cache" / "a" / "file").read_text() == "made here\nmore\n"

    rounds[0] = 9
    (row,) = pair.copy("cache", force=True)
    assert (row.outcome, row.reason) == (Outcome.FAILED, "file is being changed")
    assert (pair.there / "cache" / "a" / "file").read_text() == "made here\nmore\n"


def test_what_vanishes_meanwhile_is_as_if_it_had_never_been(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pair.here / "cache" / "b").mkdir()
    (pair.here / "cache" / "gone").write_text("x")
    scandir = os.scandir

    def vanishing(path: object) -> object:
        entries = scandir(path)  # type: ignore[call-overload]
        if isinstance(path, int) and (pair.here / "cache" / "gone").exists():
            listed = list(entries)
            (pair.here / "cache" / "gone").unlink()
            (pair.here / "cache" / "b").rmdir()
            return _Listed(listed)
        return entries

    monkeypatch.setattr(os, "scandir", vanishing)

    assert outcomes(pair.copy("cache")) == {"cache": "copied"}
    assert [path.name for path in (pair.there / "cache").iterdir()] == ["a"]


class _Listed(list[object]):
    def __enter__(self) -> _Listed:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def test_an_interrupt_leaves_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "pwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pair.copy("cache")

    assert not (pair.there / "cache").exists()
    assert pair.leftovers() == []


COPIES = """
from daft_worktree import discover
from daft_worktree.copying import Pattern, Rules, copy_into, plan_copies
here, there = WORDS
repository = discover(here)
target = next(one for one in repository.worktrees if one.path == there)
rules = Rules((Pattern("cache"), Pattern(".env"), Pattern("deep/x/made")))
plan = plan_copies(repository, rules, target, source=repository.current, force=True)
steps_count_from_here()
for row in copy_into(repository.common_dir, plan):
    pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "interrupt"])
def test_at_every_step_each_path_is_there_as_a_whole_or_as_it_was(
    pair: Pair, runs_out: Callable[..., bool], how: str
) -> None:
    (pair.here / "deep" / "x" / "made").mkdir(parents=True)
    (pair.here / "deep" / "x" / "made" / "file").write_text("x")
    (pair.there / "cache").mkdir()
    (pair.there / "cache" / "own").write_text("mine")
    killed = 0
    for step in range(1, 200):
        ended = runs_out(COPIES, str(pair.here), str(pair.there), step=step, how=how)
        found = sorted(str(one.relative_to(pair.there)) for one in pair.there.rglob("*"))
        put_right(pair.repository, lambda _: None)
        cache = [one for one in found if one.startswith("cache")]
        assert cache in (["cache", "cache/own"], ["cache", "cache/a", "cache/a/file"]), step
        assert ("deep/x/made" in found) == ("deep/x/made/file" in found), step
        assert pair.leftovers() == []
        if ended:
            break
        killed += 1
        _forget(pair)

    assert ended
    assert killed > 25
    assert (pair.there / ".env").exists()


def _forget(pair: Pair) -> None:
    """Put the target back to what it was."""
    import shutil

    shutil.rmtree(pair.there / "cache")
    shutil.rmtree(pair.there / "deep", ignore_errors=True)
    (pair.there / ".env").unlink(missing_ok=True)
    (pair.there / "cache").mkdir()
    (pair.there / "cache" / "own").write_text("mine")


def test_what_killed_runs_left_goes_and_what_is_at_work_stays(pair: Pair) -> None:
    common = pair.repository.common_dir
    home = Path(common) / ".daft" / "copying"
    for dead in (home / "1-1", pair.there / ".daft-copying-1-1"):
        (dead / "copies" / "0").mkdir(parents=True)
        (dead / "copies" / "0").chmod(0o555)

    with staging.staging(common, str(pair.there)) as place:
        pair.copy("cache")
        assert staging.has_leftovers(common)
        assert [path.name for path in home.iterdir()] == [Path(place).parent.name]

    assert pair.leftovers() == []
    assert not staging.has_leftovers(common)


def test_a_worktree_that_goes_away_meanwhile_is_told(pair: Pair) -> None:
    plan = pair.plan("cache")
    pair.there.rename(pair.there.parent / "gone")

    with pytest.raises(CannotWrite):
        list(copy_into(pair.repository.common_dir, plan))

    assert not pair.there.exists()
    assert not staging.has_leftovers(pair.repository.common_dir)


def test_runs_at_the_same_time_put_each_path_there_once(
    pair: Pair, runs_out: Callable[..., bool]
) -> None:
    for number in range(300):
        (pair.here / "cache" / str(number)).write_text("x")
    script = COPIES.replace("force=True", "force=False")

    def run(_: int) -> bool:
        return runs_out(script, str(pair.here), str(pair.there), step=0)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [True] * 4
    assert len(list((pair.there / "cache").iterdir())) == 301
    assert pair.leftovers() == []


def test_another_file_system_is_copied_to_from_beside_the_place(
    pair: Pair, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    rename = os.rename

    def apart(old: str, new: str, **options: object) -> None:
        if "/.daft/copying/" in str(old):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(old, new, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", apart)
    common = pair.repository.common_dir
    with staging.staging(common, str(pair.there)) as place:
        assert Path(place).is_relative_to(pair.there)
        (Path(place) / "half").write_text("x")
        assert git("status", "--porcelain", cwd=pair.there) == ""

    assert outcomes(pair.copy("cache")) == {"cache": "copied"}
    assert pair.leftovers() == []


def test_a_verdict_is_made_for_everything_that_is_asked_for(pair: Pair) -> None:
    found = pair.plan("cache", ".env", "file").decisions

    assert {one.verdict for one in found} == {Verdict.COPY, Verdict.REFUSE}
